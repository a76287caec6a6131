"""images/s of the CNN's training step: PyTorch's CPU wheel against lockstep.

    peer.py CNN_RATE [ROUNDS]

CNN_RATE is the built bench of that name. Both stay warm and take turns, a few steps each, round
after round, so that whatever else the machine does hits both; medians of the rounds' ratios.
PyTorch gets its images as fp32 tensors in its own layout, while lockstep reads and converts uint8
in the step. Eager PyTorch is tried in both memory formats with the fused Adam, and the better is
the peer; torch.compile of the better is reported where it works. Run it through peer.sh.
"""
import statistics
import subprocess
import sys
import time

import torch
from torch import nn

BATCH = 64
STEPS = 5


def cnn():
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(8192, 512), nn.ReLU(), nn.Linear(512, 10))


class Torch:
    """A training step in one memory format."""

    def __init__(self, memory_format, compiled=False):
        torch.manual_seed(1)
        self.model = cnn().to(memory_format=memory_format)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=True)
        self.criterion = nn.CrossEntropyLoss()
        images = torch.rand(BATCH, 3, 32, 32) * 2 - 1
        self.images = images.contiguous(memory_format=memory_format)
        self.labels = torch.arange(BATCH) % 10
        self.forward = torch.compile(self.model) if compiled else self.model

    def run(self, steps):
        start = time.perf_counter()
        for _ in range(steps):
            self.optimizer.zero_grad(set_to_none=True)
            self.criterion(self.forward(self.images), self.labels).backward()
            self.optimizer.step()
        return time.perf_counter() - start


class Lockstep:
    def __init__(self, program, threads):
        self.child = subprocess.Popen([program, str(threads)], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)

    def run(self, steps):
        self.child.stdin.write(f"{steps}\n")
        self.child.stdin.flush()
        return float(self.child.stdout.readline())

    def close(self):
        self.child.stdin.close()
        self.child.wait()


def compiled_torch(memory_format):
    """torch.compile wants a C++ compiler at run time; without one there is nothing to report."""
    try:
        made = Torch(memory_format, compiled=True)
        made.run(2)
        return made
    except Exception as problem:  # whatever inductor raises
        print(f"torch.compile: not measured ({str(problem).splitlines()[0][:80]})")
        return None


def compare(program, threads, rounds):
    torch.set_num_threads(threads)
    formats = {"default": torch.contiguous_format, "channels_last": torch.channels_last}
    runners = {name: Torch(layout) for name, layout in formats.items()}
    lockstep = Lockstep(program, threads)
    runners["lockstep"] = lockstep
    for runner in runners.values():
        runner.run(STEPS)
    better = min(formats, key=lambda name: runners[name].run(STEPS))
    compiled = compiled_torch(formats[better])
    if compiled:
        runners["compiled"] = compiled
    seconds = {name: [] for name in runners}
    for _ in range(rounds):
        for name, runner in runners.items():
            seconds[name].append(runner.run(STEPS))
    lockstep.close()
    print(f"\n{threads} thread(s), batch {BATCH}, fp32, {rounds} interleaved rounds of {STEPS} steps")
    rate = {name: BATCH * STEPS / statistics.median(taken) for name, taken in seconds.items()}
    peers = [name for name in seconds if name != "lockstep"]
    print(f"{'lockstep':28}{rate['lockstep']:10.1f} images/s")
    for name in peers:
        ratio = statistics.median(theirs / ours for theirs, ours in
                                  zip(seconds[name], seconds["lockstep"]))
        print(f"{'PyTorch ' + name:28}{rate[name]:10.1f} images/s   lockstep / this {ratio:6.3f}")
    eager = max(formats, key=rate.get)
    ratio = statistics.median(theirs / ours for theirs, ours in
                              zip(seconds[eager], seconds["lockstep"]))
    print(f"lockstep / PyTorch (the better eager: {eager}): {ratio:.3f}  (bar 1.1)")
    return ratio


def main():
    program = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 11
    print(f"PyTorch {torch.__version__}")
    for threads in (1, 2):
        compare(program, threads, rounds)


if __name__ == "__main__":
    main()
