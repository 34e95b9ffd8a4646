#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# nonlinear.sh OBJRMAP TRACES - whatever becomes of mappings that remap_file_pages rearranges, programs
# see the same: every answer with every design that has it, in plenty of memory and in little.
objrmap=$1 traces=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0
count=0

for trace in "$traces"/nonlinear*.vmt; do
    first=
    for design in anon-vma anonmm objrmap-partial pte-chain shadow virtual-scan; do
        for answer in emulate draconian cluster chain; do
            case $design-$answer in
            pte-chain-chain | shadow-chain | objrmap-partial-chain) ;;
            *-chain)
                if "$objrmap" replay "$trace" --design $design --nonlinear chain 2>"$work/err" ||
                    ! grep -q "$design does not list" "$work/err"; then
                    echo "$design: chain is not refused" >&2
                    failed=1
                fi
                continue
                ;;
            esac
            for memory in 100% 15%; do
                timeout 100 "$objrmap" replay "$trace" --design $design --nonlinear $answer \
                    --memory $memory --verify=1 --json >"$work/out" 2>"$work/err" || {
                    cat "$work/err" >&2
                    failed=1
                }
                hash=$(sed -n 's/.*"state_hash": "\(.*\)".*/\1/p' "$work/out")
                first=${first:-$hash}
                count=$((count + 1))
                if [ -z "$hash" ] || [ "$hash" != "$first" ]; then
                    echo "$trace $design $answer $memory: state $hash, others $first" >&2
                    failed=1
                fi
            done
        done
    done
done
[ $count -ge 100 ] || failed=1
"$objrmap" replay "$traces/nonlinear.vmt" --nonlinear clusters 2>"$work/err" && failed=1
grep -q 'expected emulate, draconian, cluster or chain' "$work/err" || failed=1
exit $failed
