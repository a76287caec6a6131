#!/usr/bin/env python3
"""The job scripts around a run that is told to end: srun and scontrol are stand-ins that say what they were
called with; what real ones do is tests/cluster's.

usage: scripts.py SOURCE-ROOT"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "modes"))
import kit  # noqa: E402

root = os.path.abspath(sys.argv[1])
tap = kit.Tap()
scratch = tempfile.mkdtemp(prefix="lockstep-scripts-")
# As the real one: it hands on USR1, and answers TERM by killing its tasks. USR2 is scancel's TERM to the tasks.
SRUN = """#!/bin/sh
echo "$*" >>calls.srun
echo "$LOCKSTEP_QUEUE_SECONDS" >>waited.txt
ends() { echo "$1" >>calls.srun; kill "$sleeper"; exit "$2"; }
trap '[ -n "$FAKE_DEAF" ] && echo deaf >>calls.srun || ends USR1 4' USR1
trap 'ends TERM-from-Slurm 4' USR2
trap 'ends killed 137' TERM
echo $$ >srun.pid
[ "${FAKE_WAITS:-0}" = 0 ] || { sleep "$FAKE_WAITS" & sleeper=$!; wait "$sleeper"; wait "$sleeper"; }
[ -z "${FAKE_SAVES:-}" ] || { mkdir -p "$FAKE_SAVES"; echo "step-$(wc -l <calls.srun)" >"$FAKE_SAVES/last"; }
code=$(echo "$FAKE_CODES" | cut -d ' ' -f "$(grep -c mpi calls.srun)")
exit "${code:-${FAKE_CODE:-0}}"
"""
SINFO = """#!/bin/sh
echo "$FAKE_NODES"
"""
SCONTROL = """#!/bin/sh
[ "$1" != show ] || { echo "JobId=7 JobName=x JobState=${FAKE_STATE-RUNNING} Reason=None Restarts=${FAKE_REQUEUES:-0} \
SubmitTime=2026-03-01T23:59:30 StartTime=2026-03-02T00:01:00 Command=${FAKE_SUBMITTED:-(null)} WorkDir=/"; exit; }
echo "$*" >>calls.scontrol
exit "${FAKE_REQUEUE:-0}"
"""
SCANCEL = """#!/bin/sh
echo "$*" >>calls.scancel
[ "${FAKE_STATE-RUNNING}" = RUNNING ] || exit 1
exec kill -USR2 "$(cat srun.pid)"
"""
LOCKSTEP = """#!/bin/sh
[ "$*" != "train --help" ] || echo "  --mode single|ddp|zero2|gemini  How ranks share a step."
"""
for name, text in (("srun", SRUN), ("scontrol", SCONTROL), ("scancel", SCANCEL), ("sinfo", SINFO), ("lockstep", LOCKSTEP)):
    path = os.path.join(scratch, name)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    os.chmod(path, 0o755)


def start(script, path=None, **environment):
    for name in ("calls.srun", "calls.scontrol", "calls.scancel", "srun.pid", "waited.txt"):
        if os.path.exists(os.path.join(scratch, name)):
            os.unlink(os.path.join(scratch, name))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "LOCKSTEP"))}
    return subprocess.Popen(["sh", path or os.path.join(root, "slurm", script + ".sbatch")], cwd=scratch, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env=dict(clean, PATH=scratch + ":" + os.environ["PATH"], SLURM_JOB_ID="7",
                                     LOCKSTEP=os.path.join(scratch, "lockstep"), **environment))


def calls(name):
    try:
        with open(os.path.join(scratch, "calls." + name), encoding="ascii") as file:
            return file.read().splitlines()
    except OSError:
        return []


def told(script, number=signal.SIGUSR1, **environment):
    """A script that gets a signal while its step runs."""
    process = start(script, **environment)
    while not os.path.exists(os.path.join(scratch, "srun.pid")):
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    return process.returncode, out


def run(script, path=None, **environment):
    process = start(script, path, **environment)
    out, _ = process.communicate(timeout=60)
    return process.returncode, out


def common(script):
    with open(os.path.join(root, "slurm", script + ".sbatch"), encoding="utf-8") as file:
        return file.read().partition("\n# ---- from here on ")[2]


scripts = ("single", "dp", "ddp")
tap.check("the scripts differ in their heads alone", common("ddp") and len({common(script) for script in scripts}) == 1, "")
for script in scripts:
    code, out = run(script)
    tap.check(f"{script}: a run that ends well", code == 0 and not calls("scontrol") and "--checkpoint-every" not in calls("srun")[0],
              f"{code}: {out} {calls('srun')}")
    code, out = run(script, FAKE_CODE="1")
    tap.check(f"{script}: a failure is the job's", code == 1 and not calls("scontrol"), f"{code}: {out}")
    code, out = run(script, FAKE_CODE="127")
    tap.check(f"{script}: a command that is not found is a failure", code == 127, f"{code}: {out}")
    code, out = run(script, FAKE_CODE="4", LOCKSTEP_CHECKPOINT="10m")
    tap.check(f"{script}: saved, and requeued once", code == 0 and calls("scontrol") == ["requeue 7"] and
              "--checkpoint-every 10m" in calls("srun")[0], f"{code}: {out} {calls('scontrol')}")
    code, out = run(script, FAKE_CODE="4", FAKE_REQUEUE="1", LOCKSTEP_CHECKPOINT="10m")
    tap.check(f"{script}: where requeue is forbidden it says what to submit", code == 4 and
              f"LOCKSTEP_RUN='results/7-{script}' sbatch slurm/{script}.sbatch" in out, f"{code}: {out}")
    code, out = run(script, FAKE_CODE="4", SLURM_RESTART_COUNT="3", LOCKSTEP_RESTARTS="3", LOCKSTEP_CHECKPOINT="10m")
    tap.check(f"{script}: no more requeues than LOCKSTEP_RESTARTS", code == 4 and not calls("scontrol") and "not requeued" in out,
              f"{code}: {out}")
    code, out = told(script, FAKE_WAITS="20", LOCKSTEP_CHECKPOINT="10m")
    tap.check(f"{script}: a signal to the script reaches the step", code == 0 and "USR1" in calls("srun") and
              calls("scontrol") == ["requeue 7"], f"{code}: {out} {calls('srun')}")
    code, out = told(script, FAKE_WAITS="1")
    tap.check(f"{script}: a run that saves nothing has its whole time", code == 0 and "USR1" not in calls("srun"),
              f"{code}: {out} {calls('srun')}")
    code, out = told(script, signal.SIGTERM, FAKE_WAITS="20", LOCKSTEP_CHECKPOINT="10m")
    tap.check(f"{script}: TERM goes to the tasks through Slurm, never to srun", code == 0 and "TERM-from-Slurm" in calls("srun") and
              "killed" not in calls("srun") and calls("scontrol") == ["requeue 7"], f"{code}: {out} {calls('srun')}")
    code, out = told(script, signal.SIGTERM, FAKE_WAITS="20", FAKE_STATE="", LOCKSTEP_CHECKPOINT="10m")
    tap.check(f"{script}: where Slurm does not answer, USR1 asks for the same", "USR1" in calls("srun") and code == 4 and
              not calls("scontrol"), f"{code}: {out} {calls('srun')}")
    code, out = told(script, signal.SIGTERM, FAKE_WAITS="1", FAKE_CODE="4", FAKE_STATE="COMPLETING", LOCKSTEP_CHECKPOINT="10m")
    tap.check(f"{script}: a job that is cancelled is told once, and not requeued", code == 4 and not calls("scontrol") and
              len(calls("srun")) == 1 and "to go on: LOCKSTEP_RUN=" in out, f"{code}: {out} {calls('srun')} {calls('scontrol')}")
    code, out = run(script, FAKE_CODE="4", FAKE_STATE="COMPLETING", FAKE_REQUEUES="3", SLURM_RESTART_COUNT="2",
                    LOCKSTEP_CHECKPOINT="10m")
    tap.check(f"{script}: a job that Slurm requeued is not requeued again", code == 4 and not calls("scontrol") and
              out.endswith("requeued by Slurm\n"), f"{code}: {out} {calls('scontrol')}")
# Several runs in one job.
script, TWO = "resnet18", {"SLURM_NNODES": "2", "SLURM_NTASKS": "2"}


def asked_for():
    """Of each run: nodes and ranks, or all of the job's; mode."""
    return [(*(line.partition(f"--{what}=")[2].partition(" ")[0] or "all" for what in ("nodes", "ntasks")),
             line.split("--mode ")[1].split()[0]) for line in calls("srun") if "--mode " in line]


