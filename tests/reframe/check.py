#!/usr/bin/env python3
"""What others install lockstep by and check it with, as far as that can be seen without them: the ReFrame
checks (listed by ReFrame where Python can import it), Spack's recipe, the Apptainer definition.

Prints TAP. Exit code 1 where a case failed.
"""
import ast
import os
import re
import subprocess
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.normpath(os.path.join(here, "..", ".."))
sys.path.insert(0, os.path.join(here, "..", "support"))
from tap import Tap  # noqa: E402

tap = Tap()


def text_of(path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


options = dict(re.findall(r"option\('(\w+)', type : '(\w+)'", text_of("meson_options.txt")))

checks = ast.parse(text_of("tests/reframe/experiments.py"))
ast.parse(text_of("tests/reframe/settings.py"))
scripts = [node.value.value for each in checks.body if isinstance(each, ast.ClassDef) for node in each.body
           if isinstance(node, ast.Assign) and node.targets[0].id == "script"
           and isinstance(node.value, ast.Constant)]
tap.check("five ReFrame checks, a script each", len(scripts) == 5 == len(set(scripts)), scripts)

found = subprocess.run([sys.executable, "-c", "import reframe"], capture_output=True, check=False)
title = "ReFrame lists those whose scripts are here"
if found.returncode == 0:
    with tempfile.TemporaryDirectory() as folder:
        listed = subprocess.run(
            [sys.executable, "-c", "from reframe.frontend.cli import main; main()", "-C",
             f"{here}/settings.py", "-c", f"{here}/experiments.py", "-l", "--prefix", folder],
            capture_output=True, text=True, check=False, cwd=folder)
    names = sorted(re.findall(r"^- (\w+) ", listed.stdout, re.M))
    wanted = sorted(name.replace("-", "_") for name in scripts
                    if os.path.exists(f"{root}/slurm/{name}.sbatch"))
    tap.check(title, names == wanted, f"{names}, not {wanted}: {listed.stdout}{listed.stderr}")
else:
    tap.skip(title, "no reframe: pip install reframe-hpc")

recipe = text_of("slurm/spack/packages/lockstep/package.py")
tree = ast.parse(recipe)
(version,) = re.findall(r"\n  version : '([\d.]+)'", text_of("meson.build"))
tap.check("Spack's recipe is of this version", f'version("{version}", branch="main")' in recipe, version)
(features,) = re.findall(r"features = \((.*?)\)", recipe)
wanted = {name for name, kind in options.items() if kind == "feature"}
given = set(re.findall(r'"(\w+)"', features)) | set(re.findall(r"-D(\w+)=", recipe))
tap.check("it decides each feature, and no option that there is not",
          wanted <= given <= set(options), f"{sorted(wanted ^ given)}")

definition = text_of("slurm/lockstep.def")
given = set(re.findall(r"-D(\w+)=", definition))
missing = [path for path in re.findall(r"(?:sh|here:) (\w+/[\w.-]+\.sh)", definition)
           if not os.path.exists(f"{root}/{path}")]
tap.check("the Apptainer definition: options that there are, scripts that there are",
          given <= set(options) and not missing, f"{sorted(given)}, {missing}")
sections = re.findall(r"^%(\w+)", definition, re.M)
steps = dict(zip(sections, re.split(r"^%\w+\n", definition, flags=re.M)[1:]))
broken = [name for name in ("post", "test", "runscript", "environment")
          if subprocess.run(["sh", "-n"], input=steps[name], text=True, check=False).returncode]
tap.check("its sections are shell", not broken, broken)
sys.exit(tap.done())
