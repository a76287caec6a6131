#!/usr/bin/env python3
"""Weights of timm, transformers and torchvision in, ours out to them: logits side by side.

usage: vit.py LOCKSTEP [SHARED]   (run with a Python that has h5py, numpy and safetensors)

LOCKSTEP_PEER_PYTHON names a Python with torch, torchvision, timm, transformers and safetensors; without one the
plan says skipped. SHARED: a folder of real images and pretrained weights (imagenet-sample.tar,
vit-small-patch14.tar); what needs it is skipped where it is not there, and the other images are generated.
Prints TAP.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
PEER = os.environ.get("LOCKSTEP_PEER_PYTHON", "python3")
try:
    import h5py
    import numpy
    from safetensors.numpy import load_file, save_file
    if subprocess.run([PEER, "-c", "import importlib.metadata as m\n"
                       "[m.version(p) for p in ('torchvision', 'timm', 'transformers', 'safetensors')]\n"
                       "assert int(m.version('torch').split('.')[0]) >= 2"], capture_output=True).returncode:
        raise ImportError(f"{PEER} has not all of torch 2, torchvision, timm, transformers and safetensors "
                          "(LOCKSTEP_PEER_PYTHON names one that can)")
except ImportError as missing:
    print(f"1..0 # SKIP {missing}")
    sys.exit(0)

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "modes"))
sys.path.insert(0, os.path.join(HERE, "..", "bench"))
import kit  # noqa: E402
import runs  # noqa: E402

lockstep = os.path.abspath(sys.argv[1])
shared = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else ""
work = tempfile.mkdtemp(prefix="lockstep-vit-")
tap = kit.Tap()
case = tap.check
IMAGES = 8
peers = None
THEIRS, OURS = 1e-4, 1e-5  # absolute, of logits: their weights here, ours there


def at(*names):
    return os.path.join(work, *names)


def run(*words, good=True):
    done = subprocess.run([lockstep, *map(str, words)], capture_output=True, text=True, timeout=200)
    if good and done.returncode:
        print(f"Bail out! {' '.join(map(str, words))}: {done.returncode}: {done.stderr}")
        sys.exit(1)
    return done


def peer(*words):
    """One process for all, for it takes longer to start than to compute."""
    global peers
    if not peers:
        peers = subprocess.Popen([PEER, os.path.join(HERE, "vit_peer.py")], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=open(at("peer.log"), "w", encoding="utf-8"), text=True)
    peers.stdin.write(json.dumps(list(map(str, words))) + "\n")
    peers.stdin.flush()
    if peers.stdout.readline() != "done\n":
        peers.wait()
        with open(at("peer.log"), encoding="utf-8") as file:
            print(f"Bail out! vit_peer.py {' '.join(map(str, words))}: {file.read()[-2000:]}")
        sys.exit(1)


def unpack(name):
    """A file of SHARED, or None."""
    path = os.path.join(shared, name)
    if not shared or not os.path.exists(path):
        return None
    with tarfile.open(path) as archive:
        archive.extractall(work, **runs.SAFELY)
    return at(name[:name.index(".")])


def pack(name, side, source, classes=10):
    """A data set whose test split has IMAGES real images of that side; generated ones without a source."""
    if source:
        run("pack", "images", source, at(name), "--size", side)
    else:
        run("pack", "synthetic", at(name), "--size", side, "--images", IMAGES, "--test-images", IMAGES,
            "--classes", classes)
    with h5py.File(at(name, next(file for file in sorted(os.listdir(at(name))) if file.startswith("test-")))) as shard:
        numpy.save(at(f"{name}.npy"), shard["images"][:IMAGES])


def choose_images(classes=10):
    """`classes` folders of real images: one each to train on, IMAGES among the test split; or None."""
    source = unpack("imagenet-sample.tar")
    if not source:
        return None
    names = sorted(os.listdir(source))
    for number in range(2 * classes):
        split = "test" if number % 2 else "train"
        folder = at("chosen", split, f"class{number // 2}")
        os.makedirs(folder)
        original = os.path.join(source, names[number])
        for file in os.listdir(original):
            shutil.copy(os.path.join(original, file), folder)
    return at("chosen")


def evaluate(data, source, *words, good=True):
    return run("evaluate", "--data", at(data), "--from", source, "--device", "cpu", "--threads", 1, "--logits",
               at("l.h5"), *words, good=good)


def ours(data, source, *words):
    evaluate(data, source, *words)
    with h5py.File(at("l.h5")) as file:
        return file["logits"][:IMAGES]


def theirs(data, what, source, *more):
    peer("logits", what, source, at(f"{data}.npy"), at("theirs.npy"), *more)
    return numpy.load(at("theirs.npy"))


def compare(name, bound, here, there):
    """Logits that all differ, by far more than the bound, and are the same here and there."""
    difference, spread = numpy.abs(here - there).max(), there.std(0).max()
    print(f"# largest difference {difference:.3g}, of logits that differ by {spread:.3g}")
    case(f"{name}: logits within {bound:g}", difference < bound and spread > 100 * bound, (difference, spread))


TI8 = ("--model", "vit-ti16", "--patch", 8)
TIMM = ("vit_tiny_patch16_224", 8)


def check_in():
    want = theirs("data", "huggingface", at("hf"))
    compare("transformers' ViT, layer norms of 1e-12", THEIRS, ours("data", at("hf")), want)
    compare("in several files", THEIRS, ours("data", at("sharded")), want)
    compare("by the name of the index", THEIRS, ours("data", at("sharded", "model.safetensors.index.json")), want)
    compare("of bfloat16", THEIRS, ours("data", at("halves")), theirs("data", "huggingface", at("halves")))
    compare("timm's ViT", THEIRS, ours("data", at("timm.safetensors"), *TI8),
            theirs("data", "timm-file", at("timm.safetensors"), *TIMM))
    compare("torchvision's ResNet-18", THEIRS, ours("data", at("resnet18.safetensors"), "--model", "resnet18"),
            theirs("data", "resnet18", at("resnet18.safetensors")))


def check_bare():
    """Without the prefix, and with a bare ViTModel's pooler."""
    tensors = {name.removeprefix("vit."): value for name, value in load_file(at("hf", "model.safetensors")).items()}
    tensors["pooler.dense.weight"] = numpy.zeros((192, 192), numpy.float32)
    os.makedirs(at("bare"))
    save_file(tensors, at("bare", "model.safetensors"))
    shutil.copy(at("hf", "config.json"), at("bare"))
    case("without the vit. in front, and with a pooler", (ours("data", at("bare")) == ours("data", at("hf"))).all())


