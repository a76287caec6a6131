#!/usr/bin/env python3
"""Decoded, cropped, resampled images are Pillow's, as torchvision crops and resizes them: all pixels.

usage: picture.py PICTURE PEER [ARCHIVE]      PICTURE: the program of picture.c
LOCKSTEP_PEER_PYTHON names a Python with Pillow and torchvision, in which this runs itself again.
LOCKSTEP_IMAGES names a tar archive or a folder of JPEG files; without it images are made by Pillow
(of every subsampling, baseline and progressive, grey, CMYK, odd sizes), which is tried always."""
import io
import os
import random
import subprocess
import sys
import tarfile
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import Tap  # noqa: E402

tap = Tap()


def case(name, problem=""):
    tap.check(name, not problem, problem)


def skip(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(0)


def peer():
    """Runs in the peer's Python, or skips."""
    if os.environ.get("PICTURE_INSIDE"):
        return
    named = os.environ.get("LOCKSTEP_PEER_PYTHON")
    for python in [named] if named else ["python3", "/usr/bin/python3"]:  # Debian's may not be the PATH's first
        if not subprocess.run([python, "-c", "import PIL.Image, torchvision"], capture_output=True).returncode:
            os.execvpe(python, [python] + sys.argv, {**os.environ, "PICTURE_INSIDE": "1"})
    skip(f"{python} cannot import Pillow and torchvision (sh slurm/packages.sh pytorch installs Debian's)")


def texture(width, height, rng):
    """Noise on gradients: every pixel differs from its neighbours."""
    import numpy
    y, x = numpy.mgrid[0:height, 0:width]
    base = numpy.stack([x * 255 / max(width - 1, 1), y * 255 / max(height - 1, 1), (x * 7 + y * 3) % 256], -1)
    noise = numpy.random.default_rng(rng.randrange(1 << 30)).integers(-60, 60, base.shape)
    return (base + noise).clip(0, 255).astype("uint8")


def make_images(folder, rng):
    from PIL import Image
    paths = []
    sizes = [(500, 375), (333, 251), (64, 48), (17, 31), (1, 1), (5, 900), (1201, 803)]
    kinds = [("444", {"subsampling": 0}), ("422", {"subsampling": 1}), ("420", {"subsampling": 2}),
             ("420-progressive", {"subsampling": 2, "progressive": True}),
             ("422-progressive", {"subsampling": 1, "progressive": True}),
             ("420-restart", {"subsampling": 2, "restart_marker_rows": 1}), ("grey", {}), ("cmyk", {})]
    for width, height in sizes:
        image = Image.fromarray(texture(width, height, rng))
        for name, options in kinds:
            path = os.path.join(folder, f"{name}-{width}x{height}.jpg")
            this = image.convert({"grey": "L", "cmyk": "CMYK"}.get(name, "RGB"))
            this.save(path, quality=rng.choice([60, 85, 95]), **options)
            paths.append(path)
    return paths


def unpack(source, folder):
    if os.path.isdir(source):
        return sorted(os.path.join(top, name) for top, _, names in os.walk(source) for name in names
                      if name.lower().endswith((".jpg", ".jpeg")))
    paths = []
    with tarfile.open(source) as archive:
        for member in archive:
            if member.isfile() and member.name.lower().endswith((".jpg", ".jpeg")):
                paths.append(os.path.join(folder, f"{len(paths)}.jpg"))
                with open(paths[-1], "wb") as out:
                    out.write(archive.extractfile(member).read())
    return paths


def boxes(width, height, rng):
    """RandomResizedCrop's, the whole, one pixel, and what touches each edge."""
    yield 0, 0, width, height
    yield width - 1, height - 1, 1, 1
    for _ in range(6):
        w, h = rng.randint(1, width), rng.randint(1, height)
        yield rng.randint(0, width - w), rng.randint(0, height - h), w, h


def whole(path):
    from PIL import Image
    with open(path, "rb") as file:  # as torchvision's pil_loader
        return Image.open(io.BytesIO(file.read())).convert("RGB")


def crops(paths, rng):
    """(request, what torchvision makes of it) for random boxes, and for evaluation's view."""
    import torchvision.transforms.functional as F
    bilinear = F.InterpolationMode.BILINEAR
    for path in paths:
        image = whole(path)
        for left, top, w, h in boxes(image.width, image.height, rng):
            size, mirrored = rng.choice([224, 64, 96, 7]), rng.randint(0, 1)
            made = F.resized_crop(image, top, left, h, w, [size, size], bilinear)
            made = F.hflip(made) if mirrored else made
            yield f"exact {left} {w} {size} 0 {size} {top} {h} {size} 0 {size} {mirrored}\t{path}", made
        size = 224
        made = F.center_crop(F.resize(image, size * 256 // 224, bilinear), [size, size])
        short = min(image.width, image.height)
        w, h = (side * 256 // short for side in (image.width, image.height))
        x, y = (round((side - size) / 2) for side in (w, h))
        if max(w, h) < 20000:
            yield (f"exact 0 {image.width} {w} {x} {size} 0 {image.height} {h} {y} {size} 0\t{path}", made)


def hues(folder):
    """Turns of the hue of every third value of each channel, and of what lies around the ends."""
    import numpy
    from PIL import Image
    import torchvision.transforms.functional as F
    values = numpy.unique(numpy.r_[0:256:3, 1, 2, 127, 128, 254]).astype("uint8")
    colours = numpy.stack(numpy.meshgrid(values, values, values, indexing="ij"), -1).reshape(-1, len(values), 3)
    path = os.path.join(folder, "colours")
    with open(path, "wb") as out:
        out.write(colours.tobytes())
    for turn in (0, 0.5, -0.5, 0.1, -0.037):
        yield f"hue {turn}\t{path}", F.adjust_hue(Image.fromarray(colours), turn)


def compare(program, asked):
    """Asks the program; the first difference as text."""
    import PIL
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        lines = "".join(request + "\n" for request, _ in asked)
        ran = subprocess.run([program, out, PIL.__version__.split(".")[0]], input=lines, text=True, capture_output=True)
        if ran.returncode:
            return ran.stderr.strip() or f"exit code {ran.returncode}"
        with open(out, "rb") as file:
            for request, made in asked:
                want = made.tobytes()
                if file.read(len(want)) != want:
                    return f"other pixels than torchvision's: {request}"
            return "more pixels than were asked for" if file.read(1) else ""


def main():
    peer()
    program, rng = sys.argv[1], random.Random(20)
    with tempfile.TemporaryDirectory() as folder:
        asked = list(crops(make_images(folder, rng), rng))
        case(f"{len(asked)} views of made images: all pixels are torchvision's", compare(program, asked))
        turned = list(hues(folder))
        case(f"{len(turned)} turns of the hue: all pixels are torchvision's", compare(program, turned))
        broken = [(asked[0][0], asked[1][1])]
        case("another view's pixels are told apart", "" if compare(program, broken) else "they passed")
        source = os.environ.get("LOCKSTEP_IMAGES")
        if source:
            asked = list(crops(unpack(source, folder), rng))
            case(f"{len(asked)} views of {source}: all pixels are torchvision's",
                 compare(program, asked) if asked else "no JPEG files there")
        else:
            tap.skip("real images", "LOCKSTEP_IMAGES names no archive or folder of them")
    sys.exit(tap.done())


main()
