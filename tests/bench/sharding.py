#!/usr/bin/env python3
"""What sharding costs and saves, on the ranks of one node or of two, a core each: lockstep's sharded modes over its ddp,
and fsdp over PyTorch's fully_shard (gloo, a module a block); each mode over PyTorch's like it.

    sharding.py LOCKSTEP memory [--model vit-b16] [--ranks 4] [--batch 1]
    sharding.py LOCKSTEP speed [--model vit-s16] [--ranks 2] [--batch 8] [--rounds 5] [--steps 4]
                               [--precision fp32] [--modes ddp,fsdp] [--peer yes|no]
    sharding.py LOCKSTEP peers [--model vit-s16] [--ranks 2] [--batch 8] [--rounds 5] [--steps 4]
                               [--precision fp32] [--modes ddp,zero2,fsdp]
    sharding.py LOCKSTEP nodes [--rate 1000] [--batch 8] [the options of speed]

memory: the most that a rank had resident (VmHWM) in a run of each mode, activations and workspace taken off, with
Adam; fsdp over ddp. Bar: 0.35. Pages that the ranks of a node share count in each rank that has touched them.
speed: images/s by the epochs' clock; the modes and the peer in turns, medians of the rounds' ratios, printed as they
come. Bars over ddp: zero1 1.0, zero2 0.98, fsdp 0.95; gemini over fsdp 0.97 (--modes fsdp,gemini); fsdp over the peer:
1.12 in fp32, 1.3 in bf16.
peers: what slurm/vit-modes.sbatch trains, short: each mode and what PyTorch has in its place, in turns: ddp and
DistributedDataParallel (in bf16 under autocast), zero2 and fully_shard that keeps what it gathered, fsdp and fully_shard.
Bars: images/s 1.1 in fp32, 1.25 in bf16; peak memory 0.7.
nodes: as speed, on two nodes of the test cluster (slurm/cluster.sh: as root), a rank and a core each, a link of --rate
Mbit/s between them. Bars: the fastest of ours in fp32 over PyTorch's fsdp 1.5 at 1000; the communication that fsdp waits
for at most 10% of its step with --rate 10000 --batch 32.
The peer's memory is its process's peak. LOCKSTEP_PEER_PYTHON names a Python that can import torch and torchvision (this
one, if none is named).
"""
import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import resnet
import runs

CLASSES = resnet.CLASSES = 32  # generated images have no more than 35

PYTHON = os.environ.get("LOCKSTEP_PEER_PYTHON", sys.executable)
SIDE = 224
MEMORY_BAR, PEER_BARS, PEER_MEMORY_BAR = 0.35, {"fp32": 1.12, "bf16": 1.3}, 0.7
DDP_BARS = {"zero1": 1.0, "zero2": 0.98, "fsdp": 0.95}
MODE_BARS, MODE_MEMORY_BAR = {"fp32": 1.1, "bf16": 1.25}, 0.7
LIKE = {"ddp": "DDP", "zero2": "FSDP, kept", "fsdp": "FSDP"}  # of PyTorch's
GEMINI_BAR = 0.97  # over fsdp: it has no bound, so that all fits
NODES_BAR, EXPOSED_BAR = 1.5, 0.1
NODE_WAYS = {"ddp": ["ddp"], "ddp, bf16 gradients": ["ddp", "--grad-comm", "bf16"], "zero1": ["zero1"], "zero2": ["zero2"],
             "fsdp": ["fsdp"]}


def shard(net, precision, keeps):
    import torch
    import torch.distributed as dist
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
    low = {"mp_policy": MixedPrecisionPolicy(param_dtype=torch.bfloat16)} if precision == "bf16" else {}
    mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (dist.get_world_size(),))
    for block in net.encoder.layers:
        fully_shard(block, mesh=mesh, reshard_after_forward=not keeps, **low)
    fully_shard(net, mesh=mesh, **low)
    return net


