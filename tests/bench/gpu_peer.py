"""images/s of a training step on one device: PyTorch against lockstep, side by side.

    gpu_peer.py STEP_RATE [--device cuda|cpu] [--model cnn] [--side 224] [--precisions bf16,tf32]
                [--batches 64,512,4096] [--csv FILE] [--markdown FILE] [--seconds N] [--quick]

STEP_RATE is the built bench of that name. For each precision and batch all contenders stay warm and
take turns, round after round; figures are medians of the rounds, ratios medians of each round's
ratio. Data lies on the device for all of them: lockstep gathers uint8 images by index and converts
them in the step, PyTorch is handed its batch as floats in its own layout. PyTorch runs

  eager      autocast (bf16) or TF32 products, fused Adam, the better of both memory formats;
  compiled   torch.compile(mode="reduce-overhead"): CUDA graphs of forward and backward;
  captured   torch.compile, and the whole step with its optimizer captured into one CUDA graph.

Another --model than the CNN is torchvision's of that name, as resnet.py builds it, with 1000 classes at
--side, fused SGD with momentum 0.9; there `compiled` is mode="max-autotune", after `captured`.

Eager comes first, for all batches, and what must be compiled afterwards, batch by batch, while there
is time. Prints TAP; bars on a GPU: the CNN at batch 64 3x eager, 1.5x the better of the compiled; another
model at batch 256 1.2x the better of the compiled. What did not fit into --seconds, or PyTorch refused,
is said and not measured.
"""
import argparse
import csv
import signal
import statistics
import subprocess
import sys
import time

import torch
from torch import nn


class Work:
    """What is trained: images, how PyTorch compiles it, the bars and the batch that they hold for."""

    def __init__(self, model, side):
        self.is_cnn = model == "cnn"
        self.side, self.classes = (32, 10) if self.is_cnn else (side, 1000)
        self.words = [] if self.is_cnn else [model, str(self.side), str(self.classes)]
        self.model = model
        captured = {"captured": ("default", True)}
        self.ways = {"compiled": ("reduce-overhead", False), **captured} if self.is_cnn else \
            {**captured, "compiled": ("max-autotune", False)}
        self.bars_at = 64 if self.is_cnn else 256
        self.bars = {"eager": 3.0, "compiled": 1.5} if self.is_cnn else {"compiled": 1.2}
        self.compile_seconds = 30 if self.is_cnn else 60  # what one may need; below it, none is begun

    def build(self):
        if self.is_cnn:
            return cnn()
        import torchvision
        from resnet import build
        return build(torchvision, self.model, self.side)

    def optimizer(self, parameters, capturable):
        if self.is_cnn:
            return torch.optim.Adam(parameters, lr=1e-3, fused=True, capturable=capturable)
        return torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=1e-4, fused=True)


def cnn():
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(8192, 512), nn.ReLU(), nn.Linear(512, 10))


def synchronize(device):
    if device == "cuda":
        torch.cuda.synchronize()


class Torch:
    """A training step in one memory format, on a fixed batch."""

    def __init__(self, work, device, precision, batch, channels_last, compile_mode=None, capture=False):
        torch.manual_seed(1)
        self.device, self.precision = device, precision
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.model = work.build().to(device, memory_format=layout)
        self.optimizer = work.optimizer(self.model.parameters(), device == "cuda" and capture)
        images = torch.rand(batch, 3, work.side, work.side, device=device) * 2 - 1
        self.images = images.contiguous(memory_format=layout)
        self.labels = torch.arange(batch, device=device) % work.classes
        self.loss = self.forward
        if compile_mode:
            options = {} if compile_mode == "default" else {"mode": compile_mode}
            self.loss = torch.compile(self.forward, dynamic=False, **options)
        self.graph = None
        for _ in range(3):
            self.step()
        if capture:
            self.capture()
        synchronize(device)

    def forward(self, images, labels):
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
            logits = self.model(images)
        return nn.functional.cross_entropy(logits.float(), labels)

    def step(self):
        self.optimizer.zero_grad(set_to_none=self.graph is None)
        self.loss(self.images, self.labels).backward()
        self.optimizer.step()

    def capture(self):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.step()
        torch.cuda.current_stream().wait_stream(side)
        self.optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.step()
        self.graph = graph

    def run(self, steps):
        synchronize(self.device)
        start = time.perf_counter()
        for _ in range(steps):
            if self.graph:
                self.graph.replay()
            else:
                self.step()
        synchronize(self.device)
        return time.perf_counter() - start


class Lockstep:
    def __init__(self, program, work, device, precision, batch):
        if device == "cpu":
            precision = "fp32"  # so that the script can be tried there
        command = [program, device, precision, str(batch), str(torch.get_num_threads()), *work.words]
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.how = self.child.stdout.readline().strip()
        if not self.how:
            raise RuntimeError(f"{' '.join(command)} ended with {self.child.wait()}")

    def run(self, steps):
        self.child.stdin.write(f"{steps}\n")
        self.child.stdin.flush()
        return float(self.child.stdout.readline())

    def close(self):
        self.child.stdin.close()
        self.child.wait(timeout=20)


class OutOfTime(Exception):
    pass


def out_of_time(*_):
    raise OutOfTime("its time was used up")


