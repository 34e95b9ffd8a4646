#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# examples.sh OBJRMAP PROJECT - traces and dumps in the manual pages are what the command reads and
# writes.
objrmap=$1 project=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

# block PAGE FIRST - the literal lines of a page from the one that is FIRST to the display's end.
block() {
    sed -n "/^$2\$/,/^\\.Ed/p" "$project/man/$1" | sed -e '/^\.Ed/d' -e 's/\\e/\\/g'
}

# The trace of objrmap-trace(5).
block objrmap-trace.5 'objrmap-trace 1' >"$work/family.vmt"
[ "$(wc -l <"$work/family.vmt")" -ge 10 ] || { echo "objrmap-trace.5: no trace found"; failed=1; }
"$objrmap" replay --verify=1 --memory 1M "$work/family.vmt" >"$work/out" || { cat "$work/out"; failed=1; }
grep -q '^verified *yes' "$work/out" || { echo "objrmap-trace.5: the trace is not verified"; failed=1; }

# The pipe of objrmap-replay(1), and its dump, which objrmap-state(5) shows, too.
sed -n "/^\\$ printf/,/dump - -/p" "$project/man/objrmap-replay.1" |
    sed -e 's/^\$ //' -e 's/\\e/\\/g' -e "s|objrmap replay|$objrmap replay|" >"$work/pipe.sh"
grep -q 'replay --memory' "$work/pipe.sh" || { echo "objrmap-replay.1: no pipe found"; failed=1; }
sh "$work/pipe.sh" >"$work/dump" || failed=1
for page in objrmap-replay.1 objrmap-state.5; do
    block $page 'objrmap-state 1' | diff -u - "$work/dump" || { echo "$page shows another dump"; failed=1; }
done
exit $failed
