#!/usr/bin/python3
"""`mlgate test`: what a case may say and when it holds, what is told of one that does not, --update, and hostile Tests."""
import json
import os
import resource
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402
from harness import expect  # noqa: E402

POLICY = """\
apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: gpu-limits}
spec:
  match: {namespaces: ["ml-*", default]}
  exclude:
  - {users: [root]}
  - {groups: [admins]}
  rules:
  - gpuLimits: {}
---
apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: companions}
spec:
  action: warn
  rules:
  - gpuLimits: {require: [memory], signals: []}
    name: memory
---
apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: tolerations}
spec:
  rules:
  - tolerations: {forEachAccelerator: true}
"""
EXCEPTION = """\
apiVersion: mlgate.dev/v1
kind: Exception
metadata: {name: a-while}
spec: {policies: [gpu-limits], match: {names: [a]}, owner: me, reason: so, expires: 2030-01-31}
"""
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: a}
spec:
  containers:
  - name: main
    image: registry.example/a:1
    resources: {%s}
"""
FINE = POD % "limits: {nvidia.com/gpu: 1, memory: 1Gi}"
BAD = POD % "requests: {nvidia.com/gpu: 1}"
NONE = POD % ""
TOLERATION = "  tolerations:\n  - {key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}\n"
FILES = {
    "policy.yaml": POLICY,
    "exception.yaml": EXCEPTION,
    "pods/fine.yaml": FINE,
    "pods/fine.patched.yaml": FINE + TOLERATION,
    "pods/bad.yaml": BAD,
    "pods/none.yaml": NONE,
    "pods/broken.yaml": "a: [1\n",
    "pods/empty.yaml": "# nothing\n",
    "pods/two.yaml": FINE + "---\n" + BAD,
    "pods/map.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
    "pods/mixed.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n" + BAD,
    "pods/list.yaml": "apiVersion: v1\nkind: List\nitems:\n- " + BAD.strip().replace("\n", "\n  ") + "\n",
    "review.json": json.dumps({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "1", "kind": {"group": "", "version": "v1", "kind": "Pod"},
                    "resource": {"group": "", "version": "v1", "resource": "pods"}, "name": "a", "namespace": "ml-a",
                    "operation": "CREATE", "userInfo": {"username": "jane", "groups": []},
                    "object": harness.yaml.safe_load(BAD)}}),
}
BOTH = ["gpu-limits/gpuLimits", "companions/memory"]
HEAD = "apiVersion: mlgate.dev/v1\nkind: Test\nmetadata: {name: t}\ncases:\n"


class Folder(harness.Folder):
    FILES = FILES

    def run(self, *args, stdin=b"", env=None):
        return harness.run(["test", "--policies", "policy.yaml", *args], cwd=self.path(), stdin=stdin, env=env)

    def report(self, *args):
        """(exit status, {case: result}, whole report)"""
        status, out, err = self.run("--format", "json", *args)
        expect(out, f"exit {status}, no report: {err}")
        report = json.loads(out)
        return status, {r["case"]: r for r in report["results"]}, report


def case(name="x", wanted=None, **keys):
    return {"name": name, "expect": wanted, **keys}


def test_of(*cases, name="t"):
    return json.dumps({"apiVersion": "mlgate.dev/v1", "kind": "Test", "metadata": {"name": name}, "cases": list(cases)})


# --- what holds ------------------------------------------------------------------------------------------------------

REVIEWED = {"allowed": False, "violations": BOTH}
HOLD = [
    case("denied", REVIEWED, object="pods/bad.yaml"),
    case("in any order", {"violations": BOTH[::-1]}, object="pods/bad.yaml"),
    case("inline", {"allowed": False}, object=harness.yaml.safe_load(BAD)),
    case("patched file", {"allowed": True, "violations": [], "patched": "pods/fine.patched.yaml"}, object="pods/fine.yaml"),
    case("patched inline", {"patched": harness.yaml.safe_load(FINE + TOLERATION)}, object="pods/fine.yaml"),
    case("patched, both inline", {"patched": harness.yaml.safe_load(FINE + TOLERATION)}, object=harness.yaml.safe_load(FINE)),
    case("no patch", {"patched": None}, object="pods/none.yaml"),
    case("no patch for nothing new", {"patched": None}, object="pods/fine.patched.yaml"),
    case("message of a violation", {"message": "*sets no limit"}, object="pods/bad.yaml"),
    case("message of a line", {"message": "gpu-limits/gpuLimits: *: container \"main\" requests*"}, object="pods/bad.yaml"),
    case("message by a regex", {"message": "/.*requests [0-9]+ nvidia.*/"}, object="pods/bad.yaml"),
    case("message of a warning", {"message": "*no memory limit*"}, object="pods/bad.yaml"),
    case("another namespace", {"allowed": True, "violations": BOTH[1:]}, object="pods/bad.yaml", namespace="prod"),
    case("a namespace of ml", {"allowed": False}, object="pods/bad.yaml", namespace="ml-a"),
    case("before the object's own", {"allowed": True}, object={**harness.yaml.safe_load(BAD),
                                                             "metadata": {"name": "a", "namespace": "ml-a"}}, namespace="prod"),
    case("a user", {"allowed": True}, object="pods/bad.yaml", user="root"),
    case("groups", {"allowed": True}, object="pods/bad.yaml", groups=["staff", "admins"]),
    case("an update that brings nothing", {"allowed": True, "patched": None}, object="pods/bad.yaml", oldObject="pods/bad.yaml"),
    case("an update that brings it", {"allowed": False}, object="pods/bad.yaml", oldObject="pods/none.yaml"),
    case("a deletion", {"allowed": True, "violations": [], "patched": None}, object="pods/bad.yaml", operation="DELETE"),
    case("a deletion by its old object", {"allowed": True, "violations": []}, oldObject="pods/bad.yaml"),
    case("a recorded review", REVIEWED, object="review.json"),
    case("a recorded review of another user", {"allowed": True}, object="review.json", user="root"),
    case("beside what nobody judges", {"allowed": False}, object="pods/mixed.yaml"),
    case("a List of one", {"allowed": False}, object="pods/list.yaml"),
]
FAIL = [
    case("allowed", {"allowed": True}, object="pods/bad.yaml"),
    case("denied", {"allowed": False}, object="pods/fine.yaml"),
    case("one violation too few", {"violations": BOTH[:1]}, object="pods/bad.yaml"),
    case("one too many", {"violations": BOTH + ["other/rule"]}, object="pods/bad.yaml"),
    case("a patch", {"patched": None}, object="pods/fine.yaml"),
    case("no patch", {"patched": "pods/fine.patched.yaml"}, object="pods/none.yaml"),
    case("another patch", {"patched": "pods/fine.yaml"}, object="pods/fine.yaml"),
    case("a part of the message", {"message": "sets no limit"}, object="pods/bad.yaml"),
    case("no message at all", {"message": "*"}, object="pods/none.yaml"),
]


def all_hold():
    with Folder() as folder:
        folder.write("t.json", test_of(*HOLD))
        status, results, report = folder.report("t.json")
        bad = {name: r for name, r in results.items() if r["status"] != "passed"}
        expect(not bad and status == 0, f"exit {status}: {json.dumps(bad, indent=1)}")
        expect(report["summary"]["passed"] == len(HOLD) == report["summary"]["cases"], report["summary"])


def all_fail():
    with Folder() as folder:
        folder.write("t.json", test_of(*FAIL))
        status, results, _ = folder.report("t.json")
        good = [name for name, r in results.items() if r["status"] != "failed" or len(r["problems"]) != 1]
        expect(status == 1 and not good, f"exit {status}: {good}")
        problem = results["one too many"]["problems"][0]
        expect(problem["key"] == "violations" and problem["expected"] == BOTH + ["other/rule"], problem)
        expect("\n  - other/rule" in problem["text"] and f"\n    {BOTH[0]}" in problem["text"], problem["text"])
        text = results["one violation too few"]["problems"][0]["text"]
        expect("  + companions/memory: warn at pods/bad.yaml:8:5: spec.containers[0]" in text, text)
        text = results["another patch"]["problems"][0]["text"]
        lines = ["    --- pods/fine.yaml", "    +++ the object after the patch", "    @@ -10,3 +10,7 @@", "    +  tolerations:",
                 "    +  - key: nvidia.com/gpu"]
        expect([line for line in lines if line not in text.split("\n")] == [], text)
        problem = results["allowed"]["problems"][0]
        expect(problem["expected"] is True and problem["actual"] is False and "sets no limit" in problem["text"], problem)


def broken():
    names = {"pods/nowhere.yaml": "No such file", "pods/broken.yaml": "pods/broken.yaml:2:1: ",
             "pods/empty.yaml": "nothing in it", "pods/two.yaml": "2 objects", "pods": "Is a directory", "": None}
    with Folder() as folder:
        for name, words in names.items():
            folder.write("t.json", test_of(case("x", {"allowed": True}, object=name)))
            if not name:
                expect(folder.run("t.json")[0] == 2, "an empty name")
                continue
            status, results, report = folder.report("t.json")
            expect(status == 3 and results["x"]["status"] == "error", f"{name}: exit {status}, {results}")
            expect(words in results["x"]["error"] and report["summary"]["errors"] == 1, f"{name}: {results}")
        two = {"apiVersion": "v1", "kind": "List", "items": [harness.yaml.safe_load(text) for text in (FINE, BAD)]}
        folder.write("pods/two.json", json.dumps(two))
        for keys, words in (({"object": two}, "2 objects, where an object is one"),
                            ({"object": "pods/two.json"}, "pods/two.json: 2 objects, where an object is one"),
                            ({"object": "pods/fine.yaml", "oldObject": two}, "2 objects, where an oldObject is one")):
            folder.write("t.json", test_of(case("x", {"allowed": True}, **keys)))
            status, results, _ = folder.report("t.json")
            expect(status == 3 and results["x"].get("error") == words, f"a List: exit {status}, {results}")
        folder.write("t.json", test_of(case("x", {"allowed": False}, object={**two, "items": two["items"][1:]})))
        expect(folder.run("t.json")[0] == 0, "a List of one object")
        folder.write("t.json", test_of(case("x", {"patched": "pods/nowhere.yaml"}, object="pods/fine.yaml")))
        expect(folder.run("t.json")[0] == 3, "an expected file that is not there")
        folder.write("t.json", test_of(case("x", {"allowed": True}, object="pods/map.yaml")))
        status, results, _ = folder.report("t.json")
        expect(status == 0 and "ConfigMap" in results["x"].get("note", ""), f"what nobody judges: {status} {results}")


# --- the command line ------------------------------------------------------------------------------------------------

def exits():
    with Folder() as folder:
        folder.write("good.json", test_of(HOLD[0]))
        folder.write("bad.json", test_of(FAIL[0], name="bad"))
        folder.write("empty.json", test_of())
        rows = [
            (["good.json"], 0), (["bad.json"], 1), (["good.json", "bad.json"], 1), (["nowhere.json"], 3), ([], 2),
            (["bad.json", "nowhere.json"], 3), (["pods/fine.yaml"], 3), (["empty.json"], 3), (["good.json", "--run", "other"], 3),
            (["good.json", "--run", "t/den*"], 0), (["bad.json", "--run", "den*", "good.json"], 0),
            (["good.json", "--run", "[z"], 2),
            (["good.json", "--policies", "nowhere"], 2), (["good.json", "--format", "tap"], 2),
            (["good.json", "--format", "text", "--format", "json"], 2),
            (["good.json", "--format", "text", "--format", "json=-"], 2),
            (["good.json", "--format", "text=out.txt", "--format", "json=-"], 0),
            (["good.json", "--format", "junit=/nowhere/x"], 2),
            (["good.json", "--format", "text", "--format", "json=out.json", "--format", "junit=out.xml"], 0),
            (["good.json", "--context", "policy.yaml"], 2), (["good.json", "--now", "tomorrow"], 2),
        ]
        for args, status in rows:
            got, out, err = folder.run(*args)
            expect(got == status, f"{args}: exit {got}, not {status}: {out}{err}")
            expect(status < 2 or err or "ERROR" in out, f"{args}: not a word")
        expect(json.loads(folder.read("out.json"))["summary"]["passed"] == 1 and "<testsuites" in folder.read("out.xml"), "files")
        status, out, _ = folder.run("-", stdin=test_of(HOLD[0]).encode())
        expect(status == 0 and "1 passed" in out, f"standard input: exit {status}: {out}")
        status, out, _ = folder.run("good.json", "--format", "json=-")
        expect(status == 0 and json.loads(out)["summary"]["passed"] == 1, f"json=-: exit {status}: {out}")
        expect(not os.path.exists(folder.path("-")), "--format json=- makes a file that is called -")
        status, out, err = folder.run("--update", "-", stdin=test_of(FAIL[0]).encode())
        expect(status == 2 and "standard input" in err, f"--update -: exit {status}: {out}{err}")
        expect(not os.path.exists(folder.path("-")), "--update makes a file that is called -")
        status, out, err = harness.run(["test", "good.json"], cwd=folder.path(), env={"MLGATE_POLICIES": "policy.yaml"})
        expect(status == 0, f"MLGATE_POLICIES: exit {status}: {out}{err}")


def mistakes():
    rows = [
        ("- name: a\n  objekt: x\n  expect: {allowed: true}\n", '6:3: unknown key "objekt" in a case; did you mean "object"?'),
        ("- name: a\n  object: x\n  expect: {alowed: true}\n", '7:12: unknown key "alowed" in expect; did you mean "allowed"?'),
        ("- name: a\n  object: x\n  expect: {allowed: yes please}\n", '7:21: "allowed" must be true or false, not a string'),
        ("- name: a\n  object: x\n  expect: {}\n", '7:3: "expect" says nothing'),
        ("- name: a\n  object: x\n", '5:3: a case lacks "expect"'),
        ("- object: x\n  expect: {allowed: true}\n", '5:3: a case lacks "name"'),
        ("- name: a\n  expect: {allowed: true}\n", '5:3: a case lacks "object"'),
        ("- name: a\n  object: x\n  expect: {violations: gpu-limits/gpuLimits}\n", '7:24: "violations" must be a list'),
        ("- name: a\n  object: x\n  expect: {violations: [gpu-limits]}\n", '7:25: "gpu-limits" must be a policy and a rule'),
        ("- name: a\n  object: x\n  expect: {message: \"/(/\"}\n", '7:21: "message"'),
        ("- name: a\n  object: x\n  operation: PATCH\n  expect: {allowed: true}\n", '7:14: "operation" cannot be "PATCH"'),
        ("- name: a\n  object: x\n  object: y\n  expect: {allowed: true}\n", '7:3: '),
        ("- name: a\n  object: x\n  expect: {allowed: true}\n- name: a\n  object: x\n  expect: {allowed: true}\n",
         '8:9: a second case "a"; another is at 5:9'),
        ("{}\n", '4:8: "cases" must be a list'), ("- 3\n", "5:3: "),
    ]
    with Folder() as folder:
        for cases, words in rows:
            folder.write("bad.yaml", HEAD + cases if cases[0] == "-" else HEAD.rstrip() + " " + cases)
            status, out, err = folder.run("bad.yaml")
            expect(status == 2 and f"bad.yaml:{words}" in err and not out, f"{cases!r}: exit {status}: {err}")
            status, _, err = harness.run(["check", "--allow-empty", "--policies", "bad.yaml"], cwd=folder.path())
            expect(status == 2 and f"bad.yaml:{words}" in err, f"among policies: {cases!r}: exit {status}: {err}")
        for line, words in (("apiVersion: mlgate.dev/v2", "unknown version"), ("kind: Tset", 'did you mean "Test"?'),
                            ("metadata: {name: Bad_Name}", "is no DNS subdomain"), ("", 'lacks "apiVersion"')):
            key = line.split(":")[0] or "apiVersion"
            text = "\n".join(line if row.startswith(key) else row for row in HEAD.split("\n"))
            folder.write("bad.yaml", text + "- name: a\n  object: x\n  expect: {allowed: true}\n")
            status, _, err = folder.run("bad.yaml")
            expect(status == 2 and words in err, f"{line}: exit {status}: {err}")


def names():
    """As among policy files: one name is of one Test, wherever it stands; but a file may be given twice."""
    good = test_of(HOLD[0])
    other = json.loads(good)
    other["metadata"]["namespace"] = "elsewhere"
    with Folder() as folder:
        folder.write("tests/a.json", good)
        folder.write("tests/b.json", test_of(HOLD[0], name="b"))
        folder.write("tests/c.json", json.dumps(other))
        folder.write("again.json", good)
        folder.write("both.yaml", f"{good}\n---\n{good}\n")
        for args in (["tests"], ["tests/a.json", "tests/a.json"], ["tests", "./tests/a.json", folder.path("tests")]):
            status, out, err = folder.run("--run", "nothing", *args)
            expect(status == 3 and not err.count("second"), f"{args}: exit {status}: {out}{err}")
        rows = ((["tests", "again.json"], "again.json", "tests/a.json:1:"), (["both.yaml"], "both.yaml:3", "both.yaml:1:"))
        for args, second, first in rows:
            status, out, err = folder.run(*args)
            said = err.split("\n")[0]
            expect(status == 2 and not out and said.startswith(f"{second}:"), f"{args}: exit {status}: {out}{err}")
            expect(f'a second Test "t"; the first is at {first}' in said, f"{args}: {err}")
            paths = [word for path in args for word in ("--policies", path)]
            expect(harness.run(["check", "--allow-empty", *paths], cwd=folder.path())[2].split("\n")[0] == said, f"check: {args}")


def own_policies():
    """A Test that names policies and context is judged by these."""
    bounds = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "b", "namespace": "ml-a"},
              "spec": {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]}}
    with Folder() as folder:
        folder.write("sub/own.yaml", POLICY.split("---")[1].replace("companions", "own"))
        folder.write("sub/bounds.yaml", "apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: bounds}\nspec:\n  rules:\n"
                     "  - limitRange: {apply: [bounds]}\n")
        test = json.loads(test_of(case("x", {"violations": ["own/memory"]}, object="../pods/bad.yaml")))
        folder.write("sub/t.json", json.dumps({**test, "policies": ["own.yaml"]}))
        test = json.loads(test_of(case("y", {"violations": ["bounds/limitRange"]}, namespace="ml-a",
                                       object=harness.yaml.safe_load(POD % "limits: {memory: 2Gi}"))))
        test["metadata"]["name"] = "u"
        folder.write("sub/u.json", json.dumps({**test, "policies": ["bounds.yaml"], "context": [bounds]}))
        folder.write("sub/bounds-of-a-file.yaml", json.dumps(bounds))
        test["metadata"]["name"] = "v"
        folder.write("sub/v.json", json.dumps({**test, "policies": ["bounds.yaml"], "context": ["bounds-of-a-file.yaml"]}))
        status, out, err = folder.run("sub/t.json", "sub/u.json", "sub/v.json")
        expect(status == 0 and "3 passed" in out and not err, f"exit {status}: {out}{err}")
        folder.write("sub/t.json", json.dumps({**test, "policies": ["nowhere.yaml"]}))
        status, _, err = folder.run("sub/t.json")
        expect(status == 2 and "sub/nowhere.yaml: No such file" in err, f"exit {status}: {err}")


def exceptions():
    with Folder() as folder:
        folder.write("t.json", test_of(case("x", {"allowed": True, "violations": BOTH[1:]}, object="pods/bad.yaml")))
        for now, status in (("2029-12-31", 0), ("2030-03-01", 1)):
            got, out, _ = folder.run("--policies", "exception.yaml", "--now", now, "t.json")
            expect(got == status, f"{now}: exit {got}: {out}")


# --- formats ---------------------------------------------------------------------------------------------------------

def junit():
    odd = "<&>\"' \x1b[31m\u202e\ufffe ]]>"
    with Folder() as folder:
        unread = case("e", {"allowed": True}, object="pods/broken.yaml")
        folder.write("t.json", test_of(HOLD[0], {**FAIL[2], "name": odd}, unread))
        status, out, _ = folder.run("--format", "junit", "t.json", "nowhere.json")
        expect(status == 3, f"exit {status}")
        root = ElementTree.fromstring(out)
        expect(root.tag == "testsuites" and [s.get("name") for s in root] == ["files", "t"], out)
        expect([len(root.findall(f".//{name}")) for name in ("testcase", "failure", "error")] == [4, 1, 2], out)
        for suite in root:
            counts = [str(len(suite.findall(path))) for path in ("testcase", "testcase/failure", "testcase/error")]
            expect(counts == [suite.get(key) for key in ("tests", "failures", "errors")], out)
        names = [c.get("name") for c in root.iter("testcase")]
        expect(any(name.startswith("<&>\"' \ufffd[31m") for name in names), names)
        failure = root.find(".//failure")
        expect("companions/memory" in failure.text and failure.get("message").startswith("violations:"), out)


def hostile_names():
    odd = "a\x1b[2J\u202eb\nc"
    with Folder() as folder:
        folder.write("t.json", test_of({**FAIL[0], "name": odd}))
        _, out, _ = folder.run("t.json")
        expect("\x1b" not in out and "\u202e" not in out and "b\nc" not in out, repr(out))
        _, out, _ = folder.run("--format", "json", "t.json")
        expect(json.loads(out)["results"][0]["case"].startswith("a\ufffd[2J"), out)


# --- --update --------------------------------------------------------------------------------------------------------

BLOCK = HEAD + """\
# a comment
- name: all wrong   # why
  object: pods/bad.yaml
  expect:
    allowed: true  # stays a comment
    violations:
      - a/b
      - c/d
    # between
    patched: pods/bad.patched.yaml
