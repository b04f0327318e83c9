#!/usr/bin/python3
"""`mlgate replay`: recordings in every form that there is, what of the audit log can be judged and what it lacks, two sets of
policies, and the memory of a long log."""
import copy
import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402
from harness import expect, review  # noqa: E402

BASELINE = os.path.join(harness.TOP, "policies", "baseline")
STRICT = os.path.join(harness.TOP, "policies", "strict")
LIMITS = os.path.join(BASELINE, "gpu-limits.yaml")
TAP = harness.Tap()
WORK = tempfile.TemporaryDirectory(prefix="mlgate-replay-")


def write(name, data):
    path = os.path.join(WORK.name, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())
    return path


def policy(name, rules, action="enforce"):
    return write(f"policies/{name}.yaml", json.dumps({"apiVersion": "mlgate.dev/v1", "kind": "Policy", "metadata": {"name": name},
                                                      "spec": {"action": action, "rules": rules}}))


def pod(name="p", gpus=None, limits=None, namespace="ml"):
    resources = {"requests": {"nvidia.com/gpu": str(gpus)}} if gpus else {}
    if limits:
        resources["limits"] = limits
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace},
            "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]}}


GOOD = {"nvidia.com/gpu": "1"}
BAD, FINE = review(pod("bad", 1)), review(pod("fine", 1, GOOD))


def event(obj=None, verb="create", **more):
    """One of the audit log, at level RequestResponse."""
    made = {"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": "a-1",
            "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/ml/pods?fieldManager=kubectl", "verb": verb,
            "user": {"username": "alice", "groups": ["devs"]}, "responseStatus": {"metadata": {}, "code": 201},
            "objectRef": {"resource": "pods", "namespace": "ml", "name": "bad", "apiVersion": "v1"},
            "requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z"}
    if obj is not None:
        made["requestObject"] = obj
    made.update(more)
    return {key: value for key, value in made.items() if value is not None}


def replay(*args, policies=LIMITS, stdin=b"", fmt="json"):
    """(exit status, report or text, stderr)."""
    status, out, err = harness.run(["replay", "--policies", policies, "--format", fmt, *args], stdin=stdin)
    return status, json.loads(out) if fmt == "json" and out.strip() else out, err


def lines(*records):
    return "".join(json.dumps(one) + "\n" for one in records).encode()


# --- forms -----------------------------------------------------------------------------------------------------------

def form(name, data, places):
    """BAD and FINE in a file of this form: both are judged, and the lines are right."""
    status, report, err = replay("--examples", "9", write(f"forms/{name}", data))
    expect(status == 1 and err == "", f"exit {status}: {err}")
    expect(report["summary"]["objects"] == 2 and report["summary"]["denied"] == 1 and report["errors"] == [], report)
    found = [(one["name"], one["line"]) for one in report["findings"]["denials"]["examples"]]
    expect(found == places, f"found at {found}")


def forms():
    both, pretty = lines(BAD, FINE), (json.dumps(FINE, indent=2) + "\n" + json.dumps(BAD, indent=4)).encode()
    behind = json.dumps(FINE, indent=2).count("\n") + 2
    second = [("bad", 2)]
    yaml = harness.dump_yaml(FINE) + "---\n" + harness.dump_yaml(BAD)
    return [("lines.jsonl", both, [("bad", 1)]), ("without an end.log", lines(FINE, BAD)[:-1], second),
            ("crlf.log", lines(FINE, BAD).replace(b"\n", b"\r\n"), second), ("blank.log", b"\n\n" + both, [("bad", 3)]),
            ("mark.log", b"\xef\xbb\xbf" + both, [("bad", 1)]), ("pretty.json", pretty, [("bad", behind)]),
            ("one line.json", both.replace(b"\n", b""), [("bad", 1)]),
            ("array.json", json.dumps([FINE, BAD]).encode(), [("bad", 1)]),
            ("pretty array.json", json.dumps([FINE, BAD], indent=1).encode(),
             [("bad", json.dumps([FINE], indent=1).count("\n") + 1)]),
            ("log.gz", gzip.compress(lines(FINE)) + gzip.compress(lines(BAD)), second), ("list.json", json.dumps(
                {"kind": "List", "apiVersion": "v1", "items": [FINE, BAD]}, indent=1).encode(), [("bad", json.dumps(
                    {"kind": "List", "apiVersion": "v1", "items": [FINE]}, indent=1).count("\n"))]),
            ("records.yaml", yaml.encode(), [("bad", yaml.split("---\n", maxsplit=1)[0].count("\n") + 2)])]


