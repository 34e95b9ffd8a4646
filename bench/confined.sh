#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# confined.sh [--json] [--keep FOLDER] [BUILD] - real programs under the real kernel and here: pages read
# again (refaults) and times that somebody waited for one (majors) in 25, 50 and 75 % of the memory that
# a program's data takes at its peak. PROGRAMS chooses among: gcc perl python sqlite sort xz.
#
# Each program is recorded once for its peak, and then runs in a memory cgroup, recorded too, that has so
# many bytes for data, and what the kernel itself took (page tables, stacks) on top. Replayed is, for all
# three sizes, the recording made in the smallest group that the program survived: there all uses of
# pages that had to be read again are in it. What cannot be done is said in the row; needs root, and
# swap: where there is none, a file in TMPDIR (or /tmp) is swap until the end.
#
# --keep leaves the recordings in FOLDER.
set -u
json="" keep=""
while [ $# -gt 0 ]; do
    case $1 in
    --json) json=--json ;;
    --keep)
        keep=$(cd "${2:?objrmap: --keep needs a folder}" && pwd) || exit 2
        shift
        ;;
    *) break ;;
    esac
    shift
done
build=$(cd "${1:-build/release}" 2>/dev/null && pwd) || {
    echo "objrmap: there is no ${1:-build/release}: build it first, with \`make bench\`" >&2
    exit 1
}
objrmap=$build/objrmap confined=$build/bench/bench-confined
for program in "$objrmap" "$confined"; do
    [ -x "$program" ] || {
        echo "objrmap: there is no $program: build it first, with \`make bench\`" >&2
        exit 1
    }
done
designs="virtual-scan anon-vma pte-chain"
swap_mib=512
seconds=${SECONDS_MOST:-20} # for one run: one that thrashes is ended
work=$(mktemp -d) || exit 1
own_swap=""
status=0

finish() {
    trap '' INT TERM
    [ -z "$own_swap" ] || swapoff "$own_swap"
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ---------------------------------------------------------------- the programs

# Each is prepared, in the current folder, and then run by `sh PROGRAM.sh`.
prepare_gcc() {
    awk 'BEGIN { for (f = 0; f < 250; f++) {
        printf "int f%d(int a, int b, const char *s) {\n int r = a;\n", f
        printf " for (int i = 0; i < b; i++)\n  switch ((a + i) %% 8) {\n"
        for (k = 0; k < 8; k++)
            printf "  case %d: r += s[i %% %d] * %d; break;\n", k, (f * 7 + k * 13) % 50 + 1, f * k % 97
        printf "  }\n return r;\n}\n" } }' >program.c
    echo 'exec gcc -O2 -c program.c -o program.o' >gcc.sh
}
prepare_perl() {
    cat >perl.sh <<'END'
exec perl -e 'srand 7; my (%h, $s); $h{"key $_"} = $_ for 1 .. 120000;
    $s += $h{"key " . int(1 + 120000 * rand() ** 3)} for 1 .. 200000;
    my @sorted = sort { $h{$a} <=> $h{$b} } keys %h; print "$s $#sorted\n"'
END
}
prepare_python() {
    cat >program.py <<'END'
import random
random.seed(5)
table = {"key%d" % i: [i, str(i) * 3] for i in range(60000)}
found = sum(table["key%d" % int(60000 * random.random() ** 3)][0] for _ in range(150000))
print(found, len({k: len(table[k][1]) for k in sorted(table, key=lambda k: table[k][1])}))
END
    echo 'exec python3 -B program.py' >python.sh
}
prepare_sqlite() {
    cat >program.sql <<'END'
pragma mmap_size = 268435456; pragma synchronous = off; pragma journal_mode = off;
create table t (a integer primary key, b integer, c text);
with recursive n (i) as (select 1 union all select i + 1 from n where i < 120000)
    insert into t select i, i * 7919 % 100003, 'row number ' || i || hex(i * 7) from n;
create index tb on t (b);
select count(*), sum(length(c)) from t where b between 100 and 20000;
select sum(length(u.c)) from t join t u on u.a = t.b * 13 % 120000 where t.a % 4 = 0;
END
    echo 'rm -f program.db; exec sqlite3 program.db <program.sql' >sqlite.sh
}
prepare_lines() {
    [ -s lines ] || awk 'BEGIN { srand(3); for (i = 0; i < 250000; i++)
        printf "%08x %d some text %d\n", rand() * 2147483647, rand() * 1000000000, i }' >lines
}
prepare_sort() {
    prepare_lines
    echo 'exec sort --parallel=1 -S 64M -o sorted lines' >sort.sh
}
prepare_xz() {
    prepare_lines
    echo 'exec xz -T1 -2 -k -c lines >lines.xz' >xz.sh
}
command_of() { case $1 in python) echo python3 ;; sqlite) echo sqlite3 ;; *) echo "$1" ;; esac; }

# ---------------------------------------------------------------- running them

# told KEY - that line of the last report of bench-confined.
told() { sed -n "s/^$1 //p" "$work/report"; }

# The files that the program maps leave the page cache, unless somebody else maps them: else its group
# would not be charged for them.
forget_files() {
    [ -f "$work/files" ] && while read -r file; do
        [ -f "$file" ] && dd if="$file" iflag=nocache count=0 status=none
    done <"$work/files"
}