def peer(model, batch, steps, precision, mode, meeting):
    """A rank of PyTorch's: seconds of `steps` steps after one, on rank 0's standard output, and its peak bytes. The
    ranks find each other by the file `meeting`."""
    import torch
    import torch.distributed as dist
    import torchvision
    torch.set_num_threads(1)
    rank, size = (int(os.environ.get(name) or os.environ[slurm]) for name, slurm in
                  (("RANK", "SLURM_PROCID"), ("WORLD_SIZE", "SLURM_NTASKS")))
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size)
    torch.manual_seed(1)
    net = resnet.build(torchvision, model, SIDE)
    if mode == "ddp":
        net = torch.nn.parallel.DistributedDataParallel(net, gradient_as_bucket_view=True)
    else:
        net = shard(net, precision, mode == "zero2")
    low = torch.autocast("cpu", torch.bfloat16, enabled=mode == "ddp" and precision == "bf16")
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    criterion = torch.nn.CrossEntropyLoss()
    images, labels = torch.rand(batch, 3, SIDE, SIDE) * 2 - 1, torch.arange(batch) % CLASSES
    began = 0
    for step in range(steps + 1):
        if step == 1:
            dist.barrier()
            began = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with low:
            loss = criterion(net(images).float(), labels)
        loss.backward()
        optimizer.step()
    dist.barrier()
    if dist.get_rank() == 0:
        print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    dist.destroy_process_group()


def peer_command(arguments, work, mode):
    meeting = os.path.join(work, "meeting")
    if os.path.exists(meeting):
        os.remove(meeting)
    return [PYTHON, os.path.abspath(__file__), "--peer-rank", arguments.model, str(arguments.batch), str(arguments.steps),
            arguments.precision, mode, meeting]


def peer_rate(arguments, text):
    """images/s and peak bytes, of what rank 0 printed."""
    seconds, peak = map(float, text.split())
    return arguments.ranks * arguments.batch * arguments.steps / seconds, peak


def run_peer(arguments, work, mode="fsdp"):
    """images/s and peak bytes of what PyTorch has for `mode`, on ranks of this node."""
    ranks, command = [], peer_command(arguments, work, mode)
    for rank in range(arguments.ranks):
        environment = dict(os.environ, RANK=str(rank), WORLD_SIZE=str(arguments.ranks), OMP_NUM_THREADS="1")
        ranks.append(subprocess.Popen(["taskset", "-c", str(rank % os.cpu_count()), *command], env=environment,
                                      stdout=subprocess.PIPE, text=True))
    texts = [process.communicate()[0] for process in ranks]
    if any(process.returncode for process in ranks):
        raise SystemExit("the peer failed")
    return peer_rate(arguments, texts[0])


def options_of(arguments, mode):
    return ["--model", arguments.model, "--mode", mode, "--batch-per-rank", arguments.batch, "--epochs", 1,
            "--threads", 1, "--precision", arguments.precision, "--certificate", "off", "--optimizer", "adam"]


def run_ours(arguments, work, data, mode):
    """summary.csv's row; where there are more ranks than cores they share them."""
    folder, options = os.path.join(work, mode), options_of(arguments, mode)
    if arguments.ranks <= os.cpu_count():
        return runs.train(arguments.lockstep, data, folder, *options, ranks=arguments.ranks)[0]
    shutil.rmtree(folder, ignore_errors=True)
    command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(arguments.ranks), arguments.lockstep, "train",
               "--data", data, "--device", runs.DEVICE, "--results", folder, "--oversubscribe", *map(str, options)]
    return runs.finish(command, folder, runs.ENVIRONMENT)[0]


def pack(arguments, work, steps):
    images = arguments.ranks * arguments.batch * steps
    folder = os.path.join(work, "data")
    subprocess.run([arguments.lockstep, "pack", "synthetic", folder, "--images", str(images), "--size", str(SIDE),
                    "--classes", str(CLASSES), "--test-images", str(arguments.ranks)], check=True, capture_output=True)
    return folder


def bar(name, ratio, limit, met):
    print(f"{name} {ratio:.3f}  (bar {limit}{'' if met else ': MISSED'})")
    return met


