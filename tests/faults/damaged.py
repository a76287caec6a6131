#!/usr/bin/env python3
"""Checkpoints that are damaged, foreign, of a newer version or hostile: each is found by `checkpoint verify` and by
a run that would go on from it, with one line, without a crash, and in bounded memory.

usage: damaged.py LOCKSTEP DAMAGE [--all]

DAMAGE: damage.c, built: it flips bits, some of them, or (--all) each of manifest and headers and 10,000 of elements.
What hostile files are made of needs h5py (LOCKSTEP_PYTHON)."""
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile

import faults

try:
    import h5py
    import numpy
except ImportError:
    h5py = None

lockstep, damage = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
EVERY = "--all" in sys.argv
faults.kit.need_mpirun()
tap = faults.kit.Tap()
scratch = tempfile.mkdtemp(prefix="lockstep-damaged-")
data = faults.kit.pack(lockstep, os.path.join(scratch, "data"), 64, "--test-images", "32", "--size", "8", "--shards", "1")
# Of an address space in which a sound one is read with room to spare; what a hostile one asks for is more.
MOST_BYTES = 2 << 30


def at(*names):
    return os.path.join(scratch, *names)


def train(folder, epochs, ranks=1, **how):
    return faults.finish(faults.start(faults.command(lockstep, data, folder, ranks, "--checkpoint-every", "epoch",
                                                     "--keep", "9", epochs=epochs), **how), faults.PATIENCE)


def must(folder, epochs, ranks):
    code, out, error = train(folder, epochs, ranks)
    if code:
        raise SystemExit(f"Bail out! {folder}: {code}\n{out[-500:]}\n{error}")
    return faults.result(folder)[1]


whole = must(at("whole"), 3, 1)
must(at("two"), 2, 2)  # two checkpoints of two parts each
must(at("other"), 2, 2)
NEW, OLD = "step-0000000004", "step-0000000002"

# ---- bits
shutil.copytree(at("two", "checkpoints", NEW), at("bits"))
done = subprocess.run([damage, at("bits"), *(("0", "10000") if EVERY else ("97", "100")), "1"], capture_output=True, text=True)
print("".join("# " + line + "\n" for line in done.stdout.splitlines() if not line.startswith("1..")), end="")
tap.check("flipped bits are found by what verify and a run that goes on call", done.returncode == 0, done.stdout + done.stderr)


# ---- files
def bounded():
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))


def verify(folder):
    return subprocess.run([lockstep, "checkpoint", "verify", folder], capture_output=True, text=True,
                          preexec_fn=bounded, timeout=faults.PATIENCE)


def run_on(folder):
    """On from what there is, to the end of the third epoch."""
    return train(folder, 3)


def reseal(folder):
    """Digests made anew, as somebody who means harm would: of the parts in the manifest, and of the manifest."""
    manifest = os.path.join(folder, "manifest.h5")
    if h5py:
        digests, sizes = [], []
        for name in sorted(each for each in os.listdir(folder) if each.startswith("part-")):
            with open(os.path.join(folder, name), "rb") as part:
                content = part.read()
            digests.append(hashlib.sha256(content).hexdigest())
            sizes.append(len(content))
        with h5py.File(manifest, "r+") as file:
            file["parts/sha256"][()] = numpy.bytes_("".join(each + "\n" for each in digests))
            file["parts/bytes"][...] = sizes
    with open(manifest, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    with open(os.path.join(folder, "manifest.sha256"), "w", encoding="ascii") as file:
        file.write(f"{digest}  manifest.h5\n")


def check(title, change, sealed=False):
    """The newest is changed: verify refuses it with a line, and a run goes on from the one before it."""
    name = title.replace(" ", "-").replace("/", "-")
    shutil.copytree(at("two"), at(name))
    folder = at(name, "checkpoints", NEW)
    change(folder)
    if sealed:
        reseal(folder)
    try:
        done = verify(folder)
    except subprocess.TimeoutExpired:
        tap.check(f"{title}: verify", False, "it hangs")
        return
    lines = done.stderr.splitlines()
    tap.check(f"{title}: verify", done.returncode == 2 and len(lines) == 1 and lines[0].startswith("lockstep: ") and
              NEW in lines[0], f"{done.returncode}: {done.stdout} {done.stderr}")
    print("#", lines[0][lines[0].rfind("/" + NEW):] if lines else "nothing")
    code, out, error = run_on(at(name))
    tap.check(f"{title}: a run passes over it", code == 0 and "passed over" in out and faults.result(at(name))[1] == whole,
              f"{code}: {out[-300:]} {error}")
    shutil.rmtree(at(name))


def swap(folder):
    os.rename(os.path.join(folder, "part-00000.h5"), os.path.join(folder, "x"))
    os.rename(os.path.join(folder, "part-00001.h5"), os.path.join(folder, "part-00000.h5"))
    os.rename(os.path.join(folder, "x"), os.path.join(folder, "part-00001.h5"))


def foreign(folder):
    shutil.copy(at("other", "checkpoints", NEW, "part-00000.h5"), folder)


def flip_part(folder):
    with open(os.path.join(folder, "part-00001.h5"), "r+b") as file:
        file.seek(200000)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 4]))


