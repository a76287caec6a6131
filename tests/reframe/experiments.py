"""ReFrame checks of the five experiments: each runs its job script as a user would, and looks at what the
runs wrote.

    LOCKSTEP=$PWD/build/lockstep LOCKSTEP_DATA=data/cifar10 \\
        reframe -C SETTINGS -c tests/reframe/experiments.py -n speedup -r

SETTINGS is the site's configuration of ReFrame (settings.py here is the test cluster's): a partition with
its scheduler; the launcher of the checks is `local`, for the scripts call srun themselves. The environment
that the scripts read (their heads list it) is handed on: LOCKSTEP, LOCKSTEP_DATA, LOCKSTEP_DEVICE,
LOCKSTEP_EPOCHS, LOCKSTEP_ARGS, ... (cluster.sh: all five on the test cluster, small). Set by `-S NAME=VALUE`: `gres` (gpu:1; none where there are no GPUs),
`num_cpus_per_task`, `form` (full; short: one epoch of one repeat), and references for regressions by
`-S least_images_per_second=N`.
"""
import csv
import glob
import math
import os

import reframe as rfm
import reframe.utility.sanity as sn
from reframe.core.backends import getlauncher
from reframe.core.builtins import run_after, run_before, sanity_function, variable

SCRIPTS = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "slurm"))
NOT_HANDED_ON = ("LOCKSTEP_RUN", "LOCKSTEP_RESULTS")  # what belongs to one job


class experiment(rfm.RunOnlyRegressionTest):
    """One job script. A check of its own sets `script`, the nodes, and what its runs must be."""

    valid_systems = ["*"]
    valid_prog_environs = ["*"]
    script = variable(str)
    modes = variable(list, value=[])  # of which a run each must have finished
    form = variable(str, value="full")
    gres = variable(str, value="gpu:1")
    least_images_per_second = variable(float, value=0.0)
    num_tasks_per_node = 1
    executable = "sh"
    postrun_cmds = ['echo "exit code $?"']  # for schedulers that forget it: squeue without a data base
    tags = {"lockstep"}
    maintainers = ["lockstep"]

    @run_after("init")
    def prepare(self):
        self.descr = f"lockstep: {self.script}.sbatch"
        if not os.path.exists(os.path.join(SCRIPTS, f"{self.script}.sbatch")):
            self.valid_systems = []  # a tree without this experiment
        self.executable_opts = [os.path.join(SCRIPTS, f"{self.script}.sbatch")]
        self.env_vars = {name: value for name, value in os.environ.items()
                         if name.split("_")[0] == "LOCKSTEP" and name not in NOT_HANDED_ON}
        # The scripts go to the folder of submission: a path that is relative is the caller's.
        for name in ("LOCKSTEP", "LOCKSTEP_DATA", "LOCKSTEP_INIT"):
            if os.path.exists(self.env_vars.get(name, "")):
                self.env_vars[name] = os.path.abspath(self.env_vars[name])
        self.env_vars["LOCKSTEP_RESULTS"] = "results"
        if self.form == "short":
            self.env_vars.setdefault("LOCKSTEP_EPOCHS", "1")
            self.env_vars.setdefault("LOCKSTEP_REPEATS", "1")

    @run_before("run")
    def launch_by_the_script(self):
        self.job.launcher = getlauncher("local")()
        if self.gres != "none":
            self.job.options += [f"--gres={self.gres}"]

    def summaries(self):
        rows = []
        for path in sorted(glob.glob(os.path.join(self.stagedir, "results", "*", "summary.csv"))):
            with open(path, newline="", encoding="utf-8") as file:
                rows += list(csv.DictReader(file))
        return rows

    @sanity_function
    def runs_are_whole(self):
        """The job ended well, each mode has a finished run, and no loss is anything but a number."""
        rows = self.summaries()
        missing = sorted(set(self.modes) - {row["mode"] for row in rows})
        broken = [row["mode"] for row in rows if not math.isfinite(float(row["final_train_loss"]))]
        return sn.all([
            sn.assert_found(r"^exit code 0$", self.stdout),
            sn.assert_false(missing, msg=f"no finished run of {', '.join(missing)}"),
            sn.assert_false(broken, msg=f"a loss that is no number: {', '.join(broken)}"),
        ])

    @run_before("performance")
    def name_figures(self):
        """A figure a configuration: the median of its repeats' images a second, and of its memory."""
        groups = {}
        for row in self.summaries():
            name = f"{row['mode']}_{row['ranks']}_{row['precision']}_{row['batch_per_rank']}"
            groups.setdefault(name, []).append(row)

        def middle(rows, column):
            values = sorted(float(row[column]) for row in rows if row[column])
            return values[len(values) // 2] if values else 0.0

        self.perf_variables = {}
        for name, rows in groups.items():
            self.perf_variables[f"{name}_rate"] = sn.make_performance_function(
                sn.defer(middle(rows, "images_per_second")), "images/s")
            self.perf_variables[f"{name}_memory"] = sn.make_performance_function(
                sn.defer(middle(rows, "memory_measured_bytes") / 1e9), "GB")
        if self.least_images_per_second > 0:
            self.reference = {"*": {f"{name}_rate": (self.least_images_per_second, 0, None, "images/s")
                                    for name in groups}}


@rfm.simple_test
class speedup(experiment):
    """A CNN on CIFAR-10: one GPU, DDP on two, DP on two."""
    script = "speedup"
    modes = ["single", "ddp", "dp"]
    num_tasks = 2
    time_limit = "6h"


@rfm.simple_test
class resnet18(experiment):
    """ResNet-18 on ImageNet: one node, then two."""
    script = "resnet18"
    modes = ["ddp"]
    num_tasks = 2
    time_limit = "24h"


@rfm.simple_test
class vit_ddp(experiment):
    """ViT-B under DDP, a GPU on each of four nodes, the highest batch."""
    script = "vit-ddp"
    modes = ["ddp"]
    num_tasks = 4
    time_limit = "24h"


@rfm.simple_test
class vit_fsdp(experiment):
    """ViT-B under FSDP and DDP on two nodes, the highest batch."""
    script = "vit-fsdp"
    modes = ["ddp", "fsdp"]
    num_tasks = 4
    num_tasks_per_node = 2
    gres = "gpu:2"
    time_limit = "24h"


@rfm.simple_test
class vit_modes(experiment):
    """A pretrained ViT, fine-tuned in each mode: throughput and memory."""
    script = "vit-modes"
    modes = ["ddp"]
    num_tasks = 2
    num_tasks_per_node = 2
    gres = "gpu:2"
    time_limit = "24h"
