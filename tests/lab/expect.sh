# SPDX-License-Identifier: BSD-2-Clause
#
# expect.sh - sourced by tests of the command line, which have set $objrmap: a folder $work that goes in
# the end, and expect. They exit with $failed.
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

# expect CODE PATTERN ARGUMENT... - the exit code, and a line of output (of both kinds) that matches.
expect() {
    code=$1 pattern=$2
    shift 2
    "$objrmap" "$@" >"$work/out" 2>&1 </dev/null
    got=$?
    if [ $got -ne "$code" ] || ! grep -q -e "$pattern" "$work/out"; then
        echo "objrmap $*: exit $got, expected $code and '$pattern':"
        head -n 20 "$work/out"
        failed=1
    fi
}
