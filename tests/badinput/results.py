#!/usr/bin/env python3
"""Results that cannot be written, at the start and in the middle of `lockstep train`, alone and on
ranks; and a loss that is no number.

usage: results.py LOCKSTEP [PART-OF-A-CASE'S-NAME]
"""
import os
import shutil
import subprocess

from kit import Skip, Suite

suite = Suite()
data = suite.pack("data", 128, 32, "--size", 8)
train = suite.train


def each(name, function, ranks=(0, 2)):
    """function(folder, title, ranks) in a folder of the case's own."""
    for count in ranks:
        title = name + (f", {count} ranks" if count else "")
        suite.add(title, lambda title=title, count=count: function(suite.folder_of(title), title,
                                                                   count))


def in_folder(code, pattern, prepare, *options, as_nobody=False, summary=False):
    def run(folder, title, ranks):
        prepare(folder)
        command, environment = suite.command(ranks, *train(data, *options)), {}
        if as_nobody and os.geteuid() == 0:
            # Root writes everywhere.
            if not shutil.which("setpriv"):
                raise Skip("this is root, and there is no setpriv")
            binary, home = os.path.join(folder, "lockstep"), os.path.join(folder, "home")
            shutil.copy(suite.lockstep, binary)
            os.mkdir(home, 0o777)
            os.chmod(home, 0o777)
            user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            if subprocess.run([*user, binary, "--version"], capture_output=True,
                              check=False).returncode:
                raise Skip("the folder of tests is not for others")
            command = [*user, *suite.command(ranks, *train(data, *options), binary=binary)]
            environment = {"HOME": home, "TMPDIR": home}
        suite.check(suite.start(title, command, folder=folder, **environment), code, pattern,
                    summary=summary)
    return run


def taken(folder):
    os.mkdir(f"{folder}/run")
    with open(f"{folder}/run/summary.csv", "w", encoding="ascii") as file:
        file.write("mode\n")


def a_file(folder):
    with open(f"{folder}/run", "w", encoding="ascii") as file:
        file.write("kept")


def dangling(folder):
    os.symlink("nowhere/else", f"{folder}/run")


def read_only(folder):
    os.mkdir(f"{folder}/run", 0o555)


def folders_for_files(folder):
    os.makedirs(f"{folder}/run/log.txt")


each("results that are taken", in_folder(2, "run: already holds", taken, summary=True), (0, 2, 3))
each("results are a file", in_folder(2, "run: expected a folder, found a file", a_file))
each("results below a file", in_folder(2, "run: cannot create|run/below: ", a_file,
                                       "--results", "run/below"), (0,))
each("results are a link to nothing", in_folder(2, "run: ", dangling))
each("results' log is a folder", in_folder(2, "run/log.txt: ", folders_for_files), (0,))
each("results longer than a path", in_folder(2, "longer than", lambda folder: None, "--results",
                                             "x/" * 3000))
each("results' name longer than a name", in_folder(2, "xxx", lambda folder: None, "--results",
                                                   "x" * 300), (0,))
each("results in a folder that cannot be written to",
     in_folder(2, "run.*[Pp]ermission denied", read_only, as_nobody=True))
if os.geteuid() != 0 or os.path.exists("/proc/self"):
    each("results where there are no folders", in_folder(2, "/proc/", lambda folder: None,
                                                         "--results", "/proc/lockstep/run"))


# ---- a disk that is full: a limit on files' sizes is an error of write(2) as a full disk is
def limited(folder, title, ranks):
    """8 blocks of 512 bytes: a file of an epoch passes it in the middle of the run. Not on ranks:
    MPI's shared memory is made of files too."""
    command = suite.command(ranks, *train(data, "--epochs", "100"))
    suite.check(suite.start(title, ["sh", "-c", 'ulimit -f 8; exec "$@" >/dev/null', "sh", *command],
                            folder=folder), 1, "run/(log.txt|epochs.csv|events[^/ ]*): ")


def limited_steps(folder, title, ranks):
    """steps.csv grows with every step, and is gone afterwards."""
    command = suite.command(ranks, *train(data, "--epochs", "300", "--global-batch", "2",
                                          "--step-log"))
    suite.check(suite.start(title, ["sh", "-c", 'ulimit -f 16; exec "$@" >/dev/null', "sh", *command],
                            folder=folder), 1, "run/(steps.csv|log.txt|epochs.csv|events[^/ ]*): ",
                limit=180)  # some 300 steps, on cores that other tests use too


