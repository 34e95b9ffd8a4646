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

# Slots are read ahead as many at a time as was asked for; programs see the same.
printf '%s\n' 'objrmap-trace 1' 'p 42 reader' 'm 42 10000000 300000 rw-p - 0' 'w 42 10000000 768' \
    'm 42 20000000 380000 rw-p - 0' 'w 42 20000000 896' 'u 42 20000000 380000' 'r 42 10000000 700' \
    'e 42' >"$work/twice.vmt"
reads() { # JSON-NAME OPTION...
    name=$1
    shift
    "$objrmap" replay --json --memory 4M --swap 32M --verify "$@" "$work/twice.vmt" |
        sed -n "s/^.*\"$name\": *\([0-9]*\).*/\1/p"
}
[ "$(reads read_ahead --swap-readahead 1)" = 0 ] || { echo "--swap-readahead 1 reads ahead"; failed=1; }
few=$(reads read_ahead --swap-readahead 2) many=$(reads read_ahead --swap-readahead=32)
[ "$few" -gt 0 ] && [ "$many" -gt "$few" ] ||
    { echo "--swap-readahead: $few slots read ahead by 2, $many by 32"; failed=1; }
[ "$(reads swap_readahead --swap-readahead 32) $(reads swap_readahead)" = "32 8" ] ||
    { echo "--swap-readahead is not told"; failed=1; }

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
