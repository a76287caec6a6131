"""What resnet_step.py and vit_step.py have in common: a training step by torchvision, written in safetensors."""
import json
import struct

import torch
from torch import nn


def save(tensors, path):
    """The format in its own words (github.com/huggingface/safetensors): Debian has no package of it."""
    names = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}
    header, end = {}, 0
    for key, value in tensors.items():
        begin, end = end, end + value.numel() * value.element_size()
        header[key] = {"dtype": names[value.dtype], "shape": list(value.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for value in tensors.values():
            file.write(value.detach().contiguous().numpy().tobytes())


def normalised(images):
    return ((images / 255 - 0.5) / 0.5).permute(0, 3, 1, 2).contiguous()


def write_step(model, images, labels, path, name_of=str):
    """A step of the model, and then of its evaluation: "images" [batch, side, side, 3] (whole numbers from 0 to
    255), "labels" [batch] (int64), "logits", "loss" [1], "grad.NAME" of each parameter and "after.NAME" of each
    running statistic, NAME as name_of says of the state_dict's; then "eval", the logits in evaluation with these
    statistics."""
    inputs = normalised(images)
    logits = model(inputs)
    loss = nn.functional.cross_entropy(logits, labels)
    loss.backward()
    found = {"images": images, "labels": labels, "logits": logits.detach(), "loss": loss.detach()[None]}
    for key, parameter in model.named_parameters():
        found[f"grad.{name_of(key)}"] = parameter.grad
    for key, value in model.named_buffers():
        if value.is_floating_point():
            found[f"after.{name_of(key)}"] = value
    model.eval()
    with torch.no_grad():
        found["eval"] = model(inputs)
    save(found, path)
