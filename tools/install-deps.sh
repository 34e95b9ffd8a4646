#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# install-deps.sh PURPOSE... - sees to it that what a purpose needs is there.
# Purposes: build, check, coverage, demo, format, docs. As root, what is missing is installed with apt-get;
# otherwise it is named, with the command that installs it, and the script fails.
set -eu

missing=""

# needs PACKAGE PROBE... - the package is missing when the probe fails.
needs() {
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

has_header() {
    echo "#include <$1>" | cc -E -x c - -o /dev/null
}

for purpose in "$@"; do
    case $purpose in
    build)
        needs gcc command -v gcc
        needs libc6-dev has_header stdio.h
        needs linux-libc-dev has_header linux/perf_event.h
        needs make command -v make
        needs cmake command -v cmake
        needs pkg-config command -v pkg-config
        needs libzstd-dev pkg-config --exists libzstd
        needs libjansson-dev pkg-config --exists jansson
        # The build presets configure everything, the tests included.
        needs libcmocka-dev pkg-config --exists cmocka
        ;;
    check)
        needs clang command -v clang
        needs clang-format-14 command -v clang-format-14
        needs mandoc command -v mandoc
        needs zstd command -v zstd
        needs python3 command -v python3
        needs spin command -v spin
        ;;
    coverage) needs gcc command -v gcov ;;
    demo) needs zstd command -v zstd ;;
    format) needs clang-format-14 command -v clang-format-14 ;;
    docs) needs mandoc command -v mandoc ;;
    *)
        echo "install-deps.sh: unknown purpose '$purpose'" >&2
        exit 2
        ;;
    esac
done

[ -n "$missing" ] || exit 0

command="apt-get install -y --no-install-recommends$missing"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "objrmap: missing here, under the names Debian gives them:$missing" >&2
    echo "objrmap: install them with this system's package manager, then try again" >&2
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    echo "objrmap: missing:$missing" >&2
    echo "objrmap: install with:  sudo $command" >&2
    exit 1
fi

echo "objrmap: installing$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of names
if ! apt-get install -y --no-install-recommends $missing </dev/null >/dev/null 2>&1; then
    apt-get update -q </dev/null
    apt-get install -y -q --no-install-recommends $missing </dev/null
fi