def standard_input():
    status, report, _ = replay("-", stdin=lines(FINE, BAD))
    expect(status == 1 and report["summary"]["objects"] == 2, f"exit {status}: {report}")
    status, report, _ = replay("-", stdin=gzip.compress(lines(FINE, BAD)))
    expect(status == 1 and report["summary"]["objects"] == 2, f"compressed: exit {status}: {report}")


def directory():
    for name in ("a.json", "b.jsonl", "c.log", "d.log.gz", "sub/e.ndjson", "sub/f.yaml"):
        data = lines(BAD) if not name.endswith(".yaml") else harness.dump_yaml(BAD).encode()
        write(f"tree/{name}", gzip.compress(data) if name.endswith(".gz") else data)
    write("tree/README.md", "# not one")
    status, report, err = replay(os.path.join(WORK.name, "tree"))
    expect(status == 1 and report["summary"]["files"] == 6 and report["summary"]["denied"] == 6, f"exit {status}: {report} {err}")


def broken():
    """What is spoiled is told with its line, and takes nothing else with it."""
    good = json.dumps(BAD)
    nested = '{"a":[' * 2000
    rows = [("cut in a text", f'{good}\n{good[:90]}\n{good}\n', 2, [2]),
            ("cut elsewhere", f'{good}\n{good[:-2]}\n{good}\n', 2, [2]),
            ("cut at the end", f"{good}\n{good[:-5]}", 1, [2]), ("words between", f"{good}\nI0101 klog\nmore\n{good}\n", 2, [2]),
            ("two behind one", f'{good}\n{{"a" 1}}\n{{"a":1,"a":2}}\n{good}\n', 2, [2, 3]),
            ("a closing brace", f"{good}\n}}\n{good}\n", 2, [2]), ("deep", f"{good}\n{nested}\n{good}\n", 2, [2]),
            ("NUL bytes", f"{good}\n\0\0\0\n{good}\n", 2, [2]), ("text alone", "not a log\nat all: [\n", 0, [2])]
    for name, text, objects, at in rows:
        status, report, _ = replay(write("broken.log", text))
        found = [one["line"] for one in report["errors"]]
        expect(status == 3 and report["summary"]["objects"] == objects, f"{name}: exit {status}: {report['summary']}")
        expect(found == at and report["summary"]["errors"] == len(at), f"{name}: errors at {report['errors']}")
    status, report, _ = replay(write("cut.gz", gzip.compress(lines(*[BAD] * 50))[:-40]))
    expect(status == 3 and report["summary"]["errors"] >= 1, f"cut gzip: exit {status}: {report['summary']}")
    expect(report["errors"][-1]["message"] == "unexpected end of file", f"cut gzip: {report['errors'][-1]}")
    status, report, _ = replay(write("bad.log", good[:60] + "\n"), os.path.join(WORK.name, "none.log"), write("ok.log", good))
    expect(status == 3 and report["summary"]["objects"] == 1 and report["summary"]["errors"] == 2, report["summary"])


def many_errors():
    status, report, _ = replay(write("many.log", '{"a":1,"a":2}\n' * 500))
    expect(status == 3 and report["summary"]["errors"] == 500 and len(report["errors"]) == 100, report["summary"])
    _, out, _ = replay(os.path.join(WORK.name, "many.log"), fmt="text")
    expect("and 400 more errors\n" in out and out.count("error: ") == 100, out[-300:])


