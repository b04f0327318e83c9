#!/usr/bin/python3
"""seeds.py BINARY FOLDER [CORPUS]...   what fuzzing begins with,
made of what is there: FOLDER/TARGET/… and FOLDER/TARGET.dict

The golden cases and the policies that ship give documents, the binary's own schema and pages the words. CORPUS: folders of
further manifests, of which the small files are taken, too. Nothing of it is kept in the tree.
"""
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile

import yaml

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SMALL = 16384  # bytes of a document that is worth changing
PART = b"\n%%\n"


MARKS = ["%%\n", "---\n", "- ", ": ", "? ", "&a ", "*a", "<<: ", "!!str ", "!!binary ", "|\n", ">-\n", "|2+\n", "# ",
         "%YAML 1.1\n", "...\n", "\u2028", "\x85", "\ufeff", "0x1F", "0o7", "1_000", ".inf", "~",
         "yes", "1:30", "2001-01-01", "\\x41", "\\N"]
WORDS = {  # what a target should meet soon; policies also have the words of the schema
    "json": [*'{}[]:,"', "\\u0000", "\\ud83d\\ude00", "\\ud83d", "1e400", "-0", "true", "null", "false", "\ufeff"],
    "yaml": MARKS,
    "policy": MARKS,
    "baseline": [*MARKS, "mlgate.dev/v1", "Baseline", "findings", "kind", "policy", "rule", "container", "subject"],
    "fix": MARKS,
    "manifest": ["%%\n", "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json",
                 "manifests", "layers", "config", "mediaType", "digest", "size", "platform", "history", "rootfs", "diff_ids",
                 "empty_layer", "created_by", "annotations", "artifactType", "subject", "data", "urls"],
    "records": ["\n", "{", "}", "[", "],", "\x1e", "audit.k8s.io/v1", "Event", "admission.k8s.io/v1", "AdmissionReview",
                "ResponseComplete", "create", "update", "patch", "objectRef", "subresource", "ephemeralcontainers", "resize",
                "requestObject", "responseObject", "responseStatus", "code", "impersonatedUser", "verb", "stage"],
    "kubeconfig": ["clusters", "contexts", "users", "current-context", "certificate-authority", "-data", "client-key", "token",
                   "tokenFile", "exec", "auth-provider", "insecure-skip-tls-verify", "proxy-url", "https://", "http://", "\x00"],
    "feed": ["%%\n", "\n", "resourceVersion", "continue", "items", "metadata", "name", "namespace", "ADDED", "MODIFIED",
             "DELETED", "BOOKMARK", "ERROR", "status", "managedFields", "kubectl.kubernetes.io/last-applied-configuration"],
    "listing": ["%%\n200", "%%\n410", "%%\n404", "continue", "items", "metadata", "name", "groups", "versions", "version",
                "resources", "verbs", "list", "kind", "namespaced"],
    "git": ["diff --git a/x b/x\n", "--- a/x\n", "+++ b/x\n", "+++ /dev/null\n", "@@ -1 +1 @@\n", "@@ -1,2 +0,0 @@\n",
            "@@ -0,0 +1,3 @@\n", "----\n", "+---\n", "\\ No newline at end of file\n", "%%\n", "---\n", "\\303", "\t\n"],
    "http": ["POST ", "GET ", " HTTP/1.1\r\n", " HTTP/1.0\r\n", "\r\n\r\n", "Content-Length: ",
             "Transfer-Encoding: chunked\r\n",
             "Connection: close\r\n", "Expect: 100-continue\r\n", "Host: x\r\n", "traceparent: ",
             "?timeout=", "/mutate", "/validate", "Content-Type: application/json\r\n", "/metrics", "%2f", "\x00"],
    "quantity": ["n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e", ".", "+", "-",
                 "9223372036854775807", "9223372036854775808", "0.5", "1e30"],
    "image": ["sha256:", "sha512:" + "a" * 57, "docker.io/", "index.docker.io/", "library/", "__", "--", "[::1]", ":80/",
              "@"],
    "pattern": ["[!", "[^", "]", "*", "?", "%%\n", "/", "(?", "\\p{L}", "\\Q", "(*", "{2,}", "\u00e9"],
    "words": ["Bearer ", "realm=", "service=", "RUN ", "COPY ", ".safetensors", ".gguf", ".bin", "TOKEN=", "password=",
              "https://", "huggingface-cli download ", "hf_", "T00:00:00Z", "1h", "ms", "\u00b5s"],
}


