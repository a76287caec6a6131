#!/usr/bin/env python3
"""A run's event file as TensorBoard's own reader sees it, and its CSV files as pandas does.

usage: events.py LOCKSTEP   (run with a Python that has tensorboard; pandas' cases are skipped without it)

Prints TAP. Exit code 1 where a case failed; without tensorboard the plan says skipped.
"""
import csv
import glob
import os
import shutil
import struct
import subprocess
import sys
import tempfile

# The reader that reads records in Python: the same code for every version.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.compat.tensorflow_stub import errors
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New
except ImportError as missing:
    print(f"1..0 # SKIP {missing}")
    sys.exit(0)

try:
    import pandas
except ImportError:
    pandas = None

lockstep = os.path.abspath(sys.argv[1])
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import Tap  # noqa: E402

tap = Tap()
environment = {key: value for key, value in os.environ.items()
               if key not in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")}


def case(name, right, detail=""):
    tap.check(name, right, detail)


def run(*words):
    done = subprocess.run([lockstep, *words], capture_output=True, text=True, env=environment,
                          timeout=200)
    if done.returncode:
        print(f"Bail out! {' '.join(words)}: {done.returncode}: {done.stderr}")
        sys.exit(1)


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def as_float(value):
    """As a float of C holds it, which is what a scalar of TensorBoard is."""
    return struct.unpack("f", struct.pack("f", float(value)))[0]


def near(found, text):
    """The CSV has nine digits, a float seven."""
    return abs(found - as_float(text)) <= 2e-7 * abs(found)


def records(path):
    """How many records the reader takes before the end or an error, and that error's name."""
    reader, count = PyRecordReader_New(path), 0
    while True:
        try:
            reader.GetNext()
            count += 1
        except errors.OutOfRangeError as end:
            return count, "end" if not str(end) or "No more" in str(end) else str(end)
        except errors.DataLossError as loss:
            return count, f"data loss: {loss}"


def frames_hold(folder, scalars):
    """read_csv without an option: numbers are numbers, what was not measured is NaN, and the event file says the
    same. `scalars`: its accumulator."""
    epochs = pandas.read_csv(os.path.join(folder, "epochs.csv"))
    numbers = epochs.select_dtypes("number")
    case("pandas: every column of epochs.csv is numbers", list(numbers.columns) == list(epochs.columns) and len(epochs) == 3,
         epochs.dtypes.to_string())
    test = epochs["test_loss"].isna().tolist()
    case("pandas: an epoch that was not evaluated is NaN", test == [True, False, False] ==
         epochs["test_top5_accuracy"].isna().tolist() == epochs["evaluation_seconds"].isna().tolist(), epochs.to_string())
    ends = epochs["steps"].cumsum().tolist()
    wrong = []
    for tag, column in SCALARS.items():
        points = pandas.DataFrame(scalars.Scalars(tag)).set_index("step")["value"]
        wanted = epochs.set_index(pandas.Index(ends))[column].dropna().astype("float32")
        if points.index.tolist() != wanted.index.tolist() or ((points - wanted).abs() > 2e-7 * wanted.abs()).any():
            wrong.append((tag, points.to_dict(), wanted.to_dict()))
    case("pandas: the event file joins epochs.csv by its steps", not wrong, wrong)
    summary = pandas.read_csv(os.path.join(folder, "summary.csv"))
    case("pandas: summary.csv is one row of both", len(summary) == 1 and summary["mode"][0] == "single" and
         summary["epochs"][0] == 3 and summary["validate_every"][0] == 2 and
         abs(summary["training_seconds"][0] - epochs["training_seconds"].sum()) < 1e-6 and
         abs(summary["final_test_accuracy"][0] - epochs["test_accuracy"].iloc[-1]) < 1e-9, summary.T.to_string())
    for name in ("ranks.csv", "attempts.csv", "certificate.csv"):
        frame = pandas.read_csv(os.path.join(folder, name))
        case(f"pandas: {name} has its columns", len(frame) > 0 and not any(column.startswith("Unnamed") for column in frame.columns),
             frame.to_string())


SCALARS = {
    "loss/train": "train_loss", "loss/test": "test_loss",
    "accuracy/train": "train_accuracy", "accuracy/test": "test_accuracy",
    "accuracy/test_top5": "test_top5_accuracy",
    "speed/images_per_second": "images_per_second", "utilisation/cpu": "cpu_utilisation_mean",
    "memory/peak_resident_bytes": "peak_memory_maximum_bytes",
    "seconds/training": "training_seconds", "seconds/evaluation": "evaluation_seconds",
    "seconds/data": "data_seconds", "seconds/forward": "forward_seconds",
    "seconds/backward": "backward_seconds", "seconds/optimizer": "optimizer_seconds",
    "seconds/exposed_communication": "exposed_communication_seconds",
    "seconds/other": "other_seconds",
}

work = tempfile.mkdtemp(prefix="lockstep-events-")
os.chdir(work)
try:
    run("pack", "synthetic", "data", "--images", "96", "--test-images", "32", "--size", "8")
    train = ["train", "--data", "data", "--device", "cpu", "--threads", "1", "--global-batch", "32"]
    run(*train, "--epochs", "3", "--step-log", "--results", "run")
    run(*train, "--epochs", "1", "--tensorboard", "off", "--results", "off")
    case("--tensorboard off leaves no file", not glob.glob("off/events*"))
    (path,) = glob.glob("run/events.out.tfevents.*")
    seen = EventAccumulator("run")
    seen.Reload()
    case("the format's version", seen.file_version == 2.0, seen.file_version)

    epochs, steps = rows("run/epochs.csv"), rows("run/steps.csv")
    ends, wrong = [], []
    for row in epochs:
        ends.append(int(row["steps"]) + (ends[-1] if ends else 0))
    for tag, column in SCALARS.items():
        found = seen.Scalars(tag)
        if [one.step for one in found] != ends or not all(
                near(one.value, row[column]) for one, row in zip(found, epochs)):
            wrong.append((tag, found, [row[column] for row in epochs]))
    case("the scalars are epochs.csv's, at its steps", not wrong, wrong)
    found = seen.Scalars("loss/step")
    case("the loss of every step is steps.csv's",
         [str(one.step) for one in found] == [row["step"] for row in steps]
         and all(near(one.value, row["loss"]) for one, row in zip(found, steps)), found)
    case("what was not measured is not there",
         set(seen.Tags()["scalars"]) == {*SCALARS, "loss/step", "optimizer/learning_rate"},
         seen.Tags()["scalars"])
    case("the learning rate", seen.Scalars("optimizer/learning_rate")[0].value == as_float(0.001))
    run(*train, "--epochs", "3", "--schedule", "step", "--step-epochs", "1", "--step-gamma", "0.5", "--results", "falls")
    falls = EventAccumulator("falls")
    falls.Reload()
    found = [one.value for one in falls.Scalars("optimizer/learning_rate")]
    case("a scheduled one is each epoch's", all(abs(a / b - 1) < 1e-6 for a, b in zip(found, (1e-3, 5e-4, 2.5e-4)))
         and len(found) == 3, found)

    run(*train, "--epochs", "3", "--validate-every", "2", "--results", "some")
    some = EventAccumulator("some")
    some.Reload()
    case("an epoch that was not evaluated has no point of its test",
         all([one.step for one in some.Scalars(tag)] == ends[1:] for tag in
             ("loss/test", "accuracy/test", "accuracy/test_top5", "seconds/evaluation"))
         and [one.step for one in some.Scalars("loss/train")] == ends, some.Tags())
    if pandas:
        frames_hold("some", some)
    else:
        tap.skip("the CSV files as pandas has them", "no pandas here")

    header = seen.Tensors("run/header")[0].tensor_proto.string_val[0].decode().splitlines()
    with open("run/log.txt", encoding="utf-8") as file:
        log = file.read().splitlines()
    case("the header is a text of the text plugin",
         seen.SummaryMetadata("run/header").plugin_data.plugin_name == "text"
         and len(header) > 10 and header == ["    " + line for line in log[:len(header)]],
         header[:5])

    whole, end = records(path)
    case("the file is whole records", end == "end" and whole == 3 + len(epochs) + len(steps),
         (whole, end))
    with open(path, "rb") as file:
        data = file.read()
    with open("cut", "wb") as file:
        file.write(data[:-3])
    cut = records("cut")
    case("a cut file ends before its last record", cut[0] == whole - 1, cut)
    wrong = []
    for at in (len(data) - 20, len(data) - 2, 9, 3):  # data, its CRC, the CRC of the length, length
        with open("flipped", "wb") as file:
            file.write(data[:at] + bytes([data[at] ^ 4]) + data[at + 1:])
        flipped = records("flipped")
        if flipped[0] != (whole - 1 if at > 20 else 0) or "loss" not in flipped[1]:
            wrong.append((at, flipped))
    case("a flipped bit is found by the reader", not wrong, wrong)

    # An unfinished run's folder is used again: its points are not the new run's.
    run(*train, "--epochs", "2", "--step-log", "--results", "again")
    (first,) = glob.glob("again/events.out.tfevents.*")
    shutil.copy(path, "again/events.out.tfevents.0000000001.earlier.1.0")
    seen = EventAccumulator("again")
    seen.Reload()
    case("points of an unfinished run are dropped",
         [one.step for one in seen.Scalars("loss/step")] == list(range(1, 7)),
         seen.Scalars("loss/step"))
finally:
    os.chdir("/")
    shutil.rmtree(work, ignore_errors=True)
sys.exit(tap.done())
