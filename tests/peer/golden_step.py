"""A few training steps of the CNN by PyTorch, written for golden_step.c to compare with.

    golden_step.py OUT

Little-endian, no padding: int32 batch, int32 steps, int64 parameters; uint8 images [batch, 32, 32,
3]; int32 labels [batch]; then fp32 flat arrays [parameters] in lockstep's canonical order: the
initial parameters, the first step's gradients, the parameters after the first step and after the
last; then float64 losses [steps].
"""
import sys

import numpy as np
import torch
from torch import nn

BATCH, STEPS = 4, 3


def cnn():
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(8192, 512), nn.ReLU(), nn.Linear(512, 10))


def canonical(tensor):
    """[out, in, kh, kw] -> [out, kh, kw, in]; a linear layer behind a flattening likewise."""
    if tensor.shape == (512, 8192):
        tensor = tensor.view(512, 128, 8, 8)
    if tensor.dim() == 4:
        tensor = tensor.permute(0, 2, 3, 1)
    return tensor.detach().numpy().astype(np.float32).ravel()


def flat(tensors):
    return np.concatenate([canonical(tensor) for tensor in tensors])


def main():
    torch.manual_seed(7)
    torch.set_num_threads(1)
    model = cnn()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    images = torch.randint(0, 256, (BATCH, 32, 32, 3), dtype=torch.uint8)
    labels = torch.randint(0, 10, (BATCH,))
    batch = ((images.float() / 255 - 0.5) / 0.5).permute(0, 3, 1, 2).contiguous()

    initial, gradients, after, losses = flat(model.parameters()), None, [], []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(batch), labels)
        loss.backward()
        if gradients is None:
            gradients = flat(parameter.grad for parameter in model.parameters())
        optimizer.step()
        losses.append(loss.item())
        after.append(flat(model.parameters()))

    with open(sys.argv[1], "wb") as out:
        np.array([BATCH, STEPS], "<i4").tofile(out)
        np.array([initial.size], "<i8").tofile(out)
        images.numpy().tofile(out)
        labels.numpy().astype("<i4").tofile(out)
        for array in (initial, gradients, after[0], after[-1]):
            array.astype("<f4").tofile(out)
        np.array(losses, "<f8").tofile(out)


if __name__ == "__main__":
    main()
