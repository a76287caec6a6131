#!/usr/bin/env python3
"""Weights and evaluations as others see them: the safetensors package, h5py, PyTorch.

usage: weights.py LOCKSTEP   (run with a Python that has h5py, numpy and safetensors)

LOCKSTEP_PEER_PYTHON names a Python with torch and safetensors; without one its cases are skipped.
Prints TAP; without h5py or safetensors the plan says skipped.
"""
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
try:
    import h5py
    import numpy
    from safetensors.numpy import load_file, save_file
except ImportError as missing:
    print(f"1..0 # SKIP {missing}")
    sys.exit(0)

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "modes"))
import kit  # noqa: E402

PEER = os.environ.get("LOCKSTEP_PEER_PYTHON", "python3")
lockstep = os.path.abspath(sys.argv[1])
work = tempfile.mkdtemp(prefix="lockstep-weights-")
tap = kit.Tap()
case = tap.check
environment = {key: value for key, value in os.environ.items()
               if not key.startswith(("SLURM_", "OMPI_", "PMIX_"))}
environment.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
SHAPES = {"conv1.weight": (64, 3, 3, 3), "conv1.bias": (64,), "conv2.weight": (128, 64, 3, 3),
          "conv2.bias": (128,), "fc1.weight": (512, 8192), "fc1.bias": (512,),
          "fc2.weight": (10, 512), "fc2.bias": (10,)}


def at(name):
    return os.path.join(work, name)


def run(*words, ranks=0, good=True):
    command = [lockstep, *map(str, words)]
    if ranks:
        command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks), *command,
                   "--oversubscribe"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200)
    if good and done.returncode:
        print(f"Bail out! {' '.join(command)}: {done.returncode}: {done.stderr}")
        sys.exit(1)
    return done


def evaluate(weights, *words, ranks=0, good=True):
    return run("evaluate", "--data", at("data"), "--from", weights, "--device", "cpu", "--threads", 1,
               *words, ranks=ranks, good=good)


def numbers(text):
    found = re.search(r"images +(\d+) .*loss +([-\d.]+)\ntop-1 .*\((\d+)\)\ntop-5 .*\((\d+)\)", text, re.S)
    return int(found[1]), float(found[2]), int(found[3]), int(found[4])


def random_weights(seed):
    draw = numpy.random.default_rng(seed)
    return {name: (draw.standard_normal(shape) / max(1, numpy.prod(shape[1:])) ** 0.5)
            .astype(numpy.float32) for name, shape in SHAPES.items()}


def test_images():
    """The test split's images and labels, by h5py."""
    images, labels = [], []
    for name in sorted(os.listdir(at("data"))):
        if name.startswith("test-") and name.endswith(".h5"):
            with h5py.File(os.path.join(at("data"), name)) as shard:
                images.append(shard["images"][:])
                labels.append(shard["labels"][:])
    return numpy.concatenate(images), numpy.concatenate(labels)


def check_answers():
    """What evaluate says, against its own logits, by numpy."""
    save_file(random_weights(1), at("random.safetensors"))
    images, labels = test_images()
    for ranks in (0, 2, 3):
        said = numbers(evaluate(at("random.safetensors"), "--predictions", at("p.csv"), "--logits",
                                at("l.h5"), "--batch-per-rank", 33, ranks=ranks).stdout)
        with h5py.File(at("l.h5")) as file:
            logits, kept = file["logits"][:].astype(numpy.float64), file["labels"][:]
        shifted = logits - logits.max(1, keepdims=True)
        probability = numpy.exp(shifted) / numpy.exp(shifted).sum(1, keepdims=True)
        right = logits[numpy.arange(len(labels)), labels][:, None]
        place = (logits > right).sum(1)
        loss = -numpy.log(probability[numpy.arange(len(labels)), labels]).mean()
        wanted = (len(labels), loss, (place < 1).sum(), (place < 5).sum())
        case(f"loss, top-1 and top-5 are the logits', {ranks or 1} ranks",
             (kept == labels).all() and said[0] == wanted[0] and said[2:] == wanted[2:] and
             abs(said[1] - loss) < 2e-6, (said, wanted))
        with open(at("p.csv"), newline="") as file:
            rows = list(csv.DictReader(file))
        case(f"predictions: each image once, in order, {ranks or 1} ranks",
             [int(row["index"]) for row in rows] == list(range(len(labels))) and
             [int(row["class"]) for row in rows] == list(labels) and
             [int(row["predicted"]) for row in rows] == list(logits.argmax(1)) and
             max(abs(float(row["probability"]) - p) for row, p in zip(rows, probability.max(1))) < 1e-6,
             rows[:2])


