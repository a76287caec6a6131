#!/usr/bin/env python3
"""Run folders that `lockstep report` cannot take: one line that names the file and what is wrong, the
other runs still reported, exit code 2. The files are a real run's, damaged as people and programs
damage them.

usage: report.py LOCKSTEP [PART-OF-A-CASE'S-NAME]
"""
import csv
import io
import os
import re
import shutil
import subprocess

from kit import Refusal, Suite, clean_environment

suite = Suite()
data = suite.pack("data", 128, 32, "--size", 8)
single = suite.path("single")
subprocess.run([suite.lockstep, *suite.train(data, mode="single"), "--epochs", "2", "--certificate", "off",
                "--results", single],
               check=True, capture_output=True, env=clean_environment())


def read(run):
    with open(f"{run}/summary.csv", newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    return row


def as_text(row, **format):
    out = io.StringIO()
    writer = csv.DictWriter(out, list(row), lineterminator="\n", **format)
    writer.writeheader()
    writer.writerow(row)
    return out.getvalue()


def write(run, text):
    with open(f"{run}/summary.csv", "w", newline="", encoding="utf-8") as file:
        file.write(text)


def vary(folder, mode, factor, **changes):
    """A run as another mode left it: the same files, other times."""
    shutil.copytree(single, folder)
    os.remove(f"{folder}/ranks.csv")  # of one rank
    row = read(folder)
    row.update({name: "" for name in row if name.startswith(("waiting", "straggler"))})
    row.update(mode=mode, ranks="2", nodes="2", global_batch="128", steps="2", **changes)
    row["training_seconds"] = repr(float(row["training_seconds"]) * factor)
    row["images_per_second"] = repr(int(row["images"]) / float(row["training_seconds"]))
    write(folder, as_text(row))
    return row


def rewrite_epochs(folder, row):
    """epochs.csv again, with the summary's training time."""
    with open(f"{folder}/epochs.csv", newline="", encoding="utf-8") as file:
        epochs = list(csv.DictReader(file))
    for epoch in epochs:
        epoch["training_seconds"] = repr(float(row["training_seconds"]) / len(epochs))
    with open(f"{folder}/epochs.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(epochs[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(epochs)


def case(name, pattern, damage, *options, given=("single", "ddp", "dp"), shown=("DDP",), hidden=("DP",),
         code=2, lines=1):
    """damage(folder of dp, its row) -> what else is given, or None."""
    def run():
        folder = suite.folder_of(name)
        shutil.copytree(single, f"{folder}/single")
        vary(f"{folder}/ddp", "ddp", 0.5)
        rewrite_epochs(f"{folder}/ddp", read(f"{folder}/ddp"))
        row = vary(f"{folder}/dp", "dp", 1.25)
        rewrite_epochs(f"{folder}/dp", row)
        more = damage(folder, row) or ()
        job = suite.start(name, [suite.lockstep, "report", *given, *more, *options], folder=folder)
        found = job.wait()
        said = job.error_lines()
        with open(f"{folder}/out.txt", encoding="utf-8") as file:
            out = file.read()
        if found != code or len(said) != lines:
            raise Refusal(f"exit code {found}, {len(said)} lines; expected {code}, {lines}\n{job.said()}")
        if lines and not re.search(pattern, said[0]):
            raise Refusal(f"the line does not match '{pattern}'\n{job.said()}")
        for mode in shown:
            if not re.search(rf"^2 nodes, 2 ranks \({mode}\) .* [0-9.]+x ", out, re.M):
                raise Refusal(f"no speedup of {mode}\n{job.said()}")
        for mode in hidden:
            if f"({mode})" in out:
                raise Refusal(f"{mode} is in a table\n{job.said()}")
    suite.add(name, run)


def change(**values):
    def damage(folder, row):
        write(f"{folder}/dp", as_text({**row, **values}))
    return damage


def text(function):
    """function(the text of summary.csv) -> another."""
    def damage(folder, row):
        write(f"{folder}/dp", function(as_text(row)))
    return damage


def raw(content):
    def damage(folder, _):
        with open(f"{folder}/dp/summary.csv", "wb") as file:
            file.write(content)
    return damage


def with_commas(row):
    """As a spreadsheet of another locale shows numbers."""
    return {name: value.replace(".", ",") if re.fullmatch(r"[0-9]+\.[0-9]+", value) else value
            for name, value in row.items()}


IN_SUMMARY = "^lockstep: dp/summary.csv: "

# ---- accepted
case("a byte-order mark and CR LF", "", text(lambda old: "\ufeff" + old.replace("\n", "\r\n")),
     code=0, lines=0, shown=("DDP", "DP"), hidden=())
case("quotes around every value", "", lambda folder, row: write(
    f"{folder}/dp", as_text(row, quoting=csv.QUOTE_ALL)), code=0, lines=0, shown=("DDP", "DP"), hidden=())
case("columns in another order", "", lambda folder, row: write(
    f"{folder}/dp", as_text(dict(sorted(row.items())))), code=0, lines=0, shown=("DDP", "DP"), hidden=())

# ---- other locales
case("semicolons and decimal commas", IN_SUMMARY + "values are separated by semicolons: expected commas",
     lambda folder, row: write(f"{folder}/dp", as_text(with_commas(row), delimiter=";")))
case("tabs", IN_SUMMARY + "values are separated by tabs",
     lambda folder, row: write(f"{folder}/dp", as_text(row, delimiter="\t")))
case("decimal commas in quotes", IN_SUMMARY + ".*found '[0-9]+,[0-9]+' .a decimal comma",
     lambda folder, row: write(f"{folder}/dp", as_text(with_commas(row))))
case("decimal commas without quotes", IN_SUMMARY + "line 2: expected [0-9]+ values, found .*decimal commas",
     lambda folder, row: write(f"{folder}/dp", as_text(with_commas(row)).replace('"', "")))

# ---- edited by hand
for value in ("0", "-1.5", "nan", "inf", "1e999", "soon", "", "1.5s"):
    case(f"training_seconds {value or 'nothing'}",
         IN_SUMMARY + f"training_seconds: expected a number above 0, found '{re.escape(value)}'",
         change(training_seconds=value))
case("a faster time than the rate", IN_SUMMARY + "images_per_second is .* but images / training_seconds is",
     change(training_seconds="0.001"))
case("a rate of no images", IN_SUMMARY + "images: expected a whole number above 0", change(images="0"))
case("half a rank", IN_SUMMARY + "ranks: expected a whole number above 0, found '1.5'", change(ranks="1.5"))
case("single on two ranks", "^lockstep: dp: mode single with 2 ranks", change(mode="single"),
     hidden=("DP", "single; "))
case("a start that is no time", IN_SUMMARY + "started: expected a time as .*found 'yesterday'",
     change(started="yesterday"))
case("no data set", IN_SUMMARY + "dataset_id: expected a value", change(dataset_id=""))
case("a column is gone", IN_SUMMARY + "column 'precision' is missing",
     lambda folder, row: write(f"{folder}/dp", as_text(
         {name: value for name, value in row.items() if name != "precision"})))
case("a column twice", IN_SUMMARY + "column 'mode' stands twice",
     text(lambda old: "mode,mode," + old.split(",", 2)[2]))
case("two rows", IN_SUMMARY + "expected 1 row, found 2", text(lambda old: old + old.split("\n")[1] + "\n"))
case("a quote without end", IN_SUMMARY + "line [23]: a quote has no end", text(
    lambda old: old[:old.rindex(",") + 1] + '"' + old[old.rindex(",") + 1:]))
case("another version", IN_SUMMARY + "format version '2' is unknown.*a newer one wrote it",
     change(format_version="2"))
case("no version", IN_SUMMARY + "format version '' is unknown", change(format_version=""))
case("an ablated run", "^lockstep: dp: a run with --ablate comm is no training", change(ablate="comm"),
     "--allow", "model,precision,version")

# ---- cut, or something else
case("cut in a line", IN_SUMMARY + "line 2: .*it was cut", text(lambda old: old[:-20]))
case("cut after the header", IN_SUMMARY + "expected 1 row, found 0", text(lambda old: old.split("\n")[0] + "\n"))
case("cut in the header", IN_SUMMARY + "line 1: .*it was cut", text(lambda old: old[:40]))
case("empty", IN_SUMMARY + "the file is empty", raw(b""))
case("binary", IN_SUMMARY + "not a CSV file", raw(os.urandom(64) + b"\0"))
case("UTF-16", IN_SUMMARY + "not a CSV file", lambda folder, row: raw(
    as_text(row).encode("utf-16"))(folder, row))


def a_folder(folder, _):
    os.remove(f"{folder}/dp/summary.csv")
    os.mkdir(f"{folder}/dp/summary.csv")


case("a folder for a file", IN_SUMMARY, a_folder)

# ---- folders
case("still being written", "^lockstep: dp: no summary.csv there, but epochs.csv: the run is still being written",
     lambda folder, _: os.remove(f"{folder}/dp/summary.csv"))


def nothing(folder, _):
    shutil.rmtree(f"{folder}/dp")
    os.mkdir(f"{folder}/dp")


case("an empty folder", "^lockstep: dp: no summary.csv there: the run did not finish", nothing)
case("no folder", "^lockstep: nowhere: expected the folder of a run", lambda folder, row: ("nowhere",),
     shown=("DDP", "DP"), hidden=())
case("a file", "^lockstep: .*expected the folder of a run, found a file",
     lambda folder, row: ("single/log.txt",), shown=("DDP", "DP"), hidden=())
case("a run twice", "^lockstep: dp and dp/. are the same run", lambda folder, row: ("dp/.",),
     shown=("DDP", "DP"), hidden=())


def a_copy(folder, _):
    shutil.copytree(f"{folder}/dp", f"{folder}/copy")
    return ("copy",)


case("a copy of a run", "^lockstep: dp and copy are the same run", a_copy, shown=("DDP", "DP"), hidden=())


def a_repeat(folder, row):
    for name, mode in (("single-2", "single"), ("dp-2", "dp")):
        shutil.copytree(f"{folder}/{name.split('-')[0]}", f"{folder}/{name}")
        again = read(f"{folder}/{name}")
        write(f"{folder}/{name}", as_text({**again, "started": "2030-01-01T00:00:00+0000"}))
    return ("single-2", "dp-2")


case("a repeat is missing", r"^lockstep: 2 nodes, 2 ranks \(DDP\), from ddp: 1 repeat where the baseline, from "
     "single, has 2: 1 pair", a_repeat, shown=("DDP", "DP"), hidden=())
case("a repeat is missing, as a footnote", "", a_repeat, "--allow", "repeats", code=0, lines=0,
     shown=("DDP", "DP"), hidden=())
case("nothing is left", "^lockstep: dp/summary.csv: the file is empty", raw(b""), given=("dp",), shown=())
case("no baseline", "^lockstep: no baseline: expected a run with mode single", lambda folder, row: None,
     given=("ddp", "dp"), shown=())

# ---- epochs.csv, read for --target-accuracy
TARGET = ("--target-accuracy", "0.01")


def epochs(function):
    def damage(folder, _):
        with open(f"{folder}/dp/epochs.csv", encoding="utf-8") as file:
            old = file.read()
        with open(f"{folder}/dp/epochs.csv", "w", encoding="utf-8") as file:
            file.write(function(old))
    return damage


def case_of_epochs(name, pattern, damage):
    case(f"epochs.csv: {name}", "^lockstep: dp/epochs.csv: " + pattern, damage, *TARGET,
         shown=("DDP", "DP"), hidden=())


case_of_epochs("a row is gone", "expected 2 epochs, as summary.csv has it, found 1",
               epochs(lambda old: "\n".join(old.split("\n")[:2]) + "\n"))
case_of_epochs("cut", "line 3: .*it was cut", epochs(lambda old: old[:-10]))
case_of_epochs("a column is gone", "column 'test_accuracy' is missing",
               epochs(lambda old: old.replace("test_accuracy", "accuracy")))
case_of_epochs("missing", "cannot read", lambda folder, row: os.remove(f"{folder}/dp/epochs.csv"))
case_of_epochs("of another run", "its training times add up to", lambda folder, row: shutil.copy(
    f"{folder}/ddp/epochs.csv", f"{folder}/dp/epochs.csv") and None)

# ---- options
suite.refused("an unknown name of --allow", 2, "--allow: expected some of version, .* found 'ablate'",
              ["report", single, "--allow", "precision,ablate"], ranks=(0,))
suite.refused("an empty name of --allow", 2, "--allow: expected some of", ["report", single, "--allow", "model,"],
              ranks=(0,))
for value in ("70", "0", "-0.5", "most"):
    suite.refused(f"--target-accuracy {value}", 2, f"--target-accuracy: expected .*found '{value}'",
                  ["report", single, "--target-accuracy", value], ranks=(0,))
suite.finish()
