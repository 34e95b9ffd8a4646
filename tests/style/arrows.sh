#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# arrows.sh ROOT - who may include whom, as the table in docs/architecture.md says. Files of vm/
# itself belong to no room: their headers are the ground under all, their sources stand on top.
set -u
cd "$1" || exit 1

includes() {
    find "$@" -name '*.[ch]' 2>/dev/null | sort | xargs grep -n '^ *# *include' /dev/null
}

bad=$(
    includes vm | awk '
    BEGIN {
        may["tree"] = " "
        may["frame"] = " tree "
        may["table"] = " tree frame "
        may["object"] = " tree frame "
        may["space"] = " tree frame table object "
        may["rmap"] = may["fault"] = may["reclaim"] = " tree frame table object space "
        # Anyone may use the reverse map through its interface, and space/ calls upwards for mlock,
        # madvise and msync.
        open["\"vm/rmap/design.h\""] = "any"
        open["\"vm/fault/fault.h\""] = open["\"vm/reclaim/reclaim.h\""] = "space"
        # An index keeps areas by what they say of themselves.
        open["\"vm/space/area.h\""] = "object"
        split("stdalign stdatomic stdbool stddef stdint limits", names, " ")
        for (i in names)
            freestanding["<" names[i] ".h>"] = 1
    }
    {
        split($0, at, ":")
        target = $0
        sub(/^.*include */, "", target)
        sub(/[ \t]*(\/\*.*)?$/, "", target)
        if (target ~ /^</) {
            if (!(target in freestanding) && target !~ /^<objrmap\/(port|rmap|stats|vm)\.h>$/)
                print at[1] ":" at[2] ": " target " is not there on a bare machine"
            next
        }
        if (target !~ /^"vm\//) {
            print at[1] ":" at[2] ": " target ": name private headers from the root, \"vm/...\""
            next
        }
        from_parts = split(at[1], from, "/")
        to_parts = split(target, to, "/")
        if (to_parts == 2)
            next
        if (from_parts == 2) {
            if (at[1] ~ /\.h$/)
                print at[1] ":" at[2] ": the ground cannot stand on the room of " target
            next
        }
        if (!(from[2] in may) || !(to[2] in may))
            print at[1] ":" at[2] ": a room that this test does not know: say what it may use"
        else if (from[2] != to[2] && index(may[from[2]], " " to[2] " ") == 0 &&
                 open[target] != "any" && open[target] != from[2])
            print at[1] ":" at[2] ": " from[2] "/ may not use " target
    }'
    # told.c stands in for a design, to count its calls; forget.c clears accessed bits.
    includes port lab bench examples include |
        grep '"\(\.\./\)*vm/' | grep -v '^bench/support/\(told\|forget\)\.c:' | sed 's/$/  <- private to the library/'
    includes port include | grep '"\(\.\./\)*lab/' | sed 's/$/  <- lab stands above/'
)

[ -z "$bad" ] || {
    echo "$bad"
    exit 1
}
