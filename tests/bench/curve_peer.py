#!/usr/bin/env python3
"""PyTorch's own run of the CNN on the same shards as curve.py: its default initialisation and a new
random permutation each epoch, fp32, batch 64, Adam 1e-3, one thread. Prints train loss and test
accuracy of epochs 1 to 3 for each seed, and the means.

usage: curve_peer.py SHARDS SEED...      (a Python with torch, numpy and h5py)
"""
import glob
import statistics
import sys

import h5py
import numpy as np
import torch
from torch import nn

EPOCHS, BATCH = 3, 64


def load(folder, split):
    names = sorted(glob.glob(f"{folder}/{split}-*.h5"))
    parts = [(h5py.File(name)["images"][:], h5py.File(name)["labels"][:]) for name in names]
    images, labels = (np.concatenate(part) for part in zip(*parts))
    pixels = torch.tensor(images).permute(0, 3, 1, 2)
    return pixels.contiguous(memory_format=torch.channels_last), torch.tensor(labels).long()


def cnn():
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(8192, 512), nn.ReLU(), nn.Linear(512, 10),
    ).to(memory_format=torch.channels_last)


def normalise(pixels):
    return (pixels.float() / 255 - 0.5) / 0.5


def train(train_set, test_set, seed):
    torch.manual_seed(seed)
    model = cnn()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    images, labels = train_set
    curve = []
    for _ in range(EPOCHS):
        total = 0.0
        for chosen in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(normalise(images[chosen])), labels[chosen])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
        with torch.no_grad():
            correct = sum((model(normalise(pixels)).argmax(1) == wanted).sum().item()
                          for pixels, wanted in zip(test_set[0].split(500), test_set[1].split(500)))
        curve.append((total / len(images), 100 * correct / len(test_set[0])))
    return curve


torch.set_num_threads(1)
sets = load(sys.argv[1], "train"), load(sys.argv[1], "test")
curves = []
for seed in map(int, sys.argv[2:]):
    curves.append(train(*sets, seed))
    print(f"seed {seed}: " + ", ".join(f"{loss:.4f} / {accuracy:.2f}%"
                                       for loss, accuracy in curves[-1]), flush=True)
for epoch in range(EPOCHS):
    losses, accuracies = zip(*(curve[epoch] for curve in curves))
    print(f"epoch {epoch + 1}: mean train loss {statistics.mean(losses):.4f}, "
          f"mean test accuracy {statistics.mean(accuracies):.2f}%")
