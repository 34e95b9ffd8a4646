#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# instructions.sh [BUILD] - instructions of one reverse-map walk, by callgrind: the same on every
# run of the same build, where nanoseconds depend on the machine and its mood.
set -u
program=${1:-build/release}/bench/bench-rmap

command -v valgrind >/dev/null || {
    echo "(without valgrind, which is not installed, instructions are not counted)"
    exit 0
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
ls "$work"/profile.* >/dev/null 2>&1 || {
    echo "(bench-rmap was built without valgrind's headers: instructions are not counted)"
    exit 0
}

# Each profile names what it counted: design/page/spaces/walks.
cd "$work" || exit 1
find . -name "profile.*" | sort -t . -k 3n | xargs cat | awk '
    /^desc: Trigger: Client Request: / {
        sub(/^desc: Trigger: Client Request: /, "")
        split($0, name, "/")
    }
    /^totals: / {
        design = name[1]
        line = sprintf("%-12s %8d", name[2], name[3])
        if (!(design in seen)) {
            seen[design] = 1
            designs[++design_count] = design
        }
        if (!(line in known)) {
            known[line] = 1
            lines[++line_count] = line
        }
        count[line, design] = $2 / name[4]
    }
    END {
        printf("%-12s %8s", "page", "spaces")
        for (d = 1; d <= design_count; d++)
            printf("  %12s", designs[d])
        print ""
        for (l = 1; l <= line_count; l++) {
            printf("%s", lines[l])
            for (d = 1; d <= design_count; d++)
                printf("  %12.0f", count[lines[l], designs[d]])
            print ""
        }
    }'
echo "Instructions of one walk of the reverse map, counted by callgrind."
