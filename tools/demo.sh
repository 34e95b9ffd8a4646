#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# demo.sh - what `make demo` runs: records a real build (the library's own), or takes a bundled
# recording where that is not permitted, and runs it through every design with half the memory it
# needs, all contents and reverse maps verified.
set -u
cd "$(dirname "$0")/.." || exit 1
unset MAKEFLAGS MFLAGS MAKELEVEL

jobs=${JOBS:-$(nproc 2>/dev/null || echo 2)}
objrmap=build/release/objrmap
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() {
    printf '\n%s\n' "$*" | fold -s -w 100 | sed 's/ *$//'
}

# quietly COMMAND... - its output appears only when it fails.
quietly() {
    "$@" >"$work/log" 2>&1 && return 0
    tail -n 40 "$work/log"
    echo "objrmap: '$*' failed" >&2
    exit 1
}

say "1. Building the command objrmap."
quietly cmake --preset release
quietly cmake --build build/release -j "$jobs" --target objrmap-cli

# The traced program: make, compilers and assemblers, a few processes for each source file.
quietly cmake -S . -B "$work/traced" -G "Unix Makefiles" -DCMAKE_C_COMPILER=gcc \
    -DOBJRMAP_CLI=OFF -DOBJRMAP_TESTS=OFF -DOBJRMAP_BENCH=OFF

say "2. Recording a real program. make -j2 compiles the library once more, some hundred processes, while" \
    "every fork, exec, mmap and page fault of make, its compilers and their assemblers is written down" \
    "in a trace: a text file, a line for each event."
mkdir -p build/demo
trace=build/demo/build.vmt
if "$objrmap" record -o "$trace" -- make -C "$work/traced" -j2 objrmap >"$work/make.log"; then
    said="what make and its compilers did just now"
else
    trace=$(find examples/traces -name '*.vmt*' 2>/dev/null | sort | grep -e make -e build -e compile | head -n 1)
    [ -n "$trace" ] || trace=$(find examples/traces -name '*.vmt*' 2>/dev/null | sort | head -n 1)
    if [ -z "$trace" ]; then
        echo "objrmap: recording is not permitted here, and there is no recording in examples/traces" >&2
        exit 1
    fi
    say "Recording is not permitted here (as root it is). Taking the recording $trace instead."
    said="what the recorded program did"
fi

say "3. Replaying it. A machine made of software, with frames, real x86-64 page tables and swap, goes" \
    "through $said. It has half the memory that this needs, so it must take pages away all the time;" \
    "and before it takes one, it must know: who maps this page? The answer is called a reverse map." \
    "The design 'pte-chain' keeps it ready, a list for each page. 'anon-vma' keeps no list and works it" \
    "out from the mappings. Each runs once with every page's contents compared with what the program" \
    "stored and the reverse map compared with a scan of all page tables; then three times for the clock."
echo
"$objrmap" compare "$trace" --designs pte-chain,anon-vma --memory 50% --verify
status=$?

if [ $status = 0 ]; then
    say "How to read it. 'verified' and equal 'final state': the programs cannot tell the designs apart." \
        "What they charge differs. 'reverse map' and 'areas' are the bytes that knowing the way back" \
        "costs. fork, exit and munmap pay for keeping lists up to date, even if nobody ever asks." \
        "'places looked at' is what an answer costs; the ideal is one look for each mapping found."
    echo
    echo "More:  $objrmap compare $trace --memory 25%         all designs"
    echo "       $objrmap replay $trace --memory 10% --verify"
    echo "       $objrmap record -o FILE -- COMMAND     a program of yours"
    echo "       $objrmap --help"
else
    say "The comparison failed (exit code $status): please report it with the output above."
fi
exit $status
