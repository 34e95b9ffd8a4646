# SPDX-License-Identifier: BSD-2-Clause
#
# small.sh - every workload with parameters that make it small, one a line. A new workload goes here,
# too: generate.sh counts.
small_workloads() {
    cat <<'END'
forking-server:children=12,pages=6
late-parent:children=12,pages=6
early-parent:children=12,pages=6,exits=oldest
early-parent:children=12,pages=6,exits=newest
late-child:children=12,pages=6,which=first
late-child:children=12,pages=6,which=middle
late-child:children=12,pages=6,which=last
orphan:children=12,pages=6
cow-everything:levels=3,pages=6
deep-fork:depth=40,pages=3
deep-fork-siblings:depth=20,pages=3
daemonize:levels=3,workers=8,pages=6
swap-child-first:children=3,pages=120
mlock-sharer:children=6,pages=60,who=first
mlock-sharer:children=6,pages=60,who=last
mlock-sharer:children=6,pages=60,who=random,seed=7
hundred-by-hundred:processes=8,areas=8,pages=5
hundred-by-hundred:processes=8,areas=8,pages=9,windows=distinct
mmap3:areas=60,forks=3,touched=30
rmap-test:tasks=5,areas=5,pages=12,rounds=2
rmap-test:tasks=5,areas=5,pages=12,order=random
many-areas:areas=80,pages=3
shared-segment:processes=6,size=200K,exits=oldest
shared-segment:processes=6,size=200K,exits=newest
sparse-fork:children=8,size=200K
sparse-fork:children=8,size=200K,reader=parent
nonlinear-windows:events=120,windows=24,window=3,processes=3
private-file-cow:processes=8,pages=20
truncate-under-mappings:processes=5,pages=24,rounds=6
mremap-pingpong:moves=31,pages=20
mremap-after-fork:children=6,pages=20
checkerboard:children=4,pages=40
mprotect-checkerboard:children=4,pages=40
merge-hostile:places=20
exec-storm:programs=12,alive=5
sdet:scripts=8,users=4
kernbench:files=4,jobs=2
kernbench:files=4,jobs=2,spawn=fork
END
}
