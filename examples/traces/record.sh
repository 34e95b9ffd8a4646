#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# record.sh [NAME...] - records the bundled traces again, or those named, into this folder. Wants
# root: to record, and to install what a program needs. OBJRMAP names the command (default: the one
# in build/release), DEMO the folder that the programs run in, which must not be there yet; its
# name stands in the traces.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
PATH=/usr/sbin:/usr/bin:/sbin:/bin
objrmap=${OBJRMAP:-$top/build/release/objrmap}
demo=${DEMO:-/tmp/demo}

fail() {
    echo "record.sh: $*" >&2
    exit 1
}

# needs PROGRAM PACKAGE
needs() {
    command -v "$1" >/dev/null && return 0
    [ "$(id -u)" = 0 ] || fail "$1 is missing; install the package $2"
    echo "record.sh: installing $2"
    # A server that comes with its package shall not be started.
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends "$2" \
        >/dev/null || fail "cannot install $2 (has apt-get update been run?)"
}

# record NAME COMMAND...
record() {
    name=$1
    shift
    (cd "$demo" && env -i PATH=$PATH LANG=C.UTF-8 \
        timeout 120 "$objrmap" record -o "$demo/$name.vmt.zst" -- "$@" >"$name.out") ||
        fail "$name was not recorded"
    # A replay that differs means a recording that is not worth keeping.
    "$objrmap" replay --verify=0 "$demo/$name.vmt.zst" >/dev/null || fail "$name does not replay"
    cp "$demo/$name.vmt.zst" "$here/"
}

record_compile() {
    needs make make
    needs gcc gcc
    cp -r "$top/vm" "$top/include" "$demo/"
    cp "$here/programs/compile.mk" "$demo/Makefile"
    record compile make -j2
}

record_forks() {
    record forks sh forks.sh
}

record_redis() {
    needs redis-server redis-server
    record redis sh redis.sh
}

# The server refuses to run as root.
record_postgres() {
    [ -n "$(ls /usr/lib/postgresql/*/bin/pgbench 2>/dev/null)" ] || needs pgbench postgresql
    mkdir "$demo/data"
    as=
    if [ "$(id -u)" = 0 ]; then
        chown postgres "$demo/data"
        as="setpriv --reuid=postgres --regid=postgres --clear-groups"
    fi
    initdb=$(ls /usr/lib/postgresql/*/bin/initdb | tail -n 1)
    (cd "$demo" && $as "$initdb" -D "$demo/data" -U demo -A trust -N --locale=C >initdb.out) ||
        fail "initdb failed"
    # shellcheck disable=SC2086 # a command's words
    record postgres $as sh postgres.sh "$demo/data"
}

record_shared() {
    needs python3 python3
    record shared python3 -B shared.py
}

record_prefork() {
    needs perl perl
    record prefork perl prefork.pl
}

[ -x "$objrmap" ] || fail "$objrmap is not there: run make, or set OBJRMAP"
[ $# -gt 0 ] || set -- compile forks redis postgres shared prefork
mkdir "$demo" || fail "$demo must not be there yet: remove it, or set DEMO"
trap 'rm -rf "$demo"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$demo"
cp "$here"/programs/*.sh "$here"/programs/*.py "$here"/programs/*.pl "$demo/"
for name in "$@"; do
    case $name in
    compile | forks | redis | postgres | shared | prefork) "record_$name" ;;
    *) fail "there is no program '$name'" ;;
    esac
done
