#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""watch.py OBJRMAP TRACES [without-signals] - replay --watch draws on terminals and on nothing else, within the window,
and gives the terminal back however the run ends; and its series tells how the run went."""
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

objrmap, traces = sys.argv[1:3]
TAKE, GIVE_BACK, HOME = b"\033[?1049h\033[?25l", b"\033[?25h\033[?1049l", b"\033[H"
KINDS = ["anonymous", "file", "shm", "page tables", "free", "in swap"]
RATES = ["faults", "scanned", "freed", "to swap", "from swap"]
failed = False


def expect(right, *what):
    global failed
    if not right:
        print(*what)
        failed = True


class Terminal:
    """A replay whose stderr is a terminal; its stdin is a pipe, its stdout a file."""

    def __init__(self, arguments, columns=80, rows=24, **environment):
        stdin, self.stdin = os.pipe()
        self.stdout = tempfile.TemporaryFile()
        self.output = b""
        start, go = os.pipe()
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.read(start, 1)  # the window has its size
            os.dup2(stdin, 0)
            os.dup2(self.stdout.fileno(), 1)
            os.close(self.stdin)
            os.environ.pop("NO_COLOR", None)
            os.environ.update({"TERM": "xterm", "LC_ALL": "C.UTF-8", **environment})
            os.execv(objrmap, [objrmap, "replay", "--watch", *arguments])
        os.close(stdin)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.write(go, b"x")
        os.close(go)
        os.close(start)

    def read_until(self, mark, seconds=20):
        """All that has come, when the mark is in it or at the end."""
        end = time.time() + seconds
        os.set_blocking(self.master, False)
        while mark not in self.output and time.time() < end:
            try:
                self.output += os.read(self.master, 65536)
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                break
        return self.output

    def end(self):
        os.set_blocking(self.master, True)
        try:
            while data := os.read(self.master, 65536):
                self.output += data
        except OSError:
            pass
        os.close(self.master)
        self.status = os.waitpid(self.pid, 0)[1]
        self.stdout.seek(0)
        self.report = self.stdout.read()
        return self

    def feed(self, text):
        os.write(self.stdin, text.encode())
        return self

    def finish(self):
        os.close(self.stdin)
        return self.end()

    def lines(self):
        """Each picture's lines as they can be seen, the last picture's as well."""
        for picture in self.output.replace(GIVE_BACK, HOME).split(HOME)[1:]:
            text = re.sub(rb"\033\[[?0-9;]*[a-zA-Z]", b"", picture).decode()
            if text.strip():
                yield text.replace("\r", "").split("\n")


def is_given_back(output):
    return output.count(TAKE) == output.count(GIVE_BACK) > 0 and output.rfind(TAKE) < output.rfind(GIVE_BACK)


def endless():
    """Enough events for a picture, and no end: of the first 15, the fourth makes a process large, and the sixth
    maps the zero page, which does not."""
    header = "objrmap-trace 1\np 41 small\np 42 large\nm 42 10000000 1000000 rw-p - 0\nw 42 10000000 100\n"
    return header + "m 41 10000000 10000 rw-p - 0\nr 42 10800000 8\n" + "w 41 10000000 3\n" * 60


def mix(path):
    with open(path, "wb") as file:
        program = os.path.join(os.path.dirname(sys.argv[0]), "mix.awk")
        subprocess.run(["awk", "-v", "seed=3", "-v", "events=6000", "-f", program], stdout=file, check=True)


def drawing(trace):
    run = Terminal(["--memory", "50%", trace]).finish()
    text = "\n".join("\n".join(lines) for lines in run.lines())
    expect(run.status == 0, "status", run.status, run.output)
    expect(is_given_back(run.output), "not given back", run.output)
    expect(run.report.count(b"in the machine") == 1, "no report on stdout", run.report)
    for name in KINDS + RATES:
        expect(re.search("%s +[0-9]" % name, text), name, "is not drawn:", text)
    expect("█" in text and "\033[32m" in run.output.decode(), "no blocks in colour")

    for columns, rows in (40, 10), (61, 24), (200, 50):
        run = Terminal(["--memory", "50%", trace], columns, rows).finish()
        pictures = list(run.lines())
        expect(len(pictures) >= 2, "no pictures")
        for lines in pictures[:-1]:
            expect(len(lines) <= rows, len(lines), "lines in", rows)
        for line in [line for lines in pictures for line in lines]:
            expect(len(line) <= columns, len(line), "columns in", columns, line)

    for environment in {"NO_COLOR": "1"}, {"NO_COLOR": "1", "LC_ALL": "C"}:
        run = Terminal(["--memory", "50%", trace], **environment).finish()
        expect(b"anonymous" in run.output and is_given_back(run.output), "not drawn", environment)
        expect(not re.search(rb"\033\[[0-9;]*m", run.output), "colours in spite of", environment)
        expect(b"aaaaaa" in run.output, "a bar without letters")
    expect(max(run.output) < 128, "more than ASCII in the C locale")


def silence(trace):
    run = Terminal(["--memory", "4M", trace], TERM="dumb").finish()
    expect(run.status == 0 and not run.output, "drawn on a dumb terminal:", run.output)
    done = subprocess.run([objrmap, "replay", "--watch", trace], capture_output=True)
    expect(done.returncode == 0 and not done.stderr, "drawn into a pipe:", done.stderr)


def endings():
    arguments = ["--memory", "4M", "-"]
    for cpus in "1", "2":
        run = Terminal(["--cpus", cpus, *arguments]).feed(endless())
        expect(b"42 large" in run.read_until(b"42 large"), "no large process:", run.output)
        run.read_until(b"41 small")
        os.write(run.master, b"\x03")  # what Ctrl-C types
        run.end()
        expect(os.WIFSIGNALED(run.status) and os.WTERMSIG(run.status) == signal.SIGINT, "status", run.status)
        expect(is_given_back(run.output), "Ctrl-C: not given back", run.output)
        os.close(run.stdin)
        expect(any(re.match(" *42 large +400 KiB ", line) for lines in run.lines() for line in lines),
               "not as large as it is:", run.output)

    run = Terminal(arguments).feed(endless())
    run.read_until(b"41 small")
    os.kill(run.pid, signal.SIGTERM)
    run.end()
    expect(os.WIFSIGNALED(run.status) and os.WTERMSIG(run.status) == signal.SIGTERM, "status", run.status)
    expect(is_given_back(run.output), "SIGTERM: not given back", run.output)
    os.close(run.stdin)

    run = Terminal(arguments).feed(endless())
    run.read_until(b"41 small")
    os.kill(run.pid, signal.SIGTSTP)
    expect(os.WIFSTOPPED(os.waitpid(run.pid, os.WUNTRACED)[1]), "does not stop")
    expect(is_given_back(run.read_until(GIVE_BACK)), "stopped: not given back", run.output)
    os.kill(run.pid, signal.SIGCONT)
    run.finish()
    expect(run.status == 0 and run.output.count(TAKE) == 2 and is_given_back(run.output), "after a stop", run.output)

    run = Terminal(arguments).feed(endless() + "w 43 0 1\n").finish()
    expect(os.WEXITSTATUS(run.status) == 2 and is_given_back(run.output), "invalid trace", run.status)
    expect(b"process 43" in run.output.split(GIVE_BACK)[1], "the complaint is on the wrong screen", run.output)


def series(trace):
    plain = json.loads(subprocess.run([objrmap, "replay", "--json", trace], capture_output=True).stdout)
    expect(plain["designs"][0]["series"] is None, "a series that nobody asked for")
    for cpus in "1", "3":
        command = [objrmap, "replay", "--watch", "--json", "--memory", "50%", "--cpus", cpus, trace]
        report = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        design, samples = report["designs"][0], report["designs"][0]["series"]
        events = [sample["events"] for sample in samples]
        expect(events[0] == 0 and events[-1] == report["trace"]["events"], "from", events[0], "to", events[-1])
        expect(100 <= len(samples) <= 201, len(samples), "samples")
        gaps = {after - before for before, after in zip(events[:-2], events[1:-1])}
        expect(len(gaps) == 1 and 0 < events[-1] - events[-2] <= min(gaps), "distances", gaps)
        for name in "seconds", "faults", "scanned", "freed", "swapped_out", "swapped_in":
            values = [sample[name] for sample in samples]
            expect(values == sorted(values) and values[-1] > 0, name, values)
        if cpus == "1":
            for sample in samples:
                used = sum(sample[kind] for kind in ("anonymous", "file", "shm", "page_tables", "free"))
                expect(used <= design["memory"]["frames"], "more than all memory:", sample)
        expect(samples[-1]["faults"] == design["ops"]["fault"]["count"], "faults", samples[-1])
        for name in "scanned", "freed", "swapped_out", "swapped_in":
            expect(samples[-1][name] == design["reclaim"][name], name, samples[-1])
        expect(max(sample["swap"] for sample in samples) <= design["memory"]["swap_peak"], "swap")


with tempfile.TemporaryDirectory() as work:
    trace = os.path.join(work, "mix.vmt")
    mix(trace)
    drawing(trace)
    silence(os.path.join(traces, "family.vmt"))
    if sys.argv[3:] != ["without-signals"]:
        endings()
    series(trace)
sys.exit(failed)
