#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# files.sh ROOT - every source file names its licence at the top, and is short enough to read.
set -u
cd "$1" || exit 1
status=0

complain() {
    echo "$1"
    status=1
}

sources() {
    find . \( -path ./build -o -path ./.git \) -prune -o -type f \( -name '*.[ch]' -o -name '*.sh' \
        -o -name '*.cmake' -o -name CMakeLists.txt -o -name Makefile -o -path ./.ci/run \) -print |
        sort
}

for file in $(sources); do
    head -n 2 "$file" | grep -q "SPDX-License-Identifier: BSD-2-Clause" ||
        complain "$file: does not begin with an SPDX line for BSD-2-Clause"
    lines=$(wc -l <"$file")
    [ "$lines" -le 1000 ] ||
        complain "$file: $lines lines; a file of more than 1000 holds more than one concept"
done
exit $status