def made():
    """The checkpoint that import made."""
    return at(os.path.join("made", min(name for name in os.listdir(at("made")) if name.startswith("step-"))))


def check_checkpoints():
    """In and out again, by way of a checkpoint."""
    weights = random_weights(1)
    run("checkpoint", "import", at("random.safetensors"), "cnn", at("data"), at("made"))
    run("checkpoint", "verify", made())
    run("checkpoint", "export", made(), at("out.safetensors"))
    back = load_file(at("out.safetensors"))
    case("imported and exported, the tensors are the same bits", set(back) == set(weights) and
         all(back[name].dtype == numpy.float32 and (back[name] == weights[name]).all() for name in back))
    said = [numbers(evaluate(source).stdout) for source in (at("random.safetensors"), made())]
    case("evaluated from the checkpoint, too", said[0] == said[1], said)
    for words, pattern in ((("export", made(), at("out.h5")), r"ends in \.safetensors"),
                           (("export", at("data"), at("x.safetensors")), r"expected a checkpoint|cannot read"),
                           (("import", at("out.h5"), "cnn", at("data"), at("x")), r"out\.h5"),
                           (("import", at("random.safetensors"), "vgg", at("data"), at("x")), r"found 'vgg'")):
        done = run("checkpoint", *words, good=False)
        case(f"refused: {' '.join(os.path.basename(str(word)) for word in words)}", done.returncode == 2 and
             len(done.stderr.splitlines()) == 1 and re.search(pattern, done.stderr), done.stderr)


def check_types():
    weights = random_weights(2)
    halves = {name: value.astype(numpy.float16) for name, value in weights.items()}
    save_file(halves, at("halves.safetensors"))
    save_file({name: value.astype(numpy.float32) for name, value in halves.items()}, at("same.safetensors"))
    save_file({name: value.astype(numpy.float64) for name, value in halves.items()}, at("wide.safetensors"))
    said = [numbers(evaluate(at(f"{name}.safetensors")).stdout) for name in ("halves", "same", "wide")]
    case("the package's F16, F32 and F64 of one value are one value", len(set(said)) == 1, said)


def check_refusals():
    weights = random_weights(1)
    whole = open(at("random.safetensors"), "rb").read()
    open(at("short.safetensors"), "wb").write(whole[:-1])
    open(at("zip.safetensors"), "wb").write(b"PK\3\4" + bytes(2000))
    save_file({name: value for name, value in weights.items() if name != "fc2.bias"}, at("less.safetensors"))
    save_file({**weights, "fc2.weight": weights["fc2.weight"][:9].copy()}, at("other.safetensors"))
    save_file({**weights, "fc1.bias": numpy.zeros(512, numpy.int32)}, at("whole.safetensors"))
    nan = random_weights(1)
    nan["fc2.bias"][3] = numpy.nan
    save_file(nan, at("nan.safetensors"))
    save_file(weights, at("model.safetensors"), metadata={"model": "cnn-of-others"})
    wanted = {"short": (2, r"ends at byte"), "zip": (2, r"torch\.save"), "absent": (2, r"No such file"),
              "less": (2, r"1 missing: fc2\.bias"), "whole": (2, r"fc1\.bias is I32"),
              "other": (2, r"fc2\.weight \(expected \[10, 512\], found \[9, 512\]\)"),
              "nan": (1, r"not a finite number"), "model": (2, r"cnn-of-others")}
    for name, (code, pattern) in wanted.items():
        for ranks in (0, 2):
            done = evaluate(at(f"{name}.safetensors"), ranks=ranks, good=False)
            lines = [line for line in done.stderr.splitlines() if line.startswith("lockstep: ")]
            case(f"refused: {name}, {ranks or 1} ranks", done.returncode == code and len(lines) == 1 and
                 re.search(pattern, lines[0]), f"{done.returncode}: {done.stderr}")


