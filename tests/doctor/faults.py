#!/usr/bin/env python3
"""`lockstep doctor` names each of these provoked faults, and what mends it.

usage: faults.py LOCKSTEP SHIM [PART-OF-A-CASE'S-NAME]

SHIM is the library of shim.c. LOCKSTEP_EMULATED names the binary whose GPUs are emulated, and
LOCKSTEP_NVML_OF_HOST the library of nvml_of_host.c: without them, the cases of GPUs are skipped.
Every case is a real run, whose JSON is read; what needs a Slurm is in tests/cluster/doctor.sh.
"""
import contextlib
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "badinput"))
shim = os.path.abspath(sys.argv.pop(2))
from kit import MPIRUN, Refusal, Skip, Suite  # noqa: E402

suite = Suite()
data = suite.pack("data", 200, 40)
emulated = os.environ.get("LOCKSTEP_EMULATED", "")
nvml = os.environ.get("LOCKSTEP_NVML_OF_HOST", "")
spaces = subprocess.run(["unshare", "-m", "--propagation", "private", "true"], check=False,
                        capture_output=True).returncode == 0


def findings(job, code):
    """The one JSON document that it printed."""
    found = job.wait()
    job.out.seek(0)
    text = job.out.read().decode()
    if found not in code:
        raise Refusal(f"exit code {found}, expected {code}\n{job.said()}")
    try:
        document = json.loads(text)
    except ValueError as reason:
        raise Refusal(f"no JSON: {reason}\n{job.said()}") from None
    if any(line.startswith("lockstep: ") for line in job.error_lines()):
        raise Refusal(f"it said more than its findings\n{job.said()}")
    return document


def names(title, command, check, level, found, mend, **environment):
    """The check has this level, and its texts are like these."""
    def run():
        arguments = command() if callable(command) else command
        job = suite.start(title, arguments, **environment)
        document = findings(job, (3,) if level == "failure" else (0, 3))
        each = {entry["check"]: entry for entry in document["checks"]}.get(check)
        if not each or each["level"] != level or not re.search(found, each["found"]) or \
                not re.search(mend, each["mend"]):
            raise Refusal(f"{check}: expected {level}, '{found}', '{mend}'; found {each}\n"
                          + job.said())
        if (document["failures"] > 0) != (job.process.returncode == 3):
            raise Refusal(f"{document['failures']} failures, exit code {job.process.returncode}")
    suite.add(title, run)


def doctor(*options, ranks=0, binary=None, apart=()):
    """Alone, or on ranks; `apart`: what stands before the program of the last rank alone."""
    program = [os.path.abspath(binary or suite.lockstep), "doctor", "--json", *options]
    if not apart:
        return suite.command(ranks, *program[1:], binary=binary and os.path.abspath(binary))
    return suite.unlike(*[program] * (ranks - 1), [*apart, *program])


def in_spaces(script, *command):
    """In mounts of its own."""
    if not spaces:
        raise Skip("this user may not make a mount namespace")
    return ["unshare", "-m", "--propagation", "private", "sh", "-euc", script + '\nexec "$@"', "sh",
            *command]


share = ("--oversubscribe", "--threads", "1")
as_task = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2"}

# ---- the launch
names("srun without PMIx", doctor(), "pmix", "failure", r"srun started 2 tasks without PMIx",
      r"srun --mpi=pmix", SLURM_PROCID="0", **as_task)
names("a batch script without srun", doctor(), "pmix", "warning", r"in a job of 4 tasks",
      r"srun --mpi=pmix", SLURM_JOB_ID="7", SLURM_NTASKS="4")


def other_task():
    job = suite.start("another task", doctor(), SLURM_PROCID="1", **as_task)
    if job.wait() != 3 or job.said().strip() != "--- stdout":
        raise Refusal(f"a second task says it too, or left with {job.process.returncode}\n{job.said()}")


suite.add("srun without PMIx, another task: silence", other_task)


def another_build():
    copy = suite.path("another-build")
    shutil.copy(suite.lockstep, copy)
    with open(copy, "ab") as file:
        file.write(b"\0")
    program = ["doctor", "--json"]
    return suite.unlike([suite.lockstep, *program], [copy, *program])


