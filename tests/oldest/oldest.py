#!/usr/bin/env python3
"""The host code of cuda/ against the oldest CUDA, cuDNN and NCCL that the README promises: it compiles
against their headers, and what it calls is in their libraries' symbol tables. What the program's own
build calls (against the headers that are installed here) is in them too, or is looked up at run time: the
loader would refuse the program else.

usage: oldest.py SOURCE-ROOT OBJECT-OR-ARCHIVE,... NAME.c ...   (names in cuda/; objects: of the build, or none)

The packages come from PyPI, by pip; their headers and lists of symbols are kept (5 MB) in the folder that
tests/run.sh keeps such things in. Without a network, the first time, it is skipped.
"""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import Tap  # noqa: E402

# CUDA 12.2, cuDNN 9.8, NCCL 2.18; nvcc (crt/host_defines.h) and nvtx for their headers alone.
PACKAGES = {
    "nvidia-cuda-nvcc-cu12": ("12.2.*", []),
    "nvidia-cuda-runtime-cu12": ("12.2.*", ["libcudart.so.12"]),
    "nvidia-cublas-cu12": ("12.2.*", ["libcublasLt.so.12"]),
    "nvidia-nvtx-cu12": ("12.2.*", []),
    "nvidia-cudnn-cu12": ("9.8.0.*", ["libcudnn.so.9"]),
    "nvidia-nccl-cu12": ("2.18.3", ["libnccl.so.2"]),
}
# Libraries that keep their name from the oldest version to this build's: what is built here may be loaded
# with the oldest. CUDA's own have the major version in their name.
SAME_NAME = ("cudnn", "nccl")
OURS = re.compile(r"^(cuda[A-Z]|cublasLt|cudnn[A-Z]|nccl[A-Z]|pnccl)")

# Debian's own Python has no pip; tests/run.sh names one that has.
pip_python = os.environ.get("LOCKSTEP_PYTHON") or sys.executable
root, built, *sources = sys.argv[1:]
tap = Tap()




def skip(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(0)


def defined(library):
    found = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    return [line.split()[-1].split("@")[0] for line in found.splitlines() if line]


def undefined(objects):
    found = subprocess.run(["nm", "-u", *objects], capture_output=True, text=True, check=True).stdout
    names = {line.split()[-1].split("@")[0] for line in found.splitlines() if line.startswith(" ") or line.startswith("U")}
    return sorted(name for name in names if OURS.match(name))


def unpack(wheel, libraries, folder):
    """Headers, and a list of symbols a library: nothing of the libraries is kept."""
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as large:
        symbols = []
        for name in archive.namelist():
            if "/include/" in name:
                archive.extract(name, folder)
            elif os.path.basename(name) in libraries:
                symbols += defined(archive.extract(name, large))
    with open(os.path.join(folder, "symbols"), "w") as out:
        out.write("\n".join(symbols))


def fetch(cache, package, version, libraries):
    folder = os.path.join(cache, f"{package}-{version.rstrip('.*')}")
    if os.path.isfile(os.path.join(folder, "symbols")):
        return folder
    with tempfile.TemporaryDirectory(dir=cache) as work:
        pip = subprocess.run([pip_python, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
                              "--dest", work, f"{package}=={version}"], capture_output=True, text=True, timeout=240)
        wheels = [name for name in os.listdir(work) if name.endswith(".whl")]
        if pip.returncode or not wheels:
            raise OSError(f"{package} {version}, by pip: " + (pip.stderr.strip().splitlines() or ["no answer"])[-1])
        made = os.path.join(work, "made")
        os.mkdir(made)
        unpack(os.path.join(work, wheels[0]), libraries, made)
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(made, folder)
    return folder


def include_folders(folders):
    for folder in folders:
        for at, names, _ in os.walk(folder):
            if os.path.basename(at) == "include":
                yield at
                names.clear()


def compile_one(name, includes, mpi, to):
    command = ["cc", "-c", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-I", os.path.join(root, "src"),
               "-I", root, *mpi]
    for folder in includes:
        command += ["-isystem", folder]
    done = subprocess.run([*command, os.path.join(root, "cuda", name), "-o", to], capture_output=True, text=True)
    return name, done.returncode, done.stderr


def main():
    if not shutil.which("nm") or not shutil.which("cc"):
        skip("nm or cc is not installed")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.environ.get("HOME") or "/tmp", ".cache")
    cache = os.path.join(os.environ.get("LOCKSTEP_PEERS") or os.path.join(home, "lockstep-peers"), "oldest-cuda")
    try:
        os.makedirs(cache, exist_ok=True)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            folders = list(pool.map(lambda each: fetch(cache, each[0], *each[1]), PACKAGES.items()))
    except (OSError, subprocess.SubprocessError, zipfile.BadZipFile) as error:
        skip(f"the oldest CUDA, cuDNN and NCCL cannot be fetched: {error}")
    includes = list(include_folders(folders))
    # PyPI's packages of 12.2 lack nv/target, which has no ending: a toolkit's serves.
    probe = subprocess.run(["cc", "-E", *(word for folder in includes for word in ("-isystem", folder)), "-x", "c", "-"],
                           input="#include <cublasLt.h>\n", capture_output=True, text=True)
    if "nv/target" in probe.stderr:
        skip("CUDA's headers are not installed (nv/target, which PyPI's packages of 12.2 lack)")
    with tempfile.TemporaryDirectory() as work, concurrent.futures.ThreadPoolExecutor(2) as pool:
        objects = [os.path.join(work, os.path.basename(name) + ".o") for name in sources]
        mpi = subprocess.run(["pkg-config", "--cflags", "ompi-c"], capture_output=True, text=True).stdout.split()
        results = pool.map(compile_one, sources, [includes] * len(sources), [mpi] * len(sources), objects)
        for name, status, text in results:
            tap.check(f"{name} compiles against CUDA 12.2, cuDNN 9.8 and NCCL 2.18", status == 0, text)
        called = undefined([each for each in objects if os.path.exists(each)])
    there = set()
    for folder in folders:
        with open(os.path.join(folder, "symbols")) as file:
            there.update(file.read().split())
    tap.check(f"the oldest libraries have the {len(called)} functions that are called", called and there.issuperset(called),
          " ".join(name for name in called if name not in there))
    objects = [each for each in built.split(",") if os.path.exists(each)]
    if objects:
        ours = undefined(objects)
        lacking = [name for name in ours if name not in there]
        for name in lacking:
            print(f"# not in the oldest: {name}")
        tap.check(f"of this build's {len(ours)} functions, those of cuDNN and NCCL are in their oldest libraries",
              ours and not [name for name in lacking if name.startswith(SAME_NAME)], " ".join(lacking))
    return tap.done()


sys.exit(main())