# record PROGRAM TRACE [LIMIT] - runs it in a group, recorded; a report is left in $work/report.
record() {
    forget_files
    rm -f "$work/report"
    "$objrmap" record --inherit -o "$work/$2" -- "$confined" --seconds "$seconds" \
        --report "$work/report" ${3:+--limit "$3"} sh "$1.sh" >"$work/out" 2>&1
    [ -s "$work/report" ] || echo "ended without a report: $(tail -n 1 "$work/out")" >"$work/report"
}

# number KEY - the key's numbers in the JSON report of the last replay, one a design.
number() { tr '{,' '\n\n' <"$work/json" | sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" | head -n "${2:-9}"; }

replay() { # DESIGN MEMORY TRACE
    "$objrmap" replay --json --metadata --design "$1" --memory "$2" "$work/$3" >"$work/json" 2>"$work/out"
}

# pages - all that the last replay read, and how many of these nobody waited for.
pages() {
    echo $(($(number read_in 1) + $(number swapped_in 1))) "$(number read_ahead 1)"
}

# ---------------------------------------------------------------- the table

separator=""
row() { # PROGRAM PERCENT ENDED FILE ANON MAJOR RECORDED, then pages and majors of each design
    if [ -n "$json" ]; then
        printf '%s{"program":"%s","percent":%s,"kernel":%s,"refault_file":%s,"refault_anon":%s,"major":%s,"recorded":"%s"' \
            "$separator" "$1" "$2" "\"$3\"" "${4:-null}" "${5:-null}" "${6:-null}" "$7"
        shift 7
        for design in $designs; do
            printf ',"%s":{"refaults":%s,"majors":%s}' "$design" "${1:-null}" "${2:-null}"
            [ $# -ge 2 ] && shift 2
        done
        echo '}'
        separator=,
        return
    fi
    printf '%-8s %2s %% %8s %8s %8s %9s ' "$1" "$2" "${4:--}" "${5:--}" "${6:--}" "$7"
    ended=$3
    shift 7
    for design in $designs; do
        printf ' %8s (%7s)' "${1:--}" "${2:--}"
        [ $# -ge 2 ] && shift 2
    done
    [ "$ended" = "exited 0" ] && echo || echo "  kernel: $ended"
}

# skip PROGRAM WHY - three rows without a number.
skip() { for percent in 25 50 75; do row "$1" "$percent" "skipped: $2" "" "" "" -; done; }

measure() {
    rm -f "$work/files"
    record "$1" whole.vmt
    [ -z "$(told skipped)" ] || { skip "$1" "$(told skipped)" && return; }
    [ "$(told ended)" = "exited 0" ] && [ -s "$work/whole.vmt" ] || {
        skip "$1" "could not be recorded: $(told ended)" && return
    }
    kernel=$(told kernel)
    replay anon-vma 400% whole.vmt || { skip "$1" "cannot be replayed" && return; }
    data=$(($(number data_peak 1) * 4096))
    sed -n 's/^o [0-9]* file [0-9a-f]* \//\//p' "$work/whole.vmt" | sort -u >"$work/files"

    best=whole.vmt recorded=all
    for percent in 75 50 25; do
        record "$1" "$percent.vmt" $((kernel + data * percent / 100))
        cp "$work/report" "$work/report.$percent"
        [ "$(told ended)" = "exited 0" ] && [ -s "$work/$percent.vmt" ] && best=$percent.vmt recorded="$percent %"
    done
    [ -z "$keep" ] || cp "$work/$best" "$keep/$1.vmt"
    set -- "$1"
    for percent in 25 50 75; do
        cp "$work/report.$percent" "$work/report"
        numbers=""
        for design in $designs; do
            replay "$design" 400% "$best" && first=$(pages) && first=${first% *}
            replay "$design" "$percent%" "$best" || status=1
            all=$(pages)
            numbers="$numbers $((${all% *} - first)) $((${all% *} - ${all#* } - first))"
        done
        # shellcheck disable=SC2086 # one word a number
        row "$1" "$percent" "$(told ended)" "$(told refault_file)" "$(told refault_anon)" "$(told major)" "$recorded" $numbers
    done
}

swap_free() { awk '$1 == "SwapFree:" { print int($2 / 1024) }' /proc/meminfo; }

# Says why there is no swap, if there is none.
make_swap() {
    [ "$(swap_free)" -lt "$swap_mib" ] || return 0
    dd if=/dev/zero of="$work/swap" bs=1M count=$swap_mib status=none && chmod 600 "$work/swap" &&
        mkswap "$work/swap" >"$work/out" 2>&1 && swapon "$work/swap" 2>"$work/out" || return 1
    own_swap=$work/swap
}

[ -n "$json" ] && echo '[' || {
    printf '%-8s %4s %8s %8s %8s %9s ' program of kernel "" "" recorded
    for design in $designs; do printf '  %18s' "$design"; done
    printf '\n%-8s %4s %8s %8s %8s %9s ' "" data file anon majors in
    for design in $designs; do printf '  %18s' "refaults (majors)"; done
    echo
}
why=""
[ "$(id -u)" = 0 ] || why="it takes root to limit and record programs"
[ -n "$why" ] || make_swap || why="no swap: $(tail -n 1 "$work/out")"
cd "$work" || exit 1
for program in ${PROGRAMS:-gcc perl python sqlite sort xz}; do
    if [ -n "$why" ]; then
        skip "$program" "$why"
    elif ! command -v "$(command_of "$program")" >"$work/out"; then
        skip "$program" "not installed"
    else
        "prepare_$program" && measure "$program"
    fi
done
[ -n "$json" ] && echo ']'
exit $status
