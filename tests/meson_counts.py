"""Reads the log of `meson test` in the build folder given: names each test that failed or was
skipped (with its reason, its last line of output) on stderr, and prints three numbers on stdout:
passed, failed, skipped."""
import json
import pathlib
import sys

build = pathlib.Path(sys.argv[1])
passed = failed = skipped = 0
for line in (build / "meson-logs/testlog.json").read_text().splitlines():
    test = json.loads(line)
    name = f"{build}: {test['name']}"
    output = [text for text in (test.get("stdout", "") + test.get("stderr", "")).splitlines() if text.strip()]
    if test["result"] in ("OK", "EXPECTEDFAIL"):
        passed += 1
    elif test["result"] == "SKIP":
        skipped += 1
        print(f"skipped: {name}: {output[-1] if output else 'it gives no reason'}", file=sys.stderr)
    else:
        failed += 1
        print(f"FAIL: {name} ({test['result']})", *output[-30:], sep="\n    ", file=sys.stderr)
print(passed, failed, skipped)
