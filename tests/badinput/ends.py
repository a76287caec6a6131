#!/usr/bin/env python3
"""The middle of `lockstep train` is where things end: signals, ranks that are killed or stopped.

usage: ends.py LOCKSTEP [PART-OF-A-CASE'S-NAME]

What is sent at the wrong moment proves nothing, so each case waits for what it is about: the
signal handler, the first epoch, an evaluation that is longer than the training.
"""
import contextlib
import os
import re
import signal
import subprocess
import time

from kit import LIMIT_SECONDS, Refusal, Suite

# Whoever started the tests by nohup ignores it, and so would the runs.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

suite = Suite(threads=2)
data = suite.pack("data", 128, 32)
small = suite.pack("small", 128, 32, "--size", 8)  # a small network: soon in training
evaluated = suite.pack("evaluated", 16, 12000)
forever = ["--epochs", "100000"]
ERRORS = "ranks.txt"  # in a case's folder: what its ranks write to stderr, where mpirun would lose it
AT = r" in (set-up|warm-up|training|evaluation)"
STEP = r" in (training|evaluation), epoch [0-9]+, step [0-9]+"
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
# What else ends a run: a terminal that is gone, CPU time, a scheduler's warning.
OTHERS = (signal.SIGHUP, signal.SIGXCPU, signal.SIGUSR1, signal.SIGUSR2)
CODES.update({number: 128 + number for number in OTHERS})


def started(title, ranks, options=(), source=small, mode="ddp", before=(), **environment):
    command = suite.command(ranks, *suite.train(source, *forever, *options, mode=mode))
    return suite.start(title, [*before, *command], **environment)


def catches(pid, number):
    """The handler stands: the bit of the signal in SigCgt of proc(5)."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("SigCgt:"):
                    return int(line.split()[1], 16) >> number - 1 & 1
    return False


def mpirun_is_prterun():
    version = subprocess.run(["mpirun", "--version"], capture_output=True, text=True, check=False).stdout
    return re.search(r"Open MPI\) ([0-9]+)", version)[1] >= "5"


def training(job):
    job.until("the first epoch", lambda: job.epochs() >= 1)


def add(name, function, *arguments):
    suite.add(name, lambda: function(name, *arguments))


# ---- signals


def in_set_up(title, number):
    """As soon as the handler stands, and a little later: set-up and warm-up take half a second."""
    for moment in (0, 0.03, 0.1, 0.25):
        job = started(f"{title} {moment}", 0, source=data)
        job.until("the handler", lambda: catches(job.process.pid, number))
        time.sleep(moment)
        os.kill(job.process.pid, number)
        suite.check(job, CODES[number], f"interrupted by {number.name}($|{AT})")


def in_training(title, number, ranks, whom, mode="ddp"):
    """whom: a rank, "all" or "mpirun" (which ends its ranks by SIGTERM whatever it got itself, and
    has an exit code of its own). What ranks write from then on Open MPI 5's mpirun throws away: there
    it is asked of the ranks themselves."""
    command = suite.command(ranks, *suite.train(small, *forever, mode=mode))
    if whom == "mpirun" and mpirun_is_prterun():
        first = command.index(suite.lockstep)
        command[first:first] = ["sh", "-c", f'exec "$@" 2>>{ERRORS}', "sh"]
    job = suite.start(title, command)
    training(job)
    found = job.ranks()
    if len(found) != max(ranks, 1):
        raise Refusal(f"expected {ranks} ranks, found {found}")
    if whom == "mpirun":
        os.kill(job.process.pid, number)
        suite.check(job, (1, 130, 143), f"interrupted by SIGTERM{STEP}", errors=ERRORS)
        return
    for rank, pid in found.items():
        if whom in ("all", rank):
            os.kill(pid, number)
    suite.check(job, CODES[number], f"interrupted by {number.name}{STEP}")


def in_evaluation(title, number, ranks):
    job = started(title, ranks, source=evaluated)
    training(job)
    time.sleep(0.8)  # past the second epoch's one batch, in evaluation's twelve thousand images
    for pid in job.ranks().values():
        os.kill(pid, number)
    suite.check(job, CODES[number], f"interrupted by {number.name} in evaluation")


def with_step_log(title, number):
    """steps.csv is under its temporary name for the whole of the run."""
    job = started(title, 0, ["--step-log"])
    training(job)
    os.kill(job.process.pid, number)
    suite.check(job, CODES[number], f"interrupted by {number.name}{STEP}")


def taken_apart(title, ranks):
    """No thread that computes may take a signal: oneDNN's AVX-512 kernels do not survive a handler
    on their stack. The lifeline's thread takes them."""
    wanted = sum(1 << number - 1 for number in CODES)
    job = started(title, ranks, ["--threads", "2"])
    training(job)
    for pid in job.ranks().values():
        takes = []
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as file:
                blocked = next(line for line in file if line.startswith("SigBlk:"))
            if int(blocked.split()[1], 16) & wanted != wanted:
                takes.append(int(thread))
        if len(takes) != 1 or pid in takes:
            raise Refusal(f"process {pid}: threads that take signals: {takes}")
        os.kill(pid, signal.SIGTERM)
    suite.check(job, 143, f"interrupted by SIGTERM{STEP}")


def twice(title):
    """An impatient user."""
    job = started(title, 2)
    training(job)
    for _ in range(3):
        for pid in job.ranks().values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
    suite.check(job, 130, f"interrupted by SIGINT{STEP}")


