"""The CNN by PyTorch, for weights.py: run with a Python that has torch and safetensors.

    cnn.py make FILE.safetensors [SEED]         random weights, under its state_dict's names
    cnn.py logits FILE.safetensors IMAGES LOGITS   what it says of IMAGES (.npy, uint8 [n, h, w, c]);
                                                   LOGITS is written (.npy, fp32)
"""
import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1)
        self.conv2 = nn.Conv2d(64, 128, 3, padding=1)
        self.fc1 = nn.Linear(8192, 512)
        self.fc2 = nn.Linear(512, 10)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.conv1(x).relu(), 2)
        x = nn.functional.max_pool2d(self.conv2(x).relu(), 2)
        return self.fc2(self.fc1(x.flatten(1)).relu())


def main():
    torch.set_num_threads(1)
    what, weights, *rest = sys.argv[1:]
    if what == "make":
        torch.manual_seed(int(rest[0]) if rest else 3)
        save_file(CNN().state_dict(), weights)
        return
    model = CNN()
    model.load_state_dict(load_file(weights), strict=True)
    images = torch.from_numpy(np.load(rest[0])).float()
    batch = ((images / 255 - 0.5) / 0.5).permute(0, 3, 1, 2).contiguous()
    with torch.no_grad():
        np.save(rest[1], model(batch).numpy())


main()
