#!/usr/bin/env python3
"""Two writers of one folder: the second is refused with the name of the first, and what a killed
one left is taken over by one process alone.

usage: claims.py LOCKSTEP [PART-OF-A-CASE'S-NAME]
"""
import glob
import os
import signal
import socket
import subprocess
import time

from kit import Refusal, Suite, clean_environment

suite = Suite(threads=2)
data = suite.pack("data", 128, 32, "--size", 8)
train = suite.train
FOREVER = ["--epochs", "100000"]
HOST = socket.gethostname()
ELSEWHERE = {"host": "elsewhere", "pid": 5, "start": 7, "boot": "another", "space": "pid:[1]",
             "job": "", "step": "", "attempt": 0, "since": "2026-01-31T12:00:00+0000", "key": "0" * 32}


def add(name, function, *arguments):
    suite.add(name, lambda: function(name, *arguments))


def claim(folder, age_seconds=0, **changes):
    """What a process of another machine left, that long ago."""
    os.makedirs(f"{folder}/run", exist_ok=True)
    with open(f"{folder}/new.txt", "w", encoding="ascii") as file:
        for name, value in {**ELSEWHERE, **changes}.items():
            file.write(f"{name} {value}\n")
    then = time.time() - age_seconds
    os.utime(f"{folder}/new.txt", (then, then))
    os.rename(f"{folder}/new.txt", f"{folder}/run/claim.txt")


def expect(condition, why):
    if not condition:
        raise Refusal(why)


def finishes(title, folder, **environment):
    """A short run into case's `run` ends well and leaves no claim."""
    job = suite.start(title, suite.command(0, *train(data)), folder=folder, **environment)
    expect(job.wait() == 0, job.said())
    expect(not os.path.exists(f"{folder}/run/claim.txt"), "it left its claim")
    expect(os.path.exists(f"{folder}/run/summary.csv"), "it left no summary")


def second_of_two(title, ranks):
    first = suite.start(title, suite.command(0, *train(data, *FOREVER)))
    first.until("the first epoch", lambda: first.epochs() >= 1)
    folder = suite.folder_of(title + " again")
    second = suite.start(title, suite.command(ranks, *train(data, "--results",
                                                            f"{first.folder}/run")), folder=folder)
    suite.check(second, 2, f"run: another process writes there: pid {first.process.pid} on host "
                f"{HOST}, since 20")
    epochs = first.epochs()
    first.until("an epoch more", lambda: first.epochs() > epochs)
    os.kill(first.process.pid, signal.SIGTERM)
    suite.check(first, 143, "interrupted by SIGTERM")
    expect(not os.path.exists(f"{first.folder}/run/claim.txt"), "an interrupted run left its claim")


def after_a_kill(title):
    job = suite.start(title, suite.command(0, *train(data, *FOREVER)))
    job.until("the first epoch", lambda: job.epochs() >= 1)
    os.kill(job.process.pid, signal.SIGKILL)
    job.wait()
    expect(os.path.exists(f"{job.folder}/run/claim.txt"), "a killed run cannot have removed it")
    finishes(title, job.folder)


def files_of_a_killed_run(title):
    """The new attempt's files are the folder's only ones; another program's event file is not ours."""
    job = suite.start(title, suite.command(0, *train(data, *FOREVER)))
    job.until("the first epoch", lambda: job.epochs() >= 1)
    os.kill(job.process.pid, signal.SIGKILL)
    job.wait()
    killed = set(glob.glob(f"{job.folder}/run/*tfevents*"))
    expect(len(killed) == 1, killed)
    with open(f"{job.folder}/run/steps.csv", "w", encoding="ascii") as file:
        file.write("step,epoch,loss\n1,1,2.5\n")  # killed between it and summary.csv
    other = f"{job.folder}/run/events.out.tfevents.0000000001.elsewhere.7.0"
    version = b"\x09" + b"\0" * 8 + b"\x1a\x0dbrain.Event:2"
    with open(other, "wb") as file:
        file.write(len(version).to_bytes(8, "little") + b"\0" * 4 + version + b"\0" * 4)
    finishes(title, job.folder)
    left = set(glob.glob(f"{job.folder}/run/*tfevents*"))
    expect(len(left) == 2 and other in left and not left & killed, (left, killed))
    expect(not os.path.exists(f"{job.folder}/run/steps.csv"), "steps.csv of the killed run is left")


def stopped(title):
    """A process that does not run is no dead one, however old its sign of life is."""
    job = suite.start(title, suite.command(0, *train(data, *FOREVER)))
    job.until("the first epoch", lambda: job.epochs() >= 1)
    os.kill(job.process.pid, signal.SIGSTOP)
    os.utime(f"{job.folder}/run/claim.txt", (1, 1))
    second = suite.start(title, suite.command(0, *train(data, "--results", f"{job.folder}/run")),
                         folder=suite.folder_of(title + " again"))
    suite.check(second, 2, f"pid {job.process.pid} on host")
    os.kill(job.process.pid, signal.SIGCONT)
    os.kill(job.process.pid, signal.SIGTERM)
    job.wait()