ONE, BOTH = ("1", "1", "single"), ("all", "all", "ddp")
code, out = run(script, **TWO)
tap.check(f"{script}: one rank, then two nodes", code == 0 and asked_for() == [ONE, BOTH], f"{code}: {out} {calls('srun')}")
tap.check(f"{script}: the recipe", all(words in calls("srun")[0] for words in (
    "--momentum 0.9 --weight-decay 1e-4", "--schedule cosine --warmup-epochs 1", "--precision bf16", "--validate-every 1",
    "--checkpoint-every 10m", "--loader-threads auto", "--global-batch 256")), calls("srun")[0])
code, out = run(script, SLURM_NNODES="2", SLURM_NTASKS="8", LOCKSTEP_SCHEDULE="step", LOCKSTEP_EPOCHS="90", LOCKSTEP_CHECKPOINT="off")
tap.check(f"{script}: where a node has several, it is a run of its own", code == 0 and
          asked_for() == [ONE, ("1", "4", "ddp"), BOTH] and "--step-epochs 30" in calls("srun")[0] and
          "--checkpoint-every" not in calls("srun")[0], f"{code}: {out} {calls('srun')}")
code, out = run(script, SLURM_NNODES="1", SLURM_NTASKS="1", LOCKSTEP_REPEATS="2")
tap.check(f"{script}: one node, twice", code == 0 and asked_for() == [("all", "all", "single")] * 2, f"{code}: {out} {calls('srun')}")
for name in ("LOCKSTEP_SCHEDULE", "LOCKSTEP_REPEATS", "LOCKSTEP_EPOCHS", "LOCKSTEP_SPARE_NODES"):
    code, out = run(script, **TWO, **{name: "often"})
    tap.check(f"{script}: {name} says what it expects", code == 2 and not calls("srun") and name in out and "found 'often'" in out, out)
