#!/usr/bin/env python3
"""Registers, shared memory and spills of each kernel, from what `ptxas -v` said as it was compiled.

    table.py REPORT.ptxas ...      (kept by cuda/nvcc.sh)

TAP: one case a file and GPU; the table stands in comments. A kernel that spills, or that keeps
variables in local memory, fails its case, and so does a file without code for one of the GPUs."""
import os
import re
import subprocess
import sys

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
    case, failed = 0, 0
    print(f"# {'registers':>9} {'shared B':>8} {'spilt B':>7} {'local B':>7}  kernel")
    for path in sys.argv[1:]:
        name = os.path.splitext(os.path.basename(path))[0] + ".cu"
        with open(path, encoding="utf-8") as report:
            kernels = kernels_of(report.read())
        for gpu in GPUS:
            mine = [(mangled, numbers) for found, mangled, numbers in kernels if found == gpu]
            ok = bool(mine)
            for title, (_, k) in sorted(zip(demangled([mangled for mangled, _ in mine]), mine)):
                print(f"# {k.get('registers', '?'):>9} {k['shared']:>8} {k.get('stores', '?'):>7} "
                      f"{k.get('frame', '?'):>7}  {gpu} {title}")
                fault = faults(k)
                if fault:
                    ok = False
                    print(f"# {title} {fault}")
            case += 1
            failed += not ok
            print(f"{'ok' if ok else 'not ok'} {case} - {name} for {gpu}: {len(mine)} kernels, "
                  f"{'none spills' if ok else 'see above'}")
    print(f"1..{case}")
    return 1 if failed or not case else 0


if __name__ == "__main__":
    sys.exit(main())
