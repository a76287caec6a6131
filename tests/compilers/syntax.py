#!/usr/bin/env python3
"""Every C file of the build is read by the other compilers that are here (clang, other GCCs), with the
build's own options and warnings as errors. Seconds, for nothing is compiled: what needs the optimizer
to be seen is left to a build. And no file asks for something in one compiler's words alone. TAP: a case a
compiler, and one for these words.

usage: syntax.py BUILD-FOLDER
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import Tap  # noqa: E402

CANDIDATES = ["clang", *(f"clang-{n}" for n in range(14, 23)), *(f"gcc-{n}" for n in range(11, 17))]
# What names a file that would be written, and what is of this build alone.
DROPPED_WITH_VALUE, DROPPED = {"-o", "-MF", "-MQ"}, {"-c", "-MD", "-pipe"}
DROPPED_KINDS = re.compile("-fsanitize|-fdiagnostics|-W(?!no-)")
WARNINGS = ["-Wall", "-Wextra", "-Werror"]


def compiler_and_options(entry):
    """The words of a command, without the ccache that may stand before it."""
    words = shlex.split(entry["command"])
    return words[1:] if os.path.basename(words[0]) == "ccache" else words


def commands(build):
    """(folder, options, file) of each C file, once for each set of options that differ in more than
    where headers are."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        words = iter(compiler_and_options(entry)[1:])
        options = []
        for word in words:
            if word in DROPPED_WITH_VALUE:
                next(words)
            elif word not in DROPPED and word != entry["file"] and not DROPPED_KINDS.match(word):
                options.append(word)
        if entry["file"].endswith(".c"):
            key = (entry["file"], *sorted(o for o in options if not o.startswith("-I")))
            found[key] = (entry["directory"], options, entry["file"])
    return list(found.values())


def own_compiler(build):
    return compiler_and_options(json.loads((build / "compile_commands.json").read_text())[0])[0]


def version(compiler):
    return subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout.split("\n")[0]


def refuses(compiler, job):
    folder, options, file = job
    extra = ["-Wno-unused-command-line-argument"] if "clang" in compiler else []
    run = subprocess.run([compiler, "-fsyntax-only", *WARNINGS, *options, *extra, file],
                         cwd=folder, capture_output=True, text=True, check=False)
    return run.stderr if run.returncode else ""


def of_one_compiler(source):
    """Pragmas of GCC or clang outside of the macros that have both: the other one passes over them in silence."""
    return [f"{file.relative_to(source)}:{number}: {line.strip()}"
            for folder in ("src", "cuda", "tests") for file in sorted((source / folder).rglob("*.[ch]"))
            for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1)
            if re.match(r"\s*#\s*pragma\s+(GCC|clang)\b", line)]


def main():
    build = pathlib.Path(sys.argv[1])
    jobs = commands(build)
    compilers = {"cc": os.path.realpath(shutil.which(own_compiler(build)) or "")}  # one name for each program
    for name in CANDIDATES:
        path = shutil.which(name)
        if path and os.path.realpath(path) not in compilers.values():
            compilers[name] = os.path.realpath(path)
    del compilers["cc"]
    tap = Tap()
    found = of_one_compiler(pathlib.Path(__file__).resolve().parents[2])
    tap.check("pragmas of one compiler stand in macros that have the other's too", not found, "\n".join(found))
    if not compilers:
        tap.skip("other compilers", "neither clang nor a second GCC is installed")
    for name in compilers:
        probe = subprocess.run([name, "-fopenmp", "-fsyntax-only", "-x", "c", "-"], input="#include <omp.h>\n",
                               capture_output=True, text=True, check=False)
        if probe.returncode:
            tap.skip(name, "it has no OpenMP (libomp-dev)")
            continue
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            wrong = [text for text in pool.map(lambda job: refuses(name, job), jobs) if text]
        tap.check(f"{version(name)}: {len(jobs)} files, {len(wrong)} refused", not wrong,
                  "\n".join(line for text in wrong[:10] for line in text.split("\n")[:6]))
    return tap.done()


sys.exit(main())
