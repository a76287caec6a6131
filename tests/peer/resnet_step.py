"""A training step of a residual network by torchvision, written for torchvision_step.c to compare with.

    resnet_step.py MODEL SIDE BATCH CLASSES TYPE WEIGHTS OUT

TYPE: what torchvision computes in, "float" or "double".

WEIGHTS: the model's state_dict as it begins, in safetensors. OUT: what step.py's write_step writes.

The norms begin with random scales, shifts and statistics: what multiplies by 1 or adds 0 is not
looked at otherwise. A gradient jumps where a ReLU's input passes 0: rounding alone decides on one
that is within it, and then gradients are apart by per cents (in torchvision's own float and double,
too). Of some random batches the one is taken whose nearest input lies furthest from 0.

A resnet50 has too many inputs for that. As resnet18's norms begin, at 48 px and batch 4 (1.8 million
of them), in torchvision's double: images changed by 1e-8 of themselves change gradients by 3e-6 of
their norms; changed by 1e-7, one ReLU lets through what it did not, and they change by up to 2.6%,
by 1e-6 16 of them and 4.6%; its float is 3.0% from its double, with 6. So there the norms begin with
shifts that keep most inputs of a ReLU away from 0, on either side channel by channel, and sums of a
block above it. (Some shifts have no gradient then, for a norm follows: torchvision_step.c.)
"""
import copy
import sys

import torch
import torchvision
from step import normalised, save, write_step
from torch import nn

TRIES = 40


def shake(model):
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)


def part_from_zero(model):
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            ends_block = name.endswith("bn3") or "downsample" in name
            sign = 1 if ends_block else torch.randint(0, 2, module.bias.shape) * 2 - 1
            nn.init.uniform_(module.weight, 0.4, 0.8)
            module.bias.data = sign * torch.empty_like(module.bias).uniform_(0.8, 1.2)


def nearest_to_zero(model, images):
    """The smallest magnitude of what a ReLU gets, in training."""
    model, found = copy.deepcopy(model), []
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0].abs().min().item()))
    with torch.no_grad():
        model(normalised(images))
    return min(found)


def main():
    name, side, batch, classes, kind, weights, out = sys.argv[1:]
    side, batch, classes = int(side), int(batch), int(classes)
    torch.manual_seed(7)
    torch.set_num_threads(1)
    model = getattr(torchvision.models, name)(num_classes=classes)
    shake(model)
    if any(isinstance(module, torchvision.models.resnet.Bottleneck) for module in model.modules()):
        part_from_zero(model)
    save(model.state_dict(), weights)
    model = model.to(getattr(torch, kind))
    drawn = [torch.randint(0, 256, (batch, side, side, 3)).to(getattr(torch, kind)) for _ in range(TRIES)]
    images = max(drawn, key=lambda these: nearest_to_zero(model, these))
    print(f"# a ReLU's input is at least {nearest_to_zero(model, images):.2g} from 0", flush=True)
    labels = torch.randint(0, classes, (batch,))
    write_step(model, images, labels, out)


if __name__ == "__main__":
    main()
