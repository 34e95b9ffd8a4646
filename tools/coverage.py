#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""coverage.py BUILD LIST - which lines and branches of vm/ were run, by gcov's counts in BUILD.

A branch is one way out of a condition. Assertions do not count: the way into panic() is none that a
test could take and go on. What was never taken is held against LIST (docs/coverage.md), in whose
tables such a condition is either explained, or a file says how many it has that are still open:

    | file, function | source text | why no test takes it |
    | file | conditions |

The source text is the whole line, blanks joined, so that the list survives when lines move; one row
explains all such lines of its function. All three may be patterns, as the shell's. Exit code 1: a file
has more open conditions than it says, or an explanation is of use for nothing any more.

Rows under a heading that begins with "Now and then" explain what one run comes to and the next does
not: they are of use as long as there is such a condition at all, whether or not all of it was taken.
"""
import collections
import fnmatch
import json
import os
import re
import subprocess
import sys

ASSERTION = re.compile(r"\bVM_(ASSERT|CHECK_)\w*\(|\bvm_panic\(")


def words(text):
    return " ".join(text.split())


def gcov(build):
    """The JSON document of each of the library's object files."""
    for folder, _, files in os.walk(os.path.join(build, "CMakeFiles", "objrmap.dir")):
        for name in sorted(files):
            if name.endswith(".gcda"):
                out = subprocess.run(
                    ["gcov", "--json-format", "--branch-probabilities", "--stdout",
                     os.path.join(folder, name)],
                    check=True, capture_output=True, text=True).stdout
                for line in out.splitlines():
                    if line.startswith("{"):
                        yield json.loads(line)


class Coverage:
    def __init__(self, root):
        self.root = root
        self.lines = collections.defaultdict(int)  # (file, line) -> times
        self.branches = collections.defaultdict(dict)  # (file, line) -> {number: times}
        self.functions = {}  # (file, line) -> name
        self.sources = {}

    def add(self, document):
        for unit in document["files"]:
            path = os.path.relpath(
                os.path.join(document["current_working_directory"], unit["file"]), self.root)
            if not path.startswith("vm" + os.sep):
                continue
            for line in unit["lines"]:
                self.add_line(path, line)

    def add_line(self, path, line):
        place = (path, line["line_number"])
        self.lines[place] += line["count"]
        if line.get("function_name"):
            self.functions[place] = line["function_name"]
        for number, branch in enumerate(line["branches"]):
            taken = self.branches[place]
            taken[number] = taken.get(number, 0) + branch["count"]

    def text(self, place):
        path, line = place
        if path not in self.sources:
            with open(os.path.join(self.root, path), encoding="utf-8") as source:
                self.sources[path] = source.read().splitlines()
        return words(self.sources[path][line - 1])

    def counts(self, place):
        return not ASSERTION.search(self.text(place))

    def files(self):
        return sorted({path for path, _ in self.lines})

    def sums(self, path):
        """(lines run, lines, branches taken, branches)"""
        lines = [times for (p, n), times in self.lines.items()
                 if p == path and self.counts((p, n))]
        taken = [times for (p, n), numbers in self.branches.items()
                 if p == path and self.counts((p, n)) for times in numbers.values()]
        return (sum(t > 0 for t in lines), len(lines), sum(t > 0 for t in taken), len(taken))

    def conditions(self):
        """(file, function, text) -> line numbers"""
        found = collections.defaultdict(list)
        for place, taken in sorted(self.branches.items()):
            if taken and self.counts(place):
                found[(place[0], self.functions.get(place, "?"), self.text(place))].append(place[1])
        return found

    def missed(self):
        """The same, where some branch was never taken"""
        found = {}
        for condition, lines in self.conditions().items():
            missed = [n for n in lines if 0 in self.branches[(condition[0], n)].values()]
            if missed:
                found[condition] = missed
        return found


def cells_of(line):
    cells = re.split(r"(?<!\\)\|", line.strip())
    return [words(cell.replace("\\|", "|")).strip("`") for cell in cells[1:-1]]


def read_list(path):
    """The explanations, (file, function, text) each: of what no run takes, and of what some runs do;
    and by file how many conditions are open."""
    never, at_times, still_open = [], [], {}
    explained = never
    with open(path, encoding="utf-8") as source:
        for line in source:
            if line.startswith("#"):
                explained = at_times if line.startswith("## Now and then") else never
            cells = cells_of(line) if line.startswith("| `vm/") else []
            if len(cells) == 3:
                file, function = cells[0].split(", ")
                explained.append((file, function, cells[1]))
            elif len(cells) == 2:
                still_open[cells[0]] = int(cells[1])
    return never, at_times, still_open


def explains(entry, place):
    return all(fnmatch.fnmatchcase(part, pattern) or part == pattern
               for part, pattern in zip(place, entry))


def percent(part, whole):
    return f"{100 * part / whole:6.1f} %" if whole else "     - "


def main():
    build, path = sys.argv[1:]
    coverage = Coverage(os.getcwd())
    for document in gcov(build):
        coverage.add(document)
    if not coverage.lines:
        sys.exit("objrmap: nothing was counted; run tools/coverage.sh, which builds and tests first")
    never, at_times, still_open = read_list(path)
    missed, conditions = coverage.missed(), coverage.conditions()

    total = [0, 0, 0, 0]
    print(f"{'':32} {'lines':>15} {'branches':>17}")
    for file in coverage.files():
        sums = coverage.sums(file)
        total = [a + b for a, b in zip(total, sums)]
        print(f"{file:32} {sums[0]:5}/{sums[1]:<5}{percent(*sums[:2])} "
              f"{sums[2]:5}/{sums[3]:<5}{percent(*sums[2:])}")
    print(f"{'all of vm/':32} {total[0]:5}/{total[1]:<5}{percent(*total[:2])} "
          f"{total[2]:5}/{total[3]:<5}{percent(*total[2:])}")

    new = {place: lines for place, lines in missed.items()
           if not any(explains(entry, place) for entry in never + at_times)}
    stale = [entry for entry in never if not any(explains(entry, place) for place in missed)]
    stale += [entry for entry in at_times if not any(explains(entry, place) for place in conditions)]
    counts = collections.Counter(place[0] for place in new)
    for (file, function, text), lines in sorted(new.items(), key=lambda item: (item[0][0], item[1])):
        print(f"{file}:{','.join(map(str, lines))}: {function}: no test takes a way out of: {text}")
    bad = False
    for file, function, text in stale:
        print(f"{path}: {file}, {function}: gone, or tested by now: {text}")
    for file in sorted(counts.keys() | still_open.keys()):
        if counts[file] > still_open.get(file, 0):
            bad = True
            print(f"{file}: {counts[file]} conditions are neither tested nor explained; "
                  f"{path} says {still_open.get(file, 0)}: test or explain what is new")
        elif counts[file] < still_open.get(file, 0):
            print(f"{path}: {file} has only {counts[file]} open conditions by now")
    print(f"conditions with a way out that no test takes: {len(missed)}, explained "
          f"{len(missed) - len(new)}, open {len(new)}")
    return 1 if bad or stale else 0


if __name__ == "__main__":
    sys.exit(main())
