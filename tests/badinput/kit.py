"""What the suites of bad input share: a case that must be refused with one line, and its traces.

A case is a command of the built binary, alone (ranks 0) or under mpirun. It runs in a folder of its
own and its processes carry a mark in their environment, by which survivors are found. Cases run
three at a time: a refusal is mostly waiting. TAP on stdout.
"""
import concurrent.futures
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from by_rank import by_rank  # noqa: E402
from tap import Tap  # noqa: E402

MARK = "LOCKSTEP_BADINPUT_CASE"
LIMIT_SECONDS = 150  # a case takes seconds; beside other work for the cores many times as many
RANKS_OF_A_LAUNCHER = ("SLURM_", "OMPI_", "PMIX_", "PMI_", "OPAL_", "PRTE_", "LOCKSTEP_")
MPIRUN = ["mpirun", "--oversubscribe", "--bind-to", "none"]


class Refusal(Exception):
    """A case does not hold; the text says why."""


class Skip(Exception):
    """A case cannot run here; the text says why."""


def clean_environment(**extra):
    """Of this machine, without what a launcher, a GPU grant or a caller left in it."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(RANKS_OF_A_LAUNCHER) and name != "CUDA_VISIBLE_DEVICES"}
    kept.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    kept.update(extra)
    return kept


def marked(mark):
    """Processes whose environment carries the mark (zombies have none)."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                with open(f"/proc/{name}/environ", "rb") as file:
                    if wanted in file.read().split(b"\0"):
                        found.append(int(name))
    return found


def environment_of(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/environ", "rb") as file:
            return dict(entry.split("=", 1) for entry in
                        file.read().decode(errors="replace").split("\0") if "=" in entry)
    return {}


OTHER_USER = 65534  # nobody


class Job:
    """A command that runs in the background."""

    def __init__(self, suite, name, command, environment, folder):
        self.mark = f"{os.getpid()}-{name}"
        self.folder = folder
        self.lockstep = os.path.realpath(suite.lockstep)
        self.out = open(os.path.join(folder, "out.txt"), "w+b")
        self.err = open(os.path.join(folder, "err.txt"), "w+b")
        self.began = time.monotonic()
        # A session of its own: a test that is interrupted does not interrupt it half-way.
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.err,
            start_new_session=True, env=dict(environment, **{MARK: self.mark}))

    def ranks(self):
        """rank -> process, of those that run the binary. Alone it is rank 0."""
        found = {}
        for pid in marked(self.mark):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/exe") == self.lockstep:
                    found[int(environment_of(pid).get("OMPI_COMM_WORLD_RANK", 0))] = pid
        return found

    def until(self, what, condition):
        """Waits for something that a healthy job reaches."""
        while not condition():
            if self.process.poll() is not None:
                raise Refusal(f"it ended before {what}: {self.process.returncode}\n{self.said()}")
            if time.monotonic() - self.began > LIMIT_SECONDS:
                self.end()
                raise Refusal(f"after {LIMIT_SECONDS} s: {what} has not come\n{self.said()}")
            time.sleep(0.01)

    def epochs(self):
        with contextlib.suppress(OSError):
            with open(os.path.join(self.folder, "run", "epochs.csv"), encoding="utf-8") as file:
                return max(0, len(file.readlines()) - 1)
        return 0

    def wait(self, limit=LIMIT_SECONDS):
        """Its exit code; -1 and dead where it took longer."""
        try:
            code = self.process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            self.end()
            raise Refusal(f"it did not end within {limit} s\n{self.said()}") from None
        return code

    def end(self):
        for pid in marked(self.mark):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def survivors(self):
        deadline = time.monotonic() + LIMIT_SECONDS
        while left := marked(self.mark):
            if time.monotonic() > deadline:
                self.end()
                return left
            time.sleep(0.02)
        return []

    def error_lines(self, besides=""):
        """Of stderr, and of a file that ranks wrote to in its place."""
        self.err.seek(0)
        text = self.err.read().decode(errors="replace")
        with contextlib.suppress(OSError):
            with open(os.path.join(self.folder, besides), encoding="utf-8") as file:
                text += file.read()
        # Open MPI 5's mpirun puts the rest of a row of stdout here when it ends.
        return re.sub(r"(?<=[0-9%])lockstep: ", "\nlockstep: ", text).splitlines()

    def said(self):
        self.out.seek(0)
        tail = self.out.read().decode(errors="replace")[-2000:]
        return "\n".join(self.error_lines()) + "\n--- stdout\n" + tail