def wrong_reviews():
    """Each is an error of its own, or said to be none."""
    old = {**BAD, "apiVersion": "admission.k8s.io/v1beta1"}
    anonymous = copy.deepcopy(BAD)
    del anonymous["request"]["uid"]
    answer = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": "x", "allowed": True}}
    status, report, _ = replay(write("wrong.log", lines(old, anonymous, answer, pod(), [], {"items": [1, None, []]}, BAD)))
    expect(status == 3 and [one["line"] for one in report["errors"]] == [1, 2, 5], report["errors"])
    unused = report["recorded"]["unused"]
    expect(unused["answers"] == 1 and unused["others"] >= 2 and report["summary"]["objects"] == 1, report)


# --- the audit log ---------------------------------------------------------------------------------------------------

def judged(name, one, denied=1, **recorded):
    status, report, err = replay(write("audit.log", lines(one)))
    expect(status == (1 if denied else 0), f"{name}: exit {status}: {err} {report}")
    expect(report["summary"]["objects"] == 1 and report["recorded"]["events"] == 1, f"{name}: {report['summary']}")
    for key, value in {"noOldObject": 0, "asStored": 0, "dryRun": 0, "refused": 0, **recorded}.items():
        expect(report["recorded"][key] == value, f"{name}: {key}: {report['recorded']}")
    return report


def not_judged(name, key, *events):
    status, report, err = replay(write("audit.log", lines(*events)))
    expect(status == 0 and report["summary"]["objects"] == 0, f"{name}: exit {status}: {err} {report['summary']}")
    unused = {word: n for word, n in report["recorded"]["unused"].items() if n}
    expect(unused == {key: len(events)} and report["summary"]["skipped"] == len(events), f"{name}: {unused}")


def audit_events():
    bad, stored = pod("bad", 1), {"code": 200}
    report = judged("create", event(bad))
    one = report["findings"]["denials"]["examples"][0]
    expect((one["user"], one["namespace"], one["name"], one["operation"]) == ("alice", "ml", "bad", "CREATE"), one)
    one = judged("impersonated", event(bad, impersonatedUser={"username": "bob"}))["findings"]["denials"]["examples"][0]
    expect(one["user"] == "bob", one)
    bare = pod("x", 1)
    bare["metadata"] = {"generateName": "gen-"}
    report = judged("generateName", event(bare, objectRef={"resource": "pods", "namespace": "ml"}))
    one = report["findings"]["denials"]["examples"][0]
    expect((one["namespace"], one["name"]) == ("ml", "gen-"), one)
    judged("update", event(bad, "update", responseStatus=stored), noOldObject=1)
    judged("dry run", event(bad, requestURI="/api/v1/namespaces/ml/pods?dryRun=All&x=y"), dryRun=1)
    judged("no dry run", event(bad, requestURI="/api/v1/namespaces/ml/pods?fieldManager=a", userAgent="dryRun=All"))
    judged("refused then", event(bad, responseStatus={"code": 403}), refused=1)
    judged("level Request", event(bad, level="Request"))
    patch = {"spec": {"x": 1}}
    judged("patch", event(patch, "patch", responseObject=bad, responseStatus=stored), noOldObject=1, asStored=1)
    judged("server-side apply", event(patch, "patch", responseObject=bad), asStored=1)
    judged("old version", event(bad, apiVersion="audit.k8s.io/v1beta1"))
    judged("what is fine", event(pod("fine", 1, GOOD)), denied=0)
    one = judged("resize", event(bad, "update", objectRef={"resource": "pods", "namespace": "ml", "subresource": "resize"}),
                 noOldObject=1)
    expect(one["findings"]["patches"]["requests"] == 0, "a subresource is patched")


