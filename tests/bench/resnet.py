#!/usr/bin/env python3
"""A training step of one of torchvision's models on the CPU: lockstep over PyTorch, images/s, memory and rates.

    resnet.py RESNET_RATE [--model resnet18] [--side 224] [--batch 32] [--rounds 5] [--steps 1]
              [--threads 1,2] [--precision fp32,bf16] [--ways eager,eager-last,compiled,compiled-last]

RESNET_RATE is the built bench of that name; LOCKSTEP_PEER_PYTHON a Python that can import torchvision (this one,
if none is named). Exit 77 where there is none. Both train the same model on one batch in memory, 1000 classes, SGD
with momentum 0.9 and decay 1e-4; PyTorch gets its images as tensors of floats in its own layout, while lockstep
reads and converts uint8 in the step. Each way is a process of its own, stays warm, and runs a few steps in its
turn, round after round, so that whatever else the machine does hits all; ratios are medians of the rounds' ratios.
PyTorch's ways: eager and torch.compile, in its own layout and channels last (`-last`); bf16 is autocast's, with
parameters and momentum in fp32 as lockstep has them. Of a thread, processor seconds are compared beside the
clock's: they leave out what others took of the core.

The matrix rate is the machine's: the higher of the device's own large product and PyTorch's, asked in each round.
Memory is the processes' peak after two steps: PyTorch's has Python and its libraries in it, `base`.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import time

PYTHON = os.environ.get("LOCKSTEP_PEER_PYTHON", sys.executable)
VITS = {"ti": (192, 12, 3), "s": (384, 12, 6), "b": (768, 12, 12), "l": (1024, 24, 16)}
VIT_BARS = {"fp32": {"images/s": 1.0, "rate": 0.95}, "bf16": {"images/s": 1.15, "rate": 0.85}}
BARS = {"fp32": {"images/s": 1.3, "rate": 1.2}, "bf16": {"images/s": 1.05, "rate": 0.9}}
MEMORY_BAR = 0.7
CLASSES = 1000


def peak_bytes():
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def torch_rate(torch, precision):
    """flop a second of a product of squares of 2048."""
    side, kind = 2048, torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = torch.rand(side, side).to(kind), torch.rand(side, side).to(kind)
    best = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return 2 * side ** 3 / best


def bars_of(model):
    return VIT_BARS if model.startswith("vit-") else BARS


def build(torchvision, model, side):
    """torchvision's model of lockstep's name for it."""
    found = re.fullmatch(r"vit-([a-z]+)(\d+)", model)
    if not found:
        return getattr(torchvision.models, model)(num_classes=CLASSES)
    width, blocks, heads = VITS[found[1]]
    return torchvision.models.VisionTransformer(image_size=side, patch_size=int(found[2]), num_layers=blocks,
                                                num_heads=heads, hidden_dim=width, mlp_dim=4 * width,
                                                num_classes=CLASSES)


def peer(model, side, batch, threads, precision, way):
    """PyTorch's side: what resnet_rate.c does, for one way."""
    import contextlib

    import torch
    import torchvision
    torch.set_num_threads(threads)
    base = peak_bytes()
    torch.manual_seed(1)
    layout = torch.channels_last if way.endswith("-last") else torch.contiguous_format
    net = build(torchvision, model, side).to(memory_format=layout)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    criterion = torch.nn.CrossEntropyLoss()
    images = (torch.rand(batch, 3, side, side) * 2 - 1).contiguous(memory_format=layout)
    labels = torch.arange(batch) % CLASSES

    def mean_loss():
        low = torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
        with low:
            return criterion(net(images), labels)

    loss_of = torch.compile(mean_loss) if way.startswith("compiled") else mean_loss
    print(base, flush=True)
    for line in sys.stdin:
        if line == "rate\n":
            print(torch_rate(torch, precision), flush=True)
            continue
        start, before, total = time.perf_counter(), time.process_time(), 0.0
        for _ in range(int(line)):
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of()
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(time.perf_counter() - start, time.process_time() - before, total / int(line), peak_bytes(), flush=True)


