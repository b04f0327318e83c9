#!/usr/bin/python3
"""`mlgate scan` against an API server of the test: what it lists, with which credentials, and what becomes of all that can go
wrong."""
import base64
import json
import os
import select
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fake_api import Api  # noqa: E402
import harness  # noqa: E402
from harness import expect  # noqa: E402

BASELINE = os.path.join(harness.TOP, "policies", "baseline", "gpu-limits.yaml")
TAP = harness.Tap()
WORK = tempfile.TemporaryDirectory(prefix="mlgate-scan-")


def write(name, text):
    path = os.path.join(WORK.name, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text if isinstance(text, str) else harness.dump_yaml(text))
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def b64(path):
    return base64.b64encode(read(path)).decode()


def spec(gpus=None, limit=None):
    resources = {}
    if gpus:
        resources["requests"] = {"nvidia.com/gpu": str(gpus)}
    if limit:
        resources["limits"] = {"nvidia.com/gpu": str(limit)}
    return {"containers": [{"name": "c", "image": "i", "resources": resources}]}


def owner(kind, name, api_version, controller=True):
    return {"ownerReferences": [{"apiVersion": api_version, "kind": kind, "name": name, "uid": "u", "controller": controller}]}


def cluster():
    """Two Pods of nobody, a Job with its Pod, a Pod of a controller that nobody knows, a PyTorchJob."""
    api = Api()
    api.serve("v1", {"pods": ("Pod", True), "secrets": ("Secret", True), "namespaces": ("Namespace", False)})
    api.serve("apps/v1", {"deployments": ("Deployment", True)})
    api.serve("batch/v1", {"jobs": ("Job", True)})
    api.serve("kubeflow.org/v1", {"pytorchjobs": ("PyTorchJob", True)})
    api.serve("unknown.example/v1", {"things": ("Thing", True)})
    api.put("Pod", "bad", {"spec": spec(1)}, "ml")
    api.put("Pod", "good", {"spec": spec(1, 1)}, "web")
    api.put("Job", "train", {"spec": {"template": {"spec": spec(2)}}}, "ml")
    api.put("Pod", "train-0", {"spec": spec(2), "metadata": owner("Job", "train", "batch/v1")}, "ml")
    api.put("Pod", "of-thing", {"spec": spec(1), "metadata": owner("Thing", "t", "unknown.example/v1")}, "ml")
    api.put("Pod", "adopted", {"spec": spec(1), "metadata": owner("Job", "train", "batch/v1", False)}, "ml")
    api.put("PyTorchJob", "bert", {"spec": {"pytorchReplicaSpecs": {"Worker": {"template": {"spec": spec(8)}}}}}, "ml")
    return api


def config(api, user=None, more=None, server=None, context=None):
    """A kubeconfig of one context; `user` is what the user has."""
    return {"apiVersion": "v1", "kind": "Config", "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", **(context or {})}}],
            "clusters": [{"name": "c", "cluster": {"server": server or f"https://127.0.0.1:{api.port}",
                                                   "certificate-authority": f"{harness.certificates()}/ca.crt", **(more or {})}}],
            "users": [{"name": "u", "user": {"token": api.token} if user is None else user}]}


def scan(kubeconfig, *args, env=None, fmt="json"):
    """(exit status, report or text, stderr)."""
    options = [] if kubeconfig is None else ["--kubeconfig", kubeconfig]
    clean = {"KUBECONFIG": "", "HOME": WORK.name, "KUBERNETES_SERVICE_HOST": "", **(env or {})}
    status, out, err = harness.run(["scan", "--policies", BASELINE, "--format", fmt, *options, *args], env=clean)
    return status, json.loads(out) if fmt == "json" and out.strip() else out, err


def files(report):
    return sorted(one["file"] for one in report["results"])


def denied(report):
    return sorted(one["file"] for one in report["results"] if not one["allowed"])


TOP_LEVEL = ["Job/ml/train", "Pod/ml/adopted", "Pod/ml/bad", "Pod/ml/of-thing", "Pod/web/good", "PyTorchJob/ml/bert"]
DENIED = [name for name in TOP_LEVEL if name != "Pod/web/good"]


