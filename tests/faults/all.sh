#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# all.sh FAULT-MATRIX [OPTION...] - the whole matrix: every design on every machine, as many at once as
# there are processors. Each line printed is a whole one; a failure ends in exit 1.
set -eu
matrix=$1
shift
failures=$(mktemp)
export failures
trap 'rm -f "$failures"' EXIT

"$matrix" --list |
    xargs -P "$(nproc)" -I DESIGN sh -c '
        out=$("$0" --machines --design=DESIGN "$@") || echo DESIGN >>"$failures"
        echo "$out"' "$matrix" "$@"
[ ! -s "$failures" ]