class Suite:
    def __init__(self, threads=3):
        if len(sys.argv) < 2 or not os.access(sys.argv[1], os.X_OK):
            print(f"1..0 # SKIP no binary: {sys.argv[1:]}")
            sys.exit(0)
        self.lockstep = os.path.abspath(sys.argv[1])
        self.only = sys.argv[2] if len(sys.argv) > 2 else ""
        self.work = tempfile.mkdtemp(prefix="lockstep-bad-")
        os.chmod(self.work, 0o755)
        self.cases = []
        self.threads = threads
        self.mpirun = shutil.which("mpirun") is not None

    def path(self, *names):
        return os.path.join(self.work, *names)

    def pack(self, name, images=200, test_images=40, *options):
        folder = self.path(name)
        subprocess.run([self.lockstep, "pack", "synthetic", folder, "--images", str(images),
                        "--test-images", str(test_images), *map(str, options)],
                       check=True, capture_output=True, env=clean_environment())
        return folder

    def copy(self, source, name):
        folder = self.path(name)
        shutil.copytree(source, folder)
        return folder

    def add(self, name, function):
        self.cases.append((name, function))

    def folder_of(self, name):
        folder = self.path("case-" + re.sub(r"[^A-Za-z0-9]+", "-", name))
        os.makedirs(folder)
        return folder

    def start(self, name, command, folder=None, **environment):
        folder = folder or self.folder_of(name)
        return Job(self, os.path.basename(folder), command, clean_environment(**environment), folder)

    def other_user(self, folder):
        """What a user without privileges runs the program with, and a copy of it that is for others;
        `folder` is theirs to write to."""
        user = []
        if os.geteuid() == 0:
            if not shutil.which("setpriv"):
                raise Skip("this is root, and there is no setpriv")
            user = ["setpriv", f"--reuid={OTHER_USER}", f"--regid={OTHER_USER}", "--clear-groups"]
        os.chmod(folder, 0o777)
        binary = self.path("lockstep-of-all")
        if not os.path.exists(binary):
            new = f"{binary}.{threading.get_ident()}"
            shutil.copy(self.lockstep, new)
            os.chmod(new, 0o755)
            os.replace(new, binary)
        if subprocess.run([*user, binary, "--version"], capture_output=True, check=False).returncode:
            raise Skip("the binary's folder is not for others")
        return user, binary

    def command(self, ranks, *arguments, binary=None):
        if ranks and not self.mpirun:
            raise Skip("no mpirun")
        program = [binary or self.lockstep, *map(str, arguments)]
        return [*MPIRUN, "-n", str(ranks), *program] if ranks else program

    def unlike(self, *commands):
        """One mpirun with a command for each rank."""
        if not self.mpirun:
            raise Skip("no mpirun")
        return [*MPIRUN, "-n", str(len(commands)), *by_rank(*commands)]

    @staticmethod
    def train(data, *options, mode="ddp"):
        return ["train", "--data", data, "--mode", mode, "--device", "cpu", "--epochs", "1",
                "--threads", "1", "--oversubscribe", "--results", "run", *options]

    def check(self, job, code, pattern, limit=LIMIT_SECONDS, results="run", summary=False, errors=""):
        """One line, the exit code, nothing left; `errors`: a file in the folder, read as stderr is."""
        found = job.wait(limit)
        left = job.survivors()
        lines = [line for line in job.error_lines(errors) if line.startswith("lockstep: ")]
        wrong = []
        if found not in (code if isinstance(code, tuple) else (code,)):
            wrong.append(f"exit code {found}, expected {code}")
        if len(lines) != 1:
            wrong.append(f"{len(lines)} lines of ours, expected 1")
        elif not re.search(pattern, lines[0]):
            wrong.append(f"the line does not match '{pattern}'")
        if left:
            wrong.append(f"processes left: {left}")
        if "mpirun" not in job.process.args and len(job.error_lines()) > 1 and code != 3:
            wrong.append("more than one line on stderr")
        folder = os.path.join(job.folder, results)
        if not summary and os.path.exists(os.path.join(folder, "summary.csv")):
            wrong.append("it left a summary.csv")
        temporary = [os.path.join(at, file) for at, _, files in os.walk(job.folder)
                     for file in files if file.endswith(".tmp") or file.startswith(".")]
        if temporary:
            wrong.append(f"it left {temporary}")
        if wrong:
            raise Refusal("; ".join(wrong) + "\n" + job.said())

    def refused(self, name, code, pattern, arguments, ranks=(0, 2), **environment):
        """Adds a case for each number of ranks (0: alone)."""
        for count in ranks:
            title = name + (f", {count} ranks" if count else "")

            def run(title=title, count=count):
                self.check(self.start(title, self.command(count, *arguments), **environment), code,
                           pattern)
            self.add(title, run)

    def run_case(self, case):
        name, function = case
        try:
            function()
        except Skip as reason:
            return name, "skip", str(reason)
        except Refusal as reason:
            return name, "no", str(reason)
        except Exception as reason:  # a case that breaks is a case that fails
            return name, "no", f"{type(reason).__name__}: {reason}"
        return name, "yes", ""

    def finish(self):
        chosen = [case for case in self.cases if self.only in case[0]]
        tap = Tap()
        try:
            with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
                for name, state, why in pool.map(self.run_case, chosen):
                    if state == "skip":
                        tap.skip(name, why)
                    else:
                        tap.check(name, state == "yes", why)
        finally:
            subprocess.run(["chmod", "-R", "u+rwx", self.work], check=False, capture_output=True)
            shutil.rmtree(self.work, ignore_errors=True)
        sys.exit(tap.done())