def everything(args=(), kubeconfig=None, wanted=None, env=None, status=1):
    with cluster() as api:
        path = write("config", config(api)) if kubeconfig is None else kubeconfig(api)
        got, report, err = scan(path, *args, env=env)
        expect(got == status, f"exit {got}: {err} {report}")
        expect(files(report) == (TOP_LEVEL if wanted is None else wanted), f"judged: {files(report)}")
        expect(all(head.startswith("GET ") for head in api.heads), "not only GETs")
        return report, api


def whole_cluster():
    report, api = everything()
    expect(denied(report) == DENIED, f"denied: {denied(report)}")
    summary = report["summary"]
    expect(summary["objects"] == 6 and summary["denied"] == 5 and summary["skipped"] == 1 and summary["errors"] == 0, summary)
    one = next(one for one in report["results"] if one["kind"] == "PyTorchJob")
    expect((one["apiVersion"], one["namespace"], one["name"]) == ("kubeflow.org/v1", "ml", "bert"), one)
    expect(one["violations"][0]["path"].startswith("spec.pytorchReplicaSpecs.Worker.template.spec.containers[0]"), one)
    asked = {path for _, path, _ in api.asked}
    expect(not any("secrets" in path or "unknown" in path for path in asked), f"asked for more than the table has: {asked}")


def owned():
    report, _ = everything(["--owned"], wanted=sorted([*TOP_LEVEL, "Pod/ml/train-0"]))
    expect("Pod/ml/train-0" in denied(report), denied(report))


def one_namespace():
    report, api = everything(["--namespace", "web"], wanted=["Pod/web/good"], status=0)
    expect(report["summary"]["denied"] == 0, report["summary"])
    lists = [path for _, path, query in api.asked if "limit" in query]
    expect(lists and all("/namespaces/web/" in path for path in lists), f"asked: {lists}")


def selector():
    _, api = everything(["--selector", "app in (a,b),tier!=x&y"])
    lists = [query for _, _, query in api.asked if "limit" in query]
    expect(lists and all(query.get("labelSelector") == "app in (a,b),tier!=x&y" for query in lists), f"asked: {lists}")


def text():
    with cluster() as api:
        status, out, err = scan(write("config", config(api)), fmt="text")
        expect(status == 1 and err == "", f"exit {status}: {err}")
        expect("deny gpu-limits/gpuLimits: Pod ml/bad" in out and out.endswith("1 skipped, 0 errors\n"), out)
        expect("Pod/ml/bad:" in out and WORK.name not in out, out)


def empty():
    with cluster() as api:
        path = write("config", config(api))
        for args, wanted in (([], 3), (["--allow-empty"], 0)):
            status, _, err = scan(path, "--namespace", "nothing-there", *args)
            expect(status == wanted, f"{args}: exit {status}: {err}")


# --- pages -----------------------------------------------------------------------------------------------------------

def many(api, count=600):
    for i in range(count):
        api.put("Pod", f"p{i:04}", {"spec": spec(1)}, f"ns{i % 3}")
    return sorted([*TOP_LEVEL, *(f"Pod/ns{i % 3}/p{i:04}" for i in range(count))])


def pages():
    with cluster() as api:
        wanted = many(api)
        status, report, err = scan(write("config", config(api)))
        expect(status == 1 and files(report) == wanted, f"exit {status}, {len(report['results'])} objects: {err}")
        lists = api.lists("/api/v1/pods")
        expect(len(lists) == 3, f"{len(lists)} pages")


def gone(with_token):
    """The version of the list is compacted between two pages: each object is judged once all the same."""
    def fault(connection, query):
        if "continue" not in query or connection.api.twist:
            return connection.list("Pod", query)
        connection.api.twist = True
        status = {"kind": "Status", "apiVersion": "v1", "code": 410, "reason": "Expired", "message": "too old",
                  "metadata": {"continue": query["continue"]} if with_token else {}}
        return connection.reply(410, status)

    with cluster() as api:
        wanted = many(api)
        api.faults[("Pod", "list")], api.lasting, api.twist = [fault], True, False
        status, report, err = scan(write("config", config(api)))
        expect(status == 1 and report["summary"]["errors"] == 0, f"exit {status}: {err} {report['errors']}")
        expect(files(report) == wanted, f"{len(report['results'])} objects of {len(wanted)}")
        expect(api.twist and len(api.lists("/api/v1/pods")) == (4 if with_token else 5), len(api.lists("/api/v1/pods")))


