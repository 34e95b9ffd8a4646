#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# print.sh RANDOM-OPS OBJRMAP - sequences printed as traces are traces: they replay, verified after
# each event, and they are read back as the sequences they were.
set -u
random_ops=$1
objrmap=$2
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0

# With memory in plenty, so that the replay, which has no reclaim of its own, comes to the same.
for number in 0 1 2 3 4 5 6 7; do
    trace=$dir/$number.vmt
    if ! "$random_ops" --seed=7 --first=$number --sequences=1 --steps=60 --frames=4096 --metadata=0 \
        --fail-nth=0 --print >"$trace" 2>"$dir/messages"; then
        cat "$dir/messages"
        failed=1
    fi
    if ! "$objrmap" replay --verify=1 --memory 64M --swap 64M "$trace" >"$dir/out" 2>&1; then
        echo "sequence $number of seed 7 does not replay:"
        tail -n 3 "$dir/out"
        failed=1
    fi
    if ! "$random_ops" --play="$trace" --print >"$dir/again" 2>"$dir/messages"; then
        cat "$dir/messages"
        failed=1
    fi
    grep '^# op' "$trace" >"$dir/a"
    grep '^# op' "$dir/again" >"$dir/b"
    if ! [ -s "$dir/a" ] || ! cmp -s "$dir/a" "$dir/b"; then
        echo "sequence $number of seed 7 is not read back as it was printed"
        failed=1
    fi
done
exit $failed
