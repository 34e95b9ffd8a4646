#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# run.sh MODEL.pml [DEFINE...] - has spin look at every state of a model: as it is, and with each of the
# DEFINEs. One that begins with BROKEN takes a rule away, and spin must find what goes wrong then; the
# others are variants, which must be well, too. A BROKEN rule of a variant is VARIANT+BROKEN_RULE.
set -u

model=$1
shift
command -v spin >/dev/null || {
    echo "$(basename "$model"): skipped, for there is no spin"
    exit 77
}
here=$(cd "$(dirname "$model")" && pwd)
name=$(basename "$model" .pml)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here"/*.pml "$work" && cd "$work" || exit 2
failed=0

# look DEFINE...: sets states, errors.
look() {
    spin -a "$@" "$name.pml" >spin.out 2>&1 &&
        ${CC:-cc} -O0 -w -DSAFETY -DVECTORSZ=2048 -o pan pan.c 2>>spin.out || {
        cat spin.out
        exit 2
    }
    ./pan -m1000000 -w22 >pan.out 2>&1
    errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.out)
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.out)
    what=$(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' pan.out)
    if [ -z "$errors" ] || grep -q "max search depth too small\|out of memory" pan.out; then
        cat pan.out
        exit 2
    fi
}

tell() {
    printf '%-12s %-28s %9s states  %s\n' "$name" "$1" "$states" "$2"
}

judge() {
    label=${1:-as it is}
    broken=$2
    if [ "$broken" = no ] && [ "$errors" = 0 ]; then
        tell "$label" "well"
    elif [ "$broken" = yes ] && [ "$errors" != 0 ]; then
        tell "$label" "found: $what"
    elif [ "$broken" = yes ]; then
        tell "$label" "FAILED: the rule is taken away, and nothing goes wrong"
        failed=1
    else
        tell "$label" "FAILED: $what"
        spin -t -p "$name.pml" 2>/dev/null | tail -60
        failed=1
    fi
}

look
judge "" no
for define in "$@"; do
    # shellcheck disable=SC2046 # a list of options
    look $(echo "$define" | sed 's/^/-D/; s/+/ -D/g')
    case $define in
    *BROKEN*) judge "$define" yes ;;
    *) judge "$define" no ;;
    esac
done
exit $failed
