"""A training step of a vision transformer by torchvision, written for torchvision_step.c to compare with.

    vit_step.py MODEL SIDE BATCH CLASSES TYPE WEIGHTS OUT

MODEL as lockstep names it, "vit-ti8", "vit-ti8-mean-tanh" (the mean of all but the class token pooled
before the last norm, GELU's tanh form, neither of which torchvision has). The rest, and what is written, as in resnet_step.py, with timm's
names of tensors. All parameters are random: torchvision's head begins with 0, which no gradient passes.
"""
import re
import sys

import torch
from step import save, write_step
from torch import nn
from torchvision.models import VisionTransformer

SIZES = {"ti": (192, 12, 3), "s": (384, 12, 6), "b": (768, 12, 12), "l": (1024, 24, 16)}
# torchvision's names, and timm's for them.
NAMES = [
    (r"^class_token$", "cls_token"),
    (r"^encoder\.pos_embedding$", "pos_embed"),
    (r"^conv_proj\.", "patch_embed.proj."),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
    (r"\.ln_(\d)\.", r".norm\1."),
    (r"\.self_attention\.in_proj_", ".attn.qkv."),
    (r"\.self_attention\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.(0|linear_1)\.", ".mlp.fc1."),
    (r"\.mlp\.(3|linear_2)\.", ".mlp.fc2."),
    (r"^encoder\.ln\.", "norm."),
    (r"^heads\.head\.", "head."),
]


class Pooled(VisionTransformer):
    def forward(self, images):
        x = self._process_input(images)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], 1) + self.encoder.pos_embedding
        return self.heads(self.encoder.ln(self.encoder.layers(x)[:, 1:].mean(1)))


def timm_name(name, mean):
    if mean and name.startswith("encoder.ln."):
        return "fc_norm." + name.rsplit(".", 1)[1]
    for theirs, ours in NAMES:
        name = re.sub(theirs, ours, name)
    return name


def shake(model):
    for name, parameter in model.named_parameters():
        norm = re.search(r"\.ln(_\d)?\.weight", name)
        low, high = (0.5, 1.5) if norm else (-0.3, 0.3) if parameter.dim() == 1 else (-0.1, 0.1)
        nn.init.uniform_(parameter, low, high)


def vit(name, side, classes):
    size, patch, mean, tanh = re.fullmatch(r"vit-([a-z]+)(\d+)(-mean)?(-tanh)?", name).groups()
    width, blocks, heads = SIZES[size]
    kind_of = Pooled if mean else VisionTransformer
    model = kind_of(image_size=side, patch_size=int(patch), num_layers=blocks, num_heads=heads,
                    hidden_dim=width, mlp_dim=4 * width, num_classes=classes)
    for module in model.modules():
        if isinstance(module, nn.GELU) and tanh:
            module.approximate = "tanh"
    shake(model)
    return model


def main():
    name, side, batch, classes, kind, weights, out = sys.argv[1:]
    side, batch, classes = int(side), int(batch), int(classes)
    torch.manual_seed(7)
    torch.set_num_threads(1)
    mean = "-mean" in name
    model = vit(name, side, classes)
    save({timm_name(key, mean): value for key, value in model.state_dict().items()}, weights)
    model = model.to(getattr(torch, kind))
    images = torch.randint(0, 256, (batch, side, side, 3)).to(getattr(torch, kind))
    labels = torch.randint(0, classes, (batch,))
    write_step(model, images, labels, out, lambda key: timm_name(key, mean))


if __name__ == "__main__":
    main()
