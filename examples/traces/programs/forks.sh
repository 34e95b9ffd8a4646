#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# forks.sh - what shell scripts do all day: pipelines, command substitutions, subshells, background
# jobs; hardly any process lives longer than its fork took.
set -eu

words() {
    i=0
    while [ $i -lt 40 ]; do
        echo "word$((i * 7919 % 101)) $i"
        i=$((i + 1))
    done
}

# A process for every word, as command substitutions make them.
longest=0
for word in $(words | cut -d ' ' -f 1 | sort -u); do
    length=$(printf %s "$word" | wc -c)
    [ "$length" -le "$longest" ] || longest=$length
done
echo "longest word: $longest letters"

# Nested subshells: each is a fork of a fork.
deep() {
    if [ "$1" -gt 0 ]; then
        (deep $(($1 - 1)))
    else
        echo "at the bottom"
    fi
}
deep 24

# Background jobs that all wait for each other's output.
for job in 1 2 3 4 5 6 7 8; do
    (
        round=0
        while [ $round -lt 6 ]; do
            words | sort -k 2 -n | tail -n 3 | sed "s/^/$job.$round /" >>"job.$job"
            round=$((round + 1))
        done
    ) &
done
wait
cat job.* | sort | uniq -c | sort -rn | head -n 3

# A tool written in three languages at once.
find /usr/share/doc -maxdepth 1 -name 'lib*' | sort | head -n 60 | while read -r path; do
    basename "$path" | tr a-z A-Z
done | awk '{ letters += length($0) } END { print letters, "letters" }'