class Runner:
    def __init__(self, command):
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.first = self.line()
        self.seconds, self.processor, self.loss = [], [], None
        self.peak = self.ask(2)[3]  # warm, and before it is asked for rates

    def line(self):
        line = self.child.stdout.readline()
        if not line:
            raise RuntimeError(f"it ended with {self.child.wait()}")
        return [float(word) for word in line.split()]

    def ask(self, what):
        self.child.stdin.write(f"{what}\n")
        self.child.stdin.flush()
        return self.line()

    def run(self, steps):
        seconds, processor, self.loss, _ = self.ask(steps)
        self.seconds.append(seconds)
        self.processor.append(processor)

    def close(self):
        self.child.stdin.close()
        self.child.wait()


def ratio(over, under):
    return statistics.median(a / b for a, b in zip(over, under))


def judged(value, bar, least=True):
    good = value >= bar if least else value <= bar
    return f"{value:.3f}  (bar {bar}{'' if good else ': MISSED'})"


def report(options, threads, precision, ours, peers, rates):
    images, bars = options.batch * options.steps, bars_of(options.model)[precision]
    print(f"\n{options.model}, {options.side} px, batch {options.batch}, {precision}, {threads} thread(s), "
          f"{options.rounds} interleaved rounds of {options.steps} step(s)")
    for name, runner in {**peers, "lockstep": ours}.items():
        over = "" if runner is ours else (f"   lockstep over it {ratio(runner.seconds, ours.seconds):6.3f}, "
                                          f"by processor time {ratio(runner.processor, ours.processor):6.3f}")
        base = "" if runner is ours else f" (base {runner.first[0] / 1e6:.0f})"
        print(f"  {name:14}{images / statistics.median(runner.seconds):8.2f} images/s, last loss {runner.loss:.4f}, "
              f"peak {runner.peak / 1e6:.0f} MB{base}{over}")
    step_seconds = [seconds / options.steps for seconds in (ours.processor if threads == 1 else ours.seconds)]
    flop = ours.first[0]
    print(f"  matrix rate {statistics.median(rates) / 1e9:.1f} GFLOP/s; a step is {flop / 1e9:.1f} GFLOP")
    if peers:
        print("  images/s over the best of PyTorch:", judged(
            min(ratio(p.seconds, ours.seconds) for p in peers.values()), bars["images/s"]))
        if threads == 1:
            print("  the same by processor time:", judged(
                min(ratio(p.processor, ours.processor) for p in peers.values()), bars["images/s"]))
        best = min(peers.values(), key=lambda p: ratio(p.seconds, ours.seconds))
        print("  peak memory over that way's:", judged(ours.peak / best.peak, MEMORY_BAR, least=False))
    if threads == 1:
        over = statistics.median(flop / seconds / rate for seconds, rate in zip(step_seconds, rates))
        print("  step over the matrix rate (processor time):", judged(over, bars["rate"]))


def compare(options, threads, precision):
    shape = [options.model, str(options.side), str(options.batch)]
    ours = Runner([options.program, *shape, str(CLASSES), str(threads), precision])
    peers = {}
    for way in filter(None, options.ways.split(",")):
        try:  # torch.compile wants a C++ compiler at run time; without one there is no such peer
            peers[way] = Runner([PYTHON, os.path.abspath(__file__), "--peer", *shape, str(threads), precision, way])
        except (RuntimeError, BrokenPipeError) as problem:
            print(f"{way}: not measured ({problem})")
    rates = []
    for _ in range(options.rounds):
        for runner in [ours, *peers.values()]:
            runner.run(options.steps)
        asked = [ours, *list(peers.values())[:1]]
        rates.append(max(runner.ask("rate")[0] for runner in asked))
    report(options, threads, precision, ours, peers, rates)
    for runner in [ours, *peers.values()]:
        runner.close()


def main():
    if sys.argv[1:2] == ["--peer"]:
        model, side, batch, threads, precision, way = sys.argv[2:]
        return peer(model, int(side), int(batch), int(threads), precision, way)
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--precision", default="fp32,bf16")
    parser.add_argument("--ways", default="eager,eager-last,compiled,compiled-last")
    options = parser.parse_args()
    if options.ways and subprocess.run([PYTHON, "-c", "import torchvision"], stderr=subprocess.DEVNULL,
                                       check=False).returncode:
        print(f"resnet.py: skipped: {PYTHON} cannot import torchvision (LOCKSTEP_PEER_PYTHON names one that can)")
        return 77
    for precision in options.precision.split(","):
        for threads in options.threads.split(","):
            compare(options, int(threads), precision)
    return 0


if __name__ == "__main__":
    sys.exit(main())
