#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# replay.sh OBJRMAP TRACES - every valid trace comes through, verified after each event, with every
# design, two of them in much and in little memory; and programs always see the same.
objrmap=$1 traces=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0
count=0
. "$(dirname "$0")/designs.sh"

# Traces that are too long to be kept.
mkdir "$work/long"
awk 'BEGIN {                       # thousands of areas, mapped and unmapped in a scattered order
    print "objrmap-trace 1\no 1 file 4000000 /wide\np 1 areas"
    for (i = 0; i < 6000; i++) {
        at = (i * 7919) % 6000
        printf "m 1 %x 1000 %s %s %x\n", 268435456 + at * 8192, at % 3 ? "rw-p" : "r--s", at % 2 ? "-" : "1", at % 2 ? 0 : at
        if (at % 5 == 0) printf "%s 1 %x\n", at % 3 ? "w" : "r", 268435456 + at * 8192
        if (at % 7 == 0) printf "u 1 %x 1000\n", 268435456 + ((i * 13) % 6000) * 8192
    }
    print "f 1 2\na 2 10000000 3000000 dontneed\nu 1 10000000 2000000\nr 2 10000000 12000"
}' >"$work/long/areas.vmt"
awk 'BEGIN {                       # a server and many children, all of which write something
    print "objrmap-trace 1\no 1 shm 100000 buffers\np 1 server\nm 1 10000000 80000 rw-p - 0"
    print "m 1 20000000 100000 rw-s 1 0\nw 1 10000000 128\nw 1 20000000 100"
    for (i = 2; i < 120; i++) {
        printf "f 1 %d\nw %d %x 9\nw %d %x 20\nw 1 %x\n", i, i, 268435456 + (i % 100) * 4096, i, 536870912 + (i * 3 % 200) * 4096, 268435456 + (i * 5 % 128) * 4096
        if (i % 3 == 0) printf "e %d\n", i - 1
    }
    print "r 1 10000000 128\ne 1"
    for (i = 3; i < 119; i += 3) printf "r %d 10000000 128\n", i
}' >"$work/long/server.vmt"

replay() { # TRACE EVERY OPTION... - one replay; its hash, or a complaint
    trace=$1 every=$2
    shift 2
    if timeout 100 "$objrmap" replay "$trace" "$@" --verify="$every" --json >"$work/out" 2>"$work/err"; then
        sed -n 's/.*"state_hash": "\(.*\)".*/\1/p' "$work/out"
    else
        echo "$trace $*: exit $?" >&2
        cat "$work/err" >&2
        echo failed
    fi
}

same_state() { # DESIGN OPTIONS - $trace ends in the state it ended in before, $expected
    # shellcheck disable=SC2086
    hash=$(replay "$trace" "$every_run" --design "$1" $2)
    expected=${expected:-$hash}
    count=$((count + 1))
    if [ "$hash" = failed ] || [ "$hash" != "$expected" ]; then
        echo "$trace, $1 $2: state $hash, expected $expected"
        failed=1
    fi
}

for trace in "$traces"/*.vmt "$work"/long/*.vmt; do
    case $trace in
    "$work"*) every=3000 ;;
    *) every=1 ;;
    esac
    expected= every_run=$every
    for design in pte-chain anon-vma; do
        for options in "" "--memory 50%" "--memory 25%" "--memory 10%" "--fork eager --fault-around 1"; do
            same_state "$design" "$options"
        done
    done
    for design in $(all_designs); do
        same_state "$design" "--memory 20%"
    done
    expected= every_run=0
    for design in anon-vma pte-chain; do
        same_state "$design" "--metadata --memory 10%"
    done
done
[ $count -ge 280 ] || { echo "only $count replays"; failed=1; }
exit $failed
