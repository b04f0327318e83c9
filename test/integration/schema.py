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
from harness import MLGATE, Tap, environment  # noqa: E402

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
    TAP.finish()


main()
