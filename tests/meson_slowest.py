"""Prints the ten tests that took longest in logs of `meson test`, by the clock, with their seconds.

usage: meson_slowest.py BUILD-FOLDER/LOGBASE...
"""
import json
import pathlib
import sys

found = []
for log in map(pathlib.Path, sys.argv[1:]):
    file = log.parent / "meson-logs" / f"{log.name}.json"
    for line in file.read_text().splitlines() if file.exists() else []:
        test = json.loads(line)
        found.append((test["duration"], f"{log.parent}: {test['name']}"))
for seconds, name in sorted(found, reverse=True)[:10]:
    print(f"    {seconds:6.1f} s  {name}")
