#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# errors.sh OBJRMAP - parameters that are wrong are named, and nothing is written.
objrmap=$1
. "$(dirname "$0")/../lab/expect.sh"

expect 0 'usage: objrmap workload' workload --help
expect 0 '^late-parent  *after it' workload --list
expect 2 'workload needs a name' workload
expect 2 "no workload 'late-parnt'. Did you mean 'late-parent'" workload late-parnt
expect 2 "no workload 'frobnicate'; .objrmap workload --list. lists" workload frobnicate
expect 2 "late-parent has no parameter 'chidren'. Did you mean 'children'" workload late-parent chidren=3
expect 2 "late-parent has no parameter 'colour'; .objrmap workload late-parent --help" workload late-parent colour=3
expect 2 "late-parent: 'children': expected key=value" workload late-parent children
expect 2 'late-parent: children=0: expected a whole number from 1 to 100000' workload late-parent children=0
expect 2 'late-parent: children=-1: expected a whole number' workload late-parent children=-1
expect 2 'late-parent: children=3x: expected a whole number' workload late-parent children=3x
expect 2 'late-parent: children=: expected a whole number' workload late-parent children=
expect 2 'late-parent: children=99999999999999999999: expected' workload late-parent children=99999999999999999999
expect 2 'late-child: which=best: expected first | middle | last' workload late-child which=best
expect 2 'workload has no option --lisst. Did you mean --list' workload --lisst
expect 2 '--output needs a value' workload late-parent --output
expect 1 'cannot write the trace to .*/no-such-dir/x' workload late-parent -o "$work/no-such-dir/x"
[ -e /dev/full ] && expect 1 'cannot write the trace to /dev/full' workload late-parent -o /dev/full

for command in replay compare; do
    expect 2 "no workload 'late-parnt'. Did you mean" $command --workload late-parnt
    expect 2 'late-child: which=best: expected first' $command --workload late-child:which=best
    expect 2 "late-child has no parameter 'x'" $command --workload=late-child:children=3,x=1
    expect 2 "late-child: '': expected key=value" $command --workload late-child:children=3,
    expect 2 '--workload needs a value' $command --workload
    expect 2 'late-child' $command --workload late-child "$work/trace"
    expect 2 'takes the place of a trace' $command "$work/trace" --workload late-child
    expect 2 '--ask 5: expected all, or PID:ADDR:N' $command --ask 5 --workload late-child
    expect 2 '--ask 1:10001:1: expected all' $command --ask 1:10001:1 --workload late-child
done
expect 2 'no process 77 at the trace.s end' replay --ask 77:10000:1 --workload late-child:children=2
expect 0 'pages asked about' replay --ask all --workload late-child:children=2

# A question in a trace is right, or the trace is not.
printf 'objrmap-trace 1\np 1 x\nm 1 10000 2000 rw-p - 0\nw 1 10000 2\n! ask 2 10000 1\n' >"$work/who.vmt"
expect 2 'who.vmt:5: the note asks "2 10000 1", expected "ask PID ADDR N"' replay "$work/who.vmt"
printf 'objrmap-trace 1\np 1 x\n! ask everything\n' >"$work/what.vmt"
expect 2 'what.vmt:3: the note asks "everything"' replay "$work/what.vmt"

expect 2 "papers has no case 'kernbnch'. Did you mean 'kernbench'" papers kernbnch
expect 2 '--scale 0: expected a whole number from 1 to 100' papers --scale 0
expect 0 '^Cases: kernbench, ' papers --help
exit $failed