class Seeds:
    def __init__(self, folder):
        self.folder = folder

    def add(self, target, content):
        if isinstance(content, str):
            content = content.encode()
        if len(content) > SMALL:
            return
        folder = os.path.join(self.folder, target)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, hashlib.sha1(content).hexdigest()), "wb") as file:
            file.write(content)

    def words(self, target, words):
        lines = set()
        for word in words:
            raw = word.encode() if isinstance(word, str) else word
            if 0 < len(raw) <= 64:
                lines.add('"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02x}" for b in raw) + '"')
        with open(os.path.join(self.folder, target + ".dict"), "w", encoding="ascii") as file:
            file.write("\n".join(sorted(lines)) + "\n")


def files(folder, suffixes):
    for where, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            path = os.path.join(where, name)
            if name.endswith(suffixes) and os.path.getsize(path) <= SMALL:
                with open(path, "rb") as file:
                    yield path, file.read()


def documents(text):
    try:
        return [d for d in yaml.safe_load_all(text) if isinstance(d, dict)]
    except (yaml.YAMLError, UnicodeDecodeError, ValueError):
        return []


def plain(value):
    return json.dumps(value, default=str)


def review(obj, operation="CREATE", old=None, more=None):
    group, _, version = str(obj.get("apiVersion", "v1")).rpartition("/")
    metadata = obj.get("metadata") or {}
    request = {"uid": "u-1", "kind": {"group": group, "version": version, "kind": obj.get("kind", "Pod")},
               "resource": {"group": group, "version": version, "resource": "x"}, "name": metadata.get("name", "a"),
               "namespace": metadata.get("namespace", "ml"), "operation": operation,
               "userInfo": {"username": "ada", "groups": ["dev"]}, "object": obj, "oldObject": old, "dryRun": False}
    request.update(more or {})
    return plain({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})


def of_manifests(seeds, folder):
    for _, text in files(folder, (".yaml", ".yml", ".json")):
        seeds.add("yaml", text)
        seeds.add("check", text)
        seeds.add("fix", text)
        for document in documents(text):
            seeds.add("review", review(document))
            seeds.add("json", plain(document))


def of_golden(seeds):
    golden = os.path.join(TOP, "test", "golden")
    for where, _, names in sorted(os.walk(golden)):
        def text(name):
            if name not in names:
                return b""
            with open(os.path.join(where, name), "rb") as file:
                return file.read()
        if "object.yaml" not in names:
            continue
        policy, context, obj = text("policy.yaml"), text("context.yaml"), text("object.yaml")
        both = policy + (b"\n---\n" + context if context else b"")
        seeds.add("policy", b"P" + both)
        seeds.add("policy", b"P" + both + PART + b"\n---\n".join(plain(d).encode() for d in documents(obj)[:1]))
        for file in (policy, context, obj):
            seeds.add("yaml", file)
        seeds.add("check", obj)
        seeds.add("fix", obj)
        for document in documents(obj)[:1]:
            for old in [None] + documents(text("old.yaml"))[:1]:
                more = (documents(text("request.yaml")) or [{}])[0]
                seeds.add("review", review(document, "UPDATE" if old else "CREATE", old, more))
            seeds.add("json", plain(document))


def of_policies(seeds):
    for _, text in files(os.path.join(TOP, "policies"), (".yaml",)):
        seeds.add("policy", b"P" + text)
        seeds.add("yaml", text)
    for _, text in files(os.path.join(TOP, "webhook"), (".yaml",)):
        for document in documents(text):
            seeds.add("policy", b"P" + yaml.safe_dump(document).encode())


def small_texts(seeds):
    """A few of each form; the fuzzer makes the others."""
    for text in ("0 1", "1.5Gi 100m", "1e3 -5E", "+.5Ki 1n", "0.1m 9223372036854775807", "12E6 3e-4", "1Ei 1Ei"):
        seeds.add("quantity", text.replace(" ", "\n"))
    for text in ("nginx", "a/b:c", "nvcr.io/x/y:1.2@sha256:" + "a" * 64, "[::1]:5000/a__b", "localhost/a",
                 "Host:80/a--b"):
        seeds.add("image", text)
    for glob, value in (("ml-*", "ml-a"), ("[!a-c]?x", "dex"), ("/a(b|c)+/", "abc"), ("*a*b*", "xaybz"), ("[]a]",
                        "]")):
        seeds.add("pattern", f"{glob}\n%%\n{value}")
    for text in ("2027-01-31", "2027-01-31T12:00:00Z", "2024-02-29T23:59:60+01:30", "1m30s", "2.5s", "100ms",
                 "1h0.5m",
                 "00-" + "a" * 32 + "-" + "b" * 16 + "-01", 'Bearer realm="https://a/t",service="s",scope="a:b:pull,push"',
                 "Basic realm=x, Bearer realm=y", "COPY model.safetensors /m",
                 "RUN curl -H 'Authorization: Bearer abc' x.gguf",
                 "|2 HF_TOKEN=hf_x RUN /bin/sh -c huggingface-cli download a/b # buildkit", "models/a.gguf",
                 "a/pytorch_model.bin"):
        seeds.add("words", text)
    selector = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "x/y", "operator": "In", "values": ["a",
    "b"]},
                                                               {"key": "z", "operator": "DoesNotExist"}]}
    seeds.add("selector", plain([selector, {"a": "b", "x/y": "b"}]))
    seeds.add("selector", plain([{"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["c"]}]},
              {"a": "b"}]))
    for head in ("POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
                 "POST /validate?timeout=5s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json; charset=utf-8\r\n"
                 "Expect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\nabcd",
                 "POST /mutate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"):
        seeds.add("http", "T" + head)
        seeds.add("http", "T" + head + head)
    for path in ("healthz", "livez", "readyz?verbose", "metrics"):
        seeds.add("http", f"P" + f"GET /{path} HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n" * 2)
    seeds.add("login", plain({"auths": {"a.io": {"auth": "dTpw"}, "*.b.io/x": {"username": "u", "password": "p"}}})
              + "\n%%\nx.b.io\n%%\nx/y")


def event(obj, verb, more=None):
    """A line of the audit log."""
    metadata = obj.get("metadata") or {}
    group, _, version = str(obj.get("apiVersion", "v1")).rpartition("/")
    ref = {"resource": "x", "namespace": metadata.get("namespace", "ml"), "name": metadata.get("name", "a"), "apiGroup": group,
           "apiVersion": version}
    said = {"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": "u-1",
            "stage": "ResponseComplete", "requestURI": "/apis/x?dryRun=All", "verb": verb, "user": {"username": "ada"},
            "objectRef": ref, "responseStatus": {"code": 201 if verb == "create" else 200},
            "requestObject": [] if verb == "patch" else obj, "responseObject": obj}
    said.update(more or {})
    return plain(said)


def of_records(seeds):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "ml"}, "spec": {"containers": [{}]}}
    lines = [event(pod, "create"), event(pod, "update"), event(pod, "patch"), event(pod, "delete"), review(pod),
             event(pod, "create", {"stage": "Panic"}), event(pod, "patch", {"responseStatus": {"code": 409}}),
             event(pod, "update", {"objectRef": {"subresource": "status"}, "impersonatedUser": {"username": "eve"}})]
    for line in lines:
        seeds.add("records", line)
    seeds.add("records", "\n".join(lines[:3]) + "\n\n" + lines[3])
    seeds.add("records", "[" + ",\n".join(lines[2:4]) + "]")
    seeds.add("records", "\ufeff" + lines[0][:90] + "\n" + lines[1] + "\nnothing\n" + lines[2] + "\x1e" + lines[4])
    seeds.add("records", yaml.safe_dump(json.loads(lines[0])))


