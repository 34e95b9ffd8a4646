#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# format.sh ROOT - the layout is clang-format's, version 14 (others differ in details).
cd "$1" || exit 1

if ! command -v clang-format-14 >/dev/null; then
    echo "clang-format-14 is not here: the layout was not checked"
    exit 77
fi
find include vm port lab tests bench examples -name '*.[ch]' -print0 2>/dev/null |
    xargs -0 clang-format-14 --style=file --dry-run -Werror 2>&1 | grep 'error:' && {
    echo "make format lays them out"
    exit 1
}
exit 0
