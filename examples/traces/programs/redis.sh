#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# redis.sh - a key-value server under load that saves itself in the background: it forks, and while
# the child writes its memory to a file, each write of the parent's copies a page.
set -eu
socket=$PWD/redis.sock

cli() {
    redis-cli -s "$socket" "$@"
}

timeout 60 redis-server --port 0 --unixsocket "$socket" --dir "$PWD" --save '' --appendonly no \
    --daemonize no >redis.log &
server=$!
trap 'kill $server 2>/dev/null || :' EXIT
tries=100
until [ "$(cli ping 2>/dev/null)" = PONG ]; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || exit 1
    sleep 0.1
done

saving() {
    cli info persistence | grep -q '^rdb_bgsave_in_progress:1'
}

# What is saved: 60000 keys of 200 bytes.
redis-benchmark -s "$socket" -q -c 4 -n 100000 -r 60000 -d 200 -t set >/dev/null
for round in 1 2 3; do
    cli bgsave
    redis-benchmark -s "$socket" -q -c 4 -n 10000 -r 60000 -d 200 -t set,get,lpush,incr >/dev/null
    while saving; do
        sleep 0.05
    done
done
cli dbsize
cli flushall
cli shutdown nosave
wait $server || :
