#!/usr/bin/python3
"""A blind walk over other people's manifests (SHARED, or ../shared, /corpus): whatever looks like a container, in an object of
whatever kind, is a place that the workload table knows, or stands in walker.exceptions. And the Pods that operators make
(/reviews) have the role of the kind that they come from."""
import collections
import fnmatch
import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402
from harness import expect  # noqa: E402

EXCEPTIONS = os.path.join(harness.TOP, "test", "integration", "walker.exceptions")
ROLES = ("training", "inference", "batch", "interactive", "service", "system")
EXPECTED = {
    "job-from-cronjob": "batch", "job-from-jobset": "training", "job-from-mpijob": "training", "jobset-from-trainjob": "training",
    "pod-from-indexed-job": "batch", "pod-from-jobset-job": "training", "pod-from-lws-leader": "inference",
    "pod-from-lws-worker": "inference", "pod-from-mpijob-worker": "training", "pod-from-pytorchjob-master": "training",
    "pod-from-pytorchjob": "training", "pod-from-raycluster-head": "interactive", "pod-from-raycluster": "interactive",
    "pod-from-replicaset": "service", "pod-from-replicationcontroller": "service", "pod-from-statefulset": "service",
    "pod-from-tfjob": "training", "pod-from-trainjob": "training", "raycluster-from-rayjob": "training",
    "replicaset-from-deployment": "service", "statefulset-from-lws": "inference",
}


