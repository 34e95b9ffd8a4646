#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# papers.sh OBJRMAP - two cases whose figures are counts, not times: what they say does not depend on
# the computer.
objrmap=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

# value WHAT LEAST MOST - of the figure called so.
value() {
    got=$(awk -v what="$1" '/"value":/ { value = $2 + 0 } /"what":/ { this = index($0, "\"" what "\"") }
                            /}/ { if (this) { print value; exit } }' "$work/out")
    awk -v got="$got" -v least="$2" -v most="$3" 'BEGIN { exit got == "" || got < least || got > most }' ||
        { echo "$1 is '$got', expected $2 to $3"; failed=1; }
}

"$objrmap" papers --json hundred-by-hundred five-thousand >"$work/out" || exit 1
value 'places looked at, pte-chain' 14 16
value 'places looked at, objects, list' 9000 10000
value 'places looked at, objects, list-of-lists' 101 200
value 'places looked at, objects, prio-tree' 100 120
value 'places looked at, objects, interval-tree' 100 120
value 'page tables, last level, for 5000 x 2 GiB' 19 20
value 'reverse map, pte-chain-list, for 5000 x 2 GiB' 38 40
value 'reverse map, pte-chain, for 5000 x 2 GiB' 21 23.5
value 'reverse map, shadow, for 5000 x 2 GiB' 38 40
value 'reverse map, anon-vma, for 5000 x 2 GiB' 0 0.01
exit $failed
