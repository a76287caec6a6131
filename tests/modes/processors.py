#!/usr/bin/env python3
"""Training as on lesser processors: under each limit of oneDNN's instruction sets the losses are those
of this processor, no plan is a library's reference, and the plan's id is another one.

usage: processors.py LOCKSTEP  (the binary)

Tolerance: the forms differ in how products are summed and whether they are fused: 1e-3 of a loss of
about 2.3 over a few steps is a hundred times what that makes.
"""
import csv
import os
import sys
import tempfile

import kit

lockstep = sys.argv[1]
tap = kit.Tap()


def run(data, results, isa):
    for name in ("DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA"):
        kit.ENVIRONMENT[name] = isa
    steps = kit.train(lockstep, data, results, 0, "--batch-per-rank", "32", epochs=1)[0]
    with open(os.path.join(results, "summary.csv"), newline="") as file:
        plan = next(csv.DictReader(file))["plan_id"]
    with open(os.path.join(results, "log.txt")) as file:
        slow = [line for line in file if "slow plan" in line]
    return steps, plan, slow


with tempfile.TemporaryDirectory() as work:
    data = kit.pack(lockstep, os.path.join(work, "data"), 160, "--test-images", "32")
    want, *_ = run(data, os.path.join(work, "all"), "DEFAULT")
    plans = set()
    for isa in ("AVX2", "SSE41"):
        steps, plan, slow = run(data, os.path.join(work, isa), isa)
        tap.check(f"{isa}: the losses of this processor's own form", kit.apart(steps, want) < 1e-3,
                  f"{steps}, {want}")
        tap.check(f"{isa}: no reference implementation", not slow, "".join(slow))
        plans.add(plan)
    tap.check("plans of other instruction sets have other ids", len(plans) == 2, plans)
sys.exit(tap.done())
