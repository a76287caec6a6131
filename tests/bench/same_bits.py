#!/usr/bin/env python3
"""What --strict promises of the modes, in the measure of the issue: the parameters after 64 steps, and after a resume in
the middle in another mode, are the same bits whatever the mode, the number of ranks and of nodes.

    same_bits.py LOCKSTEP [--models cnn,resnet18-small,vit-ti16] [--steps 64] [--nodes]

Images of 8 x 8, 8 of them a step, 4 lanes. Each line is a run and what became of its bits; the first mode is the
yardstick. Ranks share cores. --nodes: on two nodes of the test cluster (slurm/cluster.sh: as root), a rank each, instead.
"""
import argparse
import csv
import os
import subprocess
import sys
import tempfile

import runs

BATCH = 8
MORE = {"cnn": [], "resnet18-small": [], "vit-ti16": ["--patch", "4"]}
WITHIN = ["--shard-within", "2"]
# mode, ranks, options
RUNS = [("ddp", 1), ("ddp", 2), ("ddp", 4), ("zero1", 1), ("zero1", 2), ("zero1", 4), ("zero2", 1), ("zero2", 2),
        ("zero2", 4), ("fsdp", 1), ("fsdp", 2), ("fsdp", 4), ("zero1", 4, *WITHIN), ("zero2", 4, *WITHIN),
        ("fsdp", 4, *WITHIN)]
ON_NODES = [("ddp", 1), *((mode, 2) for mode in ("ddp", "zero1", "zero2", "fsdp")), ("zero1", 2, "--shard-within", "node"),
            ("fsdp", 2, "--shard-within", "node")]
# Half of the steps in one, half in the other.
RESUMED = [(("ddp", 2), ("zero1", 4)), (("zero1", 2), ("zero2", 4)), (("zero2", 2), ("fsdp", 4)), (("fsdp", 4), ("ddp", 1)),
           (("fsdp", 4, *WITHIN), ("zero2", 2)), (("ddp", 1), ("fsdp", 2))]
RESUMED_ON_NODES = [(("zero2", 2), ("fsdp", 2)), (("fsdp", 2), ("ddp", 2)), (("ddp", 2), ("zero1", 2))]
ALIKE = ("parameters_hash", "certificate_hash", "final_train_loss", "final_test_loss")


class Bench:
    def __init__(self, arguments, work, environment):
        self.arguments, self.work, self.environment, self.count = arguments, work, environment, 0
        self.data = os.path.join(work, "data")
        subprocess.run([arguments.lockstep, "pack", "synthetic", self.data, "--images", str(BATCH * arguments.steps),
                        "--size", "8", "--test-images", "8"], check=True, capture_output=True)

    def launcher(self, ranks):
        if self.arguments.nodes:
            return ["srun", "-N", str(ranks), "-n", str(ranks), "--mpi=pmix"]
        return ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)]

    def run(self, model, mode, ranks, *options):
        """The run's folder, and what runs of the same bits have alike."""
        self.count += 1
        folder = os.path.join(self.work, f"run{self.count}")
        command = [*self.launcher(ranks), self.arguments.lockstep, "train", "--data", self.data, "--device", "cpu",
                   "--results", folder, "--mode", mode, "--model", model, *MORE[model], "--global-batch", str(BATCH),
                   "--strict", "--lanes", "4", "--strict-cost", "off", "--threads", "1", "--oversubscribe", "--epochs", "1",
                   "--certificate-every", "8", *options]
        runs.finish(command, folder, self.environment)
        with open(os.path.join(folder, "summary.csv"), newline="") as file:
            summary = next(csv.DictReader(file))
        if summary["steps"] != str(self.arguments.steps):
            raise SystemExit(f"{folder}: {summary['steps']} steps, not {self.arguments.steps}")
        return folder, [summary[name] for name in ALIKE]

    def compare(self, model):
        first, good = None, True

        def judge(name, bits):
            nonlocal first, good
            first = first or bits
            good &= bits == first
            print(f"{model:16}{name:44}{bits[0]}  {'the same' if bits == first else 'OTHER BITS'}", flush=True)

        for mode, ranks, *more in ON_NODES if self.arguments.nodes else RUNS:
            judge(f"{mode} on {ranks} {' '.join(more)}", self.run(model, mode, ranks, *more)[1])
        half = self.arguments.steps // 2
        for (mode, ranks, *more), (next_mode, next_ranks) in RESUMED_ON_NODES if self.arguments.nodes else RESUMED:
            folder, _ = self.run(model, mode, ranks, *more, "--checkpoint-every", str(half), "--keep", "100")
            middle = os.path.join(folder, "checkpoints", f"step-{half:010}")
            judge(f"{mode} on {ranks} {' '.join(more)}, from step {half} {next_mode} on {next_ranks}",
                  self.run(model, next_mode, next_ranks, "--resume", middle)[1])
        return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lockstep", type=os.path.abspath)
    parser.add_argument("--models", default=",".join(MORE))
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--nodes", action="store_true")
    arguments = parser.parse_args()

    def all_models(environment):
        # Nodes of the test cluster have a /tmp of their own.
        with tempfile.TemporaryDirectory(dir=os.path.dirname(arguments.lockstep)) as work:
            bench = Bench(arguments, work, environment)
            return all([bench.compare(model) for model in arguments.models.split(",")])

    if arguments.nodes:
        with runs.Cluster() as cluster:
            good = all_models(cluster.environment)
    else:
        good = all_models(dict(runs.ENVIRONMENT, OMP_WAIT_POLICY="passive"))
    print(f"{arguments.steps} steps: " + ("all bits are the same" if good else "BITS DIFFER"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
