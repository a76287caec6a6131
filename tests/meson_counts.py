"""Reads a log of `meson test`: names each test that failed or was skipped, and each case that was
skipped in a test that ran, with its reason, on stderr; prints three numbers of tests on stdout:
passed, failed, skipped.

usage: meson_counts.py BUILD-FOLDER LOGBASE
"""
import collections
import json
import pathlib
import re
import sys

build = pathlib.Path(sys.argv[1])
passed = failed = skipped = 0
for line in (build / f"meson-logs/{sys.argv[2]}.json").read_text().splitlines():
    test = json.loads(line)
    name = f"{build}: {test['name']}"
    output = [text for text in (test.get("stdout", "") + test.get("stderr", "")).splitlines() if text.strip()]
    if test["result"] in ("OK", "EXPECTEDFAIL"):
        passed += 1
        cases = re.findall(r"^ok \d+ - .*# SKIP (.*)$", test.get("stdout", ""), re.MULTILINE)
        for reason, count in collections.Counter(cases).items():
            print(f"skipped in {name}: {count} case{'s' * (count > 1)}: {reason}", file=sys.stderr)
    elif test["result"] == "SKIP":
        skipped += 1
        print(f"skipped: {name}: {output[-1] if output else 'it gives no reason'}", file=sys.stderr)
    else:
        failed += 1
        wrong = [text for text in output if not re.match(r"ok \d", text)]
        print(f"FAIL: {name} ({test['result']})", *wrong[-40:], sep="\n    ", file=sys.stderr)
print(passed, failed, skipped)
