"""What the test programs share: running mlgate, reviews, strict answers, patches, TAP."""
import base64
import copy
import glob
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time

import jsonpatch
import yaml

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MLGATE = os.environ.get("MLGATE", os.path.join(TOP, "build", "mlgate"))
BUILD = os.environ.get("MLGATE_BUILD", os.path.join(TOP, "build", "release"))
# How much longer things may take in such a build, on such a machine.
SLOW = {"asan": 4, "tsan": 8, "coverage": 2}.get(os.path.basename(BUILD), 1) * int(os.environ.get("PATIENCE", "1"))
SHARED = os.environ.get("SHARED", os.path.join(os.path.dirname(TOP), "shared"))


class Mismatch(Exception):
    """What a test found wrong, in the words that its reader needs."""


class Lacking(Exception):
    """What a test needs and the machine does not have: the test is skipped, with these words."""


def terminal():
    """A pseudo terminal's two ends."""
    try:
        return os.openpty()
    except OSError as wrong:
        raise Lacking(f"no pseudo terminal: {wrong}") from wrong


def expect(condition, text):
    if not condition:
        raise Mismatch(text)


# --- TAP -------------------------------------------------------------------------------------------------------------

class Tap:
    """Counts and prints; the plan comes last, since cases may be found on the way."""

    def __init__(self):
        self.count = self.failed = 0

    def result(self, name, problem=None):
        self.count += 1
        self.failed += problem is not None
        print(f"{'ok' if problem is None else 'not ok'} {self.count} - {name}")
        lines = (problem or "").splitlines()
        for line in lines[:40]:
            print(f"# {line[:1000]}")
        if len(lines) > 40:
            print(f"# … and {len(lines) - 40} more lines")
        sys.stdout.flush()

    def check(self, name, good, why=""):
        self.result(name, None if good else str(why) or "failed")

    def run(self, name, function, *args):
        """One test: any exception is a failure of it, never the end of the program."""
        try:
            function(*args)
        except Mismatch as wrong:
            self.result(name, str(wrong) or "failed")
        except Lacking as what:
            self.skip(name, str(what))
        except Exception as wrong:  # pylint: disable=broad-except
            self.result(name, f"{type(wrong).__name__}: {wrong}")
        else:
            self.result(name)

    def run_each(self, subject, cases, place):
        """Each case with a new place, which is called by the class; the names of the functions name the tests."""
        for case in cases:
            self.run(f"{subject}: {case.__name__.replace('_', ' ')}", self.run_in, place, case)

    @staticmethod
    def run_in(place, case, *args):
        with place() as there:
            case(there, *args)

    @staticmethod
    def note(text):
        print(f"# note: {text}")

    def skip(self, name, why):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {why}")

    def finish(self):
        print(f"1..{self.count}")
        sys.exit(1 if self.failed else 0)


# --- files -----------------------------------------------------------------------------------------------------------

class Folder:
    """Files of a test's own, for as long as a with statement."""

    FILES = {}  # what is there at first: text by name

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="mlgate-test-")
        for name, text in self.FILES.items():
            self.write(name, text)
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def path(self, name=""):
        return os.path.join(self.folder.name, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8", newline="") as file:
            file.write(text)

    def read(self, name):
        with open(self.path(name), encoding="utf-8", newline="") as file:
            return file.read()


# --- YAML as the API server reads it ---------------------------------------------------------------------------------

class Loader(yaml.SafeLoader):
    """YAML 1.1 without what JSON has no form for: no dates, no base-60 numbers; 1e3 is a number."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rows if tag not in
            ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()}
Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(0|[1-9][0-9_]*|0[0-7]+|0x[0-9a-fA-F]+)$"),
                             list("-+0123456789"))
Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"),
                             list("-+.0123456789"))
Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(loader.construct_scalar(node)))


def load_yaml(path):
    with open(path, encoding="utf-8") as file:
        return yaml.load(file, Loader=Loader)


def dump_yaml(value):
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False)


# --- running mlgate --------------------------------------------------------------------------------------------------

def environment(more=None):
    """Ours without MLGATE_*, which would be options; MLGATE_SANDBOX=require runs every server of the tests in it."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MLGATE_") or key == "MLGATE_SANDBOX"}
    return {**kept, **(more or {})}


def run(args, cwd=None, stdin=b"", timeout=60, env=None):
    """mlgate with these arguments: (exit status, stdout, stderr), both as text."""
    done = subprocess.run([MLGATE, *args], cwd=cwd, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout, check=False, env=environment(env))
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def check(args, cwd=None, stdin=b"", timeout=60):
    """`mlgate check --format json`: (exit status, report or None, stderr)."""
    status, out, err = run(["check", "--format", "json", *args], cwd, stdin, timeout)
    return status, (json.loads(out) if out.strip() else None), err


