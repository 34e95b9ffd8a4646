#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Records programs and holds the traces against what the programs saw of themselves.

usage: record_test.py OBJRMAP DIRECTORY CASE

DIRECTORY is where the test programs were built. Exit code 77 where this machine does not permit recording.
"""

import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # the source tree stays as it is
import check_trace

HERE = os.path.dirname(os.path.abspath(__file__))
SKIPPED = 77
PARTS = "remap brk protect advise lock shared file stack threads children thread-exec".split()


class Denied(Exception):
    pass


class Case:
    def __init__(self, objrmap, programs, scratch):
        self.objrmap = objrmap
        self.programs = programs
        self.scratch = scratch
        self.maps = os.path.join(scratch, "maps")
        self.trace = os.path.join(scratch, "trace.vmt.zst")
        self.failed = 0
        os.mkdir(self.maps)

    def fail(self, text):
        print("FAILED:", text, file=sys.stderr)
        self.failed += 1

    def expect(self, good, text):
        if not good:
            self.fail(text)

    def program(self, name):
        return os.path.join(self.programs, name)

    def record(self, *command, options=(), code=0, **how):
        environment = dict(os.environ, MAPS_DIR=self.maps, LC_ALL="C")
        result = subprocess.run([self.objrmap, "record", "-o", self.trace, *options, "--", *command],
                                env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, check=False, **how)
        if result.returncode == 1 and re.search("not permitted|tracefs|no tracepoint|does not trace", result.stderr):
            raise Denied(result.stderr)
        self.expect(result.returncode == code, f"{command}: exit code {result.returncode}\n{result.stderr}")
        return result

    def preloaded(self, *command):
        return self.record("env", "LD_PRELOAD=" + self.program("libmaps-at-exit.so"), *command)

    def check(self, *options):
        result = subprocess.run([sys.executable, os.path.join(HERE, "check_trace.py"), self.trace, "--maps",
                                 self.maps, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                check=False)
        print(result.stdout, end="")
        self.expect(result.returncode == 0, "the trace is not what happened")

    def lines(self):
        text = subprocess.run(["zstd", "-dcq", self.trace], stdout=subprocess.PIPE, check=True).stdout
        return text.decode(errors="replace").splitlines()

    def notes(self):
        return dict(line.split(" ", 2)[1:] for line in self.lines() if line.startswith("! "))


def life(case, variant):
    program = case.program(variant)
    if not os.path.exists(program):
        print(f"{variant} could not be built here")
        return SKIPPED
    result = case.record(program, *PARTS)
    case.expect("the command" not in result.stderr.split("recorder itself")[0], result.stderr)
    case.check("--compared", "39", "--lines", "mudvnalksrwpfxe", "--processes", "27")
    return 0


def exec_forms(case):
    """A script, 100 KiB of arguments, a small stack, addresses that are not randomised."""
    script = os.path.join(case.scratch, "script")
    with open(script, "w", encoding="utf-8") as file:
        file.write(f"#!{case.program('life')} brk\n")
    os.chmod(script, 0o755)
    case.record(script)
    case.check("--compared", "5")
    case.record(case.program("life"), "brk", *["x" * 32000] * 3)
    case.check("--compared", "5")
    written = [line for line in case.lines() if line.startswith("w ")][0].split()
    case.expect(len(written) == 4 and int(written[3]) >= 24, f"argument pages: {written}")
    def small_stack():
        resource.setrlimit(resource.RLIMIT_STACK, (256 * 1024, 256 * 1024))
    case.record(case.program("life"), "brk", preexec_fn=small_stack)
    case.check("--compared", "5")
    case.record("setarch", "-R", case.program("life"), "brk", "stack")
    case.check("--compared", "7")
    command = ["sh", "-c", "test \"$1\" = \"it's $2\"", "$0", "it's  one", " one"]
    case.record(*command)
    case.expect(shlex.split(case.notes()["command"]) == command, f"noted: {case.notes()['command']}")
    return 0


def programs(case):
    """Other people's programs, with their maps at begin and exit."""
    shell = "for i in 1 2 3; do (echo $i | cat | sort); ls -l /usr/lib >/dev/null; done; (true); x=$(date); wait"
    case.preloaded("sh", "-c", shell)
    case.check("--compared", "20", "--processes", "12", "--lines", "pfxemudrw")
    python = ("import multiprocessing as m, threading, subprocess\n"
              "with m.get_context('fork').Pool(3) as p: print(sum(p.map(abs, range(1000))))\n"
              "t = [threading.Thread(target=lambda: bytearray(3000000)) for i in range(10)]\n"
              "[x.start() for x in t]; [x.join() for x in t]; subprocess.run(['true'])\n")
    case.preloaded(sys.executable, "-c", python)
    case.check("--compared", "4", "--processes", "5")
    return 0


def build(case):
    """A compile by make -j2: complete, and with nearly as many faults as the kernel counted."""
    count = 12
    for i in range(count):
        with open(os.path.join(case.scratch, f"f{i}.c"), "w", encoding="utf-8") as file:
            file.write("#include <stdio.h>\n#include <stdlib.h>\n")
            file.write("".join(f"int f{i}_{k}(int a) {{ return printf(\"%d\", a) + rand(); }}\n" for k in range(40)))
    with open(os.path.join(case.scratch, "Makefile"), "w", encoding="utf-8") as file:
        file.write("all: " + " ".join(f"f{i}.o" for i in range(count)) + "\n%.o: %.c\n\tcc -O2 -c -o $@ $<\n")
    case.preloaded("make", "-C", case.scratch, "-j2")
    case.check("--compared", "70", "--processes", str(2 * count + 1))
    notes = case.notes()
    user, kernel = (int(word) for word in re.findall(r"\d+", notes["faults_recorded"]))
    counted = int(notes["faults_kernel_counted"])
    print(f"{user + kernel} faults recorded, {counted} counted by the kernel")
    case.expect(abs(user + kernel - counted) <= counted * 0.02, "fault counts differ by more than 2 %")
    return 0


