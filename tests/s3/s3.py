#!/usr/bin/env python3
"""The S3 client against moto's server and one that drops, delays, refuses and cuts.

usage: s3.py CLIENT   (run with a Python that has moto's server and boto3)

Prints TAP; without moto the plan says skipped.
"""
import os
import signal
import subprocess
import sys
import tempfile
import time

try:
    import moto.server  # noqa: F401
except ImportError as missing:
    print(f"1..0 # SKIP {missing}")
    sys.exit(0)
here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, "..", "modes")]
from kit import Tap  # noqa: E402
from server import KEYS, REGION, Server  # noqa: E402

client = os.path.abspath(sys.argv[1])
work = tempfile.TemporaryDirectory(prefix="lockstep-s3-")
server = Server()
store = server.store()
tap = Tap()
MIB = 1 << 20


def case(name, right, detail=""):
    tap.check(name, right, str(detail).replace("\n", "\n# "))


def at(name):
    return os.path.join(work.name, name)


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    kept.update(HOME=at("home"), AWS_ENDPOINT_URL=server.url, AWS_REGION=REGION, CLIENT_PAUSE="0.01",
                CLIENT_STALL="1", CLIENT_PART_BYTES=str(5 * MIB), AWS_EC2_METADATA_DISABLED="true",
                AWS_ACCESS_KEY_ID="AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY=KEYS["AKIDEXAMPLE"])
    kept.update(more)
    return {name: value for name, value in kept.items() if value is not None}


def call(what, key, path, bucket="runs", **more):
    done = subprocess.run([client, what, bucket, key, path], capture_output=True, text=True, timeout=100,
                          env=environment(**more))
    retries = int(done.stdout) if done.stdout.strip() else -1
    return done.returncode, retries, done.stderr.strip()


def put(key, path, faults=(), always=None, **more):
    server.clear()
    server.faults, server.always = list(faults), always
    return call("put", key, path, **more)


def make(name, count):
    with open(at(name), "wb") as file:
        file.write(os.urandom(count))
    return at(name)


def holds(key, path):
    with open(path, "rb") as file:
        return store.get_object(Bucket="runs", Key=key)["Body"].read() == file.read()


def left_over():
    return store.list_multipart_uploads(Bucket="runs").get("Uploads", [])


def check_keys(small):
    for key in ("plain.h5", "a b+c", "größe/ä~(1)'!*.h5", "q?x=1&y#z", "per%20cent%", "a//b"):
        found = put(key, small)
        case(f"a key: {key}", found[0] == 0 and not server.wrong and holds(key, small), (found, server.wrong))
    empty = make("empty", 0)
    case("an empty file", put("empty", empty)[0] == 0 and holds("empty", empty), server.wrong)


def check_parts(large):
    found = put("large", large)
    case("a file in three parts", found[:2] == (0, 0) and holds("large", large) and not server.wrong and
         len(server.requests) == 5 and not left_over(), (found, server.requests, server.wrong))


def check_faults(large, small):
    """One fault at each request of an upload in parts (create, three parts, complete). libcurl itself tries again
    where a connection that it had used before ends without an answer; an answer without a body cannot be cut."""
    for fault in ("drop", "503", "500", "lose", "cut", "stall"):
        bad = []
        for number in range(5):
            store.delete_object(Bucket="runs", Key="fault")
            found = put("fault", large, [None] * number + [fault])
            if found[0] or server.wrong or not holds("fault", large) or len(server.requests) < 5 + (fault != "cut"):
                bad.append((number, found, server.requests, server.wrong))
        case(f"{fault} at any request is tried again", not bad, bad)
    case("of creations whose answer was lost nothing is left", not left_over(), left_over())
    other = store.create_multipart_upload(Bucket="runs", Key="faults")["UploadId"]
    put("fault", large, ["lose"])
    case("and another key's uploads stay", [upload["UploadId"] for upload in left_over()] == [other], left_over())
    store.abort_multipart_upload(Bucket="runs", Key="faults", UploadId=other)
    found = put("fault", large, [None] * 4 + ["error200"])
    case("an error that says 200 is tried again", found[:2] == (0, 1), (found, server.requests))
    found = put("fault", small, ["drop", "503", "lose", "500"])
    case("four faults in a row are", found[0] == 0 and len(server.requests) >= 5 and holds("fault", small), found)


def check_refusals(large, small):
    found = put("denied", small, always="403")
    case("403 is not tried again", found[0] == 1 and found[1] == 0 and len(server.requests) == 1 and
         "403 AccessDenied: spoilt & so on" in found[2] and found[2].count("\n") == 0, found)
    found = put("denied", large, [None, None, "403"])
    case("a part that is refused ends the upload, and nothing of it is left",
         found[0] == 1 and "AccessDenied" in found[2] and not left_over() and
         server.requests[-1].startswith("DELETE "), (found, server.requests, left_over()))
    found = put("busy", small, always="503", CLIENT_ATTEMPTS="3")
    case("a server that stays busy is given up", found[0] == 1 and found[1] == 2 and
         "503 SlowDown" in found[2] and "(3 tries)" in found[2], found)
    found = put("nowhere", small, AWS_ENDPOINT_URL="http://127.0.0.1:9", CLIENT_ATTEMPTS="2")
    case("a server that is not there", found[0] == 1 and "(2 tries)" in found[2], found)
    found = put("x", small, bucket="other")
    case("a bucket that is not there", found[0] == 1 and found[1] == 0 and "404 NoSuchBucket" in found[2], found)
    found = put("x", small, AWS_SECRET_ACCESS_KEY="wrong")
    case("a wrong key", found[0] == 1 and "SignatureDoesNotMatch" in found[2] and server.wrong, found)


def check_nothing_left(large):
    """What an upload that comes to nothing has put there goes, too."""
    found = put("left", large, [None, None] + ["503"] * 3, CLIENT_ATTEMPTS="3")
    case("a part that fails until the tries are over: nothing of the upload is left",
         found[0] == 1 and "503 SlowDown" in found[2] and not left_over() and
         server.requests[-1].startswith("DELETE "), (found, server.requests, left_over()))
    server.clear()
    server.faults, server.stall_seconds = [None, None, "stall"], 20
    with subprocess.Popen([client, "put", "runs", "left", large], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env=environment(CLIENT_STALL="60")) as process:
        until = time.monotonic() + 60
        while len(server.requests) < 3 and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=60)
    server.stall_seconds = 3
    case("an upload that is given up while a part goes: nothing of it is left",
         process.returncode == 1 and "PUT given up" in error and not left_over() and
         server.requests[-1].startswith("DELETE "), (process.returncode, error, server.requests, left_over()))