names("skewed versions: another build on a rank", another_build, "program", "failure",
      r"rank 1 .* another build", r"one file that all nodes see|sbcast")
names("skewed versions: another library on a rank",
      doctor(*share, ranks=2, apart=("env", "DNNL_MAX_CPU_ISA=SSE41")), "libraries", "warning",
      r"rank 1 .*sse41.*rank 0 has oneDNN", r"LD_LIBRARY_PATH")

# ---- cores
names("two ranks on a core", lambda: ["taskset", "-c", "0", *doctor(ranks=2)], "cores", "failure",
      r"ranks 0 and 1 would stand on one core", r"mpirun --map-by slot:PE=1")
names("fewer cores than threads", doctor("--threads", "300"), "cores", "failure",
      r"300 threads, but has fewer cores", r"taskset")


def busy_core():
    busy = subprocess.Popen(["taskset", "-c", "0", "sh", "-c", "while :; do :; done"])
    try:
        job = suite.start("load", ["taskset", "-c", "0", *doctor()])
        load = [entry for entry in findings(job, (0,))["checks"] if entry["check"] == "load"][0]
    finally:
        busy.kill()
        busy.wait()
    if load["level"] != "warning" or not re.search(r"unit 0 is \d+% busy", load["found"]):
        raise Refusal(str(load))


suite.add("a core that is busy", busy_core)