def of_clusters(seeds):
    config = {"apiVersion": "v1", "kind": "Config", "current-context": "c",
              "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:6443/x", "certificate-authority-data": "YQ==",
                                                     "tls-server-name": "kube", "proxy-url": "socks5://p:1"}},
                           {"name": "l", "cluster": {"server": "https://h", "certificate-authority": "ca.crt"}}],
              "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "ml"}},
                           {"name": "d", "context": {"cluster": "l", "user": "v"}}],
              "users": [{"name": "u", "user": {"token": "t", "client-certificate-data": "YWI=", "client-key-data": "YWJj"}},
                        {"name": "v", "user": {"tokenFile": "t", "client-certificate": "c", "client-key": "/k"}}]}
    exec_user = dict(config, users=[{"name": "u", "user": {"exec": {"command": "x"}, "username": "a", "as": "b"}}])
    for one in (config, dict(config, **{"current-context": "d"}), exec_user):
        seeds.add("kubeconfig", plain(one))
        seeds.add("kubeconfig", yaml.safe_dump(one))
    groups = {"kind": "APIGroupList", "groups": [{"name": "batch", "versions": [{"version": "v1"}, {"version": "v1beta1"}]}]}
    served = {"resources": [{"name": "jobs", "kind": "Job", "namespaced": True, "verbs": ["list", "get"]},
                            {"name": "jobs/status", "kind": "Job", "verbs": ["get"]}]}
    for replies in ([(200, groups), (200, served), (200, served), (404, {})], [(403, {"message": "no"})]):
        seeds.add("listing", "D" + "\n%%\n".join(f"{status}{plain(body)}" for status, body in replies))
    items = [{"metadata": {"name": name, "namespace": "ml"}} for name in "abcd"]
    first, last = {"metadata": {"continue": "x y"}, "items": items[:2]}, {"metadata": {}, "items": items[1:]}
    for replies in ([(200, first), (200, last)], [(200, first), (410, {"metadata": {"continue": "z"}}), (200, last)],
                    [(200, first), (410, {}), (200, last)], [(200, dict(last, items=None))]):
        seeds.add("listing", "L" + "\n%%\n".join(f"{status}{plain(body)}" for status, body in replies))
    for one in (config, groups, served, [1.5, -0.0, "\u00e4\ud83d\ude00", None, True]):
        seeds.add("api", "J" + plain(one))
    for token in ("abc.def-_", "a\r\n", " a", "a b", ""):
        seeds.add("api", "T" + token)
    names = [{"metadata": {"name": n, "namespace": "ml", "resourceVersion": str(i), "managedFields": []}, "spec": {"limits": [i]},
              "value": i} for i, n in enumerate("abc")]
    pages = [{"kind": "List", "metadata": {"resourceVersion": "7", "continue": "more"}, "items": names[:2]},
             {"metadata": {"resourceVersion": "7"}, "items": names[2:]}]
    watch = [{"type": kind, "object": dict(o, status={"x": 1})} for kind, o in zip(("ADDED", "MODIFIED", "DELETED"), names)]
    watch += [{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}]
    gone = [{"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}]
    for kind in range(7):
        for events in (watch, watch[::-1] + gone):
            seeds.add("feed", chr(kind) + "\n%%\n".join(map(plain, pages)) + "\n%%\n" + "\n".join(map(plain, events)) + "\n")
    seeds.add("feed", "\x01" + plain(pages[1]) + "\n%%\n" + "\n\n".join(map(plain, watch[:2])) + "\n{")


def of_tests(seeds):
    for _, text in files(os.path.join(TOP, "policies"), (".test.yaml",)):
        for document in documents(text):
            cases = document.get("cases", [])
            for i in range(0, len(cases), 4):
                seeds.add("cases", yaml.safe_dump(dict(document, cases=cases[i:i + 4])))
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [
        {"name": "c", "image": "x", "resources": {"limits": {"nvidia.com/gpu": 1}}}]}}
    cases = [{"name": "a", "object": pod, "expect": {"allowed": True, "patched": None, "violations": ["a/b"]}},
             {"name": "b", "oldObject": pod, "object": pod, "namespace": "n", "user": "u", "groups": ["g"], "operation": "UPDATE",
              "expect": {"message": "/.*limit/", "patched": pod}},
             {"name": "c", "oldObject": pod, "expect": {"allowed": False}}]
    test = {"apiVersion": "mlgate.dev/v1", "kind": "Test", "metadata": {"name": "t"}}
    for some in (cases, cases[:1], cases[1:2], cases[2:]):
        seeds.add("cases", plain(dict(test, cases=some)))
        seeds.add("cases", yaml.safe_dump(dict(test, cases=some)))


