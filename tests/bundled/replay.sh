#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# replay.sh OBJRMAP TRACES - every bundled recording replays with half its memory, verified; programs
# see the same with all designs; and the traces are small, complete, and told about. Since this is to
# take seconds, the longer ones try only one design with chains and one without.
objrmap=$1 traces=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0
count=0
all_designs=$("$objrmap" designs --json | sed -n '/"designs"/,/\]/s/.*"name": "\(.*\)".*/\1/p')

wrong() {
    echo "$*"
    failed=1
}

value() { # NAME - from the report
    sed -n "s/^ *\"$1\": \"\\{0,1\\}\\([^\",]*\\).*/\\1/p" "$work/out" | head -n 1
}

for trace in "$traces"/*.vmt.zst; do
    name=$(basename "$trace")
    [ "$(wc -c <"$trace")" -lt 2000000 ] || wrong "$name is not small"
    grep -q "($name)" "$traces/README.md" || wrong "$name is not in README.md"
    first=
    designs=$all_designs
    [ "$(wc -c <"$trace")" -lt 100000 ] || designs="pte-chain anon-vma"
    for design in $designs; do
        "$objrmap" replay --design "$design" --memory 50% --verify=50000 --json "$trace" \
            >"$work/out" 2>"$work/err" || { wrong "$name, $design: exit $?"; cat "$work/err"; continue; }
        [ "$(value verified)" = true ] || wrong "$name, $design: not verified"
        [ "$(value lost)" = 0 ] || wrong "$name: $(value lost) events lost"
        [ "$(value events)" -ge 10000 ] || wrong "$name: only $(value events) events"
        hash=$(value state_hash)
        first=${first:-$hash}
        [ "$hash" = "$first" ] || wrong "$name, $design: state $hash, expected $first"
        count=$((count + 1))
    done
done
[ $count -ge 10 ] || wrong "only $count replays"
exit $failed
