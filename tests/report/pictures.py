#!/usr/bin/env python3
"""`lockstep report --plot` and `--html`: pictures and pages of runs that were never trained, looked at
as far as a program can. Pictures are XML, every text lies in them and on no other text, what they
show is the table's; a page's tags are balanced, it shows what comes from files as text, and it asks
for nothing from elsewhere.

usage: pictures.py LOCKSTEP

Prints TAP. Exit code 1 where a case failed; without gnuplot the plan says skipped.
"""
import csv
import html.parser
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

if not shutil.which("gnuplot"):
    print("1..0 # SKIP no gnuplot")
    sys.exit(0)

lockstep = os.path.abspath(sys.argv[1])
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import Tap  # noqa: E402

tap = Tap()
SVG = "{http://www.w3.org/2000/svg}"
NAMES = [f"{name}.svg" for name in ("accuracy", "accuracy-images", "accuracy-time", "loss",
                                    "memory", "speedup-strong", "speedup-weak", "throughput",
                                    "time")]

CURVES = [name for name in NAMES if "speedup" not in name and "throughput" not in name]


def case(name, wrong):
    """`wrong`: what does not hold, as a list."""
    tap.check(name, not wrong, "\n".join(wrong[:10]))


def command(*words):
    return subprocess.run([lockstep, *words], capture_output=True, text=True, timeout=120,
                          check=False)


