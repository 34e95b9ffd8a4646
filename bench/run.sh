#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# run.sh [--json] [--large] [BUILD] - runs every benchmark of a release build, one after the other
# (three minutes; more with --large), and sums up which goals were reached. A goal that is
# missed is no failure: machines differ. --json prints an array of the benchmarks' documents.
set -u
json=""
large=""
while :; do
    case ${1:-} in
    --json) json=--json ;;
    --large) large=--large ;;
    *) break ;;
    esac
    shift
done
build=${1:-build/release}
here=$(dirname "$0")
status=0
separator='['

results=$(mktemp) || exit 1
trap 'rm -f "$results"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# section TITLE COMMAND...
section() {
    title=$1
    shift
    if [ -n "$json" ]; then
        echo "$separator"
        separator=,
        "$@" || status=1
        return
    fi
    printf '\n== %s\n\n' "$title"
    "$@" >"$results.part" || status=1
    cat "$results.part"
    sed "s/^/$title: /" "$results.part" >>"$results"
    rm -f "$results.part"
}

for name in fork touch map reclaim quality scale lines rmap designs records; do
    [ -x "$build/bench/bench-$name" ] || {
        echo "objrmap: there is no $build/bench/bench-$name: build it first, with \`make bench\`" >&2
        exit 1
    }
done

section "fork, exit, munmap: ns per page" "$build/bench/bench-fork" $json $large
section "touches and faults: ns per page" "$build/bench/bench-touch" $json $large
section "mapping calls: ns" "$build/bench/bench-map" $json
section "reclaim from many processes: ns" "$build/bench/bench-reclaim" $json $large
section "threads: operations a second" "$build/bench/bench-scale" $json
section "many CPUs: lines that move" "$build/bench/bench-lines" $json
section "who maps this page?" "$build/bench/bench-rmap" $json
section "who maps this page? in instructions" "$here/instructions.sh" $json "$build"
section "what designs pay for" "$build/bench/bench-designs" $json
section "what designs pay for, in instructions" "$here/instructions.sh" $json "$build" designs
section "what designs keep" "$build/bench/bench-records" $json
if [ -x "$build/objrmap" ]; then
    section "what reclaim chooses: major faults" "$here/quality.sh" $json "$build"
    section "replaying traces" "$here/replay.sh" $json "$build"
fi

if [ -n "$json" ]; then
    echo ']'
    exit $status
fi
reached=$(grep -c 'goal .*: reached$' "$results")
missed=$(grep -c -e 'goal .*NOT REACHED$' -e 'goal .*reached by [0-9]' "$results")
printf '\n== Goals: %d of %d lines reached' "$reached" $((reached + missed))
if [ "$missed" -gt 0 ]; then
    printf '; not, or not by every machine:\n'
    grep -e 'goal .*NOT REACHED$' -e 'goal .*reached by [0-9]' "$results"
else
    printf '.\n'
fi
echo "How this is measured, and how to read it: bench/README.md"
exit $status