code, out = run(script, FAKE_CODE="4", **TWO)
tap.check(f"{script}: saved, and requeued once", code == 0 and calls("scontrol") == ["requeue 7"] and asked_for() == [ONE],
          f"{code}: {out} {calls('scontrol')}")
code, out = run(script, FAKE_CODE="4", FAKE_REQUEUE="1", **TWO)
tap.check(f"{script}: where requeue is forbidden it says what to submit", code == 4 and
          f"LOCKSTEP_RUN='7' sbatch slurm/{script}.sbatch" in out, f"{code}: {out}")
code, out = told(script, FAKE_WAITS="20", **TWO)
tap.check(f"{script}: a signal to the script reaches the step", code == 0 and "USR1" in calls("srun") and
          calls("scontrol") == ["requeue 7"] and asked_for() == [ONE], f"{code}: {out} {calls('srun')}")
code, out = told(script, signal.SIGTERM, FAKE_WAITS="20", **TWO)
tap.check(f"{script}: TERM goes to the tasks through Slurm", code == 0 and "TERM-from-Slurm" in calls("srun") and
          "killed" not in calls("srun"), f"{code}: {out} {calls('srun')}")
code, out = told(script, FAKE_WAITS="1", LOCKSTEP_CHECKPOINT="off", **TWO)
tap.check(f"{script}: runs that save nothing have their whole time", code == 0 and "USR1" not in calls("srun") and
          asked_for() == [ONE, BOTH], f"{code}: {out} {calls('srun')}")
