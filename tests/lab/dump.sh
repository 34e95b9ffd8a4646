#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# dump.sh OBJRMAP TRACES - the final state of traces whose state was worked out by hand.
objrmap=$1 traces=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/designs.sh"
failed=0
count=0
# anonmm copies pages that an mremap would leave at two addresses: it may share less than expected.
same_state() { # DESIGN
    if [ "$1" = anonmm ]; then
        sed '/^P/s/ [^ ]*$//' "$expected" >"$work/expected"
        sed '/^P/s/ [^ ]*$//' "$work/state" | diff -u "$work/expected" -
    else
        diff -u "$expected" "$work/state"
    fi
}

for expected in "$traces"/*.state; do
    trace=${expected%.state}.vmt
    for design in $(all_designs); do
        for contents in --contents --metadata; do
            "$objrmap" replay --design "$design" $contents --dump "$work/state" "$trace" >/dev/null ||
                failed=1
            same_state "$design" || { echo "$trace, $design $contents"; failed=1; }
            count=$((count + 1))
        done
    done
done
"$objrmap" replay --dump - "$traces/family.vmt" | diff "$traces/family.state" - || failed=1
[ $count -ge 20 ] || { echo "only $count dumps were compared"; failed=1; }
exit $failed
