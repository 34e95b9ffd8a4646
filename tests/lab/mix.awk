# SPDX-License-Identifier: BSD-2-Clause
#
# awk -v seed=N -v events=N -f mix.awk - a trace of up to 40 processes that fork, end, take ended ones'
# numbers, share memory, cut files and lock, all at random.
function pick(n) { return int(rand() * n) }
function place() { return 268435456 + pick(64) * 65536 }
function born(pid) { alive[pid] = 1; list[count++] = pid }
function gone(pid,  k) {
    delete alive[pid]
    for (k = 0; k < count; k++)
        if (list[k] == pid) { list[k] = list[--count]; return }
}
function map(pid, at, pages,  object) {
    object = pick(5)
    printf "m %d %x %x %s %s %x\n", pid, at, pages * 4096, perms[1 + pick(6)],
        object % 4 ? object : "-", object % 4 ? pick(24) : 0
}
function move(pid, at, pages,  to) {
    to = place()
    if (to < at || to >= at + 65536)
        printf "v %d %x %x %x %x\n", pid, at, pages * 4096, to, (1 + pick(16)) * 4096
}
function fork(pid,  child) {
    child = pick(2) && next_pid > 15 ? next_pid - 5 : next_pid++
    if (count >= 40 || child in alive)
        return
    printf "f %d %d\n", pid, child
    born(child)
}
function leave(pid) {
    if (count == 1)
        return
    printf "e %d\n", pid
    gone(pid)
}
BEGIN {
    srand(seed)
    next_pid = 10
    split("rw-p rw-s r--p r--s rw-p rw-p", perms, " ")
    split("dontneed willneed free cold pageout dontfork dofork", advices, " ")
    print "objrmap-trace 1\no 1 file 20000 /one\no 2 shm 20000 two\no 3 file 8000 /three\np 1 first"
    born(1)
    for (i = 0; i < events; i++) {
        pid = list[pick(count)]; at = place(); pages = 1 + pick(16); r = pick(1000)
        if (r < 90) map(pid, at, pages)
        else if (r < 110) printf "u %d %x %x\n", pid, at, pages * 4096
        else if (r < 125) printf "d %d %x %x %s\n", pid, at, pages * 4096, pick(2) ? "rw-" : "r--"
        else if (r < 140) move(pid, at, pages)
        else if (r < 160) printf "a %d %x %x %s\n", pid, at, pages * 4096, advices[1 + pick(7)]
        else if (r < 166) printf "g %d %x\n", 1 + pick(3), pick(40) * 4096
        else if (r < 170) printf "l %d %x %x\n", pid, at, pages * 4096
        else if (r < 176) printf "k %d %x %x\n", pid, at, pages * 4096
        else if (r < 180) printf "s %d %x %x\n", pid, at, pages * 4096
        else if (r < 230) fork(pid)
        else if (r < 255) leave(pid)
        else if (r < 262) printf "x %d again%d\n", pid, i
        else if (r < 264) printf "n %d %x %x %x\n", pid, at, pages * 4096, pick(20)
        else printf "%s %d %x %d\n", pick(2) ? "w" : "r", pid, at, 1 + pick(20)
    }
}
