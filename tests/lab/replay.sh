#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# replay.sh OBJRMAP TRACES - every valid trace comes through, verified after each event, with every
# design and in little memory; and programs always see the same.
objrmap=$1 traces=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0
count=0
designs=$("$objrmap" designs | grep -v '^ ') || exit 1

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

for trace in "$traces"/*.vmt "$work"/long/*.vmt; do
    case $trace in
    "$work"*) every=3000 ;;
    *) every=1 ;;
    esac
    first=
    for design in $designs; do
        for options in "" "--memory 50%" "--memory 25%" "--memory 10%" "--fork eager --fault-around 1" \
            "--memory 25% --fault-around 64"; do
            # shellcheck disable=SC2086
            hash=$(replay "$trace" $every --design "$design" $options)
            first=${first:-$hash}
            count=$((count + 1))
            if [ "$hash" = failed ] || [ "$hash" != "$first" ]; then
                echo "$trace, $design $options: state $hash, expected $first"
                failed=1
            fi
        done
    done
    for design in $designs; do
        hash=$(replay "$trace" 0 --design "$design" --metadata --memory 10%)
        count=$((count + 1))
        [ "$hash" = failed ] && failed=1
        [ "$hash" = "$(replay "$trace" 0 --metadata)" ] ||
            { echo "$trace, $design: another state without contents"; failed=1; }
    done
done
[ $count -ge 280 ] || { echo "only $count replays"; failed=1; }
exit $failed
