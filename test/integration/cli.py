#!/usr/bin/python3
"""The command line: exit statuses, what goes to stdout and what to stderr, and where findings point."""
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402
from harness import expect  # noqa: E402

POLICY = """\
apiVersion: mlgate.dev/v1
kind: Policy
metadata:
  name: gpu-limits
  annotations:
    mlgate.dev/docs: https://wiki.example/gpu-limits
spec:
  action: %s
  rules:
  - gpuLimits: {}
"""
DENIED = """\
apiVersion: v1
kind: Pod
metadata:
  name: bad
  namespace: ml
spec:
  containers:
  - name: main
    image: registry.example/a:1
    resources:
      requests:
        nvidia.com/gpu: 1
"""
FINE = """\
apiVersion: v1
kind: Pod
metadata: {name: good, namespace: ml}
spec:
  containers:
  - name: main
    image: registry.example/a:1
"""
UNKNOWN = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n"
LIST = "apiVersion: v1\nkind: List\nitems:\n- " + DENIED.strip().replace("\n", "\n  ") + "\n"
FILES = {
    "policy.yaml": POLICY % "enforce",
    "warn.yaml": POLICY % "warn",
    "bad-policy.yaml": "apiVersion: mlgate.dev/v1\nkind: Policy\nspc: {}\n",
    "denied.yaml": DENIED,
    "fine.yaml": FINE,
    "unknown.yaml": UNKNOWN,
    "broken.yaml": "a: [1\nb: 2\n",
    "empty.yaml": "# nothing\n",
    "two.yaml": FINE + "---\n" + DENIED,
    "list.yaml": LIST,
    "tree/a.yaml": FINE,
    "tree/sub/b.yml": DENIED,
    "tree/notes.txt": "not: [yaml\n",
}
# arguments after `check --policies policy.yaml`, exit status
STATUS = [
    (["fine.yaml"], 0),
    (["denied.yaml"], 1),
    (["fine.yaml", "denied.yaml"], 1),
    (["two.yaml"], 1),
    (["list.yaml"], 1),
    (["tree"], 1),
    (["unknown.yaml"], 0),
    (["broken.yaml"], 3),
    (["broken.yaml", "denied.yaml"], 3),
    (["no-such-file.yaml"], 3),
    (["no-such-file.yaml", "fine.yaml"], 3),
    (["empty.yaml"], 3),
    (["--no-such-option", "fine.yaml"], 2),
    (["--format", "no-such-format", "fine.yaml"], 2),
    (["--operation", "NONSENSE", "fine.yaml"], 2),
    (["--policies", "bad-policy.yaml", "fine.yaml"], 2),
    (["--policies", "bad-policy.yaml", "no-such-file.yaml"], 2),
    (["--policies", "no-such-policies", "fine.yaml"], 2),
    (["--context", "policy.yaml", "fine.yaml"], 2),
    (["--policies"], 2),
]


def exit_status(folder, args, wanted):
    status, out, err = harness.run(["check", "--policies", "policy.yaml", *args], cwd=folder)
    expect(status == wanted, f"exit {status}, not {wanted}\n{out}\n{err}")
    expect(status != 2 or (not out and err), f"exit 2 with stdout {out!r}, stderr {err!r}")


def report(folder, *args):
    status, out, err = harness.run(["check", "--policies", "policy.yaml", "--format", "json", *args], cwd=folder)
    try:
        return status, json.loads(out), err
    except ValueError:
        raise harness.Mismatch(f"exit {status}, no JSON on stdout: {out!r}; stderr: {err}") from None


def text_of_a_finding(folder):
    _, out, _ = harness.run(["check", "--policies", "policy.yaml", "denied.yaml"], cwd=folder)
    lines = out.split("\n")
    expect(lines[0] == "denied.yaml:10:5: deny gpu-limits/gpuLimits: Pod ml/bad", f"first line {lines[0]!r}")
    expect(lines[1].startswith("    spec.containers[0].resources.limits: container \"main\" requests 1 nvidia.com/gpu"),
           f"second line {lines[1]!r}")
    expect("    docs: https://wiki.example/gpu-limits" in lines, f"no docs line: {out}")
    expect(any(line.startswith("    fix: ") for line in lines), f"no fix line: {out}")


