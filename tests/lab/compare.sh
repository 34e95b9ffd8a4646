#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# compare.sh OBJRMAP TRACES - the table, and the names of the JSON document, which are an interface.
objrmap=$1 traces=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

has() { # NAME... - the document in $work/out has them all
    for name in "$@"; do
        grep -q "\"$name\":" "$work/out" || { echo "there is no \"$name\""; failed=1; }
    done
}

names() {
    has trace file events processes peak_pages lost machine memory_bytes swap_bytes cpus contents
    has designs name file_index verified state_hash seconds ops count ns
    has mmap munmap mprotect mremap fork exec exit fault reclaim
    has faults zero first_write 'file' cow reuse swap_in segv bus
    has bytes rmap_peak page_tables_peak areas_peak descriptors
    has rmap walks hits empty_walks range_rejects object_visits
    has reclaim scanned unmapped swapped_out written swapped_in
}

"$objrmap" compare --memory 50% --rounds 2 --json "$traces/cow_chain.vmt" >"$work/out" || failed=1
names
[ "$(grep -c '"verified": true' "$work/out")" -eq "$("$objrmap" designs --json | grep -c '"mapping_cost"')" ] ||
    { echo "not all are verified"; failed=1; }
[ "$(grep '"state_hash"' "$work/out" | sort -u | wc -l)" -eq 1 ] || { echo "states differ"; failed=1; }

"$objrmap" replay --json "$traces/cow_chain.vmt" >"$work/out" || failed=1
names
grep -q '"verified": false' "$work/out" || { echo "verified without --verify"; failed=1; }

"$objrmap" compare --designs anon-vma,pte-chain --rounds 1 "$traces/cow_chain.vmt" >"$work/out" || failed=1
grep -q 'anon-vma *pte-chain' "$work/out" || { echo "the columns are not in the order asked for"; failed=1; }
grep -q '^verified *yes *yes' "$work/out" || { cat "$work/out"; failed=1; }

"$objrmap" compare --no-verify --rounds 1 --json "$traces/cow_chain.vmt" >"$work/out" || failed=1
grep -q '"verified": false' "$work/out" || failed=1

# Too little memory is found out, and so is an invalid trace.
"$objrmap" compare --memory 256K --swap 0 "$traces/cow_chain.vmt" >"$work/out" 2>"$work/err"
[ $? -eq 1 ] && grep -q 'out of memory' "$work/err" || { cat "$work/err"; failed=1; }
printf 'objrmap-trace 1\nx\n' >"$work/bad.vmt"
"$objrmap" compare --memory 1M "$work/bad.vmt" >"$work/out" 2>"$work/err"
[ $? -eq 2 ] && grep -q 'bad.vmt:2: PID is missing' "$work/err" || { cat "$work/err"; failed=1; }
exit $failed