each("a limit on files' sizes in mid-run", limited, (0,))
each("a limit on steps.csv", limited_steps, (0,))


def mounting():
    return shutil.which("unshare") and subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", "mkdir -p disk; mount -t tmpfs none disk"],
        cwd=suite.work, capture_output=True, check=False).returncode == 0


def full_disk(kibibytes, code, pattern):
    def run(folder, title, ranks):
        if not mounting():
            raise Skip("mounting is not allowed here")
        os.mkdir(f"{folder}/disk")
        # What lies on that disk is seen from inside only.
        script = (f"mount -t tmpfs -o size={kibibytes}k none disk || exit 99; shift 0; code=0;"
                  ' "$@" || code=$?; find disk -name "*.tmp" -o -name summary.csv >left.txt;'
                  " exit $code")
        command = suite.command(ranks, *train(data, "--epochs", "100", "--results", "disk/run"))
        job = suite.start(title, ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh",
                                  *command], folder=folder)
        suite.check(job, code, pattern, results="disk/run")
        if os.path.getsize(f"{folder}/left.txt"):
            with open(f"{folder}/left.txt", encoding="utf-8") as file:
                raise AssertionError(f"left on the disk: {file.read()}")
    return run


each("a disk that is full at the start", full_disk(4, 1, "disk/run.*No space left"))
each("a disk that is full in mid-run", full_disk(20, 1, "disk/run/.*No space left"))


def summary_vanishes(folder, title, ranks):
    """The results' folder is removed in the middle of the run."""
    job = suite.start(title, suite.command(ranks, *train(data, "--epochs", "10000")), folder=folder)
    job.until("the first epoch", lambda: job.epochs() >= 1)
    os.rename(f"{folder}/run", f"{folder}/gone")
    suite.check(job, 1, "run(/epochs.csv)?: .*No such file")


each("the results' folder is moved away", summary_vanishes)

# ---- what is printed
def stdout_full(folder, title, ranks):
    if not os.path.exists("/dev/full"):
        raise Skip("no /dev/full")
    command = suite.command(ranks, *train(data))
    suite.check(suite.start(title, ["sh", "-c", '"$@" >/dev/full', "sh", *command], folder=folder),
                1, "standard output: ")


each("a full disk under standard output", stdout_full, (0,))


def help_full(folder, title, ranks):
    if not os.path.exists("/dev/full"):
        raise Skip("no /dev/full")
    for command in ([], ["pack"], ["train"], ["report"], ["doctor"], ["forecast"]):
        arguments = suite.command(ranks, *command, "--help")
        suite.check(suite.start(title, ["sh", "-c", '"$@" >/dev/full', "sh", *arguments],
                                folder=folder), 1, "standard output: .*No space left")
    suite.check(suite.start(title, ["sh", "-c", '"$@" >/dev/full', "sh", suite.lockstep, "--version"],
                            folder=folder), 1, "standard output: .*No space left")


each("a full disk under --help", help_full, (0,))


def closed_streams(folder, title, ranks):
    """What is closed at the start is nobody's file later: each of them, and all."""
    for number, closed in enumerate(("<&-", ">&-", "2>&-", "<&- >&- 2>&-")):
        results = f"closed-{number}"
        command = suite.command(ranks, "train", "--data", data, "--mode", "ddp", "--device", "cpu",
                                "--epochs", "1", "--threads", "1", "--oversubscribe", "--results",
                                results)
        job = suite.start(title, ["sh", "-c", f'"$@" {closed}', "sh", *command], folder=folder)
        if job.wait() or job.survivors():
            raise Refusal(f"{closed}: {job.said()}")
        with open(f"{folder}/{results}/log.txt", encoding="utf-8") as file:
            log = file.read()
        with open(f"{folder}/{results}/epochs.csv", encoding="utf-8") as file:
            epochs = file.read()
        if not log.startswith("lockstep ") or len(epochs.splitlines()) != 2:
            raise Refusal(f"{closed}: {log}\n{epochs}")


each("closed streams", closed_streams, (0,))

# ---- a loss that is no number
diverging = ["--optimizer", "sgd", "--learning-rate", "1e6", "--epochs", "3"]
suite.refused("a loss that is no number", 1, r"loss of (training|evaluation) is not a finite number.*1e\+06",
              train(data, *diverging), ranks=(0, 2))
suite.refused("a loss that is no number, dp", 1, "loss of (training|evaluation) is not a finite number",
              train(data, *diverging, mode="dp"), ranks=(2,))
suite.finish()
