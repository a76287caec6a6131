#!/usr/bin/env python3
"""Registers, shared memory and spills of each kernel, from what `ptxas -v` said as it was compiled.

    table.py REPORT.ptxas ...      (kept by cuda/nvcc.sh)

TAP: one case a file and GPU; the table stands in comments. A kernel that spills, or that keeps
variables in local memory, fails its case, and so does a file without code for one of the GPUs."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import Tap  # noqa: E402

GPUS = ("sm_80", "sm_90")


def demangled(names):
    try:
        out = subprocess.run(["c++filt", "-p"], input="\n".join(names), capture_output=True,
                             text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return names
    # What a template instance returns.
    return [name[5:] if name.startswith("void ") else name for name in out]


def kernels_of(text):
    """[(gpu, mangled name, {"registers", "shared", "frame", "stores", "loads"})]"""
    found = []
    entry = re.compile(r"Compiling entry function '([^']+)' for '([^']+)'")
    numbers = {
        "frame": re.compile(r"(\d+) bytes stack frame"),
        "stores": re.compile(r"(\d+) bytes spill stores"),
        "loads": re.compile(r"(\d+) bytes spill loads"),
        "registers": re.compile(r"Used (\d+) registers"),
        "shared": re.compile(r"(\d+) bytes smem"),
    }
    for line in text.splitlines():
        match = entry.search(line)
        if match:
            found.append((match[2], match[1], {"shared": 0}))
        elif found:
            for key, pattern in numbers.items():
                match = pattern.search(line)
                if match:
                    found[-1][2][key] = int(match[1])
    return found


def faults(kernel):
    missing = [key for key in ("registers", "frame", "stores", "loads") if key not in kernel]
    if missing:
        return "ptxas says nothing of its " + ", ".join(missing)
    if kernel["stores"] or kernel["loads"]:
        return f"spills {kernel['stores']} bytes and reads {kernel['loads']} back"
    if kernel["frame"]:
        return f"has {kernel['frame']} bytes of local memory"
    return None


def main():
    tap = Tap()
    print(f"# {'registers':>9} {'shared B':>8} {'spilt B':>7} {'local B':>7}  kernel")
    for path in sys.argv[1:]:
        name = os.path.splitext(os.path.basename(path))[0] + ".cu"
        with open(path, encoding="utf-8") as report:
            kernels = kernels_of(report.read())
        for gpu in GPUS:
            mine = [(mangled, numbers) for found, mangled, numbers in kernels if found == gpu]
            found = [] if mine else ["no kernel"]
            for title, (_, k) in sorted(zip(demangled([mangled for mangled, _ in mine]), mine)):
                print(f"# {k.get('registers', '?'):>9} {k['shared']:>8} {k.get('stores', '?'):>7} "
                      f"{k.get('frame', '?'):>7}  {gpu} {title}")
                found += [f"{title} {fault}"] if (fault := faults(k)) else []
            tap.check(f"{name} for {gpu}: {len(mine)} kernels, none spills", not found, "\n".join(found))
    return tap.done() or not tap.cases


if __name__ == "__main__":
    sys.exit(main())
