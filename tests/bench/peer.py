"""images/s of the CNN's training step: PyTorch's CPU wheel against lockstep.

    peer.py CNN_RATE [ROUNDS [PRECISION...]]     (11, fp32 and bf16)

CNN_RATE is the built bench of that name. Both stay warm and take turns, a few steps each, round
after round, so that whatever else the machine does hits both; medians of the rounds' ratios.
PyTorch gets its images as fp32 tensors in its own layout, while lockstep reads and converts uint8
in the step. The peer is the best of PyTorch's own ways: eager and torch.compile, each in both
memory formats, with the fused Adam; bf16 is autocast's, with parameters and moments in fp32 as
lockstep has them. Run it through peer.sh.
"""
import contextlib
import os
import statistics
import subprocess
import sys
import time

import torch
from torch import nn

BATCH = 64
STEPS = 5
BARS = {"better eager": 1.1, "best of all": 1.25}


def cnn():
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(8192, 512), nn.ReLU(), nn.Linear(512, 10))


class Torch:
    """A training step in one memory format."""

    def __init__(self, precision, memory_format, compiled=False):
        torch.manual_seed(1)
        self.model = cnn().to(memory_format=memory_format)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=True)
        self.criterion = nn.CrossEntropyLoss()
        images = torch.rand(BATCH, 3, 32, 32) * 2 - 1
        self.images = images.contiguous(memory_format=memory_format)
        self.labels = torch.arange(BATCH) % 10
        self.precision = precision
        self.loss = torch.compile(self.mean_loss) if compiled else self.mean_loss

    def mean_loss(self, images, labels):
        low = torch.autocast("cpu", torch.bfloat16) if self.precision == "bf16" \
            else contextlib.nullcontext()
        with low:
            return self.criterion(self.model(images), labels)

    def run(self, steps):
        start = time.perf_counter()
        for _ in range(steps):
            self.optimizer.zero_grad(set_to_none=True)
            self.loss(self.images, self.labels).backward()
            self.optimizer.step()
        return time.perf_counter() - start


class Lockstep:
    def __init__(self, program, threads, precision):
        self.child = subprocess.Popen([program, str(threads), precision], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)

    def run(self, steps):
        self.child.stdin.write(f"{steps}\n")
        self.child.stdin.flush()
        return float(self.child.stdout.readline())

    def close(self):
        self.child.stdin.close()
        self.child.wait()


FORMATS = {"default": torch.contiguous_format, "channels last": torch.channels_last}


def compiled_dies(precision, name):
    """Why a compiled peer is left out: below the processor's own instructions what inductor makes
    has ended its process with a damaged heap, so a process of its own tries it first."""
    if "ATEN_CPU_CAPABILITY" not in os.environ:
        return None
    run = subprocess.run([sys.executable, __file__, "--try", precision, name, str(torch.get_num_threads())],
                         capture_output=True, text=True)
    if run.returncode == 0:
        return None
    return (run.stderr.strip().splitlines() or ["no message"])[-1][:80] + f"; exit {run.returncode}"


def try_compiled(precision, name, threads):
    torch.set_num_threads(int(threads))
    Torch(precision, FORMATS[name], compiled=True).run(4 * STEPS)


def peers(precision):
    made = {f"eager, {name}": Torch(precision, layout) for name, layout in FORMATS.items()}
    for name, layout in FORMATS.items():
        died = compiled_dies(precision, name)
        if died:
            print(f"torch.compile, {name}: not measured ({died})")
            continue
        try:  # torch.compile wants a C++ compiler at run time; without one there is no such peer
            compiled = Torch(precision, layout, compiled=True)
            compiled.run(2)
            made[f"compiled, {name}"] = compiled
        except Exception as problem:  # whatever inductor raises
            print(f"torch.compile, {name}: not measured ({str(problem).splitlines()[0][:80]})")
    return made


def compare(program, threads, precision, rounds):
    torch.set_num_threads(threads)
    torch.compiler.reset()  # what was compiled for another number of threads
    lockstep = Lockstep(program, threads, precision)
    runners = {**peers(precision), "lockstep": lockstep}
    for runner in runners.values():
        runner.run(STEPS)
    seconds = {name: [] for name in runners}
    for _ in range(rounds):
        for name, runner in runners.items():
            seconds[name].append(runner.run(STEPS))
    lockstep.close()

    def over(name):
        return statistics.median(theirs / ours for theirs, ours in
                                 zip(seconds[name], seconds["lockstep"]))

    print(f"\n{threads} thread(s), batch {BATCH}, {precision}, {rounds} interleaved rounds of "
          f"{STEPS} steps")
    for name, taken in seconds.items():
        rate = BATCH * STEPS / statistics.median(taken)
        ratio = "" if name == "lockstep" else f"   lockstep / this {over(name):6.3f}"
        print(f"{'' if name == 'lockstep' else 'PyTorch '}{name:28}{rate:10.1f} images/s{ratio}")
    eager = [over(name) for name in seconds if name.startswith("eager")]
    everything = [over(name) for name in seconds if name != "lockstep"]
    for (what, bar), ratio in zip(BARS.items(), (min(eager), min(everything))):
        print(f"lockstep / PyTorch ({what}): {ratio:.3f}  (bar {bar}"
              f"{'' if ratio >= bar else ': MISSED'})")


def main():
    if sys.argv[1] == "--try":
        return try_compiled(*sys.argv[2:])
    program = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 11
    print(f"PyTorch {torch.__version__}")
    for precision in sys.argv[3:] or ("fp32", "bf16"):
        for threads in (1, 2):
            compare(program, threads, precision, rounds)


if __name__ == "__main__":
    main()