- {name: "flow", object: pods/fine.yaml, expect: {allowed: false, violations: [ a/b ], patched: null}}
- name: inline
  object:
    apiVersion: v1
    kind: Pod
    metadata: {name: a}
    spec: {containers: [{name: t, image: x, resources: {limits: {nvidia.com/gpu: 1, memory: 1Gi}}}]}
  expect:
    patched: null
    violations:
    - a/b
- name: right
  object: pods/bad.yaml
  expect: {allowed: false}
"""


def updates():
    with Folder() as folder:
        folder.write("t.yaml", BLOCK)
        os.remove(folder.path("pods/fine.patched.yaml"))
        status, out, err = folder.run("--update", "t.yaml")
        expect(status == 0 and "1 passed, 0 failed, 3 updated" in out, f"exit {status}: {out}{err}")
        status, out, _ = folder.run("t.yaml")
        expect(status == 0 and "4 passed" in out, f"again: exit {status}: {out}\n{folder.read('t.yaml')}")
        text = folder.read("t.yaml")
        for line in ("# a comment", "- name: all wrong   # why", "    allowed: false  # stays a comment",
                     "      - gpu-limits/gpuLimits", "    # between", "    violations: []", "    patched:", "      spec:",
                     '- {name: "flow", object: pods/fine.yaml, '
                     'expect: {allowed: true, violations: [], patched: pods/fine.patched.yaml}}'):
            expect(line in text.split("\n"), f"no line {line!r} in\n{text}")
        expect(text.endswith("- name: right\n  object: pods/bad.yaml\n  expect: {allowed: false}\n"), text)
        before = text
        expect(folder.run("--update", "t.yaml")[0] == 0 and folder.read("t.yaml") == before, "a second run changes something")


def updates_of_other_forms():
    with Folder() as folder:
        wrong = {"allowed": True, "violations": ["a/b"], "patched": None}
        folder.write("t.json", test_of(case("x", wrong, object="pods/bad.yaml"),
                                       case("y", {"patched": "p.json"}, object="pods/fine.yaml")))
        expect(folder.run("--update", "t.json")[0] == 0, "JSON")
        expect(json.loads(folder.read("t.json"))["cases"][0]["expect"]["violations"] == BOTH, folder.read("t.json"))
        expect(json.loads(folder.read("p.json"))["spec"]["tolerations"], "a patched file of JSON")
        folder.write("crlf.yaml", BLOCK.replace("\n", "\r\n"))
        expect(folder.run("--update", "crlf.yaml")[0] == 0, "line ends")
        text = folder.read("crlf.yaml")
        expect(text.count("\n") == text.count("\r\n"), repr(text))
        folder.write("two.yaml", "\ufeff# ünd\n" + BLOCK + "---\n" + POLICY + "---\n" + BLOCK.replace("name: t}", "name: u}"))
        status, out, err = folder.run("--update", "two.yaml")
        expect(status == 0 and folder.run("two.yaml")[0] == 0, f"several documents: {out}{err}")
        folder.write("pods/head.yaml", "# kept\n# too\n" + FINE)
        folder.write("t.json", test_of(case("x", {"patched": "pods/head.yaml"}, object="pods/fine.yaml")))
        expect(folder.run("--update", "t.json")[0] == 0, "a head")
        expect(folder.read("pods/head.yaml").startswith("# kept\n# too\napiVersion: v1\n"), folder.read("pods/head.yaml"))


def updates_left_to_people():
    """What cannot be written without touching more than its value is told, and the file stays as it is."""
    rows = [
        "- name: a\n  object: pods/bad.yaml\n  expect: &e\n    violations: &v [a/b]\n",
        "- name: a\n  object: pods/bad.yaml\n  expect:\n    violations:  # why\n    - a/b\n",
        "- name: a\n  object: pods/bad.yaml\n  expect: {message: nothing}\n",
        "- name: a\n  object: pods/none.yaml\n  expect: &e {allowed: true}\n- name: b\n  object: pods/bad.yaml\n  expect: *e\n",
        "- name: a\n  object: pods/none.yaml\n  expect: &e {allowed: true}\n- name: b\n  object: pods/bad.yaml\n"
        "  expect:\n    <<: *e\n",
        "- name: a\n  object: pods/bad.yaml\n  expect:\n    ? violations\n    : [a/b]\n",
        "- name: a\n  object: pods/bad.yaml\n  expect: &e\n    allowed: true\n- name: b\n  object: pods/none.yaml\n"
        "  expect: *e\n",
        "- name: a\n  object: pods/fine.yaml\n  expect: {patched: p.yaml}\n- name: b\n  object: pods/fine.yaml\n  user: x\n"
        "  expect: {patched: p.yaml, message: nope}\n",
    ]
    with Folder() as folder:
        for cases in rows:
            folder.write("t.yaml", HEAD + cases)
            status, out, err = folder.run("--update", "t.yaml")
            expect(status == 1 and "FAIL" in out, f"{cases}: exit {status}: {out}{err}")
            expect(("updated" in out) == ("p.yaml" in cases), f"{cases}: {out}")
            expect(folder.read("t.yaml") == HEAD + cases, f"{cases} became {folder.read('t.yaml')}")
        expect("by hand" not in out, out)
        folder.write("t.yaml", HEAD + "- name: a\n  object: pods/fine.yaml\n  expect: {patched: p.yaml}\n"
                     "- name: b\n  object: {apiVersion: v1, kind: Pod, metadata: {name: b}, spec: {containers: "
                     "[{name: c, image: x, resources: {limits: {nvidia.com/gpu: 1}}}]}}\n  expect: {patched: p.yaml}\n")
        os.remove(folder.path("p.yaml"))
        status, out, _ = folder.run("--update", "t.yaml")
        expect(status == 1 and "to be written by hand: patched: {" in out, f"two objects of one file: exit {status}: {out}")


def updates_on_a_full_disk():
    with Folder() as folder:
        folder.write("t.yaml", BLOCK)
        before = folder.read("t.yaml"), folder.read("pods/fine.patched.yaml"), sorted(os.listdir(folder.path(".")))
        done = subprocess.run([harness.MLGATE, "test", "--policies", "policy.yaml", "--update", "t.yaml"], cwd=folder.path("."),
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300)), restore_signals=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, env=harness.environment())
        expect(done.returncode == 1 and b"t.yaml: File too large" in done.stderr, f"exit {done.returncode}: {done.stderr}")
        expect(b"updated" not in done.stdout and b"1 passed, 3 failed" in done.stdout, done.stdout)
        after = folder.read("t.yaml"), folder.read("pods/fine.patched.yaml"), sorted(os.listdir(folder.path(".")))
        expect(after == before, f"{before} became {after}")


def main():
    tap = harness.Tap()
    tap.run(f"test: {len(HOLD)} cases that hold", all_hold)
    tap.run(f"test: {len(FAIL)} that do not, and why", all_fail)
    tap.run("test: what cannot be judged", broken)
    tap.run("test: exit statuses", exits)
    tap.run("test: mistakes in a Test, and their places", mistakes)
    tap.run("test: two Tests of one name", names)
    tap.run("test: a Test with policies and context of its own", own_policies)
    tap.run("test: exceptions, and their end", exceptions)
    tap.run("test: JUnit", junit)
    tap.run("test: hostile names", hostile_names)
    tap.run("test: --update", updates)
    tap.run("test: --update of JSON, other line ends, several documents", updates_of_other_forms)
    tap.run("test: --update on a full disk loses nothing", updates_on_a_full_disk)
    tap.run("test: --update leaves to people what is theirs", updates_left_to_people)
    tap.finish()


if __name__ == "__main__":
    main()
