#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# cost-matrix.sh [BUILD] [TABLE...] - the tables of docs/costs.md, as Markdown: what each design pays
# for each event, keeps for each record, and looks at to find a page. BUILD (build/release) is a
# release build. All figures but the times are the same on every run. Tables:
#
#   instructions calls times     of mapping, forking, unmapping and moving (bench-designs)
#   bytes                        of a mapping, an area, a space, a page table (bench-records)
#   visits removals peak copies  under adversarial workloads (objrmap compare --workload)
set -u

build=${1:-build/release}
[ $# -gt 0 ] && shift
here=$(dirname "$0")
for program in objrmap bench/bench-designs bench/bench-records; do
    if [ ! -x "$build/$program" ]; then
        echo "objrmap: there is no $build/$program: build it first, with \`make bench\`" >&2
        exit 1
    fi
done
failed=$(mktemp) || exit 1
trap 'rm -f "$failed"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# markdown HEAD - the table that begins with this head, of those that come in, as Markdown.
markdown() {
    awk -v head="$1" '
        substr($0, 1, length(head)) == head { inside = 1 }
        !inside { next }
        NF == 0 { exit }
        {
            name = substr($0, 1, 30)
            figures = substr($0, 31)
            if (figures !~ /^ +[-a-z0-9.]/) exit
            sub(/ +$/, "", name)
            count = split(figures, figure, " ")
            if (inside == 1 && lines++ && figures ~ /[a-z]/) exit
            printf("| %s |", name)
            for (i = 1; i <= count; i++)
                printf(" %s |", figure[i])
            print ""
            if (lines == 1) {
                printf("|---|")
                for (i = 1; i <= count; i++)
                    printf("--:|")
                print ""
            }
        }'
}

# head NAME - a Markdown table's first lines, with a column for each design, and "found" before them.
head() {
    "$build/objrmap" designs --json | awk -v name="$1" -v more="${2:-}" '
        /"name"/ {
            split($0, part, "\"")
            if (part[4] == "list") exit
            names = names " " part[4] " |"
            rules = rules "--:|"
        }
        END { printf("| %s |%s%s\n|---|%s%s\n", name, more, names, more == "" ? "" : "--:|", rules) }'
}

# row FIELD WORKLOAD [OPTION...] - what each design shows in this field of the report; the label is
# the workload, after $said.
said=""
row() {
    field=$1 workload=$2
    shift 2
    "$build/objrmap" compare --workload "$workload" --memory 4G --no-verify --rounds 1 --json "$@" |
        awk -v field="\"$field\":" -v said="$said" -v label="$workload${*:+ $*}" '
            /"hits_per_page":/ && !found { found = sprintf("%.4g", $2 + 0) }
            function show() {
                if (known)
                    figures = figures sprintf(value == int(value) ? " %d |" : " %.1f |", value)
                known = 0
            }
            $1 == "\"name\":" { show() }
            $1 == field { value = $2 + 0; known = 1 }
            END {
                show()
                if (figures == "") exit 1
                if (field == "\"visits_per_page\":") figures = " " found " |" figures
                print "| " said "`" label "` |" figures
            }' || {
        echo "objrmap: no $field of workload $workload" >&2
        echo "$workload" >>"$failed"
    }
}

table_instructions() {
    "$here/instructions.sh" "$build" designs | markdown "a page, beyond"
}

table_calls() {
    "$build/bench/bench-designs" | markdown "calls, for"
}

table_times() {
    "$build/bench/bench-designs" --rounds 51 | markdown "ns per page"
}

table_bytes() {
    "$build/bench/bench-records" | markdown "bytes for each"
}

table_visits() {
    head workload " found |"
    row visits_per_page forking-server:children=1000,pages=16
    row visits_per_page late-parent:children=1000,pages=16
    row visits_per_page late-child:children=1000,which=first
    row visits_per_page late-child:children=1000,which=middle
    row visits_per_page late-child:children=1000,which=last
    row visits_per_page early-parent:children=200
    row visits_per_page orphan:children=200
    row visits_per_page deep-fork:depth=1000
    row visits_per_page deep-fork-siblings:depth=200
    row visits_per_page cow-everything
    row visits_per_page hundred-by-hundred --file-index list
    row visits_per_page hundred-by-hundred --file-index list-of-lists
    row visits_per_page hundred-by-hundred --file-index prio-tree
    row visits_per_page hundred-by-hundred --file-index interval-tree
    row visits_per_page hundred-by-hundred:windows=distinct --file-index list
    row visits_per_page hundred-by-hundred:windows=distinct --file-index list-of-lists
    row visits_per_page hundred-by-hundred:windows=distinct --file-index interval-tree
    row visits_per_page mmap3:areas=1800 --file-index list
    row visits_per_page mmap3:areas=1800 --file-index interval-tree
    row visits_per_page many-areas --file-index list
    row visits_per_page many-areas --file-index prio-tree
    row visits_per_page many-areas --file-index interval-tree
    row visits_per_page mremap-after-fork
    row visits_per_page mprotect-checkerboard
    row visits_per_page private-file-cow
    row visits_per_page sparse-fork
    row visits_per_page shared-segment:processes=100
    row visits_per_page daemonize
}

table_removals() {
    head workload
    row removal_visits early-parent:children=200,exits=newest
    row removal_visits early-parent:children=200,exits=oldest
    row removal_visits shared-segment:processes=200,size=1048576,exits=newest
    row removal_visits shared-segment:processes=200,size=1048576,exits=oldest
}

table_peak() {
    head workload
    row rmap_peak late-parent:children=1000,pages=16
    row rmap_peak forking-server:children=1000,pages=16
    row rmap_peak deep-fork:depth=10
    row rmap_peak deep-fork:depth=100
    row rmap_peak deep-fork:depth=1000
    row rmap_peak deep-fork-siblings:depth=100
    row rmap_peak deep-fork-siblings:depth=200
    row rmap_peak daemonize
    row rmap_peak shared-segment:processes=100
    row rmap_peak mprotect-checkerboard
}

table_copies() {
    head workload
    said="pages copied: "
    row forced_copies mremap-pingpong:moves=1000
    row forced_copies mremap-after-fork
    said="pages told of another area: "
    row repointed mremap-pingpong:moves=1000
    row repointed mremap-after-fork
    said="areas: "
    row areas_peak merge-hostile
    said=""
}

[ $# -gt 0 ] || set -- instructions calls times bytes visits removals peak copies
for table in "$@"; do
    case $table in
    instructions | calls | times | bytes | visits | removals | peak | copies) ;;
    *)
        echo "objrmap: cost-matrix.sh has no table $table; its first lines list them" >&2
        exit 2
        ;;
    esac
    printf '\n## %s\n\n' "$table"
    "table_$table"
done
[ ! -s "$failed" ]
