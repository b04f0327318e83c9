#!/usr/bin/python3
"""`mlgate fix` on manifests in random styles (SEED, COUNT): what another YAML reader sees afterwards is the patch that `check`
told, no comment is lost, lines that are not of the mutation stay, and a second run has nothing to do."""
import copy
import difflib
import json
import os
import random
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402
from harness import expect  # noqa: E402

POLICIES = """\
apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: all}
spec:
  rules:
  - gpuLimits: {requestsEqualLimits: [memory]}
  - tolerations: {forEachAccelerator: true, add: [{key: spot, operator: Equal, value: "true", effect: NoSchedule}]}
  - nodeSelector: {add: {nvidia.com/gpu.present: "true"}}
  - sharedMemory: {sizeLimit: 16Gi}
  - priority: {className: ml-training, override: true}
  - visibleDevices: {unset: void}
  - jobLimits: {backoffLimit: {default: 3}, activeDeadlineSeconds: {default: 600}}
  - topologySpread: {constraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]}
  - patch:
      pod:
        metadata: {annotations: {example.com/note: "x: y", example.com/text: "two\\nlines\\n"}}
        spec: {containers: [{name: main, env: [{name: THREADS, value: "1"}]}]}
"""


# --- objects ---------------------------------------------------------------------------------------------------------

def maybe(chance, true, false=None):
    return true if random.random() < chance else false


def amounts():
    kind = random.choice(["limits", "requests", "both", "differ", "none", "string"])
    gpu = {"nvidia.com/gpu": "2" if kind == "string" else 2}
    if kind == "none":
        return random.choice([{}, None, {"limits": {}}, {"limits": None}, {"requests": {"cpu": 1}}])
    if kind == "requests" or kind == "string":
        return {"requests": {**gpu, "memory": "4Gi"}}
    if kind == "both":
        return {"limits": {**gpu, "memory": "8Gi"}, "requests": dict(gpu)}
    if kind == "differ":
        return {"requests": {"nvidia.com/gpu": 1}, "limits": {"nvidia.com/gpu": 4}}
    return {"limits": gpu}


def container(name):
    made = {"name": name, "image": "registry.example/a:1"}
    for key, value in (("resources", amounts()),
                       ("command", ["sh", "-c", "echo 'a: b' # no comment\nexit 0\n"]),
                       ("env", random.choice([[], None, [{"name": "A", "value": "b"}], [{"name": "B", "value": ""}]])),
                       ("volumeMounts", random.choice([[], [{"name": "data", "mountPath": "/data"}]])),
                       ("args", ["--x", "{y}", "[z]", "*a", "&b", "!c", "- d", "é", "1", "true"])):
        if random.random() < 0.5:
            made[key] = value
    return shuffled(made)


def shuffled(mapping):
    keys = list(mapping)
    random.shuffle(keys)
    return {key: mapping[key] for key in keys}


def pod_spec():
    made = {"containers": [container(name) for name in random.choice([["main"], ["main", "side"], ["side", "main"]])]}
    for key, value in (("initContainers", [container("init")]),
                       ("tolerations", random.choice([[], None, [{"key": "x", "operator": "Exists"}]])),
                       ("nodeSelector", random.choice([{}, None, {"zone": "a"}])),
                       ("volumes", random.choice([[], [{"name": "data", "emptyDir": {}}]])),
                       ("priority", 7), ("preemptionPolicy", "Never"), ("priorityClassName", "other"),
                       ("topologySpreadConstraints", []), ("restartPolicy", "Never"), ("hostIPC", False),
                       ("affinity", {"nodeAffinity": {}})):
        if random.random() < 0.35:
            made[key] = value
    return shuffled(made)


def template():
    made = {"spec": pod_spec()}
    if random.random() < 0.7:
        made["metadata"] = random.choice([{"labels": {"a": "b"}}, {}, {"annotations": {}}, {"annotations": {"c": "d"}}])
    return shuffled(made)


def manifest(number):
    kind = random.choice(["Pod", "Job", "PyTorchJob", "Deployment", "ConfigMap", "List"])
    meta = {"name": f"n{number}", "namespace": "ml"}
    if kind == "List":
        return {"apiVersion": "v1", "kind": "List", "items": [manifest(f"{number}-{i}") for i in range(random.randint(1, 3))]}
    if kind == "ConfigMap":
        return {"apiVersion": "v1", "kind": kind, "metadata": meta, "data": {"a": "b: c\n\n", "d": "# e"}}
    if kind == "Pod":
        return shuffled({"apiVersion": "v1", "kind": kind, "metadata": meta, "spec": pod_spec()})
    if kind == "PyTorchJob":
        spec = {"pytorchReplicaSpecs": {role: {"replicas": 1, "template": template()} for role in ("Master", "Worker")}}
        return shuffled({"apiVersion": "kubeflow.org/v1", "kind": kind, "metadata": meta, "spec": spec})
    version = {"Job": "batch/v1", "Deployment": "apps/v1"}[kind]
    return shuffled({"apiVersion": version, "kind": kind, "metadata": meta, "spec": {"template": template()}})


