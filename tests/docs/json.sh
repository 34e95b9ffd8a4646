#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# json.sh OBJRMAP PROJECT - every name in the JSON document is explained in docs/json.md.
objrmap=$1 project=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0
# One trace that brings about refused calls, and one without.
for trace in refused cow_chain; do
    "$objrmap" replay --json "$project/tests/traces/$trace.vmt" >>"$work/json" || exit 1
done
"$objrmap" replay --watch --json "$project/tests/traces/family.vmt" >>"$work/json" || exit 1
"$objrmap" compare --lockstat --json --rounds 1 "$project/tests/traces/family.vmt" >>"$work/json" || exit 1
sed -n 's/^ *"\([a-z_]*\)":.*/\1/p' "$work/json" | sort -u >"$work/names"
[ "$(wc -l <"$work/names")" -ge 60 ] || { echo "only $(wc -l <"$work/names") names"; failed=1; }
while read -r name; do
    grep -q "\`$name\`" "$project/docs/json.md" || { echo "json.md does not explain \"$name\""; failed=1; }
done <"$work/names"
exit $failed
