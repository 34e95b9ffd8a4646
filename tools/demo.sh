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

say "1. Building objrmap."
quietly cmake --preset release
quietly cmake --build build/release -j "$jobs"

# The traced program: make, compilers and assemblers, a few processes for each source file.
quietly cmake -S . -B "$work/traced" -G "Unix Makefiles" -DCMAKE_C_COMPILER=gcc \
    -DOBJRMAP_CLI=OFF -DOBJRMAP_TESTS=OFF -DOBJRMAP_BENCH=OFF

say "2. Recording a real program: make -j2 compiles the library once more, and every fork, exec, mmap" \
    "and page fault of make, its compilers and their assemblers is written down."
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
    said="what the program recorded in $trace did"
fi

say "3. Replaying it: a machine in memory, with real x86-64 page tables, goes through $said." \
    "It gets half the memory that the program needed at its peak, so it must constantly find pages" \
    "to evict, and for each of them answer the question: who maps this page? That is reverse" \
    "mapping. 'pte-chain' answers it from a list kept for every page; 'anon-vma' keeps no list and" \
    "works it out from the mappings. Afterwards every page's contents are compared with what the" \
    "program wrote, and every answer with a scan of all page tables."
echo
"$objrmap" compare "$trace" --memory 50% --verify
status=$?

if [ $status = 0 ]; then
    say "Both designs let the programs see the same memory; the table shows what each charged for it:" \
        "time at fork, exit and munmap and bytes of 'reverse map' for keeping the way back from a page" \
        "to those who map it, and 'places looked at' for finding it."
    echo
    echo "More:  $objrmap replay $trace --design anon-vma --memory 25% --verify"
    echo "       $objrmap record -o FILE -- COMMAND     a program of yours"
    echo "       $objrmap --help"
else
    say "The comparison failed (exit code $status): please report it with the output above."
fi
exit $status
