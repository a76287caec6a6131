#!/usr/bin/env python3
"""`lockstep report --html` in a browser without a head: what an accessibility checker says of the page,
light and dark; that it says nothing on the console, asks for nothing, and prints.

usage: browser.py LOCKSTEP

A browser is Chromium or Chrome on the PATH. The checker is axe-core: the file that LOCKSTEP_AXE names, or
the one inside the Python package axe-playwright-python; without it those cases are skipped.
Prints TAP. Exit code 1 where a case failed; without a browser the plan says skipped, and why.
"""
import glob
import html
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
browser = next((path for path in map(shutil.which, NAMES) if path), None)
if not browser:
    print(f"1..0 # SKIP no browser ({', '.join(NAMES)}) on the PATH")
    sys.exit(0)

lockstep = os.path.abspath(sys.argv[1])
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import Tap  # noqa: E402

tap = Tap()
work = tempfile.mkdtemp(prefix="lockstep-browser-")


def axe_source():
    found = importlib.util.find_spec("axe_playwright_python")
    paths = [os.environ.get("LOCKSTEP_AXE", "")]
    if found:
        for folder in found.submodule_search_locations:
            paths += glob.glob(f"{folder}/**/axe.min.js", recursive=True)
    for path in paths:
        if path and os.path.isfile(path):
            with open(path, encoding="utf-8") as file:
                return file.read()
    return None


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)


def look(page, *options):
    """The browser over a page: its end and what it wrote; what the page said on the console."""
    done = run(browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
               "--disable-background-networking", "--disable-component-update", "--no-first-run",
               "--disable-sync", "--disable-default-apps", "--host-resolver-rules=MAP * ~NOTFOUND",
               f"--user-data-dir={work}/profile", "--enable-logging=stderr", "--v=0", *options, f"file://{page}")
    said = re.findall(r"CONSOLE[^\]]*\] (.*)", done.stderr)
    return done, said


def make_page():
    for words in (["pack", "synthetic", "data", "--images", "64", "--test-images", "32", "--size", "8"],
                  *(["train", "--data", "data", "--device", "cpu", "--threads", "1", "--epochs", "2",
                     "--seed", seed, "--results", f"run{seed}"] for seed in "12"),
                  ["report", "run1", "run2", "--html", "page.html", "--target-accuracy", "0.01"]):
        done = run(lockstep, *words)
        if done.returncode:
            print(f"Bail out! {words[0]}: {done.stderr}")
            sys.exit(1)
    return os.path.join(work, "page.html")


def violations(page, axe, *options):
    """A copy of the page, with the checker in it, says in its own text what the checker found."""
    with open(page, encoding="utf-8") as file:
        text = file.read()
    checked = os.path.join(work, "checked.html")
    script = ("axe.run({resultTypes: ['violations']}).then(found => { document.body.innerHTML = ''; "
              "let out = document.createElement('pre'); out.id = 'found'; out.textContent = "
              "JSON.stringify(found.violations.map(each => [each.id, each.help, "
              "each.nodes.slice(0, 3).map(node => node.html.slice(0, 160))])); "
              "document.body.append(out) })")
    with open(checked, "w", encoding="utf-8") as file:
        file.write(text.replace("</body>", f"<script>{axe}</script><script>{script}</script></body>"))
    done, _ = look(checked, "--virtual-time-budget=60000", "--dump-dom", *options)
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.S)
    if not found:
        return ["the checker came to no end", done.stderr[-2000:]]
    return [f"{name}: {what}: {where}" for name, what, where in json.loads(html.unescape(found[1]))]


os.chdir(work)
try:
    page = make_page()
    done, said = look(page, "--dump-dom")
    tap.check("the page opens, and its elements are those of the file",
              done.returncode == 0 and done.stdout.count("<svg") > 3
              and done.stdout.rstrip().endswith("</html>"), done.stderr[-2000:])
    tap.check("nothing stands on the console", not said, "\n".join(said))
    with open(page, encoding="utf-8") as file:
        source = file.read()
    asked = re.findall(r"""(?:src|href)=["'](?!#)([^"']*)|url\((.*?)\)""", source)
    tap.check("it asks for nothing", not asked, str(asked))
    pdf = os.path.join(work, "page.pdf")
    done, _ = look(page, f"--print-to-pdf={pdf}", "--no-pdf-header-footer")
    with open(pdf, "rb") as file:
        pages = len(re.findall(rb"/Type\s*/Page\b", file.read()))
    tap.check("it prints", done.returncode == 0 and 1 <= pages <= 40, f"{pages} pages")
    axe = axe_source()
    for scheme, options in (("light", []), ("dark", ["--blink-settings=preferredColorScheme=0"])):
        title = f"the accessibility checker has no complaint, {scheme}"
        if axe:
            found = violations(page, axe, *options)
            tap.check(title, not found, "\n".join(found))
        else:
            tap.skip(title, "no axe-core: LOCKSTEP_AXE, or pip install axe-playwright-python")
    if len(sys.argv) > 2:
        for path in ("page.html", "page.pdf"):
            shutil.copy(path, sys.argv[2])
finally:
    os.chdir("/")
    shutil.rmtree(work, ignore_errors=True)
sys.exit(tap.done())
