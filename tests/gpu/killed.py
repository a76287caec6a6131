#!/usr/bin/env python3
"""tests/gpu.sh on the emulated device, ended at six moments, then gone on with by --resume.

usage: killed.py BUILD-FOLDER [PARTS]

Ends are SIGKILL of the whole process group, and SIGTERM; they come after so many lines of the log,
and as files are being replaced. Each time every file of OUT must be whole (it parses, no line is
half, no other file lies there) and true: a check that is said to have passed was printed by a run of
its part that ended, and a part that was cut short did not pass. What had passed is not run again,
nothing of the killed run stays behind, and the last --resume finds everything done. TAP.
"""
import csv
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import Tap  # noqa: E402

build = os.path.abspath(sys.argv[1])
parts = (sys.argv[2] if len(sys.argv) > 2 else "kernels,overflow,epochs_bf16,floors_bf16,comm").split(",")
emulated = os.path.join(os.path.dirname(os.path.abspath(__file__)), "emulated.sh")
FILES = {"report.md", "checks.csv", "gpu.log", "plans", "epochs.csv", "op_floor.csv", "pytorch.csv", "losses.csv"}
# What ends a run, and when: after so many new lines of the log, or at the n-th time that the report
# is replaced, which is in the middle of replacing files.
MOMENTS = [(signal.SIGKILL, "lines", 1), (signal.SIGTERM, "lines", 12), (signal.SIGKILL, "report", 2),
           (signal.SIGKILL, "lines", 40), (signal.SIGTERM, "report", 2), (signal.SIGKILL, "lines", 4)]
tap = Tap()


def check(name, complaints):
    tap.check(name, not complaints, "\n".join(text[:1500] for text in complaints))


def read(name):
    with open(os.path.join(out, name), "rb") as file:
        return file.read()