# --- styles ----------------------------------------------------------------------------------------------------------

class Style:
    """Writes a document in a style of its own, which changes a little on the way."""

    def __init__(self):
        self.step = random.choice([1, 2, 2, 2, 3, 4])
        self.list_step = random.choice([0, 0, 2, 4])
        self.dash = random.choice([2, 2, 2, 3, 4])
        self.flow = random.choice([0, 0, 0.1, 0.4])
        self.comments = random.choice([0, 0.1, 0.4])
        self.blanks = random.choice([0, 0, 0.2])
        self.noted = 0

    def comment(self):
        if random.random() >= self.comments:
            return ""
        self.noted += 1
        return random.choice([" ", "   ", "\t"]) + f"# note {self.noted}: {{x}} [y]"

    def before(self, indent):
        lines = []
        if random.random() < self.blanks:
            lines.append(random.choice(["", "  "]))
        if random.random() < self.comments / 2:
            self.noted += 1
            lines.append(" " * random.choice([0, indent, indent + 3]) + f"# alone {self.noted}")
        return lines

    @staticmethod
    def plain(text):
        return re.fullmatch(r"[A-Za-z][A-Za-z0-9./-]*", text) and text not in ("true", "y", "n", "null")

    def string(self, text, flow=False):
        kinds = ["double"]
        if "\n" not in text:
            kinds.append("single")
        if self.plain(text):
            kinds += ["plain"] * 4
        kind = random.choice(kinds)
        if kind == "single":
            return "'" + text.replace("'", "''") + "'"
        return text if kind == "plain" else json.dumps(text, ensure_ascii=random.random() < 0.5)

    def scalar(self, value):
        if isinstance(value, str):
            return self.string(value)
        if value is None:
            return random.choice(["null", "~", "Null"])
        return json.dumps(value)

    def inline(self, value):
        space = random.choice(["", "", " "])
        comma = random.choice([", ", ", ", ",  "])
        if isinstance(value, dict):
            inner = comma.join(f"{self.string(key)}: {self.inline(item)}" for key, item in value.items())
            return "{" + space + inner + space + "}" if value else "{}"
        if isinstance(value, list):
            last = "," if value and random.random() < 0.1 else ""
            return "[" + space + comma.join(self.inline(item) for item in value) + last + space + "]" if value else "[]"
        return self.scalar(value)

    def wide(self, value, indent):
        """Brackets over several lines."""
        pad = " " * (indent + random.choice([2, 4]))
        rows = []
        items = list(value.items() if isinstance(value, dict) else value)
        for number, item in enumerate(items):
            text = f"{self.string(item[0])}: {self.inline(item[1])}" if isinstance(value, dict) else self.inline(item)
            comma = "," if number + 1 < len(items) or random.random() < 0.2 else ""
            rows.append(pad + text + comma + self.comment())
        opens, closes = ("{", "}") if isinstance(value, dict) else ("[", "]")
        return [opens + self.comment(), *rows, " " * (indent + 1) + closes]

    def value(self, head, value, indent, child_indent):
        """Lines of `head` (a key with its colon, or a dash) and its value."""
        if isinstance(value, (dict, list)) and value and random.random() >= self.flow:
            return [head + self.comment(), *self.block(value, child_indent)]
        if isinstance(value, (dict, list)) and value and random.random() < 0.5:
            first, *rest = self.wide(value, indent)
            return [f"{head} {first}", *rest[:-1], rest[-1] + self.comment()]
        if isinstance(value, str) and value.endswith("\n") and random.random() < 0.8:
            kept = "+" if value.endswith("\n\n") else ""
            return [f"{head} |{kept}", *[" " * (indent + 2) + line if line else "" for line in value[:-1].split("\n")]]
        if value is None and random.random() < 0.6:
            return [head + self.comment()]
        text = self.inline(value) if isinstance(value, (dict, list)) else self.scalar(value)
        return [head + random.choice([" ", " ", "  "]) + text + self.comment()]

    def block(self, value, indent):
        lines = []
        for item in value.items() if isinstance(value, dict) else value:
            lines += self.before(indent) if lines and not lines[-1].endswith("|+") else []
            if isinstance(value, list):
                lines += self.item(item, indent)
                continue
            key, inner = item
            child = indent + (self.list_step if isinstance(inner, list) else self.step)
            lines += self.value(" " * indent + self.string(key) + ":", inner, indent, child)
        return lines

    def item(self, item, indent):
        behind = indent + self.dash
        if not isinstance(item, dict) or not item or random.random() < self.flow:
            return self.value(" " * indent + "-", item, indent, behind)
        lines = self.block(item, behind)
        first = next(i for i, line in enumerate(lines) if line.strip() and not line.strip().startswith("#"))
        if first or random.random() < 0.1:
            return [" " * indent + "-", *lines]
        return [" " * indent + "-" + " " * (self.dash - 1) + lines[0][behind:], *lines[1:]]


def written(value):
    """(text, how many comments)"""
    how = random.random()
    if how < 0.12:
        return json.dumps(value, indent=random.choice([None, 1, 2, 4, "\t"]), ensure_ascii=False), 0
    if how < 0.17:
        return json.dumps(value, separators=(",", ":")), 0
    style = Style()
    return "\n".join(style.block(value, 0)), style.noted


