#!/usr/bin/env python3
"""Bad options and launches: `lockstep train` and `lockstep report`, alone and on ranks.

usage: options.py LOCKSTEP [PART-OF-A-CASE'S-NAME]
"""
import os
import shutil

from kit import MPIRUN, Refusal, Skip, Suite

suite = Suite()
data = suite.pack("data", 200, 40, "--shards", 2)
other = suite.pack("other", 200, 40, "--seed", 2)
train = suite.train

# ---- words that nobody knows
suite.refused("doctor: an unknown device", 2, r"--device: expected one of .*'tpu'",
              ["doctor", "--device", "tpu"])
suite.refused("doctor: an operand", 2, "unexpected operand 'ranks'", ["doctor", "ranks"], ranks=(0,))
suite.refused("doctor: threads", 2, r"--threads: expected a whole number .*'5000'",
              ["doctor", "--threads", "5000"], ranks=(0,))
suite.refused("checkpoint: a format where nothing is exported", 2,
              "--format belongs to checkpoint export; found it with checkpoint show",
              ["checkpoint", "show", "runs", "--format", "timm"], ranks=(0,))
suite.refused("an unknown command", 2, "unknown command 'trian'", ["trian"], ranks=(0,))
suite.refused("an unknown option", 2, "'--bacth-per-rank'", train(data, "--bacth-per-rank", "64"),
              ranks=(0, 2, 3))
suite.refused("a short option", 2, "unknown option '-n'", train(data, "-n", "3"))
suite.refused("an operand", 2, "unexpected operand 'more'", train(data, "more"))
for option, value, expected in (
        ("--mode", "dpd", r"--mode: expected one of .*'dpd'"),
        ("--model", "cnnn", r"--model: expected one of .*'cnnn'"),
        ("--patch", "15", r"--patch: expected one of .*'15'"),
        ("--patch", "8", r"--patch: expected a vision transformer .*--model cnn"),
        ("--device", "tpu", r"--device: expected one of .*'tpu'"),
        ("--precision", "fp8", r"--precision: .*fp32.*'fp8'"),
        ("--optimizer", "adamw2", r"--optimizer: expected one of .*'adamw2'"),
        ("--epochs", "0", r"--epochs: expected a whole number .*'0'"),
        ("--epochs", "many", r"--epochs: expected a whole number.*'many'"),
        ("--epochs", "1e3", r"--epochs: expected a whole number.*'1e3'"),
        ("--batch-per-rank", "-1", r"--batch-per-rank: .*'-1'"),
        ("--batch-per-rank", "99999999999999999999", r"--batch-per-rank: .*'9{20}'"),
        ("--learning-rate", "nan", r"--learning-rate: .*'nan'"),
        ("--learning-rate", "inf", r"--learning-rate: .*'inf'"),
        ("--learning-rate", "-1", r"--learning-rate: .*'-1'"),
        ("--momentum", "1", r"--momentum: .*'1'"),
        ("--bucket-mb", "0", r"--bucket-mb: expected auto or a number .*'0'"),
        ("--bucket-mb", "automatic", r"--bucket-mb: expected auto or a number.*'automatic'"),
        ("--grad-comm", "fp16", r"--grad-comm: expected one of fp32\|bf16.*'fp16'"),
        ("--factor-comm", "maybe", r"--factor-comm: expected one of auto\|on\|off.*'maybe'"),
        ("--profile", "0", r"--profile: expected a whole number .*'0'"),
        ("--profile", "all", r"--profile: expected a whole number.*'all'"),
        ("--ablate", "x", r"--ablate: expected one of none\|comm\|data\|compute.*'x'"),
        ("--certificate", "yes", r"--certificate: expected one of on\|off.*'yes'"),
        ("--certificate-every", "-1", r"--certificate-every: expected a whole number .*'-1'"),
        ("--tensorboard", "yes", r"--tensorboard: expected one of on\|off.*'yes'"),
        ("--threads", "9999", r"--threads: .*'9999'"),
        ("--seed", "-1", r"--seed: .*'-1'"),
        ("--seed", "9007199254740993", r"--seed: .* and 9007199254740992, found '9007199254740993'"),
        ("--results", "", r"--results: .*found nothing")):
    suite.refused(f"{option} '{value}'", 2, expected, train(data, option, value),
                  ranks=(0, 2) if value in ("dpd", "0") else (0,))