def json_of_a_finding(folder):
    status, found, _ = report(folder, "denied.yaml")
    expect(status == 1 and found["mlgate"] == 1, f"exit {status}, mlgate {found.get('mlgate')}")
    summary = found["summary"]
    expect((summary["files"], summary["objects"], summary["denied"], summary["skipped"], summary["errors"]) == (1, 1, 1, 0, 0),
           f"summary {summary}")
    result, = found["results"]
    for key, value in (("file", "denied.yaml"), ("document", 0), ("line", 1), ("apiVersion", "v1"), ("kind", "Pod"),
                       ("namespace", "ml"), ("name", "bad"), ("allowed", False)):
        expect(result[key] == value, f"{key} is {result[key]!r}, not {value!r}")
    violation, = result["violations"]
    for key, value in (("policy", "gpu-limits"), ("rule", "gpuLimits"), ("action", "deny"), ("line", 10), ("column", 5),
                       ("path", "spec.containers[0].resources.limits"), ("pointer", "/spec/containers/0/resources/limits"),
                       ("docs", "https://wiki.example/gpu-limits")):
        expect(violation[key] == value, f"{key} is {violation[key]!r}, not {value!r}")


def later_document(folder):
    _, found, _ = report(folder, "two.yaml")
    good, bad = found["results"]
    expect((good["document"], good["allowed"]) == (0, True), f"first {good}")
    expect((bad["document"], bad["allowed"]) == (1, False), f"second {bad}")
    expect(bad["violations"][0]["line"] == FINE.count("\n") + 1 + 10, f"line {bad['violations'][0]['line']}")


def directory(folder):
    _, found, _ = report(folder, "tree")
    names = [result["file"] for result in found["results"]]
    expect([name.replace("./", "") for name in names] == ["tree/a.yaml", "tree/sub/b.yml"], f"files {names}")


def skipped(folder):
    status, found, _ = report(folder, "unknown.yaml")
    expect(status == 0 and found["summary"]["skipped"] == 1 and not found["results"], f"exit {status}, {found}")


def broken_beside_others(folder):
    status, found, _ = report(folder, "broken.yaml", "denied.yaml")
    expect(status == 3, f"exit {status}")
    expect(len(found["errors"]) == 1 and found["errors"][0]["file"] == "broken.yaml", f"errors {found['errors']}")
    expect(found["errors"][0]["line"] >= 1 and found["errors"][0]["message"], f"errors {found['errors']}")
    expect(len(found["results"]) == 1 and found["summary"]["denied"] == 1, "the other file was not checked")


def warn_is_no_denial(folder):
    status, out, err = harness.run(["check", "--policies", "warn.yaml", "--format", "json", "denied.yaml"], cwd=folder)
    expect(status == 0, f"exit {status}: {err}")
    found = json.loads(out)
    result, = found["results"]
    expect(result["allowed"] and [violation["action"] for violation in result["violations"]] == ["warn"], f"{result}")
    expect(found["summary"]["warned"] == 1 and found["summary"]["denied"] == 0, f"{found['summary']}")


def stdin(folder):
    status, out, err = harness.run(["check", "--policies", "policy.yaml", "-"], cwd=folder, stdin=DENIED.encode())
    expect(status == 1 and out, f"exit {status}: {err}")


def report_to_a_file(folder):
    status, out, _ = harness.run(["check", "--policies", "policy.yaml", "--format", "json=out.json", "denied.yaml"], cwd=folder)
    expect(status == 1 and not out, f"exit {status}, stdout {out!r}")
    with open(os.path.join(folder, "out.json"), encoding="utf-8") as file:
        expect(json.load(file)["summary"]["denied"] == 1, "the file is another report")


