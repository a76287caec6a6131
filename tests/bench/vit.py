#!/usr/bin/env python3
"""All speeds of a vision transformer on the CPU that have a bar, in one run, each side by side in rounds.

    vit.py BUILD [--parts attention,step,recompute,ddp] [--model vit-b16] [--batch 8,32] [--threads 1,2]
                 [--precision fp32] [--ways eager,compiled] [--small vit-s16] [--rounds 3] [--side 224]

BUILD: a build folder with its benches; LOCKSTEP_PEER_PYTHON a Python that can import torchvision. What needs PyTorch
is left out where there is none.

    attention   alone, of 197 and 1,025 tokens, over PyTorch's SDPA (attention.py)
    step        a training step of --model over PyTorch's, over the matrix rate, and peak memory (resnet.py)
    recompute   --recompute block over cheap, of --small: time and the process's peak
    ddp         two ranks of one core each over one rank, of --small
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile

import attention
import resnet
import runs

PARTS = ("attention", "step", "recompute", "ddp")
RECOMPUTE_BAR, DDP_BAR = 1.35, 1.9


def measure_attention(options):
    program = os.path.join(options.build, "tests", "bench", "attention_rate")
    subprocess.run([sys.executable, attention.__file__, program, "--precision", options.precision, "--batch", "2",
                    "--rounds", str(2 * options.rounds)], check=False)


def measure_step(options):
    program = os.path.join(options.build, "tests", "bench", "resnet_rate")
    for batch in options.batch.split(","):
        subprocess.run([sys.executable, resnet.__file__, program, "--model", options.model, "--side", str(options.side),
                        "--batch", batch, "--rounds", str(options.rounds), "--threads", options.threads,
                        "--precision", options.precision, "--ways", options.ways], check=False)


class Small:
    """Runs of --small on generated images, of a few steps each."""

    def __init__(self, options, work, images):
        self.options, self.work = options, work
        self.data = os.path.join(work, f"data{images}")
        self.lockstep = os.path.join(options.build, "lockstep")
        if not os.path.isdir(self.data):
            subprocess.run([self.lockstep, "pack", "synthetic", self.data, "--images", str(images), "--test-images",
                            "8", "--size", str(options.side)], check=True, capture_output=True)

    def train(self, *words, **where):
        summary, _ = runs.train(self.lockstep, self.data, os.path.join(self.work, "run"), "--model", self.options.small,
                                "--batch-per-rank", 8, "--epochs", 1, "--threads", 1, *words, **where)
        return float(summary["images_per_second"]), float(summary["peak_memory_maximum_bytes"])


def measure_recompute(options, work):
    small, seconds, peaks = Small(options, work, 24), [], []
    for _ in range(options.rounds):
        pair = [small.train("--mode", "single", "--recompute", what, core=0) for what in ("block", "none")]
        seconds.append(pair[1][0] / pair[0][0])
        peaks.append(pair[0][1] / pair[1][1])
    print(f"\n{options.small}, batch 8, --recompute block over none: peak memory {runs.spread(peaks)}, time "
          f"{runs.spread(seconds)}: {runs.verdict(statistics.median(seconds), RECOMPUTE_BAR, at_least=False)}")


def measure_ddp(options, work):
    one, two, ratios = Small(options, work, 24), Small(options, work, 48), []
    for _ in range(options.rounds):
        bases = [one.train("--mode", "single", core=core)[0] for core in (0, 1)]
        ratios.append(two.train("--mode", "ddp", ranks=2)[0] / statistics.mean(bases))
    print(f"\n{options.small}, batch 8 a rank, ddp on two ranks over one: {runs.spread(ratios)}: "
          f"{runs.verdict(statistics.median(ratios), DDP_BAR)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--model", default="vit-b16")
    parser.add_argument("--small", default="vit-s16")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", default="8,32")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--ways", default="eager,compiled")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    parts = options.parts.split(",")
    sys.stdout.reconfigure(line_buffering=True)
    with tempfile.TemporaryDirectory() as work:
        if "attention" in parts:
            measure_attention(options)
        if "step" in parts:
            measure_step(options)
        if "recompute" in parts:
            measure_recompute(options, work)
        if "ddp" in parts:
            measure_ddp(options, work)


if __name__ == "__main__":
    main()