def file_text():
    parts = [written(manifest(number)) for number in range(random.choice([1, 1, 2, 3]))]
    text = ""
    for number, (part, _) in enumerate(parts):
        if len(parts) > 1 and part[0] == "{":
            part = part.replace("\t", "  ")  # YAML takes no tabs there
        begin = maybe(0.5, "---\n", "") if number == 0 else random.choice(["\n---\n", "\n---  # next\n", "\n\n---\n# next\n"])
        text += begin + part
    ends = ["\n", "\n", "", "\n\n"]
    text += random.choice(ends if parts[-1][0][0] == "{" or text[0] == "{" else ends + ["\n# end\n", "\n...\n"])
    text = text.replace("-\t#", "- #")  # no tab behind a dash
    if random.random() < 0.15:
        text = text.replace("\n", "\r\n")
    if random.random() < 0.05:
        text = "\ufeff" + text
    return text, sum(noted for _, noted in parts)


# --- judging ---------------------------------------------------------------------------------------------------------

def documents(text):
    """As kubectl splits and reads them."""
    text = text.replace("\r\n", "\n").replace("\t", " ").lstrip("\ufeff")  # PyYAML takes no tabs
    return list(harness.yaml.load_all(text, Loader=harness.Loader))


def objects(docs):
    for doc in docs:
        yield from objects(doc["items"]) if isinstance(doc, dict) and doc.get("kind") == "List" else [doc]


def patched(docs, report):
    """The documents with the patches that check told, in its order."""
    docs = copy.deepcopy(docs)
    places = [holder for holder in objects(docs) if isinstance(holder, dict) and holder.get("kind") not in ("ConfigMap", None)]
    expect(len(places) == len(report["results"]), f"{len(places)} objects, {len(report['results'])} results")
    for holder, result in zip(places, report["results"]):
        after = harness.apply(result["patch"] or [], holder) if result.get("patch") else holder
        after = copy.deepcopy(after)
        holder.clear()
        holder.update(after)
    return docs


def check(folder, *args):
    status, out, err = harness.run(["check", "--policies", "policy.yaml", "--format", "json", *args, "x.yaml"], cwd=folder)
    expect(status in (0, 1), f"check: exit {status}: {out[:1000]}{err[:1000]}")
    return json.loads(out)


def read(folder):
    with open(os.path.join(folder, "x.yaml"), "rb") as file:
        return file.read().decode()


def lost_lines(before, after):
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    return sum(b - a for kind, a, b, _, _ in matcher.get_opcodes() if kind in ("replace", "delete"))


def one(folder, seed):
    random.seed(seed)
    text, noted = file_text()
    with open(os.path.join(folder, "x.yaml"), "wb") as file:
        file.write(text.encode())
    told = check(folder)
    wanted = patched(documents(text), told)
    options = random.choice([[], ["--mend"]])
    status, out, err = harness.run(["fix", "--policies", "policy.yaml", "--format", "json", *options, "x.yaml"], cwd=folder)
    expect(status in (0, 1), f"fix: exit {status}: {out[:2000]}{err[:500]}")
    after = read(folder)
    if not options:
        expect(documents(after) == wanted, "another document than the patch makes")
    expect(not any(result.get("patch") for result in check(folder)["results"]), "a patch is left")
    notes = re.compile(r"# (?:note|alone) \d+")
    gone = set(notes.findall(text)) - set(notes.findall(after))
    expect(len(set(notes.findall(text))) <= noted, "notes are counted wrong")
    removed = sum(op["op"] == "remove" for result in told["results"] for op in result.get("patch") or [])
    expect(len(gone) <= removed, f"comments are gone: {sorted(gone)}")
    expect(after.endswith("\n") == text.endswith("\n") and after.startswith("\ufeff") == text.startswith("\ufeff"), "an end")
    expect(("\r\n" in text) == ("\r\n" in after) and after.count("\n") - after.count("\r\n") in (0, after.count("\n")),
           "line ends are mixed")
    status, again, _ = harness.run(["fix", "--policies", "policy.yaml", "--format", "json", *options, "x.yaml"], cwd=folder)
    expect(read(folder) == after, "a second run changes something")
    expect(json.loads(again)["summary"] == json.loads(out)["summary"], "a second run reports something else")


def main():
    tap = harness.Tap()
    seed, count = int(os.environ.get("SEED", "1")), int(os.environ.get("COUNT", "100"))
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "policy.yaml"), "w", encoding="utf-8") as file:
            file.write(POLICIES)
        wrong = []
        for number in range(seed, seed + count):
            try:
                one(folder, number)
            except harness.Mismatch as mismatch:
                wrong.append(f"SEED={number} COUNT=1: {mismatch}")
            except harness.yaml.YAMLError as mismatch:
                wrong.append(f"SEED={number} COUNT=1: {mismatch}")
        tap.check(f"fix: {count} files in random styles from {seed}", not wrong, "\n".join(wrong))
    tap.finish()


if __name__ == "__main__":
    main()
