#!/usr/bin/python3
"""`mlgate certs` against files and against an API server that is played here: TLS, tokens, resource versions, conflicts, and
whatever a test wants to go wrong."""
import base64
import http.server
import json
import os
import re
import resource
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402
from harness import expect  # noqa: E402

SECRETS = "/api/v1/namespaces/ml/secrets"
SECRET = SECRETS + "/gate"
MUTATING = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/mlgate"
VALIDATING = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/mlgate"
DAY = 86400
TOKEN = "token-one"
PRIVATE = re.compile(r"PRIVATE|ca\.key: [A-Za-z0-9+/=]{20}|LS0tLS1CRUdJTiBQUklW")


def status(code, message):
    return code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}


class Api:
    """The store and its rules. `before` is called with (method, path, body) and may answer in place of the store; `after` is
    called with (method, path) when the store has answered."""

    def __init__(self):
        self.lock = threading.Lock()
        self.objects, self.version, self.log = {}, 100, []
        self.tokens, self.before, self.after = {TOKEN}, None, None

    def put(self, path, value):
        with self.lock:
            self.version += 1
            self.objects[path] = {**value, "metadata": {**value["metadata"], "resourceVersion": str(self.version)}}

    def writes(self, path=None, code=None):
        return [(method, where, got) for method, where, got in self.log
                if method != "GET" and (not path or where.startswith(path)) and (code is None or got == code)]

    def change(self, method, path, body):
        if method == "POST":
            path = f"{path}/{body['metadata']['name']}"
            if path in self.objects:
                return status(409, "already exists")
        elif path not in self.objects:
            return status(404, "not found")
        else:
            version = body["metadata"].get("resourceVersion")
            if version != self.objects[path]["metadata"]["resourceVersion"]:
                return status(409 if version else 500, "the object has been modified")
        if body.get("type") == "kubernetes.io/tls" and not {"tls.crt", "tls.key"} <= set(body.get("data", {})):
            return status(422, "data[tls.crt]: Required value")
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self.objects[path] = body
        return (201 if method == "POST" else 200), body

    def answer(self, method, path, body):
        if "/namespaces/" in path and not path.startswith("/api/v1/namespaces/ml/"):
            return status(404, "namespaces \"gone\" not found")
        if method == "GET":
            return (200, self.objects[path]) if path in self.objects else status(404, "not found")
        return self.change(method, path, body)

    def handle(self, method, path, body, token):
        reply = self.before(method, path, body) if self.before else None
        if reply is None and token not in self.tokens:
            reply = status(401, "Unauthorized")
        if reply is None:
            with self.lock:
                reply = self.answer(method, path, json.loads(body) if body else None)
                reply = (reply[0], json.dumps(reply[1]))
                self.log.append((method, path, reply[0]))
        else:
            with self.lock:
                self.log.append((method, path, reply[0]))
        if self.after:
            self.after(method, path)
        return reply


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        code, text, *headers = self.server.api.handle(self.command, self.path, body, token)
        text = text.encode() if isinstance(text, str) else text if isinstance(text, bytes) else json.dumps(text).encode()
        self.send_response(code)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        try:
            self.wfile.write(text)
        except OSError:
            pass

    do_GET = do_POST = do_PUT = do_PATCH = any

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, api, pki, client_ca=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.api = api
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(f"{pki}/tls.crt", f"{pki}/tls.key")
        if client_ca:
            self.tls.load_verify_locations(client_ca)
            self.tls.verify_mode = ssl.CERT_REQUIRED
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request, client_address):
        """The handshake belongs to the thread of its connection."""
        request.settimeout(30)
        try:
            with self.tls.wrap_socket(request, server_side=True) as tls:
                super().finish_request(tls, client_address)
        except OSError:
            pass

    @property
    def url(self):
        return f"https://127.0.0.1:{self.server_address[1]}"


WORK = tempfile.TemporaryDirectory(prefix="mg-certs-")
PKI = os.path.join(WORK.name, "api-pki")
COUNT = iter(range(10 ** 6))


def openssl(*args, text=None):
    return subprocess.run(["openssl", *args], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20,
                          check=False).stdout


