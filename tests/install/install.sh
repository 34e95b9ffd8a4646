#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# install.sh BUILD CONSUMER COMPILER
set -eu
build=$1
consumer=$2
compiler=$3

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix

cmake --install "$build" --prefix "$prefix" >"$work/install.log" || {
    cat "$work/install.log"
    exit 1
}
# An installed tree may be moved.
mv "$prefix" "$work/moved"
prefix=$work/moved

expect() {
    [ -e "$1" ] || {
        echo "not installed: ${1#"$prefix"/}"
        exit 1
    }
}
for header in vm rmap port stats posix; do
    expect "$prefix/include/objrmap/$header.h"
done

pc=$(find "$prefix" -name objrmap.pc)
expect "${pc:-$prefix/objrmap.pc}"
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
# Where the library was also built as a shared one, the linker prefers that.
LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH")
export LD_LIBRARY_PATH
# shellcheck disable=SC2046 # flags
"$compiler" -std=c11 -Wall -Wextra -Werror "$consumer/consumer.c" -o "$work/by-pkg-config" \
    $(pkg-config --cflags --libs objrmap-posix)
"$work/by-pkg-config"

cmake -S "$consumer" -B "$work/consumer" -DCMAKE_PREFIX_PATH="$prefix" \
    -DCMAKE_C_COMPILER="$compiler" >"$work/consumer.log" 2>&1 &&
    cmake --build "$work/consumer" >>"$work/consumer.log" 2>&1 || {
    cat "$work/consumer.log"
    exit 1
}
"$work/consumer/consumer"

# Where the command was built it is installed, and runs from there.
if [ -e "$build/objrmap" ]; then
    expect "$prefix/bin/objrmap"
    "$prefix/bin/objrmap" --version
fi
