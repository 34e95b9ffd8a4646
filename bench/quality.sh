#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# quality.sh [--json] [BUILD] - how well reclaim chooses: bench-quality, which makes the same accesses
# here and in the kernel; confined.sh, which does so with real programs; and the recordings in
# examples/traces (or TRACES), replayed at 25, 50 and 75 % of what they need, by virtual scan and by
# physical scan. BUILD (build/release) is a release build.
#
# A recording holds the first use of each page, and not the hits that follow: so what a replay sees of
# a program is what misses, and its choices are the harder.
set -u
json=""
[ "${1:-}" = --json ] && {
    json=--json
    shift
}
build=${1:-build/release}
here=$(dirname "$0")
traces=${TRACES:-$(ls "$here"/../examples/traces/*.vmt.zst)}
designs="virtual-scan,anon-vma,pte-chain"
status=0

for program in objrmap bench/bench-quality; do
    [ -x "$build/$program" ] || {
        echo "objrmap: there is no $build/$program: build it first, with \`make bench\`" >&2
        exit 1
    }
done
report=$(mktemp) || exit 1
trap 'rm -f "$report"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# majors - of each design in the report, in the order of designs: pages that somebody had to wait for,
# while they were read from a file or from swap. What is read ahead of them nobody waits for.
majors() {
    tr -s '{, ' '\n' <"$report" | awk '$0 == "\"read_in\":" { getline n; sum += n }
        $0 == "\"swapped_in\":" { getline n; sum += n }
        $0 == "\"read_ahead\":" { getline n; printf("%d ", sum - n); sum = 0 }'
}

[ -n "$json" ] && echo '{"programs":'
"$build/bench/bench-quality" $json || status=1
[ -n "$json" ] && echo ',"confined":' || echo
"$here/confined.sh" $json "$build" || status=1
if [ -n "$json" ]; then
    echo ',"recordings":['
else
    printf '\n%-16s %4s  %19s %13s %13s %13s\n' recording of "" virtual-scan anon-vma pte-chain
fi
separator=""
for trace in $traces; do
    name=$(basename "$trace" .vmt.zst)
    for percent in 25 50 75; do
        "$build/objrmap" compare --json --metadata --no-verify --rounds 1 --memory "$percent%" \
            --designs "$designs" "$trace" >"$report" || status=1
        set -- $(majors)
        reached=$([ "$2" -le "$1" ] && [ "$3" -le "$1" ] && echo true || echo false)
        if [ -n "$json" ]; then
            printf '%s{"recording":"%s","percent":%s,"virtual-scan":%s,"anon-vma":%s,"pte-chain":%s,"reached":%s}\n' \
                "$separator" "$name" "$percent" "$1" "$2" "$3" "$reached"
            separator=,
        else
            printf '%-16s %2s %%  %19s %13s %13s %13s  goal (physical <= virtual): %s\n' "$name" \
                "$percent" "" "$1" "$2" "$3" "$([ $reached = true ] && echo reached || echo NOT REACHED)"
        fi
    done
done
[ -n "$json" ] && echo ']}'
exit $status
