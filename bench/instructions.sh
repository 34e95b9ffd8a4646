#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# instructions.sh [--json] [BUILD] [rmap | designs] - instructions by callgrind: the same on every run
# of the same build, where nanoseconds depend on the machine and its mood.
#
#   rmap     of one reverse-map walk (bench-rmap)
#   designs  of mapping, forking, unmapping and moving pages (bench-designs): measured at two sizes,
#            and split into what one page more costs and what the call costs besides
set -u

json=""
[ "${1:-}" = --json ] && {
    json=yes
    shift
}
what=${2:-rmap}
program=${1:-build/release}/bench/bench-$what

# without REASON - there is nothing to count with, which is no failure.
without() {
    if [ -n "$json" ]; then
        printf '{"benchmark":"instructions of %s","rows":[],\n"notes":["not counted: %s"]}\n' "$what" "$1"
    else
        echo "(instructions are not counted: $1)"
    fi
    exit 0
}

command -v valgrind >/dev/null || without "valgrind is not installed"
[ -x "$program" ] || {
    echo "objrmap: there is no $program: build it first, with \`make bench\`" >&2
    exit 1
}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

valgrind -q --tool=callgrind --instr-atstart=no --callgrind-out-file="$work/profile" "$program" \
    >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    exit 1
}
ls "$work"/profile.* >/dev/null 2>&1 || without "bench-$what was built without valgrind's headers"

# Each profile names what it counted: design/case/size/times.
cd "$work" || exit 1
find . -name "profile.*" | sort -t . -k 3n | xargs cat | awk '
    /^desc: Trigger: Client Request: / {
        sub(/^desc: Trigger: Client Request: /, "")
        split($0, name, "/")
    }
    /^totals: / {
        printf("%s/%s/%s/%.3f\n", name[1], name[2], name[3], $2 / name[4])
    }' >counted

if [ "$what" = designs ]; then
    # At sizes n and 2n: a page costs (b - a) / n, the rest of a call a - n * that.
    awk -F / '
        ($1, $2) in smaller {
            n = size[$1, $2]
            page = ($4 - smaller[$1, $2]) / n
            printf("%s/%s/a page/%.3f\n%s/%s/a call besides/%.3f\n", $1, $2, page, $1, $2,
                   smaller[$1, $2] - n * page)
            next
        }
        { smaller[$1, $2] = $4; size[$1, $2] = $3 }' counted >rows
else
    mv counted rows
fi

if [ -n "$json" ]; then
    awk -F / -v what="$what" '
        BEGIN { printf("{\"benchmark\":\"instructions of %s\",\"rows\":[", what) }
        {
            printf("%s\n{\"design\":\"%s\",\"case\":\"%s\",\"of\":\"%s\",\"instructions\":%.1f}",
                   NR > 1 ? "," : "", $1, $2, $3, $4)
        }
        END { print "],\n\"notes\":[\"counted by callgrind\"]}" }' rows
    exit 0
fi

# table NAME DIGITS <ROWS - a line for each case and size, a column for each design.
table() {
    awk -F / -v name="$1" -v digits="$2" '
        !($1 in seen) { seen[$1] = 1; designs[++design_count] = $1 }
        {
            line = $3 + 0 > 0 ? sprintf("%-16s %13s", $2, $3) : sprintf("%-30s", $2)
            if (!(line in known)) { known[line] = 1; lines[++line_count] = line }
            count[line, $1] = $4
        }
        END {
            printf("%-30s", name)
            for (d = 1; d <= design_count; d++)
                printf(" %16s", designs[d])
            print ""
            for (l = 1; l <= line_count; l++) {
                printf("%s", lines[l])
                for (d = 1; d <= design_count; d++) {
                    figure = sprintf("%.*f", digits, count[lines[l], designs[d]])
                    printf(" %16s", figure == sprintf("-%.*f", digits, 0) ? substr(figure, 2) : figure)
                }
                print ""
            }
        }'
}

if [ "$what" = designs ]; then
    grep '/a page/' rows | table "a page" 1
    echo
    grep '/a page/' rows | awk -F / '
        $1 == "virtual-scan" { base[$2] = $4 }
        { printf("%s/%s/%s/%.3f\n", $1, $2, $3, $4 - base[$2]) }' |
        table "a page, beyond virtual-scan" 1
    echo
    grep '/a call besides/' rows | table "a call besides" 0
    echo
    echo "Instructions, counted by callgrind. virtual-scan is told of no page: what another design has"
    echo "beyond it is what it pays for its reverse map."
else
    table "page                    spaces" 0 <rows
    echo "Instructions of one walk of the reverse map, counted by callgrind."
fi
