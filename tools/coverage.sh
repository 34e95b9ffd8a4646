#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# coverage.sh [CTEST-OPTION...] - what `make coverage` runs: the tests, in a build that counts, and then
# which lines and branches of vm/ they came to. Branches that none did must stand, with the reason, in
# docs/coverage.md, or be tested; else this fails. Options choose tests: -R random.
set -u
cd "$(dirname "$0")/.." || exit 1

jobs=${JOBS:-$(nproc 2>/dev/null || echo 2)}
log=build/coverage.log
mkdir -p build

echo "== coverage: build"
if ! { cmake --preset coverage && cmake --build build/coverage -j "$jobs"; } >"$log" 2>&1; then
    tail -n 20 "$log"
    echo "objrmap: the build failed; all of its output is in $log" >&2
    exit 1
fi
find build/coverage -name '*.gcda' -delete

# Left out is what looks at the checkout, or builds the library in its own way.
echo "== coverage: tests"
ctest --test-dir build/coverage -j "$jobs" -LE 'once|style|docs|install|freestanding' "$@" >"$log" 2>&1 ||
    grep -A 50 'tests passed' "$log"
sed -n 's/^\([0-9]*% tests passed.*\)/\1/p' "$log"
exec python3 tools/coverage.py build/coverage docs/coverage.md
