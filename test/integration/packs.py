#!/usr/bin/python3
"""The policies that ship: each file beside the baseline, and all together, load without a word; each says what it is, has its
Test beside it, hits of the public manifests what is written down (packs.hits; UPDATE=1 writes it), and has its part of
docs/policies.md. Speaks TAP."""
import filecmp
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402
from harness import MLGATE, Tap, environment  # noqa: E402

TOP = pathlib.Path(__file__).resolve().parents[2]
PACKS = TOP / "policies"
HITS = TOP / "test/integration/packs.hits"
ENV = environment()
TAP = Tap()
result = TAP.check
PARTS = ("# Who is hit: ", "# Edit: ", "# Except: ")


def loads(name, *paths):
    options = [word for path in paths for word in ("--policies", path)]
    done = subprocess.run([MLGATE, "check", "--allow-empty", *options], env=ENV, capture_output=True, text=True)
    result(name, done.returncode == 0 and done.stderr == "", f"exit {done.returncode}: {done.stderr}")


def documents(path):
    """The texts of a file's documents."""
    return [text for text in re.split(r"^---\n", path.read_text(), flags=re.M) if re.search(r"^kind:", text, re.M)]


def policy_files():
    return [p for p in sorted(PACKS.glob("**/*.yaml")) if not p.name.endswith(".test.yaml")]


def policies():
    """(name, file, text of its document and of those beside it that are no policies) of every policy."""
    for path in policy_files():
        parts = documents(path)
        context = [text for text in parts if not re.search(r"^kind: Policy$", text, re.M)]
        if path.name == "training-priority.yaml":
            context += documents(path.parent / "priority-class.yaml")
        for text in parts:
            if text not in context:
                yield re.search(r"^  name: (\S+)$", text, re.M)[1], path, "---\n".join([text, *context])


def check_files():
    for path in sorted(PACKS.glob("**/*.yaml")):
        name, lines = str(path.relative_to(PACKS)), path.read_text().split("\n")
        schema = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", lines[0])
        result(f"{name}: an editor finds its schema",
               schema and (path.parent / schema[1]).resolve() == TOP / "docs/schema.json", lines[0])
        if name.endswith(".test.yaml") or "PriorityClass" in path.read_text() and len(documents(path)) == 1:
            continue
        head = [line for line in lines[1:lines.index("apiVersion: mlgate.dev/v1")] if line.startswith("# ")]
        found = [part for part in PARTS if sum(line.startswith(part) for line in head) == 1]
        result(f"{name}: why, who is hit, what to edit, how to except", found == list(PARTS) and not head[0].startswith(PARTS),
               found)
    wordless = [name for name, _, text in policies() if not re.search(r"^  description: \S.*[.]$", text, re.M)
                or not re.search(r"^  action: ", text, re.M)]
    result("every policy has a description and says its action", wordless == [], wordless)


def check_tests():
    for path in policy_files():
        name, test = path.relative_to(PACKS), path.with_name(path.stem + ".test.yaml")
        if path.name == "priority-class.yaml":
            continue
        if not test.exists():
            result(f"{name}: a Test stands beside it", False, "none")
            continue
        done = subprocess.run([MLGATE, "test", "--format", "json", test], env=ENV, capture_output=True, text=True)
        report = json.loads(done.stdout or "{}")
        bad = [r for r in report.get("results", []) if r["status"] != "passed" or "note" in r]
        wanted = [case["expect"] for case in harness.load_yaml(test)["cases"]]
        kept = {(case["allowed"], bool(case["violations"]), case["patched"] is not None) for case in wanted}
        acts = kept != {(True, False, False)} or path.name == "images.yaml"  # a test asks no registry
        result(f"{name}: its Test holds", done.returncode == 0 and not done.stderr and not bad, f"{bad} {done.stderr}")
        result(f"{name}: its Test shows it at work and at rest", acts and (True, False, False) in kept, kept)
    done = subprocess.run([MLGATE, "test", "policies"], env=ENV, cwd=TOP, capture_output=True, text=True)
    result("all of them by one command", done.returncode == 0 and not done.stderr, done.stdout[-2000:] + done.stderr)


def hits_of(text, folder):
    """(objects, denied, warned, changed) of the corpus by these documents alone."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        done = subprocess.run([MLGATE, "check", "--offline", "--format", "json", "--policies", file.name, folder], env=ENV,
                              capture_output=True, text=True)
    summary = json.loads(done.stdout)["summary"]
    return [summary[key] for key in ("objects", "denied", "warned", "mutated")]


def check_hits():
    folder = harness.shared("corpus")
    if folder is None:
        TAP.skip("hits of the corpus", f"no folder {harness.SHARED}/corpus")
        return
    rows, objects = [], set()
    for name, _, text in policies():
        total, *counts = hits_of(text, folder)
        objects.add(total)
        rows.append(" ".join(map(str, [name, *counts])))
    result("every policy judges as many objects", len(objects) == 1, objects)
    head = [f"# {objects.pop()} objects of workload kinds in the public repositories of the corpus",
            "# policy denied warned changed"]
    fresh = "\n".join([*head, *rows]) + "\n"
    if os.environ.get("UPDATE"):
        HITS.write_text(fresh)
    known = HITS.read_text().splitlines()
    other = sorted(set(known) ^ set(fresh.splitlines()))
    result(f"hits of the corpus are those of packs.hits, {len(rows)} policies", known == fresh.splitlines(), other)
    baseline = subprocess.run([MLGATE, "check", "--policies", PACKS / "baseline", folder], env=ENV, capture_output=True,
                              text=True)
    result("the baseline denies none of them", baseline.returncode == 0, baseline.stdout[-2000:])


def check_docs():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([TOP / "scripts/policies.sh", MLGATE, folder], check=True, env=ENV)
        for name in ("policies.md", "schema.json"):
            result(f"docs/{name} is what `make policies` writes", filecmp.cmp(f"{folder}/{name}", TOP / "docs" / name, False))
    page = (TOP / "docs/policies.md").read_text()
    lost = [name for name, _, _ in policies() if not re.search(rf"^- `{name}` \(", page, re.M)]
    result("every policy is on the page", lost == [], lost)
    lost = [str(p.relative_to(PACKS)) for p in policy_files() if f"\n### {p.relative_to(PACKS)}\n" not in page]
    result("so is every file", lost == [], lost)


def main():
    baseline = PACKS / "baseline"
    loads("the baseline", baseline)
    loads("the baseline, and strict beside it", baseline, PACKS / "strict")
    for path in policy_files():
        if "addons" in path.parts:
            loads(f"{path.relative_to(PACKS)}, beside the baseline", baseline, path)
    loads("everything that ships", PACKS)
    topics = subprocess.run([MLGATE, "explain"], env=ENV, capture_output=True, text=True).stdout.split("\nAnd:")[0]
    text = "".join(path.read_text() for path in policy_files())
    used = set(re.findall(r"^\s*(?:- )?(\w+): ?$", text, re.M))
    unused = [rule for rule in re.findall(r"^  (\w+) ", topics, re.M) if rule not in used]
    result("every rule type has an entry in the pack", unused == [], unused)
    check_files()
    check_tests()
    check_hits()
    check_docs()
    TAP.finish()


main()
