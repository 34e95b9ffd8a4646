#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# invalid.sh OBJRMAP TRACES - invalid traces end in exit code 2 and file:line, from files, pipes and zstd.
# (What each message says is the reader's test.)
objrmap=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0
trace=$work/t.vmt

# expect WHAT - the file $trace; the message begins with file:WHAT. Also when it is half played.
expect() {
    for memory in 100% 1M; do
        timeout 20 "$objrmap" replay --memory $memory "$trace" >"$work/out" 2>"$work/err" </dev/null
        code=$?
        if [ $code -ne 2 ] || ! grep -q "^$trace:$1" "$work/err"; then
            echo "exit $code, expected 2 and $trace:$1"
            cat "$work/err"
            failed=1
        fi
        [ -s "$work/out" ] && { echo "a report of an invalid trace:"; cat "$work/out"; failed=1; }
    done
}

: >"$trace"; expect "1: the file is empty"
echo hello >"$trace"; expect "1: this is not a trace"
printf 'objrmap-trace 1\np 1 a\nw 1 5000\nm 1 5000 1000 rw-p 3 0\n' >"$trace"
expect "4: object 3 is not declared"
printf 'objrmap-trace 1\np 1 a\nw 1 5000\nw 1' >"$trace"; expect "4: ADDR is missing"
head -c 300000 /dev/urandom >"$trace"; expect 1
{ echo 'objrmap-trace 1'; head -c 300000 /dev/zero; } >"$trace"; expect "2:"
{ echo 'objrmap-trace 1'; yes '# comment' | head -n 100000; echo 'q'; } >"$trace"
expect '100002: "q" is no event'

if command -v zstd >/dev/null; then
    { echo 'objrmap-trace 1'; echo 'p 1 a'; seq 1 99999 | sed 's/.*/w 1 &000/'; } >"$work/long"
    zstd -q -c "$work/long" >"$work/long.zst"
    head -c 20000 "$work/long.zst" >"$trace"
    expect "[0-9]*: the zstd stream is damaged (it ends early)"
    { head -c 20000 "$work/long.zst"; echo garbage; tail -c 20000 "$work/long.zst"; } >"$trace"
    expect "[0-9]*: the zstd stream is damaged"
    "$objrmap" replay "$work/long.zst" >/dev/null || { echo "zstd fails"; failed=1; }
fi

printf 'objrmap-trace 1\nbad\n' | "$objrmap" replay --memory 1M - >/dev/null 2>"$work/err"
[ $? -eq 2 ] && grep -q '^<stdin>:2: "bad" is no event' "$work/err" || { cat "$work/err"; failed=1; }
exit $failed