def vit_shapes(width=192, side=8, tokens=17, blocks=12, classes=10):
    """timm's tensors of a vision transformer for 32 x 32 pixels."""
    shapes = {"cls_token": (1, 1, width), "pos_embed": (1, tokens, width),
              "patch_embed.proj.weight": (width, 3, side, side), "patch_embed.proj.bias": (width,)}
    layers = {"norm": (width,), "head": (classes, width)}
    for block in range(blocks):
        layers.update({f"blocks.{block}.{name}": shape for name, shape in (
            ("norm1", (width,)), ("attn.qkv", (3 * width, width)), ("attn.proj", (width, width)),
            ("norm2", (width,)), ("mlp.fc1", (4 * width, width)), ("mlp.fc2", (width, 4 * width)))})
    for name, shape in layers.items():
        shapes.update({f"{name}.weight": shape, f"{name}.bias": shape[:1]})
    return shapes


def check_vit():
    """timm's names in, out, and evaluated with patches of another side than the model's name has."""
    draw = numpy.random.default_rng(4)
    weights = {name: draw.uniform(-0.1, 0.1, shape).astype(numpy.float32) for name, shape in vit_shapes().items()}
    save_file(weights, at("vit.safetensors"))
    run("checkpoint", "import", at("vit.safetensors"), "vit-ti8", at("data"), at("vit"))
    folder = at(os.path.join("vit", next(name for name in os.listdir(at("vit")) if name.startswith("step-"))))
    run("checkpoint", "export", folder, at("vit-out.safetensors"))
    back = load_file(at("vit-out.safetensors"))
    case("a vision transformer of timm's names, imported and exported: the same bits", set(back) == set(weights) and
         all((back[name] == weights[name]).all() for name in back))
    said = [numbers(done.stdout) for done in (
        evaluate(at("vit.safetensors"), "--model", "vit-ti16", "--patch", 8),
        evaluate(at("vit-out.safetensors")))]
    case("evaluated with --patch 8, and by what it says of itself", said[0] == said[1], said)
    for words, pattern in ((("--patch", 8), r"--patch: expected a vision transformer .*--model cnn"),
                           (("--model", "vit-ti16"), r"patch_embed\.proj\.weight")):
        done = evaluate(at("vit.safetensors"), *words, good=False)
        case(f"refused: {' '.join(map(str, words))}", done.returncode == 2 and re.search(pattern, done.stderr),
             done.stderr)


def has_torch():
    return not subprocess.run([PEER, "-c", "import torch, safetensors"], capture_output=True).returncode


def by_torch(weights):
    """Largest difference of logits of 256 images, ours and PyTorch's, from one file."""
    images, _ = test_images()
    numpy.save(at("images.npy"), images[:256])
    evaluate(weights, "--logits", at("ours.h5"))
    subprocess.run([PEER, os.path.join(HERE, "cnn.py"), "logits", weights, at("images.npy"), at("theirs.npy")],
                   check=True)
    with h5py.File(at("ours.h5")) as file:
        return numpy.abs(file["logits"][:256] - numpy.load(at("theirs.npy"))).max()


def check_torch():
    skip = "" if has_torch() else f"{PEER} cannot import torch and safetensors (LOCKSTEP_PEER_PYTHON names one)"
    name = "PyTorch's weights: logits of 256 images within 1e-5"
    if skip:
        tap.skip(name, skip)
        return
    subprocess.run([PEER, os.path.join(HERE, "cnn.py"), "make", at("torch.safetensors")], check=True)
    difference = by_torch(at("torch.safetensors"))
    print(f"# largest difference {difference:.3g}")
    case(name, difference < 1e-5, difference)
    difference = by_torch(at("trained.safetensors"))
    print(f"# largest difference {difference:.3g}")
    case("ours, trained, exported, loaded by PyTorch: the same", difference < 1e-5, difference)


