#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# cli.sh OBJRMAP TRACES - arguments, help, exit codes.
objrmap=$1 traces=$2
. "$(dirname "$0")/expect.sh"

expect 2 'usage: objrmap COMMAND'
expect 0 'usage: objrmap COMMAND' --help
expect 0 'usage: objrmap COMMAND' help
expect 0 'objrmap [0-9]*\.[0-9]' --version
expect 0 'usage: objrmap replay' help replay
expect 0 'usage: objrmap replay' replay --help
expect 0 'usage: objrmap compare' help compare
expect 0 'usage: objrmap designs' designs --help
expect 2 "no command 'reply'. Did you mean 'replay'" reply
expect 2 "no command 'frobnicate'; .objrmap --help. lists" frobnicate
expect 2 "no command 'frobnicate'" help frobnicate

for command in record replay compare designs; do
    "$objrmap" --help | grep -q "^  $command " || { echo "--help does not list $command"; failed=1; }
done

expect 0 '^anon-vma' designs
expect 0 '"name": "pte-chain"' designs --json
expect 0 '^list-of-lists' designs
expect 0 '"file_indexes"' designs --json
expect 2 "'--jsn' is nothing that designs takes" designs --jsn

trace=$traces/family.vmt
expect 2 'replay needs a trace' replay
expect 2 'replay takes one trace' replay "$trace" "$trace"
expect 2 'replay has no option --veryfy. Did you mean --verify' replay --veryfy "$trace"
expect 2 'replay has no option --desing=a. Did you mean --design' replay --desing=a "$trace"
expect 2 "no design 'anonvma'. Did you mean 'anon-vma'" replay --design anonvma "$trace"
expect 2 '--design needs a value' replay "$trace" --design
expect 2 '--memory needs a value' replay "$trace" --memory
expect 2 '--memory 5X: expected bytes' replay --memory 5X "$trace"
expect 2 '--memory x%: expected a share' replay --memory x% "$trace"
expect 2 '--memory -5M: expected bytes' replay --memory -5M "$trace"
expect 2 '--swap all: expected bytes' replay --swap all "$trace"
expect 2 '--fork sometimes: expected lazy or eager' replay --fork sometimes "$trace"
expect 2 '--fault-around 3: expected a power of two' replay --fault-around 3 "$trace"
expect 2 '--swap-readahead 3: expected a power of two' replay --swap-readahead 3 "$trace"
expect 2 '--swap-readahead 128: expected a whole number' compare --swap-readahead 128 "$trace"
expect 2 '--fault-around 1024: expected a whole number' replay --fault-around 1024 "$trace"
expect 2 '--verify x: expected a whole number' replay --verify=x "$trace"
expect 2 '--json and --dump -' replay --json --dump - "$trace"
expect 2 'cannot open the trace .*/no-such-file' replay "$work/no-such-file"
expect 2 'cannot be read (Is a directory)' replay "$work"
expect 1 'cannot write the state to' replay --dump "$work/no-such-dir/x" "$trace"
expect 2 'no-such-index: expected one of' replay --file-index no-such-index "$trace"

expect 2 'comes through a pipe cannot be measured first' replay -
"$objrmap" replay --memory 1M - <"$trace" >/dev/null || { echo "replay - fails"; failed=1; }
"$objrmap" replay --memory=1M --swap=0 --contents --fork=eager --fault-around=1 --verify=1 "$trace" \
    >/dev/null || { echo "options with = fail"; failed=1; }

expect 2 'compare needs a trace' compare
expect 2 'compare reads the trace several times' compare -
expect 2 "no design 'nothing'" compare --designs anon-vma,nothing "$trace"
expect 2 "design 'anon-vma' is named twice" compare --designs anon-vma,anon-vma "$trace"
expect 2 'did you mean prio-tree' replay --file-index=prio_tree "$trace"
expect 2 'one of list, sorted, list-of-lists, prio-tree, interval-tree' replay --file-index x "$trace"
expect 2 '--rounds 0: expected a whole number' compare --rounds 0 "$trace"
expect 2 'compare has no option --round. Did you mean --rounds' compare --round 1 "$trace"

# A report that cannot be written is a failure.
if [ -e /dev/full ]; then
    "$objrmap" replay "$trace" >/dev/full 2>"$work/out"
    [ $? -eq 1 ] && grep -q 'cannot write the output' "$work/out" ||
        { echo "a full disk goes unnoticed"; failed=1; }
fi
exit $failed