def write(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def make_run(folder, mode="single", ranks=1, batch=64, seconds=40.0, epochs=3, repeat=0, **more):
    """A run's summary.csv, epochs.csv and ranks.csv, in the columns of a real one."""
    noise = 1 + 0.02 * ((repeat * 7919 + ranks * 31) % 5 - 2)
    with open("real/summary.csv", newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    with open("real/epochs.csv", newline="", encoding="utf-8") as file:
        epoch = next(csv.DictReader(file))
    with open("real/ranks.csv", newline="", encoding="utf-8") as file:
        rank_row = next(csv.DictReader(file))
    seconds *= noise
    images = epochs * int(row["train_images_per_epoch"])
    row.update(mode=mode, ranks=ranks, nodes=ranks, global_batch=batch, epochs=epochs,
               batch_per_rank=batch // ranks, images=images, training_seconds=repr(seconds),
               images_per_second=repr(images / seconds), started=f"2026-01-01T0{repeat}:00:00+0000",
               steps=epochs * -(-int(row["train_images_per_epoch"]) // batch))
    parts = {"forward": 0.2, "backward": 0.4, "optimizer": 0.1, "data": 0.05}
    parts["waiting"], parts["transfer"] = (0.08, 0.12) if ranks > 1 else (0, 0)
    parts["other"] = 1 - sum(parts.values())
    parts["busy"], parts["training"] = 1 - parts["waiting"] - parts["transfer"] - parts["other"], 1
    parts["exposed_communication"] = parts["waiting"] + parts["transfer"]
    row.update({f"{name}_seconds": repr(part * seconds) for name, part in parts.items()
                if f"{name}_seconds" in row})
    for column in ("rank_devices", "rank_threads"):
        row[column] = ";".join([row[column].split(";")[0]] * ranks)
    row.update(more)
    os.makedirs(folder)
    write(f"{folder}/summary.csv", [row])
    write(f"{folder}/epochs.csv", [
        {**epoch, "epoch": n, "training_seconds": repr(seconds / epochs), "train_loss": repr(2.3 * noise / n), "test_loss": repr(2.4 * noise / n),
         "train_accuracy": repr(1 - 0.9 * noise / n), "test_accuracy": repr(1 - 0.95 * noise / n)}
        for n in range(1, epochs + 1)])
    write(f"{folder}/ranks.csv", [
        {**rank_row, "epoch": n, "rank": rank, "compared_steps": 0,
         **{f"{name}_seconds": repr(part * seconds / epochs) for name, part in parts.items()
            if f"{name}_seconds" in rank_row}}
        for n in range(1, epochs + 1) for rank in range(ranks)])
    return folder


def boxes(tree):
    """Of each text: (text, left, top, right, bottom), a character 6.4 pixels of 13 wide: narrower
    than most fonts, so that what overlaps here does so everywhere."""
    found = []
    for group in tree.iter(SVG + "g"):
        text, place = group.find(SVG + "text"), group.get("transform", "")
        words = "".join(text.itertext()).strip() if text is not None else ""
        if not words:
            continue
        x, y = map(float, re.match(r"translate\(([-\d.]+),([-\d.]+)\)", place).groups())
        size = float(group.get("font-size"))
        width, anchor = len(words) * size * 6.4 / 13, group.get("text-anchor")
        start = {"start": 0, "middle": -width / 2, "end": -width}[anchor]
        if "rotate" in place:
            found.append((words, x - 0.75 * size, y - start - width, x + 0.2 * size, y - start))
        else:
            found.append((words, x + start, y - 0.75 * size, x + start + width, y + 0.2 * size))
    return found


def look_at(path):
    """What is wrong with a picture."""
    tree = xml.parse(path).getroot()
    width, height = map(float, tree.get("viewBox").split()[2:])
    wrong, texts = [], boxes(tree)
    if width != 800 or not texts or tree.find(SVG + "title").text == "Gnuplot":
        wrong.append(f"{path}: {width} wide, {len(texts)} texts")
    if "prefers-color-scheme: dark" not in tree.find(SVG + "style").text:
        wrong.append(f"{path}: no colours for the dark")
    for index, (words, left, top, right, bottom) in enumerate(texts):
        if left < 0 or top < 0 or right > width or bottom > height:
            wrong.append(f"{path}: '{words}' leaves the picture: {left:.0f} to {right:.0f}, "
                         f"{top:.0f} to {bottom:.0f}")
        for other, *box in texts[:index]:
            if left < box[2] and box[0] < right and top < box[3] and box[1] < bottom:
                wrong.append(f"{path}: '{words}' lies on '{other}'")
    return wrong


class Page(html.parser.HTMLParser):
    """Every tag that is opened is closed, in order; what the page holds."""
    VOID = ("meta",)
    HEADINGS = ("h1", "h2", "h3")

    def __init__(self, path):
        super().__init__()
        self.open, self.wrong, self.tags, self.ids, self.links = [], [], {}, [], []
        self.text, self.cells, self.level = "", [], 0
        with open(path, encoding="utf-8") as file:
            self.source = file.read()
        self.feed(self.source)
        self.close()
        self.wrong += [f"<{tag}> is never closed" for tag in self.open]
        self.wrong += [f"the id {name} is there twice" for name in set(self.ids)
                       if self.ids.count(name) > 1]
        self.wrong += [f"a link to {link}" for link in self.links if not link.startswith("#")]
        self.wrong += [f"{link} is nowhere" for link in self.links
                       if link.startswith("#") and link[1:] not in self.ids]
        if re.search(r"@import|url\(", self.source):
            self.wrong.append("the style asks for another file")

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_startendtag(self, tag, attributes):
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.check_structure(tag, dict(attributes))
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src", "xlink:href"):
                self.links.append(value)
            if name.startswith("on"):
                self.wrong.append(f"<{tag} {name}>")

    def check_structure(self, tag, attributes):
        """What a screen reader walks by: one level of headings after the other, cells with headers,
        regions and pictures with names, a language."""
        if tag in self.HEADINGS:
            level = self.HEADINGS.index(tag) + 1
            if level > self.level + 1:
                self.wrong.append(f"<{tag}> below a heading of level {self.level}")
            self.level = level
        if tag == "th" and attributes.get("scope") not in ("col", "row"):
            self.wrong.append("a header cell of nothing")
        if tag == "html" and not attributes.get("lang"):
            self.wrong.append("no language")
        if attributes.get("role") == "region" and not (
                attributes.get("aria-label") and attributes.get("tabindex") == "0"):
            self.wrong.append(f"a region without a name, or out of the keyboard's reach: {attributes}")
        if tag == "svg" and attributes.get("role") != "img":
            self.wrong.append("a picture that is read piece by piece")

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


def all_texts(path):
    return [box[0] for box in boxes(xml.parse(path).getroot())]


def drawn(title, runs, *options, expected=tuple(NAMES), code=0):
    """Draws runs into pictures/; the case is the program's own end and each picture."""
    shutil.rmtree("pictures", ignore_errors=True)
    done = command("report", *runs, "--plot", "pictures", *options)
    wrong = []
    if done.returncode != code or (code == 0 and done.stderr):
        wrong.append(f"exit code {done.returncode}: {done.stderr}")
    found = sorted(os.listdir("pictures")) if os.path.isdir("pictures") else []
    if found != sorted(expected):
        wrong.append(f"pictures: {found}")
    for name in found:
        if name.endswith(".svg"):
            wrong += look_at(f"pictures/{name}")
        elif open(f"pictures/{name}", "rb").read(8) != b"\x89PNG\r\n\x1a\n":
            wrong.append(f"{name} is no PNG")
    if title:
        case(title, wrong)
    return done


work = tempfile.mkdtemp(prefix="lockstep-pictures-")
os.chdir(work)
try:
    for words in (["pack", "synthetic", "data", "--images", "64", "--test-images", "32", "--size", "8"],
                  ["train", "--data", "data", "--device", "cpu", "--threads", "1", "--epochs", "1",
                   "--results", "real"]):
        done = command(*words)
        if done.returncode:
            print(f"Bail out! {words[0]}: {done.stderr}")
            sys.exit(1)

    one = make_run("one", epochs=1)
    drawn("one run of one epoch", [one], expected=CURVES)
    several = []
    for repeat in range(3):
        for mode, ranks, batch, seconds in (("single", 1, 64, 40), ("ddp", 2, 128, 25),
                                            ("dp", 2, 128, 30), ("ddp", 4, 256, 14),
                                            ("ddp", 2, 64, 26), ("ddp", 4, 64, 16)):
            several.append(make_run(f"{mode}{ranks}-{batch}-{repeat}", mode, ranks, batch, seconds,
                                    10, repeat))
    done = drawn("six configurations, three repeats, ten epochs", several)
    speedups = re.findall(r"(\d+\.\d\d)x .* to ", done.stdout)
    shown = [text[:-1] for name in ("weak", "strong")
             for text in all_texts(f"pictures/speedup-{name}.svg") if re.fullmatch(r"[\d.]+x", text)]
    case("the pictures' speedups are the tables'",
         [] if speedups and sorted(shown) == sorted(speedups) else [f"{shown}, {speedups}"])
    names = all_texts("pictures/time.svg")
    case("configurations with one name are told apart by their batch",
         [] if {"2 nodes, 2 ranks (DDP), global batch 64", "2 nodes, 2 ranks (DDP), global batch 128",
                "2 nodes, 2 ranks (DP)"} <= set(names) else names)
    drawn("as PNG too", several[:6], "--png",
          expected=[*NAMES, *(name[:-4] + ending for name in NAMES
                              for ending in (".png", "-dark.png"))])

    long = "a device whose name is <b>long</b> & 'quoted' `touch made` " * 2
    names = all_texts("pictures/throughput.svg")
    case("a line a mode over the batches per rank",
         [] if {"2 nodes, 2 ranks (DDP)", "2 nodes, 2 ranks (DP)", "16", "32", "64"} <= set(names)
         else names)

    # ---- what few runs have: samples of GPUs, several attempts, a limit of memory, published rows
    def sampled(folder, ranks, samples=400, **more):
        make_run(folder, "ddp" if ranks > 1 else "single", ranks, 64, 40, 3, 0, attempts=3, **more)
        kind = "gpu" if "device" in more else "cpu"
        rows = [{"seconds": -1 + 0.1 * at, "rank": rank, "training": int(at > 10),
                 "gpu_utilisation_percent": 90 + (at * 7 + rank) % 10 if at > 10 else "",
                 "gpu_memory_bytes": 40e9 + rank * 1e9, "own_cpu_cores": 0.5 + 0.01 * (at % 9),
                 "own_memory_bytes": 3e8} for rank in range(ranks) for at in range(samples)]
        write(f"{folder}/{kind}.csv", rows)
        write(f"{folder}/attempts.csv", [
            {"format_version": 1, "attempt": n, "started": f"2026-01-01T0{n}:00:00+0000",
             "slurm_job_id": 7, "ranks": ranks, "queue_seconds": 20 * n, "start_seconds": 6,
             "training_seconds": 50, "evaluation_seconds": 4, "checkpoint_blocked_seconds": 1,
             "total_seconds": 65, "first_step": 80 * (n - 1), "last_step": 80 * n + 20 * (n < 3),
             "saved_step": 80 * n, "lost_steps": 0, "lost_seconds": 0,
             "ended": "finished" if n == 3 else "time limit"} for n in (1, 2, 3)])
        return folder

    few = [sampled("sampled2", 2, device="cuda"), sampled("sampled1", 1),
           sampled("sampled48", 48, device="cuda", batch_per_rank="")]
    extra = ["attempts.svg", "usage-1.svg", "usage-2.svg", "usage-3.svg"]
    drawn("GPUs over time, of few and of many; attempts", few, "--table", "modes",
          expected=sorted([*CURVES, "throughput.svg", *extra]))
    case("the goodput stands beside the attempts",
         [] if any(re.search(r"attempt 3: finished; goodput \d\d\.\d%", text)
                   for text in all_texts("pictures/attempts.svg")) else all_texts("pictures/attempts.svg"))
    write("published.csv", [
        {"configuration": "ddp fp16 with a name that is as long as names in papers tend to be, and longer",
         "batch_per_rank": batch, "images_per_second": rate, "peak_memory_gb": "", "training_seconds": "",
         "final_train_loss": "", "test_accuracy": "", "hardware": "4 x NVIDIA A100-SXM4-80GB",
         "source": "a paper"} for batch, rate in ((8, 60.1), (32, 153.7), (4096, 200))])
    drawn("throughput beside published figures", several[:3], "--table", "modes", "--published",
          "published.csv", expected=[name for name in NAMES if "speedup" not in name])
    near = [make_run(f"limit{ranks}", "ddp" if ranks > 1 else "single", ranks, 64, 40, 3, 0,
                     memory_planned_bytes=3e9 / ranks, memory_activations_bytes=2.5e9 / ranks,
                     memory_limit_bytes=limit) for ranks, limit in ((1, 4e9), (2, 1.6e9), (4, 800e9))]
    drawn("memory against its limit", near, "--table", "modes",
          expected=[name for name in NAMES if "speedup" not in name])
    names = " | ".join(all_texts("pictures/memory.svg"))
    case("a limit is a number beside its bar, a mark on it where that is not far",
         [pattern for pattern in (r"2\.5\d GB of 4\.00", r"1\.\d\d GB of 1\.60", r"0\.\d\d GB of 800\.0",
                                  "what it may hold") if not re.search(pattern, names)])
    broken = sampled("sampled-broken", 1, 20, device="cuda")
    with open(f"{broken}/gpu.csv", "a", encoding="utf-8") as file:
        file.write("1,7,1,5,5,,\n")
    done = drawn("a rank that the run does not have: no picture, one line", [broken], "--table", "modes",
                 expected=sorted([*CURVES, "attempts.svg"]), code=2)
    case("which names the file", [] if "sampled-broken/gpu.csv: row 21: rank: expected one of 1, found "
         "'7'" in done.stderr and len(done.stderr.splitlines()) == 1 else [done.stderr])

    drawn("long names and many ranks",
          [make_run(f"long{ranks}", "ddp" if ranks > 1 else "single", ranks, 1024, 400 / ranks ** 0.8, 60,
                    device="cuda", rank_devices=";".join([long[:100]] * ranks))
           for ranks in (1, 2, 4, 8, 16, 64)],
          expected=[*CURVES, "speedup-strong.svg", "throughput.svg"])
    case("a name is no command", ["it was run"] if os.path.exists("made") else [])

    # ---- a page
    def page_of(*words, code=0, **more):
        done = subprocess.run([lockstep, "report", *words, "--html", "page.html"], check=False,
                              capture_output=True, text=True, timeout=120, **more)
        page = Page("page.html") if os.path.exists("page.html") else None
        return page, done, [] if page and done.returncode == code else [done.stderr]

    hostile = "</td></table><script>alert(1)</script> & \"x\" 'y' <b onclick='z()'> \u00e9 | `q` **"
    strange = make_run("<img src=x>", "dp", 2, 64, 31, 10, 0, command_line=hostile,
                       rank_hosts=hostile + ";b", launcher="<script>", factor_comm="<i>|`x`",
                       started="2026-01-01T00:00:00+0000")
    for folder in several[:2] + several[6:8]:
        with open(f"{folder}/log.txt", "w", encoding="utf-8") as file:
            file.write("warning  clock: it is <i>late</i> (mend it)\nepoch 1\nwarning  clock: it is "
                       "<i>late</i> (mend it)\n")
    page, done, wrong = page_of(*several, strange, "--allow", "repeats", "--target-accuracy", "0.5")
    wrong += page.wrong
    for tag, least in (("table", 4 + 19), ("svg", 6), ("details", 19), ("h2", 5)):
        if page.tags.get(tag, 0) < least:
            wrong.append(f"{page.tags.get(tag, 0)} <{tag}>")
    wrong += [f"<{tag}> came from a file" for tag in ("script", "img", "b", "i") if tag in page.tags]
    case("a page: balanced, whole, alone", wrong)
    late = f"{several[0]} and 3 more: clock: it is <i>late</i> (mend it)"
    case("what comes from files is shown as it is, warnings of a log once",
         [text for text in (hostile, late, "<img src=x>", "<i>|`x`") if text not in page.text])
    text = command("report", *several, strange, "--format", "csv").stdout
    rows = list(csv.DictReader(text.splitlines()))
    case("the page's tables are the report's",
         [row["configuration"] for row in rows
          if row["configuration"] not in page.cells
          or (row["baseline"] == "0" and not any(
              re.match(f"{float(row['speedup']):.2f}x", cell) for cell in page.cells))])
    os.rename("page.html", "before.html")
    page, done, wrong = page_of("sound" if os.path.exists("sound") else one, "nowhere", code=2)
    case("what is wrong with a run stands in the page too",
         wrong + ([] if page and "nowhere: expected the folder of a run" in page.text
                  and not page.wrong else ["it does not"]))
    os.remove("page.html")
    os.mkdir("empty")
    page, done, wrong = page_of(one, code=1, env={**os.environ, "PATH": os.path.abspath("empty")})
    case("without gnuplot the page says why there are no pictures",
         wrong + ([] if page and "svg" not in page.tags and not page.wrong
                  and "There are no pictures: gnuplot is not on the PATH" in page.text
                  and len(done.stderr.splitlines()) == 1 else [done.stderr]))
    done = command("report", one, "--html", "nowhere/page.html")
    case("a page in no folder", [] if done.returncode == 2 and not done.stdout
         and "--html: nowhere: No such file" in done.stderr else [done.stderr])

    # ---- bad input
    def refused(title, runs, text, *options, expected=(), code=2, table=True):
        done = drawn(None, runs, *options, expected=expected)
        found = sorted(os.listdir("pictures")) if os.path.isdir("pictures") else []
        lines = done.stderr.splitlines()
        right = (done.returncode == code and len(lines) == 1 and text in lines[0]
                 and lines[0].startswith("lockstep: ") and bool(done.stdout) == table
                 and found == sorted(expected))
        case(title, [] if right else [f"{done.returncode}: {done.stderr}", str(found)])

    damaged = make_run("damaged", epochs=3, repeat=1)
    with open("damaged/epochs.csv", encoding="utf-8") as file:
        whole = file.read()
    sound = make_run("sound", epochs=3)
    for title, text, content in (
            ("epochs.csv is cut", "damaged/epochs.csv: ", whole[:-4]),
            ("epochs.csv lacks an epoch", "damaged/epochs.csv: expected 3 epochs",
             "".join(whole.splitlines(True)[:-1])),
            ("epochs.csv holds no number", "damaged/epochs.csv: line 3: train_loss: expected a number",
             whole.replace(whole.splitlines()[2].split(",")[2], "none")),
            ("epochs.csv has no column", "damaged/epochs.csv: column 'test_loss' is missing",
             whole.replace("test_loss", "tset_loss"))):
        with open("damaged/epochs.csv", "w", encoding="utf-8") as file:
            file.write(content)
        refused(title, [sound, damaged], text, expected=CURVES)
    os.remove("damaged/epochs.csv")
    refused("epochs.csv is gone", [sound, damaged], "damaged/epochs.csv: cannot read", expected=CURVES)
    with open("a-file", "w", encoding="ascii"):
        pass
    refused("a folder that is a file", [sound], "a-file: expected a folder, found a file", "--plot",
            "a-file")
    refused("a folder that cannot be made", [sound], "/proc/", "--plot", "/proc/lockstep/pictures")
    done = command("report", sound, "--png")
    case("--png without --plot", [] if done.returncode == 2 and "--png: expected --plot" in done.stderr
         and not done.stdout else [done.stderr])
    done = command("report", sound, sound, "--certify", "--plot", "pictures")
    case("--plot with --certify", [] if done.returncode == 2 and not done.stdout
         and "--certify: expected no --plot" in done.stderr else [done.stderr])
    environment = {**os.environ, "PATH": os.path.abspath("empty")}
    done = subprocess.run([lockstep, "report", sound, "--plot", "pictures"], capture_output=True,
                          text=True, env=environment, check=False)
    case("no gnuplot: the tables stand, one line says what to install",
         [] if done.returncode == 1 and done.stdout and len(done.stderr.splitlines()) == 1
         and "apt-get install gnuplot-nox" in done.stderr else [done.stderr])
finally:
    os.chdir("/")
    shutil.rmtree(work, ignore_errors=True)
sys.exit(tap.done())
