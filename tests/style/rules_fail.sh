#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# rules_fail.sh ROOT - each rule of this folder must reject a tree that breaks it, and accept the
# same tree without the offence.
set -u
rules=$1/tests/style
tree=$(mktemp -d) || exit 1
trap 'rm -rf "$tree"' EXIT
spdx='/* SPDX-License-Identifier: BSD-2-Clause */'
status=0

# offence RULE FILE LINE - what the line, in that file, must make of the rule.
offence() {
    mkdir -p "$tree/$(dirname "$2")"
    printf '%s\n' "$spdx" >"$tree/$2"
    "$rules/$1.sh" "$tree" >/dev/null || {
        echo "$1 rejects an innocent $2"
        status=1
    }
    printf '%s\n' "$3" >>"$tree/$2"
    "$rules/$1.sh" "$tree" >/dev/null && {
        echo "$1 accepts '$3' in $2"
        status=1
    }
    rm -r "${tree:?}/${2%%/*}"
}

# accepted RULE FILE LINE - what must be let through.
accepted() {
    mkdir -p "$tree/$(dirname "$2")"
    printf '%s\n%s\n' "$spdx" "$3" >"$tree/$2"
    "$rules/$1.sh" "$tree" || {
        echo "$1 rejects '$3' in $2"
        status=1
    }
    rm -r "${tree:?}/${2%%/*}"
}

offence arrows vm/frame/a.c '#include <stdio.h>'
offence arrows vm/frame/a.c '#include <objrmap/posix.h>'
offence arrows vm/frame/a.c '#include "vm/table/table.h"'
offence arrows vm/object/a.c '#include "vm/rmap/pte_chain.h"'
offence arrows vm/fault/a.c '#include "vm/reclaim/reclaim.h"'
offence arrows vm/object/a.c '#include "vm/fault/fault.h"'
offence arrows vm/object/a.c '#include "vm/table/table.h"'
offence arrows vm/machine.h '#include "vm/rmap/design.h"'
offence arrows vm/attic/a.c '#include "vm/frame/frame.h"'
offence arrows vm/machine.h '#include "vm/frame/frame.h"'
offence arrows vm/frame/a.c '#include "frame.h"'
offence arrows lab/a.c '#include "vm/machine.h"'
offence arrows port/posix/a.c '#include "../../vm/machine.h"'
accepted arrows vm/table/a.c '#include "vm/frame/frame.h"'
accepted arrows vm/table/a.c '#include "vm/rmap/design.h"'
accepted arrows vm/table/a.c '#include "vm/machine.h" /* ground */'
accepted arrows vm/space/a.c '#include "vm/fault/fault.h"'
accepted arrows vm/machine.c '#include "vm/reclaim/reclaim.h"'
accepted arrows vm/table/a.c '#include <stdatomic.h>'
accepted arrows vm/table/a.c '#include <objrmap/vm.h>'
accepted arrows lab/a.c '#include <stdio.h>'

offence files vm/frame/a.c "$(seq 1000)"
mkdir -p "$tree/vm"
echo 'int x;' >"$tree/vm/a.c"
"$rules/files.sh" "$tree" >/dev/null && {
    echo "files accepts a source without a licence"
    status=1
}
rm -r "$tree/vm"

if command -v clang-format-14 >/dev/null; then
    cp "$1/.clang-format" "$tree"
    offence format vm/a.c 'int  f( void ) { return 0 ; }'
fi
exit $status
