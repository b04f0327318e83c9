#!/usr/bin/python3
"""`mlgate check --baseline` and `--write-baseline`: what is known denies nothing and stays visible, what is new denies, what is
mended is told of, and a baseline with a mistake is refused with its place."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402
from harness import expect  # noqa: E402

POLICIES = """apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: gpu}
spec:
  rules:
  - gpuLimits: {}
  - gpuLimits: {signals: [], require: [memory]}
    name: companions
---
apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: soft}
spec:
  action: warn
  rules:
  - labels: {require: {team: "*"}}
---
apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: silent}
spec:
  action: audit
  rules:
  - labels: {require: {cost: "*"}}
"""
PARTS = ["kind", "namespace", "name", "policy", "rule", "container", "subject"]


def pod(name, namespace="ml", container="c", amount="requests"):
    return (f'apiVersion: v1\nkind: Pod\nmetadata:\n  name: {json.dumps(name)}\n  namespace: {namespace}\nspec:\n  containers:\n'
            f"  - name: {container}\n    image: i\n    resources:\n      {amount}: {{nvidia.com/gpu: 1}}\n")


class Folder(harness.Folder):
    FILES = {"policy/all.yaml": POLICIES, "m/a.yaml": pod("a") + "---\n" + pod("b")}

    def check(self, *args, more=("m",)):
        status, out, err = harness.run(["check", "--policies", "policy", "--format", "json", *args, *more], cwd=self.folder.name)
        return status, json.loads(out) if out else None, err


def violations(report):
    return [violation for result in report["results"] for violation in result["violations"]]


def hides_what_is_known(f):
    status, before, _ = f.check()
    expect(status == 1 and before["summary"]["denied"] == 2, f"exit {status}: {before['summary']}")
    status, written, err = f.check("--write-baseline", "b.yaml")
    expect(status == 1 and written == before and err == "", f"writing changes the report: exit {status} {err}")
    status, after, err = f.check("--baseline", "b.yaml")
    expect(status == 0 and err == "", f"exit {status}: {err}")
    summary = after["summary"]
    expect((summary["denied"], summary["warned"], summary["audited"]) == (0, 0, 2), f"{summary}")
    expect(len(violations(after)) == len(violations(before)), "findings are gone")
    for violation in violations(after):
        expect(violation["action"] == "audit" and violation.get("baseline") is True, f"{violation}")
    expect(all(result["allowed"] for result in after["results"]), "not allowed")
    expect(not any("baseline" in violation for violation in violations(before)), "baseline without one")
    expect([result["patch"] for result in after["results"]] == [result["patch"] for result in before["results"]], "other patches")
    expect(f.check("--baseline", "b.yaml", "--warn-exit-code", "7")[0] == 0, "a hidden warning warns")


def each_part_counts(f):
    """An entry with one part changed hides nothing more than the others."""
    f.check("--write-baseline", "b.yaml")
    entries = harness.load_yaml(f.path("b.yaml"))["findings"]
    denied = next(entry for entry in entries if entry["policy"] == "gpu" and entry["name"] == "a")
    expect(list(denied) == [part for part in PARTS if part in denied] and len(denied) == 7, f"{denied}")
    for part in PARTS:
        changed = [{**entry, part: "other"} if entry is denied else entry for entry in entries]
        f.write("c.json", json.dumps({"apiVersion": "mlgate.dev/v1", "kind": "Baseline", "findings": changed}))
        status, report, err = f.check("--baseline", "c.json")
        left = [violation for violation in violations(report) if not violation.get("baseline")]
        expect(status == 1 and len(left) == 1 and left[0]["action"] == "deny", f"{part}: exit {status}: {left}")
        expect("warning: not found any more" in err and err.count("\n") == 1, f"{part}: {err!r}")


def new_findings_deny(f):
    f.check("--write-baseline", "b.yaml")
    f.write("m/new.yaml", pod("new"))
    status, report, err = f.check("--baseline", "b.yaml")
    expect(status == 1 and report["summary"]["denied"] == 1 and err == "", f"exit {status}: {report['summary']} {err}")
    f.write("m/new.yaml", pod("a", container="second"))
    expect(f.check("--baseline", "b.yaml")[0] == 1, "another container is known")
    f.write("m/new.yaml", pod("a", namespace="other"))
    expect(f.check("--baseline", "b.yaml")[0] == 1, "another namespace is known")


def moved_is_still_known(f):
    """File, line and path are no part of what a finding is."""
    f.check("--write-baseline", "b.yaml")
    os.rename(f.path("m/a.yaml"), f.path("m/moved.yaml"))
    behind_another = pod("a").replace("  - name: c", "  - {name: z, image: i}\n  - name: c")
    f.write("m/moved.yaml", "# a comment\n---\n" + pod("b") + "---\n" + behind_another)
    status, _, err = f.check("--baseline", "b.yaml")
    expect(status == 0 and err == "", f"exit {status}: {err}")


def mended_is_told(f):
    f.check("--write-baseline", "b.yaml")
    f.write("m/a.yaml", pod("a", amount="limits") + "---\n" + pod("b"))
    status, _, err = f.check("--baseline", "b.yaml")
    line = next(i for i, text in enumerate(f.read("b.yaml").splitlines(), 1) if text == "- kind: Pod")
    expect(status == 0, f"exit {status}")
    expect(err.startswith(f"b.yaml:{line}:3: warning: not found any more: Pod ml/a: gpu/"), err)
    f.check("--baseline", "b.yaml", "--write-baseline", "b.yaml")
    status, _, err = f.check("--baseline", "b.yaml")
    expect(status == 0 and err == "", f"written anew: exit {status}: {err}")
    os.remove(f.path("m/a.yaml"))
    f.write("m/b.yaml", pod("b"))
    status, _, err = f.check("--baseline", "b.yaml")
    expect(status == 0 and "Pod ml/a" in err, f"a whole folder: exit {status}: {err}")
    status, _, err = f.check("--baseline", "b.yaml", more=("m/b.yaml",))
    expect(status == 0 and "not found any more" not in err and "entries are of objects that are not in these files" in err,
           f"one file: exit {status}: {err}")


def many_stale_entries(f):
    entry = {"kind": "Pod", "namespace": "ml", "policy": "gpu", "rule": "gpuLimits"}
    findings = [{**entry, "name": f"gone-{i}"} for i in range(500)]
    f.write("b.json", json.dumps({"apiVersion": "mlgate.dev/v1", "kind": "Baseline", "findings": findings}))
    _, _, err = f.check("--baseline", "b.json")
    lines = err.splitlines()
    expect(len(lines) == 21 and lines[-1].endswith("and 480 more that are not found any more"), err)


def stable_and_same(f):
    """The order of files and threads does not count; JSON and YAML say the same; a file that is replaced keeps mode and link."""
    f.write("m/b.yaml", pod("z") + "---\n" + pod("m", namespace="a"))
    f.check("--write-baseline", "one.yaml")
    f.check("--write-baseline", "two.yaml", "--jobs", "1", more=("m/b.yaml", "m/a.yaml", "m/a.yaml"))
    expect(f.read("one.yaml") == f.read("two.yaml"), "another order")
    f.check("--write-baseline", "three.json")
    expect(json.loads(f.read("three.json")) == harness.load_yaml(f.path("one.yaml")), "JSON says something else")
    os.chmod(f.path("one.yaml"), 0o640)
    os.symlink("one.yaml", f.path("link.yaml"))
    f.write("m/b.yaml", pod("only"))
    f.check("--write-baseline", "link.yaml")
    expect(os.path.islink(f.path("link.yaml")) and "only" in f.read("one.yaml"), "the link is gone")
    expect(os.stat(f.path("one.yaml")).st_mode & 0o777 == 0o640, "another mode")
    left = set(os.listdir(f.folder.name)) - {"one.yaml", "two.yaml", "three.json", "link.yaml", "m", "policy"}
    expect(not left, f"left behind: {left}")


def many_findings(f):
    """They are written in a time that grows as they do: 50 s where each is put behind all others."""
    f.write("m/a.yaml", "---\n".join(pod(f"x-{i}") for i in range(10000)))
    args = ["check", "--policies", "policy", "--format", "json=/dev/null", "--write-baseline", "b.yaml", "m"]
    status, _, err = harness.run(args, cwd=f.folder.name, timeout=20)
    expect(status == 1 and err == "", f"exit {status}: {err}")
    count = f.read("b.yaml").count("\n- kind: Pod\n")
    expect(count == 50000, f"{count} are written")


FORMATS = ("text", "json", "sarif", "junit", "github", "gitlab", "markdown", "html")


def more_than_are_listed(f):
    """Past a thousand of one rule they are not told apart, so that no baseline can hide them; every format says that they are."""
    asks = "image: i, resources: {requests: {nvidia.com/gpu: 1}}"
    containers = ", ".join(f"{{name: c{i}, {asks}}}" for i in range(1500))
    f.write("m/big.yaml", f"{{apiVersion: v1, kind: Pod, metadata: {{name: big}}, spec: {{containers: [{containers}]}}}}\n")
    f.write("p.yaml", "apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec: {rules: [{gpuLimits: {}}]}\n")
    said = "m/big.yaml:1:1: Pod default/big: warning: no baseline can hide the 500 findings that are not listed"
    check = ["check", "--policies", "p.yaml"]
    _, _, err = harness.run([*check, "--write-baseline", "b.yaml", "m/big.yaml"], cwd=f.path())
    expect(said in err, err)
    expect(f.read("b.yaml").count("kind: Pod") == 1000, f"what is listed is written: {f.read('b.yaml')[:300]}")
    for form in FORMATS:
        status, out, err = harness.run([*check, "--baseline", "b.yaml", "--format", form, "m/big.yaml"], cwd=f.path())
        expect(status == 1 and said in err, f"{form}: exit {status}: {err}")
        expect("and 500 more violations that are not listed, 500 of which deny" in out, f"{form}: {out[-2000:]}")
    _, out, err = harness.run([*check, "--format", "markdown", "m/big.yaml"], cwd=f.path())
    expect("baseline" not in err, err)
    expect(out.endswith(f"\nand {1501 - out.count('| **deny')} more\n"), "a comment has no room for all, and says how many")


def hostile_names(f):
    names = ["y", "null", "1e3", "a: b", "- x", "#x", "'", '"', "a\\b", "ü", "\u2028", "\x7f", "a\tb", "a\nb", "{a}", "@x", " x ",
             "~", "\u202e", "2020-01-01", "x" * 300]
    f.write("m/a.yaml", "---\n".join(pod(name) for name in names))
    for file in ("b.yaml", "b.json"):
        status, report, err = f.check("--write-baseline", file)
        expect(status == 1 and report["summary"]["denied"] == len(names), f"exit {status}: {err}")
        status, report, err = f.check("--baseline", file)
        expect(status == 0 and err == "", f"{file}: exit {status}: {err}")
    expect([entry["name"] for entry in harness.load_yaml(f.path("b.yaml"))["findings"] if entry["policy"] == "silent"] ==
           sorted(names, key=lambda name: name.encode()), "a YAML reader reads other names")


def exceptions_first(f):
    """What an exception covers does not go into a baseline: it comes back when the exception ends."""
    f.write("policy/exception.yaml", "apiVersion: mlgate.dev/v1\nkind: Exception\nmetadata: {name: e}\nspec:\n  policies: [gpu]\n"
            "  match: {names: [a]}\n  owner: o\n  reason: r\n  expires: 2030-01-31\n")
    f.check("--write-baseline", "b.yaml", "--now", "2029-01-01")
    status, report, err = f.check("--baseline", "b.yaml", "--now", "2029-01-01")
    actions = {(violation["policy"], violation["action"]) for violation in violations(report)}
    expect(status == 0 and ("gpu", "exempted") in actions and err == "", f"exit {status}: {actions} {err}")
    expect(f.check("--baseline", "b.yaml", "--now", "2030-03-01")[0] == 1, "an ended exception still exempts")


REFUSED = (
    ('b.yaml:1:1: unknown key "x" in a baseline', "x: 1\n"),
    ('lacks "findings"', "apiVersion: mlgate.dev/v1\nkind: Baseline\n"),
    ('b.yaml:2:7: "kind" cannot be "Policy"', "apiVersion: mlgate.dev/v1\nkind: Policy\nfindings: []\n"),
    ('b.yaml:4:15: unknown key "polcy" in a finding; did you mean "policy"?',
     "apiVersion: mlgate.dev/v1\nkind: Baseline\nfindings:\n- {kind: Pod, polcy: x, rule: y}\n"),
    ('a finding lacks "policy"', "apiVersion: mlgate.dev/v1\nkind: Baseline\nfindings:\n- {kind: Pod, rule: y}\n"),
    ('b.yaml:4:33: "rule" must be a string, not a number', "apiVersion: mlgate.dev/v1\nkind: Baseline\nfindings:\n"
     "- {kind: Pod, policy: x, rule:  1}\n"),
    ("quote it", "apiVersion: mlgate.dev/v1\nkind: Baseline\nfindings:\n- {kind: Pod, policy: on, rule: y}\n"),
    ('b.yaml:4:1: duplicate key "kind"', "apiVersion: mlgate.dev/v1\nkind: Baseline\nfindings: []\nkind: Baseline\n"),
    ("a second document", "apiVersion: mlgate.dev/v1\nkind: Baseline\nfindings: []\n---\na: 1\n"),
    ("b.yaml: there is no baseline in it", "# nothing\n"),
    ("b.yaml:2:1: ", "a: [\n"),
)


def refused(f):
    for words, text in REFUSED:
        f.write("b.yaml", text)
        status, report, err = f.check("--baseline", "b.yaml")
        expect(status == 2 and report is None, f"{text!r}: exit {status}")
        expect(words in err, f"{text!r}: {err}")
    status, _, err = f.check("--baseline", "gone.yaml")
    expect(status == 2 and "gone.yaml: No such file or directory" in err, f"exit {status}: {err}")
    expect(f.check("--baseline", "m")[0] == 2, "a folder")
    status, _, err = f.check("--baseline", "new.yaml", "--write-baseline", "new.yaml")
    expect(status == 1 and os.path.exists(f.path("new.yaml")), f"one that is to be written: exit {status}: {err}")
    status, _, err = f.check("--write-baseline", "gone/new.yaml")
    expect(status == 2 and "gone/new.yaml: No such file" in err, f"exit {status}: {err}")


def spares_what_is_none(f):
    """`--write-baseline m/a.yaml`, the name of the baseline forgotten, leaves the manifest as it is."""
    text, files = pod("a"), ("m/a.yaml", "policy/all.yaml", "m/broken.yaml")
    for name, more in (("m/a.yaml", ()), ("m/a.yaml", ("m",)), ("policy/all.yaml", ("m",)), ("m/broken.yaml", ("m/a.yaml",))):
        f.write("m/a.yaml", text)
        f.write("m/broken.yaml", "a: [\n")
        before = [f.read(file) for file in files]
        status, report, err = f.check("--write-baseline", name, more=more)
        expect(status == 2 and report is None and f"--write-baseline: {name}: there is something else" in err,
               f"{name}: exit {status}: {err}")
        expect([f.read(file) for file in files] == before, f"{name}: something is written")
    for old in ("", "kind: Baseline\n", '{"kind": "Baseline", "findings": 1}'):
        f.write("b.yaml", old)
        status, _, err = f.check("--write-baseline", "b.yaml", more=("m/a.yaml",))
        expect(status == 1 and harness.load_yaml(f.path("b.yaml"))["findings"], f"{old!r} is not replaced: exit {status}: {err}")


CASES = (hides_what_is_known, each_part_counts, new_findings_deny, moved_is_still_known, mended_is_told, many_stale_entries,
         stable_and_same, many_findings, more_than_are_listed, hostile_names, exceptions_first, refused,
         spares_what_is_none)


def main():
    tap = harness.Tap()
    tap.run_each("baseline", CASES, Folder)
    tap.finish()


if __name__ == "__main__":
    main()
