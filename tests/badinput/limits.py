#!/usr/bin/env python3
"""Limits of a process, its user and its network, reached in the middle of a launch: the line names
them, where all that the system says looks like a network's or a memory's fault.

usage: limits.py LOCKSTEP [PART-OF-A-CASE'S-NAME]
"""
import json
import os
import shutil
import subprocess

from kit import MPIRUN, Refusal, Skip, Suite, clean_environment

suite = Suite(threads=2)
data = suite.pack("data", 128, 32, "--size", 8)
train = suite.train
# A user that has no process: what a limit counts is the run alone.
LONELY = "54321"


def limited(what, program):
    if not shutil.which("prlimit"):
        raise Skip("no prlimit")
    return ["prlimit", what, *program]


def as_lonely(title):
    """The command's beginning, the binary, the folder."""
    if os.geteuid() != 0:
        raise Skip("only root can be a user that has no process, and root itself has no such limit")
    folder = suite.folder_of(title)
    _, binary = suite.other_user(folder)
    return ["setpriv", f"--reuid={LONELY}", f"--regid={LONELY}", "--clear-groups"], binary, folder


# ---- address space
def begins_in(space):
    done = subprocess.run(["prlimit", f"--as={space * 1024}", suite.lockstep, "train"], check=False,
                          capture_output=True, text=True, env=clean_environment())
    return done.returncode == 2


def least_space():
    """KiB in which the program at least begins, to 1%: a build with CUDA maps gigabytes of libraries."""
    too_little, enough = 10_000, 8_000_000
    if not begins_in(enough):
        raise Skip("the program does not begin in 8 GB of address space (a sanitiser's)")
    while enough - too_little > enough // 100:
        middle = (too_little + enough) // 2
        too_little, enough = (too_little, middle) if begins_in(middle) else (middle, enough)
    return enough


def little_space(title):
    """More and more of it: at no limit between too little to begin and enough is another cause named."""
    if not shutil.which("prlimit"):
        raise Skip("no prlimit")
    begins, named, more, number = least_space(), 0, 0, 0
    while more < 1_000_000:
        space = begins + more
        program = suite.command(0, *train(data, "--threads", "2", mode="single"))
        job = suite.start(f"{title} {number}", limited(f"--as={space * 1024}", program))
        if job.wait() == 0:
            break
        lines = [line for line in job.error_lines() if line.startswith("lockstep: ")]
        named += len(lines) == 1 and f"address space is limited to {space // 1024} MiB" in lines[0]
        if len(lines) > 1:
            raise Refusal(job.said())
        number += 1
        more += max(3_000, more // 4)
    if not named:
        raise Refusal(f"no run from {begins} KiB on named the limit\n{job.said()}")


# ---- processes
def few_processes(title, limit, threads):
    user, binary, folder = as_lonely(title)
    program = suite.command(0, *train(data, "--threads", str(threads), mode="single"), binary=binary)
    job = suite.start(title, [*user, *limited(f"--nproc={limit}", program)], folder=folder, HOME=folder)
    suite.check(job, 1, rf"cannot start a thread: .*\(this user's processes and threads are limited to {limit}: "
                r"ulimit -u")


def doctor_of_processes(title):
    user, binary, folder = as_lonely(title)
    job = suite.start(title, [*user, *limited("--nproc=5", [binary, "doctor", "--json"])],
                      folder=folder, HOME=folder)
    job.wait()
    job.out.seek(0)
    try:
        checks = {each["check"]: each for each in json.load(job.out)["checks"]}
    except ValueError:
        raise Refusal(job.said()) from None
    found = checks["processes"]
    if found["level"] != "warning" or "this user may have 5 processes and threads" not in found["found"] or \
            "ulimit -u" not in found["mend"]:
        raise Refusal(found)


# ---- ports
def few_ports(title):
    """mpirun and PMIx take the first ones, so that the launch finds fewer and fewer: at some number it
    is ours that has none."""
    if not shutil.which("unshare") or not shutil.which("ip"):
        raise Skip("no unshare, or no ip")
    script = ('ip link set lo up && echo "40000 $0" >/proc/sys/net/ipv4/ip_local_port_range && exec "$@"')
    alone = ["unshare", "-n", "sh", "-c", script]
    if subprocess.run([*alone, "40100", "true"], check=False, capture_output=True).returncode:
        raise Skip("this user may not make a network name space")
    found = []
    for last in range(40000, 40012):
        program = suite.command(0, *train(data))
        job = suite.start(f"{title} {last}", [*alone, str(last), *MPIRUN, "-n", "2", *program])
        code = job.wait()
        lines = [line for line in job.error_lines() if line.startswith("lockstep: ")]
        found += [line for line in lines if "sysctl net.ipv4.ip_local_port_range" in line]
        if code == 0:
            break
    if not found:
        raise Refusal(f"no launch named the ports\n{job.said()}")


suite.add("little address space", lambda: little_space("little address space"))
for most, count in ((1, 1), (2, 1), (3, 2), (4, 6)):
    name = f"{most} processes, {count} threads"
    suite.add(name, lambda name=name, most=most, count=count: few_processes(name, most, count))
suite.add("doctor: few processes", lambda: doctor_of_processes("doctor: few processes"))
if suite.mpirun:
    suite.add("few ports", lambda: few_ports("few ports"))
suite.finish()