def check_trained():
    """A run's checkpoint: evaluated, it is what the run said at its end; exported, too."""
    run("train", "--data", at("data"), "--mode", "single", "--device", "cpu", "--threads", 1, "--epochs", 1,
        "--global-batch", 64, "--checkpoint-every", "epoch", "--results", at("run"))
    run("checkpoint", "export", at("run/checkpoints"), at("trained.safetensors"))
    with open(at("run/summary.csv"), newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    for source in (at("run/checkpoints"), at("trained.safetensors")):
        said = numbers(evaluate(source).stdout)
        case(f"a run's weights are evaluated as the run did: {os.path.basename(source)}",
             abs(said[1] - float(row["final_test_loss"])) < 2e-6 and
             abs(said[2] / said[0] - float(row["final_test_accuracy"])) < 1e-9, (said, row["final_test_loss"]))


def train(name, *words, good=True):
    return run("train", "--data", at("data"), "--mode", "single", "--device", "cpu", "--threads", 1,
               "--global-batch", 64, "--checkpoint-every", "epoch", "--results", at(name), *words, good=good)


def exported(name):
    run("checkpoint", "export", at(f"{name}/checkpoints"), at(f"{name}.safetensors"))
    return load_file(at(f"{name}.safetensors"))


def check_partial():
    """What fits is read, the rest begins as without --init: of runs whose updates change next to nothing."""
    still = ("--epochs", 1, "--learning-rate", 1e-12)
    part = {name: value for name, value in random_weights(3).items() if name.startswith("conv")}
    save_file({**part, "fc1.weight": numpy.zeros((4, 4), numpy.float32), "other": numpy.zeros(1, numpy.float32)},
              at("part.safetensors"))
    done = train("refused", "--init", at("part.safetensors"), *still, good=False)
    case("weights that lack tensors are refused", done.returncode == 2 and
         re.search(r"1 missing: fc1\.bias; 1 unexpected: other; 1 of another shape: fc1\.weight", done.stderr),
         done.stderr)
    done = train("partial", "--init", at("part.safetensors"), "--init-partial", *still)
    said = [line for line in done.stdout.splitlines() if line.startswith("init ")]
    case("--init-partial says what it left out", len(said) == 3 and "partial: 1 missing: fc1.bias" in said[-1], said)
    train("bare", *still)
    found, begun = exported("partial"), exported("bare")
    case("and reads what fits, and begins the rest at random",
         all(numpy.abs(found[name] - part.get(name, begun[name])).max() < 1e-10 for name in SHAPES) and
         numpy.abs(found["conv1.weight"] - begun["conv1.weight"]).max() > 0.1)
    save_file({"other": numpy.zeros(1, numpy.float32)}, at("none.safetensors"))
    done = train("refused", "--init", at("none.safetensors"), "--init-partial", *still, good=False)
    case("--init-partial of nothing is refused", done.returncode == 2 and "1 unexpected: other" in done.stderr,
         done.stderr)


def check_resumed():
    """A run that began with weights goes on from its checkpoint, whatever became of the file."""
    begin = ("--init", at("begin.safetensors"))
    save_file(random_weights(3), at("begin.safetensors"))
    train("whole", *begin, "--epochs", 2)
    train("first", *begin, "--epochs", 1)
    shutil.copy(at("random.safetensors"), at("begin.safetensors"))
    done = train("second", *begin, "--epochs", 2, "--resume", at("first/checkpoints"))
    whole, second = exported("whole"), exported("second")
    case("resumed, it has the bits of the run that was not interrupted, and reads no weights again",
         all((whole[name] == second[name]).all() for name in SHAPES) and "\ninit " not in done.stdout, done.stdout)
    done = train("third", "--init", at("part.safetensors"), "--epochs", 2, "--resume", at("first/checkpoints"),
                 good=False)
    case("with another --init it is refused", done.returncode == 2 and "--init was" in done.stderr, done.stderr)


def main():
    run("pack", "synthetic", at("data"), "--images", 256, "--test-images", 300, "--seed", 5)
    check_answers()
    check_checkpoints()
    check_types()
    check_refusals()
    check_vit()
    check_trained()
    check_partial()
    check_resumed()
    check_torch()
    return tap.done()


try:
    failed = main()
finally:
    shutil.rmtree(work, ignore_errors=True)
sys.exit(failed)