# ---- limits of processes and control groups
def group_folder(controller):
    """Where groups with this controller are made, and whether that is cgroup v2."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        mounts = [line.split() for line in file]
    for fields in mounts:
        mount, kind, options = fields[4], *fields[fields.index("-") + 1::2]
        with contextlib.suppress(OSError):
            if kind == "cgroup" and controller in options.split(","):
                return mount, False
            with open(f"{mount}/cgroup.subtree_control", encoding="utf-8") as file:
                if kind == "cgroup2" and controller in file.read().split():
                    return mount, True
    raise Skip(f"no {controller} control group is mounted, or it may not be handed on")


@contextlib.contextmanager
def in_group(controller, first, second):
    """What stands before a command that is to run in a group of its own: with these contents of its
    files of cgroup v1, or of v2."""
    mount, second_version = group_folder(controller)
    folder = f"{mount}/lockstep-test-{os.getpid()}-{threading.get_ident()}"
    try:
        os.mkdir(folder)
        for name, text in (second if second_version else first).items():
            with open(os.path.join(folder, name), "w", encoding="ascii") as file:
                file.write(text)
    except OSError as reason:
        with contextlib.suppress(OSError):
            os.rmdir(folder)
        raise Skip(f"this user may not make a control group: {reason}") from None
    try:
        yield ["sh", "-ec", 'echo $$ >"$0"; exec "$@"', os.path.join(folder, "cgroup.procs")]
    finally:
        for _ in range(100):  # processes that have ended leave it a moment later
            with contextlib.suppress(OSError):
                os.rmdir(folder)
                break
            time.sleep(0.05)


def quota_of(cpus):
    quota = str(int(cpus * 100000))
    return in_group("cpu", {"cpu.cfs_quota_us": quota}, {"cpu.max": quota + " 100000"})


def judged(title, command, check, code=0):
    document = findings(suite.start(title, command), (code,))
    return {entry["check"]: entry for entry in document["checks"]}[check]


def expect(entry, level, found, mend):
    if entry["level"] != level or not re.search(found, entry["found"]) or \
            not re.search(mend, entry["mend"]):
        raise Refusal(f"expected {level}, '{found}', '{mend}'; found {entry}")


def cpu_quota():
    with quota_of(1) as inside:
        expect(judged("quota", [*inside, *doctor("--threads", "1")], "cpu quota"), "ok",
               r"^1 CPUs for 1 thread of rank 0", r"^$")
        expect(judged("quota-2", [*inside, *doctor("--threads", "1", ranks=2)], "cpu quota"), "warning",
               r"1 thread for 0\.5 CPUs, its share of a quota of 1 for 2 ranks \(/.*cpu\.", r"--cpus=2 ")
        if len(os.sched_getaffinity(0)) > 1:
            expect(judged("quota-0", [*inside, *doctor()], "cpu quota"), "warning",
                   r"has [0-9]+ cores, but 1 CPUs of a quota .*: --threads 0 takes 1", r"docker run --cpus=")


def trained(title, command):
    """Its warnings and its summary."""
    job = suite.start(title, command)
    if job.wait() != 0:
        raise Refusal(job.said())
    with open(os.path.join(job.folder, "run", "log.txt"), encoding="utf-8") as file:
        warnings = [line for line in file.read().splitlines() if line.startswith("warning  cpu quota")]
    with open(os.path.join(job.folder, "run", "summary.csv"), newline="", encoding="utf-8") as file:
        return warnings, next(csv.DictReader(file))


def train_in_quota():
    if len(os.sched_getaffinity(0)) < 2:
        raise Skip("one core")
    options = suite.train(data, "--batch-per-rank", "20")
    options[options.index("--threads") + 1] = "0"
    with quota_of(1) as inside:
        warnings, summary = trained("train-quota-0", [*inside, suite.lockstep, *options])
        if warnings or summary["rank_threads"] != "1":
            raise Refusal(f"--threads 0: {summary['threads']} threads, {warnings}")
        options[options.index("--threads") + 1] = "2"
        warnings, summary = trained("train-quota-2", [*inside, suite.lockstep, *options])
        if summary["rank_threads"] != "2" or len(warnings) != 1 or not re.search(
                r"2 threads for 1 CPUs.*\(--threads 1 ", warnings[0]):
            raise Refusal(f"--threads 2: {summary['threads']} threads, {warnings}")


def group_of_processes():
    with in_group("pids", {"pids.max": "10"}, {"pids.max": "10"}) as inside:
        expect(judged("pids", [*inside, *doctor("--threads", "2")], "processes"), "warning",
               r"10 processes and threads are allowed, [0-9]+ run, and its ranks may start 10 more "
               r"\(/.*pids\.max\)", r"--pids-limit=-1")


suite.add("a CPU quota", cpu_quota)
suite.add("train: a CPU quota", train_in_quota)
suite.add("few processes in a control group", group_of_processes)
names("few open files", ["sh", "-c", 'ulimit -n 20; exec "$@"', "sh", *doctor()], "open files",
      "warning", r"may have 20 open files, has [0-9]+, and may need 16 more", r"ulimit -Hn 65536")


def too_few_open_files():
    """What a rank has open once it has started, and half of what it wants to spare: enough for the MPI of any version,
    too little for the lifeline."""
    healthy = judged("open files of two ranks", doctor(*share, ranks=2), "open files")
    has = re.search(r"has (\d+) and may need 16 more$", healthy["found"])
    if not has:
        raise Refusal(str(healthy))
    limit = int(has[1]) + 8
    command = [*MPIRUN, "-n", "2", "sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *doctor(*share)]
    expect(judged("too few open files", command, "open files", 3), "failure",
           f"may have {limit} open files, has [0-9]+, and needs [0-9]+ more", r"ulimit -Hn 65536")


suite.add("too few open files for the launch", too_few_open_files)
names("little address space", ["sh", "-c", 'ulimit -v 1200000; exec "$@"', "sh", *doctor()],
      "address space", "warning", r"the address space is limited to 1\.1 GiB, .* and a run may need",
      r"ulimit -v unlimited")

# ---- memory
# Without MPI's own use of that memory: mpirun 4.1 crashes now and then over the words of two ranks about it.
# Over loopback, for Open MPI 5 finds no way between two ranks by an interface whose speed is unknown.
names("short shared memory",
      lambda: in_spaces("mount -t tmpfs -o size=1m none /dev/shm", "env", "OMPI_MCA_btl=self,tcp",
                        "OMPI_MCA_btl_tcp_if_include=lo",
                        *doctor(*share, "--device", "cpu", ranks=2)),
      "shared memory", "warning", r"/dev/shm has 1 MiB free, the 2 ranks there need about 8 MiB",
      r"remount,size=.*--shm-size")
names("little memory may be locked",
      ["sh", "-c", 'ulimit -l 64; exec "$@"', "sh", *doctor()], "locked memory", "warning",
      r"only 64 KiB", r"ulimit -l unlimited.*--propagate=NONE")

# ---- files
names("no data folder", doctor("--data", "/nowhere/at/all"), "data", "failure",
      r"/nowhere/at/all", r"LOCKSTEP_DATA=")


def damaged():
    copy = suite.copy(data, "damaged")
    with open(os.path.join(copy, "manifest.h5"), "r+b") as file:
        file.truncate(100)
    return doctor("--data", copy)


names("data that cannot be read", damaged, "data", "failure", r"manifest\.h5", r"LOCKSTEP_DATA=")


def two_data_sets():
    other = suite.pack("other", 200, 40, "--seed", "9")
    program = [suite.lockstep, "doctor", "--json", *share, "--data"]
    return suite.unlike([*program, data], [*program, other])


names("another data set on a rank", two_data_sets, "data", "failure", r"rank 1 .* finds data set",
      r"one folder that all nodes see")
names("results that cannot be written",
      lambda: in_spaces("mount -t tmpfs -o ro none /mnt", *doctor("--results", "/mnt/run")),
      "results", "failure", r"/mnt: cannot make a file: Read-only", r"LOCKSTEP_RESULTS=")
names("a full disk",
      lambda: in_spaces("mount -t tmpfs -o size=256k none /mnt", *doctor("--results", "/mnt/run")),
      "space", "failure", r"256 KiB free", r"df -h '/mnt'")
names("little space",
      lambda: in_spaces("mount -t tmpfs -o size=32m none /mnt", *doctor("--results", "/mnt/run")),
      "space", "warning", r"32 MiB free for results in /mnt, a run may need 64 MiB", r"df -h '/mnt'")
names("a file system without locks", doctor("--data", data), "file locks", "warning",
      r"cannot lock .*: No locks available", r"HDF5_USE_FILE_LOCKING=FALSE", LD_PRELOAD=shim,
      SHIM_FLOCK_ERRNO="37")
names("a file system without locks, and HDF5 is to lock", doctor("--data", data), "file locks",
      "failure", r"No locks available", r"HDF5_USE_FILE_LOCKING=FALSE", LD_PRELOAD=shim,
      SHIM_FLOCK_ERRNO="37", HDF5_USE_FILE_LOCKING="TRUE")
names("a file system without locks, mended", doctor("--data", data), "file locks", "ok",
      r"does not lock", r"^$", LD_PRELOAD=shim, SHIM_FLOCK_ERRNO="37", HDF5_USE_FILE_LOCKING="FALSE")

# ---- clocks
names("a clock that is wrong",
      doctor(*share, ranks=2, apart=("env", "LD_PRELOAD=" + shim, "SHIM_CLOCK_SECONDS=5")), "clocks",
      "warning", r"the clock of rank 1 .* is [45]\.\d+ s \(\+-\S+\) ahead of rank 0's", r"chronyc")

# ---- devices
names("a GPU that is granted and not there", doctor(), "gpu", "failure",
      r"granted \(CUDA_VISIBLE_DEVICES=0\)|no NVIDIA driver.*granted: CUDA_VISIBLE_DEVICES=0",
      r"#SBATCH --gres=gpu:1.*--device cpu", CUDA_VISIBLE_DEVICES="0")
names("a step's GPU that is not there", doctor(), "gpu", "failure", r"SLURM_STEP_GPUS=0",
      r"#SBATCH --gres=gpu:1", SLURM_STEP_GPUS="0")


def on_gpus(title, options, check, level, found, mend, **environment):
    title = "emulated: " + title
    if not emulated:
        def skip():
            raise Skip("no emulated binary")
        suite.add(title, skip)
        return
    names(title, doctor(*share, "--device", "cuda", *options, ranks=2, binary=emulated), check,
          level, found, mend, **dict({"LOCKSTEP_NVML": nvml}, **environment))


two = {"LOCKSTEP_EMULATED_GPUS": "2"}
on_gpus("more ranks than GPUs", (), "gpu", "failure", r"2 ranks on this node but 1 GPU",
        r"#SBATCH --gres=gpu:2")
on_gpus("two ranks bound to one GPU", (), "gpu sharing", "failure",
        r"ranks 0 and 1 on host \S+ have the same GPU \(GPU-", r"#SBATCH --gres=gpu:2.*--share-gpu",
        CUDA_VISIBLE_DEVICES="0", SLURM_JOB_ID="7", SLURM_GPU_BIND="map_gpu:0")
on_gpus("two ranks on one GPU, on purpose", ("--share-gpu",), "gpu sharing", "warning",
        r"the same GPU", r"--gres=gpu:2")
on_gpus("a GPU a rank", (), "gpu sharing", "ok", r"of its own", r"^$", **two)
on_gpus("GPUs that reach each other", (), "gpu peers", "ok", r"reach each other", r"^$", **two)
on_gpus("isolated GPUs", (), "gpu peers", "warning", r"rank 0 .* no access to the GPU of rank 1",
        r"srun --gpus-per-node=2 --gpu-bind=none", NVML_HIDDEN="1", **two)
on_gpus("GPUs that are not connected", (), "gpu peers", "warning",
        r"does not copy between its GPU and that of rank 1", r"nvidia-smi topo", NVML_UNCONNECTED="1",
        **two)


# ---- the whole: text, times, help
def text_of_all():
    job = suite.start("text", [argument for argument in doctor(
        *share, "--data", data, "--results", "run", ranks=2) if argument != "--json"])
    code = job.wait()
    job.out.seek(0)
    lines = job.out.read().decode().splitlines()
    names_found = [line.split()[0] for line in lines if not line.startswith(" ")]
    if code != 0 or len(lines) < 18 or "failure" in names_found or os.path.exists(
            os.path.join(job.folder, "run")):
        raise Refusal(f"exit code {code}\n{job.said()}")
    if not re.match(r"\d+ ok, \d+ warnings?, 0 failures, \d+ skipped \(\d+\.\d\d s\)$", lines[-1]):
        raise Refusal(f"last line: {lines[-1]}")


suite.add("nothing wrong: a line a check", text_of_all)


def late():
    script = '[ "$PMIX_RANK" = 0 ] || sleep 100; exec "$@"'
    job = suite.start("late", [*MPIRUN, "-n", "2", "sh", "-c", script, "sh", suite.lockstep, "doctor",
                               "--json"], LOCKSTEP_START_SECONDS="1")
    document = findings_or_line(job)
    if not re.search(r"1 of 2 ranks did not arrive within 1 s: rank 1 \(host", document):
        raise Refusal(job.said())


def findings_or_line(job):
    if job.wait() != 3:
        raise Refusal(f"exit code {job.process.returncode}\n{job.said()}")
    return "\n".join(job.error_lines())


suite.add("a rank that does not arrive", late)


def hangs():
    """A server of locks that does not answer, on one rank."""
    job = suite.start("hangs", doctor(*share, "--data", data, ranks=2,
                                      apart=("env", "LD_PRELOAD=" + shim, "SHIM_FLOCK_ERRNO=0")),
                      LOCKSTEP_STALL_SECONDS="2")
    code = job.wait()
    lines = [line for line in job.error_lines() if line.startswith("lockstep: ")]
    if code == 0 or len(lines) != 1 or not re.search(
            r"rank 1 \(host \S+\).* no progress for 2 s in doctor: files$", lines[0]):
        raise Refusal(job.said())


suite.add("a file system that hangs on a rank", hangs)


# ---- where a run starts
def warned(title, expected, *apart, **environment):
    """`train` with and without a fault: lines below the header, or none. What is preloaded stands in
    all ranks' environment, for `train` compares it."""
    def run():
        program = [suite.lockstep, *suite.train(data, "--batch-per-rank", "20")]
        job = suite.start(title, suite.unlike(program, [*apart, *program]), **environment)
        if job.wait() != 0:
            raise Refusal(job.said())
        with open(os.path.join(job.folder, "run", "log.txt"), encoding="utf-8") as file:
            found = [line for line in file.read().splitlines() if line.startswith("warning  ")]
        if len(found) != len(expected) or not all(map(re.search, expected, found)):
            raise Refusal(f"expected {expected}, found {found}")
    suite.add(title, run)


warned("train: silent where all is well", ())
warned("train: a clock that is wrong", (r"warning  clocks: the clock of rank 1 .*\(chronyc",),
       "env", "SHIM_CLOCK_SECONDS=5", LD_PRELOAD=shim)
suite.finish()
