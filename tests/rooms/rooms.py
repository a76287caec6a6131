#!/usr/bin/env python3
"""Who may call whom. Reads what every file of src/ and cuda/ includes, and the table "Rooms" of
src/README.md, and fails on
 - a folder that has no row, or a row without a folder;
 - an include that its room's row does not allow, and an arrow of the table that nobody uses;
 - a circle of rooms;
 - a circle of files: each calls, or names, what the next one defines (by the objects' symbols).

A row: | `room` | what it is for | `room`, `room` | with names as in #include, or `nothing`. All rooms
may call `base`, and nobody calls `src`, where main.c is.

usage: rooms.py SOURCE-ROOT BUILD-ROOT"""
import glob
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import Tap  # noqa: E402

tap = Tap()


def case(name, problems):
    tap.check(name, not problems, "\n".join(sorted(problems)))


def sources(root):
    for top in ("src", "cuda"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in names:
                if name.endswith((".c", ".h", ".cu", ".cuh")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def included(root, files):
    """file -> the project's files that it includes."""
    out = {}
    for file in files:
        with open(os.path.join(root, file), encoding="utf-8") as text:
            names = re.findall(r'^\s*#\s*include "([^"]+)"', text.read(), re.M)
        out[file] = []
        for name in names:
            tries = (os.path.join(os.path.dirname(file), name), os.path.join("src", name), name)
            out[file] += [path for path in map(os.path.normpath, tries) if path in files][:1]
    return out


def room_of(file):
    folder = os.path.dirname(file)
    return folder[len("src/"):] if folder.startswith("src/") else folder


def table(root):
    """room -> the rooms that its row allows."""
    with open(os.path.join(root, "src", "README.md"), encoding="utf-8") as text:
        section = text.read().split("\n## Rooms\n", 1)[1].split("\n## ", 1)[0]
    rows = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 3 and cells[0].startswith("`"):
            rows[cells[0].strip("`")] = set(re.findall(r"`([^`]+)`", cells[2])) - {"nothing"}
    return rows


def object_name(path):
    """libcomm/mpi_mpi.c.o"""
    return os.path.basename(os.path.dirname(path)).removesuffix(".a.p") + "/" + os.path.basename(path)


def called(build):
    """object -> the objects that define what it leaves undefined; of the program's own libraries."""
    defined, wanted = {}, {}
    paths = glob.glob(os.path.join(build, "src", "**", "*.a.p", "*.o"), recursive=True)
    if not paths:
        return {}
    symbols = subprocess.run(["nm", "-A", *paths], capture_output=True, text=True, check=True).stdout
    for path in paths:
        wanted[object_name(path)] = set()
    for line in symbols.splitlines():
        path, symbol = line.split(":", 1)
        kind, name = symbol.split()[-2:]
        if kind == "U":
            wanted[object_name(path)].add(name)
        elif kind in "TDBRVW":
            defined[name] = object_name(path)
    return {file: {defined[name] for name in names if name in defined} - {file}
            for file, names in wanted.items()}


def circles(nodes, following):
    """Tarjan's strongly connected components of more than one node."""
    number, low, stack, found = {}, {}, [], []

    def visit(node):
        number[node] = low[node] = len(number)
        stack.append(node)
        for other in sorted(following(node)):
            if other not in number:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], number[other])
        if low[node] == number[node]:
            part = []
            while not part or part[-1] != node:
                part.append(stack.pop())
            if len(part) > 1:
                found.append(", ".join(sorted(part)))

    for node in sorted(nodes):
        if node not in number:
            visit(node)
    return found


def main():
    root, build = sys.argv[1:]
    files = set(sources(root))
    includes = included(root, files)
    rooms = {room_of(file) for file in files}
    rows = table(root)
    arrows = {}
    for file, others in includes.items():
        for other in others:
            if room_of(other) != room_of(file):
                arrows.setdefault((room_of(file), room_of(other)), f"{file} includes {other}")

    # The table must say something, or nothing is tested.
    case("the table has rows", [] if len(rows) > 10 else [f"{len(rows)} rows"])
    case("every folder has a row", [f"no row for `{room}`" for room in rooms - set(rows) - {"src"}])
    case("every row has a folder", [f"no folder for `{room}`" for room in set(rows) - rooms])
    case("every include is allowed",
         [f"`{a}` -> `{b}`: {where}" for (a, b), where in arrows.items()
          if a in rows and b not in rows[a] and b != "base" and a != "src"] +
         [f"{where}" for (a, b), where in arrows.items() if b == "src" or a == "base"])
    case("every arrow of the table is used",
         [f"`{a}` -> `{b}`" for a in rows for b in rows[a] if (a, b) not in arrows])
    case("no circle of rooms", circles(rooms, lambda room: {b for a, b in arrows if a == room}))

    calls = called(build)
    case("the objects were read", [] if len(calls) > 100 else [f"{len(calls)} objects in {build}"])
    case("no circle of files", circles(calls, lambda file: calls[file]))
    sys.exit(tap.done())


main()
