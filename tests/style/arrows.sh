#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# arrows.sh ROOT - who may include whom (docs/architecture.md). In vm/ each room stands on those
# before it; files of vm/ itself belong to no room: their headers are the ground under all, their
# sources stand on top. Anyone may use the reverse map through its interface, and know what an area
# is: objects keep areas in order.
set -u
cd "$1" || exit 1

includes() {
    find "$@" -name '*.[ch]' 2>/dev/null | sort | xargs grep -n '^ *# *include' /dev/null
}

bad=$(
    includes vm | awk '
    BEGIN {
        level["tree"] = 0
        level["frame"] = 1
        level["table"] = 2
        level["object"] = 3
        level["space"] = 4
        level["rmap"] = 5
        level["fault"] = 6
        level["reclaim"] = 6
        split("stdalign stdatomic stdbool stddef stdint limits", names, " ")
        for (i in names)
            freestanding["<" names[i] ".h>"] = 1
        open["\"vm/rmap/design.h\""] = 1
        open["\"vm/rmap/rmap.h\""] = 1
        open["\"vm/space/area.h\""] = 1
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
        if (to_parts == 2 || target in open)
            next
        if (from_parts == 2) {
            if (at[1] ~ /\.h$/)
                print at[1] ":" at[2] ": the ground cannot stand on the room of " target
            next
        }
        if (!(from[2] in level) || !(to[2] in level))
            print at[1] ":" at[2] ": a room that this test does not know: give it a level"
        else if (from[2] != to[2] && level[to[2]] >= level[from[2]])
            print at[1] ":" at[2] ": " from[2] "/ stands below " to[2] "/ and may not use " target
    }'
    includes port lab bench examples include |
        grep '"\(\.\./\)*vm/' | sed 's/$/  <- private to the library/'
    includes port include | grep '"\(\.\./\)*lab/' | sed 's/$/  <- lab stands above/'
)

[ -z "$bad" ] || {
    echo "$bad"
    exit 1
}
