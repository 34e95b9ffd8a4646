#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# visits.sh OBJRMAP [WORKLOAD...] - how many places each design looks at to find out who maps a page,
# for each workload (all, at their defaults, unless some are named): the table of docs/workloads.md.
# Counts, not times: they are the same on every computer.
objrmap=$1
shift
[ -x "$objrmap" ] || {
    echo "usage: bench/visits.sh OBJRMAP [WORKLOAD[:KEY=VALUE,...]...]" >&2
    exit 2
}
work=$(mktemp) || exit 1
trap 'rm -f "$work"' EXIT
designs=$("$objrmap" designs | sed '/^$/,$d' | grep -v '^ ')

list() {
    for name in $("$objrmap" workload --list | awk '{ print $1 }'); do
        case $name in
        late-child) echo "$name:which=first" "$name:which=middle" "$name:which=last" ;;
        *) echo "$name" ;;
        esac
    done
}

# The document on standard input, as one line of the table.
line() {
    awk -v what="$1" '
        /"name":/ { gsub(/[",]/, "", $2); name = $2 }
        /"hits_per_page":/ { hits = $2 + 0 }
        /"visits_per_page":/ { text = text sprintf(" %.4g |", $2) }
        END { printf "| %s | %.4g |%s\n", what, hits, text }'
}

printf '| workload | mapped by |'
for design in $designs; do printf ' %s |' "$design"; done
printf '\n|---|---|'
for design in $designs; do printf -- '---|'; done
echo
[ $# -gt 0 ] || set -- $(list)
for spec in "$@"; do
    "$objrmap" compare --no-verify --rounds 1 --json --workload "$spec" >"$work" || exit 1
    line "$spec" <"$work"
done
