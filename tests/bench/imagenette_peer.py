#!/usr/bin/env python3
"""PyTorch's side of imagenette.py: torchvision's ResNet-18 trained on a folder of images, a row an epoch.

    imagenette_peer.py TREE OUT.csv EPOCHS BATCH LEARNING_RATE SEED      (a Python with torch and torchvision)

TREE has train/ and val/ with a folder a class. The recipe is imagenette.py's in torchvision's own words: decoded
by PIL, RandomResizedCrop and flip; SGD, its rate half a cosine from step to step; fp32, one thread. OUT has the
columns of epochs.csv that are compared: epoch, train_loss, test_loss, test_accuracy, and processor_seconds.
"""
import csv
import sys
import time

import torch
import torchvision
from torch import nn
from torchvision import transforms

SIZE, SHORT_SIDE = 64, 73
MOMENTUM, DECAY = 0.9, 1e-4
TO_INPUT = [transforms.ToTensor(), transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
TRAIN = transforms.Compose([transforms.RandomResizedCrop(SIZE), transforms.RandomHorizontalFlip(), *TO_INPUT])
TEST = transforms.Compose([transforms.Resize(SHORT_SIDE), transforms.CenterCrop(SIZE), *TO_INPUT])


def evaluate(model, loader):
    """Mean loss and accuracy over all images."""
    model.eval()
    loss, right, images = 0.0, 0, 0
    with torch.no_grad():
        for inputs, labels in loader:
            logits = model(inputs)
            loss += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
            right += (logits.argmax(1) == labels).sum().item()
            images += len(labels)
    return loss / images, right / images


def train(tree, epochs, batch, rate, seed):
    """Yields epoch, train loss, test loss, test accuracy, processor seconds of an epoch with its evaluation."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    train_set = torchvision.datasets.ImageFolder(f"{tree}/train", TRAIN)
    test_set = torchvision.datasets.ImageFolder(f"{tree}/val", TEST)
    loader = torch.utils.data.DataLoader(train_set, batch, shuffle=True)
    model = torchvision.models.resnet18(num_classes=len(train_set.classes)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), rate, momentum=MOMENTUM, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
    for epoch in range(1, epochs + 1):
        began, total = time.process_time(), 0.0
        model.train()
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs.contiguous(memory_format=torch.channels_last)), labels)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(labels)
        found = evaluate(model, torch.utils.data.DataLoader(test_set, 256))
        yield epoch, total / len(train_set), *found, time.process_time() - began


def main():
    tree, out, epochs, batch, rate, seed = sys.argv[1:]
    with open(out, "w", newline="", encoding="ascii") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "train_loss", "test_loss", "test_accuracy", "processor_seconds"])
        for row in train(tree, int(epochs), int(batch), float(rate), int(seed)):
            writer.writerow(row)
            file.flush()


if __name__ == "__main__":
    main()