def memory(arguments, work):
    data, held = pack(arguments, work, 2), {}
    for mode in ("ddp", "fsdp"):
        row = run_ours(arguments, work, data, mode)
        number = {name: float(row[f"memory_{name}_bytes"] or 0) for name in
                  ("parameters", "gradients", "optimizer", "packed", "activations", "workspace", "communication")}
        peak = float(row["peak_memory_maximum_bytes"])
        held[mode] = peak - number["activations"] - number["workspace"]
        print(f"{mode:5} peak {peak / 1e6:8.1f} MB; planned, MB: " +
              ", ".join(f"{name} {value / 1e6:.1f}" for name, value in number.items()))
    ratio = held["fsdp"] / held["ddp"]
    return bar(f"{arguments.model}, {arguments.ranks} ranks: fsdp / ddp", ratio, MEMORY_BAR, ratio <= MEMORY_BAR)


def speed(arguments, work):
    data, rates, peaks = pack(arguments, work, arguments.steps), {}, {}
    modes = [mode for mode in ("ddp", *DDP_BARS, "gemini") if mode in arguments.modes.split(",")]

    def add(name, rate, peak):
        rates.setdefault(name, []).append(rate)
        peaks[name] = peak
        print(f"  {name:8}{rate:8.3f} images/s  peak {peak / 1e6:8.1f} MB", flush=True)

    for number in range(arguments.rounds):
        for mode in modes[number % len(modes):] + modes[:number % len(modes)]:
            row = run_ours(arguments, work, data, mode)
            add(mode, float(row["images_per_second"]), float(row["peak_memory_maximum_bytes"]))
        if arguments.peer == "yes":
            add("PyTorch", *run_peer(arguments, work))
    print(f"{arguments.model}, {arguments.ranks} ranks, batch {arguments.batch}, {arguments.precision}, medians of "
          f"{arguments.rounds}")

    met = True
    for name, over, least in [(mode, "ddp", least) for mode, least in DDP_BARS.items()] + \
            [("gemini", "fsdp", GEMINI_BAR), ("fsdp", "PyTorch", PEER_BARS[arguments.precision])]:
        if name in rates and over in rates:
            ratio = statistics.median(ours / theirs for ours, theirs in zip(rates[name], rates[over]))
            met &= bar(f"{name} / {over}:", ratio, least, ratio >= least)
    if "PyTorch" in peaks and "fsdp" in peaks:
        ratio = peaks["fsdp"] / peaks["PyTorch"]
        met &= bar("peak memory, fsdp / PyTorch:", ratio, PEER_MEMORY_BAR, ratio <= PEER_MEMORY_BAR)
    return met


def peers(arguments, work):
    data, met = pack(arguments, work, arguments.steps), True
    modes = [mode for mode in LIKE if mode in arguments.modes.split(",")]
    speeds, memory = {mode: [] for mode in modes}, {mode: [] for mode in modes}
    for number in range(arguments.rounds):
        for mode in modes[number % len(modes):] + modes[:number % len(modes)]:
            row = run_ours(arguments, work, data, mode)
            rate, peak = float(row["images_per_second"]), float(row["peak_memory_maximum_bytes"])
            their_rate, their_peak = run_peer(arguments, work, mode)
            print(f"  {mode:6}{rate:8.3f} images/s {peak / 1e6:8.1f} MB; PyTorch's {LIKE[mode]:11}{their_rate:8.3f} images/s "
                  f"{their_peak / 1e6:8.1f} MB", flush=True)
            speeds[mode].append(rate / their_rate)
            memory[mode].append(peak / their_peak)
    print(f"{arguments.model}, {arguments.ranks} ranks, batch {arguments.batch}, {arguments.precision}, medians of "
          f"{arguments.rounds}")
    for mode in modes:
        ratio, held = statistics.median(speeds[mode]), statistics.median(memory[mode])
        least = MODE_BARS[arguments.precision]
        met &= bar(f"{mode} over PyTorch's {LIKE[mode]}, images/s:", ratio, least, ratio >= least)
        met &= bar(f"{mode} over PyTorch's {LIKE[mode]}, peak memory:", held, MODE_MEMORY_BAR, held <= MODE_MEMORY_BAR)
    return met


