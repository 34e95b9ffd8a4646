#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# options.sh OBJRMAP PROJECT - each command's manual page has the options that --help prints, with the
# same values, in the same order; and objrmap(1) has all commands.
objrmap=$1 project=$2
command -v mandoc >/dev/null || exit 77
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

# Up to two blanks, an option and its value; then what it means.
options() {
    sed -nE 's/^ +((-[a-z], )?--[a-z-]+[^ ]*( [^ ]+)*)(  .*)?$/\1/p'
}

page() {
    mandoc -T ascii -O width=100 "$project/man/$1.1" | sed 's/.\x08//g'
}

commands=$("$objrmap" --help | sed -nE 's/^  ([a-z]+)  .*/\1/p')
[ -n "$commands" ] || { echo "--help names no commands"; exit 1; }
for command in $commands; do
    if [ ! -e "$project/man/objrmap-$command.1" ]; then
        echo "objrmap-$command.1 is missing"
        failed=1
        continue
    fi
    page objrmap | grep -q "^     $command  " || { echo "objrmap.1 does not list $command"; failed=1; }
    "$objrmap" "$command" --help | options >"$work/help"
    page "objrmap-$command" | options >"$work/page"
    [ -s "$work/help" ] || { echo "$command --help shows no options"; failed=1; }
    diff -u "$work/help" "$work/page" || { echo "objrmap-$command.1 and --help differ"; failed=1; }
done
exit $failed
