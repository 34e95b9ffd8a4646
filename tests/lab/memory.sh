#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# memory.sh OBJRMAP TRACES - too little memory and swap: a clear report; and every record given back.
objrmap=$1 traces=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/designs.sh"
failed=0
trace=$work/big.vmt
printf 'objrmap-trace 1\np 41 small\np 42 a greedy one\nm 42 10000000 1000000 rw-p - 0\nw 42 10000000 4096\ne 42\n' >"$trace"

out_of_memory() { # OPTION...
    timeout 60 "$objrmap" replay "$@" >"$work/out" 2>"$work/err"
    code=$?
    if [ $code -ne 1 ] || ! grep -q "$pattern" "$work/err"; then
        echo "replay $*: exit $code, expected 1 and '$pattern'"
        cat "$work/err"
        failed=1
    fi
}

for design in $(all_designs); do
    pattern='big.vmt:5: out of memory: process 42 (a greedy one)'
    out_of_memory --design "$design" --memory 4M --swap 4M "$trace"
    out_of_memory --design "$design" --memory 4M --swap 0 "$trace"
    out_of_memory --design "$design" --memory 4M --swap 4M --verify=1 "$trace"
    "$objrmap" replay --design "$design" --memory 4M --swap 16M --verify=1 "$trace" >/dev/null ||
        { echo "$design: enough swap is not enough"; failed=1; }
    # Forks without end in the smallest machine: page tables cannot be evicted.
    { printf 'objrmap-trace 1\np 1 bomb\nm 1 10000000 1000 rw-p - 0\nw 1 10000000\n'
      seq 2 500 | sed 's/.*/f 1 &/'; } >"$work/bomb.vmt"
    pattern='bomb.vmt:[0-9]*: out of memory: process 1 (bomb)'
    out_of_memory --design "$design" --memory 256K --swap 1M "$work/bomb.vmt"
    # Locked memory.
    printf 'objrmap-trace 1\np 1 locker\nm 1 10000000 1000000 rw-p - 0\nl 1 10000000 1000000\nw 1 10000000 4096\n' \
        >"$work/lock.vmt"
    pattern='lock.vmt:[45]: out of memory: process 1 (locker)'
    out_of_memory --design "$design" --memory 4M --swap 64M "$work/lock.vmt"

    for name in forks server family cow_chain lock pageout shared_anonymous; do
        [ -e "$traces/$name.vmt" ] || continue
        "$objrmap" replay --design "$design" --memory 25% --json "$traces/$name.vmt" >"$work/out" || failed=1
        awk -v name="$design, $name" '
            /"name":/ { cache = $2 }
            /"live_before":/ { before = $2 + 0 }
            /"live_after":/ {
                caches++
                if ($2 + 0 != before) { print name ": " cache " " $2 + 0 " records left, " before " at the start"; bad = 1 }
            }
            END { exit bad || caches < 5 }' "$work/out" || failed=1
    done
done
exit $failed
