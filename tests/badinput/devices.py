#!/usr/bin/env python3
"""Devices that cannot be used: no CUDA in the build, no driver, an old one, an old GPU, too few GPUs,
too little memory. One line, exit code 3 (2 where a smaller batch would do).

usage: devices.py LOCKSTEP [PART-OF-A-CASE'S-NAME]

LOCKSTEP_WITH_CUDA=yes|no says what the binary was built with; LOCKSTEP_EMULATED names the binary
whose GPUs are emulated (tests/emulated): without it, its cases are skipped.
"""
import os

from kit import Skip, Suite

suite = Suite()
data = suite.pack("data", 200, 40)
train = suite.train
with_cuda = os.environ.get("LOCKSTEP_WITH_CUDA", "yes") == "yes"
emulated = os.environ.get("LOCKSTEP_EMULATED", "")
on_cuda = train(data, "--device", "cuda")
a_gpu = os.path.exists("/dev/nvidiactl")


def skipped(name, why):
    def skip():
        raise Skip(why)
    suite.add(name, skip)


# ---- this binary, on this machine
for precision in ("tf32", "fp16"):
    suite.refused(f"a precision that the device lacks: cpu, {precision}", 3,
                  rf"--precision {precision}: .*cpu", train(data, "--precision", precision))
suite.refused("convolutions of an unknown kind", 3, r"LOCKSTEP_CONVOLUTIONS=fast: expected fastest",
              train(data), LOCKSTEP_CONVOLUTIONS="fast")
if a_gpu:
    skipped("this machine's driver", "there is a GPU")
elif with_cuda:
    suite.refused("no driver", 3, r"--device cuda: no NVIDIA driver on this host .*--gres=gpu:1.*"
                  r"--device cpu", on_cuda, ranks=(0, 2, 3))
    suite.refused("no driver, and a GPU was granted", 3, r"--device cuda: no NVIDIA driver",
                  train(data, "--device", "auto"), CUDA_VISIBLE_DEVICES="0")
else:
    suite.refused("a build without CUDA", 3, r"--device cuda: this build has no CUDA", on_cuda,
                  ranks=(0, 2, 3))
    suite.refused("a build without CUDA, and a GPU was granted", 3,
                  r"--device auto: a GPU was granted \(CUDA_VISIBLE_DEVICES=0\) but this build has "
                  r"no CUDA", train(data, "--device", "auto"), CUDA_VISIBLE_DEVICES="0")


# ---- emulated GPUs
def refused(name, code, pattern, *options, ranks=(0, 2), **environment):
    for count in ranks:
        title = "emulated: " + name + (f", {count} ranks" if count else "")
        if not emulated:
            skipped(title, "no emulated binary")
            continue

        def run(title=title, count=count):
            command = suite.command(count, *train(data, "--device", "cuda", *options),
                                    binary=os.path.abspath(emulated))
            suite.check(suite.start(title, command, **environment), code, pattern)
        suite.add(title, run)


refused("no driver", 3, r"--device cuda: no NVIDIA driver", LOCKSTEP_EMULATED_DRIVER="0")
refused("a driver too old for the runtime", 3,
        r"driver on this host is too old: found CUDA 11\.8, .*built with CUDA 1[2-9]\.\d+, which "
        r"needs driver \d+\.\d+", LOCKSTEP_EMULATED_DRIVER="11080")
refused("no GPU", 3, r"--device cuda: the driver finds no GPU", LOCKSTEP_EMULATED_GPUS="0")
refused("all GPUs hidden", 3, r"CUDA_VISIBLE_DEVICES='' leaves no GPU", CUDA_VISIBLE_DEVICES="")
refused("a GPU that is not there", 3, r"CUDA_VISIBLE_DEVICES='5' leaves no GPU",
        CUDA_VISIBLE_DEVICES="5")
refused("an old GPU", 3, r"has compute capability 7\.5, .*needs 8\.0",
        LOCKSTEP_EMULATED_CAPABILITY="75", LOCKSTEP_EMULATED_GPUS="2")
refused("more ranks than GPUs", 3,
        r"2 ranks on this node but 1 GPU: .*--gres=gpu:2.*--ntasks-per-node=1.*--share-gpu",
        ranks=(2,))
refused("more ranks than GPUs", 3, r"3 ranks on this node but 2 GPUs: .*--ntasks-per-node=2",
        ranks=(3,), LOCKSTEP_EMULATED_GPUS="2")
refused("a job's one GPU for two ranks", 3, r"2 ranks on this node but 1 GPU: .*--share-gpu",
        ranks=(2,), CUDA_VISIBLE_DEVICES="0", SLURM_JOB_ID="7")
refused("ranks bound to the same GPU", 3, r"ranks 0 and 1 on host .* the same GPU .*--share-gpu",
        ranks=(2,), CUDA_VISIBLE_DEVICES="0", SLURM_JOB_ID="7", SLURM_GPU_BIND="map_gpu:0")
refused("out of device memory", 2,
        r"out of device memory on .*: [0-9.]+ MiB asked for .*, [0-9.]+ MiB free of 16\.0 MiB",
        LOCKSTEP_EMULATED_MEMORY_MIB="16", LOCKSTEP_EMULATED_GPUS="2")
suite.finish()
