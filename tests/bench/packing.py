#!/usr/bin/env python3
"""`lockstep pack images --encoded --check header` over `cp -r` of the same folder, in the page cache, in turn.

usage: packing.py LOCKSTEP IMAGES [ROUNDS] [COUNT]     IMAGES: a tar archive or folder of JPEGs; COUNT of them: 2640

The ratio is cp's time over pack's, of each round. Without fsync's cost (pack puts every shard on the disk, cp does
not) only in memory: TMPDIR=/dev/shm. CPU seconds stand beside it, for a machine that is not idle.
"""
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import runs

lockstep, source = sys.argv[1:3]
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 7
count = int(sys.argv[4]) if len(sys.argv) > 4 else 2640


def timed(*command):
    """Seconds by the clock and of CPUs."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


with tempfile.TemporaryDirectory() as work:
    tree = f"{work}/files"  # each image a file of its own, not a link
    subprocess.run(["cp", "-r", runs.photographs(source, work, count), tree], check=True)
    found = []
    for _ in range(rounds + 1):
        copy = timed("cp", "-r", tree, f"{work}/copy")
        pack = timed(lockstep, "pack", "images", tree, f"{work}/packed", "--encoded", "--check", "header")
        subprocess.run(["rm", "-rf", f"{work}/copy", f"{work}/packed"], check=True)
        found.append((copy, pack))
    found = found[1:]  # the first warms
    megabytes = sum(os.path.getsize(os.path.join(top, name)) for top, _, names in os.walk(tree) for name in names) / 1e6

ratios = [copy[0] / pack[0] for copy, pack in found]
copied, packed = ([statistics.median(each[which][kind] for each in found) for kind in (0, 1)] for which in (0, 1))
print(f"{count} files, {megabytes:.0f} MB: cp {copied[0]:.2f} s ({copied[1]:.2f} s of CPU), pack {packed[0]:.2f} s "
      f"({packed[1]:.2f} s of CPU)")
print(f"{rounds} rounds, pack's rate over cp's: {runs.spread(ratios)}")
print(runs.verdict(statistics.median(ratios), 0.5))