def always_gone():
    with cluster() as api:
        many(api, 300)
        api.faults[("Pod", "list")], api.lasting = [
            lambda c, q: c.refuse(410, "too old") if "continue" in q else c.list("Pod", q)], True
        status, report, _ = scan(write("config", config(api)))
        expect(status == 3 and [one["file"] for one in report["errors"]] == ["pods"], f"exit {status}: {report['errors']}")
        expect("PyTorchJob/ml/bert" in files(report), "the other kinds are missing")
        expect(len(files(report)) == len(set(files(report))), "an object twice")


def never_ends():
    """Pages without an object that always promise another one."""
    with cluster() as api:
        api.faults[("Pod", "list")], api.lasting = [
            lambda c, q: c.reply(200, {"kind": "PodList", "metadata": {"continue": "more"}, "items": []})], True
        status, report, _ = scan(write("config", config(api)))
        expect(status == 3 and "does not end" in report["errors"][0]["message"], f"exit {status}: {report['errors']}")


def large_pages():
    """What is too large in one page is asked for in smaller ones."""
    def fault(connection, query):
        if int(query["limit"]) > 60:
            return connection.reply(200, b" " * (33 << 20))
        return connection.list("Pod", query)

    with cluster() as api:
        wanted = many(api, 130)
        api.faults[("Pod", "list")], api.lasting = [fault], True
        status, report, err = scan(write("config", config(api)))
        expect(status == 1 and files(report) == wanted, f"exit {status}: {err} {report['errors']}")


# --- what is refused -------------------------------------------------------------------------------------------------

def forbidden():
    with cluster() as api:
        api.faults[("Pod", "list")], api.lasting = [
            lambda c, _: c.refuse(403, 'pods is forbidden: User "u" cannot list\x1b[31m resource')], True
        status, report, _ = scan(write("config", config(api)))
        expect(status == 3 and files(report) == ["Job/ml/train", "PyTorchJob/ml/bert"], f"exit {status}: {files(report)}")
        expect(len(report["errors"]) == 1 and report["errors"][0]["file"] == "pods", report["errors"])
        message = report["errors"][0]["message"]
        expect("403" in message and "is forbidden" in message and "\x1b" not in message, message)


def broken(name, fault):
    with cluster() as api:
        api.faults[("Job", "list")], api.lasting = [fault], True
        status, report, _ = scan(write("config", config(api)))
        expect(status == 3 and len(report["errors"]) == 1, f"{name}: exit {status}: {report['errors']}")
        expect("PyTorchJob/ml/bert" in files(report), f"{name}: the kinds behind it are missing")


def away():
    with cluster() as api:
        path = write("config", config(api))
        api.stop()
        status, report, _ = scan(path)
        expect(status == 3 and report["results"] == [] and len(report["errors"]) == 1, f"exit {status}: {report}")


def half_discovery():
    """A group whose server is away is told, and the others are listed."""
    with cluster() as api:
        api.single["/apis/batch/v1"] = (500, {"kind": "Status", "message": "the server is currently unable"})
        status, report, _ = scan(write("config", config(api)))
        expect(status == 3 and "Pod/ml/bad" in files(report) and "Job/ml/train" not in files(report), files(report))
        expect("unable" in report["errors"][0]["message"], report["errors"])


def hostile_discovery():
    """Names that would lead elsewhere are left alone."""
    with cluster() as api:
        api.single["/api/v1"][1]["resources"] += [
            {"name": name, "kind": "Pod", "namespaced": True, "verbs": ["list"]}
            for name in ("../../secrets", "pods/status", "pods?watch=1", "", 7)] + [{"kind": "Pod"}, None, "pods"]
        status, report, _ = scan(write("config", config(api)))
        expect(status == 1 and files(report) == TOP_LEVEL, f"exit {status}: {report}")


# --- credentials -----------------------------------------------------------------------------------------------------

def token_file(api):
    write("sub/token", api.token + "\n")
    return write("sub/config", config(api, {"tokenFile": "token", "token": "wrong"}))


def ca_data(api):
    return write("config", config(api, more={"certificate-authority": "/not/there", "certificate-authority-data":
                                             b64(f"{harness.certificates()}/ca.crt")}))


def folded_data(api):
    text = b64(f"{harness.certificates()}/ca.crt")
    return write("config", config(api, more={"certificate-authority-data": "\n".join(
        text[i:i + 76] for i in range(0, len(text), 76)) + "\n"}))


def trailing_slash(api):
    return write("config", config(api, server=f"https://127.0.0.1:{api.port}/"))


