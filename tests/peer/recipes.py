"""A model trained by PyTorch for recipes.c to repeat step by step: the CNN with each optimizer, schedule,
limit and way to accumulate, or a vision transformer (torchvision's) as those are trained.

    recipes.py OUT STEPS [cnn | vit-ti16 | ...]

Little-endian, no padding: int32 batch, batches, steps, recipes; int64 parameters; 32 bytes of the
model's name, ended by zeros; float64 the most that losses may differ, relative; uint8 images
[batches, batch, 32, 32, 3]; int32 labels [batches, batch]; float32 initial parameters in lockstep's
canonical order; then a recipe at a time: 256 bytes of lockstep's options, ended by zeros; float64
the losses of the steps; float64 the loss of batch 0 at the end, of the moving average where the
recipe keeps one; float64 how far these losses are from those that PyTorch has in float64, at most,
relative. Step k takes batch k modulo batches.

Smooth images and low rates, for a training that rounding does not change. Where two values of a
pooling window, or a unit's sum and 0, are almost equal, another order of summing sends the
gradient another way. On images of noise, at a rate of 0.002, one such window took PyTorch's
gradients in fp32 from 3e-7 to 1e-3 apart from its own in float64, and its losses up to 9e-4 apart
within 50 steps. The decays are large so that they can be seen at these rates.
"""
import copy
import math
import sys

import numpy as np
import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel

from golden_step import cnn, flat

BATCH, BATCHES = 8, 4


def adamw(model):
    return torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=5)


def adamw_weights(model):
    """No decay for biases."""
    groups = [{"params": [p for p in model.parameters() if p.dim() > 1]},
              {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0}]
    return torch.optim.AdamW(groups, lr=2e-5, weight_decay=30)


def nesterov(model):
    return torch.optim.SGD(model.parameters(), lr=5e-4, momentum=0.9, weight_decay=0.2,
                           nesterov=True)


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.00125, momentum=0.9)


NESTEROV = "--optimizer sgd --learning-rate 5e-4 --momentum 0.9 --weight-decay 0.2 --nesterov"
SGD = "--optimizer sgd --learning-rate 0.00125 --momentum 0.9"


def recipes(steps):
    """Options, optimizer, schedule, and what else a step does."""
    third = steps // 3
    warmed = lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.01, 1, total_iters=third),
            lr_scheduler.CosineAnnealingLR(o, steps - third, 1e-4)], [third])
    return [
        ("--optimizer adamw --learning-rate 2e-5 --weight-decay 5", adamw, None, {}),
        ("--optimizer adamw --learning-rate 2e-5 --weight-decay 30 --decay weights",
         adamw_weights, None, {}),
        (NESTEROV, nesterov, None, {}),
        (f"{SGD} --schedule step --step-epochs {third} --step-gamma 0.3", sgd,
         lambda o: lr_scheduler.StepLR(o, third, 0.3), {}),
        (f"{SGD} --schedule cosine --least-learning-rate 0.0001 --warmup-steps {third}", sgd, warmed,
         {}),
        (f"{SGD} --schedule one-cycle", sgd,
         lambda o: lr_scheduler.OneCycleLR(o, 0.00125, total_steps=steps, cycle_momentum=False), {}),
        (f"{NESTEROV} --clip-norm 0.5", nesterov, None, {"norm": 0.5}),
        (f"{NESTEROV} --clip-value 0.002", nesterov, None, {"value": 0.002}),
        (f"{NESTEROV} --label-smoothing 0.1", nesterov, None, {"smoothing": 0.1}),
        (f"{NESTEROV} --ema 0.9", nesterov, None, {"ema": 0.9}),
        (f"{NESTEROV} --accumulate 4", nesterov, None, {"accumulate": 4}),
        (f"{NESTEROV} --accumulate 2 --clip-norm 0.5", nesterov, None,
         {"accumulate": 2, "norm": 0.5}),
        (f"{NESTEROV} --accumulate 2 --strict --lanes 2", nesterov, None, {"accumulate": 2}),
        ("--optimizer adamw --learning-rate 2e-5 --weight-decay 5 --accumulate 8 --ema 0.9", adamw,
         None, {"accumulate": 8, "ema": 0.9}),
    ]


def warmed_adamw(model):
    return torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05)