suite.refused("an option without its value", 2, r"--epochs: expected N, found nothing",
              train(data, "--epochs"))
suite.refused("a flag with a value", 2, r"--verbose: takes no value", train(data, "--verbose=1"),
              ranks=(0,))
suite.refused("a line feed in an option", 2, r"'--a\?lockstep: b'", ["train", "--a\nlockstep: b"],
              ranks=(0,))
suite.refused("an option of 100,000 bytes", 2, "unknown option '--xxx",
              ["train", "--" + "x" * 100000])

# ---- patience that is no time
for name, value in (("START", "junk"), ("SILENCE", "3x"), ("STALL", "0"), ("STALL", "inf")):
    suite.refused(f"LOCKSTEP_{name}_SECONDS={value}", 2,
                  rf"LOCKSTEP_{name}_SECONDS: expected a number of seconds .*'{value}'", train(data),
                  ranks=(0, 2) if value == "junk" else (0,), **{f"LOCKSTEP_{name}_SECONDS": value})

for value, ranks in (("junk", (0, 2)), ("2", (0,)), ("off", (0,))):
    suite.refused(f"LOCKSTEP_SHARED_MEMORY={value}", 2,
                  rf"LOCKSTEP_SHARED_MEMORY: expected 0 .* or 1, found '{value}'", train(data),
                  ranks=ranks, LOCKSTEP_SHARED_MEMORY=value)

# ---- limits on open files
def few_files(title, limit, ranks, pattern):
    """Of each rank: mpirun itself needs more."""
    program = suite.command(0, *train(data))
    job = suite.start(title, [*MPIRUN, "-n", str(ranks), "sh", "-c",
                              f'ulimit -n {limit}; exec "$@"', "sh", *program])
    if pattern:
        suite.check(job, 3, pattern)
    elif job.wait():
        raise Refusal(job.said())


def soft_limit(title):
    """The hard limit is what counts."""
    program = suite.command(0, *train(data))
    job = suite.start(title, [*MPIRUN, "-n", "2", "sh", "-c",
                              'ulimit -S -n 30; exec "$@"', "sh", *program])
    if job.wait():
        raise Refusal(job.said())


if suite.mpirun:
    suite.add("64 open files", lambda: few_files("64 open files", 64, 2, ""))
    suite.add("30 open files", lambda: few_files(
        "30 open files", 30, 2, r"rank 0 .* may have 30 open files, has [0-9]+, .*ulimit -Hn"))
    suite.add("a soft limit on open files", lambda: soft_limit("a soft limit on open files"))


suite.refused("no --data", 2, "--data: expected", ["train", "--results", "run"])
suite.refused("no --results", 2, "--results: expected", ["train", "--data", data])

# ---- options that contradict
both = ["--batch-per-rank", "64", "--global-batch", "128"]
suite.refused("two batches", 2, "--batch-per-rank 64 and --global-batch 128", train(data, *both))
suite.refused("a global batch that does not divide", 2,
              r"--global-batch 65 .*2 ranks.* 64 and 66", train(data, "--global-batch", "65"),
              ranks=(2,))
suite.refused("a global batch smaller than the ranks", 2, r"--global-batch 1 .*3 ranks",
              train(data, "--global-batch", "1"), ranks=(3,))
suite.refused("momentum without sgd", 2, r"--momentum", train(data, "--momentum", "0.9"))
suite.refused("bf16 gradients of dp", 2, r"--grad-comm bf16 .*--mode ddp",
              train(data, "--grad-comm", "bf16", mode="dp"), ranks=(0, 2))
suite.refused("factors of single", 2, r"--factor-comm on .*--mode ddp",
              train(data, "--factor-comm", "on", mode="single"), ranks=(0,))
suite.refused("more micro-batches than images a lane", 2, r"--accumulate 3: a step has 2 images a lane",
              train(data, "--accumulate", "3", "--strict", "--lanes", "4", "--global-batch", "8"))
