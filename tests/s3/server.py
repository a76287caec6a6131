"""A server of S3 for tests: moto's, behind a proxy that checks what a real one would (the signature
of every request, recomputed here, and the SHA-256 of its body) and spoils answers on demand.

It also plays an instance's metadata service, at /latest/.
"""
import hashlib
import hmac
import http.client
import http.server
import logging
import re
import socket
import threading
import time
import urllib.parse

KEYS = {"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "ROLEKEY": "role/secret", "ROLEKEY2": "next/secret"}
TOKENS = {"ROLEKEY": "role token//with+signs==", "ROLEKEY2": "the next one=="}
REGION = "eu-test-7"


def quoted(text):
    return urllib.parse.quote(text, safe="-_.~")


def signature(method, target, headers, authorization):
    """What Signature Version 4 makes of a request, by its description alone."""
    found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?"
                         r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})", authorization or "")
    if not found:
        return None, f"Authorization: {authorization}"
    key, day, region, signed, given = found.groups()
    path, _, query = target.partition("?")
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    pairs = sorted((quoted(urllib.parse.unquote(a)), quoted(urllib.parse.unquote(b))) for a, _, b in pairs)
    for needed in ("host", "x-amz-content-sha256", "x-amz-date"):
        if needed not in signed.split(";"):
            return None, f"{needed} is not signed"
    unsent = [name for name in signed.split(";") if name not in headers]
    if unsent:
        return None, f"signed, but not sent: {unsent}"
    canonical = "\n".join([
        method, "/".join(quoted(urllib.parse.unquote(part)) for part in path.split("/")),
        "&".join(f"{a}={b}" for a, b in pairs),
        *(f"{name}:{' '.join(headers[name].split())}" for name in signed.split(";")), "",
        signed, headers["x-amz-content-sha256"]])
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], f"{day}/{region}/s3/aws4_request",
                      hashlib.sha256(canonical.encode()).hexdigest()])
    secret = ("AWS4" + KEYS.get(key, "")).encode()
    for part in (day, region, "s3", "aws4_request"):
        secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
    wanted = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
    if key not in KEYS or region != REGION or wanted != given:
        return None, f"signature of {canonical!r}"
    if headers.get("x-amz-security-token") != TOKENS.get(key):
        return None, f"token {headers.get('x-amz-security-token')}"
    if key in TOKENS and "x-amz-security-token" not in signed:
        return None, "the token is not signed"
    return key, ""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status, code, message="spoilt"):
        self.answer(status, f"<?xml version=\"1.0\"?><Error><Code>{code}</Code>"
                    f"<Message>{message} &amp; so on</Message></Error>".encode())

    def hang_up(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def metadata(self):
        owner = self.server.owner
        if not owner.has_role:
            self.answer(404)
        elif self.path == "/latest/api/token" and self.command == "PUT":
            owner.sessions += 1
            self.answer(200, b"session-%d" % owner.sessions)
        elif self.headers.get("X-aws-ec2-metadata-token") != f"session-{owner.sessions}":
            self.answer(401)
        elif self.path == "/latest/meta-data/iam/security-credentials/":
            self.answer(200, b"trainer\n")
        elif self.path == "/latest/meta-data/iam/security-credentials/trainer":
            key, seconds = owner.roles.pop(0) if len(owner.roles) > 1 else owner.roles[0]
            until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
            self.answer(200, f'{{\n "Code" : "Success",\n "AccessKeyId" : "{key}",\n "SecretAccessKey" : '
                        f'"{KEYS[key]}",\n "Token" : "{TOKENS[key]}",\n "Expiration" : "{until}"\n}}'.encode())
        else:
            self.answer(404)

    def handle_one(self):
        owner = self.server.owner
        if self.path.startswith("/latest/"):
            self.metadata()
            return
        with owner.lock:
            owner.requests.append(f"{self.command} {self.path}")
            fault = owner.faults.pop(0) if owner.faults else owner.always
        if fault == "drop":
            self.hang_up()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault == "stall":
            time.sleep(owner.stall_seconds)
            self.hang_up()
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        key, wrong = signature(self.command, self.path, headers, headers.get("authorization"))
        if not wrong and hashlib.sha256(body).hexdigest() != headers["x-amz-content-sha256"]:
            wrong = "the body's SHA-256"
        owner.keys.append(key)
        if wrong:
            owner.wrong.append(wrong)
            self.error(403, "SignatureDoesNotMatch", "not ours")
        elif fault == "expired":
            self.error(400, "ExpiredToken")
        elif fault == "503":
            self.error(503, "SlowDown")
        elif fault == "500":
            self.error(500, "InternalError")
        elif fault == "403":
            self.error(403, "AccessDenied")
        else:
            self.forward(body, headers, fault)

    def forward(self, body, headers, fault):
        backend = http.client.HTTPConnection("127.0.0.1", self.server.owner.backend, timeout=30)
        backend.request(self.command, self.path, body, headers)
        answer = backend.getresponse()
        text = answer.read()
        if fault == "lose":
            self.hang_up()
            return
        if fault == "error200":
            self.error(200, "InternalError")
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "server", "date"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(text))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault == "cut":
            self.wfile.write(text[:len(text) // 2])
            self.hang_up()
            return
        self.wfile.write(text)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one


class Server:
    """faults: for the next requests, one each: None, "drop", "stall", "503", "500", "403", "lose" (done,
    not answered), "cut" (half an answer), "error200". always: for those after."""

    def __init__(self):
        from moto.server import ThreadedMotoServer  # many packages: only where it is used
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.moto.start()
        self.backend = self.moto.get_host_and_port()[1]
        self.lock = threading.Lock()
        self.stall_seconds = 3
        self.has_role, self.sessions = False, 0
        self.roles = [("ROLEKEY", 21600)]  # keys and their seconds, one a question; the last again and again
        self.clear()
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.owner = self
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def clear(self):
        self.requests, self.keys, self.faults, self.wrong, self.always = [], [], [], [], None

    def store(self):
        """The buckets themselves, past the proxy."""
        import boto3
        return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.backend}", region_name="us-east-1",
                            aws_access_key_id="x", aws_secret_access_key="x")

    def close(self):
        self.http.shutdown()
        self.moto.stop()
