#!/usr/bin/env python3
"""vit-ti16 with patches of 8 pixels trained on CIFAR-10 by ours and by timm's model in PyTorch, with one recipe.

    cifar_vit.py LOCKSTEP DATA [--epochs 5] [--seeds 1,2,3] [--threads 1] [--out FOLDER]    by hand, hours

DATA: CIFAR-10 as `lockstep pack cifar10` makes it. LOCKSTEP_PEER_PYTHON names a Python with torch, timm and h5py; exit
77 without one. The recipe: crops of images with 4 black pixels around them, and flips; AdamW, rate 5e-4, decay 0.05 of
weights, an epoch of warm-up, then half a cosine; batch 128, fp32. (`lockstep pack synthetic` makes less, to try it.) Bar: the means of the seeds' last test accuracies within 1 point. Both take turns; OUT keeps what is finished, and
a second call goes on.
"""
import argparse
import csv
import glob
import os
import statistics
import subprocess
import sys

import runs

PYTHON = os.environ.get("LOCKSTEP_PEER_PYTHON", sys.executable)
BAR = 1.0  # points
BATCH, RATE, DECAY, PADDING, CLASSES = 128, 5e-4, 0.05, 4, 10


def images_of(data, split):
    """uint8 [n, 3, 32, 32] and labels, by h5py."""
    import h5py
    import numpy
    import torch
    images, labels = [], []
    for path in sorted(glob.glob(os.path.join(data, f"{split}-*.h5"))):
        with h5py.File(path) as shard:
            images.append(shard["images"][:])
            labels.append(shard["labels"][:])
    labels = numpy.concatenate(labels).astype("int64")
    return torch.from_numpy(numpy.concatenate(images)).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels)


def augmented(torch, images):
    padded = torch.nn.functional.pad(images, (PADDING,) * 4)
    side, out = images.shape[-1], torch.empty_like(images)
    for index, (top, left, flip) in enumerate(zip(*(torch.randint(0, most, (len(images),)).tolist()
                                                    for most in (2 * PADDING + 1, 2 * PADDING + 1, 2)))):
        one = padded[index, :, top:top + side, left:left + side]
        out[index] = one.flip(-1) if flip else one
    return out


def peer(data, path, epochs, threads, seed):
    import math

    import timm
    import torch
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    images, labels = images_of(data, "train")
    test, test_labels = images_of(data, "test")
    model = timm.create_model("vit_tiny_patch16_224", patch_size=8, img_size=32, num_classes=CLASSES)
    groups = [{"params": [p for p in model.parameters() if (p.dim() > 1) == decays], "weight_decay": DECAY * decays}
              for decays in (True, False)]
    optimizer = torch.optim.AdamW(groups, lr=RATE)
    steps = -(-len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.01, (step + 1) / steps) if step < steps
                                                 else (1 + math.cos(math.pi * (step - steps) / (steps * max(1, epochs - 1)))) / 2)

    def scaled(pixels):
        return (pixels.float() / 255 - 0.5) / 0.5

    with open(path + ".part", "w", newline="", encoding="ascii") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "train_loss", "test_accuracy"])
        for epoch in range(1, epochs + 1):
            total, order = 0.0, torch.randperm(len(images))
            model.train()
            for batch in order.split(BATCH):
                loss = torch.nn.functional.cross_entropy(model(scaled(augmented(torch, images[batch]))), labels[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                total += loss.item() * len(batch)
            model.eval()
            with torch.no_grad():
                right = sum((model(scaled(pixels)).argmax(1) == wanted).sum().item()
                            for pixels, wanted in zip(test.split(500), test_labels.split(500)))
            writer.writerow([epoch, total / len(images), right / len(test)])
            file.flush()
    os.rename(path + ".part", path)


def last_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))[-1]


def ours(options, seed):
    folder = os.path.join(options.out, f"ours-{seed}")
    if not os.path.exists(os.path.join(folder, "summary.csv")):
        runs.train(options.lockstep, options.data, folder, "--model", "vit-ti16", "--patch", 8, "--mode", "single",
                   "--threads", options.threads, "--epochs", options.epochs, "--batch-per-rank", BATCH, "--seed", seed,
                   "--optimizer", "adamw", "--learning-rate", RATE, "--weight-decay", DECAY, "--decay", "weights",
                   "--schedule", "cosine", "--warmup-epochs", 1, "--augment", "crop-flip")
    return last_of(os.path.join(folder, "epochs.csv"))


def theirs(options, seed):
    path = os.path.join(options.out, f"timm-{seed}.csv")
    if not os.path.exists(path):
        subprocess.run([PYTHON, os.path.abspath(__file__), "--peer", options.data, path, str(options.epochs),
                        str(options.threads), str(seed)], check=True)
    return last_of(path)


def main():
    if sys.argv[1:2] == ["--peer"]:
        return peer(*sys.argv[2:4], *map(int, sys.argv[4:]))
    parser = argparse.ArgumentParser()
    parser.add_argument("lockstep")
    parser.add_argument("data")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", default="cifar-vit")
    options = parser.parse_args()
    if subprocess.run([PYTHON, "-c", "import torch, timm, h5py"], stderr=subprocess.DEVNULL, check=False).returncode:
        print(f"cifar_vit.py: skipped: {PYTHON} cannot import torch, timm and h5py (LOCKSTEP_PEER_PYTHON names one)")
        return 77
    os.makedirs(options.out, exist_ok=True)
    found = {"ours": [], "timm": []}
    for seed in options.seeds.split(","):
        for who, row in (("ours", ours(options, int(seed))), ("timm", theirs(options, int(seed)))):
            found[who].append(100 * float(row["test_accuracy"]))
            print(f"seed {seed}, {who}: train loss {float(row['train_loss']):.4f}, test accuracy {found[who][-1]:.2f}%",
                  flush=True)
    difference = statistics.mean(found["ours"]) - statistics.mean(found["timm"])
    print(f"ours less timm's after {options.epochs} epochs: {difference:+.2f} points "
          f"({'holds' if abs(difference) <= BAR else 'MISSED'}: within {BAR})")
    return abs(difference) > BAR


if __name__ == "__main__":
    sys.exit(main())
