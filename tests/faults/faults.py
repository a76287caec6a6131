"""Runs with checkpoints that are killed and go on, for the tests beside this file: TAP lines by
tests/modes/kit.py's Tap, processes by their numbers."""
import csv
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "modes"))
import kit  # noqa: E402

PATIENCE = 90  # seconds: nothing may hang for longer, on a machine with other work for its cores


def command(lockstep, data, results, ranks, *options, epochs=2, strict=True, mode=None, device="cpu",
            batch=32):
    mode = mode or ("ddp" if ranks > 1 else "single")
    launcher = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks > 1 else []
    return [*launcher, lockstep, "train", "--data", data, "--device", device, "--mode", mode,
            "--threads", "1", "--oversubscribe", "--global-batch", str(batch), "--epochs", str(epochs),
            "--certificate-every", "3", "--results", results,
            *(["--strict", "--strict-cost", "off"] if strict else []), *options]


def start(arguments, **environment):
    # MPI leaves memory behind, which LeakSanitizer would make an exit code.
    quiet = "detect_leaks=0:" + os.environ.get("ASAN_OPTIONS", "")
    return subprocess.Popen(arguments, env=dict(kit.ENVIRONMENT, ASAN_OPTIONS=quiet, **environment), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process, patience=240):
    """Exit code, standard output and error of a process that ends by itself."""
    try:
        out, err = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        ranks = ranks_of(process)
        for rank in ranks:
            end(rank, signal.SIGKILL)
        process.kill()
        out, err = process.communicate()
        return 124, out, f"{err}\nafter {patience} s there were still {len(ranks)} ranks\n"
    return process.returncode, out, err


def ranks_of(process):
    """The numbers of the rank processes: the children of mpirun, or the process itself."""
    try:
        with open(f"/proc/{process.pid}/comm", encoding="ascii") as name:
            alone = name.read().strip() not in ("mpirun", "orterun", "prterun")
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as children:
            return [process.pid] if alone else [int(child) for child in children.read().split()]
    except OSError:
        return []


def end(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def result(results):
    """What must be the same bits: hashes and the losses of each epoch."""
    with open(os.path.join(results, "summary.csv"), newline="") as file:
        summary = next(csv.DictReader(file))
    with open(os.path.join(results, "epochs.csv"), newline="") as file:
        epochs = [[row[name] for name in ("epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy",
                                          "best", "images", "steps")] for row in csv.DictReader(file)]
    return summary, (summary["parameters_hash"], summary["certificate_hash"], epochs)


def wait_for(what, patience=PATIENCE):
    began = time.monotonic()
    while not what():
        if time.monotonic() - began > patience:
            return False
        time.sleep(0.005)
    return True


def kill_a_rank(tap, process, results):
    """The last rank of a run that writes into `results`, once it trains."""
    epochs = os.path.join(results, "epochs.csv")
    started = wait_for(lambda: os.path.exists(epochs) and os.path.getsize(epochs) > 400)
    began = time.monotonic()
    end(ranks_of(process)[-1], signal.SIGKILL)
    code, _, error = finish(process, 60)
    tap.check("a rank that is killed ends the job with a line, in 30 s",
              started and code not in (0, 124) and "lockstep:" in error and time.monotonic() - began < 30,
              (started, code, time.monotonic() - began, error[-300:]))