def by_variable():
    with cluster() as api:
        first = write("one/config", {"apiVersion": "v1", "kind": "Config", "current-context": "here", "users": [
            {"name": "u", "user": {"token": api.token}}]})
        second = write("two/config", config(api, {"token": "not this one"}))
        status, report, err = scan(None, env={"KUBECONFIG": f"/not/there:{first}:{second}"})
        expect(status == 1 and files(report) == TOP_LEVEL, f"exit {status}: {err}")


def at_home():
    with cluster() as api:
        write("home/.kube/config", config(api))
        status, report, err = scan(None, env={"HOME": f"{WORK.name}/home"})
        expect(status == 1 and files(report) == TOP_LEVEL, f"exit {status}: {err}")


def other_context():
    with cluster() as api:
        both = config(api, {"token": "wrong"})
        both["contexts"].append({"name": "there", "context": {"cluster": "c", "user": "right"}})
        both["users"].append({"name": "right", "user": {"token": api.token}})
        path = write("config", both)
        status, report, err = scan(path, "--kube-context", "there")
        expect(status == 1 and files(report) == TOP_LEVEL, f"exit {status}: {err}")
        status, report, _ = scan(path)
        expect(status == 3 and "401" in report["errors"][0]["message"], f"a wrong token: exit {status}: {report}")
        status, _, err = scan(path, "--kube-context", "nowhere")
        expect(status == 2 and "here, there" in err, f"exit {status}: {err}")


def service_account():
    with cluster() as api:
        status, _, err = scan(None)
        expect(status == 2 and "no kubeconfig" in err, f"exit {status}: {err}")
        env = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(api.port)}
        status, _, err = scan(None, env=env)
        expect(status == 2 and "/var/run/secrets/kubernetes.io/serviceaccount" in err, f"exit {status}: {err}")


def client_certificate(inline):
    """The server takes who shows a certificate of its own authority, and asks for no token."""
    with cluster() as api:
        crt, key = f"{WORK.name}/client.crt", f"{WORK.name}/client.key"
        if not os.path.exists(crt):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                            "/CN=reader", "-keyout", key, "-out", crt, "-days", "2"], check=True, capture_output=True, timeout=20)
        api.token = None
        api.tls.load_verify_locations(crt)
        api.tls.verify_mode = ssl.CERT_REQUIRED
        user = {"client-certificate-data": b64(crt), "client-key-data": b64(key)} if inline else \
            {"client-certificate": "client.crt", "client-key": "client.key"}
        status, report, err = scan(write("config", config(api, user)))
        expect(status == 1 and files(report) == TOP_LEVEL, f"exit {status}: {err} {report}")
        expect(not any("uthorization" in head for head in api.heads), "a token nobody gave")
        status, report, _ = scan(write("config", config(api, {})))
        expect(status == 3, f"without a certificate: exit {status}")


def server_name():
    """The server is reached at an address that its certificate does not have."""
    with cluster() as api:
        # The certificate of the tests is for 127.0.0.1 and localhost; 127.0.0.2 is neither.
        api.stop()
        api.address = "127.0.0.2"
        api.start()
        server = f"https://127.0.0.2:{api.port}"
        status, report, _ = scan(write("config", config(api, server=server)))
        expect(status == 3, f"another name than the certificate's: exit {status}")
        status, report, err = scan(write("config", config(api, server=server, more={"tls-server-name": "localhost"})))
        expect(status == 1 and files(report) == TOP_LEVEL, f"exit {status}: {err} {report}")
        expect(all(f"Host: 127.0.0.2:{api.port}" in head for head in api.heads), f"another host: {api.heads[-1]}")
        status, _, _ = scan(write("config", config(api, server=server, more={"tls-server-name": "elsewhere.example"})))
        expect(status == 3, f"a name that is not the certificate's: exit {status}")


class Proxy:
    """Takes CONNECT, and pipes; one connection after the other is enough."""

    def __enter__(self):
        self.asked, self.stopping = [], False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def run(self):
        while not self.stopping:
            if not select.select([self.listener], [], [], 0.1)[0]:
                continue
            with self.listener.accept()[0] as client:
                head = client.recv(4096).decode("latin-1")
                self.asked.append(head)
                host, port = head.split(" ")[1].rsplit(":", 1)
                with socket.create_connection((host, int(port)), timeout=5) as server:
                    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    self.pipe(client, server)

    def pipe(self, client, server):
        while not self.stopping:
            for one in select.select([client, server], [], [], 0.1)[0]:
                data = one.recv(65536)
                if not data:
                    return
                (server if one is client else client).sendall(data)

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join(10)
        self.listener.close()


