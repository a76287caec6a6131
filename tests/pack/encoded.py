#!/usr/bin/env python3
"""`lockstep pack images --encoded` as a user calls it: what it takes, what it refuses, each in one
line; what it leaves out; that it goes on where it was killed; its memory.

usage: encoded.py LOCKSTEP [VANISH]     VANISH: vanish.c's library, for a program without sanitisers
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, "..", "support")]
from pictures import jpeg, png  # noqa: E402
from tap import Tap  # noqa: E402

lockstep = os.path.abspath(sys.argv[1])
vanish = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else None
tap = Tap()
case, skip = tap.check, tap.skip
environment = {key: value for key, value in os.environ.items()
               if key not in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")}
NOBODY = 65534


def pack(*words, user=None):
    return subprocess.run([lockstep, "pack", *words], capture_output=True, env=environment,
                          timeout=120, user=user)


def encode(source, out, *more, user=None):
    return pack("images", source, out, "--encoded", *more, user=user)


def refused(name, text, done, code=2, left=None):
    """One line that holds the text, no output, and nothing left of OUT."""
    lines = done.stderr.decode(errors="replace").splitlines()
    case(name, done.returncode == code and len(lines) == 1 and lines[0].startswith("lockstep: ") and
         text in lines[0] and not done.stdout and (left is None or not os.path.exists(left)),
         f"{done.returncode}: {done.stderr!r} {done.stdout!r}")


def packed(name, done, *texts):
    said = done.stdout.decode(errors="replace")
    case(name, done.returncode == 0 and not done.stderr and all(text in said for text in texts),
         f"{done.returncode}: {done.stderr!r} {said}")


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def tree(folder, files):
    """A folder of images: {"train/cat/1.jpg": bytes}."""
    for name, content in files.items():
        write(os.path.join(os.fsencode(folder), name if isinstance(name, bytes) else name.encode()),
              content)
    return folder


def good(folder, count=4):
    return tree(folder, {f"{split}/{name}/{n}.jpg": jpeg(f"{split}{name}{n}")
                         for split in ("train", "val") for name in ("cat", "dog")
                         for n in range(count)})


def lines_of(path):
    with open(path) as file:
        return [line.rstrip("\n").split("\t") for line in file]


def check_options():
    source = good("good")
    refused("--skip-bad without --encoded", "--skip-bad: has no meaning",
            pack("images", source, "out", "--size", "32", "--skip-bad"), left="out")
    refused("--size with --encoded", "--size: has no meaning for pack images --encoded",
            encode(source, "out", "--size", "32"), left="out")
    refused("--encoded of another source", "--encoded: has no meaning for pack synthetic",
            pack("synthetic", "out", "--encoded"), left="out")
    refused("an unknown --check", "--check", encode(source, "out", "--check", "none"), left="out")
    refused("a quality of 0", "--quality", encode(source, "out", "--quality", "0"), left="out")
    refused("more shards than images", "--shards: expected at most",
            encode(source, "out", "--shards", "9"), left="out")
    packed("a folder with train/ and val/", encode(source, "plain"), "8 images in 1 shard",
           "2 classes", "EXIF orientation not applied", "every code read")
    case("its shards, its manifest and nothing else",
         sorted(os.listdir("plain")) == ["manifest.h5", "test-00000.h5", "train-00000.h5"],
         os.listdir("plain"))
    packed("--verify reads it", pack("--verify", "plain"), "8 images in 1 shard")
    refused("a second time", "--force", encode(source, "plain"))
    packed("a second time with --force", encode(source, "plain", "--force"))


def check_classes():
    source = good("classes")
    os.mkdir("classes/train/empty")
    refused("a class without images", "train/empty: expected JPEG files, found an empty folder",
            encode(source, "out"), left="out")
    refused("and with --skip-bad", "train/empty: expected JPEG files",
            encode(source, "out", "--skip-bad"), left="out")
    os.rmdir("classes/train/empty")
    write("classes/val/eel/1.jpg", jpeg("eel"))
    refused("a class in val/ that train/ lacks", "val/eel: expected a class of the training",
            encode(source, "out"), left="out")
    shutil.rmtree("classes/val/eel")
    write("classes/train/list.txt", b"x")
    refused("a file among the classes", "list.txt: expected a class's folder",
            encode(source, "out"), left="out")
    os.remove("classes/train/list.txt")
    os.symlink("loop", "classes/train/loop")
    refused("a link to itself among the classes", "train/loop: expected a class's folder: Too many",
            encode(source, "out"), left="out")
    os.remove("classes/train/loop")
    os.symlink("..", "classes/train/cat/up")
    refused("a link upwards in a class", "cat/up: expected JPEG files", encode(source, "out"),
            left="out")
    packed("which --skip-bad leaves out", encode(source, "skipped", "--skip-bad"), "left out  1")
    case("and names", [line[0] for line in lines_of("skipped/left-out.tsv")] ==
         ["classes/train/cat/up"])
    os.remove("classes/train/cat/up")
    os.symlink("1.jpg", "classes/train/cat/again.jpg")
    os.symlink("none.jpg", "classes/train/cat/dangling.jpg")
    refused("a link to nowhere", "dangling.jpg: expected a JPEG file: No such file",
            encode(source, "out"), left="out")
    os.remove("classes/train/cat/dangling.jpg")
    packed("a link to an image is one", encode(source, "linked"), "9 images in 1 shard")


def check_names():
    names = [b"with space.jpg", b"it's.jpg", b'"quoted".JPG', b"new\nline.jpeg", b"tab\there.jpg",
             b"caf\xe9.jpg", "été.jpg".encode(), b"-dash.jpg", b"back\\slash.jpg", b"%s%n.jpg"]
    files = {b"train/a b/" + name: jpeg(str(n)) for n, name in enumerate(names)}
    files["val/a b/1.jpg"] = jpeg("v")
    source = tree("names", files)
    packed("names of files with spaces, quotes, newlines, of no UTF-8", encode(source, "named"),
           f"{len(names)} images")
    write(b"names/train/a b/bad\ncaf\xe9.jpg", b"no image")
    refused("a broken one's name stays in one line", "expected a whole JPEG file",
            encode(source, "broken"))
    packed("and one line in the list", encode(source, "listed", "--skip-bad"), "left out  1")
    found = lines_of("listed/left-out.tsv")
    case("with its bytes told", len(found) == 1 and
         found[0][0] == "names/train/a b/bad\\x0Acaf\\xE9.jpg", found)
    for bad, text in ((b"new\nline", "without control characters"), (b"caf\xe9", "UTF-8")):
        write(b"bad_class/train/" + bad + b"/1.jpg", jpeg("x"))
        write(b"bad_class/val/" + bad + b"/1.jpg", jpeg("y"))
        refused(f"a class {bad!r}", text, encode("bad_class", "out"), left="out")
        shutil.rmtree("bad_class")
    os.makedirs("many/train")
    for n in range(10000):
        write(f"many/train/class {n:05}/1.jpg", jpeg(n))
        if n % 100 == 0:
            write(f"many/val/class {n:05}/1.jpg", jpeg(n))
    packed("10,000 classes", encode("many", "tenthousand"), "10000 images", "10000 classes")
    shutil.rmtree("many")


BAD = {"empty.jpg": (b"", "found 0 bytes"),
       "text.jpg": (b"no picture", "Not a JPEG file"),
       "page.jpg": (b"<!DOCTYPE html><html>", "found HTML"),
       "gif.JPEG": (b"GIF89a....", "found GIF"),
       "webp.jpg": (b"RIFF\0\0\0\0WEBPVP8 ", "found WebP"),
       "cut.jpg": (jpeg("cut")[:-150], "Premature end"),
       "header.jpg": (jpeg("cut")[:200], "expected a whole JPEG file"),
       "bomb.jpg": (jpeg("bomb").replace(b"\xff\xc0\x00\x11\x08\x00\x10\x00\x18",
                                         b"\xff\xc0\x00\x11\x08\xff\xdc\xff\xdc"), "more pixels"),
       "bomb.png": (png(1, 1).replace(b"\0\0\0\1\0\0\0\1", b"\0\0\xff\xdc\0\0\xff\xdc"),
                    "65500 x 65500"),
       "cut.png": (png(50, 50)[:-40], "PNG"),
       "notes.txt": (b"x", "expected JPEG files")}


def check_files():
    source = good("files", 2)
    for name, (content, text) in BAD.items():
        write("files/train/cat/" + name, content)
        for check in ("decode", "header"):
            refused(f"{name}, --check {check}", f"files/train/cat/{name}: ",
                    encode(source, "out", "--check", check))
            shutil.rmtree("out", ignore_errors=True)
        os.remove("files/train/cat/" + name)
    for name, (content, text) in BAD.items():
        write("files/train/cat/" + name, content)
    os.mkfifo("files/train/dog/pipe.jpg")
    done = encode(source, "out")
    shutil.rmtree("out", ignore_errors=True)
    # By its name alone, before any file is read.
    case("a file of another kind is named first", b"notes.txt" in done.stderr)
    os.remove("files/train/cat/notes.txt")
    done = encode(source, "out")
    lines = done.stderr.decode().splitlines()
    case("all that are damaged are named, and counted", done.returncode == 2 and
         len(lines) == len(BAD) + 1 and f"{len(BAD)} damaged files, named above" in lines[-1] and
         all(sum(f"cat/{name}: " in line for line in lines) == 1
             for name in BAD if name != "notes.txt"), done.stderr)
    packed("--skip-bad leaves them out", encode(source, "out", "--skip-bad"),
           f"left out  {len(BAD)} files")
    left = dict(lines_of("out/left-out.tsv"))
    case("and lists each with its reason", len(left) == len(BAD) and
         all(text in left[f"files/train/cat/{name}"] for name, (_, text) in BAD.items()
             if name != "notes.txt") and "regular" in left["files/train/dog/pipe.jpg"], left)
    packed("which is whole", pack("--verify", "out"))
    many = tree("bad", {f"train/cat/{n}.jpg": b"bad" for n in range(45)})
    tree("bad", {"val/cat/1.jpg": jpeg("v")})
    done = encode(many, "none")
    case("45 damaged files are named up to a page", len(done.stderr.splitlines()) == 21 and
         b"perhaps more" in done.stderr, done.stderr)
    refused("nothing that can be packed", "none can be packed", encode(many, "none", "--skip-bad"))
    one = good("unreadable", 2)
    os.chmod("unreadable/train/cat/1.jpg", 0)
    user = NOBODY if os.getuid() == 0 else None
    os.makedirs("theirs")
    os.chmod("theirs", 0o777)
    if user and subprocess.run([lockstep, "--version"], capture_output=True, user=user).returncode:
        skip("an unreadable file", "the binary is not for others")
    else:
        refused("an unreadable file", "cat/1.jpg: expected a readable JPEG file: Permission",
                encode(one, "theirs/out", user=user))


def check_conversions():
    source = good("odd", 1)
    tree(source, {"train/cat/cmyk.jpg": jpeg("c", "cmyk"), "train/cat/grey.jpg": jpeg("g", "grey"),
                  "train/cat/named.jpg": png(30, 40), "train/cat/deep.png": png(30, 40, 16, 6),
                  "train/cat/grey16.png": png(30, 40, 16, 0)})
    packed("CMYK and PNG become JPEG", encode(source, "converted"), "converted 4 files", "7 images")
    found = dict(lines_of("converted/converted.tsv"))
    case("and are listed", sorted(found.values()) == ["CMYK", "PNG", "PNG", "PNG"] and
         found["odd/train/cat/cmyk.jpg"] == "CMYK", found)
    packed("a second pass over what came of it", pack("--verify", "converted"), "converted 4 files")
    packed("--max-side shrinks", encode(source, "small", "--max-side", "16"), "converted 9 files")


def finished(folder):
    """{shard's name: its inode} of what a pack has finished in a folder."""
    inside = os.path.join(folder, ".packing")
    names = os.listdir(inside) if os.path.isdir(inside) else []
    return {name[:-4]: os.stat(os.path.join(inside, name[:-4])).st_ino for name in names
            if name.endswith(".h5.txt") and not name.startswith(".")}


def start_and_stop(source, out, number, least, *more):
    """Packs until `least` shards are finished, then sends the signal."""
    job = subprocess.Popen([lockstep, "pack", "images", source, out, "--encoded", "--shards", "10",
                            "--threads", "2", *more], env=environment, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while job.poll() is None and len(finished(out)) < least and time.monotonic() < until:
        time.sleep(0.005)
    job.send_signal(number)
    said = job.communicate(timeout=60)
    return job.returncode, said


def identity(said):
    return said.decode().split("data set")[-1].strip()


def check_resuming():
    # PNG files take milliseconds each.
    source = tree("slow", {f"train/cat/{n:03}.jpg": png(400, 500, seed=n + 1) for n in range(40)})
    tree(source, {f"val/cat/{n:03}.jpg": jpeg(n) for n in range(20)})
    whole = encode(source, "whole", "--shards", "10")
    packed("40 slow files in 10 shards", whole, "40 images in 10 shards")
    code, said = start_and_stop(source, "killed", signal.SIGKILL, 5)
    kept = finished("killed")
    case("a kill leaves finished shards and no data set", code == -signal.SIGKILL and
         5 <= len(kept) < 20 and not os.path.exists("killed/manifest.h5"), f"{code} {len(kept)}")
    done = encode(source, "killed", "--shards", "10")
    packed("the same command goes on", done)
    case("to the same data set", identity(done.stdout) == identity(whole.stdout))
    case("with every shard that was finished, as it was",
         all(os.stat(f"killed/{name}").st_ino == inode for name, inode in kept.items()))
    case("and leaves nothing else", sorted(os.listdir("killed")) == sorted(os.listdir("whole")),
         os.listdir("killed"))
    code, said = start_and_stop(source, "stopped", signal.SIGTERM, 3)
    case("a signal is one line that says what stays", code == 143 and not said[0] and
         len(said[1].splitlines()) == 1 and b"goes on from them" in said[1] and
         finished("stopped"), f"{code} {said}")
    os.utime("slow/train/cat/000.jpg", (1, 1))
    kept = finished("stopped")
    done = encode(source, "stopped", "--shards", "10")
    packed("after a file has changed", done)
    moved = {name for name, inode in kept.items() if os.stat(f"stopped/{name}").st_ino != inode}
    case("only its shard is made again", len(moved) <= 1, moved)
    code, said = start_and_stop(source, "other", signal.SIGKILL, 3)
    kept = finished("other")
    done = encode(source, "other", "--shards", "10", "--quality", "50")
    packed("other choices make all again", done, "quality 50")
    case("every shard", not any(os.stat(f"other/{name}").st_ino == inode
                                for name, inode in kept.items() if name.startswith("train")))


def check_mending():
    source = tree("mended", {f"train/cat/{n}.jpg": jpeg(n) for n in range(8)})
    tree(source, {f"val/cat/{n}.jpg": jpeg(n) for n in range(4)})
    write("mended/train/cat/3.jpg", b"broken")
    refused("a damaged file", "cat/3.jpg", encode(source, "late", "--shards", "4"))
    kept = finished("late")
    case("costs its shard alone", len(kept) == 7, kept)
    write("mended/train/cat/3.jpg", jpeg("mended"))
    packed("once it is mended, the rest is taken over", encode(source, "late", "--shards", "4"),
           "8 images in 4 shards")
    case("as it was", all(os.stat(f"late/{name}").st_ino == inode for name, inode in kept.items()))


def peak(*words):
    """A command's largest resident set, in MiB."""
    job = subprocess.Popen([lockstep, "pack", *words], env=environment, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE)
    said = job.stderr.read()
    _, status, usage = os.wait4(job.pid, 0)
    job.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss / 1024, job.returncode, said


def check_vanishing():
    """A file that was there when the folder was listed and is not when it is read."""
    if not vanish:
        skip("a file that vanishes", "a sanitised program takes no library before its own")
        return
    for name, more in ("refused", []), ("left out", ["--skip-bad"]):
        source = good("vanishing")
        gone = "vanishing/train/dog/2.jpg"
        environment.update(LD_PRELOAD=vanish, VANISH_PATH=gone)
        done = encode(source, f"vanished{len(more)}", *more)
        del environment["LD_PRELOAD"], environment["VANISH_PATH"]
        case("it was listed, and is gone", not os.path.exists(gone))
        if not more:
            refused("a file that vanishes is named", f"{gone}: expected a readable JPEG file: No such file", done)
            continue
        packed("--skip-bad leaves it out", done, "left out  1")
        found = lines_of("vanished1/left-out.tsv")
        case("and names it", [line[0] for line in found] == [gone] and "No such file" in found[0][1], found)
        packed("the rest is whole", pack("--verify", "vanished1"), "7 images in 1 shard")


def check_memory():
    # 48 MiB of images and pictures of 36 MB each when they are decoded.
    source = tree("large", {f"train/cat/{n}.jpg": jpeg(n, padding=2 << 20) for n in range(24)})
    tree(source, {f"train/cat/p{n}.jpg": png(3000, 4000, seed=n) for n in range(4)})
    tree(source, {"val/cat/1.jpg": jpeg("v")})
    program, _, _ = peak("--help")
    free, code, said = peak("images", source, "unbound", "--encoded", "--threads", "4", "--shards",
                            "1")
    case("without a bound", code == 0, said)
    with open(lockstep, "rb") as file:
        sanitised = b"__asan_init" in file.read()
    for bound in (200, 260):
        if sanitised:
            skip(f"at most {bound} MiB", "a sanitiser keeps what is freed")
            continue
        used, code, said = peak("images", source, f"bound{bound}", "--encoded", "--threads", "4",
                                "--shards", "1", "--memory", str(bound))
        case(f"at most {bound} MiB", code == 0 and used - program <= bound,
             f"{used - program:.0f} MiB (unbound {free - program:.0f}) {code} {said}")
    refused("too little for a shard", "--memory: expected at least",
            encode(source, "tight", "--memory", "64", "--shards", "1"), left="tight")
    done = encode(source, "tight", "--memory", "120", "--shards", "1")
    lines = done.stderr.decode().splitlines()
    case("too little for a picture: it is named", done.returncode == 2 and len(lines) == 5 and
         sum("decoding it takes" in line for line in lines) == 4, done.stderr)


with tempfile.TemporaryDirectory() as work:
    os.chmod(work, 0o755)
    os.chdir(work)
    check_options()
    check_classes()
    check_names()
    check_files()
    check_conversions()
    check_resuming()
    check_mending()
    check_vanishing()
    check_memory()
sys.exit(tap.done())