check("swapped parts", swap)
check("a part of another run", foreign)
check("a flipped bit", flip_part)


# ---- hostile files
def part(change):
    def make(folder):
        with h5py.File(os.path.join(folder, "part-00000.h5"), "r+") as file:
            kept = dict(file["parameters"].attrs)
            change(file, folder)
            if "parameters" in file and file.get("parameters", getlink=True).__class__ is h5py.HardLink:
                for name, value in kept.items():
                    file["parameters"].attrs[name] = value
    return make


def manifest(change):
    def make(folder):
        with h5py.File(os.path.join(folder, "manifest.h5"), "r+") as file:
            change(file, folder)
    return make


def made_with(file, name, extent, type_, **how):
    """A data set in place of the one that is there, by HDF5's own calls."""
    if name in file:
        del file[name]
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    if "external" in how:
        creation.set_external(how["external"], 0, h5py.h5f.UNLIMITED)
    if "chunk" in how:
        creation.set_chunk(how["chunk"])
    if "filter" in how:
        creation.set_filter(how["filter"], h5py.h5z.FLAG_OPTIONAL, ())
    if how.get("late"):
        creation.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
    h5py.h5d.create(file.id, name.encode(), type_, h5py.h5s.create_simple(extent), creation)


def link_to(name, target):
    def change(file, folder):
        del file[name]
        file[name] = target
    return change


def pipe(name, type_):
    def change(file, folder):
        count = file[name].shape[0]
        path = os.path.join(folder, "pipe")
        os.mkfifo(path)
        made_with(file, name, (count,), type_, external=path.encode())
    return change


def elsewhere(file, folder):
    made_with(file, "parameters", file["parameters"].shape, h5py.h5t.IEEE_F32LE, external=b"/dev/zero")


def virtual(file, folder):
    count = file["parameters"].shape[0]
    layout = h5py.VirtualLayout(shape=(count,), dtype="<f4")
    layout[:] = h5py.VirtualSource(at("two", "checkpoints", OLD, "part-00000.h5"), "parameters", shape=(count,))
    del file["parameters"]
    file.create_virtual_dataset("parameters", layout)


def compound(file, folder):
    count = file["parameters"].shape[0]
    del file["parameters"]
    file.create_dataset("parameters", data=numpy.zeros(count, [("x", "<f4"), ("y", "<i4")]))


def texts(file, folder):
    del file["state/options"]
    file["state/options"] = "of no fixed length"


def unwritten(file, folder):
    for number in range(3):
        made_with(file, f"state/late{number}", (1 << 28,), h5py.h5t.IEEE_F64LE, late=True)


F32 = h5py.h5t.IEEE_F32LE if h5py else None
HOSTILE = {
    "part, an external link": part(link_to("parameters", h5py.ExternalLink("/etc/passwd", "/x"))),
    "part, a soft link in a loop": part(link_to("parameters", h5py.SoftLink("/parameters"))),
    "part, values in a device": part(elsewhere),
    "part, values in a pipe": part(pipe("parameters", F32)),
    "part, a virtual data set": part(virtual),
    "part, huge dimensions": part(lambda f, d: made_with(f, "parameters", (1 << 45,), F32, late=True)),
    "part, an unknown filter": part(lambda f, d: made_with(f, "parameters", f["parameters"].shape, F32, chunk=(1 << 16,), filter=32100)),
    "part, a compound type": part(compound),
    "part, float64": part(lambda f, d: made_with(f, "parameters", f["parameters"].shape, h5py.h5t.IEEE_F64LE)),
    "part, a newer version": part(lambda f, d: f.attrs.__setitem__("format_version", 2)),
    "manifest, an external link": manifest(link_to("state/options", h5py.ExternalLink("/etc/passwd", "/x"))),
    "manifest, a group in a loop": manifest(link_to("state", h5py.SoftLink("/state"))),
    "manifest, a group that is a link": manifest(lambda f, d: (f.move("run", "other"), f.__setitem__("run", h5py.SoftLink("/other")))),
    "manifest, a text of no fixed length": manifest(texts),
    "manifest, values nobody wrote": manifest(unwritten),
    "manifest, values in a pipe": manifest(pipe("arrays/lengths", h5py.h5t.STD_I64LE)),
    "manifest, a newer version": manifest(lambda f, d: f.attrs.__setitem__("format_version", 2)),
} if h5py else {}
for title, change in HOSTILE.items():
    check(title, change, sealed=True)
if not h5py:
    tap.skip("hostile files", "no h5py")
shutil.rmtree(scratch)
sys.exit(tap.done())