def check_role(large, small):
    """Credentials of a role end while a client uses them."""
    role = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_EC2_METADATA_DISABLED": None,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": server.url}
    server.has_role, server.sessions, server.roles = True, 0, [("ROLEKEY", 100), ("ROLEKEY2", 21600)]
    found = put("role", large, **role)
    case("a role's credentials that end soon: the next ones are asked for, with a new token", found[:2] == (0, 0) and
         not server.wrong and set(server.keys) == {"ROLEKEY2"} and server.sessions == 2 and holds("role", large),
         (found, server.wrong, server.keys, server.sessions))
    server.roles = [("ROLEKEY", 21600), ("ROLEKEY2", 21600)]
    found = put("role", large, [None, None, "expired"], **role)
    case("a role's credentials that have ended: the request is made again with the next ones", found[:2] == (0, 1) and
         not server.wrong and server.keys == ["ROLEKEY"] * 3 + ["ROLEKEY2"] * 3 and not left_over(),
         (found, server.wrong, server.keys))
    server.roles = [("ROLEKEY", 21600)]
    found = put("role", small, always="expired", **role)
    case("a role that has no next ones", found[0] == 1 and "400 ExpiredToken" in found[2] and len(server.requests) == 1,
         (found, server.requests))
    server.has_role = False
    found = put("role", small, always="expired")
    case("credentials of the environment that have ended", found[0] == 1 and "400 ExpiredToken" in found[2] and
         len(server.requests) == 1, (found, server.requests))


def check_get(large):
    store.upload_file(large, "runs", "get")
    for faults in ([], ["cut"], ["drop", "503", "cut"]):
        server.clear()
        server.faults = list(faults)
        found = call("get", "get", at("got"))
        with open(large, "rb") as one, open(at("got"), "rb") as other:
            same = one.read() == other.read()
        case(f"read back, faults: {', '.join(faults) or 'none'}",
             found[:2] == (0, len(faults)) and same and not server.wrong, (found, server.wrong))
        os.remove(at("got"))
    server.clear()
    found = call("get", "absent", at("got"))
    case("an object that is not there", found[0] == 1 and "404 NoSuchKey" in found[2] and not os.path.exists(at("got")),
         found)
    server.clear()
    server.always = "cut"
    found = call("get", "get", at("got"), CLIENT_ATTEMPTS="2")
    case("an object that never comes whole leaves no file", found[0] == 1 and "got" not in
         " ".join(os.listdir(work.name)), (found, os.listdir(work.name)))


def check_credentials(small):
    none = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    found = put("x", small, **none)
    case("no credentials", found[0] == 2 and "no credentials for S3" in found[2], found)
    found = put("x", small, AWS_SECRET_ACCESS_KEY=None)
    case("half of them", found[0] == 2 and "AWS_SECRET_ACCESS_KEY is not" in found[2], found)
    os.makedirs(at("home/.aws"))
    with open(at("home/.aws/credentials"), "w", encoding="ascii") as file:
        file.write(f"# ours\n[default]\naws_access_key_id=nobody\naws_secret_access_key = x\n\n[team]\n"
                   f"aws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = {KEYS['AKIDEXAMPLE']}\n"
                   f"[half]\naws_access_key_id = AKIDEXAMPLE\n")
    with open(at("home/.aws/config"), "w", encoding="ascii") as file:
        file.write(f"[default]\nregion = us-west-1\n[profile team]\nregion = {REGION}\n")
    found = put("x", small, **none, AWS_PROFILE="team", AWS_REGION=None)
    case("a profile's credentials and region", found[0] == 0 and not server.wrong, (found, server.wrong))
    found = put("x", small, **none, AWS_PROFILE="half")
    case("half a profile", found[0] == 2 and "has no aws_secret_access_key" in found[2], found)
    os.remove(at("home/.aws/credentials"))
    role = {**none, "AWS_EC2_METADATA_DISABLED": None, "AWS_EC2_METADATA_SERVICE_ENDPOINT": server.url}
    server.has_role = True
    found = put("x", small, **role)
    case("an instance's role, its token signed", found[0] == 0 and not server.wrong, (found, server.wrong))
    server.has_role = False
    found = put("x", small, **role)
    case("an instance without a role", found[0] == 2 and "no credentials" in found[2], found)
    found = put("x", small, AWS_ENDPOINT_URL="ftp://x")
    case("an endpoint that is none", found[0] == 2 and "AWS_ENDPOINT_URL" in found[2], found)


def main():
    store.create_bucket(Bucket="runs")
    small, large = make("small", 70000), make("large", 12 * MIB + 17)
    check_keys(small)
    check_parts(large)
    check_faults(large, small)
    check_refusals(large, small)
    check_nothing_left(large)
    check_role(large, small)
    check_get(large)
    check_credentials(small)


try:
    main()
finally:
    server.close()
    work.cleanup()
sys.exit(tap.done())
