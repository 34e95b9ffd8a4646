#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# count-tests.sh STATUS - sums the results that check.sh left behind, in one line. A check that ended
# with a STATUS other than 0 without a failed test (a build that broke) counts as one failure.
cd "$(dirname "$0")/.." || exit 1

count() {
    cat build/*/results.xml 2>/dev/null | grep -c "$1"
}

# A program that is missing is "notrun" too, but nobody asked to skip it.
passed=$(count '<testcase .*status="run"')
skipped=$(count '<skipped message="SKIP_')
failed=$(($(count '<testcase .*status="fail"') + $(count '<testcase .*status="notrun"') - skipped))
if [ "${1:-0}" != 0 ] && [ "$failed" = 0 ]; then
    failed=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
