#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# count-tests.sh STATUS - sums the results that check.sh left behind, in one line. A check that ended
# with a STATUS other than 0 without a failed test (a build that broke) counts as one failure.
cd "$(dirname "$0")/.." || exit 1

count() {
    cat build/*/results.xml 2>/dev/null | grep -c "<testcase .*status=\"$1\""
}

passed=$(count run)
failed=$(count fail)
skipped=$(($(count notrun) + $(count disabled)))
if [ "${1:-0}" != 0 ] && [ "$failed" = 0 ]; then
    failed=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