def proxy():
    with cluster() as api, Proxy() as one:
        environment = {"HTTPS_PROXY": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"}
        status, report, err = scan(write("config", config(api)), env=environment)
        expect(status == 1 and not one.asked, f"the environment's proxy: exit {status}: {err}")
        path = write("config", config(api, more={"proxy-url": f"http://127.0.0.1:{one.port}"}))
        status, report, err = scan(path)
        expect(status == 1 and files(report) == TOP_LEVEL, f"exit {status}: {err} {report}")
        expect(one.asked and one.asked[0].startswith(f"CONNECT 127.0.0.1:{api.port} "), one.asked)


def plain():
    """What one writes for kubectl proxy: it has the credentials, and speaks HTTP on this host."""
    with cluster() as api:
        api.tls = api.token = None
        for host in ("127.0.0.1", "localhost"):
            asked = len(api.heads)
            server = f"http://{host}:{api.port}"
            # The names of certificates are none of its business.
            whole = config(api, user={}, server=server, more={"tls-server-name": "elsewhere.example"})
            environment = {"http_proxy": "http://127.0.0.1:1"}
            status, report, err = scan(write("config", whole), env=environment)
            expect(status == 1 and files(report) == TOP_LEVEL, f"{host}: exit {status}: {err} {report}")
            heads = api.heads[asked:]
            expect(heads and all(f"Host: {host}:{api.port}" in head for head in heads), f"{host}: {heads}")


def refused(name, change, *wanted):
    """What cannot be done is refused before anybody is asked, with a way out."""
    with cluster() as api:
        whole = config(api)
        change(whole)
        status, out, err = scan(write("config", whole if isinstance(whole, dict) else str(whole)), fmt="text")
        expect(status == 2 and out == "" and not api.asked, f"{name}: exit {status}, {len(api.asked)} requests: {out}{err}")
        expect(all(word in err for word in wanted), f"{name}: {err}")
        expect(api.token not in err and "PLANTED" not in err, f"{name}: a secret is told: {err}")


def user(**keys):
    def change(whole):
        whole["users"][0]["user"] = keys
    return change


def with_cluster(**keys):
    def change(whole):
        whole["clusters"][0]["cluster"].update({key.replace("_", "-"): value for key, value in keys.items()})
    return change


def without(key):
    return lambda whole: whole.pop(key)


REFUSED = [
    ("exec", user(exec={"command": "aws", "apiVersion": "client.authentication.k8s.io/v1"}), "exec", "kubectl create token"),
    ("auth-provider", user(**{"auth-provider": {"name": "gcp"}}), "auth-provider", "kubectl create token"),
    ("impersonation", user(token="PLANTED1", **{"as": "root"}), "as:"),
    ("password", user(username="admin", password="PLANTED2"), "username"),
    ("no TLS", with_cluster(server="http://192.0.2.1:8001"), "https://"),
    ("no TLS, a name that may be another host", with_cluster(server="http://127.0.0.1.example:8001"), "https://"),
    ("no TLS, by a proxy", with_cluster(server="http://127.0.0.1:8001", proxy_url="http://192.0.2.1:1"), "without a proxy"),
    ("no verification", with_cluster(insecure_skip_tls_verify=True), "insecure-skip-tls-verify", "certificate-authority"),
    ("no server", with_cluster(server=""), "no server"),
    ("no context", without("current-context"), "--kube-context", "here"),
    ("no cluster", without("clusters"), 'no cluster "c"'),
    ("no user", without("users"), 'no user "u"'),
    ("bad base64", with_cluster(certificate_authority_data="PLANTED!!"), "certificate-authority-data", "base64"),
    ("bad token", user(token="PLANTED\n3\r\nX-Evil: 1"), "token"),
    ("bad proxy", with_cluster(proxy_url="ftp://PLANTED"), "proxy-url"),
    ("bad name", with_cluster(tls_server_name="a b/c"), "tls-server-name"),
    ("a map for a text", with_cluster(server={"a": 1}), "server"),
]


def unreadable():
    for text, wanted in (("{", "config:1"), ("[]", "no kubeconfig"), ("", "empty")):
        status, _, err = scan(write("config", text))
        expect(status == 2 and wanted in err, f"{text!r}: exit {status}: {err}")
    status, _, err = scan("/not/there")
    expect(status == 2 and "/not/there" in err, f"exit {status}: {err}")
    status, _, err = scan(write("config", {}), "--namespace", "../kube-system")
    expect(status == 2 and "namespace" in err, f"exit {status}: {err}")


# --- what policies ask of the cluster --------------------------------------------------------------------------------

def context():
    policy = write("policy.yaml", """apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: only-labelled}
spec:
  match: {namespaceSelector: {matchLabels: {tier: gpu}}}
  rules:
  - gpuLimits: {}
""")
    with cluster() as api:
        api.put("Namespace", "ml", {"metadata": {"labels": {"tier": "gpu"}}})
        api.put("Namespace", "web", {})
        api.put("Pod", "other", {"spec": spec(1)}, "web")
        path = write("config", config(api))
        status, out, err = harness.run(["scan", "--kubeconfig", path, "--policies", policy, "--format", "json"])
        report = json.loads(out)
        expect(status == 1 and denied(report) == DENIED, f"exit {status}: {denied(report)} {err}")
        expect("Namespace/ml" not in files(report), "context is no workload")
        api.faults[("Namespace", "list")], api.lasting = [lambda c, _: c.refuse(403, "no")], True
        status, out, _ = harness.run(["scan", "--kubeconfig", path, "--policies", policy, "--format", "json"])
        report = json.loads(out)
        expect(status == 3 and report["errors"][0]["file"] == "namespaces", f"exit {status}: {report['errors']}")


def rights():
    """The role that ships names every kind of the table, and lists alone."""
    rules = next(harness.yaml.safe_load_all(read(os.path.join(harness.TOP, "manifests", "scan", "clusterrole.yaml"))))["rules"]
    expect(all(rule["verbs"] == ["list"] for rule in rules), "more than list")
    granted = {(group, name) for rule in rules for group in rule["apiGroups"] for name in rule["resources"]}
    table = filter(None, harness.yaml.safe_load_all(read(os.path.join(harness.TOP, "webhook", "kube", "workloads.yaml"))))
    wanted = {(one["spec"].get("group", ""), one["metadata"]["name"].split(".")[0]) for one in table}
    expect(wanted - granted == set(), f"not granted: {sorted(wanted - granted)}")


def main():
    for name, function, *args in [
            ("a whole cluster", whole_cluster), ("--owned", owned), ("--namespace", one_namespace), ("--selector", selector),
            ("as text", text), ("an empty namespace", empty), ("pages", pages), ("410, with a token to go on", gone, True),
            ("410, and the list begins anew", gone, False), ("410 for ever", always_gone), ("a list without end", never_ends),
            ("pages that are too large", large_pages), ("403 of a kind", forbidden),
            ("a reply that is no JSON", broken, "no JSON", lambda c, _: c.reply(200, b"<html>")),
            ("a reply that is no list", broken, "no list", lambda c, _: c.reply(200, {"items": {"a": 1}})),
            ("a reply that is no object", broken, "no object", lambda c, _: c.reply(200, [])),
            ("500 of a kind", broken, "500", lambda c, _: c.refuse(500, "etcd is slow")),
            ("nobody answers", away), ("half of the discovery", half_discovery), ("a hostile discovery", hostile_discovery),
            ("tokenFile, relative, before token", lambda: everything(kubeconfig=token_file)),
            ("certificate-authority-data, before the file", lambda: everything(kubeconfig=ca_data)),
            ("certificate-authority-data, folded", lambda: everything(kubeconfig=folded_data)),
            ("a slash behind the server", lambda: everything(kubeconfig=trailing_slash)),
            ("KUBECONFIG with several files", by_variable), ("~/.kube/config", at_home), ("--kube-context", other_context),
            ("a pod's service account", service_account), ("client certificate, files", client_certificate, False),
            ("client certificate, inline", client_certificate, True), ("tls-server-name", server_name), ("proxy-url", proxy),
            ("http:// on this host", plain),
            ("kubeconfigs that cannot be read", unreadable), ("namespaceSelector", context), ("manifests/scan", rights)]:
        TAP.run(name, function, *args)
    for name, change, *wanted in REFUSED:
        TAP.run(f"refused: {name}", refused, name, change, *wanted)
    TAP.finish()


if __name__ == "__main__":
    try:
        main()
    finally:
        WORK.cleanup()