def nohup(title, ranks):
    """What was ignored at the start stays so, for signals that a shell does not ignore by itself and
    whatever a library makes of them (UCX takes SIGHUP)."""
    command = suite.command(ranks, *suite.train(small, *forever))
    command.insert(command.index(suite.lockstep), "nohup")
    job = suite.start(title, command)
    training(job)
    for pid in job.ranks().values():
        os.kill(pid, signal.SIGHUP)
    before = job.epochs()
    job.until("more epochs", lambda: job.epochs() > before + 1)
    for pid in job.ranks().values():
        os.kill(pid, signal.SIGTERM)
    suite.check(job, 143, f"interrupted by SIGTERM{STEP}")


def leaves_no_steps(title):
    """steps.csv of a killed run is removed by the next one that writes there; another's is not."""
    job = started(title, 0, ["--step-log"])
    training(job)
    run = os.path.join(job.folder, "run")
    living = f".steps.csv.{os.getpid()}-0-" + [
        name for name in os.listdir(run) if name.startswith(".steps.csv.")][0].split("-")[-1]
    open(os.path.join(run, living), "w", encoding="ascii").close()
    job.end()
    if len([name for name in os.listdir(run) if name.startswith(".")]) != 2:
        raise Refusal(f"expected a leftover: {os.listdir(run)}")
    again = suite.start(title, suite.command(0, *suite.train(small)), folder=job.folder)
    again.wait()
    left = [name for name in os.listdir(run) if name.startswith(".")]
    if left != [living] or not os.path.exists(os.path.join(run, "summary.csv")):
        raise Refusal(f"expected {living} and a summary: {os.listdir(run)}\n{again.said()}")


# Where a signal comes and to whom is tried with SIGTERM, as launchers send it; SIGINT as a user's
# terminal does: it differs in nothing but the name and the exit code.
for number in OTHERS:
    add(f"{number.name} in training", in_training, number, 0, 0)
add("SIGHUP to both ranks", in_training, signal.SIGHUP, 2, "all")
add("SIGXCPU with a step log", with_step_log, signal.SIGXCPU)
add("nohup", nohup, 0)
add("nohup, 2 ranks", nohup, 2)
add("what SIGKILL leaves is swept", leaves_no_steps)
for number in (signal.SIGINT, signal.SIGTERM):
    add(f"{number.name} in set-up", in_set_up, number)
    add(f"{number.name} in training", in_training, number, 0, 0)
    add(f"{number.name} in evaluation", in_evaluation, number, 0)
    add(f"{number.name} to both ranks", in_training, number, 2, "all")
    add(f"{number.name} to mpirun", in_training, number, 2, "mpirun")
add("SIGTERM in evaluation, 2 ranks", in_evaluation, signal.SIGTERM, 2)
add("SIGTERM to rank 0 of 2", in_training, signal.SIGTERM, 2, 0)
add("SIGTERM to rank 2 of 3", in_training, signal.SIGTERM, 3, 2)
add("SIGTERM with a step log", with_step_log, signal.SIGTERM)
add("SIGTERM to rank 1 of dp", in_training, signal.SIGTERM, 2, 1, "dp")
add("SIGINT three times", twice)
add("no compute thread takes signals", taken_apart, 0)
add("no compute thread takes signals, 2 ranks", taken_apart, 2)

# ---- ranks that die or fall silent


def killed(title, ranks, victim, mode="ddp"):
    job = started(title, ranks, mode=mode)
    training(job)
    os.kill(job.ranks()[victim], signal.SIGKILL)
    suite.check(job, 137, rf"rank {victim} \(host {os.uname().nodename}\) died.*{STEP}")


def stopped(title, ranks, victim, seconds="3"):
    """A stopped process keeps its sockets: only its silence tells. The launcher then kills it. The other rank spins
    in its collective meanwhile, with what other tests leave of a core."""
    job = started(title, ranks, before=("nice", "-n", "19"),
                  **({"LOCKSTEP_SILENCE_SECONDS": seconds} if seconds != "20" else {}))
    training(job)
    pid = job.ranks()[victim]
    os.kill(pid, signal.SIGSTOP)
    try:
        suite.check(job, 1, rf"rank {victim} \(host .*\) has not answered for {seconds} s.*{STEP}",
                    limit=LIMIT_SECONDS + int(seconds))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def paused(title):
    """Ctrl-Z for less than the deadline is no death."""
    job = started(title, 2, LOCKSTEP_SILENCE_SECONDS="6")
    training(job)
    pid = job.ranks()[1]
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(pid, signal.SIGCONT)
    before = job.epochs()
    job.until("more epochs", lambda: job.epochs() > before + 1)
    os.kill(job.ranks()[0], signal.SIGTERM)
    suite.check(job, 143, f"interrupted by SIGTERM{STEP}")


# The longest, so that others run beside it.
add("rank 1 of 2 is stopped, and the deadline is the default", stopped, 2, 1, "20")
for ranks, victim, mode in ((2, 0, "ddp"), (2, 1, "ddp"), (3, 0, "ddp"), (3, 2, "ddp"),
                            (2, 0, "dp"), (2, 1, "dp")):
    add(f"rank {victim} of {ranks} is killed, {mode}", killed, ranks, victim, mode)
for victim in (0, 1):
    add(f"rank {victim} of 2 is stopped", stopped, 2, victim)
add("a rank pauses for a moment", paused)
suite.finish()
