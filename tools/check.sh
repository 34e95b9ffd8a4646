#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# check.sh - what `make check` runs: everything in a debug build, the same under the address and
# undefined-behaviour sanitizers and in a build by clang, and what has threads under the thread
# sanitizer. Warnings are errors.
# Each configuration's results are left in build/NAME/results.xml.
set -u
cd "$(dirname "$0")/.." || exit 1

jobs=${JOBS:-$(nproc 2>/dev/null || echo 2)}
logs=build/check
failed=""
mkdir -p $logs
rm -f build/*/results.xml

# build PRESET [BUILD-OPTION...] - of its output only what went wrong is shown.
build() {
    preset=$1
    shift
    echo "== $preset: build"
    if cmake --preset "$preset" -DOBJRMAP_WERROR=ON >"$logs/$preset.log" 2>&1 &&
        cmake --build "build/$preset" -j "$jobs" "$@" >>"$logs/$preset.log" 2>&1; then
        return 0
    fi
    grep -m 20 -A 3 -E 'error|Error|undefined reference' "$logs/$preset.log" ||
        tail -n 40 "$logs/$preset.log"
    echo "== $preset: the build failed; all of its output is in $logs/$preset.log"
    failed="$failed $preset"
    return 1
}

# run_tests PRESET CTEST-OPTION...
run_tests() {
    preset=$1
    shift
    echo "== $preset: tests"
    ctest --test-dir "build/$preset" -j "$jobs" --no-tests=error --output-on-failure \
        --output-junit results.xml "$@" || failed="$failed $preset"
}

build debug && run_tests debug
# `once` marks tests of the checkout itself, which a sanitizer cannot change, and long ones that meet
# little there which others do not.
build asan && run_tests asan -LE once
build clang && run_tests clang -LE once
build tsan --target threaded-tests && run_tests tsan -L threads -LE once

if [ -n "$failed" ]; then
    echo "== failed:$failed"
    exit 1
fi
echo "== all is well"
