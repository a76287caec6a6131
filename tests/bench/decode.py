#!/usr/bin/env python3
"""Images/s a core: decode, random resized crop to 224, flip, normalise; ours over torchvision's (PIL).

usage: decode.py DECODE IMAGES [ROUNDS]      DECODE: build/tests/bench/decode; IMAGES: a tar archive or folder of JPEGs

LOCKSTEP_PEER_PYTHON names a Python that can import torchvision and Pillow. All three are on one core, take
turns, and pass over the same files, in memory; the ratio of each round is taken, and their median. torchvision
runs with one thread. Seconds are those of the CPU that each takes, so that others on the machine count less.
PyTorch's DataLoader is not in it.
"""
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile

import runs

BARS = {"exact": 1.5, "fast": 3.0}

PEER = """
import io, sys, time
import torch
from PIL import Image
from torchvision import transforms as T
torch.set_num_threads(1)
files = [open(path.rstrip("\\n"), "rb").read() for path in open(sys.argv[1])]
make = T.Compose([T.RandomResizedCrop(224), T.RandomHorizontalFlip(), T.ToTensor(),
                  T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
for line in sys.stdin:
    start = time.process_time()
    for data in files:
        make(Image.open(io.BytesIO(data)).convert("RGB"))
    print(len(files) / (time.process_time() - start), flush=True)
"""

decode, source = sys.argv[1:3]
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 7
python = os.environ.get("LOCKSTEP_PEER_PYTHON", "python3")
if subprocess.run([python, "-c", "import torchvision, PIL.Image"], capture_output=True).returncode:
    print(f"decode.py: skipped: {python} cannot import torchvision (LOCKSTEP_PEER_PYTHON names one that can)")
    sys.exit(77)

with tempfile.TemporaryDirectory() as folder:
    if not os.path.isdir(source):
        with tarfile.open(source) as archive:
            archive.extractall(folder, **runs.SAFELY)
        source = folder
    paths = sorted(os.path.join(top, name) for top, _, names in os.walk(source) for name in names
                   if name.lower().endswith((".jpg", ".jpeg")))
    listed = os.path.join(folder, "files")
    with open(listed, "w", encoding="utf-8") as out:
        out.writelines(path + "\n" for path in paths)
    core = str(max(os.sched_getaffinity(0)))
    commands = {"torchvision": [python, "-c", PEER, listed],
                **{how: [decode, how, listed] for how in BARS}}
    processes = {name: subprocess.Popen(["taskset", "-c", core] + command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True) for name, command in commands.items()}

    def rate(name):
        process = processes[name]
        process.stdin.write("go\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    for name in processes:  # warm
        rate(name)
    ratios = {how: [] for how in BARS}
    print(f"{len(paths)} files, core {core}; images/s:  torchvision   exact   fast")
    for _ in range(rounds):
        rates = {name: rate(name) for name in processes}
        for how in BARS:
            ratios[how].append(rates[how] / rates["torchvision"])
        print(f"{rates['torchvision']:37.1f} {rates['exact']:8.1f} {rates['fast']:6.1f}", flush=True)
    for process in processes.values():
        process.stdin.close()
        process.wait()
for how, bar in BARS.items():
    print(f"{how} over torchvision, median of {rounds}: "
          + runs.verdict(statistics.median(ratios[how]), bar, at_least=True))