def start(*options):
    environment = dict(os.environ, TMPDIR=scratch)
    return subprocess.Popen(["sh", emulated, build, "--only", ",".join(parts), *options, out], env=environment,
                            start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def stamp():
    try:
        return os.stat(os.path.join(out, "report.md")).st_mtime_ns
    except OSError:
        return 0


def lines():
    try:
        return read("gpu.log").count(b"\n")
    except OSError:
        return 0


def wait_for(child, kind, count):
    """True at the moment; False where it ended before."""
    began, seen, last = lines(), 0, stamp()
    while child.poll() is None:
        if kind == "lines" and lines() >= began + count:
            return True
        now = stamp()
        seen += now != last
        last = now
        if kind == "report" and seen >= count:
            return True
        time.sleep(0.001 if kind == "report" else 0.01)
    return False


# ---- whole

def table(name, wrong):
    text = read(name).decode()
    if not text.endswith("\n"):
        wrong.append(f"{name} ends in half a line: {text[-80:]!r}")
    rows = list(csv.reader(io.StringIO(text)))
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        wrong.append(f"{name}: rows of unlike lengths")
    return rows


def hash_of(text):
    value = 0xcbf29ce484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001b3 % 2**64
    return value


def whole(wrong):
    found = set(os.listdir(out))
    if found - FILES:
        wrong.append(f"other files: {found - FILES}")
    if any(os.path.getsize(os.path.join(out, name)) > 16 << 20 for name in found):
        wrong.append("a file of more than 16 MiB")
    for name in found & {"epochs.csv", "op_floor.csv", "losses.csv", "pytorch.csv"}:
        table(name, wrong)
    log = read("gpu.log").decode()
    if log and not log.endswith("\n") or "\0" in log:
        wrong.append(f"gpu.log ends in half a line: {log[-80:]!r}")
    if "plans" in found:
        kept = read("plans").decode().split("\n")
        if kept[0] != "lockstep choices 2" or kept[-1]:
            wrong.append("plans: cut short")
        for line in kept[1:-1]:
            body, _, checksum = line.rpartition("\t")
            if f"{hash_of(body):016x}" != checksum and f"{hash_of(body + chr(9)):016x}" != checksum:
                wrong.append(f"plans: damaged: {line}")
    return log


# ---- true

def runs_of(log):
    """Each run of a part: its name, what it printed, whether another line of gpu.sh follows it."""
    pieces = re.split(r"^=== (\S+)(?: \(at most \d+ s\)| .*)\n", log, flags=re.M)
    return [(pieces[i], pieces[i + 1]) for i in range(1, len(pieces), 2)]


def true(log, wrong, term, before):
    rows = table("checks.csv", wrong)
    if rows[0] != ["part", "result", "check", "reason"]:
        wrong.append(f"checks.csv begins with {rows[0]}")
    runs = [run for run in runs_of(log) if run[0] in parts]
    last = {name: text for name, text in runs}
    for part, result, name, _ in rows[1:]:
        sign = "not ok" if result == "failed" else "ok"
        if part not in last or f"{sign} - {name}"[:490] not in last[part] and "stopped by SIG" not in name:
            wrong.append(f"{part}: '{name}' {result}, and its last run printed no such case")
    done = {row[0] for row in rows[1:]}
    stopped = {row[0] for row in rows[1:] if "stopped by SIGTERM" in row[2]}
    if stopped and not term:
        wrong.append(f"{stopped}: stopped by a signal that nobody sent")
    for part in before:
        if part not in done:
            wrong.append(f"{part} had passed, and is gone")
    report = read("report.md").decode()
    counts = tuple(map(int, re.search(r"^(\d+) passed, (\d+) failed, (\d+) skipped", report, re.M).groups()))
    shown = {m[0]: tuple(map(int, m[1:])) for m in re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \| (\d+) \|$", report, re.M)}
    for index in range(3):
        if sum(row[index] for row in shown.values()) != counts[index]:
            wrong.append(f"report.md: {counts} in all, {shown}")
    for part in done - stopped:
        if part not in shown:
            wrong.append(f"report.md lacks {part}")
    if len(set(shown) - done) > 1:
        wrong.append(f"report.md is more than one part ahead of checks.csv: {set(shown) - done}")
    if report.count("<!-- end of ") * 2 != report.count("<!-- ") - 1 or not report.endswith("\n"):
        wrong.append("report.md: a section is cut short")
    missing = re.search(r"^\*\*Not all has run.\*\* Missing: (.*)\.$", report, re.M)
    missing = set(missing[1].split()) if missing else set()
    if missing & set(shown) - stopped or missing | set(shown) != set(parts):
        wrong.append(f"report.md: missing {missing}, shown {set(shown)}")
    failed = {row[0] for row in rows[1:] if row[1] == "failed"}
    return done - failed


def ours():
    """Processes of a run of gpu.sh: they were started with our folder for scratch."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if f"TMPDIR={scratch}".encode() in file.read().split(b"\0"):
                    found.append(name)
        except OSError:
            pass
    return found


def gone(wrong):
    end = time.monotonic() + 20
    while ours() and time.monotonic() < end:
        time.sleep(0.1)
    if ours():
        wrong.append(f"processes that were left: {ours()}")


folder = tempfile.mkdtemp()
out, scratch = os.path.join(folder, "out"), os.path.join(folder, "scratch")
os.makedirs(scratch)
os.makedirs(out)
passed = set()
try:
    for number, (how, kind, count) in enumerate(MOMENTS):
        started = [name for name, _ in runs_of(read("gpu.log").decode())] if number else []
        child = start(*(["--resume"] if number else []))
        ended = not wait_for(child, kind, count)
        os.killpg(child.pid, how) if not ended else None
        child.communicate()
        wrong = [] if not ended else [f"it ended by itself, with {child.returncode}, before moment {number + 1}"]
        gone(wrong)
        log = whole(wrong)
        repeated = [name for name, _ in runs_of(log)[len(started):] if name in passed]
        if repeated:
            wrong.append(f"had passed and ran again: {repeated}")
        passed = true(log, wrong, how == signal.SIGTERM, passed)
        check(f"{how.name} after {count} {kind}: files whole and true ({len(passed)} of {len(parts)} parts done)", wrong)
    child = start("--resume")
    said = child.communicate()[0]
    wrong = []
    log = whole(wrong)
    passed = true(log, wrong, False, passed)
    check("--resume finishes the rest", wrong + (
        [f"exit code {child.returncode}, {passed}: {said}"] if child.returncode or passed != set(parts) else []))
    wrong = []
    gone(wrong)
    left = os.listdir(scratch) + [name for name in os.listdir(folder) if name.startswith("out.")]
    check("nothing of any of them is left behind", wrong + ([f"{left}"] if left else []))
finally:
    shutil.rmtree(folder, ignore_errors=True)
sys.exit(tap.done())