suite.refused("accumulated factors", 2, r"--accumulate 2 .*--factor-comm on \(leave it out",
              train(data, "--accumulate", "2", "--factor-comm", "on"), ranks=(2,))
suite.refused("more micro-batches than images", 2, r"--accumulate 9: a step has 8 images a rank",
              train(data, "--accumulate", "9", "--batch-per-rank", "8"), ranks=(0, 2))
suite.refused("no micro-batch", 2, r"--accumulate", train(data, "--accumulate", "0"))
suite.refused("lanes without --strict", 2, r"--lanes 4 belongs to --strict", train(data, "--lanes", "4"))
suite.refused("the cost of strictness without it", 2, r"--strict-cost off belongs to --strict",
              train(data, "--strict-cost", "off"))
suite.refused("lanes that are no power of two", 2, r"--lanes 6: expected a power of two",
              train(data, "--strict", "--lanes", "6"))
suite.refused("more ranks than lanes", 2, r"2 ranks are more than 1 lanes: give --lanes 2",
              train(data, "--strict", "--lanes", "1"), ranks=(2,))
suite.refused("strict on 3 ranks", 3, r"--strict: 3 ranks are no power of two",
              train(data, "--strict"), ranks=(3,))
suite.refused("more lanes than images", 2, r"a global batch of 128 .*256 lanes",
              train(data, "--strict", "--lanes", "256", "--global-batch", "128"), ranks=(2,))
suite.refused("strict dp", 2, r"--strict belongs to .*ddp.*; found it with --mode dp", train(data, "--strict", mode="dp"))
suite.refused("strict sums of bf16", 2, r"--strict .*--grad-comm bf16",
              train(data, "--strict", "--grad-comm", "bf16"), ranks=(2,))
suite.refused("strict factors", 2, r"--strict .*--factor-comm on",
              train(data, "--strict", "--factor-comm", "on"), ranks=(2,))
suite.refused("single on several ranks", 3, "mode single", train(data, mode="single"), ranks=(2, 3))

suite.refused("more steps to profile than there are", 2,
              r"--profile 99: an epoch has \d+ steps? of the whole batch",
              train(data, "--profile", "99"))
suite.refused("no communication to leave out", 2, r"--ablate comm: one rank has no communication",
              train(data, "--ablate", "comm", mode="single"), ranks=(0,))
suite.refused("a log of steps that are not taken", 2, r"--ablate compute takes no step: found --step-log",
              train(data, "--ablate", "compute", "--step-log"))
suite.refused("a profile of steps that are not taken", 2, r"--ablate compute takes no step: found --profile",
              train(data, "--ablate", "compute", "--profile", "1"))

# ---- options and programs that differ between ranks


def differ(name, code, pattern, first, second):
    def run():
        command = suite.unlike([suite.lockstep, *first], [suite.lockstep, *second])
        suite.check(suite.start(name, command), code, pattern)
    suite.add(name, run)


differ("--seed differs", 2, r"ranks differ: seed is '2' on rank 1 .*'1' on rank 0",
       train(data), train(data, "--seed", "2"))
differ("--mode differs", 2, r"ranks differ: mode is 'dp' on rank 1 .*'ddp' on rank 0",
       train(data), train(data, mode="dp"))
differ("--optimizer differs", 2, r"ranks differ: optimizer is 'sgd'",
       train(data), train(data, "--optimizer", "sgd"))
differ("--device differs", 2, r"ranks differ: device is 'ref'",
       train(data), train(data, "--device", "ref"))
differ("--lanes differs", 2, r"ranks differ: (strict|lanes) is", train(data, "--strict", "--lanes", "2"),
       train(data, "--strict", "--lanes", "4"))
differ("--step-log differs", 2, r"ranks differ: step-log", train(data),
       train(data, "--step-log"))
differ("--ablate differs", 2, r"ranks differ: ablate is 'comm' on rank 1", train(data),
       train(data, "--ablate", "comm"))
differ("--profile differs", 2, r"ranks differ: profile", train(data, "--profile", "1"),
       train(data))
differ("batches differ", 2, r"ranks differ: (batch-per-rank|global-batch)", train(data),
       train(data, "--global-batch", "128"))