TEST = """\
apiVersion: mlgate.dev/v1
kind: Test
metadata: {name: t}
cases:
- {name: c, object: fine.yaml, expect: {allowed: true}}
"""


def no_report_no_file(folder):
    """Where policies are refused, an older report stays, and a new one is not made; else it is emptied before it is written."""
    out, test = os.path.join(folder, "report"), os.path.join(folder, "case.test.yaml")
    with open(test, "w", encoding="utf-8") as file:
        file.write(TEST)
    for command, of, judged in (("check", "json", "fine.yaml"), ("fix", "json", "fine.yaml"), ("check", "github", "fine.yaml"),
                                ("test", "json", "case.test.yaml"), ("replay", "json", "fine.yaml")):
        run = [command, "--policies", "bad-policy.yaml", "--format", f"{of}=report", judged]
        harness.run(run, cwd=folder)
        expect(not os.path.exists(out), f"{run}: a file is made")
        with open(out, "w", encoding="utf-8") as file:
            file.write("older " * 1000)
        status, _, err = harness.run(run, cwd=folder)
        with open(out, encoding="utf-8") as file:
            expect(status == 2 and file.read() == "older " * 1000, f"{run}: the older report is lost; exit {status}: {err}")
        run[2] = "policy.yaml"
        harness.run(run, cwd=folder)
        with open(out, encoding="utf-8") as file:
            expect("older" not in file.read(), f"{run}: the older report is still there")
        os.unlink(out)
    os.unlink(test)


def several_errors_at_once(folder):
    with open(os.path.join(folder, "many.yaml"), "w", encoding="utf-8") as file:
        file.write(POLICY.replace("gpuLimits: {}", "gpuLimits: {nonsense: 1, alsoNot: 2}") % "enforced")
    status, out, err = harness.run(["check", "--policies", "many.yaml", "fine.yaml"], cwd=folder)
    expect(status == 2 and not out, f"exit {status}, stdout {out!r}")
    for text in ("many.yaml:8:11: ", "many.yaml:10:17: ", '"nonsense"', '"alsoNot"'):
        expect(text in err, f"no {text!r} in:\n{err}")


def usual_policies_unreadable(folder):
    """./policies that is there and cannot be read is an error, and not a reason to judge by the built-in pack."""
    for target in ("nowhere", "policies"):
        place = os.path.join(folder, target + "-place")
        os.mkdir(place)
        os.symlink(target, os.path.join(place, "policies"))
        status, out, err = harness.run(["check", "../fine.yaml"], cwd=place)
        expect(status == 2 and not out and err.startswith("policies: "), f"{target}: exit {status}: {out}{err}")


def version(_):
    status, out, _ = harness.run(["version"])
    expect(status == 0 and out.startswith("mlgate ") and len(out.split("\n")[0].split()) == 2, f"exit {status}, {out!r}")


def no_command(_):
    status, out, err = harness.run([])
    expect(status == 2 and not out and err, f"exit {status}, stdout {out!r}, stderr {err!r}")
    status, out, err = harness.run(["no-such-command"])
    expect(status == 2 and not out and "no-such-command" in err, f"exit {status}, stdout {out!r}, stderr {err!r}")


def main():
    tap = harness.Tap()
    with tempfile.TemporaryDirectory(prefix="mlgate-cli-") as folder:
        for name, text in FILES.items():
            os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        for args, wanted in STATUS:
            tap.run(f"check {' '.join(args)}: exit {wanted}", exit_status, folder, args, wanted)
        for test in (text_of_a_finding, json_of_a_finding, later_document, directory, skipped, broken_beside_others,
                     warn_is_no_denial, stdin, report_to_a_file, no_report_no_file, several_errors_at_once,
                     usual_policies_unreadable, version, no_command):
            tap.run(test.__name__.replace("_", " "), test, folder)
    tap.finish()


if __name__ == "__main__":
    main()
