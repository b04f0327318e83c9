#!/usr/bin/env python3
"""`mlgate explain`: pages out of the tables, and the reason why a policy does not apply, for every key of `match`. Speaks TAP."""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from harness import MLGATE, Tap, environment  # noqa: E402

TOP = pathlib.Path(__file__).resolve().parents[2]
ENV = environment()
TAP = Tap()
result = TAP.check


def run(*args):
    done = subprocess.run([MLGATE, *map(str, args)], env=ENV, capture_output=True, text=True, cwd="/")
    return done.returncode, done.stdout, done.stderr


POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bert", "namespace": "ml-a", "annotations": {"a": "b"}},
       "spec": {"containers": [{"name": "main", "image": "nvcr.io/x/y:1", "resources": {"limits": {"nvidia.com/gpu": 2}}}]}}
# A block that does not hold, and what must be said of it.
MISSED = {
    "operations": (["DELETE"], 'the operation is "CREATE"'),
    "kinds": (["Job"], 'the kind is "Pod"'),
    "namespaces": (["prod-*"], 'the namespace is "ml-a"'),
    "names": (["gpt-*"], 'the name is "bert"'),
    "users": (["bob"], 'the user is "alice"'),
    "groups": (["admins"], ""),
    "namespaceSelector": ({"matchLabels": {"tier": "gpu"}}, ""),
    "roles": (["training"], 'the role is "batch"'),
    "accelerators": (False, "it asks for accelerators"),
    "selector": ({"matchLabels": {"tier": "gpu"}}, ""),
    "annotations": ({"a": "c"}, ""),
    "containers": (["other"], ""),
    "images": (["docker.io/*"], ""),
}


def policy(name, match, exclude=()):
    return {"apiVersion": "mlgate.dev/v1", "kind": "Policy", "metadata": {"name": name},
            "spec": {"match": match, "exclude": list(exclude), "rules": [{"gpuLimits": {"require": ["memory"]}}]}}


def pages():
    code, topics, _ = run("explain")
    rules = re.findall(r"^  ([a-z]+[A-Z]?\w*) ", topics.split("\nAnd:")[0], re.M)
    schema = json.loads(run("schema")[1])
    wanted = list(schema["$defs"]["rule"]["properties"].keys() - {"name", "message"})
    result("every rule type is listed", code == 0 and sorted(rules) == sorted(wanted), f"{rules}\n{wanted}")
    for rule in rules:
        code, page, _ = run("explain", rule)
        keys = schema["$defs"][rule]["properties"].keys()
        missing = [key for key in keys if not re.search(rf"^  {key}: ", page, re.M)]
        result(f"the page of {rule} has every parameter", code == 0 and not missing, missing)
    for word, hint in (("gpulimits", "gpuLimits"), ("workload", "workloads"), ("nosuchthing", None)):
        code, out, err = run("explain", word)
        result(f"{word} is nothing", code == 2 and out == "" and (hint is None or f'did you mean "{hint}"?' in err), err)


def several(work):
    (work / "p.yaml").write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n")
    for words in (["gpuLimits", "tolerations"], ["workloads", str(work / "p.yaml")], ["accelerators", "workloads"]):
        code, out, err = run("explain", *words)
        result(f"{words[0]} stands alone", code == 2 and out == "" and f'"{words[0]}" stands alone' in err, out + err)


def readme(work):
    copy = work / "README.md"
    text = (TOP / "README.md").read_text()
    copy.write_text(text)
    subprocess.run([TOP / "scripts/readme.sh", MLGATE, copy], check=True, env=ENV)
    result("README's table of rules is what explain says; else: make readme", copy.read_text() == text)
    rows = re.findall(r"^\| `(\w+)` \| .+ \|$", text.split("<!-- end of rules")[0].split("<!-- rules")[1], re.M)
    result("it has a row for every rule type", rows and all(f"  {row} " in run("explain")[1] for row in rows), rows)