def run(*args, code=0, env=None):
    """mlgate certs …; never a key in what it says."""
    got, out, err = harness.run(["certs", *args], cwd=WORK.name, env=env)
    expect(got == code, f"{args}: exit {got}, not {code}\n{out}{err}")
    expect(not PRIVATE.search(out + err), f"{args}: a key was printed")
    return out + err


def start(*args):
    return subprocess.Popen([harness.MLGATE, "certs", *args], cwd=WORK.name, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, env=harness.environment())


def together(count, *args):
    """So many at once; their output. All must end well."""
    children = [start(*args) for _ in range(count)]
    outs = []
    for child in children:
        out, _ = child.communicate(timeout=60)
        expect(child.returncode == 0, f"exit {child.returncode}: {out}")
        expect(not PRIVATE.search(out), "a key was printed")
        outs.append(out)
    return outs


def write(name, text):
    path = os.path.join(WORK.name, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


class World:
    """An API server with its objects, and mlgate's arguments for it."""

    def __init__(self, hooks=True):
        self.api = Api()
        self.server = Server(self.api, PKI)
        self.token = write(f"token-{next(COUNT)}", TOKEN + "\n")
        if hooks:
            for path, kind in ((MUTATING, "Mutating"), (VALIDATING, "Validating")):
                self.api.put(path, {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind + "WebhookConfiguration",
                                    "metadata": {"name": "mlgate", "labels": {"kept": "yes"}},
                                    "webhooks": [{"name": f"{i}.mlgate.dev", "timeoutSeconds": 5,
                                                  "clientConfig": {"service": {"name": "mlgate", "port": 443}}}
                                                 for i in range(2)]})

    def args(self, word, *more, secret="ml/gate", hooks=True):
        return [word, "--secret", secret, "--server", self.server.url, "--ca-file", f"{PKI}/ca.crt", "--token-file", self.token,
                *(["--patch-webhooks", "mlgate"] if hooks else []), *more]

    def run(self, word, *more, code=0, **how):
        return run(*self.args(word, *more, **how), code=code)

    def data(self):
        return {key: base64.b64decode(value).decode() for key, value in self.api.objects[SECRET]["data"].items()}

    def bundles(self):
        return {base64.b64decode(hook["clientConfig"]["caBundle"]).decode() for path in (MUTATING, VALIDATING)
                for hook in self.api.objects[path]["webhooks"]}

    def followed(self):
        expect(self.bundles() == {self.data()["ca.crt"]}, "caBundle is not ca.crt")

    def good(self, when=None):
        """The chain, as openssl sees it; keys that match."""
        data = self.data()
        ca, leaf = write("verify-ca", data["ca.crt"]), write("verify-leaf", data["tls.crt"])
        at = ["-attime", str(when)] if when else []
        out = openssl("verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "mlgate.mlgate-system.svc", *at,
                      "-CAfile", ca, leaf)
        expect(out.strip().endswith(": OK"), out)
        expect(openssl("x509", "-noout", "-pubkey", text=data["tls.crt"]) == openssl("pkey", "-pubout", text=data["tls.key"]),
               "tls.key is not the key of tls.crt")


def certs_of(bundle):
    return re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", bundle, re.S)


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


# --- the Secret ------------------------------------------------------------------------------------------------------

def create_secret():
    world = World()
    world.run("create")
    secret = world.api.objects[SECRET]
    expect(secret["type"] == "kubernetes.io/tls" and secret["kind"] == "Secret", secret["type"])
    expect(set(secret["data"]) == {"ca.crt", "ca.key", "tls.crt", "tls.key"}, str(set(secret["data"])))
    world.good()
    world.followed()
    expect(world.api.objects[MUTATING]["metadata"]["labels"] == {"kept": "yes"}, "labels were lost")
    expect(world.api.objects[MUTATING]["webhooks"][1]["timeoutSeconds"] == 5, "other fields were lost")
    world.api.log.clear()
    out = world.run("create")
    expect("nothing to do" in out and not world.api.writes(), f"a second create wrote {world.api.writes()}\n{out}")
    before = world.data()
    world.run("create", "--dns", "more.example")
    after = world.data()
    expect(after["ca.crt"] == before["ca.crt"] and after["tls.crt"] != before["tls.crt"], "a new name must make a new leaf alone")
    world.run("create", "--force")
    expect(world.data()["ca.crt"] != before["ca.crt"], "--force kept the authority")
    world.good()
    world.followed()


def placeholder():
    world = World(hooks=False)
    world.api.put(SECRET, {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                           "data": {"tls.crt": "", "tls.key": "", "note": "aGVsbG8="},
                           "metadata": {"name": "gate", "annotations": {"a": "b"}}})
    world.run("create", hooks=False)
    expect(world.data()["note"] == "hello", "another key was lost")
    expect(world.api.objects[SECRET]["metadata"]["annotations"] == {"a": "b"}, "annotations were lost")
    world.good()


def barrier(api, path, count):
    """The first `count` readers of the path get the same answer: none is answered before all have asked."""
    gate, left = threading.Barrier(count), [count]

    def after(method, where):
        with api.lock:
            waits = method == "GET" and where == path and left[0] > 0
            left[0] -= waits
        if waits:
            try:
                gate.wait(15)
            except threading.BrokenBarrierError:
                pass
    api.after = after


def eight_create():
    world = World()
    barrier(world.api, SECRET, 8)
    together(8, *world.args("create"))
    expect(len(world.api.writes(SECRETS, 201)) == 1, f"{world.api.writes(SECRETS)}: not one alone was created")
    expect(len(world.api.writes(SECRETS, 409)) == 7, f"{world.api.writes(SECRETS)}: seven should have lost")
    expect(not world.api.writes(SECRETS, 200), "who lost must take what is there")
    world.good()
    world.followed()


def eight_rotate():
    world = World()
    world.run("create")
    first = world.data()["ca.crt"]
    for want in (2, 2, 1):
        barrier(world.api, SECRET, 8)
        world.api.log.clear()
        together(8, *world.args("rotate", "--now"))
        expect(len(world.api.writes(SECRETS, 200)) == 1, f"{world.api.writes(SECRETS)}: not one step alone")
        expect(len(certs_of(world.data()["ca.crt"])) == want, f"not {want} in the bundle")
        world.good()
        world.followed()
    expect(first not in world.data()["ca.crt"], "the old authority is still there")


def deleted_in_between():
    world = World()
    world.run("create")
    gone = []

    def before(method, path, _):
        if method == "PUT" and path == SECRET and not gone:
            gone.append(world.api.objects.pop(SECRET))
    world.api.before = before
    world.run("create", "--force")
    expect(gone, "no PUT was seen")
    world.good()
    world.followed()


def rotate_makes():
    world = World()
    out = world.run("rotate")
    expect("new authority, in use" in out and "next due: new server certificate" in out, out)
    world.good()
    world.followed()


# --- rotation --------------------------------------------------------------------------------------------------------

def rotate_by_the_clock():
    world, begin = World(), 1800000000
    at = lambda day: ["--time", stamp(begin + int(day * DAY)), "--days", "90", "--ca-days", "900"]  # noqa: E731
    world.run("create", *at(0), "--dns", "extra.example")
    start_data = world.data()
    out = world.run("rotate", *at(59))
    expect("nothing to do" in out and stamp(begin + 60 * DAY) in out, out)
    expect(world.data() == start_data, "something was written before its time")
    out = world.run("rotate", *at(60))
    expect("new server certificate" in out and "authority" not in out.split("next due")[0], out)
    now = world.data()
    expect(now["ca.crt"] == start_data["ca.crt"] and now["tls.crt"] != start_data["tls.crt"], "a leaf and nothing else was due")
    expect("extra.example" in openssl("x509", "-noout", "-text", text=now["tls.crt"]), "the names were not kept")
    world.good(begin + 61 * DAY)

    out = world.run("rotate", *at(600))
    expect("announced" in out, out)
    announced = world.data()
    expect(certs_of(announced["ca.crt"]) == [*certs_of(start_data["ca.crt"]), announced["next-ca.crt"]], "not old and new")
    expect(announced["ca.key"] == start_data["ca.key"], "the new authority signs before its time")
    world.good(begin + 600 * DAY)
    world.followed()
    out = world.run("rotate", *at(600.04))
    expect("nothing to do" in out and stamp(begin + 600 * DAY + 3600) in out, out)

    world.api.log.clear()
    out = world.run("rotate", *at(600.05))
    expect("signs now" in out, out)
    switched = world.data()
    expect(switched["ca.key"] == announced["next-ca.key"] and "next-ca.key" not in switched, "the new authority does not sign")
    expect(switched["ca.crt"] == announced["ca.crt"], "the old authority was dropped too early")
    expect(not world.api.writes(MUTATING), "an equal caBundle was written")
    world.good(begin + 601 * DAY)

    expect("nothing to do" in world.run("rotate", *at(600.06)), "no wait after the switch")
    out = world.run("rotate", *at(600.1))
    expect("not trusted any more" in out, out)
    settled = world.data()
    expect(settled["ca.crt"] == announced["next-ca.crt"] and settled["tls.crt"] == switched["tls.crt"], "not settled")
    world.good(begin + 601 * DAY)
    world.followed()
    expect("nothing to do" in world.run("rotate", *at(601)), "a settled state was changed")


def rotate_after_the_end():
    world, begin = World(), 1800000000
    world.run("create", "--time", stamp(begin), "--ca-days", "10")
    late = ["--time", stamp(begin + 11 * DAY)]
    out = world.run("show", *late, hooks=False, code=1)
    expect("it has ended" in out and "chain ok       no: " in out, out)
    out = world.run("rotate", *late)
    expect("new authority, in use" in out, out)
    expect(len(certs_of(world.data()["ca.crt"])) == 1, "an ended authority was kept")
    world.good(begin + 12 * DAY)
    world.followed()


def hooks_before_the_switch():
    """What the API servers do not trust must not be shown to them."""
    world = World()
    world.run("create")
    world.api.before = lambda method, path, _: status(403, "may not update") if method == "PUT" and path == MUTATING else None
    out = world.run("rotate", "--now", code=2)
    expect("may not update" in out and "announced" in out, out)
    before = world.data()
    expect("next-ca.key" in before and before["ca.crt"] not in world.bundles(), "the fault came too late")
    out = world.run("rotate", "--now", code=2)
    expect(world.data() == before, "switched though the webhooks do not trust the new authority")
    world.api.before = None
    world.api.log.clear()
    world.run("rotate", "--now")
    order = [path for method, path, code in world.api.log if method == "PUT"]
    expect(order == [MUTATING, VALIDATING, SECRET], f"order of writes {order}")
    world.good()
    world.followed()


def always_trusted():
    """Whatever of create and rotate runs at once: at no time is there a server certificate that a webhook does not trust."""
    world = World()
    world.run("create")
    broken, leaves = [], []

    def after(method, path):
        if method != "PUT":
            return
        with world.api.lock:
            issuer = openssl("x509", "-noout", "-ext", "authorityKeyIdentifier", text=world.data()["tls.crt"]).split()[-1]
            leaves.append(world.data()["tls.crt"])
            for bundle in world.bundles():
                ids = [openssl("x509", "-noout", "-ext", "subjectKeyIdentifier", text=cert).split()[-1]
                       for cert in certs_of(bundle)]
                if issuer not in ids:
                    broken.append(path)
    world.api.after = after
    for _ in range(4):
        together(4, *world.args("rotate", "--now"))
    expect(not broken, f"a certificate that is not trusted after writing {broken}")
    expect(len(set(leaves)) >= 4, "the test saw too little")
    world.good()
    world.followed()


# --- caBundle --------------------------------------------------------------------------------------------------------

def hooks_alone():
    world = World()
    del world.api.objects[VALIDATING]
    world.run("create")
    hooks = world.api.objects[MUTATING]["webhooks"]
    expect({hook["clientConfig"]["caBundle"] for hook in hooks} == {base64.b64encode(world.data()["ca.crt"].encode()).decode()},
           "caBundle of one kind")
    del world.api.objects[MUTATING]
    out = world.run("create", code=2)
    expect("no webhook configuration mlgate" in out, out)
    out = world.run("create", "--patch-webhooks", "A/B", code=2, hooks=False)
    expect("not the name of a webhook configuration" in out, out)


def hooks_of_one_kind():
    world = World()
    world.run("create", "--patch-webhooks", "validating/mlgate", hooks=False)
    expect("caBundle" in world.api.objects[VALIDATING]["webhooks"][1]["clientConfig"], "the kind that was named")
    expect("caBundle" not in world.api.objects[MUTATING]["webhooks"][1]["clientConfig"], "the other one")
    world.run("create", "--patch-webhooks", "mutating/mlgate", hooks=False)
    world.followed()
    del world.api.objects[MUTATING]
    out = world.run("create", "--patch-webhooks", "mutating/mlgate", hooks=False, code=2)
    expect("no webhook configuration mutating/mlgate\n" in out, out)
    for bad in ("mutating/", "mutating/mutating/mlgate", "other/mlgate"):
        out = world.run("create", "--patch-webhooks", bad, hooks=False, code=2)
        expect(f'"{bad}" is not the name of a webhook configuration' in out, out)


def hooks_waited_for():
    """The Secret first, for the servers that wait for it; then each configuration as it comes."""
    world = World()
    hidden = {path: world.api.objects.pop(path) for path in (VALIDATING, MUTATING)}
    asked = []

    def after(method, path):
        asked.append(path)
        if asked.count(VALIDATING) == 2 and VALIDATING in hidden:
            expect("tls.crt" in world.data(), "no certificate yet")
            world.api.put(VALIDATING, hidden.pop(VALIDATING))
        if asked.count(MUTATING) == 2 and MUTATING in hidden:
            world.api.put(MUTATING, hidden.pop(MUTATING))
    world.api.after = after
    out = world.run("create", "--patch-webhooks", "validating/mlgate", "--patch-webhooks", "mutating/mlgate", "--wait", "60",
                    hooks=False)
    expect("caBundle was written: 2\n" in out and not hidden, out)
    world.followed()
    del world.api.objects[MUTATING]
    begun = time.monotonic()
    out = world.run("rotate", "--patch-webhooks", "mutating/mlgate", "--wait", "1", hooks=False, code=2)
    expect("no webhook configuration mutating/mlgate\n" in out and time.monotonic() - begun < 20, out)


def secret_made_beforehand():
    """As mlgate manifests --self-signed has it: without data, of no type that wants some."""
    world = World()
    world.api.put(SECRET, {"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                           "metadata": {"name": "gate", "namespace": "ml", "labels": {"kept": "yes"}}})
    world.run("create")
    world.good()
    world.followed()
    kept = world.api.objects[SECRET]
    expect((kept["type"], kept["metadata"]["labels"]) == ("Opaque", {"kept": "yes"}), kept)
    expect([code for method, _, code in world.api.log if method == "POST"] == [], world.api.log)
    before = world.data()
    expect("nothing to do" in world.run("rotate"), "a second time")
    expect(world.data() == before, "written again")


def hooks_conflict():
    world = World()
    touched = []

    def after(method, path):
        if method == "GET" and path == MUTATING and len(touched) < 3:
            touched.append(path)
            world.api.put(path, {**world.api.objects[path], "touched": len(touched)})
    world.api.after = after
    world.run("create")
    world.followed()
    expect(world.api.objects[MUTATING]["touched"] == 3, "what another wrote was lost")
    expect(len(world.api.writes(MUTATING, 409)) == 3, str(world.api.writes(MUTATING)))


def hooks_stale():
    """Between the two reads of one run, another goes on: its newer bundle must win."""
    world = World()
    world.run("create")
    others = []

    def after(method, path):
        if method == "GET" and path == MUTATING and not others:
            others.append(1)
            world.run("rotate", "--now")
    world.api.after = after
    world.api.objects[MUTATING]["webhooks"][0]["clientConfig"]["caBundle"] = "eA=="
    world.run("create")
    expect(len(certs_of(world.data()["ca.crt"])) == 2, "the other run did nothing")
    world.followed()


def hooks_of_files():
    world = World()
    args = ["--out", "hooked", "--patch-webhooks", "mlgate", "--server", world.server.url, "--ca-file", f"{PKI}/ca.crt",
            "--token-file", world.token]
    for word in (["create"], ["rotate", "--now"], ["rotate", "--now"], ["rotate", "--now"]):
        run(*word, *args)
        with open(f"{WORK.name}/hooked/ca.crt", encoding="utf-8") as file:
            expect(world.bundles() == {file.read()}, f"caBundle after {word}")


# --- the client ------------------------------------------------------------------------------------------------------

def token_renewed():
    world = World(hooks=False)
    world.api.tokens = {"token-two"}

    def before(*_):
        if world.api.before:
            world.api.before = None
            with open(world.token, "w", encoding="utf-8") as file:
                file.write("token-two")
    world.api.before = before
    world.run("create", hooks=False)
    expect(world.api.log[0][2] == 401 and len(world.api.writes(SECRETS, 201)) == 1, str(world.api.log))
    world.api.tokens = {"other"}
    world.api.log.clear()
    out = world.run("create", hooks=False, code=2)
    expect("status 401" in out and "token" not in out.replace("token-file", ""), out)
    expect(len(world.api.log) == 2, f"{len(world.api.log)} requests with a token that is refused")


def bad_answers():
    world = World(hooks=False)
    deep = '{"a":' * 70 + "1" + "}" * 70
    cases = [
        ((403, status(403, "secrets is \x1b[31mforbidden\u202e")[1]), "status 403: secrets is \ufffd[31mforbidden\ufffd"),
        ((500, "oops"), "status 500"),
        ((200, "oops"), "not JSON"), ((200, "[]"), "no object"), ((200, ""), "not JSON"), ((200, "{}"), "resourceVersion"),
        ((200, deep), "deeper than 64"), ((200, '{"a":1,"a":2}'), "not JSON"), ((200, b'{"a":"\xff"}'), "not JSON"),
        ((200, "{" + " " * (4 << 20)), "larger than 4194304"),
        ((200, '{"a":[' + "1," * 200001 + "1]}"), "more than 200000 values"),
        ((302, "", ("Location", "https://127.0.0.1:1/")), "status 302"),
        ((200, '{"metadata":{"resourceVersion":"1"},"data":{"ca.crt":"####"}}'), "ca.crt is not base64"),
        ((200, '{"metadata":{"resourceVersion":"1"},"data":{"ca.crt":"QQ"}}'), "ca.crt is not base64"),
        ((200, '{"metadata":{"resourceVersion":"1"},"data":{"ca.crt":"eA=="}}'), "no certificate"),
        ((200, '{"metadata":{"resourceVersion":"1"},"data":{"ca.crt":"' + "AAAA" * 21846 + '"}}'), "larger than 65536"),
    ]
    for answer, words in cases:
        world.api.before = lambda *_, answer=answer: answer
        out = world.run("create", hooks=False, code=2)
        expect(words in out, f"{str(answer)[:80]}: {words!r} not in {out!r}")
        expect("\x1b" not in out, "an escape reached the terminal")
    expect(not world.api.writes(), str(world.api.writes()))


def asked_to_wait():
    world = World(hooks=False)
    answers = [(429, "{}", ("Retry-After", "1")), (503, "{}", ("Retry-After", "1"))]
    world.api.before = lambda *_: answers.pop() if answers else None
    begin = time.monotonic()
    world.run("create", hooks=False)
    expect(time.monotonic() - begin >= 2, "it did not wait")
    world.good()


def strangers():
    world = World(hooks=False)
    run("--out", "stranger", "--ip", "127.0.0.1")
    args = world.args("create", hooks=False)
    args[args.index("--ca-file") + 1] = f"{WORK.name}/stranger/ca.crt"
    out = run(*args, code=2)
    expect("certificate" in out and not world.api.log, out)
    args = world.args("create", hooks=False)
    args[args.index("--server") + 1] = world.server.url.replace("127.0.0.1", "127.0.0.2")
    expect(not world.api.log and run(*args, code=2), "another name was let pass")
    for url in ("http://127.0.0.1:1", "127.0.0.1", "https://", "file:///etc/passwd"):
        args[args.index("--server") + 1] = url
        expect("must be https://" in run(*args, code=2), url)
    for secret in ("gate", "/gate", "ml/", "ml/a/b", "../x", "ml/a?b", "ML/gate"):
        world.run("create", secret=secret, hooks=False, code=2)
    expect(not world.api.log, "a request was made for a name that is none")
    expect("no namespace gone" in world.run("create", secret="gone/gate", hooks=False, code=2), "namespace")
    for text, words in (("", "is empty"), ("a b", "not a token"), ("a\r\nX: y", "not a token"), ("x" * 16385, "longer than")):
        args = world.args("create", hooks=False)
        args[args.index("--token-file") + 1] = write("bad-token", text)
        expect(words in run(*args, code=2), f"token {text[:10]!r}")


def client_certificate():
    api = Api()
    api.tokens = {""}
    server = Server(api, PKI, client_ca=f"{WORK.name}/client.crt")
    args = ["create", "--secret", "ml/gate", "--server", server.url, "--ca-file", f"{PKI}/ca.crt"]
    run(*args, code=2)
    expect(not api.log, "served without a certificate")
    run(*args, "--client-cert", f"{WORK.name}/client.crt", "--client-key", f"{WORK.name}/client.key")
    expect(len(api.writes(SECRETS, 201)) == 1, str(api.log))


def in_cluster():
    world = World(hooks=False)
    port = world.server.url.rsplit(":", 1)[1]
    args = ["create", "--secret", "ml/gate", "--ca-file", f"{PKI}/ca.crt", "--token-file", world.token]
    out = run(*args, code=2, env={"KUBERNETES_SERVICE_HOST": ""})
    expect("KUBERNETES_SERVICE_HOST is not set" in out, out)
    run(*args, env={"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": port, "HTTPS_PROXY": "http://127.0.0.1:1"})
    world.good()


# --- files -----------------------------------------------------------------------------------------------------------

def files_in(name):
    texts = {}
    for entry in os.listdir(f"{WORK.name}/{name}"):
        with open(f"{WORK.name}/{name}/{entry}", encoding="utf-8") as file:
            texts[entry] = file.read()
    return texts


def file_steps():
    run("--out", "steps")
    for want, keys in ((2, 6), (2, 4), (1, 4)):
        run("rotate", "--out", "steps", "--now")
        files = files_in("steps")
        expect(len(certs_of(files["ca.crt"])) == want and len(files) == keys, f"{sorted(files)}, {want} wanted")
        for file in files:
            mode = os.stat(f"{WORK.name}/steps/{file}").st_mode & 0o777
            expect(mode == (0o600 if file.endswith(".key") else 0o644), f"{file}: {mode:o}")
        run("show", "--out", "steps")
    before = files_in("steps")
    expect("nothing to do" in run("rotate", "--out", "steps") and files_in("steps") == before, "a run with nothing to do wrote")


def file_deaths():
    """A run that dies between two files: the next ones come to a good end."""
    run("--out", "death")
    states = [files_in("death")]
    for _ in range(4):
        run("rotate", "--out", "death", "--now")
        states.append(files_in("death"))
    order = ["next-ca.key", "next-ca.crt", "ca.key", "ca.crt", "tls.key", "tls.crt"]
    for old, new in zip(states, states[1:]):
        changed = [name for name in order if name in new and old.get(name) != new[name]]
        for cut in range(len(changed)):
            for name in os.listdir(f"{WORK.name}/death"):
                os.unlink(f"{WORK.name}/death/{name}")
            for name, text in {**old, **{name: new[name] for name in changed[:cut]}}.items():
                write(f"death/{name}", text)
            run("rotate", "--out", "death")
            run("show", "--out", "death")
            for _ in range(3):
                run("rotate", "--out", "death", "--now")
                run("show", "--out", "death")


def file_disk_full():
    """Room for a key and not for a certificate: nothing is left that the next run would stumble over."""
    done = subprocess.run([harness.MLGATE, "certs", "--out", f"{WORK.name}/full", "--service", "gate", "--namespace", "ml"],
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300)), restore_signals=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, env=harness.environment())
    expect(done.returncode == 2 and b"File too large" in done.stderr, f"exit {done.returncode}: {done.stderr}")
    expect(not os.listdir(f"{WORK.name}/full"), f"left: {os.listdir(f'{WORK.name}/full')}")
    run("--out", "full")
    run("show", "--out", "full")


def file_crowds():
    together(8, "create", "--out", "crowd")
    run("show", "--out", "crowd")
    together(8, "rotate", "--out", "crowd", "--now")
    run("show", "--out", "crowd")
    expect(not [name for name in os.listdir(f"{WORK.name}/crowd") if name.startswith(".")], "a temporary file was left")


def show_text():
    clock = ("--time", "2030-01-01T00:00:00Z")  # a second that passes in between would take a day away
    run("--out", "shown", "--dns", "a.example", "--ip", "::1", "--days", "30", *clock)
    out = run("show", "--out", "shown", *clock)
    for line in (r"^ca.crt, 1 of 1: signs$", r"^  subject      CN=mlgate CA$", r"^  issuer       CN=mlgate CA$",
                 r"^  names        DNS:mlgate, .*DNS:a.example, IP Address:0:0:0:0:0:0:0:1$", r"^  serial       [0-9a-f]{32}$",
                 r"^  days left    30$", r"^  not after    \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$",
                 r"^  fingerprint  SHA-256 ([0-9a-f]{2}:){31}[0-9a-f]{2}$", r"^chain ok       yes$", r"^ca.key         matches$",
                 r"^tls.key        matches$"):
        expect(re.search(line, out, re.M), f"no {line} in\n{out}")
    fingerprint = openssl("x509", "-noout", "-fingerprint", "-sha256", "-in", f"{WORK.name}/shown/tls.crt").split("=")[1].strip()
    expect(fingerprint.lower() in out, "another fingerprint than openssl's")
    files = files_in("shown")
    write("shown/tls.key", files["ca.key"])
    expect("tls.key        does not match" in run("show", "--out", "shown", code=1), "a wrong key")
    os.unlink(f"{WORK.name}/shown/ca.key")
    write("shown/tls.key", files["tls.key"])
    expect("ca.key         not there" in run("show", "--out", "shown", code=1), "a missing key")
    expect("there is nothing" in run("show", "--out", "nowhere", code=2), "nothing at all")
    expect(not os.path.exists(f"{WORK.name}/nowhere"), "show made a directory")


def usage():
    for args, words in ((["make"], "none of create, rotate, show"), (["show", "x"], "takes no argument"),
                        (["create", "--now"], "--now is for rotate"), (["rotate", "--force"], "--force is for create"),
                        (["--out", "a", "--secret", "b/c"], "exclude each other"), (["--secret", "b"], "NAMESPACE/NAME"),
                        (["--overlap", "-1"], "whole number")):
        out = run(*args, code=2)
        expect(words in out, out)
    out = run("--out", "words", "--service", "s", "--namespace", "n")
    expect(out.splitlines() == ["words/ca.crt", "words/tls.crt", "words/tls.key"], out)


def main():
    tap = harness.Tap()
    os.makedirs(PKI)
    harness.run(["certs", "--out", PKI, "--ip", "127.0.0.1"])
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=tester", "-keyout",
            f"{WORK.name}/client.key", "-out", f"{WORK.name}/client.crt")
    for test in (usage, show_text, file_steps, file_deaths, file_disk_full, file_crowds, create_secret, placeholder,
                 eight_create, eight_rotate, deleted_in_between, rotate_makes, rotate_by_the_clock, rotate_after_the_end,
                 hooks_before_the_switch, always_trusted, hooks_alone, hooks_of_one_kind, hooks_waited_for,
                 secret_made_beforehand, hooks_conflict, hooks_stale, hooks_of_files, token_renewed, bad_answers, asked_to_wait,
                 strangers, client_certificate, in_cluster):
        tap.run(test.__name__.replace("_", " "), test)
    tap.finish()


if __name__ == "__main__":
    main()
