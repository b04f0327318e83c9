#!/usr/bin/python3
"""`mlgate check` over a folder of other people's manifests (SHARED, or ../shared, /corpus): it ends with a documented exit
status and a report that adds up."""
import collections
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402
from harness import expect  # noqa: E402

HARDEST_FIRST = ("deny", "warn", "audit", "exempted")
COUNTED_AS = {"deny": "denied", "warn": "warned", "audit": "audited", "exempted": "exempted"}


def counts_add_up(status, report):
    summary, results = report["summary"], report["results"]
    counted = collections.Counter()
    for result in results:
        actions = {violation["action"] for violation in result["violations"]}
        hardest = next((action for action in HARDEST_FIRST if action in actions), None)
        if hardest:
            counted[COUNTED_AS[hardest]] += 1
        counted["mutated"] += bool(result.get("patch"))
        where = f"{result['file']}:{result['line']}"
        expect(result["allowed"] == ("deny" not in actions), f"{where}: allowed {result['allowed']} with {actions}")
    for key in ("denied", "warned", "audited", "exempted", "mutated"):
        expect(summary[key] == counted[key], f"summary says {key} {summary[key]}, the results {counted[key]}")
    expect(summary["objects"] == len(results), f"objects {summary['objects']}, results {len(results)}")
    expect(summary["errors"] == len(report["errors"]), f"errors {summary['errors']}, listed {len(report['errors'])}")
    expected = 3 if report["errors"] else 1 if summary["denied"] else 0
    expect(status == expected, f"exit {status}, not {expected}")


def every_place_is_real(report):
    lines = {}
    for result in report["results"]:
        name = result["file"]
        if name not in lines:
            with open(name, encoding="utf-8") as file:
                lines[name] = file.read().split("\n")
        for violation in result["violations"]:
            line, column = violation["line"], violation["column"]
            where = f"{name}:{line}:{column}"
            expect(result["line"] <= line <= len(lines[name]), f"{where}: no line of the document")
            expect(1 <= column <= len(lines[name][line - 1]) + 1, f"{where}: no column of the line")


def patches_apply(report):
    """Relative to the object as written, which only a file with one document shows without a doubt."""
    count = collections.Counter(result["file"] for result in report["results"])
    for result in report["results"]:
        if result.get("patch") and count[result["file"]] == 1 and result["document"] == 0:
            with open(result["file"], encoding="utf-8") as file:
                documents = list(harness.yaml.load_all(file, Loader=harness.Loader))
            if len(documents) == 1 and documents[0].get("kind") == result["kind"]:
                harness.apply(result["patch"], documents[0])


def main():
    tap, folder = harness.Tap(), harness.shared("corpus")
    if folder is None:
        tap.skip("corpus", f"no folder {harness.SHARED}/corpus")
        tap.finish()
    start = time.monotonic()
    baseline = os.path.join(harness.TOP, "policies", "baseline")
    status, out, err = harness.run(["check", "--format", "json", "--policies", baseline, folder])
    seconds = time.monotonic() - start
    try:
        report = json.loads(out)
    except ValueError as wrong:
        tap.result("corpus: a JSON report", f"exit {status}, {wrong}: {err[:2000]}")
        tap.finish()
    tap.note(f"{seconds:.2f} s, exit {status}, {json.dumps(report['summary'])}")
    tap.run("corpus: exit status and counts", counts_add_up, status, report)
    tap.run("corpus: every place is in the file", every_place_is_real, report)
    tap.run("corpus: patches apply", patches_apply, report)
    tap.run("corpus: the same again", lambda: expect(
        harness.run(["check", "--format", "json", "--policies", baseline, folder])[:2] == (status, out), "another report"))
    tap.finish()


if __name__ == "__main__":
    main()
