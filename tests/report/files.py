"""Reads and writes a run's CSV files with Python's csv module, which is not ours.

    files.py check RUN                           a run's files agree with each other
    files.py vary RUN NEW COLUMN=VALUE...        a copy with other values (=*X and =/X: times, by X)
    files.py table FILE SCALING SPEEDUP...       a table of `lockstep report --format csv`
    files.py epochs FILE RUN...                  `lockstep report --table epochs --format csv` is theirs
    files.py modes FILE RUN...                   `lockstep report --table modes --format csv` of runs
                                                 without repeats is theirs, published rows aside
    files.py latex FILE TABLES                   so many whole tables; nothing that LaTeX would run
    files.py terminal COLUMNS COMMAND...         runs it on a terminal, which must show progress
"""
import csv
import fcntl
import os
import pty
import re
import struct
import sys
import termios


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def near(found, expected, what):
    if abs(float(found) - expected) > 1e-6 * max(1, abs(expected)):
        sys.exit(f"{what}: expected {expected}, found {found}")


PHASES = [
    "data_seconds",
    "forward_seconds",
    "backward_seconds",
    "exposed_communication_seconds",
    "optimizer_seconds",
    "other_seconds",
]


def check(run):
    (summary,) = rows(f"{run}/summary.csv")
    epochs = rows(f"{run}/epochs.csv")
    for column in list(summary) + list(epochs[0]):
        if not re.fullmatch("[a-z0-9_]+", column):
            sys.exit(f"a column named {column!r}")
    if len(epochs) != int(summary["epochs"]):
        sys.exit(f"{len(epochs)} epochs")
    for column in ["training_seconds", "evaluation_seconds", "images", "steps"] + PHASES:
        near(summary[column], sum(float(row[column]) for row in epochs), column)
    for row in epochs + [summary]:
        seconds = float(row["training_seconds"])
        near(seconds, sum(float(row[phase]) for phase in PHASES), "the phases' sum")
        near(row["images_per_second"], int(row["images"]) / seconds, "images_per_second")
    near(summary["final_test_accuracy"], float(epochs[-1]["test_accuracy"]), "the last accuracy")
    best = max(float(row["test_accuracy"]) for row in epochs)
    near(summary["best_test_accuracy"], best, "the best accuracy")
    near(epochs[int(summary["best_epoch"]) - 1]["test_accuracy"], best, "the best epoch")
    if not 0 < float(summary["training_seconds"]) < float(summary["total_seconds"]):
        sys.exit("the training time is no part of the total")


def epochs(path, *runs):
    wanted = [(run, row) for run in runs for row in rows(f"{run}/epochs.csv")]
    found = rows(path)
    if [(row["run"], row["epoch"]) for row in found] != [(run, row["epoch"]) for run, row in wanted]:
        sys.exit(f"{len(found)} rows for {len(wanted)} epochs")
    for row, (run, epoch) in zip(found, wanted):
        for column in set(row) - {"run", "epoch"}:
            if not epoch[column] and row[column]:
                sys.exit(f"{run}: {column} of epoch {row['epoch']} was not measured")
            if epoch[column]:
                near(row[column], float(epoch[column]), column)


def modes(path, *runs):
    found = [row for row in rows(path) if row["measured_here"] == "1"]
    if len(found) != len(runs):
        sys.exit(f"{len(found)} rows for {len(runs)} runs")
    for row, run in zip(found, runs):
        (summary,) = rows(f"{run}/summary.csv")
        wanted = rows(f"{run}/epochs.csv")
        for column in set(row) & set(summary):
            if row[column] != summary[column] and row[column] + summary[column]:
                near(row[column], float(summary[column]), f"{run}: {column}")
        for column in ("train_loss", "train_accuracy", "test_loss", "test_accuracy",
                       "images_per_second"):
            values = row[f"epoch_{column}"].split(";")
            if len(values) != len(wanted):
                sys.exit(f"{run}: {len(values)} epochs of {column}")
            for value, epoch in zip(values, wanted):
                near(value, float(epoch[column]), f"{run}: {column}")
        near(row["peak_memory_bytes"], float(summary["memory_measured_bytes"]), "peak memory")
        if row["source"] != run:
            sys.exit(f"{row['source']}, not {run}")


