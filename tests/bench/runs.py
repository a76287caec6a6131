"""Runs lockstep for the benches and reads back what it wrote."""
import csv
import os
import shutil
import statistics
import subprocess
import tarfile

# How an archive is unpacked: no path out of the folder. Python before 3.11.4 has no filters.
SAFELY = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}

DEVICE = os.environ.get("LOCKSTEP_DEVICE", "cpu")  # of every run
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
if DEVICE == "cpu":
    ENVIRONMENT["CUDA_VISIBLE_DEVICES"] = ""


def train(lockstep, data, folder, *options, ranks=0, core=None):
    """One run; ranks = 0: alone, on `core` where given; else mpirun with a core a rank.
    Returns summary.csv's row and the list of epochs.csv's rows."""
    shutil.rmtree(folder, ignore_errors=True)
    command = []
    if ranks:
        command = ["mpirun", "--bind-to", "core", "--map-by", "core", "-n", str(ranks)]
    elif core is not None:
        command = ["taskset", "-c", str(core)]
    command += [lockstep, "train", "--data", data, "--device", DEVICE, "--results", folder,
                *map(str, options)]
    return finish(command, folder, ENVIRONMENT)


def finish(command, folder, environment):
    """Runs `command`, which trains into `folder`: what train() returns."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
    with open(os.path.join(folder, "summary.csv"), newline="") as file:
        summary = next(csv.DictReader(file))
    with open(os.path.join(folder, "epochs.csv"), newline="") as file:
        return summary, list(csv.DictReader(file))


class Cluster:
    """The two-node test cluster, up while the `with` lasts (as root). `environment` is srun's; what ranks read
    and write must not lie in /tmp, of which each node has its own."""

    SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "slurm", "cluster.sh")

    def __init__(self, *options):
        self.folder = f"/run/lockstep-bench-{os.getpid()}"
        self.options = [*map(str, options)]
        self.environment = dict(ENVIRONMENT, SLURM_CONF=f"{self.folder}/slurm.conf")

    def __enter__(self):
        self._call("up", *self.options)
        return self

    def __exit__(self, *_):
        self._call("down")

    def _call(self, verb, *options):
        done = subprocess.run(["sh", self.SCRIPT, verb, "--dir", self.folder, *options], env=ENVIRONMENT,
                              capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"cluster.sh {verb}: exit {done.returncode}\n{done.stderr}")


def synthetic(lockstep, folder, images, test_images):
    subprocess.run([lockstep, "pack", "synthetic", folder, "--images", str(images),
                    "--test-images", str(test_images)], check=True, capture_output=True)
    return folder


def photographs(source, folder, images):
    """`images` links to the JPEGs of `source` (a tar archive or folder, as often as it takes), as class folders
    in train/ and one of each class in val/."""
    unpacked = source
    if not os.path.isdir(source):
        unpacked = os.path.join(folder, "unpacked")
        with tarfile.open(source) as archive:
            archive.extractall(unpacked, **SAFELY)
    paths = sorted(os.path.join(top, name) for top, _, names in os.walk(unpacked) for name in names
                   if name.lower().endswith((".jpg", ".jpeg")))
    for number in range(images):
        path = paths[number % len(paths)]
        for split in ("train", "val") if number < 4 else ("train",):
            place = os.path.join(folder, "tree", split, f"class{number % 4}")
            os.makedirs(place, exist_ok=True)
            os.link(path, os.path.join(place, f"{number}.jpg"))
    return os.path.join(folder, "tree")


def encoded(lockstep, tree, folder):
    """A tree of photographs as shards, the JPEGs as they are."""
    subprocess.run([lockstep, "pack", "images", tree, folder, "--encoded", "--check", "header"], check=True,
                   capture_output=True)
    return folder


def spread(values):
    """Median and range of a figure over the rounds."""
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def verdict(value, bar, at_least=True):
    good = value >= bar if at_least else value <= bar
    return f"{'holds' if good else 'MISSED'}: {value:.3f}, {'at least' if at_least else 'at most'} {bar}"
