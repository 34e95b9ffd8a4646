#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# run.sh BUILD - runs every benchmark of a release build, one after the other.
set -u
build=${1:-build/release}
status=0
found=""

for program in "$build"/bench/bench-*; do
    [ -f "$program" ] || continue
    found=yes
    echo "== ${program##*/}"
    "$program" || status=1
done
[ -n "$found" ] || {
    echo "objrmap: no benchmarks in $build/bench: build them first, with \`make bench\`" >&2
    exit 1
}
exit $status