def check_grid():
    """Position embeddings for more patches, and for fewer."""
    for side in (48, 24):
        pack(f"data{side}", side, CHOSEN)
        compare(f"interpolated to {side} pixels as timm does", THEIRS,
                ours(f"data{side}", at("timm.safetensors"), *TI8),
                theirs(f"data{side}", "timm-file", at("timm.safetensors"), *TIMM))


def check_out():
    """Trained for an epoch from their weights, exported, loaded by them."""
    train("begun", at("hf"), *TI8)
    checkpoints = at("begun", "checkpoints")
    want = ours("data", checkpoints)
    run("checkpoint", "export", checkpoints, at("out-hf"), "--format", "huggingface")
    compare("ours, loaded by transformers", OURS, theirs("data", "huggingface", at("out-hf")), want)
    case("and by ourselves: the same bits", (ours("data", at("out-hf")) == want).all())
    with open(at("out-hf", "config.json"), encoding="utf-8") as file:
        case("the epsilon that it began with is the checkpoint's", json.load(file)["layer_norm_eps"] == 1e-12)
    train("begun-timm", at("timm.safetensors"), *TI8)
    checkpoints = at("begun-timm", "checkpoints")
    want = ours("data", checkpoints)
    for to in (at("out-timm"), at("out-timm.safetensors")):
        run("checkpoint", "export", checkpoints, to, "--format", "timm")
    compare("ours, loaded by timm's create_model", OURS, theirs("data", "timm", at("out-timm")), want)
    compare("by load_state_dict", OURS, theirs("data", "timm-file", at("out-timm.safetensors"), *TIMM), want)


def train(name, source, *words, good=True):
    return run("train", "--data", at("data"), "--mode", "single", "--device", "cpu", "--threads", 1, "--epochs", 1,
               "--checkpoint-every", "epoch", "--init", source, "--results", at(name), *words, good=good)


def check_head():
    """A head of other classes is new in training, and no head is evaluated that is not there."""
    tensors = load_file(at("hf", "model.safetensors"))
    headless = {name: value for name, value in tensors.items() if not name.startswith("classifier")}
    other = {**headless, "classifier.weight": numpy.zeros((7, 192), numpy.float32),
             "classifier.bias": numpy.zeros(7, numpy.float32)}
    for name, of, said in (("none", headless, "the weights have none"), ("seven", other, "is for 7")):
        os.makedirs(at(name))
        save_file(of, at(name, "model.safetensors"))
        shutil.copy(at("hf", "config.json"), at(name))
        done = train(f"head-{name}", at(name), *TI8)
        lines = [line for line in done.stdout.splitlines() if line.startswith("init ")]
        case(f"a head of other classes is new, and said so: {name}", len(lines) == 2 and
             "the head is new, for 10 classes" in lines[1] and said in lines[1], lines)
        done = evaluate("data", at(name), good=False)
        case(f"and is not evaluated: {name}", done.returncode == 2 and "classifier." in done.stderr, done.stderr)


def check_pretrained():
    name = "the shared pretrained ViT-S/14, of float16"
    source = unpack("vit-small-patch14.tar")
    if not source:
        tap.skip(name, "no vit-small-patch14.tar in the folder that was named")
        return
    pack("large", 224, CHOSEN)
    peer("head", source, at("headed"), 10)
    want = theirs("large", "huggingface", at("headed"))
    compare(name, THEIRS, ours("large", at("headed")), want)
    run("checkpoint", "import", at("headed"), "vit-s14", at("large"), at("imported"))
    made = next(folder for folder in os.listdir(at("imported")) if folder.startswith("step-"))
    run("checkpoint", "export", at("imported", made), at("out-large"), "--format", "huggingface")
    compare(f"{name}, through a checkpoint and out again", OURS, theirs("large", "huggingface", at("out-large")), want)


def main():
    global CHOSEN
    CHOSEN = choose_images()
    pack("data", 32, CHOSEN)
    peer("make", work)
    check_in()
    check_bare()
    check_grid()
    check_out()
    check_head()
    check_pretrained()
    return tap.done()


try:
    failed = main()
finally:
    if peers:
        peers.stdin.close()
        peers.wait()
    shutil.rmtree(work, ignore_errors=True)
sys.exit(failed)