code, out = run(script, FAKE_CODE="1", **TWO)
tap.check(f"{script}: where the first run fails nothing follows", code == 1 and asked_for() == [ONE], f"{code}: {out}")
code, out = run(script, FAKE_CODES="0 5", **TWO)
tap.check(f"{script}: where another fails the job says which", code == 5 and asked_for() == [ONE, BOTH] and
          "2-nodes-1 (exit code 5)" in out and "== what 1 run" in out, f"{code}: {out}")
first = os.path.join(scratch, "results", "7-one-rank-1")
code, out = run(script, FAKE_CODES="137 0 0", FAKE_SAVES=os.path.join(first, "checkpoints"), **TWO)
tap.check(f"{script}: goes on in the same job", code == 0 and asked_for() == [ONE, ONE, BOTH] and "(restart 1)" in out,
          f"{code}: {out} {calls('srun')}")
with open(os.path.join(first, "summary.csv"), "w", encoding="ascii"):
    pass
code, out = run(script, SLURM_RESTART_COUNT="1", FAKE_REQUEUES="1", **TWO)
tap.check(f"{script}: after a requeue what is finished is not done again", code == 0 and asked_for() == [BOTH] and
          "finished before" in out, f"{code}: {out} {calls('srun')}")
shutil.rmtree(first)
two = os.path.join(scratch, "results", "7-2-nodes-1", "checkpoints")
spare = {"SLURM_NNODES": "3", "SLURM_NTASKS": "3", "SLURM_JOB_NODELIST": "n[1-3]", "LOCKSTEP_SPARE_NODES": "1"}
code, out = run(script, FAKE_CODES="0 137 0", FAKE_SAVES=two, FAKE_NODES="n1 allocated\nn2 down*\nn3 allocated", **spare)
tap.check(f"{script}: without the node that failed", code == 0 and asked_for() == [ONE, ("2", "2", "ddp"), ("2", "2", "ddp")] and
          ["--exclude=n2 " in line for line in calls("srun")] == [False, False, True], f"{code}: {out} {calls('srun')}")
shutil.rmtree(os.path.dirname(two))
code, out = run(script, FAKE_CODES="0 137", FAKE_SAVES=two, FAKE_NODES="n1 down\nn2 down*\nn3 allocated", **spare)
tap.check(f"{script}: too few nodes are left", code == 137 and asked_for() == [ONE, ("2", "2", "ddp")] and
          "not restarted: n1,n2 failed, 1 of the 2 node(s) that it needs are left" in out and "== what 1 run" not in out,
          f"{code}: {out} {calls('srun')}")
shutil.rmtree(os.path.dirname(two))

# Slurm runs a copy of a script, beside which nothing lies.
submission = os.path.join(scratch, "submission")
os.mkdir(submission)
os.symlink(os.path.join(root, "slurm"), os.path.join(submission, "slurm"))
for script in sorted(name[:-len(".sbatch")] for name in os.listdir(os.path.join(root, "slurm")) if name.endswith(".sbatch")):
    copy = shutil.copy(os.path.join(root, "slurm", script + ".sbatch"), os.path.join(scratch, "slurm_script"))
    for name, where in (("where it was submitted from", {"FAKE_SUBMITTED": f"{root}/slurm/{script}.sbatch"}),
                        ("in the folder of submission", {"SLURM_SUBMIT_DIR": submission})):
        code, out = run(script, path=copy, LOCKSTEP_REPEATS="1", LOCKSTEP_INIT=__file__, **where)
        tap.check(f"{script}: finds its parts {name}", code == 0, f"{code}: {out}")
    code, out = run(script, path=copy)
    tap.check(f"{script}: says what it does not find", code == 2 and not calls("srun") and out.count("\n") == 1 and
              out.startswith(f"{script}.sbatch: no job.sh "), f"{code}: {out}")

# A failure, with checkpoints: one of the scripts stands for the text that they share.
script = "ddp"
saved = os.path.join(scratch, "results", f"7-{script}", "checkpoints")
restart = {"LOCKSTEP_CHECKPOINT": "10m", "FAKE_SAVES": saved}
code, out = run(script, FAKE_CODES="137 1 0", **restart)
tap.check(f"{script}: goes on in the same job", code == 0 and len(calls("srun")) == 3 and not calls("scontrol") and
          "exit code 137; job 7 goes on from step-1 (restart 1)" in out, f"{code}: {out} {calls('srun')}")
