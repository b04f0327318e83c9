"""A project whose names try to get out of whatever a report puts them into."""
import json
import os

POLICIES = """\
apiVersion: mlgate.dev/v1
kind: Policy
metadata:
  name: gpu
  annotations: {mlgate.dev/docs: 'https://wiki.example/gpu?a=1&b=[x] "'}
spec:
  description: "What uses an accelerator {0} says so, [here](https://evil.example)."
  rules:
  - gpuLimits: {require: [memory]}
  - tolerations: {forEachAccelerator: true}
  - sharedMemory: {sizeLimit: 16Gi}
---
apiVersion: mlgate.dev/v1
kind: Policy
metadata:
  name: soft
  annotations: {mlgate.dev/docs: "javascript:alert(1)"}
spec:
  action: warn
  rules:
  - labels: {require: {team: "?*"}}
  - tolerations: {forEachAccelerator: true, add: [{key: spot, operator: Exists}]}
---
apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: silent}
spec:
  action: audit
  rules:
  - require: {path: "spec.containers[].name", pattern: "/[a-z]+/"}
---
apiVersion: mlgate.dev/v1
kind: Exception
metadata: {name: later}
spec: {policies: [gpu], match: {names: [spared]}, owner: team-nlp, reason: it moves next week, expires: 2026-11-30}
"""

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: plain, namespace: ml}
spec:
  containers:
  - name: wörker
    image: example.com/x:1
    resources:
      requests:
        nvidia.com/gpu: 2
      limits:
        cpu: 4
"""

# Each once as the name of an object, of a container and of a resource.
NAMES = [
    "quote\"s'and`ticks``",
    "]]></failure><x/>",
    "</script><script>alert(1)</script><img src=x onerror=alert(1)>",
    "bidi\u202egpj.exe\u2066\u200f",
    "nul\u0000and\u0001\u001b[31mred\u007f\u0085\ufeff\ufffe\uffff",
    "line\nbreak\r\n::error file=x::pwned",
    "::error::%0A%0D%3A%2C,title=x:y##[add-mask]z",
    "a|b\\|c\\\\|d | e",
    "@octocat #1 !2 &3 $4 ~5 %6 www.evil.example https://evil.example [l](https://evil.example) **b** _i_ ~~s~~ {0} {{x}}",
    "\U0001f4a9" * 40,
    "x" * 3000,
    "--><!-- \\",
]

FILES = {b"a b%20,c:d<b>&\".yaml": POD, b"\xff.yaml": POD, b"::error::x.yaml": POD, b"line\nbreak.yaml": POD,
         b"`|`@you.yaml": POD, b"plain.yaml": POD, b"spared.yaml": POD.replace("name: plain", "name: spared"),
         b"broken.yaml": "a: [1\nb: 2\n", b"crlf.yaml": POD.replace("\n", "\r\n"), b"bom.yaml": "\ufeff" + POD,
         b"tabs.json": '{"apiVersion":\t"v1",\n\t"kind":\t"Pod",\n\t"metadata":\t{"name":\t"tabs"},\n\t"spec":\t{"containers":\t'
                       '[{"name":\t"c",\t"resources":\t{"requests":\t{"nvidia.com/gpu":\t1}}}]}}\n'}


def pod(name, container, resource="nvidia.com/gpu"):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "ml"},
            "spec": {"containers": [{"name": container, "image": "i", "resources": {"requests": {resource: 1}}}]}}


def write(folder, files=True):
    """policies/ and jobs/ in the folder. Without `files` all files have plain names."""
    os.makedirs(os.path.join(folder, "policies"))
    os.makedirs(os.path.join(folder, "jobs"))
    with open(os.path.join(folder, "policies", "all.yaml"), "w", encoding="utf-8") as file:
        file.write(POLICIES)
    objects = [pod(name, "c") for name in NAMES] + [pod(f"n{i}", name) for i, name in enumerate(NAMES)]
    objects += [pod(f"r{i}", "c", "nvidia.com/" + name) for i, name in enumerate(NAMES)]
    with open(os.path.join(folder, "jobs", "list.json"), "w", encoding="utf-8") as file:
        json.dump({"apiVersion": "v1", "kind": "List", "items": objects}, file, indent=1)
    with open(os.path.join(folder, "jobs", "object.json"), "w", encoding="utf-8") as file:
        json.dump(pod("one", "c"), file)
    for name, text in FILES.items():
        if files or name in (b"plain.yaml", b"spared.yaml", b"broken.yaml"):
            with open(os.path.join(os.fsencode(folder), b"jobs", name), "wb") as file:
                file.write(text.encode())


def many(path, pods, containers):
    """A list that comes to three findings a container."""
    objects = [pod(f"p{i}", "c") for i in range(pods)]
    for item in objects:
        first, = item["spec"]["containers"]
        item["spec"]["containers"] = [{**first, "name": f"c{i}"} for i in range(containers)]
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"apiVersion": "v1", "kind": "List", "items": objects}, file, indent=1)
