#!/usr/bin/env python3
"""Images/s that a loader delivers: shards through ours, over the same JPEGs in a folder through PyTorch's
DataLoader (torchvision's ImageFolder, RandomResizedCrop(224), flip, ToTensor, Normalize) with as many workers.

usage: loading.py LOCKSTEP IMAGES [WORKERS] [ROUNDS]     IMAGES: a tar archive or folder of JPEGs; workers: 1 to all cores

LOCKSTEP_PEER_PYTHON names a Python that can import torchvision. Both take batches of 64, shuffled, and do nothing
with them, on as many cores as workers, in turn; both files are in the page cache. A DataLoader's workers stay
alive, and its first epoch, which starts them, is not counted; nor is ours. Ours is `lockstep train --ablate
compute`: pixels as bytes, which the device normalises (on a core, about 1% of what decoding takes).
"""
import os
import statistics
import subprocess
import sys
import tempfile

import runs

EPOCHS, IMAGES, BATCH = 3, 1024, 64

PEER = """
import sys, time
import torch
from torchvision import datasets, transforms as T
torch.set_num_threads(1)
folder, workers, epochs, batch = sys.argv[1], *map(int, sys.argv[2:])
make = T.Compose([T.RandomResizedCrop(224), T.RandomHorizontalFlip(), T.ToTensor(),
                  T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
loader = torch.utils.data.DataLoader(datasets.ImageFolder(folder, make), batch_size=batch, shuffle=True,
                                     num_workers=workers, persistent_workers=True, prefetch_factor=2)
def epoch():
    start = time.perf_counter()
    images = sum(len(labels) for _, labels in loader)
    return images, time.perf_counter() - start
epoch()
done = [epoch() for _ in range(epochs - 1)]
print(sum(images for images, _ in done) / sum(seconds for _, seconds in done))
"""

lockstep, source = sys.argv[1:3]
cores = sorted(os.sched_getaffinity(0))
counts = [int(sys.argv[3])] if len(sys.argv) > 3 else [1, len(cores)]
rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 5
python = os.environ.get("LOCKSTEP_PEER_PYTHON", "python3")
if subprocess.run([python, "-c", "import torchvision"], capture_output=True).returncode:
    print(f"loading.py: skipped: {python} cannot import torchvision (LOCKSTEP_PEER_PYTHON names one that can)")
    sys.exit(77)


def ours(data, work, workers):
    folder = f"{work}/run"
    command = ["taskset", "-c", ",".join(map(str, cores[:workers])), lockstep, "train", "--data", data, "--device", "cpu",
               "--results", folder, "--model", "resnet18-small", "--batch-per-rank", str(BATCH), "--epochs", str(EPOCHS),
               "--augment", "resized-crop", "--image-size", "224", "--ablate", "compute", "--loader-threads",
               str(workers)]
    subprocess.run(["rm", "-rf", folder], check=True)
    _, epochs = runs.finish(command, folder, runs.ENVIRONMENT)
    seconds = sum(float(row["training_seconds"]) for row in epochs[1:])
    return sum(int(row["images"]) for row in epochs[1:]) / seconds


def peer(tree, workers):
    done = subprocess.run(["taskset", "-c", ",".join(map(str, cores[:workers])), python, "-c", PEER, f"{tree}/train",
                           str(workers), str(EPOCHS), str(BATCH)], check=True, capture_output=True, text=True)
    return float(done.stdout)


with tempfile.TemporaryDirectory() as work:
    tree = runs.photographs(source, work, IMAGES)
    data = runs.encoded(lockstep, tree, f"{work}/shards")
    for workers in counts:
        found = []
        for _ in range(rounds):
            found.append((ours(data, work, workers), peer(tree, workers)))
            print(f"{workers} workers: {found[-1][0]:.1f} images/s, DataLoader {found[-1][1]:.1f}", flush=True)
        ratios = [mine / theirs for mine, theirs in found]
        print(f"{workers} workers, {rounds} rounds, over DataLoader: {runs.spread(ratios)}")
        print(runs.verdict(statistics.median(ratios), 2))