class Comparison:
    def __init__(self, arguments):
        self.arguments = arguments
        self.work = Work(arguments.model, arguments.side)
        self.end = time.monotonic() + arguments.seconds
        self.rows = []
        self.channels_last = {}  # by precision and batch: which format eager was faster in
        signal.signal(signal.SIGALRM, out_of_time)

    def left(self):
        return self.end - time.monotonic()

    def say(self, text):
        print(text, flush=True)

    def eager(self, precision, batch):
        """The better of both memory formats."""
        device = self.arguments.device
        made = [Torch(self.work, device, precision, batch, channels_last) for channels_last in (False, True)]
        for contender in made:
            contender.run(2)
        taken = [contender.run(2 if self.arguments.quick else 20) for contender in made]
        better = taken.index(min(taken))
        self.channels_last[precision, batch] = bool(better)
        return {"eager": made[better]}

    def compiled(self, precision, batch):
        made = {}
        for name, (mode, capture) in self.work.ways.items():
            if capture and self.arguments.device != "cuda":
                continue
            what = f"PyTorch {name}, {precision}, batch {batch}"
            if self.arguments.quick or self.left() < self.work.compile_seconds:
                why = "small sizes" if self.arguments.quick else "no time: too little is left to compile"
                self.say(f"ok - {what} # SKIP {why}")
                continue
            try:
                signal.alarm(int(self.left() - 8))
                torch.compiler.reset()
                made[name] = Torch(self.work, self.arguments.device, precision, batch,
                                   self.channels_last.get((precision, batch), True), mode, capture)
            except Exception as problem:  # whatever inductor raises
                reason = str(problem).strip().splitlines() or [type(problem).__name__]
                self.say(f"ok - {what} # SKIP PyTorch says: {reason[0][:120]}")
            finally:
                signal.alarm(0)
        return made

    def measure(self, precision, batch, contenders):
        a = self.arguments
        if not contenders:
            return
        lockstep = Lockstep(a.program, self.work, a.device, precision, batch)
        contenders["lockstep"] = lockstep
        once = min(contender.run(2) / 2 for contender in contenders.values())
        steps = 2 if a.quick else max(5, min(400, int(0.1 / once)))
        rounds = 3 if a.quick else 9
        seconds = {name: [] for name in contenders}
        for contender in contenders.values():
            contender.run(steps)
        for _ in range(rounds):
            for name, contender in contenders.items():
                seconds[name].append(contender.run(steps))
        lockstep.close()
        self.record(precision, batch, steps, seconds, lockstep.how)

    def record(self, precision, batch, steps, seconds, how):
        ratios = {name: statistics.median(theirs / ours for theirs, ours in
                                          zip(taken, seconds["lockstep"]))
                  for name, taken in seconds.items()}
        for name, taken in seconds.items():
            rate = batch * steps / statistics.median(taken)
            against = "" if name == "lockstep" else f"{ratios[name]:.3f}"
            self.rows.append({
                "model": self.work.model, "precision": precision, "batch": batch, "contender": name,
                "images_per_second": f"{rate:.1f}",
                "lowest": f"{batch * steps / max(taken):.1f}",
                "highest": f"{batch * steps / min(taken):.1f}",
                "lockstep_over_this": against})
            self.say(f"# {precision} batch {batch:5} {name:9}{rate:13.1f} images/s"
                     + (f", lockstep ({how}) / this {against}" if against else ""))
        self.write()
        self.judge(precision, batch, ratios)

    def judge(self, precision, batch, ratios):
        compiled = [ratios[name] for name in ("compiled", "captured") if name in ratios]
        found = {"eager": ratios.get("eager"), "compiled": min(compiled) if compiled else None}
        barred = self.arguments.device == "cuda" and batch == self.work.bars_at and not self.arguments.quick
        for name, ratio in found.items():
            if ratio is None:
                continue
            least = self.work.bars.get(name) if barred else None
            good = least is None or ratio >= least
            bar = f", at least {least}x" if least else ""
            self.say(f"{'ok' if good else 'not ok'} - {self.work.model}, {precision}, batch {batch}: lockstep against "
                     f"PyTorch {name}: {ratio:.2f}x{bar}")

    def run(self):
        a = self.arguments
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
        # The batch with the bars first: what is cut short comes last.
        sizes = [(precision, batch) for batch in ([8] if a.quick else map(int, a.batches.split(",")))
                 for precision in a.precisions.split(",")]
        for kind in (self.eager, self.compiled):
            for precision, batch in sizes:
                name = f"PyTorch {kind.__name__}, {precision}, batch {batch}"
                if self.left() < 10 and not a.quick:
                    self.say(f"ok - {name} # SKIP no time: what there was is used up")
                    continue
                try:
                    self.measure(precision, batch, kind(precision, batch))
                except Exception as problem:
                    self.say(f"not ok - {name}: measured")
                    self.say(f"# {type(problem).__name__}: {str(problem).splitlines()[:1]}")

    def write(self):
        a = self.arguments
        columns = list(self.rows[0])
        if a.csv:
            with open(a.csv, "w", newline="") as file:
                writer = csv.DictWriter(file, columns, lineterminator="\n")
                writer.writeheader()
                writer.writerows(self.rows)
        if a.markdown:
            name = torch.cuda.get_device_name() if a.device == "cuda" else "a CPU"
            with open(a.markdown, "w") as file:
                file.write(f"PyTorch {torch.__version__} on {name}; medians of interleaved rounds, "
                           "images/s; the last column is lockstep's rate over this row's.\n\n")
                file.write("| " + " | ".join(column.replace("_", " ") for column in columns) + " |\n")
                file.write("|" + "---|" * len(columns) + "\n")
                for row in self.rows:
                    file.write("| " + " | ".join(str(row[column]) for column in columns) + " |\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--precisions", default="bf16,tf32")
    parser.add_argument("--batches", default="64,512,4096")
    parser.add_argument("--csv")
    parser.add_argument("--markdown")
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    print(f"# PyTorch {torch.__version__}", flush=True)
    if arguments.device == "cpu":
        torch.set_num_threads(1 if arguments.quick else torch.get_num_threads())
    Comparison(arguments).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