def tables():
    rows = list(yaml.safe_load_all((TOP / "webhook/kube/workloads.yaml").read_text()))
    code, page, _ = run("explain", "workloads")
    names = [r["spec"]["kind"] + ("." + r["spec"]["group"] if r["spec"]["group"] else "") for r in rows]
    missing = [n for n in names if not re.search(rf"^{re.escape(n)}: ", page, re.M)]
    result(f"explain workloads lists all {len(names)} kinds", code == 0 and not missing, missing)
    unsaid = [n for n, r in zip(names, rows) if f"; {r['spec'].get('source', 'nothing')}" not in page]
    result("each with its source", unsaid == [], unsaid)
    paths = [t["path"] for r in rows for t in r["spec"].get("templates", [])]
    missing = [p for p in paths if f"    {p}" not in page]
    result("with every path of a template", not missing, missing)
    spec = yaml.safe_load((TOP / "webhook/kube/accelerators.yaml").read_text())["spec"]
    code, page, _ = run("explain", "accelerators")
    listed = dict(map(reversed, re.findall(r"^  (count|size|none)\s+(\S+)$", page, re.M)))
    missing = [r["name"] for r in spec["resources"] if listed.get(r["name"]) != r["unit"]]
    missing += [word for word in spec["deviceClasses"] + spec["shares"] + spec["infrastructure"] if word not in page]
    result("explain accelerators lists all of them", code == 0 and not missing, missing)


def reasons(work):
    object_file, policies = work / "pod.yaml", work / "policies.yaml"
    object_file.write_text(yaml.safe_dump(POD))
    documents = [policy(key.lower(), {key: value}) for key, (value, _) in MISSED.items()]
    documents += [policy("all", {}), policy("excluded", {}, [{"namespaces": ["ml-*"]}]),
                  policy("spared", {}, [{"containers": ["main"]}])]
    documents[len(MISSED)]["spec"]["description"] = "Why it is there,\nin a sentence.\n"
    policies.write_text(yaml.safe_dump_all(documents, sort_keys=False))
    source = policies.read_text().splitlines()
    code, out, err = run("explain", "--policies", policies, "--user", "alice", object_file)
    head = f"{object_file}:1:1: Pod ml-a/bert (v1), CREATE\n"
    result("a file is explained", code == 0 and err == "" and out.startswith(head), out + err)
    result("with its template", re.search(r"the Pod itself: role batch, by its kind; 1 replica of 2 devices\n", out), out)
    devices = 'container "main", image nvcr.io/x/y:1: uses accelerators (2)\n          nvidia.com/gpu: limit 2\n'
    result("and its devices", devices in out, out)
    blocks = dict(re.findall(r"^    ([a-z]+) \(enforce\): ((?:.|\n      )*)", out, re.M))
    for key, (_, fact) in MISSED.items():
        text = blocks.get(key.lower(), "")
        place = re.search(r"policies\.yaml:(\d+):", text)
        line = source[int(place.group(1)) - 1].strip() if place else ""
        good = f"`{key}` does not hold" in text and fact in text and line.startswith(f"{key}:")
        result(f"why not: {key}", good, f"{text}\n{line}")
    applies = blocks.get("all", "")
    result("a policy that applies, and what it came to", applies.startswith("applies to 1 of 1 template: deny"), applies)
    result("with its description", "\n      Why it is there, in a sentence." in applies, applies)
    result("one whose exclude exempts the template", "exclude[0] exempts it" in blocks.get("excluded", ""), blocks)
    result("one whose exclude leaves out a container applies", blocks.get("spared", "").startswith("applies to 1 of 1"), blocks)
    result("the decision", out.endswith("  denied; 0 edits\n"), out[-80:])
    same = run("explain", "object", "--policies", policies, "--user", "alice", object_file)[1]
    result("`explain object FILE` is the same", same == out)
    object_file.write_text("apiVersion: ray.io/v1\nkind: RayJob\nmetadata: {name: x, namespace: ml-a}\n"
                           "spec: {clusterSelector: {a: b}}\n")
    out = run("explain", "--policies", policies, object_file)[1]
    result("an object without templates", "all (enforce): applies to the object: pass" in out, out)
    result("and what is for templates", "accelerators (enforce): does not apply" in out, out)
    object_file.write_text("kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\n")
    code, out, _ = run("explain", "--policies", policies, object_file)
    result("what is no workload is said so", code == 0 and "not a workload kind" in out, out)
    object_file.write_text("a: [")
    code, out, err = run("explain", "--policies", policies, object_file)
    result("what cannot be read", code == 3 and f"{object_file}:1:" in err, (code, err))
    object_file.write_text("")
    result("nothing at all", run("explain", "--policies", policies, object_file)[0] == 3)


def main():
    pages()
    tables()
    with tempfile.TemporaryDirectory() as work:
        reasons(pathlib.Path(work))
        readme(pathlib.Path(work))
        several(pathlib.Path(work))
    TAP.finish()


main()