def of_defaults(seeds):
    findings = [{"kind": "Pod", "namespace": "ml", "name": "a", "policy": "p", "rule": "r", "container": "c", "subject": "s"},
                {"kind": "Job", "policy": "p", "rule": "r"}, {"kind": "Job", "policy": "p", "rule": "r", "name": "x y: '#"}]
    for some in (findings, findings[::-1] + findings, []):
        baseline = {"apiVersion": "mlgate.dev/v1", "kind": "Baseline", "findings": some}
        seeds.add("baseline", plain(baseline))
        seeds.add("baseline", yaml.safe_dump(baseline))
    defaults = [{"policies": ["a", "/b"], "context": "c", "format": ["json=x", "text"], "warn-exit-code": 3, "strict": True},
                {"policies": "p", "namespace": "ml", "allow-empty": False, "operation": "update", "strict": True, "jobs": 2},
                {"now": "2027-01-31", "run": "a*", "update": True, "format": "junit=/x", "groups": ["a"], "user": "u"}]
    for command in range(6):
        for one in defaults:
            seeds.add("config", chr(command) + plain(one))
            seeds.add("config", chr(command) + yaml.safe_dump(one))


def of_git(seeds):
    head = "diff --git a/{0} b/{0}\nindex 1..2 100644\n--- a/{0}\n+++ b/{0}\n"
    source = "kind: A\n---\nkind: B\nname: x\n---\nkind: C\n"
    for diff in (head.format("a.yaml") + "@@ -1 +1 @@\n-kind: Z\n+kind: A\n@@ -9,2 +3,0 @@ kind\n----\n-kind: D\n",
                 head.format('"b\\303\\244.yaml"') + "@@ -0,0 +2,2 @@\n+---\n+kind: B\n\\ No newline at end of file\n",
                 "diff --git a/x b/x\ndeleted file mode 100644\n--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n",
                 head.format("c d.yaml\t") + "@@ -7,3 +6,0 @@\n----\n-a\n-b\n@@ -20 +6 @@\n-kind: X\n+kind: C\n"):
        seeds.add("git", diff + "%%\nnew.yaml\nother name\n\n%%\n" + source)