def audit_gaps():
    bad = pod("bad", 1)
    not_judged("stages", "stages", event(bad, stage="RequestReceived"), event(bad, stage="ResponseStarted"), event(stage="Panic"))
    not_judged("verbs", "verbs", event({"kind": "DeleteOptions"}, "delete"), event(None, "get"), event(None, "deletecollection"))
    others = [event(bad, "update", objectRef={"resource": "pods", "subresource": name}) for name in ("status", "scale", "exec")]
    not_judged("subresources", "subresources", *others)
    not_judged("levels", "noObject", event(level="Metadata"), event(None, "update"), event(None, "patch"), event("text"))
    not_judged("patches", "patches", event({"spec": {}}, "patch", level="Request"), event([{"op": "add"}], "patch"),
               event({"spec": {}}, "patch", responseObject={"kind": "Status", "apiVersion": "v1"}, responseStatus={"code": 409}))
    not_judged("kinds", "kinds", event({"kind": "ConfigMap", "apiVersion": "v1"}), event({}),
               event({"kind": 7, "apiVersion": []}))


def audit_once():
    """The stages of one request count once; a list of events is opened."""
    stages = [event(stage="RequestReceived"), event(pod("bad", 1))]
    wrapped = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": stages}
    for name, data in (("log", lines(*stages)), ("list", lines(wrapped))):
        status, report, _ = replay(write("audit.log", data))
        expect(status == 1 and report["summary"]["objects"] == 1, f"{name}: exit {status}: {report['summary']}")
        expect(report["recorded"]["unused"]["stages"] == 1, f"{name}: {report['recorded']}")


def audit_text():
    """What is missing is said in words."""
    path = write("audit.log", lines(event(pod("bad", 1), "update"), event(level="Metadata"), event(None, "delete"),
                                    event(pod("bad", 1), requestURI="/x?dryRun=All")))
    _, out, _ = replay(path, fmt="text")
    for wanted in ("1 update without the old object", "level Request", "of a deletion the audit log has no object", "1 dry run "):
        expect(wanted in out, f"not said: {wanted}\n{out}")


# --- two sets --------------------------------------------------------------------------------------------------------

def changes(path, before, after, *args):
    status, report, err = replay(path, "--against", after, *args, policies=before)
    return status, report, err


def compare():
    deny = policy("strict", [{"gpuLimits": {"require": ["memory"]}}])
    warn = policy("warns", [{"gpuLimits": {"require": ["memory"]}}], "warn")
    audit = policy("audits", [{"gpuLimits": {"require": ["memory"]}}], "audit")
    shm = policy("shm", [{"sharedMemory": {"sizeLimit": "1Gi"}}])
    larger = policy("larger", [{"sharedMemory": {"sizeLimit": "2Gi"}}])
    path = write("both.log", lines(FINE, BAD))
    rows = [("newly denied", LIMITS, deny, 1, {"newlyDenied": 1, "otherDenials": 1}),
            ("newly allowed", deny, LIMITS, 0, {"newlyAllowed": 1, "otherDenials": 1}),
            ("other warnings", shm, warn, 0, {"otherWarnings": 2, "otherPatches": 2}), ("nothing", LIMITS, LIMITS, 0, {}),
            ("audit", shm, audit, 0, {"otherAudits": 2, "otherPatches": 2}),
            ("another patch", shm, larger, 0, {"otherPatches": 2})]
    for name, before, after, wanted, counts in rows:
        status, report, err = changes(path, before, after)
        expect(status == wanted, f"{name}: exit {status}: {err}")
        found = {key: group["requests"] for key, group in report["changes"].items() if group["requests"]}
        # sharedMemory warns where it cannot tell the size; that is not what is looked at here
        if name in ("newly denied", "newly allowed", "nothing", "another patch"):
            expect(found == counts, f"{name}: {found}")
        expect(all(found.get(key) == n for key, n in counts.items()), f"{name}: {found}")
        expect(report["against"]["unchanged"] == (2 if name == "nothing" else 0), f"{name}: {report['against']}")


