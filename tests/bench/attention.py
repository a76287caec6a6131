#!/usr/bin/env python3
"""Attention on the CPU: lockstep over PyTorch's scaled_dot_product_attention, forward and backward.

    attention.py ATTENTION_RATE [--tokens 197,1025] [--heads 12] [--dim 64] [--batch 4] [--rounds 7]
                 [--threads 1] [--precision fp32,bf16]

ATTENTION_RATE is the built bench of that name; LOCKSTEP_PEER_PYTHON a Python that can import torch (this one, if
none is named). Exit 77 where there is none. Both begin with queries, keys and values side by side, as a layer of
three times the width makes them, and end with their gradient. Each is a process of its own and runs in its turn,
round after round; processor seconds are compared, which leave out what others took of the cores. Ratios are medians
of the rounds'.
"""
import argparse
import os
import statistics
import subprocess
import sys
import time

PYTHON = os.environ.get("LOCKSTEP_PEER_PYTHON", sys.executable)
BAR = 1.0


def peer(batch, tokens, heads, dim, threads, precision):
    import torch
    torch.set_num_threads(threads)
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    x = (torch.rand(batch, tokens, 3 * heads * dim) * 2 - 1).to(kind).requires_grad_()
    dy = (torch.rand(batch, tokens, heads * dim) * 2 - 1).to(kind)

    def forward():
        q, k, v = x.reshape(batch, tokens, 3, heads, dim).permute(2, 0, 3, 1, 4).unbind(0)
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        return y.transpose(1, 2).reshape(batch, tokens, heads * dim)

    for line in sys.stdin:
        seconds = [0.0, 0.0]
        for _ in range(int(line)):
            x.grad = None
            start = time.process_time()
            y = forward()
            between = time.process_time()
            y.backward(dy)
            seconds[0] += between - start
            seconds[1] += time.process_time() - between
        print(*seconds, 0, flush=True)


class Runner:
    def __init__(self, command):
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.rounds = []
        self.ask(2)

    def ask(self, passes):
        self.child.stdin.write(f"{passes}\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        if not line:
            raise RuntimeError(f"it ended with {self.child.wait()}")
        return [float(word) for word in line.split()]

    def run(self, passes):
        forward, backward, self.bytes = self.ask(passes)
        self.rounds.append((forward / passes, backward / passes))

    def close(self):
        self.child.stdin.close()
        self.child.wait()


def measure(args, tokens, threads, precision):
    shape = [str(word) for word in (args.batch, tokens, args.heads, args.dim, threads, precision)]
    ours = Runner([args.program, *shape])
    theirs = Runner([PYTHON, __file__, "--peer", *shape])
    passes = max(1, 200 // tokens * 4)
    for _ in range(args.rounds):
        ours.run(passes)
        theirs.run(passes)
    ours.close()
    theirs.close()
    flop = 2.0 * args.batch * args.heads * tokens * tokens * args.dim
    for index, (name, products) in enumerate((("forward", 2), ("backward", 5))):
        mine = [each[index] for each in ours.rounds]
        over = statistics.median(b[index] / a[index] for a, b in zip(ours.rounds, theirs.rounds))
        print(f"  {name:9s} {1e3 * statistics.median(mine):8.2f} ms  {products * flop / min(mine) / 1e9:6.1f} GFLOP/s  "
              f"PyTorch's time over ours {over:.2f}")
    whole = statistics.median(sum(b) / sum(a) for a, b in zip(ours.rounds, theirs.rounds))
    print(f"  both      {whole:.2f}  (bar {BAR}{'' if whole >= BAR else ': MISSED'}); "
          f"{ours.bytes / 1e6:.2f} MB of scratch and saved memory")


def main():
    if sys.argv[1:2] == ["--peer"]:
        return peer(*(int(word) for word in sys.argv[2:7]), sys.argv[7])
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("--tokens", default="197,1025")
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", default="1")
    parser.add_argument("--precision", default="fp32,bf16")
    args = parser.parse_args()
    if subprocess.run([PYTHON, "-c", "import torch"], stderr=subprocess.DEVNULL, check=False).returncode:
        print(f"skipped: {PYTHON} cannot import torch (LOCKSTEP_PEER_PYTHON names another Python that can)")
        return 77
    for tokens in (int(word) for word in args.tokens.split(",")):
        for threads in (int(word) for word in args.threads.split(",")):
            for precision in args.precision.split(","):
                print(f"{args.batch} x {tokens} tokens, {args.heads} heads of {args.dim}, {precision}, {threads} thread"
                      f"{'' if threads == 1 else 's'}", flush=True)
                measure(args, tokens, threads, precision)
    return 0


if __name__ == "__main__":
    sys.exit(main())