def nodes(arguments, work):
    """Each way of ours and the peer's, in turns, a rank on each of two nodes."""
    arguments.ranks = 2
    data, rates, exposed, count = pack(arguments, work, arguments.steps), {}, {}, 0
    with runs.Cluster("--rate", arguments.rate) as cluster:
        on_nodes = ["srun", "-N", "2", "-n", "2"]
        for _ in range(arguments.rounds):
            for way, (mode, *more) in NODE_WAYS.items():
                if mode not in arguments.modes.split(","):
                    continue
                count += 1
                folder = os.path.join(work, f"run{count}")
                command = [*on_nodes, "--mpi=pmix", arguments.lockstep, "train", "--data", data, "--device", runs.DEVICE,
                           "--results", folder, *options_of(arguments, mode), *more]
                row = runs.finish(list(map(str, command)), folder, cluster.environment)[0]
                rates.setdefault(way, []).append(float(row["images_per_second"]))
                exposed.setdefault(way, []).append(float(row["exposed_communication_seconds"]) /
                                                   float(row["training_seconds"]))
                print(f"  {way:20}{rates[way][-1]:8.3f} images/s  exposed {exposed[way][-1]:6.1%}", flush=True)
            if arguments.peer == "yes":
                environment = dict(cluster.environment, OMP_NUM_THREADS="1", GLOO_SOCKET_IFNAME="eth0")
                done = subprocess.run([*on_nodes, *peer_command(arguments, work, "fsdp")], env=environment, text=True,
                                      capture_output=True)
                if done.returncode:
                    raise SystemExit(f"the peer failed\n{done.stderr}")
                rates.setdefault("PyTorch", []).append(peer_rate(arguments, done.stdout)[0])
                print(f"  {'PyTorch':20}{rates['PyTorch'][-1]:8.3f} images/s", flush=True)
    print(f"{arguments.model}, 2 nodes, {arguments.rate} Mbit/s, batch {arguments.batch}, {arguments.precision}, medians of "
          f"{arguments.rounds}")
    met = True
    ratios = {way: statistics.median(ours / theirs for ours, theirs in zip(rates[way], rates["PyTorch"]))
              for way in exposed if "PyTorch" in rates and "bf16" not in way}
    if ratios:
        best = max(ratios, key=ratios.get)
        met &= bar(f"{best} / PyTorch:", ratios[best], NODES_BAR, ratios[best] >= NODES_BAR)
    if "fsdp" in exposed:
        share = statistics.median(exposed["fsdp"])
        met &= bar("fsdp, exposed communication of a step:", share, EXPOSED_BAR, share <= EXPOSED_BAR)
    return met


WHAT = {"memory": memory, "speed": speed, "peers": peers, "nodes": nodes}


def main():
    if sys.argv[1:2] == ["--peer-rank"]:
        return peer(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5], sys.argv[6], sys.argv[7])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lockstep", type=os.path.abspath)
    parser.add_argument("what", choices=WHAT)
    parser.add_argument("--model")
    parser.add_argument("--ranks", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--precision", choices=PEER_BARS, default="fp32")
    parser.add_argument("--modes", default="ddp,zero1,zero2,fsdp")
    parser.add_argument("--peer", choices=("yes", "no"), default="yes")
    arguments = parser.parse_args()
    default = {"memory": ("vit-b16", 4, 1)}.get(arguments.what, ("vit-s16", 2, 8))
    arguments.model = arguments.model or default[0]
    arguments.ranks = arguments.ranks or default[1]
    arguments.batch = arguments.batch or default[2]
    # Nodes of the test cluster have a /tmp of their own.
    place = os.path.dirname(arguments.lockstep) if arguments.what == "nodes" else None
    with tempfile.TemporaryDirectory(dir=place) as work:
        return 0 if WHAT[arguments.what](arguments, work) else 1


if __name__ == "__main__":
    sys.exit(main())
