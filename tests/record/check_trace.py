#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Reads a trace by the letter of the format, keeps each process's areas, and compares them with /proc/PID/maps.

usage: check_trace.py TRACE [--maps DIRECTORY] [OPTION...]

DIRECTORY holds files PID.K: what process PID read from its /proc/self/maps right after its K-th mark, a madvise
(random) on page K of the marks' place (maps_mark.h). Prints a summary line; exit code 1 when anything differs.
"""

import argparse
import collections
import os
import re
import subprocess
import sys

PAGE = 4096
MARKS = 0x10000000
MARK_COUNT = 256
ADVICES = set("dontneed willneed free cold pageout sequential random hugepage nohugepage dontfork dofork".split())

Area = collections.namedtuple("Area", "start end perm object pgoff")


class Wrong(Exception):
    pass


def need(condition, message):
    if not condition:
        raise Wrong(message)


def lines_of(path):
    with open(path, "rb") as file:
        packed = file.read(4) == b"\x28\xb5\x2f\xfd"
    if not packed:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            yield from file
        return
    with subprocess.Popen(["zstd", "-dcq", path], stdout=subprocess.PIPE, encoding="utf-8",
                          errors="surrogateescape") as process:
        yield from process.stdout
        need(process.wait() == 0, "zstd cannot unpack the trace")


def hexadecimal(text):
    need(re.fullmatch(r"[0-9a-f]{1,16}", text), f"{text!r} is not hexadecimal")
    return int(text, 16)


def decimal(text):
    need(re.fullmatch(r"[0-9]{1,20}", text), f"{text!r} is not decimal")
    return int(text)


def page_range(address, length):
    start, size = hexadecimal(address), hexadecimal(length)
    need(start % PAGE == 0 and size % PAGE == 0 and size > 0, f"{address} {length}: not whole pages")
    need(start + size <= 1 << 63, f"{address} {length}: beyond the address space")
    return start, start + size


class Space:
    """Areas of one process in address order, as the trace tells them."""

    def __init__(self, areas=()):
        self.areas = list(areas)

    def index(self, address):
        low, high = 0, len(self.areas)
        while low < high:
            middle = (low + high) // 2
            if self.areas[middle].end <= address:
                low = middle + 1
            else:
                high = middle
        return low

    def find(self, address):
        index = self.index(address)
        if index < len(self.areas) and self.areas[index].start <= address:
            return self.areas[index]
        return None

    @staticmethod
    def part(area, start, end):
        start, end = max(start, area.start), min(end, area.end)
        pgoff = area.pgoff + (start - area.start) // PAGE if area.object != "-" else 0
        return area._replace(start=start, end=end, pgoff=pgoff)

    def take(self, start, end):
        """Removes the range and returns what was there, in order."""
        first = last = self.index(start)
        keep, taken = [], []
        while last < len(self.areas) and self.areas[last].start < end:
            area = self.areas[last]
            if area.start < start:
                keep.append(self.part(area, area.start, start))
            taken.append(self.part(area, start, end))
            if area.end > end:
                keep.append(self.part(area, end, area.end))
            last += 1
        self.areas[first:last] = keep
        return taken

    def put(self, area):
        self.take(area.start, area.end)
        self.areas.insert(self.index(area.start), area)


class Checker:
    def __init__(self, maps):
        self.maps = maps
        self.spaces = {}
        self.names = {}
        self.dontfork = {}
        self.objects = {}
        self.sizes = {}
        self.time = 0
        self.counts = collections.Counter()
        self.notes = {}
        self.compared = 0
        self.differences = []

    def space(self, pid):
        pid = decimal(pid)
        need(pid in self.spaces, f"process {pid} does not exist")
        return self.spaces[pid]

    def begin(self, pid, space):
        pid = decimal(pid)
        need(pid not in self.spaces, f"process {pid} exists already")
        self.spaces[pid] = space

    def read(self, path):
        number = 0
        try:
            for number, line in enumerate(lines_of(path), 1):
                need(line.endswith("\n"), "the last line is cut")
                if number == 1:
                    need(line == "objrmap-trace 1\n", "not a trace of version 1")
                elif line.strip() and line[0] != "#":
                    self.line(line)
        except (Wrong, ValueError) as wrong:
            raise Wrong(f"{path}:{number}: {wrong}") from None

    def line(self, line):
        letter = line[0]
        named = {"o": 4, "p": 2, "x": 2, "!": 2}.get(letter)
        fields = line.rstrip("\n").split(" ", named) if named else line.split()
        self.counts[letter] += 1
        getattr(self, "do_" + {"!": "note"}.get(letter, letter), self.unknown)(*fields[1:])

    def unknown(self, *fields):
        raise Wrong("unknown letter")

    def do_note(self, name, value=""):
        self.notes[name] = value

    def do_o(self, number, kind, size, name):
        number = decimal(number)
        need(number > 0 and number not in self.objects, f"object {number} is declared twice")
        need(kind in ("file", "shm"), f"kind {kind}")
        self.objects[number] = name
        self.sizes[number] = hexadecimal(size)

    def do_g(self, number, size):
        need(decimal(number) in self.objects, f"object {number} is not declared")
        self.sizes[decimal(number)] = hexadecimal(size)

    def do_t(self, time):
        need(decimal(time) >= self.time, "time goes back")
        self.time = decimal(time)

    def do_c(self, cpu):
        decimal(cpu)

    def do_p(self, pid, name):
        self.begin(pid, Space())
        self.names[decimal(pid)] = name

    def do_f(self, pid, child):
        parent = self.space(pid)
        hidden = self.dontfork.get(decimal(pid), [])
        space = Space(parent.areas)
        for start, end in hidden:
            space.take(start, end)
        self.begin(child, space)
        self.names[decimal(child)] = self.names[decimal(pid)]

    def do_x(self, pid, name):
        self.space(pid).areas.clear()
        self.dontfork.pop(decimal(pid), None)
        self.names[decimal(pid)] = name

    def do_e(self, pid):
        self.space(pid)
        del self.spaces[decimal(pid)]
        self.dontfork.pop(decimal(pid), None)

    def do_m(self, pid, address, length, perm, number, pgoff):
        start, end = page_range(address, length)
        need(re.fullmatch(r"[r-][w-][x-][ps]", perm), f"permissions {perm}")
        if number != "-":
            number = decimal(number)
            need(number in self.objects, f"object {number} is not declared")
        else:
            need(pgoff == "0", "anonymous memory has no page offset")
        self.space(pid).put(Area(start, end, perm, number, hexadecimal(pgoff)))

    def do_u(self, pid, address, length):
        self.space(pid).take(*page_range(address, length))

    def do_d(self, pid, address, length, perm):
        need(re.fullmatch(r"[r-][w-][x-]", perm), f"permissions {perm}")
        space = self.space(pid)
        for area in space.take(*page_range(address, length)):
            space.put(area._replace(perm=perm + area.perm[3]))

    def do_v(self, pid, old, old_length, new, new_length):
        start, end = page_range(old, old_length)
        new_start, new_end = page_range(new, new_length)
        space = self.space(pid)
        area = space.find(start)
        need(area and area.end >= end, "not within one area")
        need(new_start == start or new_end <= start or new_start >= end, "moved onto itself")
        area = space.take(start, end)[0]
        space.put(area._replace(start=new_start, end=new_end))

    def do_n(self, pid, address, length, pgoff):
        start, end = page_range(address, length)
        space = self.space(pid)
        area = space.find(start)
        need(area and area.end >= end and area.perm[3] == "s", "not within one shared area")
        space.put(area._replace(start=start, end=end, pgoff=hexadecimal(pgoff)))

    def do_a(self, pid, address, length, advice):
        need(advice in ADVICES, f"advice {advice}")
        start, end = page_range(address, length)
        self.space(pid)
        if advice in ("dontfork", "dofork"):
            self.set_fork(decimal(pid), start, end, advice)
        if advice == "random" and MARKS <= start < MARKS + MARK_COUNT * PAGE and self.maps:
            self.compare(decimal(pid), (start - MARKS) // PAGE)

    def set_fork(self, pid, start, end, advice):
        kept = []
        for low, high in self.dontfork.get(pid, []):
            kept += [(low, min(high, start)), (max(low, end), high)]
        if advice == "dontfork":
            kept.append((start, end))
        self.dontfork[pid] = [part for part in kept if part[0] < part[1]]

    def plain_range(self, pid, address, length):
        self.space(pid)
        page_range(address, length)

    do_l = do_k = do_s = plain_range

    def touch(self, pid, address, count="1", write=False):
        start, pages = hexadecimal(address), decimal(count)
        need(start % PAGE == 0 and pages > 0, "not whole pages")
        space = self.space(pid)
        self.counts["touched"] += pages
        for page in range(start, start + pages * PAGE, PAGE):
            area = space.find(page)
            if not area or not (area.perm[1] == "w" if write else "r" in area.perm or "x" in area.perm):
                self.counts["segv"] += 1
                if self.counts["segv"] < 20:
                    print(f"touch outside: {pid} {self.names[decimal(pid)]} {page:x} {write} {area}", file=sys.stderr)
            elif area.object != "-":
                offset = (area.pgoff * PAGE) + page - area.start
                self.counts["bus"] += offset >= self.sizes[area.object]

    def do_r(self, pid, address, count="1"):
        self.touch(pid, address, count)

    def do_w(self, pid, address, count="1"):
        self.touch(pid, address, count, True)

    # Comparing

    def compare(self, pid, mark):
        path = os.path.join(self.maps, f"{pid}.{mark}")
        if not os.path.exists(path):
            self.differences.append(f"process {pid} marked {mark} but left no maps")
            return
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            real = joined(real_areas(file))
        told = joined((area.start, area.end, area.perm, *self.identity(area)) for area in self.spaces[pid].areas)
        self.compared += 1
        for area in sorted(set(real) - set(told)):
            self.differences.append(f"process {pid} {self.names[pid]} mark {mark}: really {show(area)}")
        for area in sorted(set(told) - set(real)):
            self.differences.append(f"process {pid} {self.names[pid]} mark {mark}: traced {show(area)}")

    def identity(self, area):
        if area.object == "-":
            return "", 0
        name = self.objects[area.object]
        return ("", 0) if name == "/dev/zero" else (name, area.pgoff)


def real_areas(file):
    for line in file:
        fields = line.rstrip("\n").split(None, 5)
        name = fields[5] if len(fields) > 5 else ""
        start, end = (int(part, 16) for part in fields[0].split("-"))
        pgoff = int(fields[2], 16) // PAGE
        name = re.sub(r" \(deleted\)$", "", name)
        if name == "[vsyscall]":
            continue
        if name in ("", "[heap]", "[stack]", "/dev/zero") or name.startswith("[anon"):
            name, pgoff = "", 0
        yield start, end, fields[1], name, pgoff


def joined(areas):
    result = []
    for start, end, perm, name, pgoff in areas:
        if result:
            low = result[-1]
            follows = low[4] + (low[1] - low[0]) // PAGE == pgoff if name else True
            if low[1] == start and low[2:4] == (perm, name) and follows:
                result[-1] = (low[0], end, *low[2:])
                continue
        result.append((start, end, perm, name, pgoff))
    return result


def show(area):
    start, end, perm, name, pgoff = area
    return f"{start:x}-{end:x} {perm} {pgoff:x} {name or '-'}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("trace")
    parser.add_argument("--maps", help="directory of maps that the recorded programs left")
    parser.add_argument("--compared", type=int, default=0, help="at least so many maps must have been compared")
    parser.add_argument("--lines", default="", help="letters of lines that must occur")
    parser.add_argument("--processes", type=int, default=0, help="at least so many processes must occur")
    parser.add_argument("--segv", type=int, default=0, help="touches outside any area that are expected")
    options = parser.parse_args()
    checker = Checker(options.maps)
    try:
        checker.read(options.trace)
    except Wrong as wrong:
        print(wrong, file=sys.stderr)
        return 1
    problems = checker.differences
    for letter in options.lines:
        if not checker.counts[letter]:
            problems.append(f"no line {letter}")
    if checker.compared < options.compared:
        problems.append(f"only {checker.compared} maps compared, expected {options.compared}")
    if checker.counts["p"] + checker.counts["f"] < options.processes:
        problems.append("fewer processes than expected")
    if checker.counts["segv"] != options.segv:
        problems.append(f"{checker.counts['segv']} touches outside areas, expected {options.segv}")
    if checker.notes.get("lost") != "0":
        problems.append(f"lost {checker.notes.get('lost')}")
    for problem in problems[:40]:
        print(problem, file=sys.stderr)
    print(f"{sum(checker.counts[c] for c in 'pfxemudvnalksrw')} lines, {checker.counts['p'] + checker.counts['f']} "
          f"processes, {checker.counts['touched']} touches ({checker.counts['segv']} outside areas, "
          f"{checker.counts['bus']} beyond files), {checker.compared} maps compared, {len(problems)} problems, "
          f"{len(checker.spaces)} still alive")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