def many_at_once(title, prepare):
    """One of them gets the folder, whatever lay in it."""
    folder = suite.folder_of(title)
    prepare(folder)
    # Long enough that the others meet it at work; who comes late finds it done, and is refused as well.
    command = suite.command(0, *train(data, "--epochs", "150"))
    running = [subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                env=clean_environment()) for _ in range(6)]
    try:
        said = [(each.communicate(timeout=200)[1].decode(), each.returncode) for each in running]
    finally:
        for each in running:
            each.kill()
    codes = sorted(code for _, code in said)
    expect(codes == [0, 2, 2, 2, 2, 2], f"exit codes {codes}: {said}")
    for text, code in said:
        expect(code == 0 or "another process writes there" in text or "already holds" in text, text)
    expect(sorted(name for name in os.listdir(f"{folder}/run") if "claim" in name) == [],
           f"left: {os.listdir(f'{folder}/run')}")


def of_another_host(title):
    folder = suite.folder_of(title)
    claim(folder)
    job = suite.start(title, suite.command(0, *train(data)), folder=folder)
    suite.check(job, 2, "pid 5 on host elsewhere, since 2026.*sign of life.*run/claim.txt")
    claim(folder, age_seconds=200)
    finishes(title, folder)


def taken_over(title):
    """A run that another one took for dead writes nothing more."""
    job = suite.start(title, suite.command(0, *train(data, *FOREVER)))
    job.until("the first epoch", lambda: job.epochs() >= 1)
    claim(job.folder)
    suite.check(job, 1, "run: another process has taken it over .*: pid 5 on host elsewhere")
    expect(os.path.exists(f"{job.folder}/run/claim.txt"), "it removed another's claim")


def slurm(title, answer, code, pattern):
    """squeue knows whether the step of another host still runs."""
    folder = suite.folder_of(title)
    os.mkdir(f"{folder}/bin")
    with open(f"{folder}/bin/squeue", "w", encoding="ascii") as file:
        file.write(f'#!/bin/sh\necho "$@" >>{folder}/asked\n{answer}\n')
    os.chmod(f"{folder}/bin/squeue", 0o755)
    claim(folder, age_seconds=500, job=12, step=3)
    path = f"{folder}/bin:{os.environ['PATH']}"
    if code == 0:
        finishes(title, folder, PATH=path)
    else:
        suite.check(suite.start(title, suite.command(0, *train(data)), folder=folder, PATH=path),
                    code, pattern)
    with open(f"{folder}/asked", encoding="ascii") as file:
        expect("--steps=12.3" in file.read(), "squeue was asked something else")


def earlier_attempt(title):
    """After --requeue the job has the number of the one whose node died."""
    folder = suite.folder_of(title)
    claim(folder, job=12, step=0)
    job = suite.start(title, suite.command(0, *train(data)), folder=folder, SLURM_JOB_ID="12")
    suite.check(job, 2, "pid 5 on host elsewhere, Slurm job 12")
    finishes(title, folder, SLURM_JOB_ID="12", SLURM_RESTART_COUNT="1")


def two_packs(title):
    folder = suite.folder_of(title)
    pack = [suite.lockstep, "pack", "synthetic", "out", "--images"]
    first = suite.start(title, [*pack, "200000", "--size", "64", "--threads", "1"], folder=folder)
    first.until("the claim", lambda: os.path.exists(f"{folder}/out/claim.txt"))
    second = suite.start(title, [*pack, "100", "--force"], folder=suite.folder_of(title + " again"))
    second.wait()
    found = subprocess.run([*pack, "100", "--force"], cwd=folder, capture_output=True, check=False,
                           env=clean_environment())
    expect(found.returncode == 2 and f"pid {first.process.pid} on".encode() in found.stderr, found)
    os.kill(first.process.pid, signal.SIGTERM)
    first.wait()
    expect(not os.path.exists(f"{folder}/out"), "an interrupted pack left its folder")


add("a folder that another run holds", second_of_two, 0)
add("a folder that another run holds, 2 ranks", second_of_two, 2)
add("the claim of a killed run", after_a_kill)
add("the files of a killed run", files_of_a_killed_run)
add("the claim of a stopped run", stopped)
add("a new folder, six at once", many_at_once, lambda folder: None)
add("a dead claim, six at once", many_at_once, lambda folder: claim(folder, age_seconds=500))
add("the claim of another host", of_another_host)
add("a run that was taken over", taken_over)
add("a step that Slurm lists", slurm, "echo 12.3", 2, "pid 5 on host elsewhere, Slurm job 12")
add("a step that has ended", slurm, "exit 0", 0, "")
add("a job that Slurm has forgotten", slurm, "echo 'slurm_load_jobs error: Invalid job id' >&2; exit 1",
    0, "")
add("the claim of an earlier attempt of the job", earlier_attempt)
add("two packs into one folder", two_packs)
suite.finish()