def vit_recipes(steps):
    warm = steps // 5
    warmed = lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.01, 1, total_iters=warm),
            lr_scheduler.CosineAnnealingLR(o, steps - warm, 1e-6)], [warm])
    options = ("--optimizer adamw --learning-rate 1e-4 --weight-decay 0.05 --clip-norm 1 --schedule cosine "
               f"--least-learning-rate 1e-6 --warmup-steps {warm}")
    return [(options, warmed_adamw, warmed, {"norm": 1})]


def vit_parameters(model):
    """In lockstep's order: the class token stands behind the patches' layer."""
    own = dict(model.named_parameters())
    first = ["conv_proj.weight", "conv_proj.bias", "class_token", "encoder.pos_embedding"]
    return [own[name] for name in first] + [own[name] for name in own if name not in first]


def smooth_images(labels):
    """Waves in their class's direction, of random phases and colours."""
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    angles = (labels * math.pi / 10)[..., None, None]
    waves = (x * torch.cos(angles) + y * torch.sin(angles)) * (2 * math.pi / 8)
    colours = labels.shape + (1, 1, 3)
    phases, ground, swing = torch.rand(colours), torch.rand(colours), torch.rand(colours)
    values = 100 + 55 * ground + (60 + 60 * swing) * torch.sin(waves[..., None] +
                                                               2 * math.pi * phases)
    return values.clamp(0, 255).round().to(torch.uint8)


def apart(losses, exact):
    return max(abs(loss - to) / abs(to) for loss, to in zip(losses, exact))


def train(model, recipe, batches, labels, steps):
    options, make_optimizer, make_schedule, limits = recipe
    optimizer = make_optimizer(model)
    schedule = make_schedule(optimizer) if make_schedule else None
    average = None
    if "ema" in limits:
        keep = limits["ema"]  # as a function of one tensor, which PyTorch 1.13 takes too
        average = AveragedModel(model, avg_fn=lambda old, new, _: keep * old + (1 - keep) * new)
    losses = []
    for step in range(steps):
        at = step % len(batches)
        optimizer.zero_grad()
        parts = limits.get("accumulate", 1)
        losses.append(0)
        for images, targets in zip(batches[at].chunk(parts), labels[at].chunk(parts)):
            loss = nn.functional.cross_entropy(model(images), targets,
                                               label_smoothing=limits.get("smoothing", 0)) / parts
            loss.backward()
            losses[-1] += loss.item()
        if "norm" in limits:
            nn.utils.clip_grad_norm_(model.parameters(), limits["norm"])
        if "value" in limits:
            nn.utils.clip_grad_value_(model.parameters(), limits["value"])
        optimizer.step()
        if schedule:
            schedule.step()
        if average:
            average.update_parameters(model)
    with torch.no_grad():
        losses.append(nn.functional.cross_entropy((average or model)(batches[0]), labels[0]).item())
    return losses


def main():
    steps = int(sys.argv[2])
    torch.manual_seed(11)
    torch.set_num_threads(1)
    name = sys.argv[3] if len(sys.argv) > 3 else "cnn"
    if name == "cnn":
        model = cnn()
    else:
        from vit_step import vit  # which needs torchvision
        model = vit(name, 32, 10)
    labels = torch.randint(0, 10, (BATCHES, BATCH))
    images = smooth_images(labels)
    batches = [((each.float() / 255 - 0.5) / 0.5).permute(0, 3, 1, 2).contiguous()
               for each in images]
    exact_batches = [each.double() for each in batches]
    initial = flat(model.parameters() if name == "cnn" else vit_parameters(model))
    listed = recipes(steps) if name == "cnn" else vit_recipes(steps)
    with open(sys.argv[1], "wb") as out:
        np.array([BATCH, BATCHES, steps, len(listed)], "<i4").tofile(out)
        np.array([initial.size], "<i8").tofile(out)
        out.write(name.encode().ljust(32, b"\0"))
        np.array([1e-4 if name == "cnn" else 1e-3], "<f8").tofile(out)
        images.numpy().tofile(out)
        labels.numpy().astype("<i4").tofile(out)
        initial.astype("<f4").tofile(out)
        for recipe in listed:
            out.write(recipe[0].encode().ljust(256, b"\0"))
            losses = train(copy.deepcopy(model), recipe, batches, labels, steps)
            exact = train(copy.deepcopy(model).double(), recipe, exact_batches, labels, steps)
            np.array(losses + [apart(losses, exact)], "<f8").tofile(out)


if __name__ == "__main__":
    main()