def details():
    deny = policy("strict", [{"gpuLimits": {"require": ["memory"]}}])
    status, report, _ = changes(write("both.log", lines(FINE, BAD, FINE)), LIMITS, deny)
    group = report["changes"]["newlyDenied"]
    expect(status == 1 and group["requests"] == 2 and group["policies"] == [{"name": "strict", "requests": 2}], group)
    expect(group["namespaces"] == [{"name": "ml", "requests": 2}] and group["kinds"] == [{"name": "Pod", "requests": 2}], group)
    one = group["examples"][0]
    expect((one["line"], one["name"], one["gone"]) == (1, "fine", []) and "memory limit" in one["added"][0], one)
    other = report["changes"]["otherDenials"]["examples"][0]
    expect(any(text.startswith("gpu-limits/") for text in other["gone"]), other)
    expect(all(text.startswith("strict/") for text in other["added"]) and len(other["added"]) == 2, other)
    shm = policy("shm", [{"sharedMemory": {"sizeLimit": "1Gi"}}])
    _, report, _ = changes(write("one.log", lines(FINE)), LIMITS, shm)
    one = report["changes"]["otherPatches"]["examples"][0]
    expect("patchBefore" not in one and one["patchAfter"][0]["path"] == "/spec/volumes", one)
    _, out, _ = replay(write("both.log", lines(FINE, BAD)), "--against", deny, fmt="text")
    expect("newly denied: 1 request\n    policies: strict 1\n" in out and "newly allowed: 0 requests\n" in out, out)
    expect("both.log:1: CREATE Pod ml/fine by alice\n        + strict/gpuLimits: " in out, out)
    expect("        - gpu-limits/gpuLimits: " in out and out.endswith("1 file, 2 requests: 0 skipped, 0 errors\n"), out)


def exits():
    deny = policy("strict", [{"gpuLimits": {"require": ["memory"]}}])
    warn = policy("warns", [{"gpuLimits": {"require": ["memory"]}}], "warn")
    fine, bad = write("fine.log", lines(FINE)), write("bad.log", lines(BAD))
    nothing, objects = write("nothing.log", b""), write("objects.log", lines(pod()))
    rows = [([fine], LIMITS, 0), ([bad], LIMITS, 1), ([fine], warn, 0), ([fine, "--warn-exit-code", "7"], warn, 7),
            ([bad, "--against", LIMITS], LIMITS, 0), ([fine, "--against", deny], LIMITS, 1),
            ([fine, "--against", LIMITS], deny, 0),
            ([fine, "--against", warn, "--warn-exit-code", "7"], LIMITS, 7), ([nothing], LIMITS, 3), ([objects], LIMITS, 3),
            ([nothing, "--allow-empty"], LIMITS, 0), ([bad, "/not/there"], LIMITS, 3), ([], LIMITS, 2), ([bad], "/not/there", 2),
            ([bad, "--against", "/not/there"], LIMITS, 2), ([bad, "--format", "xml"], LIMITS, 2),
            ([bad, "--format", f"text={WORK.name}/no/such"], LIMITS, 2), ([bad, "--examples", "1000"], LIMITS, 2)]
    for args, policies, wanted in rows:
        status, out, err = harness.run(["replay", "--policies", policies, *args])
        expect(status == wanted, f"{args}: exit {status}, not {wanted}: {out}{err}")


def two_reports():
    path = write("bad.log", lines(BAD))
    status, out, err = harness.run(["replay", "--policies", LIMITS, "--format", "text", "--format", f"json={WORK.name}/r.json",
                                    path])
    with open(f"{WORK.name}/r.json", encoding="utf-8") as file:
        expect(status == 1 and json.load(file)["summary"]["denied"] == 1 and "denied: 1 request" in out, out + err)
    status, out, _ = harness.run(["replay", "--policies", LIMITS, path], env={"MLGATE_FORMAT": "json", "MLGATE_AGAINST": STRICT})
    expect(status == 0 and "changes" in json.loads(out), f"by variables: exit {status}: {out}")


