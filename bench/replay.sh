#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# replay.sh [--json] [BUILD] - the replayer's speed: touches that hit, and a whole build, recorded
# here if that is permitted, else taken from examples/traces. BUILD (build/release) is a release build.
set -u
cd "$(dirname "$0")/.." || exit 1
unset MAKEFLAGS MFLAGS MAKELEVEL

json=""
[ "${1:-}" = --json ] && {
    json=yes
    shift
}
objrmap=${1:-build/release}/objrmap
[ -x "$objrmap" ] || {
    echo "objrmap: there is no $objrmap: build it first, with \`make\`" >&2
    exit 1
}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
rows=""

# row OPERATION DESIGN SECONDS RATE UNIT GOAL - RATE is what the goal, if there is one, is held against.
row() {
    reached=$(awk -v rate="$4" -v goal="${6:-0}" 'BEGIN { print(rate >= goal ? "true" : "false") }')
    rows="$rows${rows:+,
}{\"operation\":\"$1\",\"design\":\"$2\",\"seconds\":$3,\"rate\":$4,\"unit\":\"$5\",\"goal\":${6:-null},\"reached\":$([ -n "${6:-}" ] && echo "$reached" || echo null)}"
    [ -n "$json" ] && return
    verdict=""
    [ -n "${6:-}" ] && verdict="goal $6: $([ "$reached" = true ] && echo reached || echo NOT REACHED)"
    printf '%-36s %-10s %9.3f s  %8.1f %-22s %s\n' "$1" "$2" "$3" "$4" "$5" "$verdict"
}

# field NAME FILE - the first number of this name in a JSON document.
field() {
    sed -n 's/.*"'"$1"'": \([0-9][0-9.eE+-]*\).*/\1/p' "$2" | head -n 1
}

divide() {
    awk -v a="$1" -v b="$2" 'BEGIN { printf("%.4g", b > 0 ? a / b : 0) }'
}

faster() {
    echo "$(field wall_seconds "$1") $(field wall_seconds "$2")" | awk '{ exit !($1 < $2) }'
}

# As root, what else runs here does not interrupt the replayer.
calmly=""
chrt -f 1 true 2>/dev/null && calmly="chrt -f 1"

# replay OUTPUT TRACE OPTION... - the report goes to OUTPUT. Keeps the fastest of three.
replay() {
    output=$1
    shift
    for round in 1 2 3; do
        $calmly "$objrmap" replay --json --metadata "$@" >"$work/report" 2>"$work/said" || {
            cat "$work/said" >&2
            exit 1
        }
        if [ "$round" = 1 ] || faster "$work/report" "$output"; then
            mv "$work/report" "$output"
        fi
    done
}

# ---- touches that hit: 64 MiB written once, then read over and over

hits() {
    replay "$work/hits.json" --memory 1G --swap 0 "$2"
    seconds=$(field wall_seconds "$work/hits.json")
    pages=$(field pages "$work/hits.json")
    row "$1" anon-vma "$seconds" "$(divide "$(divide "$pages" "$seconds")" 1000000)" \
        "million touches a second" 20
}

head_of_trace='objrmap-trace 1\np 1 hits\nm 1 10000000 4000000 rw-p - 0\nw 1 10000000 16384'
awk -v head="$head_of_trace" 'BEGIN {
    print head
    for (i = 0; i < 600; i++)
        print "r 1 10000000 16384"
}' >"$work/runs.vmt"
awk -v head="$head_of_trace" 'BEGIN {
    print head
    for (i = 0; i < 2000000; i++)
        printf "r 1 %x\n", 268435456 + i * 7919 % 16384 * 4096
}' >"$work/single.vmt"
hits "touches that hit, long runs" "$work/runs.vmt"
hits "touches that hit, a line for each" "$work/single.vmt"

# ---- a build

seconds_of() {
    began=$(date +%s.%N)
    "$@" >"$work/log" 2>&1 || {
        tail -n 20 "$work/log" >&2
        echo "objrmap: '$*' failed" >&2
        exit 1
    }
    echo "$began $(date +%s.%N)" | awk '{ printf("%.3f", $2 - $1) }'
}

seconds_of cmake -S . -B "$work/traced" -G "Unix Makefiles" -DCMAKE_C_COMPILER=gcc \
    -DOBJRMAP_CLI=OFF -DOBJRMAP_TESTS=OFF -DOBJRMAP_BENCH=OFF >/dev/null || exit 1
trace=$work/build.vmt
took=$(seconds_of make -C "$work/traced" -j2 objrmap) || exit 1
make -C "$work/traced" clean >/dev/null
what="make -j2 of this library"
# The mark tells a whole build from one that broke off.
if ! "$objrmap" record -o "$trace" -- \
    sh -c "make -C '$work/traced' -j2 objrmap && : >'$work/whole'" >"$work/log" 2>&1 ||
    [ ! -f "$work/whole" ]; then
    trace=$(find examples/traces -name '*.vmt*' 2>/dev/null | sort | grep -e make -e build -e compile | head -n 1)
    [ -n "$trace" ] || {
        tail -n 5 "$work/log" >&2
        echo "objrmap: the build was not recorded (root may), and examples/traces has none" >&2
        exit 1
    }
    replay "$work/bundled.json" --memory 64G --swap 0 "$trace"
    took=$(field recorded_seconds "$work/bundled.json")
    what="the build recorded in $trace, on the machine where it was recorded"
fi

calmly="" # the build had no priority, either
for design in anon-vma pte-chain; do
    for memory in 64G 50%; do
        replay "$work/build.json" --design "$design" --memory "$memory" "$trace"
        seconds=$(field wall_seconds "$work/build.json")
        goal=""
        [ "$memory$design" = 64Ganon-vma ] && goal=20
        row "build, memory $([ "$memory" = 64G ] && echo in plenty || echo for half its peak)" \
            "$design" "$seconds" "$(divide "$took" "$seconds")" "x faster than the build" "$goal"
    done
done

processes=$(field processes "$work/build.json")
events=$(field events "$work/build.json")
if [ -n "$json" ]; then
    printf '{"benchmark":"replay","build":{"what":"%s","seconds":%s,"processes":%s,"events":%s},"rows":[\n%s]}\n' \
        "$what" "$took" "$processes" "$events" "$rows"
else
    echo "The build: $what, $took s, $processes processes, $events events. Seconds of replay" \
        "include reading the trace; nothing is verified, no contents are kept. The fastest of three" \
        "runs counts." | fold -s -w 100
fi
