#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# postgres.sh DATA - a database server that forks for every client and keeps its pages in memory that
# all of them share. DATA was made by initdb; the server listens on a unix socket only.
set -eu
data=$1
pg_config=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
PATH=$pg_config:$PATH
export PGHOST="$data" PGUSER=demo PGDATABASE=postgres

timeout 60 postgres -D "$data" -k "$data" -c listen_addresses= -c shared_buffers=8MB -c fsync=off \
    -c max_connections=20 -c autovacuum_naptime=5s -c jit=off >"$data/server.log" 2>&1 &
server=$!
trap 'kill -INT $server 2>/dev/null || :' EXIT
tries=100
until pg_isready -q; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || exit 1
    sleep 0.1
done

pgbench -q -i -s 1 2>/dev/null
pgbench -n -c 6 -j 2 -t 200 | grep 'actually processed'
# A client a transaction: a fork for each.
pgbench -n -C -S -c 2 -t 30 | grep 'actually processed'
psql -q -A -t -c 'select count(*), sum(abalance) from pgbench_accounts'

kill -INT $server
wait $server || :
