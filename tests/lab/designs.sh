# SPDX-License-Identifier: BSD-2-Clause
#
# Sourced: all_designs - the names of the designs that $objrmap has, one a line.
all_designs() {
    "$objrmap" designs --json | sed -n '/"designs"/,/\]/s/.*"name": "\(.*\)".*/\1/p'
}
