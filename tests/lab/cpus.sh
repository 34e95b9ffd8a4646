#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# cpus.sh OBJRMAP TRACES - on several CPUs programs see what they see on one, with every design, in
# half the memory, verified: processes at random, hand-written traces, recordings and workloads. And
# without contents, which lets shared pages be touched at once. Lack of memory ends in a clear word.
objrmap=$1 traces=$2
here=$(dirname "$0")
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0
count=0
. "$here/designs.sh"

wrong() {
    echo "$*"
    failed=1
}

hash() { # CPUS OPTION... - of the state at the end
    cpus=$1
    shift
    timeout 100 "$objrmap" replay --cpus "$cpus" --json "$@" >"$work/out" 2>"$work/err" || {
        echo "replay --cpus $cpus $*: exit $?" >&2
        cat "$work/err" >&2
        echo failed
        return
    }
    sed -n 's/.*"state_hash": "\(.*\)".*/\1/p' "$work/out"
}

same() { # LIST OPTION... - with each number of CPUs in the list as with one
    list=$1
    shift
    expected=$(hash 1 "$@")
    for n in $list; do
        got=$(hash "$n" "$@")
        count=$((count + 1))
        if [ "$got" = failed ] || [ "$got" != "$expected" ]; then
            wrong "$* on $n CPUs: state $got, expected $expected"
        fi
    done
}

for number in 0 65 x; do
    "$objrmap" replay --cpus $number "$traces/family.vmt" >/dev/null 2>"$work/err"
    [ $? -eq 2 ] || wrong "--cpus $number: expected exit 2"
    grep -q "^objrmap: --cpus $number: expected a whole number from 1 to 64$" "$work/err" ||
        wrong "--cpus $number: $(cat "$work/err")"
done

for seed in 1 2; do
    awk -v seed=$seed -v events=5000 -f "$here/mix.awk" >"$work/mix$seed.vmt"
done
for design in $(all_designs); do
    same "2 4" --design "$design" --memory 50% --verify=1000 "$work/mix1.vmt"
    same "4" --design "$design" --memory 30% --metadata --verify=2500 "$work/mix2.vmt"
done
for trace in "$traces"/*.vmt; do
    same "2" --memory 50% --verify=1 "$trace"
done
set -- $(all_designs)
for trace in "$traces"/../../examples/traces/*.vmt.zst; do
    same "2 4" --design "$1" --memory 50% --verify=50000 "$trace"
    shift
done
for workload in sdet:scripts=8,users=4 forking-server:children=12,pages=6 \
    shared-segment:processes=6,size=200K,exits=oldest truncate-under-mappings:processes=5,pages=24,rounds=6; do
    same "3" --workload $workload --memory 50% --verify=100
done
# What may be given away depends on relatives that have ended, or not yet.
awk 'BEGIN {
    print "objrmap-trace 1\no 1 file 200000 /big\np 1 parent\nm 1 20000000 200000 r--p 1 0"
    for (i = 0; i < 40; i++) {
        at = 268435456 + i * 65536
        printf "m 1 %x 8000 rw-p - 0\nw 1 %x 8\nf 1 %d\nr %d 20000000 512\ne %d\na 1 %x 8000 free\n", at, at, i + 2, i + 2, i + 2, at
    }
}' >"$work/relatives.vmt"
same "2 4" --metadata --memory 200% "$work/relatives.vmt"
same "2 4" --metadata --memory 60% "$work/relatives.vmt"
[ $count -ge 65 ] || wrong "only $count replays"

# The report says how many CPUs there were; compare has them, too.
grep -q '"cpus": 4,' "$work/out" || wrong "the report tells other CPUs"
"$objrmap" compare --cpus 2 --designs pte-chain,anon-vma --rounds 1 --memory 50% --verify=1000 --json "$work/mix1.vmt" \
    >"$work/out" || wrong "compare --cpus 2: exit $?"
grep -q '"cpus": 2,' "$work/out" || wrong "compare tells other CPUs"

# Locks are counted when asked for, on one CPU and on several.
for n in 1 2; do
    "$objrmap" replay --cpus $n --lockstat --design pte-chain --json "$work/mix1.vmt" >"$work/out" ||
        wrong "--lockstat: exit $?"
    awk -F'[:,]' '/"name": "page.s chain"/ { chain = 1 } chain && /"acquired":/ { exit $2 + 0 == 0 }
        END { if (!chain) exit 1 }' "$work/out" || wrong "--lockstat on $n CPUs tells of no chains"
done
"$objrmap" replay --lockstat "$work/mix1.vmt" | grep -q '^Locks with anon-vma$' || wrong "no table of locks"
"$objrmap" replay --json "$work/mix1.vmt" | grep -q '"locks": null' || wrong "locks without --lockstat"

# However memory is laid out, and whatever reclaim prefers, programs see the same.
expected=$(hash 1 --memory 50% --verify=1000 "$work/mix1.vmt")
for options in "--nodes 2" "--low-memory 512K --nodes 2" "--swappiness 0" "--swappiness 100"; do
    for n in 1 4; do
        # shellcheck disable=SC2086
        got=$(hash $n --memory 50% --verify=1000 $options "$work/mix1.vmt")
        [ "$got" = "$expected" ] || wrong "$options on $n CPUs: state $got, expected $expected"
    done
done
for option in "--nodes 0" "--nodes 17" "--swappiness 101" "--low-memory 1K"; do
    # shellcheck disable=SC2086
    "$objrmap" replay $option "$traces/family.vmt" >/dev/null 2>"$work/err"
    [ $? -eq 2 ] && grep -q "^objrmap: $option: expected " "$work/err" || wrong "$option: $(cat "$work/err")"
done

# Nodes' reclaim threads are at work, where the machine has CPUs for them, and give way to verifying.
for options in "--cpus 2" "--cpus 3 --nodes 2 --verify=100" "--cpus 62 --nodes 2" "--cpus 1" "--cpus 63 --nodes 2"; do
    # shellcheck disable=SC2086
    "$objrmap" replay $options --memory 30% --json "$traces/../../examples/traces/shared.vmt.zst" >"$work/out" ||
        wrong "$options: exit $?"
    node=$(sed -n 's/.*"node": \([0-9]*\).*/\1/p' "$work/out")
    case $options in
    *' 1' | *63*) [ "$node" -eq 0 ] || wrong "$options: $node runs of reclaim threads" ;;
    *) [ "$node" -gt 0 ] || wrong "$options: reclaim threads never ran" ;;
    esac
done

# Two processes that together need more than there is.
printf 'objrmap-trace 1\np 41 small\np 42 greedy\nm 41 10000000 8000 rw-p - 0\nm 42 10000000 1000000 rw-p - 0\nw 42 10000000 4096\nw 41 10000000 8\n' \
    >"$work/big.vmt"
for verify in --metadata --verify=1; do
    timeout 60 "$objrmap" replay --cpus 2 --memory 4M --swap 0 $verify "$work/big.vmt" >/dev/null 2>"$work/err"
    [ $? -eq 1 ] || wrong "too little memory: expected exit 1"
    grep -q 'big.vmt:[2-7]: out of memory: process 4[12] (' "$work/err" || wrong "too little memory: $(cat "$work/err")"
done
exit $failed