def of_images(seeds):
    digest = "sha256:" + "a" * 64
    config = "application/vnd.oci.image.config.v1+json"
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": 1234,
             "annotations": {"io.github.containers.zstd-chunked.manifest-position": "1:2:3:1"}}
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {"mediaType": config, "digest": digest, "size": 7}, "layers": [layer, dict(layer, size=99)]}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
        {"mediaType": manifest["mediaType"], "digest": digest, "size": 5, "platform": {"os": "linux",
        "architecture": "amd64"}},
        {"mediaType": manifest["mediaType"], "digest": digest, "size": 5,
         "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}}]}
    facts = {"architecture": "amd64", "os": "linux", "config": {"Labels": {"a": "b"}, "Env": ["A=b"]},
             "rootfs": {"type": "layers", "diff_ids": [digest, digest]},
             "history": [{"created_by": "COPY a.safetensors /m"}, {"created_by": "ENV x", "empty_layer": True},
             {"created_by": "RUN x"}]}
    for one in (manifest, index, dict(manifest, config=dict(manifest["config"], data="e30="))):
        seeds.add("manifest", plain(one) + "\n%%\n" + plain(facts))
    kept = {"digest": digest, "diffId": digest, "mediaType": "x", "size": 5, "command": "RUN x", "proof": 2, "what": "m",
            "fileSize": -1, "lookedInto": True, "held": 0, "toc": "1:2", "tocDigest": digest, "tried": True, "measured": False}
    platform = {"platform": "linux/amd64", "digest": digest, "total": 12, "malformed": "", "artifact": "", "proof": 0, "what": "",
                "layers": [kept, dict(kept, proof=0)]}
    for platforms in ([], [platform], [platform, dict(platform, platform="linux/arm64", layers=[])]):
        seeds.add("disk", plain({"mlgate": 1, "key": digest + " p", "digest": digest, "platforms": platforms}))
    for members in (["a/b.txt"], ["models/x.gguf", "models/config.json"], ["d" * 120 + "/" + "f" * 90]):
        for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w", format=form) as tar:
                for name in members:
                    info = tarfile.TarInfo(name)
                    info.size = 40
                    tar.addfile(info, io.BytesIO(b'GGUF{"architectures": []}'.ljust(40)))
            seeds.add("layer", b"R" + out.getvalue()[:4096])
    toc = {"version": 1, "entries": [{"name": "m/a.safetensors", "type": "reg", "size": 1 << 30, "digest": digest}]}
    seeds.add("layer", "T" + plain(toc))


def of_certificates(seeds, binary):
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, "certs")
        subprocess.run([binary, "certs", "--out", place, "--dns", "localhost", "create"], check=True,
        capture_output=True)
        made = [text for _, text in files(place, (".crt", ".key"))]
        for text in made + [b"".join(made), made[0] * 3]:
            seeds.add("pem", text)


