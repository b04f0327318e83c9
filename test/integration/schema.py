#!/usr/bin/env python3
"""`mlgate schema` against a real validator: it takes every file that mlgate takes,
and refuses what an editor should mark. Speaks TAP."""
import json
import os
import pathlib
import subprocess
import sys

import jsonschema
import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from harness import MLGATE, Folder, Tap, environment, run  # noqa: E402

TOP = pathlib.Path(__file__).resolve().parents[2]
ENV = environment()
TAP = Tap()
result = TAP.check


class Loader(yaml.CSafeLoader):
    """As the API server reads YAML: a date is a string."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rows if not tag.endswith(":timestamp")]
    for first, rows in yaml.CSafeLoader.yaml_implicit_resolvers.items()}


def schema(*kind):
    done = subprocess.run([MLGATE, "schema", *kind], env=ENV, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def files():
    """(path, mlgate takes it) of every policy file here."""
    for path in sorted(TOP.glob("policies/**/*.yaml")) + sorted((TOP / "webhook/kube").glob("*.yaml")):
        yield path, True
    for path in sorted(TOP.glob("test/golden/**/policy.yaml")):
        done = subprocess.run([MLGATE, "check", "--policies", path, "--allow-empty"], env=ENV, capture_output=True, text=True)
        yield path, done.returncode == 0


def documents(path):
    return [d for d in yaml.load_all(path.read_bytes(), Loader) if d is not None]


def errors(validator, path):
    found = [e for d in documents(path) for e in validator.iter_errors(d)]
    return [f"{path.relative_to(TOP)}: {e.json_path}: {e.message[:200]}" for e in found]


POLICY = {"apiVersion": "mlgate.dev/v1", "kind": "Policy", "metadata": {"name": "p"}}
BAD = {
    "an unknown key of a rule": {"rules": [{"sharedMemory": {"sizeLimt": "16Gi"}}]},
    "an unknown rule type": {"rules": [{"sharedMemry": {}}]},
    "two rule types in one rule": {"rules": [{"sharedMemory": {}, "gpuLimits": {}}]},
    "a rule without a type": {"rules": [{"name": "x"}]},
    "no rule": {"rules": []},
    "no rules": {},
    "a word that is none": {"action": "deny", "rules": [{"gpuLimits": {}}]},
    "a role that is none": {"match": {"roles": ["trainer"]}, "rules": [{"gpuLimits": {}}]},
    "an unknown key of match": {"match": {"namespace": ["a"]}, "rules": [{"gpuLimits": {}}]},
    "a string for a list": {"match": {"kinds": "Pod"}, "rules": [{"gpuLimits": {}}]},
    "no quantity": {"rules": [{"sharedMemory": {"sizeLimit": "16 GB"}}]},
    "no percentage": {"rules": [{"sharedMemory": {"memoryShare": 50}}]},
    "a negative count": {"rules": [{"sharedMemory": {"minAccelerators": -1}}]},
    "an unknown operator of a selector": {"match": {"selector": {"matchExpressions": [{"key": "a", "operator": "in"}]}},
                                          "rules": [{"gpuLimits": {}}]},
}


KNOWN = {"apiVersion": "mlgate.dev/v1", "kind": "Baseline",
         "findings": [{"kind": "Pod", "name": "a", "policy": "p", "rule": "r"}]}
BAD_BASELINES = {
    "an unknown key of a finding": {"findings": [dict(KNOWN["findings"][0], polic="p")]},
    "a finding without its policy": {"findings": [{"kind": "Pod", "name": "a", "rule": "r"}]},
    "findings that are no list": {"findings": {}},
    "a spec in a baseline": {"spec": {}},
}
CONFIGS = ["", "{}", "policies: rules\n", "policies: [rules]\nnamespace: team\nallow-empty: true\nwarn-exit-code: 9\n",
           "format: [text, json=report.json]\nbaseline: known.yaml\nnow: '2026-01-01'\noperation: DELETE\njobs: 2\n"]
BAD_CONFIGS = ["policy: rules\n", "policies: [1]\n", "policies: ''\n", "allow-empty: 'yes please'\n", "warn-exit-code: '9'\n",
               "warn-exit-code: 256\n", "namespace: [a]\n", "operation: MAKE\n", "config: other.yaml\n", "no-config: true\n",
               "jobs: 0\n", "[]\n", "namespace:\n"]


def takes(schema_of_it, text):
    documents_of_it = list(yaml.load_all(text, Loader)) or [None]
    return all(jsonschema.Draft202012Validator(schema_of_it).is_valid(document) for document in documents_of_it)


def baselines(whole):
    """What --write-baseline writes, and what it refuses to read again."""
    with Folder() as folder:
        manifests = sorted(str(path) for path in TOP.glob("test/golden/*/*/*.yaml") if path.name == "object.yaml")
        for name in ("known.yaml", "known.json"):
            run(["check", "--policies", str(TOP / "policies"), "--write-baseline", folder.path(name), *manifests])
            text = folder.read(name)
            count = len(json.loads(text)["findings"] if name.endswith("json") else yaml.load(text, Loader)["findings"])
            result(f"takes a baseline that was written, {name}", count > 50 and takes(whole, text), f"{count} findings")
            result(f"takes it as a Baseline, {name}", takes(schema("Baseline"), text) and not takes(schema("Policy"), text))
        result("takes a small baseline", takes(whole, json.dumps(KNOWN)))
        for name, part in BAD_BASELINES.items():
            text = json.dumps(dict(KNOWN, **part))
            folder.write("bad.json", text)
            status, _, said = run(["check", "--baseline", folder.path("bad.json"), manifests[0]])
            result(f"refuses {name}", not takes(whole, text) and status == 2, said)


def configs():
    """.mlgate.yaml: the schema and mlgate say the same of it."""
    config = schema("Config")
    jsonschema.Draft202012Validator.check_schema(config)
    with Folder() as folder:
        folder.write("rules/one.yaml", json.dumps(dict(POLICY, spec={"rules": [{"gpuLimits": {}}]})))
        folder.write("known.yaml", json.dumps(KNOWN))
        for text in CONFIGS + BAD_CONFIGS:
            folder.write(".mlgate.yaml", text)
            status, _, said = run(["check", "--allow-empty", "rules"], cwd=folder.path(""))
            good = text in CONFIGS
            result(f"{'takes' if good else 'refuses'} .mlgate.yaml {text!r}", takes(config, text) == (status != 2) == good,
                   f"exit {status}: {said}")
    properties = set(config["$defs"]["Config"]["properties"])
    result("no other options", {"policies", "format", "mend", "baseline"} <= properties
           and not {"config", "no-config", "listen-tls"} & properties, properties)


def main():
    whole = schema()
    jsonschema.Draft202012Validator.check_schema(whole)
    result("is a schema of the 2020-12 dialect", whole["$schema"] == "https://json-schema.org/draft/2020-12/schema")
    validator = jsonschema.Draft202012Validator(whole)
    taken = refused = 0
    wrong = []
    for path, good in files():
        try:
            found = errors(validator, path)
        except yaml.YAMLError:
            continue
        taken += good
        refused += not good and bool(found)
        wrong += found if good else []
    result(f"takes the {taken} files here that mlgate takes", taken > 100 and not wrong, "\n".join(wrong[:20]))
    result(f"refuses {refused} of those that mlgate refuses", refused > 20)
    for name, spec in BAD.items():
        document = dict(POLICY, spec=spec)
        result(f"refuses {name}", next(validator.iter_errors(document), None) is not None)
    rules = whole["$defs"]["Policy"]["properties"]["spec"]["properties"]["rules"]
    result("a policy's rules are in it", rules["items"] == {"$ref": "#/$defs/rule"} and "default" not in rules, rules)
    size = whole["$defs"]["sharedMemory"]["properties"]["memoryShare"]
    result("defaults are in it", size["default"] == "50%", size)
    loose = [name for name, d in whole["$defs"].items() if d.get("additionalProperties") is not False]
    result("every object of ours is closed", loose == [], loose)
    undocumented = [f"{name}.{key}" for name, d in whole["$defs"].items() for key, p in d["properties"].items()
                    if "description" not in p and "$ref" not in p and "const" not in p]
    result("every key says what it is", undocumented == [], undocumented)
    one = schema("Exception")
    jsonschema.Draft202012Validator.check_schema(one)
    result("one kind alone", one["$ref"] == "#/$defs/Exception" and "Exception" in one["$defs"])
    done = subprocess.run([MLGATE, "schema", "Polic"], env=ENV, capture_output=True, text=True)
    result("a kind that is none", done.returncode == 2 and 'did you mean "Policy"?' in done.stderr and done.stdout == "", done)
    done = subprocess.run([MLGATE, "schema", "Policy", "Exception"], env=ENV, capture_output=True, text=True)
    result("two kinds", done.returncode == 2 and "takes one KIND" in done.stderr and done.stdout == "", done)
    baselines(whole)
    configs()
    TAP.finish()


main()