with open(os.path.join(scratch, "waited.txt"), encoding="ascii") as file:
    waited = file.read().split()
tap.check(f"{script}: how long it waited for its nodes, once", waited == ["90", "0", "0"], waited)
for refused in (2, 3, 143):
    code, out = run(script, FAKE_CODES=str(refused), **restart)
    tap.check(f"{script}: not after exit code {refused}", code == refused and len(calls("srun")) == 1, f"{code}: {out}")
code, out = run(script, FAKE_CODE="1", LOCKSTEP_CHECKPOINT="10m")
tap.check(f"{script}: not twice from one checkpoint", code == 1 and len(calls("srun")) == 2 and "no checkpoint since" in out,
          f"{code}: {out}")
code, out = run(script, FAKE_CODE="137", LOCKSTEP_RESTARTS="4", SLURM_RESTART_COUNT="2", FAKE_REQUEUES="2", **restart)
tap.check(f"{script}: as often as LOCKSTEP_RESTARTS says", code == 137 and len(calls("srun")) == 3 and
          "not restarted after 4 times" in out, f"{code}: {out}")
code, out = run(script, FAKE_CODE="137", FAKE_STATE="COMPLETING", **restart)
tap.check(f"{script}: not where Slurm ends the job", code == 137 and len(calls("srun")) == 1, f"{code}: {out}")
code, out = told(script, FAKE_WAITS="1", FAKE_CODE="1", LOCKSTEP_ARGS="--best loss", FAKE_DEAF="1", FAKE_SAVES=saved)
tap.check(f"{script}: not where it was told to end", code == 1 and len(calls("srun")) == 2, f"{code}: {out} {calls('srun')}")
nodes = {"SLURM_NNODES": "3", "SLURM_NTASKS": "6", "SLURM_JOB_NODELIST": "n[1-3]", "LOCKSTEP_SPARE_NODES": "1"}
for state, left_out in (("down*", "n2"), ("draining", "n2"), ("allocated", "")):
    code, out = run(script, FAKE_CODES="1 0", FAKE_NODES=f"n1 allocated\nn2 {state}\nn2 {state}\nn3 allocated", **nodes, **restart)
    first, second = calls("srun")
    tap.check(f"{script}: a node that is {state}", code == 0 and "--nodes=2 --ntasks=4 " in first and "--exclude" not in first and
              "--nodes=2 --ntasks=4 " in second and ("--exclude=n2 " in second) == bool(left_out), f"{code}: {out} {first} {second}")
nodes.update(LOCKSTEP_SPARE_NODES="0")
code, out = run(script, FAKE_CODE="1", FAKE_NODES="n1 allocated\nn2 down*\nn3 allocated", **nodes, **restart)
tap.check(f"{script}: a node that is gone, and none to spare", code == 1 and len(calls("srun")) == 1 and
          "not restarted: n2 failed, 2 of the 3 node(s) that it needs are left" in out, f"{code}: {out}")
code, out = run(script, FAKE_CODES="1 0", FAKE_NODES="n1 allocated\nn2 draining\nn3 allocated", **nodes, **restart)
tap.check(f"{script}: a node that drains runs on where none is to spare", code == 0 and "--exclude" not in calls("srun")[1],
          f"{code}: {out}")
# What is installed is all that a job needs.
with open(os.path.join(root, "meson.build"), encoding="utf-8") as file:
    installed = file.read()
missing = [name for name in sorted(os.listdir(os.path.join(root, "slurm")))
           if (name.endswith(".sbatch") or name in ("job.sh", "configurations.sh")) and f"'slurm/{name}'" not in installed]
tap.check("every job script is installed", not missing, missing)
shutil.rmtree(os.path.join(scratch, "results"))
shutil.rmtree(scratch)
sys.exit(tap.done())
