#!/usr/bin/env python3
"""Certificates of real runs: `lockstep train` writes them, `lockstep report --certify` compares
them, and says of a damaged one what is wrong with it.

usage: certify.py LOCKSTEP  (the binary; without mpirun, ranks are left out)
"""
import csv
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "modes"))
import kit  # noqa: E402

lockstep = os.path.abspath(sys.argv[1])
tap = kit.Tap()
# Winograd's rounding is a hundred times that of direct convolutions: enough to turn a pool's choice in one
# run of ten, and what follows from that is no rounding.
kit.ENVIRONMENT["LOCKSTEP_CONVOLUTIONS"] = "direct"
STEPS = 12  # 2 epochs of 176 images in batches of 32: five and a half


def train(name, ranks, *options):
    done = kit.attempt(lockstep, "data", name, ranks, "--global-batch", "32", "--certificate-every", "4", *options)
    if done.returncode:
        raise SystemExit(f"Bail out! {' '.join(done.args)}: {done.returncode}\n{done.stderr}")


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def column(run, name):
    return [row[name] for row in rows(f"{run}/certificate.csv")]


def certify(*runs):
    done = subprocess.run([lockstep, "report", "--certify", *runs], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def says(title, runs, code, out, line=""):
    """The exit code, texts on stdout, and one line on stderr that holds `line`, or none."""
    found = certify(*runs)
    good = found[0] == code and all(text in found[1] for text in out) and line in found[2] \
        and found[2].count("\n") == (code != 0)
    tap.check(title, good, f"{found}")


def damaged(title, what, line):
    """what(text of the certificate) is put in its place; the other runs are still compared."""
    shutil.rmtree("bad", ignore_errors=True)
    shutil.copytree("single", "bad")
    with open("bad/summary.csv") as file:
        summary = file.read()
    with open("bad/summary.csv", "w") as file:  # a run of its own, not a copy
        file.write(summary.replace(f",{rows('single/summary.csv')[0]['started']},", ",2026-01-01T00:00:00+0000,"))
    with open("bad/certificate.csv", "rb") as file:
        text = what(file.read())
    if text is None:
        os.remove("bad/certificate.csv")
    else:
        with open("bad/certificate.csv", "wb") as file:
            file.write(text)
    says(title, ("single", "bad", "again"), 2, ["same samples, same parameters: identical\n2 runs"], line)


def changed(run, column_name, value):
    """A run whose summary says something else."""
    shutil.rmtree("bad", ignore_errors=True)
    shutil.copytree(run, "bad")
    (row,) = rows(f"{run}/summary.csv")
    row[column_name] = value
    with open("bad/summary.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        writer.writeheader()
        writer.writerow(row)


def of_one_rank():
    train("single", 0)
    train("again", 0)
    train("faster", 0, "--learning-rate", "0.002")
    train("ends", 0, "--certificate-every", "0")
    train("other", 0, "--seed", "6")
    train("longer", 0, "--epochs", "3")
    train("without", 0, "--certificate", "off")
    tap.check("a row a step, with its epoch", column("single", "step") == [str(1 + i) for i in range(STEPS)]
              and column("single", "epoch") == ["1"] * 6 + ["2"] * 6, f"{rows('single/certificate.csv')[:1]}")
    hashed = {run: [int(row["step"]) for row in rows(f"{run}/certificate.csv") if row["parameters_hash"]]
              for run in ("single", "ends")}
    tap.check("hashes every 4 steps and at the epochs' ends", hashed == {"single": [4, 6, 8, 12], "ends": [6, 12]},
              f"{hashed}")
    tap.check("the last is summary.csv's", column("single", "parameters_hash")[-1]
              == rows("single/summary.csv")[0]["parameters_hash"], "another one")
    samples = column("single", "samples_hash")
    tap.check("each step has samples of its own", len(set(samples)) == STEPS, f"{samples}")
    same = "same samples, same parameters: identical"
    says("the same run twice is identical", ("single", "again"), 0, [same, "2 runs, 12 steps", "4 hashes"])
    says("also where one has fewer hashes", ("single", "ends"), 0, [same, "12 steps", "2 hashes"])
    says("and as far as the shorter goes", ("single", "longer"), 0, [same, "12 steps", "4 hashes", "(longer"])
    says("another learning rate parts in the parameters", ("single", "faster", "again"), 1,
         ["samples: identical in 12 steps", "parameters: part at step 4 (epoch 1)", "none is known before step 4",
          "learning rate is 0.001 in single but 0.002 in faster", "step  epoch  faster  again"],
         "not identical: same samples, but the parameters of faster part from those of single at step 4")
    says("another seed cannot be certified", ("single", "other"), 2, [],
         "other: its samples cannot be those of the first run: seed is 5 in single but 6 in other")
    tap.check("another seed has other samples from step 1 on",
              not set(samples) & set(column("other", "samples_hash")), "some are the same")
    tap.check("--certificate off writes none", not os.path.exists("without/certificate.csv"), "it is there")
    says("a run without one is named", ("single", "without", "again"), 2, [same],
         "without: no certificate: the run had --certificate off")
    says("one run is not enough", ("single",), 2, [], "expected two runs or more")
    says("nor is one twice", ("single", "single"), 2, [], "are the same run")


def of_damage():
    damaged("cut in a line", lambda text: text[:2000], "certificate.csv: line 5: ")
    damaged("cut after a line", lambda text: text[:text.rindex(b"\n12,") + 1], "has 11 steps where summary.csv has 12")
    damaged("a digit changed", lambda text: text[:-10] + (b"1" if text[-10:-9] == b"0" else b"0") + text[-9:],
            "it was edited")
    damaged("two lines exchanged", lambda text: b"\n".join([*text.split(b"\n")[:2], *text.split(b"\n")[2:4][::-1],
                                                            *text.split(b"\n")[4:]]),
            "line 3: expected the next step's number, found '3'")
    damaged("a hash cut short", lambda text: text.replace(b"\n1,1,", b"\n1,1,z", 1), "expected 16 hex digits")
    damaged("columns of another version", lambda text: text.replace(b"samples_hash", b"ids_hash", 1),
            "expected column 3 to be samples_hash, found 'ids_hash'")
    damaged("empty", lambda text: b"", "the file is empty")
    damaged("no text", lambda text: b"\0" * 100, "not a CSV file")
    damaged("gone", lambda text: None, "bad/certificate.csv: cannot read: No such file")
    damaged("another run's", lambda text: open("faster/certificate.csv", "rb").read(), "it was edited")
    changed("again", "certificate_version", "99")
    says("a newer version", ("single", "bad"), 2, [], "bad: certificate version '99' is unknown: this lockstep reads")
    os.remove("bad/summary.csv")
    says("a run still being written", ("single", "bad", "again"), 2, ["identical\n2 runs"], "bad: no summary.csv")
    report = subprocess.run([lockstep, "report", "single", "again", "faster", "--allow", "optimizer"],
                            capture_output=True, text=True)
    tap.check("a line under the speedup table", "\nsame samples in all runs, step by step, by their certificates; the "
              "parameters part" in report.stdout, f"{report}")


def of_ranks():
    if not shutil.which("mpirun"):
        tap.skip("ranks", "mpirun is not installed")
        return
    train("ddp", 2, "--mode", "ddp")
    train("dp", 3, "--mode", "dp", "--global-batch", "33")
    train("whole", 0, "--global-batch", "33")
    says("ddp at 2 ranks has single's samples, not its bits", ("single", "ddp"), 1,
         ["samples: identical in 12 steps", "ranks is 1 in single but 2 in ddp"], "same samples, but the parameters")
    distances = [float(line.split()[-1]) for line in certify("single", "ddp")[1].splitlines() if line.strip()[:1].isdigit()]
    tap.check("their distance is rounding's, and grows", len(distances) == 4 and 0 < distances[0] < distances[-1] < 1e-5,
              f"{distances}")
    tap.check("dp at 3 ranks has a single run's samples", column("dp", "samples_hash") == column("whole", "samples_hash"),
              "others")
    strict = ["--strict", "--lanes", "4"]
    train("strict", 0, *strict)
    train("strict 2", 2, "--mode", "ddp", *strict)
    says("--strict at 1 and 2 ranks is identical", ("strict", "strict 2"), 0,
         ["same samples, same parameters: identical", "4 hashes"])
    train("average", 0, "--ema", "0.9", *strict)
    train("average 2", 2, "--mode", "ddp", "--ema", "0.9", *strict)
    train("average other", 0, "--ema", "0.8", *strict)
    tap.check("--ema: a hash of the average beside each of the parameters'",
              [bool(text) for text in column("average", "average_hash")]
              == [bool(text) for text in column("average", "parameters_hash")]
              and "average_hash" not in rows("strict/certificate.csv")[0], f"{column('average', 'average_hash')}")
    says("their averages are certified", ("average", "average 2"), 0,
         ["same samples, same parameters, same moving average: identical", "4 hashes"])
    says("also where they alone differ", ("average", "average other"), 1,
         ["parameters: identical", "moving average: part at step 4 (epoch 1)", "moving average is 0.9 in average but 0.8"],
         "same samples and parameters, but the moving average of average other parts from that of average at step 4")
    says("a run without one has the same parameters", ("strict", "average"), 0, ["same samples, same parameters: identical"])


with tempfile.TemporaryDirectory() as work:
    os.chdir(work)
    kit.pack(lockstep, "data", 176, "--size", "8", "--test-images", "20")
    of_one_rank()
    of_damage()
    of_ranks()
    os.chdir("/")
sys.exit(tap.done())
