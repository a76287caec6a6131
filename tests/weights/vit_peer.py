"""timm, transformers and torchvision, for vit.py: run with a Python that has them. Does what each line of
standard input says, a list of words in JSON, and answers each with the line "done"; a failure ends it.

    make DIR             models of random weights: hf/, sharded/, halves/, timm.safetensors, resnet18.safetensors
    head SRC DIR N       a bare ViTModel's folder SRC, with a random head for N classes, as DIR
    logits WHAT FROM IMAGES LOGITS
        what the weights FROM say of IMAGES (.npy, uint8 [n, h, w, c]) into LOGITS (.npy). WHAT: huggingface, a
        folder; timm, a folder; timm-file MODEL PATCH, a file; resnet18, a file
"""
import json
import os
import sys

import numpy as np
import timm
import torch
import transformers
from safetensors.torch import load_file, save_file

SIDE, PATCH, CLASSES = 32, 8, 10


def shake(model):
    """Random weights whose logits differ from each other: both libraries begin with small ones."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1 and "weight" in name:
                parameter.uniform_(0.5, 1.5)
            else:
                parameter.uniform_(-0.1, 0.1)
    return model.eval()


def make(folder):
    config = transformers.ViTConfig(hidden_size=192, num_hidden_layers=12, num_attention_heads=3, intermediate_size=768,
                                    patch_size=PATCH, image_size=SIDE, num_labels=CLASSES)
    model = shake(transformers.ViTForImageClassification(config))
    model.save_pretrained(os.path.join(folder, "hf"))
    model.save_pretrained(os.path.join(folder, "sharded"), max_shard_size="5MB")
    model.bfloat16().save_pretrained(os.path.join(folder, "halves"))
    model = shake(timm.create_model("vit_tiny_patch16_224", patch_size=PATCH, img_size=SIDE, num_classes=CLASSES))
    save_file(model.state_dict(), os.path.join(folder, "timm.safetensors"))
    from torchvision.models import resnet18
    model = resnet18(num_classes=CLASSES)
    for name, buffer in model.named_buffers():
        if "running" in name:
            buffer.uniform_(*((-0.2, 0.2) if "mean" in name else (0.5, 1.5)))
    save_file(model.state_dict(), os.path.join(folder, "resnet18.safetensors"))


def add_head(source, folder, classes):
    tensors = load_file(os.path.join(source, "model.safetensors"))
    with open(os.path.join(source, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    config["id2label"] = {str(label): f"LABEL_{label}" for label in range(int(classes))}
    tensors["classifier.weight"] = 0.02 * torch.randn(int(classes), config["hidden_size"], dtype=torch.float16)
    tensors["classifier.bias"] = torch.randn(int(classes), dtype=torch.float16)
    os.makedirs(folder)
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)


def huggingface(folder, _images):
    model, said = transformers.ViTForImageClassification.from_pretrained(folder, output_loading_info=True,
                                                                         dtype=torch.float32)
    left = {key: said[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if said[key]}
    if left:
        sys.exit(f"from_pretrained: {left}")
    return lambda batch: model(batch).logits, model


def timm_file(path, images, name, patch):
    """timm's own loading, so that its own interpolation of position embeddings is ours to follow."""
    tensors = load_file(path)
    model = timm.create_model(name, patch_size=int(patch), img_size=images.shape[1:3],
                              num_classes=len(tensors["head.bias"]))
    tensors["pos_embed"] = timm.layers.resample_abs_pos_embed(tensors["pos_embed"], list(model.patch_embed.grid_size))
    model.load_state_dict(tensors, strict=True)
    return model, model


def timm_folder(folder, _images):
    model = timm.create_model(f"local-dir:{folder}", pretrained=True)
    return model, model


def resnet18(path, _images):
    from torchvision.models import resnet18 as make_it
    model = make_it(num_classes=CLASSES)
    model.load_state_dict(load_file(path), strict=True)
    return model, model


def logits(what, source, images, out, *more):
    pixels = np.load(images)
    forward, model = {"huggingface": huggingface, "timm": timm_folder, "timm-file": timm_file,
                      "resnet18": resnet18}[what](source, pixels, *more)
    model.eval()
    batch = ((torch.from_numpy(pixels).float() / 255 - 0.5) / 0.5).permute(0, 3, 1, 2).contiguous()
    with torch.no_grad():
        np.save(out, forward(batch).numpy())


def main():
    torch.manual_seed(11)
    torch.set_num_threads(1)
    for line in sys.stdin:
        what, *rest = json.loads(line)
        {"make": make, "head": add_head, "logits": logits}[what](*rest)
        print("done", flush=True)


main()
