#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# generate.sh OBJRMAP - every workload is a valid trace, the same each time and however it is read;
# every design comes through it, verified, in much memory and in little, and programs see the same.
objrmap=$1
. "$(dirname "$0")/small.sh"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0
designs=$("$objrmap" designs | sed '/^$/,$d' | grep -v '^ ') || exit 1

fail() {
    echo "$*"
    failed=1
}

# hash SPEC OPTION... - of the state at the end, verified every 100 events.
hash() {
    spec=$1
    shift
    timeout 200 "$objrmap" replay --json --verify=100 "$@" >"$work/out" 2>"$work/err" || {
        echo "$spec $*: exit $?" >&2
        cat "$work/err" >&2
        echo failed
        return
    }
    sed -n 's/.*"state_hash": "\(.*\)".*/\1/p' "$work/out"
}

for name in $("$objrmap" workload --list | awk '{ print $1 }'); do
    small_workloads | grep -q -e "^$name:" || fail "small.sh knows no $name"
    "$objrmap" workload "$name" --help | grep -q "^$name: " || fail "$name --help tells nothing"
done

count=0
for spec in $(small_workloads); do
    # shellcheck disable=SC2046
    set -- $(echo "$spec" | tr ':,' '  ')
    "$objrmap" workload "$@" >"$work/one.vmt" || fail "$spec cannot be written"
    "$objrmap" workload "$@" -o "$work/two.vmt" || fail "$spec cannot be written to a file"
    "$objrmap" workload "$@" -o "$work/packed.vmt.zst" || fail "$spec cannot be packed"
    cmp -s "$work/one.vmt" "$work/two.vmt" || fail "$spec is not the same twice"
    [ "$(od -An -tx1 -N4 "$work/packed.vmt.zst" | tr -d ' ')" = 28b52ffd ] || fail "$spec is not packed"
    grep -q '^! ask ' "$work/one.vmt" || fail "$spec asks nothing"
    first=$(hash "$spec" "$work/one.vmt" --memory 200%)
    for trace in "$work/packed.vmt.zst" "--workload=$spec"; do
        [ "$(hash "$spec" "$trace" --memory 200%)" = "$first" ] || fail "$spec: $trace ends otherwise"
    done
    for design in $designs; do
        for memory in 200% 30%; do
            got=$(hash "$spec" "--workload=$spec" --design "$design" --memory $memory)
            count=$((count + 1))
            if [ "$got" = failed ] || [ "$got" != "$first" ]; then
                fail "$spec, $design, memory $memory: state $got, expected $first"
            fi
        done
    done
done
[ $count -ge 300 ] || fail "only $count replays"
exit $failed