def hostile_names():
    """Names that somebody made up are neither trusted nor kept without limit."""
    records = [review(pod("bad", 1, namespace=f"n{i}")) for i in range(2200)]
    records.append(review(pod("\x1b[31m\u202e" + "x" * 5000, 1, namespace="last")))
    status, report, _ = replay("--examples", "100", write("names.log", lines(*records)))
    group = report["findings"]["denials"]
    expect(status == 1 and group["requests"] == 2201, f"exit {status}")
    expect(len(group["namespaces"]) == 2048 and group["others"]["namespaces"] == 153, group["others"])
    expect(len(group["examples"]) == 100, len(group["examples"]))
    status, out, _ = replay(write("evil.log", lines(records[-1])), fmt="text")
    expect("\x1b" not in out and "\u202e" not in out and len(out) < 3000, out[:3000])


def memory():
    """A long log takes no more memory than a short one."""
    obj = pod("bad", 1)
    obj["metadata"]["annotations"] = {"x": "y" * 20000}
    row = lines(event(obj), review(obj))
    peaks = []
    for count in (20, 2500):
        with open(f"{WORK.name}/out", "wb") as out, subprocess.Popen(
                [harness.MLGATE, "replay", "--policies", LIMITS, "--against", STRICT, "--format", "json", "-"],
                stdin=subprocess.PIPE, stdout=out, env=harness.environment()) as process:
            for _ in range(count):
                process.stdin.write(row)
            process.stdin.close()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        with open(f"{WORK.name}/out", encoding="utf-8") as file:
            report = json.load(file)
        expect(report["summary"]["objects"] == 2 * count, report["summary"])
        peaks.append(usage.ru_maxrss)
    expect(peaks[1] < peaks[0] * 1.25 + 4096, f"{peaks} KiB, for 0.8 and {2500 * len(row) >> 20} MiB")


def recorded():
    """The reviews of a real API server, between the baseline and the strict policies."""
    folder = harness.shared("reviews")
    if folder is None:
        TAP.skip("recorded reviews, baseline to strict", f"no folder {harness.SHARED}/reviews")
        return

    def both():
        status, report, err = replay(folder, "--against", BASELINE, "--against", STRICT, policies=BASELINE)
        expect(status == 1 and report["errors"] == [] and err == "", f"exit {status}: {report['errors']} {err}")
        group = report["changes"]["newlyDenied"]
        expect(group["requests"] > 20, group["requests"])
        expect([one["name"] for one in group["policies"]] == ["gpu-companions-strict"], group["policies"])
        expect(sum(one["requests"] for one in group["kinds"]) == group["requests"], "kinds do not add up")
        expect(report["changes"]["newlyAllowed"]["requests"] == 0, report["changes"]["newlyAllowed"])
        expect(report["against"]["denied"] == report["summary"]["denied"] + group["requests"], report["against"])
        status, out, err = harness.run(["check", "--policies", BASELINE, "--format", "json", folder])
        for key in ("denied", "warned", "audited", "mutated"):
            expect(json.loads(out)["summary"][key] == report["summary"][key], f"{key}: check says otherwise")

    TAP.run("recorded reviews, baseline to strict", both)


def main():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name, data, places in forms():
        TAP.run(f"form: {name}", form, name, data, places)
    for name, function in [("standard input", standard_input), ("a directory", directory), ("spoiled records", broken),
                           ("errors without number", many_errors), ("reviews that are none", wrong_reviews),
                           ("events of the audit log", audit_events), ("what the audit log lacks", audit_gaps),
                           ("stages of one request", audit_once), ("what is missing, in words", audit_text),
                           ("two sets", compare), ("what is told of a change", details), ("exit statuses", exits),
                           ("two reports", two_reports), ("hostile names", hostile_names)]:
        TAP.run(name, function)
    if harness.SLOW == 1:
        TAP.run("memory", memory)
    recorded()
    TAP.finish()


if __name__ == "__main__":
    try:
        main()
    finally:
        WORK.cleanup()