def exceptions():
    rows = []
    with open(EXCEPTIONS, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.startswith("#") or not line.strip():
                continue
            row, mark, reason = line.partition(" # ")
            expect(mark and reason.strip() and len(row.split()) == 3, f"walker.exceptions:{number}: three words and a reason")
            rows.append(row.split())
    return rows


def excepted(rows, found, used):
    path = found["path"].replace("[", "(").replace("]", ")")  # a bracket is no class here
    for at, (api_version, kind, glob) in enumerate(rows):
        if (found["apiVersion"], found["kind"]) == (api_version, kind) and fnmatch.fnmatchcase(path, glob):
            used.add(at)
            return True
    return False


def walk(tap, folder):
    done = subprocess.run([os.path.join(harness.BUILD, "walker_driver"), folder], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120, check=False)
    expect(done.returncode in (0, 1), f"walker_driver: exit {done.returncode}: {done.stderr.decode()}")
    found = [json.loads(line) for line in done.stdout.decode().splitlines()]
    rows, used = exceptions(), set()
    missed = [one for one in found if not one["seen"] and not excepted(rows, one, used)]
    kinds = collections.Counter(one["kind"] for one in found)
    tap.note(f"{len(found)} containers in {len(kinds)} kinds, {sum(one['seen'] for one in found)} on a path of the table")
    expect(len(found) > 100, f"only {len(found)} containers in {folder}")
    lines = [f"{one['file']}:{one['line']}: {one['apiVersion']} {one['kind']} {one['path']}" for one in missed]
    expect(not missed, "\n".join(lines))
    expect(len(used) == len(rows), f"exceptions that nothing needs: {[row for at, row in enumerate(rows) if at not in used]}")


# --- the table itself ------------------------------------------------------------------------------------------------

def put(at, path, value):
    """Makes what the path leads to; a wild card has one item or value."""
    steps = re.findall(r'"[^"]+"|\[\]|\{\}|[^.\[\]{}"]+', "" if path == "." else path)
    steps = [step.strip('"') for step in steps]
    if not steps:
        at.update(value)
        return
    for here, following in zip(steps, steps[1:] + [None]):
        empty = value if following is None else [] if following == "[]" else {}
        if here == "[]":
            if not at:
                at.append(empty)
            at = at[0]
        else:
            at = at.setdefault("x" if here == "{}" else here, empty)


def example(row, template):
    """The least object in which this template has a container that asks for a device and sets no limit."""
    container = {"name": "c", "image": "a", "resources": {"requests": {"nvidia.com/gpu": 1}}}
    inner = {}
    if template.get("resources"):
        put(inner, template["resources"], container.pop("resources"))
    if template.get("containers"):
        put(inner, template["containers"][0], container)
    elif template.get("shape", "template") == "template":
        inner["spec"] = {"containers": [container]}
    else:
        inner["containers"] = [container]
    version = row.get("versions", ["v1"])[0]
    group = f"{row['group']}/" if row["group"] else ""
    made = {"apiVersion": f"{group}{version}", "kind": row["kind"], "metadata": {"name": "n"}}
    put(made, template["path"], inner)
    return made


def every_row():
    """What the table says of each template holds: there a container is found, and denied."""
    with open(os.path.join(harness.TOP, "webhook", "kube", "workloads.yaml"), encoding="utf-8") as file:
        rows = [document["spec"] for document in harness.yaml.load_all(file, Loader=harness.Loader)]
    made = [example(row, template) for row in rows for template in row.get("templates", [])]
    expect(len(rows) > 80 and len(made) > len(rows), f"{len(rows)} rows, {len(made)} templates")
    expect(all(row.get("source") for row in rows), "a row without a source")
    text = "---\n".join(map(harness.dump_yaml, made)).encode()
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        file.write(harness.dump_yaml({"apiVersion": "mlgate.dev/v1", "kind": "Policy", "metadata": {"name": "limits"},
                                      "spec": {"rules": [{"gpuLimits": {}}]}}))
        file.flush()
        status, report, err = harness.check(["--policies", file.name, "-"], stdin=text)
    expect(report is not None and status == 1, f"exit {status}: {err}")
    expect(report["summary"]["skipped"] == 0, f"{report['summary']['skipped']} skipped")
    fine = [f"{result['apiVersion']} {result['kind']}: {json.dumps(made[at])}" for at, result in enumerate(report["results"])
            if not any("sets no limit" in violation["message"] for violation in result["violations"])]
    expect(not fine, "\n".join(fine))


# --- what operators make ---------------------------------------------------------------------------------------------

def policies():
    """One policy a role, which finds something in whatever has a container."""
    documents = [{"apiVersion": "mlgate.dev/v1", "kind": "Accelerators", "metadata": {"name": "any-image"},
                  "spec": {"backDoors": {"images": ["*"]}}}]
    for role in ROLES:
        documents.append({"apiVersion": "mlgate.dev/v1", "kind": "Policy", "metadata": {"name": role},
                          "spec": {"action": "audit", "match": {"roles": [role]},
                                   "rules": [{"gpuLimits": {"signals": ["image"], "max": {"container": 0},
                                                            "infrastructure": ["none.example/*"]}}]}})
    return "---\n".join(map(harness.dump_yaml, documents))


def roles(folder):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        file.write(policies())
        file.flush()
        problems = []
        for name, wanted in EXPECTED.items():
            status, report, err = harness.check(["--policies", file.name, os.path.join(folder, f"{name}.json")])
            expect(report is not None, f"{name}: exit {status}: {err}")
            found = {violation["policy"] for result in report["results"] for violation in result["violations"]}
            if found != {wanted}:
                problems.append(f"{name}: {sorted(found)}, not {wanted}")
        expect(not problems, "\n".join(problems))


def main():
    tap = harness.Tap()
    corpus, reviews = harness.shared("corpus"), harness.shared("reviews")
    if corpus is None:
        tap.skip("walker: no container is missed", f"no folder {harness.SHARED}/corpus")
    else:
        tap.run("walker: no container is missed", walk, tap, corpus)
    if reviews is None:
        tap.skip("walker: what operators make has their role", f"no folder {harness.SHARED}/reviews")
    else:
        tap.run("walker: what operators make has their role", roles, reviews)
    tap.run("walker: every template of the table is found", every_row)
    tap.finish()


if __name__ == "__main__":
    main()
