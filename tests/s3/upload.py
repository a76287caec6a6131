#!/usr/bin/env python3
"""Runs whose best checkpoints go to S3: moto's server behind the proxy of server.py.

usage: upload.py LOCKSTEP   (run with a Python that has moto's server and boto3)

Prints TAP; without moto the plan says skipped.
"""
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile

try:
    import moto.server  # noqa: F401
except ImportError as missing:
    print(f"1..0 # SKIP {missing}")
    sys.exit(0)
here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, "..", "modes")]
from kit import Tap  # noqa: E402
from server import KEYS, REGION, Server  # noqa: E402

lockstep = os.path.abspath(sys.argv[1])
work = tempfile.mkdtemp(prefix="lockstep-upload-")
server = Server()
store = server.store()
tap = Tap()


def case(name, right, detail=""):
    tap.check(name, right, str(detail).replace("\n", "\n# "))


def at(*names):
    return os.path.join(work, *names)


def run(*words, ranks=0, **more):
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(("AWS_", "SLURM_", "OMPI_", "PMIX_"))}
    environment.update(HOME=work, AWS_ENDPOINT_URL=server.url, AWS_REGION=REGION, AWS_EC2_METADATA_DISABLED="true",
                       OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                       AWS_ACCESS_KEY_ID="AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY=KEYS["AKIDEXAMPLE"])
    environment.update(more)
    command = [lockstep, *map(str, words)]
    if ranks:
        command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks), *command, "--oversubscribe"]
    return subprocess.run(command, capture_output=True, text=True, timeout=200,
                          env={name: value for name, value in environment.items() if value})


def train(name, *words, ranks=0, **more):
    server.clear()
    server.always = more.pop("always", None)
    return run("train", "--data", at("data"), "--mode", "ddp" if ranks else "single", "--device", "cpu", "--threads", 1,
               "--global-batch", 32, "--epochs", 2, "--results", at(name), *words, ranks=ranks, **more)


def summary(name):
    with open(at(name, "summary.csv"), newline="", encoding="utf-8") as file:
        return next(csv.DictReader(file))


def keys(prefix):
    return {entry["Key"][len(prefix) + 1:] for entry in
            store.list_objects_v2(Bucket="runs", Prefix=prefix + "/").get("Contents", [])}


def same_as_local(prefix, folder):
    """Every file of the checkpoint that `best` names is there, byte by byte."""
    name = store.get_object(Bucket="runs", Key=f"{prefix}/best")["Body"].read().decode().strip()
    for file in os.listdir(os.path.join(folder, name)):
        with open(os.path.join(folder, name, file), "rb") as local:
            if store.get_object(Bucket="runs", Key=f"{prefix}/{name}/{file}")["Body"].read() != local.read():
                return False
    with open(os.path.join(folder, "best"), encoding="ascii") as file:
        return file.read().strip() == name


def main():
    store.create_bucket(Bucket="runs")
    run("pack", "synthetic", at("data"), "--images", 320, "--test-images", 64, "--size", 8, "--seed", 3)
    for ranks in (0, 2):
        done = train(f"good{ranks}", "--best", "accuracy", "--upload", f"s3://runs/r/{ranks}", ranks=ranks)
        case(f"the best checkpoint is in the bucket, {ranks or 1} ranks", done.returncode == 0 and not server.wrong and
             same_as_local(f"r/{ranks}", at(f"good{ranks}", "checkpoints")) and
             int(summary(f"good{ranks}")["uploads"]) >= 1 and not summary(f"good{ranks}")["uploads_failed"],
             (done, server.wrong))
    for source in ("s3://runs/r/0", "s3://runs/r/0/best"):
        name = f"on-{os.path.basename(source)}"
        done = train(name, "--checkpoint-every", "epoch", "--epochs", 3, "--resume", source, ranks=2)
        with open(at(name, "epochs.csv"), encoding="utf-8") as file:
            rows = len(file.readlines())
        case(f"--resume {source}: on two ranks, to the third epoch", done.returncode == 0 and rows == 4 and
             not server.wrong and summary(name)["attempts"] == "2", (done, rows, server.wrong))
    done = train("absent", "--resume", "s3://runs/nothing")
    case("--resume of what is not there", done.returncode == 2 and len(done.stderr.splitlines()) == 1 and
         "404 NoSuchKey" in done.stderr and not os.path.exists(at("absent", "summary.csv")), done.stderr)
    done = train("all", "--checkpoint-every", "epoch", "--upload", "s3://runs/all", "--upload-all")
    case("--upload-all: the last one, too", done.returncode == 0 and "last" in keys("all") and "best" not in keys("all"),
         (done, keys("all")))
    done = train("busy", "--best", "loss", "--upload", "s3://runs/busy", always="403")
    with open(at("busy", "log.txt"), encoding="utf-8") as file:
        log = file.read()
    case("a server that refuses: a warning and a column, and the run ends well",
         done.returncode == 0 and re.search(r"warning +checkpoint step-\d+ was not uploaded: .*403 AccessDenied", log) and
         int(summary("busy")["uploads_failed"]) >= 1 and not keys("busy"), (done, log))
    secret = KEYS["AKIDEXAMPLE"]
    said = "".join(open(os.path.join(folder, file), errors="replace", encoding="latin-1").read()
                   for folder, _, files in os.walk(work) for file in files if not file.endswith(".h5"))
    case("no file of a run has the secret key", secret not in said and secret not in done.stdout + done.stderr)
    refusals = {("--upload", "s3://runs/x"): "without --best", ("--upload-all",): "belongs to --upload",
                ("--upload", "runs/x", "--best", "loss"): "expected s3://BUCKET/PREFIX",
                ("--upload", "s3://R/x", "--best", "loss"): "a bucket's name"}
    for words, pattern in refusals.items():
        done = train("refused", *words)
        case(f"refused: {' '.join(words)}", done.returncode == 2 and len(done.stderr.splitlines()) == 1 and
             pattern in done.stderr and not os.path.exists(at("refused")), done.stderr)
    done = train("refused", "--upload", "s3://runs/x", "--best", "loss", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    case("no credentials: nothing begins", done.returncode == 2 and "no credentials for S3" in done.stderr and
         not os.path.exists(at("refused")), done.stderr)


try:
    main()
finally:
    server.close()
    shutil.rmtree(work, ignore_errors=True)
sys.exit(tap.done())