def latex(path, tables):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if not text.startswith("% \\usepackage{booktabs,graphicx}"):
        sys.exit("it does not say what it needs")
    for word in ("\\begin{tabular}", "\\end{tabular}", "\\toprule", "\\midrule", "\\bottomrule"):
        if text.count(word) != int(tables):
            sys.exit(f"{text.count(word)} times {word}, not {tables}")
    body = text.split("\n", 1)[1]
    if re.search(r"(?<!\\)[#$~^]|(?<!\\)_", body):
        sys.exit("a character that LaTeX would take for a command")
    for block in re.findall(r"\\begin\{tabular\}\{@\{\}(\w+)@\{\}\}(.*?)\\end\{tabular\}", body, re.S):
        lines = [line for line in block[1].split("\n") if line.endswith(r" \\")]
        if not lines or any(len(re.findall(r"(?<!\\)&", line)) + 1 != len(block[0]) for line in lines):
            sys.exit("a row has more or fewer cells than its table has columns")


def vary(run, new, *changes):
    (row,) = rows(f"{run}/summary.csv")
    for change in changes:
        column, value = change.split("=")
        if column not in row:
            sys.exit(f"no column {column}")
        if value[0] == "*":
            value = repr(float(row[column]) * float(value[1:]))
        elif value[0] == "/":
            value = repr(float(row[column]) / float(value[1:]))
        row[column] = value
    row["waiting_seconds"] = ""  # as in runs from before it: a copy has no ranks.csv
    row["images_per_second"] = repr(int(row["images"]) / (float(row["training_seconds"]) or 1))
    os.makedirs(new)
    with open(f"{new}/summary.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)


def table(path, scaling, *speedups):
    found = [row for row in rows(path) if row["scaling"] == scaling]
    if len(found) != len(speedups):
        sys.exit(f"{len(found)} rows")
    for index, (row, speedup) in enumerate(zip(found, speedups)):
        near(row["speedup"], float(speedup), "speedup")
        near(row["parallel_efficiency"], float(speedup) / int(row["ranks"]), "efficiency")
        if row["baseline"] != str(int(index == 0)):
            sys.exit(f"row {index}: {row}")
        if ("weak scaling in the batch" in row["note"]) != (scaling == "weak" and index > 0):
            sys.exit(f"row {index}: note {row['note']!r}")
        if ("without an interval" in row["note"]) != (index > 0) or row["speedup_low"]:
            sys.exit(f"row {index}: one pair, note {row['note']!r}")


def terminal(columns, *command):
    child, master = pty.fork()
    if child == 0:
        size = struct.pack("HHHH", 24, int(columns), 0, 0)
        fcntl.ioctl(1, termios.TIOCSWINSZ, size)
        os.execvp(command[0], command)
    shown = b""
    try:
        while block := os.read(master, 65536):
            shown += block
    except OSError:  # Linux says so when the last process has closed it
        pass
    if os.waitpid(child, 0)[1] != 0:
        sys.exit(f"{command[0]} failed: {shown!r}")
    lines = re.findall(rb"\r([^\r\n]*)\x1b\[K", shown)
    drawn = [line for line in lines if line]
    if not drawn:
        sys.exit(f"no progress: {shown!r}")
    if max(map(len, drawn)) >= int(columns):
        sys.exit(f"wider than {columns} columns: {max(drawn, key=len)!r}")
    if lines[-1]:
        sys.exit("the last line of progress was not cleared")


{"check": check, "vary": vary, "table": table, "epochs": epochs,
 "modes": modes, "latex": latex, "terminal": terminal}[sys.argv[1]](*sys.argv[2:])