differ("--results differs", 2, r"ranks differ: results is 'run2' on rank 1", train(data),
       train(data, "--results", "run2"))
differ("--data differs", 2, r"ranks differ: data is .*/other' on rank 1", train(data), train(other))
differ("an unknown option on rank 1", 2, "--bogus", train(data), train(data, "--bogus"))
differ("an unknown option on rank 0", 2, "--bogus", train(data, "--bogus"), train(data))
differ("--help on rank 1", 2, "--help", train(data), train(data, "--help"))
differ("--help on rank 0", 2, "--help", train(data, "--help"), train(data))
differ("single on rank 1", 3, "mode single", train(data), train(data, mode="single"))


def other_binary():
    copy = suite.path("lockstep-other")
    shutil.copy(suite.lockstep, copy)
    with open(copy, "ab") as file:
        file.write(b"another build")
    command = suite.unlike([suite.lockstep, *train(data)], [copy, *train(data)])
    suite.check(suite.start("another program", command), 2, r"ranks differ: program is .* rank 1")


def same_name_other_data():
    """One path, but another data set under it on one rank's host: here, by its folder."""
    for number, source in ((0, data), (1, other)):
        os.makedirs(suite.path(f"host{number}"))
        os.symlink(source, suite.path(f"host{number}", "data"))
    options = train("data", "--results", suite.path("case-run"))
    command = suite.unlike(*(["env", "-C", suite.path(host), suite.lockstep, *options]
                             for host in ("host0", "host1")))
    suite.check(suite.start("other data under one name", command), 2,
                r"ranks differ: train-id is .* rank 1")


suite.add("another program on rank 1", other_binary)
suite.add("another data set under one name", same_name_other_data)

# ---- launches (devices.py has the devices)
suite.refused("two ranks on one core", 3, r"--oversubscribe",
              [word for word in train(data) if word != "--oversubscribe"],
              ranks=(os.cpu_count() + 1,) if os.cpu_count() < 8 else ())
suite.refused("more threads than cores", 3, r"1000 threads",
              [word for word in train(data, "--threads", "1000") if word != "--oversubscribe"],
              ranks=(0,))
suite.refused("a PMIx server that is gone", 3, r"PMIx server.*PMIx_Init", train(data), ranks=(0,),
              PMIX_NAMESPACE="gone", PMIX_RANK="0", PMIX_SERVER_URI4="gone.0;tcp4://127.0.0.1:9",
              PMIX_SERVER_URI2="gone.0;tcp4://127.0.0.1:9")
suite.refused("srun without PMIx", 3, "--mpi=pmix", train(data), ranks=(0,), SLURM_PROCID="0",
              SLURM_NTASKS="2", SLURM_STEP_NUM_TASKS="2", SLURM_JOB_ID="7", SLURM_STEP_ID="0")

# ---- report
os.makedirs(suite.path("empty"))
with open(suite.path("file"), "w", encoding="ascii") as file:
    file.write("not a run")
for name, text in (("cut", "mode,ranks\n"), ("binary", "\0\1\2\377" * 50), ("nothing", ""),
                   ("quote", '"mode\n'), ("long", "x" * 3000000)):
    os.makedirs(suite.path(name))
    with open(suite.path(name, "summary.csv"), "w", encoding="latin1") as file:
        file.write(text)
    suite.refused(f"report of a damaged summary: {name}", 2, f"{name}/summary.csv: ",
                  ["report", suite.path(name)], ranks=(0,))
suite.refused("report without a run", 2, "RUN", ["report"], ranks=(0,))
suite.refused("report of nothing", 2, "/nowhere: ", ["report", suite.path("nowhere")], ranks=(0,))
suite.refused("report of an empty folder", 2, "empty: no summary.csv",
              ["report", suite.path("empty")], ranks=(0,))
suite.refused("report of a file", 2, "file", ["report", suite.path("file")], ranks=(0,))
suite.refused("report --format", 2, "--format: .*'xml'", ["report", "--format", "xml", data],
              ranks=(0,))
suite.refused("report --output", 2, "--output: .*nowhere",
              ["report", "--output", "nowhere/table", data], ranks=(0,))
suite.finish()