def words_of(binary):
    schema = subprocess.run([binary, "schema"], check=True, capture_output=True, text=True).stdout
    words = set(re.findall(r'"([A-Za-z0-9./_*-]{1,40})"', schema))
    with open(os.path.join(TOP, "webhook", "kube", "workloads.yaml"), encoding="utf-8") as file:
        words |= set(re.findall(r"[A-Za-z][A-Za-z0-9]+", file.read()))
    return words


def main():
    binary, folder = sys.argv[1:3]
    os.makedirs(folder, exist_ok=True)
    seeds = Seeds(folder)
    of_golden(seeds)
    of_policies(seeds)
    small_texts(seeds)
    of_images(seeds)
    of_records(seeds)
    of_clusters(seeds)
    of_tests(seeds)
    of_defaults(seeds)
    of_git(seeds)
    of_certificates(seeds, binary)
    for corpus in sys.argv[3:]:
        of_manifests(seeds, corpus)
    words, options = words_of(binary), set()
    for target in ("review", "check", "cases"):
        seeds.words(target, words)
    for command in ("check", "fix", "test", "replay", "explain"):
        said = subprocess.run([binary, command, "--help-all"], check=True, capture_output=True, text=True).stdout
        options |= {option + ": " for option in re.findall(r"--([a-z-]+)", said)}
    seeds.words("config", options | set(MARKS))
    for target, own in WORDS.items():
        seeds.words(target, [*own, *(words if target == "policy" else ())])


main()
