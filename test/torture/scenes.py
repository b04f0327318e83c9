"""What is done with mlgate while a call of it fails, and what may come of that."""
import base64
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time

import harness
from harness import Mismatch, expect

sys.path.insert(0, os.path.join(harness.TOP, "test", "integration"))
from fake_api import Api  # noqa: E402
from registry_fixture import Stub, cuda_base, make_certificates, weights_layer  # noqa: E402

WHY = re.compile(rb"could not be looked into: [^\"]*")  # an image, for one reason or another
SOON = 20  # seconds; nothing here takes longer, unless it hangs

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "ml"},
       "spec": {"containers": [{"name": "main", "image": "registry.example/a:1", "resources": {
           "limits": {"nvidia.com/gpu": "1", "memory": "8Gi", "cpu": "2"}, "requests": {"memory": "4Gi", "cpu": "1"}}}]}}
BARE = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b", "namespace": "ml"},
        "spec": {"containers": [{"name": "main", "image": "registry.example/a:1",
                                 "resources": {"requests": {"nvidia.com/gpu": "1"}}}]}}
JOB = {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": {"name": "c", "namespace": "ml"},
       "spec": {"pytorchReplicaSpecs": {
           "Master": {"replicas": 1, "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD["spec"]}},
           "Worker": {"replicas": 2, "template": {"spec": POD["spec"]}}}}}
POLICY = """apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: memory}
spec:
  action: ACTION
  match: {namespaces: ["/^team-[a-z]+$/", "ml*"]}
  rules:
  - gpuLimits: {signals: [], require: [memory]}
---
apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: images}
spec:
  match: {names: ["image-*"]}
  rules:
  - imageSize: {weights: deny, unknown: deny}
---
apiVersion: mlgate.dev/v1
kind: Exception
metadata: {name: legacy}
spec:
  policies: [memory]
  match: {namespaces: [ml-legacy]}
  reason: from before
  owner: ml
  expires: "2099-01-01"
---
apiVersion: mlgate.dev/v1
kind: WorkloadKind
metadata: {name: trainers.example.com}
spec: {group: example.com, kind: Trainer, role: training, templates: [{path: spec.template}]}
---
apiVersion: mlgate.dev/v1
kind: Registry
metadata: {name: here}
spec: {host: "127.0.0.1:REGISTRY", timeout: 1s}
"""
CONTEXT = """apiVersion: v1
kind: Namespace
metadata: {name: ml, labels: {team: ml}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: usual, namespace: ml}
spec: {limits: [{type: Container, default: {memory: 4Gi}, defaultRequest: {memory: 2Gi}, max: {memory: 512Gi}}]}
""" + "".join(f"---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: ns-{i}}}\n" for i in range(80))


def openssl(folder, *args):
    subprocess.run(["openssl", *args], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def make_pair(folder, name, subject, usage):
    """NAME.crt and NAME.key of the CA in the folder, which is made first if need be."""
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    if not os.path.exists(f"{folder}/ca.crt"):
        openssl(folder, "req", "-x509", *curve, "-days", "2", "-subj", "/CN=torture CA", "-keyout", "ca.key", "-out", "ca.crt")
    with open(f"{folder}/ext", "w", encoding="ascii") as file:
        file.write(f"subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage={usage}\n")
    openssl(folder, "req", *curve, "-subj", f"/CN={subject}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "ext", "-out", f"{name}.crt")


class Half(Mismatch):
    """An answer that began and did not end."""


class Nothing(Exception):
    """A connection that was not made, or ended before the first byte of an answer."""


class Wire:
    """One client connection, that takes answers to pieces by itself: what is half is seen."""

    def __init__(self, port, tls=None):
        try:
            self.stream = socket.create_connection(("127.0.0.1", port), timeout=SOON)
            if tls:
                self.stream = tls.wrap_socket(self.stream, server_hostname="localhost")
        except OSError as wrong:
            raise Nothing(repr(wrong)) from wrong

    def certificate(self):
        return self.stream.getpeercert(binary_form=True)

    def more(self):
        try:
            return self.stream.recv(65536)
        except TimeoutError as wrong:
            raise Mismatch(f"no answer in {SOON} s") from wrong
        except OSError:
            return b""

    def ask(self, request):
        """(HTTP status, headers, body)."""
        try:
            self.stream.sendall(request)
        except OSError:
            pass  # there may be an answer yet
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.more()
            if not piece and not data:
                raise Nothing("closed")
            if not piece:
                raise Half(f"half a head: {data!r}")
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
        expect(re.fullmatch(r"HTTP/1\.1 \d{3} .+", lines[0]) and "content-length" in headers, f"head {head!r}")
        length = int(headers["content-length"])
        while len(body) < length:
            piece = self.more()
            if not piece:
                raise Half(f"{len(body)} of {length} bytes: {body[:200]!r}")
            body += piece
        expect(len(body) == length, f"{len(body)} bytes where {length} were told: {body[:200]!r}")
        return int(lines[0][9:12]), headers, body

    def close(self):
        self.stream.close()


def post(path, body, more=""):
    return (f"POST {path}?timeout=10s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def get(path):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def review(obj, **more):
    return json.dumps(harness.review(obj, **more)).encode()


def is_status(status, body):
    """A whole refusal, as the API server reads it."""
    try:
        told = json.loads(body)
    except ValueError:
        return False
    return status >= 400 and told.get("kind") == "Status" and told.get("apiVersion") == "v1" and \
        told.get("code") == status and bool(told.get("message"))


def check_metrics(body):
    for line in body.decode().splitlines():
        expect(re.fullmatch(r"# (HELP|TYPE) \w+ .+|\w+(\{[^{}]*\})? [0-9.e+Inf-]+", line), f"metrics: {line!r}")
    expect(body.endswith(b"\n") and b"mlgate_policies" in body and b"mlgate_http_connections_ended_total" in body,
           f"metrics end with {body[-200:]!r}")


class Serve:
    """mlgate serve from its start to its end: two good generations, a bad one, back to the first."""

    name = "serve"
    ports, kept = None, 0  # kept: connections to others that may be left open, more than usual

    def __init__(self, folder):
        self.template, self.made = f"{folder}/{self.name}", f"{folder}/made"
        for path in (self.made, f"{self.template}/mount"):
            os.makedirs(path, exist_ok=True)
        self.closed = socket.socket()
        self.closed.bind(("127.0.0.1", 0))  # and never listens: a registry that refuses
        self.registry = self.closed.getsockname()[1]
        make_pair(self.made, "one", "localhost", "serverAuth")
        make_pair(self.made, "two", "localhost", "serverAuth")
        make_pair(self.made, "client", "kube-apiserver", "clientAuth")
        self.fill()
        self.tls = ssl.create_default_context(cafile=f"{self.made}/ca.crt")
        self.unknown = ssl.create_default_context(cafile=f"{self.made}/ca.crt")
        self.tls.load_cert_chain(f"{self.made}/client.crt", f"{self.made}/client.key")
        self.known = {}

    args = ["serve", "--policies", "mount/gates", "--context", "mount/context", "--tls-cert", "mount/tls.crt", "--tls-key",
            "mount/tls.key", "--client-ca", "ca.crt", "--client-name", "kube-apiserver", "--listen", "127.0.0.1:0",
            "--listen-plain", "127.0.0.1:0", "--threads", "2", "--max-connections", "32", "--grace", "0", "--poll", "1",
            "--log-level", "debug"]

    def policies(self, to, action):
        for path in ("baseline/gpu-tolerations", "baseline/shared-memory", "addons/multi-tenant/limit-range"):
            shutil.copy(f"{harness.TOP}/policies/{path}.yaml", to)
        with open(f"{to}/own.yaml", "w", encoding="utf-8") as file:
            file.write(POLICY.replace("ACTION", action).replace("REGISTRY", str(self.registry)))

    def fill(self):
        """mount: links into ..data, which is a link itself, as Kubernetes mounts a volume."""
        mount = f"{self.template}/mount"
        for number, pair, action in ((1, "one", "enforce"), (2, "two", "warn"), (3, "one", "nonsense")):
            to = f"{mount}/..{number}"
            os.makedirs(f"{to}/context")
            os.makedirs(f"{to}/gates")
            self.policies(f"{to}/gates", action)
            with open(f"{to}/context/all.yaml", "w", encoding="utf-8") as file:
                file.write(CONTEXT)
            for kind in ("crt", "key"):
                shutil.copy(f"{self.made}/{pair}.{kind}", f"{to}/tls.{kind}")
        with open(f"{mount}/..3/tls.crt", "a", encoding="ascii") as file:
            file.truncate(300)
        for name in os.listdir(f"{mount}/..1"):
            os.symlink(f"..data/{name}", f"{mount}/{name}")
        os.symlink("..1", f"{mount}/..data")
        shutil.copy(f"{self.made}/ca.crt", self.template)

    def requests(self):
        """Name, door, request; what the answer is, the run without a failure tells."""
        image = {**POD, "metadata": {"name": "image-a", "namespace": "ml"},
                 "spec": {"containers": [{"name": "main", "image": f"127.0.0.1:{self.registry}/x/y:1"}]}}
        return [
            ("mutate", "tls", post("/mutate", review(POD))),
            ("validate", "tls", post("/validate", review(POD))),
            ("deny", "tls", post("/validate", review(BARE))),
            ("job", "tls", post("/mutate", review(JOB))),
            ("update", "tls", post("/validate", review(JOB, old=JOB))),
            ("image", "tls", post("/validate", review(image))),
            ("large", "tls", post("/validate", review({**POD, "data": ["x" * 1000] * 150}))),
            ("malformed", "tls", post("/validate", b'{"kind": "AdmissionReview", ')),
            ("nowhere", "tls", post("/nowhere", b"{}")),
            ("health", "plain", get("/healthz")),
            ("ready", "plain", get("/readyz")),
            ("metrics", "plain", get("/metrics")),
        ]

    def close_peers(self):
        self.closed.close()

    # --- one run ---

    def cycle(self, run):
        """Raises what is wrong. What the answers should be is learnt from a run without a point."""
        self.wire, self.run, self.odd, self.last = {}, run, 0, ""
        try:
            if not self.started():
                return self.not_started()
            self.phase("first")
            self.swap("..2")
            self.wait("the second generation", "two", lambda told: "generation 1\n" not in told)
            self.phase("second")
            self.swap("..3", poke=True)
            self.wait("the bad one", "two", lambda told: told.count(": what is newer does not serve: ") == 2)
            self.swap("..1", poke=True)
            self.wait("the first again", "one", lambda told: "newer" not in told and "generation 2\n" not in told)
            self.phase("first", strict=run.hit())
            self.close()
            self.count_descriptors()
        finally:
            self.close()
        return self.stopped()

    def pair(self, name):
        with open(f"{self.made}/{name}.crt", encoding="ascii") as file:
            return ssl.PEM_cert_to_DER_cert(file.read())

    def started(self):
        end = time.monotonic() + SOON
        while time.monotonic() < end:
            ended = self.run.ended()
            if ended:
                return False
            told = re.search(r'"port":(\d+),"plain_port":(\d+)', self.run.text("err"))
            ports = told.groups() if told else self.listening() if time.monotonic() > end - SOON + 3 and self.run.hit() else ()
            if len(ports) == 2:
                self.ports = {"tls": int(ports[0]), "plain": int(ports[1])}
                return True
            time.sleep(0.01)
        raise Mismatch(f"not started after {SOON} s")

    def listening(self):
        """Ports, in the order in which they were opened: when the log cannot tell."""
        folder, inodes = f"/proc/{self.run.pid}", []
        for fd in sorted(os.listdir(f"{folder}/fd"), key=int):
            inodes += re.findall(r"socket:\[(\d+)\]", os.readlink(f"{folder}/fd/{fd}"))
        with open(f"{folder}/net/tcp", encoding="ascii") as file:
            rows = [line.split() for line in file]
        ports = {row[9]: int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}
        return [ports[inode] for inode in inodes if inode in ports]

    def not_started(self):
        expect(self.run.hit(), "did not start, though nothing had failed")
        expect(os.WIFEXITED(self.run.status) and os.WEXITSTATUS(self.run.status) == 2, f"ended with {self.run.status:#x}")
        text = [line for line in self.run.text("err").splitlines() if not line.startswith("{")]
        expect(text and len(text[-1]) > 20, f"said nothing of why: {self.run.text('err')}")
        return "no start"

    def ask(self, door, request):
        """One try on the connection that there is, and one on a new one where that had been closed meanwhile."""
        for old in (True, False):
            try:
                if door not in self.wire:
                    old = False
                    self.wire[door] = Wire(self.ports[door], self.tls if door == "tls" else None)
                answer = self.wire[door].ask(request)
            except Nothing:
                self.drop(door)
                if not old:
                    raise
                continue
            except Mismatch:
                self.drop(door)
                raise
            if answer[1].get("connection", "").lower() == "close":
                self.drop(door)
            return answer
        raise AssertionError("not reached")

    def drop(self, door):
        if door in self.wire:
            self.wire.pop(door).close()

    def close(self):
        for door in list(self.wire):
            self.drop(door)

    def phase(self, phase, strict=False):
        for name, door, request in self.requests():
            try:
                status, headers, body = self.ask(door, request)
            except Nothing as wrong:
                self.odd, self.last = self.odd + 1, f"{phase} {name}: {wrong}"
                expect(self.run.hit() and not strict, self.last)
                continue
            self.judge(f"{phase} {name}", status, headers, body, strict)
        self.stranger()

    def stranger(self):
        """Who has no certificate is let in by no failure."""
        try:
            wire = Wire(self.ports["tls"], self.unknown)
        except Nothing:
            return
        try:
            raise Mismatch(f"a stranger was answered: {wire.ask(post('/validate', review(POD)))}")
        except (Nothing, Half):
            pass
        finally:
            wire.close()

    def judge(self, name, status, headers, body, strict):
        if name.endswith(" metrics") and status == 200:
            return check_metrics(body)
        kind, body = headers.get("content-type"), WHY.sub(b"could not be looked into", body)
        if not self.run.point:
            self.known.setdefault(name, (status, kind, body))
        if (status, kind, body) == self.known[name]:
            return None
        self.odd, self.last = self.odd + 1, f"{name}: HTTP {status}: {body[:1000]!r}"
        expect(self.run.hit() and not strict and self.may_be(name, status, body),
               f"{name}: HTTP {status} {kind}: {body[:2000]!r}\ninstead of {self.known[name]}")
        return None

    def may_be(self, name, status, body):
        """What is not the usual answer and no wrong one either."""
        return is_status(status, body) or (name.endswith(" ready") and status == 503)

    def swap(self, to, poke=False):
        data = f"{self.run.folder}/mount/..data"
        os.symlink(to, f"{data}_tmp")
        os.rename(f"{data}_tmp", data)
        if poke:
            self.run.signal(signal.SIGHUP)

    def wait(self, what, pair, done):
        """Until what /readyz?verbose tells, and the certificate of new connections, are as they should be."""
        end, told, wrong = time.monotonic() + SOON, "", None
        while time.monotonic() < end:
            expect(not self.run.ended(), f"ended with {self.run.status}")
            try:
                self.close()
                told = self.ask("plain", get("/readyz?verbose"))[2].decode()
                if done(told):
                    self.wire["tls"] = Wire(self.ports["tls"], self.tls)
                    if self.wire["tls"].certificate() == self.pair(pair):
                        return
            except Nothing as error:
                wrong = error
            time.sleep(0.02)
        raise Mismatch(f"{what} was not there after {SOON} s: {told} {wrong}")

    def count_descriptors(self):
        end, count = time.monotonic() + SOON, 0
        while time.monotonic() < end:
            count = len(os.listdir(f"/proc/{self.run.pid}/fd"))
            if not self.run.point and "descriptors" not in self.known:
                time.sleep(3)
                self.known["descriptors"] = len(os.listdir(f"/proc/{self.run.pid}/fd"))
            if count <= self.known["descriptors"] + self.kept:
                return
            time.sleep(0.02)
        raise Mismatch(f"{count} open files, {self.known['descriptors']} before")

    def stopped(self):
        expect(not self.run.ended(), "ended too early")
        self.run.signal(signal.SIGTERM)
        expect(self.run.ended(SOON), f"did not stop in {SOON} s")
        expect(self.run.status == 0, f"ended with {self.run.status:#x}")
        expect("stopped with requests in flight" not in self.run.text("err"), "lost requests")
        return "served" if self.odd == 0 else "served, with refusals"



SELECTED = """apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: selected}
spec:
  action: ACTION
  onMissingContext: deny
  match: {kinds: [Pod], namespaces: [ml], namespaceSelector: {matchLabels: {team: ml}}}
  rules:
  - priority: {allowed: [none]}
---
apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: images}
spec:
  match: {namespaces: [images]}
  rules:
  - imageSize: {weights: deny, unknown: deny}
---
apiVersion: mlgate.dev/v1
kind: Registry
metadata: {name: here}
spec: {host: "HOST", caFile: registry.crt, authFile: login.json, timeout: 2s}
"""
LOGIN, TOKEN = "Basic dG9ydHVyZTpzZWNyZXQ=", "t" * 300


class Cluster(Serve):
    """The same beside an API server that is watched and a registry that wants a login and answers."""

    name = "cluster"
    kept = 3

    def __init__(self, folder):
        made = f"{folder}/registry"
        os.makedirs(made)
        make_certificates(made)
        self.api = Api()
        self.api.port = harness.free_port()
        self.api.put("Namespace", "ml", {"metadata": {"labels": {"team": "ml"}}})
        self.api.start()
        self.stub = Stub(made).__enter__()
        self.stub.twists.update({"x/y": self.guard, "x/w": self.guard, "": self.token})
        base = cuda_base()
        self.images = [self.stub.image("x/y", base), self.stub.image("x/w", [*base, weights_layer()])]
        super().__init__(folder)
        shutil.copy(f"{made}/ca.crt", f"{self.template}/registry.crt")
        shutil.copy(f"{harness.certificates()}/ca.crt", f"{self.template}/api.crt")
        with open(f"{self.template}/login.json", "w", encoding="utf-8") as file:
            json.dump({"auths": {self.stub.host: {"auth": LOGIN[6:]}}}, file)
        with open(f"{self.template}/token", "w", encoding="utf-8") as file:
            file.write(self.api.token + "\n")
        self.args = [*Serve.args, "--live-context", "--kube-api", f"https://127.0.0.1:{self.api.port}",
                     "--kube-ca-file", "api.crt", "--kube-token-file", "token"]

    def started(self):
        """Until the context has been listed, or that has been given up."""
        begun, end = super().started(), time.monotonic() + SOON
        while begun:
            expect(time.monotonic() < end, f"not ready after {SOON} s")
            try:
                if self.ask("plain", get("/readyz"))[0] == 200:
                    break
            except (Nothing, Half):
                pass
            time.sleep(0.02)
        return begun

    def close_peers(self):
        self.api.stop()
        self.stub.__exit__()
        super().close_peers()

    def token(self, handler, _kind, what):
        if not what.startswith("/token"):
            return False
        good = handler.headers.get("Authorization") == LOGIN
        handler.send(200 if good else 401, json.dumps({"token": TOKEN, "expires_in": 300}).encode())
        return True

    def guard(self, handler, _kind, _what):
        if handler.headers.get("Authorization") == f"Bearer {TOKEN}":
            return False
        handler.send(401, b"{}", www_authenticate=f'Bearer realm="https://{self.stub.host}/token",service="t",scope="pull"')
        return True

    def policies(self, to, action):
        with open(f"{to}/own.yaml", "w", encoding="utf-8") as file:
            file.write(SELECTED.replace("ACTION", action).replace("HOST", self.stub.host))

    def requests(self):
        def pod(name, ns, image):
            return post("/validate", review({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": ns},
                                             "spec": {"containers": [{"name": "main", "image": image}]}}))
        return [
            ("selected", "tls", pod("s", "ml", "registry.example/a:1")),
            ("image", "tls", pod("i", "images", self.images[0])),
            ("weights", "tls", pod("w", "images", self.images[1])),
            ("ready", "plain", get("/readyz")),
            ("metrics", "plain", get("/metrics")),
        ]

    def may_be(self, name, status, body):
        """What is not known is denied, as the policies want it."""
        selected = name.endswith(" selected")
        unknown = b"cannot be judged without Namespace" if selected else b"could not be looked into"
        if status == 200 and unknown in body:
            told = json.loads(body)["response"]
            return told["allowed"] is False or name == "second selected"  # the policy warns then
        return super().may_be(name, status, body)

    def phase(self, phase, strict=False):
        """What could not be reached is left alone for ten seconds, and a watch that broke off for a while."""
        if not self.run.point:
            time.sleep(0.5)
        end = time.monotonic() + SOON
        while True:
            before = self.odd
            super().phase(phase)
            if not strict or self.odd == before:
                return
            expect(time.monotonic() < end, f"not right again after {SOON} s: {self.last}")
            time.sleep(0.2)


class Command:
    """A command that ends by itself: the same report and status, or a status and words that tell of the failure."""

    name, args, files, outputs = "", [], {}, ()

    def __init__(self, folder):
        self.template, self.known = f"{folder}/{self.name}", {}
        os.makedirs(self.template)
        for name, text in self.files.items():
            os.makedirs(os.path.dirname(f"{self.template}/{name}"), exist_ok=True)
            with open(f"{self.template}/{name}", "w", encoding="utf-8") as file:
                file.write(text)

    def close_peers(self):
        pass

    def cycle(self, run):
        expect(run.ended(SOON), f"did not end in {SOON} s")
        expect(os.WIFEXITED(run.status), f"ended with {run.status:#x}")
        found = (os.WEXITSTATUS(run.status), run.text("out"), *(run.text(name) for name in self.outputs))
        said = run.text("err")
        if not run.point:
            self.known.setdefault("", found)
        if found == self.known[""]:
            return "as usual"
        self.judge(run, found[0], found[1], said)
        return "told of it"

    def judge(self, run, status, out, said):
        expect(run.hit() and status in (2, 3) and (said.strip() or "error" in out),
               f"exit {status}, said {said!r}, printed {out[:3000]!r}")


class Check(Command):
    name = "check"
    args = ["check", "--policies", "policies", "--context", "context", "--format", "json", "--format", "text=report.txt",
            "--format", "sarif=report.sarif", "--format", "junit=report.xml", "--format", "html=report.html", "objects"]
    files = {"policies/own.yaml": POLICY.replace("ACTION", "enforce").replace("REGISTRY", "1").replace(": deny}", ": warn}"),
             "context/all.yaml": CONTEXT, "objects/a.json": json.dumps(BARE), "objects/b.json": json.dumps(POD),
             "objects/deep/c.yaml": harness.dump_yaml(JOB)}
    outputs = ["report.txt", "report.sarif", "report.xml", "report.html"]


class Manifests(Command):
    name = "manifests"
    args = ["manifests", "--policies", "policies", "--ca-file", "ca.crt", "--out", "made"]
    files = {"policies/own.yaml": POLICY.replace("ACTION", "enforce").replace("REGISTRY", "1")}
    outputs = ["made/mlgate.yaml"]

    def __init__(self, folder):
        super().__init__(folder)
        make_pair(self.template, "tls", "localhost", "serverAuth")


class Certs(Command):
    """Whatever happens, the pair fits, or the next call makes one that does."""

    name = "certs"
    args = ["certs", "--out", "made", "--service", "mlgate", "--namespace", "mlgate-system"]

    def cycle(self, run):
        expect(run.ended(SOON), f"did not end in {SOON} s")
        expect(os.WIFEXITED(run.status), f"ended with {run.status:#x}")
        status, said = os.WEXITSTATUS(run.status), run.text("err")
        if status != 0:
            self.judge(run, status, run.text("out"), said)
            again = harness.run(self.args, cwd=run.folder)
            expect(again[0] == 0, f"afterwards: exit {again[0]}: {again[2]}")
        made = f"{run.folder}/made"
        expect({"ca.crt", "tls.crt", "tls.key"} <= set(os.listdir(made)), f"made {os.listdir(made)}")
        openssl(made, "verify", "-CAfile", "ca.crt", "tls.crt")
        ssl.create_default_context().load_cert_chain(f"{made}/tls.crt", f"{made}/tls.key")
        left = [name for name in os.listdir(made) if not re.fullmatch(r"(ca|tls|next-ca)\.(crt|key)|ca-bundle\..*|\.lock", name)]
        expect(not left, f"left behind: {left}")
        return "as usual" if status == 0 else "told of it"


class Rotate(Certs):
    """The step that takes the old CA away."""

    name = "rotate"
    args = ["certs", "rotate", "--out", "made", "--now"]

    def __init__(self, folder):
        super().__init__(folder)
        for args in (Certs.args, self.args):
            code, _, said = harness.run(args, cwd=self.template)
            expect(code == 0, said)


def recorded(obj, **more):
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "operation": "CREATE", "namespace": "ml", "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "userInfo": {"username": "alice"}, "object": obj, **more}}


class Replay(Command):
    name = "replay"
    args = ["replay", "--policies", "policies", "--against", "other", "--format", "json", "--format", "text=report.txt",
            "records"]
    files = {"policies/own.yaml": Check.files["policies/own.yaml"],
             "other/own.yaml": "apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: other}\nspec:\n  rules:\n"
                               "  - gpuLimits: {}\n  - sharedMemory: {sizeLimit: 1Gi}\n",
             "records/a.jsonl": json.dumps(recorded(BARE)) + "\n" + json.dumps(recorded(POD)) + "\n",
             "records/b.yaml": harness.dump_yaml(recorded(POD, operation="UPDATE", oldObject=BARE)),
             "records/audit.log": json.dumps({
                 "kind": "Event", "apiVersion": "audit.k8s.io/v1", "stage": "ResponseComplete", "verb": "create", "auditID": "1",
                 "user": {"username": "bob"}, "objectRef": {"resource": "pods", "namespace": "ml"},
                 "requestObject": BARE}) + "\n"}
    outputs = ["report.txt"]


class Scan(Command):
    """The API server is ours, and does not fail."""

    name = "scan"
    args = ["scan", "--kubeconfig", "config", "--policies", "policies", "--format", "json", "--format", "text=report.txt"]
    files = {"policies/own.yaml": Check.files["policies/own.yaml"] + "---\napiVersion: mlgate.dev/v1\nkind: Policy\n"
                                  "metadata: {name: labelled}\nspec:\n  match: {namespaceSelector: {matchLabels: {team: ml}}}\n"
                                  "  rules:\n  - gpuLimits: {}\n"}
    outputs = ["report.txt"]

    def __init__(self, folder):
        super().__init__(folder)
        self.api = Api()
        self.api.serve("v1", {"pods": ("Pod", True), "namespaces": ("Namespace", False)})
        self.api.serve("kubeflow.org/v1", {"pytorchjobs": ("PyTorchJob", True)})
        self.api.put("Namespace", "ml", {"metadata": {"labels": {"team": "ml"}}})
        self.api.put("PyTorchJob", "c", {"spec": JOB["spec"]}, "ml")
        for i in range(300):  # two pages
            self.api.put("Pod", f"p{i:03}", {"spec": BARE["spec"] if i == 299 else {"containers": []}}, "ml")
        self.api.start()
        with open(f"{harness.certificates()}/ca.crt", "rb") as file:
            authority = base64.b64encode(file.read()).decode()
        with open(f"{self.template}/config", "w", encoding="utf-8") as file:
            json.dump({"current-context": "here", "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
                       "clusters": [{"name": "c", "cluster": {"server": f"https://127.0.0.1:{self.api.port}",
                                                              "tls-server-name": "localhost",
                                                              "certificate-authority-data": authority}}],
                       "users": [{"name": "u", "user": {"token": self.api.token}}]}, file)

    def close_peers(self):
        self.api.stop()


SCENES = [Serve, Cluster, Check, Manifests, Certs, Rotate, Replay, Scan]
