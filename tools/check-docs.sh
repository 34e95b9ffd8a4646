#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# check-docs.sh - the manual pages must satisfy mandoc.
set -u
cd "$(dirname "$0")/.." || exit 1

if ! command -v mandoc >/dev/null; then
    echo "mandoc is not here: the manual pages were not checked"
    exit 77
fi

status=0
pages=$(find man -name '*.[1-9]' | sort)
for page in $pages; do
    mandoc -T lint -W warning "$page" || status=1
done
[ -n "$pages" ] || {
    echo "man/ is empty"
    status=1
}
exit $status
