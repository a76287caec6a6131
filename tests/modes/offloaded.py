#!/usr/bin/env python3
"""gemini's purpose, by hand: vit-l16 (304 M parameters, 4.9 GB of states) trains with 1 GB for all that is held, the
rest in a file, and comes to the bits of ddp; the process stays as small as its plan says. Prints both runs' figures.

usage: offloaded.py LOCKSTEP [RANKS [DISK]]  (ddp on RANKS ranks needs 6 GB each; DISK: a folder with 5 GB)
"""
import csv
import os
import sys
import tempfile

import kit

kit.ENVIRONMENT.pop("MALLOC_PERTURB_", None)
kit.ENVIRONMENT["OMP_WAIT_POLICY"] = "passive"
lockstep = os.path.abspath(sys.argv[1])
ranks = int(sys.argv[2]) if len(sys.argv) > 2 else 1
BOUND = 1000
kit.need_mpirun()
tap = kit.Tap()


def run(work, data, mode, *options):
    results = os.path.join(work, mode)
    losses, epochs = kit.train(lockstep, data, results, ranks, "--mode", mode, "--model", "vit-l16", "--global-batch", "4",
                               *options, epochs=1, limit=3600)
    with open(os.path.join(results, "summary.csv"), newline="") as file:
        row = next(csv.DictReader(file))
    figures = {name: float(row[name]) for name in ("memory_measured_bytes", "memory_planned_bytes", "offloaded_bytes",
                                                   "offload_moved_bytes", "exposed_offload_seconds") if row.get(name)}
    print(f"# {mode} on {ranks}: losses {losses}; {figures}; training {row.get('training_seconds')} s", flush=True)
    return row, (losses, row["parameters_hash"], epochs[-1]["test_loss"])


with tempfile.TemporaryDirectory(prefix="lockstep-offloaded-", dir=sys.argv[3] if len(sys.argv) > 3 else None) as work:
    data = kit.pack(lockstep, os.path.join(work, "data"), 16, "--size", "32", "--test-images", "4")
    away, its = run(work, data, "gemini", "--device-memory", str(BOUND), "--offload-dir", work)
    here, others = run(work, data, "ddp", "--factor-comm", "off")
    tap.check("the losses and parameters have ddp's bits", its == others, (its, others))
    tap.check("most of the states are in the file", float(away["offloaded_bytes"]) * ranks > 3e9, away["offloaded_bytes"])
    # The plan: what --device-memory bounds, activations in it, and what is beside: program, loader.
    bound = BOUND * 1e6 + sum(float(away[f"memory_{kind}_bytes"]) for kind in ("program", "loader"))
    measured = float(away["memory_measured_bytes"])
    tap.check("resident memory is within 10% of the bound", measured <= bound + 0.1 * BOUND * 1e6, (measured, bound))
    tap.check("ddp needs several times as much", float(here["memory_measured_bytes"]) > 4 * measured, here["memory_measured_bytes"])
sys.exit(tap.done())