_certificates = None


def certificates():
    """A folder with ca.crt, tls.crt and tls.key for localhost, made once a program by mlgate itself."""
    global _certificates  # pylint: disable=global-statement
    if _certificates is None:
        folder = tempfile.TemporaryDirectory(prefix="mlgate-certs-")
        status, _, err = run(["certs", "--out", folder.name, "--service", "mlgate", "--namespace", "mlgate-system",
                              "--dns", "localhost", "--ip", "127.0.0.1"])
        expect(status == 0, f"mlgate certs: exit {status}: {err}")
        _certificates = folder
    return _certificates.name


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Server:
    """A running `mlgate serve`; used in a with statement."""

    def __init__(self, policies, contexts=(), extra=(), grace=0):
        self.policies, self.contexts, self.extra = policies, contexts, ["--grace", str(grace), *extra]
        self.process = self.connection = None

    def command(self):
        folder = certificates()
        self.port, self.plain_port = free_port(), free_port()
        command = [MLGATE, "serve", "--tls-cert", f"{folder}/tls.crt", "--tls-key", f"{folder}/tls.key",
                   "--listen", f"127.0.0.1:{self.port}", "--listen-plain", f"127.0.0.1:{self.plain_port}", *self.extra]
        for path in self.policies:
            command += ["--policies", path]
        for path in self.contexts:
            command += ["--context", path]
        return command

    def __enter__(self):
        for attempt in range(3):  # another process may take the port between the choice and the bind
            self.log = tempfile.TemporaryFile()
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                            env=environment())
            try:
                self.wait_ready()
                return self
            except Mismatch:
                self.stop()
                if attempt == 2 or (self.process.returncode == 2 and "Address already in use" not in self.logged()):
                    raise
        return self

    def __exit__(self, *_):
        self.stop()

    def wait_ready(self, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Mismatch(f"serve ended with exit {self.process.returncode}: {self.logged()}")
            try:
                if self.get("/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.01)
        raise Mismatch(f"serve was not ready after {seconds} s: {self.logged()}")

    def get(self, path):
        """GET from the plain port: (HTTP status, body)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.plain_port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def post(self, path, body, timeout=20):
        """POST to the TLS port over one kept connection: (HTTP status, body)."""
        for attempt in range(2):
            if self.connection is None:
                trust = ssl.create_default_context(cafile=f"{certificates()}/ca.crt")
                self.connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=trust)
            try:
                self.connection.request("POST", path + "?timeout=10s", body, {"Content-Type": "application/json"})
                answer = self.connection.getresponse()
                status, reply = answer.status, answer.read()
                if answer.will_close:
                    self.close()
                return status, reply
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.close()
                if attempt == 1:
                    raise
        raise AssertionError("not reached")

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def stop(self):
        """SIGTERM, and the exit status; a server that does not go is killed."""
        self.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def logged(self):
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace")[-4000:]


class Driver:
    """test/golden_driver: the admission function without a server. Requests and answers go through a pipe, each as a
    line "PATH LENGTH" or "STATUS LENGTH" and then that many bytes."""

    def __init__(self, policies, contexts=(), extra=()):
        self.command = [os.path.join(BUILD, "golden_driver"), *extra]
        for path in policies:
            self.command += ["--policies", path]
        for path in contexts:
            self.command += ["--context", path]

    def __enter__(self):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        env=environment())
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        status = self.process.wait(20)
        self.process.stdout.close()
        expect(status == 0, f"golden_driver: exit {status}: {self.logged()}")

    def post(self, path, body):
        try:
            self.process.stdin.write(b"%s %d\n" % (path.encode(), len(body)) + body)
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        head = self.process.stdout.readline().split()
        expect(len(head) == 2, f"golden_driver gave no answer: {self.logged()}")
        return int(head[0]), self.process.stdout.read(int(head[1]))

    def logged(self):
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace")[-4000:]


# --- reviews ---------------------------------------------------------------------------------------------------------

CLUSTER_SCOPED = {"Namespace", "Node", "PriorityClass", "ClusterTrainingRuntime", "ClusterServingRuntime"}


def resource_of(kind):
    """The plural that the API server would give."""
    name = kind.lower()
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    return name + ("es" if name.endswith(("s", "x", "ch", "sh")) else "s")


def review(obj, old=None, operation=None, namespace=None, user="alice", groups=("system:authenticated",),
           uid="7f4a7c15-0000-4000-8000-000000000001", more=None):
    """The AdmissionReview that the API server would send for the object as it is; `more` is laid over the request."""
    operation = operation or ("CREATE" if old is None else "UPDATE")
    group, _, version = obj.get("apiVersion", "v1").rpartition("/")
    metadata = obj.get("metadata") or {}
    kind = {"group": group, "version": version, "kind": obj.get("kind", "")}
    resource = {"group": group, "version": version, "resource": resource_of(obj.get("kind", "x"))}
    request = {"uid": uid, "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource}
    if metadata.get("name"):
        request["name"] = metadata["name"]
    obj = copy.deepcopy(obj)
    if kind["kind"] not in CLUSTER_SCOPED:
        request["namespace"] = metadata.get("namespace") or namespace or "default"
    elif kind["kind"] == "Namespace":
        request["namespace"] = metadata.get("name", "")
    deleted = operation == "DELETE"
    request.update({
        "operation": operation,
        "userInfo": {"username": user, "groups": list(groups)},
        "object": None if deleted else obj,
        "oldObject": obj if deleted else old,
        "dryRun": False,
        "options": {"kind": operation.capitalize() + "Options", "apiVersion": "meta.k8s.io/v1"},
        **(more or {}),
    })
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}


ANSWER_KEYS = {"uid", "allowed", "status", "patch", "patchType", "auditAnnotations", "warnings"}


def answer(transport, path, request):
    """Posts a review (an object or bytes) and returns the response after a check of all that the API server insists on, with
    the decoded patch under "operations"."""
    body = request if isinstance(request, bytes) else json.dumps(request, ensure_ascii=False).encode()
    status, text = transport.post(path, body)
    expect(status == 200, f"{path}: HTTP {status}: {text[:400]!r}")
    reply = json.loads(text)
    expect(reply.get("apiVersion") == "admission.k8s.io/v1" and reply.get("kind") == "AdmissionReview",
           f"{path}: no v1 AdmissionReview: {text[:200]!r}")
    expect(set(reply) <= {"apiVersion", "kind", "response"}, f"{path}: other keys: {sorted(reply)}")
    response = reply["response"]
    expect(set(response) <= ANSWER_KEYS, f"{path}: unknown keys in response: {sorted(set(response) - ANSWER_KEYS)}")
    uid = json.loads(body)["request"]["uid"]
    expect(response.get("uid") == uid, f"{path}: uid {response.get('uid')!r}, not {uid!r}")
    expect(isinstance(response.get("allowed"), bool), f"{path}: allowed is {response.get('allowed')!r}")
    expect(("patch" in response) == ("patchType" in response), f"{path}: patch and patchType do not come together")
    operations = []
    if "patch" in response:
        expect(path == "/mutate", f"{path}: a patch")
        expect(response["patchType"] == "JSONPatch", f"{path}: patchType {response['patchType']!r}")
        operations = json.loads(base64.b64decode(response["patch"], validate=True))
        expect(isinstance(operations, list) and operations, f"{path}: an empty patch")
    if path == "/mutate":
        expect(response["allowed"], f"/mutate denied: {response.get('status')}")
    if not response["allowed"]:
        denial = response.get("status", {})
        expect(denial.get("code") == 403 and denial.get("reason") == "Forbidden" and denial.get("message"),
               f"{path}: denied with status {denial!r}")
    warnings = response.get("warnings", [])
    expect(all(isinstance(text, str) and 0 < len(text) <= 120 for text in warnings), f"{path}: warnings {warnings!r}")
    annotations = response.get("auditAnnotations", {})
    expect(all(isinstance(value, str) for value in annotations.values()), f"{path}: auditAnnotations {annotations!r}")
    return {**response, "operations": operations}


def apply(operations, obj):
    """The object after the patch; what the API server's library refuses is refused here, too."""
    for operation in operations:
        expect(operation.get("op") in ("add", "replace", "remove"), f"patch operation {operation!r}")
    try:
        return jsonpatch.JsonPatch(operations).apply(obj)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as wrong:
        raise Mismatch(f"the patch does not apply: {wrong}: {json.dumps(operations)[:1000]}") from wrong


def shared(*parts):
    """A path in the folder of recorded material beside the tree, or None where it is absent."""
    path = os.path.join(SHARED, *parts)
    return path if os.path.exists(path) else None


def files(folder, pattern):
    return sorted(glob.glob(os.path.join(folder, pattern), recursive=True))


def show(value):
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True)


def canonical(value):
    """Equal for equal JSON only: True is not 1, 1 is 1.0, the order of keys does not count."""
    if isinstance(value, dict):
        return ("object", tuple(sorted((key, canonical(item)) for key, item in value.items())))
    if isinstance(value, list):
        return ("array", tuple(canonical(item) for item in value))
    return (type(value).__name__ if isinstance(value, (bool, str, type(None))) else "number", value)


def same(left, right):
    return canonical(left) == canonical(right)


def fits(pattern, text):
    """Exactly, or with * for any run; nothing else is special, since messages are full of brackets."""
    return pattern == text or re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.S) is not None
