#!/usr/bin/env python3
"""Every function that a shell script calls is defined: in its folder, or in a file that it sources.

usage: shell_functions.py REPOSITORY

A shell finds a name that nobody defines only where it runs it. Looked at are words with an underscore at
a command's place, where a line begins or after a word of the shell's; what stands in a here-document or in quotes of one kind over several lines is not shell.
"""
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import Tap  # noqa: E402

root = sys.argv[1]
NAME = r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+"
CALL = re.compile(r"(?:^|&&|\|\||[;|!{]|\bthen|\bdo|\belse|\bif|\bwhile|\buntil|\$\((?!\())\s*(" + NAME + r")(?=\s|$|;|\))")
DEFINED = re.compile(r"^\s*(" + NAME + r")\(\)", re.M)
SOURCED = re.compile(r"^\s*\.\s+.*?([A-Za-z0-9_.-]+\.sh)\b", re.M)


def without_documents(text):
    """The lines that are shell: no here-documents, comments, nor what stands in single quotes."""
    text = re.sub(r"'[^']*'", lambda found: "''" + "\n" * found.group(0).count("\n"), re.sub(r"(^|\s)#[^\n]*", r"\1", text))
    end = None
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if end is not None:
            if line.strip() == end:
                end = None
            continue
        if number == 1 or not lines[number - 2].endswith("\\"):
            yield number, line
        # The word's quotes were taken above, so any word in capitals ends such a document.
        begins = re.search(r"<<-?\s*[\"']*([A-Z]+)?", line)
        if begins and "<<<" not in line:
            end = begins.group(1) or "END"


scripts = sorted(os.path.relpath(os.path.join(folder, name), root) for top in ("slurm", "tests", "cuda", "data")
                 for folder, _, names in os.walk(os.path.join(root, top)) for name in names
                 if name.endswith((".sh", ".sbatch")))
texts = {script: open(os.path.join(root, script)).read() for script in scripts}
tap = Tap()
for script in scripts:
    folder = os.path.dirname(script)
    sourced = set(SOURCED.findall(texts[script]))
    known = {name for other, text in texts.items()
             if os.path.dirname(other) == folder or os.path.basename(other) in sourced for name in DEFINED.findall(text)}
    unknown = [f"line {number}: {name}" for number, line in without_documents(texts[script])
               for name in CALL.findall(line) if name not in known and not shutil.which(name)]
    tap.check(script, not unknown, "\n".join(f"{line}: nobody defines it" for line in unknown))
sys.exit(tap.done() or not scripts)
