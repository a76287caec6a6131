#!/usr/bin/env python3
"""What each change to the launches of the CNN's step brings (results/GPU-step.md): microseconds a step with all of
them, and with one left out by LOCKSTEP_CUDA_AVOID, side by side: rounds in turn, medians, and how far the rounds of
one differ.

usage: switches.py STEP_RATE [DEVICE [PRECISION [BATCH [STEPS]]]]     (build/tests/bench/step_rate cuda bf16 64 2000)
"""
import os
import statistics
import subprocess
import sys

WORDS = ["relu-bits", "low-biases", "left-gradients", "padded-input", "pooled-sums", "grouped-updates", "update-advance",
         "priorities"]
ROUNDS = 5

program, device, precision, batch, steps = (sys.argv[1:] + ["cuda", "bf16", "64", "2000"][len(sys.argv) - 2:])[:5]


class Steps:
    """A process that makes steps on demand, with `word` left out."""

    def __init__(self, word):
        environment = dict(os.environ, LOCKSTEP_CUDA_AVOID=word)
        self.process = subprocess.Popen([program, device, precision, batch], env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if not self.process.stdout.readline():
            raise SystemExit(f"switches.py: {program} ended, with LOCKSTEP_CUDA_AVOID={word}")

    def microseconds(self):
        print(steps, file=self.process.stdin, flush=True)
        return 1e6 * float(self.process.stdout.readline()) / int(steps)

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def median_and_spread(values):
    return statistics.median(values), max(values) - min(values)


print(f"| left out | us a step without it | us with it | it saves us | spread us |\n|{'---|' * 5}")
for word in WORDS:
    both = Steps(""), Steps(word)
    times = [], []
    for number in range(-1, ROUNDS):  # the first is not counted
        for each, kept in zip(both, times):
            microseconds = each.microseconds()
            if number >= 0:
                kept.append(microseconds)
    for each in both:
        each.end()
    (now, spread), (before, other) = map(median_and_spread, times)
    print(f"| `{word}` | {before:.1f} | {now:.1f} | {before - now:.1f} | {max(spread, other):.1f} |", flush=True)