def inherited(case):
    """Without a control group, the same."""
    case.record(case.program("life"), *PARTS, options=("--inherit",))
    case.check("--compared", "39", "--processes", "27")
    case.expect(case.notes()["recorder"] == "perf-inherit", "recorder note")
    return 0


def sizes(case):
    """A file that is cut and grown while it is mapped, by a process that goes on living."""
    case.record(case.program("life"), "truncate")
    case.check("--compared", "2", "--lines", "g")
    known = {line.split()[2] for line in case.lines() if line.startswith("g ")}
    case.expect({"28000", "3000"} <= known, f"sizes told: {known}")
    return 0


def dump(case):
    """What a replay says a process looks like at the end is what the kernel said."""
    listed = subprocess.run([case.objrmap, "--help"], stdout=subprocess.PIPE, text=True, check=False).stdout
    if "replay" not in listed:
        print("this objrmap cannot replay")
        return SKIPPED
    result = case.record(case.program("life"), "remap", "protect", "shared", "file", "stack", "linger")
    pid = int(re.search(r"lingering (\d+)", result.stderr).group(1))
    os.kill(pid, 15)
    out = os.path.join(case.scratch, "dump")
    subprocess.run([case.objrmap, "replay", case.trace, "--dump", out], stdout=subprocess.DEVNULL, check=True)
    names = dict(line.split(" ", 4)[1::3] for line in case.lines() if line.startswith("o "))
    told = []
    with open(out, encoding="utf-8") as file:
        for line in file:
            fields = line.split()
            if fields[:2] == ["a", str(pid)]:
                name = names[fields[5]] if fields[5] != "-" else ""
                anonymous = name in ("", "/dev/zero")
                told.append((int(fields[2], 16), int(fields[3], 16), fields[4], "" if anonymous else name,
                             0 if anonymous else int(fields[6], 16)))
    newest = max((name for name in os.listdir(case.maps) if name.startswith(f"{pid}.")),
                 key=lambda name: int(name.split(".")[1]))
    with open(os.path.join(case.maps, newest), encoding="utf-8") as file:
        real = check_trace.joined(check_trace.real_areas(file))
    told = check_trace.joined(told)
    for area in sorted(set(real) ^ set(told)):
        case.fail(("really " if area in real else "replayed ") + check_trace.show(area))
    case.expect(len(real) > 20, "hardly any areas")
    print(f"{len(real)} areas of the replayed process compared")
    return 0


def endings(case):
    """How commands end, what cannot be run, and who is left behind."""
    result = case.record("sh", "-c", "exit 3")
    case.expect("exited with 3" in result.stderr, result.stderr)
    case.expect(case.notes()["status"] == "exited with 3", "status note")
    result = case.record("/nonexistent/program", code=1)
    case.expect("cannot run /nonexistent/program" in result.stderr, result.stderr)
    case.expect(not os.path.exists(case.trace), "a trace of nothing was left")
    result = case.record("sh", "-c", "kill -9 $$")
    case.expect("killed by signal 9" in result.stderr, result.stderr)
    case.check()
    result = case.record("sh", "-c", "sleep 20 >/dev/null 2>&1 & echo $!")
    case.expect("still running" in result.stderr, result.stderr)
    os.kill(int(result.stdout), 15)
    case.check()
    full = subprocess.run([case.objrmap, "record", "-o", "/dev/full", "--", "true"], stderr=subprocess.PIPE, text=True,
                          check=False)
    case.expect(full.returncode == 1 and "cannot write /dev/full" in full.stderr, full.stderr)
    for wrong in (["record"], ["record", "--ring", "3", "true"], ["record", "--no-such-option", "true"]):
        result = subprocess.run([case.objrmap, *wrong], stderr=subprocess.PIPE, text=True, check=False)
        case.expect(result.returncode == 2 and result.stderr.startswith("objrmap: "), f"{wrong}: {result}")
    return 0


CASES = {
    "life": lambda case: life(case, "life"),
    "life-static": lambda case: life(case, "life-static"),
    "life-static-pie": lambda case: life(case, "life-static-pie"),
    "life-fixed": lambda case: life(case, "life-fixed"),
    "life-execstack": lambda case: life(case, "life-execstack"),
    "exec-forms": exec_forms,
    "programs": programs,
    "build": build,
    "inherited": inherited,
    "sizes": sizes,
    "dump": dump,
    "endings": endings,
}


def main():
    objrmap, directory, name = sys.argv[1:4]
    with tempfile.TemporaryDirectory(prefix="objrmap-record-") as scratch:
        case = Case(objrmap, directory, scratch)
        try:
            code = CASES[name](case)
        except Denied as denied:
            print("skipped, this machine does not permit recording:", denied)
            return SKIPPED
        return 1 if case.failed else code


if __name__ == "__main__":
    sys.exit(main())
