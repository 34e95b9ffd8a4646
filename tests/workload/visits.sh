#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# visits.sh OBJRMAP - who looks at how many places: what is known of each design, asserted.
objrmap=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

# visits SPEC LEAST MOST DESIGN[+FILE-INDEX]... - a page, on average.
visits() {
    spec=$1 least=$2 most=$3
    shift 3
    for design in "$@"; do
        index=
        case $design in *+*) index="--file-index ${design#*+}" ;; esac
        # shellcheck disable=SC2086
        "$objrmap" replay --json --design "${design%+*}" $index --workload "$spec" >"$work/out" ||
            { failed=1; continue; }
        awk -v what="$spec, $design" -v least="$least" -v most="$most" '
            /"visits_per_page":/ { got = $2 + 0; seen = 1 }
            /"absent":/ { absent = $2 + 0 }
            END {
                if (seen && !absent && got >= least && got <= most) exit 0
                print what ": " got " places (" absent + 0 " pages away), expected " least " to " most
                exit 1
            }' "$work/out" || failed=1
    done
}

lists='pte-chain-list pte-chain-direct shadow'
chains="$lists pte-chain"

# The children hang at the head of anon-vma's list, so the parent comes last; the tree has it first.
visits late-parent:children=50,pages=8 51 51 anon-vma
visits late-parent:children=50,pages=8 1 1 $chains anonmm anon-vma-direct anon-vma-chain objrmap-partial

# One child kept the page: the list begins with the youngest, tree and ring with the parent.
for which in first middle last; do
    visits late-child:children=50,pages=4,which=$which 1 1 $chains objrmap-partial
done
visits late-child:children=50,pages=4,which=first 50 50 anon-vma
visits late-child:children=50,pages=4,which=last 1 1 anon-vma
visits late-child:children=50,pages=4,which=first 2 2 anonmm anon-vma-chain
visits late-child:children=50,pages=4,which=last 51 51 anonmm anon-vma-chain

# A page of one's own: half of all relatives in anon-vma, nobody else in what came later.
visits forking-server:children=50,pages=4 25.5 25.5 anon-vma
visits forking-server:children=50,pages=4 1 1 $chains anonmm anon-vma-chain

# Nobody finds 41 entries in fewer than 41 places, unless a place is a node of seven.
visits early-parent:children=40,pages=4 41 41 $lists anonmm anon-vma anon-vma-chain
visits early-parent:children=40,pages=4 6 6 pte-chain

# Generations that are gone are not looked at, however many there were.
for depth in 10 300; do
    visits deep-fork:depth=$depth,pages=2 1 2 anonmm anon-vma anon-vma-chain $chains
done

# 100 processes x 100 areas: all of them, or about those that map the page.
visits hundred-by-hundred 9000 10000 anon-vma+list
visits hundred-by-hundred 4000 6000 anon-vma+sorted
visits hundred-by-hundred 100 200 anon-vma+list-of-lists
visits hundred-by-hundred 100 120 anon-vma+prio-tree anon-vma+interval-tree
visits hundred-by-hundred 100 100 $lists
visits hundred-by-hundred 15 15 pte-chain
# Ranges that differ make lists of them long again.
visits hundred-by-hundred:windows=distinct,pages=100 4000 6000 anon-vma+list-of-lists
visits hundred-by-hundred:windows=distinct,pages=100 100 140 anon-vma+prio-tree anon-vma+interval-tree

visits mmap3:areas=600,forks=3 4000 4800 anon-vma+list
visits mmap3:areas=600,forks=3 8 30 anon-vma+prio-tree anon-vma+interval-tree
visits many-areas:areas=1000 450 550 anon-vma+list anon-vma+sorted anon-vma+list-of-lists
visits many-areas:areas=1000 1 30 anon-vma+prio-tree anon-vma+interval-tree

# Areas without entries, and file pages under private copies: objects look there in vain.
visits sparse-fork:children=40,size=200K 41 41 anon-vma+interval-tree
visits sparse-fork:children=40,size=200K 1 1 $chains
visits private-file-cow:processes=40,pages=8 41 41 anon-vma+interval-tree objrmap-partial+interval-tree
visits private-file-cow:processes=40,pages=8 1 1 $chains

# One area cut into 200, in eleven processes: anon-vma meets nearly all 2200.
visits mprotect-checkerboard:children=10,pages=200 1900 2200 anon-vma
visits mprotect-checkerboard:children=10,pages=200 11 30 anon-vma-chain anonmm $lists
visits mprotect-checkerboard:children=10,pages=200 2 2 pte-chain

# rmap SPEC DESIGN - peak bytes of the design's own records.
rmap() {
    "$objrmap" replay --json --design "$2" --workload "$1" |
        awk '/"rmap_peak":/ { print $2 + 0; exit }'
}

# The reuse rule: anon-vma-chain does not grow with generations, unless each has a living side line.
[ "$(rmap deep-fork:depth=20 anon-vma-chain)" -eq "$(rmap deep-fork:depth=1000 anon-vma-chain)" ] ||
    { echo "anon-vma-chain grows with the depth of deep-fork"; failed=1; }
[ "$(rmap deep-fork-siblings:depth=80 anon-vma-chain)" -gt \
    $((3 * $(rmap deep-fork-siblings:depth=40 anon-vma-chain))) ] ||
    { echo "anon-vma-chain should grow with the square of the depth of deep-fork-siblings"; failed=1; }
exit $failed
