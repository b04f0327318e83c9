#!/usr/bin/python3
"""The live context: a serving mlgate and an API server that changes, forgets, breaks off, lies, refuses and comes back."""
import json
import os
import re
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from fake_api import Api  # noqa: E402
from harness import expect  # noqa: E402

SOON = 1.0  # a change is seen by the reviews that begin so many seconds later
SLOW = 2 * harness.SLOW if harness.SLOW > 1 else 1
NAMESPACES, CLASSES = "/api/v1/namespaces", "/apis/scheduling.k8s.io/v1/priorityclasses"

SELECTED = """apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: selected}
spec:
  onMissingContext: MISSING
  match: {kinds: [Pod], namespaceSelector: {matchLabels: {team: ml}}}
  rules:
  - priority: {allowed: [none]}
"""
PREEMPTION = """apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: preemption}
spec:
  match: {kinds: [Pod]}
  rules:
  - priority: {preemptionPolicy: Never}
"""
DEVICES = """apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: devices}
spec:
  match: {kinds: [Pod], accelerators: true}
  rules:
  - priority: {allowed: [none]}
"""


class Gate(harness.Server):
    """mlgate serve beside an API server, with a policy folder and a token file of its own."""

    def __init__(self, api, folder, policies=(SELECTED,), missing="warn", contexts=(), extra=()):
        self.api, self.policy_folder, self.token_file = api, f"{folder}/policies", f"{folder}/token"
        os.makedirs(self.policy_folder, exist_ok=True)
        self.policy(*policies, missing=missing)
        self.write_token(api.token)
        super().__init__([self.policy_folder], contexts, extra=[
            "--live-context", "--kube-api", f"https://127.0.0.1:{api.port}", "--kube-ca-file", f"{harness.certificates()}/ca.crt",
            "--kube-token-file", self.token_file, *extra])

    def policy(self, *policies, missing="warn"):
        with open(f"{self.policy_folder}/.new", "w", encoding="utf-8") as out:
            out.write("---\n".join(policies).replace("MISSING", missing))
        os.replace(f"{self.policy_folder}/.new", f"{self.policy_folder}/all.yaml")

    def write_token(self, token):
        with open(f"{self.token_file}.new", "w", encoding="utf-8") as out:
            out.write(token + "\n")
        os.replace(f"{self.token_file}.new", self.token_file)

    def judge(self, namespace="ns-1", class_name="any", spec=None):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": namespace},
               "spec": {"priorityClassName": class_name, "containers": [{"name": "main", "image": "a.example/b:1"}],
                        **(spec or {})}}
        return harness.answer(self, "/validate", harness.review(pod))

    def denied(self, *args, **more):
        return not self.judge(*args, **more)["allowed"]

    def verbose(self):
        return self.get("/readyz?verbose")[1].decode()

    def metric(self, name):
        found = re.search(rf"^{re.escape(name)} (.*)$", self.get("/metrics")[1].decode(), re.M)
        return float(found.group(1)) if found else None

    def errors(self, kind, reason):
        return self.metric(f'mlgate_context_errors_total{{kind="{kind}",reason="{reason}"}}') or 0

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def until(what, check, seconds=SOON):
    """How long it took."""
    begin = time.monotonic()
    while not check():
        expect(time.monotonic() - begin < seconds * SLOW, f"not within {seconds} s: {what}")
        time.sleep(0.01)
    return time.monotonic() - begin


def label(api, name, team):
    api.put("Namespace", name, {"metadata": {"labels": {"team": team}}, "status": {"phase": "Active"}})


def class_of(api, name, policy):
    api.put("PriorityClass", name, {"value": 5, "preemptionPolicy": policy})


def pages_and_changes(folder):
    with Api() as api:
        for i in range(1203):
            label(api, f"ns-{i}", "ml" if i == 1202 else "web")
        class_of(api, "train", "Never")
        with Gate(api, folder, (SELECTED, PREEMPTION)) as gate:
            pages = [query for _, query in api.lists(NAMESPACES)]
            expect([q.get("continue") for q in pages] == [None, "500", "1000"] and pages[0]["limit"] == "500", f"pages {pages}")
            expect(gate.denied("ns-1202") and not gate.denied("ns-1"), "the last page counts, the first does not match")
            label(api, "ns-1", "ml")
            until("a label that came", lambda: gate.denied("ns-1"))
            label(api, "ns-1", "web")
            until("a label that went", lambda: not gate.denied("ns-1"))
            label(api, "new", "ml")
            until("a new namespace", lambda: gate.denied("new"))
            api.delete("Namespace", "new")
            until("a namespace that is gone", lambda: not gate.denied("new"))
            expect(not gate.denied("ns-1", "train"), "denied although the class never preempts")
            api.delete("PriorityClass", "train")
            class_of(api, "train", "PreemptLowerPriority")
            until("a class made anew", lambda: gate.denied("ns-1", "train"))
            expect("context Namespace synced, 1203 objects, age 0s\n" in gate.verbose(), gate.verbose())
            expect(gate.metric('mlgate_context_objects{kind="Namespace"}') == 1203, "mlgate_context_objects")
            expect(gate.metric('mlgate_context_synced{kind="PriorityClass"}') == 1, "mlgate_context_synced")
            event = gate.metric('mlgate_context_last_event_timestamp_seconds{kind="Namespace"}')
            expect(abs(event - time.time()) < 30, f"last event {event}")
            expect(not api.lists("/apis/resource.k8s.io/v1/deviceclasses"), "asked for a kind that no policy needs")
            expect("generation 1\n" in gate.verbose(), "a change of context counts as a reload")
            seen = len(api.lists(NAMESPACES))
            for _ in range(20):
                api.put("Namespace", "ns-5", {"metadata": {"labels": {"team": "ml"}}, "status": {"phase": str(_)}})
            until("of many changes of the status", lambda: gate.denied("ns-5"))
            expect(len(api.lists(NAMESPACES)) == seen, "listed again for no reason")


def resume(folder):
    with Api() as api:
        label(api, "ns-1", "ml")
        with Gate(api, folder) as gate:
            for _ in range(5):
                api.put("PriorityClass", "other", {"value": 1})  # moves the version; only a bookmark tells
            version = str(api.version)
            until("a bookmark", lambda: len(api.watches(NAMESPACES)) > 0 and time.sleep(1.2) is None, 3)
            before = len(api.lists(NAMESPACES))
            api.drop()
            until("a second watch", lambda: len(api.watches(NAMESPACES)) > 1, 3)
            expect(api.watches(NAMESPACES)[-1][1]["resourceVersion"] == version, f"{api.watches(NAMESPACES)} not from {version}")
            expect(api.watches(NAMESPACES)[-1][1]["allowWatchBookmarks"] == "true", "bookmarks")
            expect(300 <= int(api.watches(NAMESPACES)[-1][1]["timeoutSeconds"]) < 600, "timeoutSeconds")
            expect(len(api.lists(NAMESPACES)) == before, "listed again although the version was not too old")
            label(api, "ns-1", "web")
            until("a change after it", lambda: not gate.denied("ns-1"))
            api.compact()
            label(api, "ns-1", "ml")
            api.drop()
            until("listed again after 410", lambda: gate.denied("ns-1"), 3)
            expect(gate.errors("Namespace", "gone") == 1 and len(api.lists(NAMESPACES)) == before + 1, "410 is no relist")


def stream_fault(data, wait=0.0):
    """A watch that sends this and breaks off."""
    def fault(connection, _query):
        connection.begin_stream()
        for piece in data if isinstance(data, (list, tuple)) else [data]:
            connection.chunk(piece)
            time.sleep(wait)
        connection.send(b"0\r\n\r\n")
        return False
    return fault


GONE = json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}).encode() + b"\n"
HALF = json.dumps({"type": "ADDED", "object": {"metadata": {"name": "half", "resourceVersion": "7"}}}).encode()[:40]


def bad_streams(folder):
    """Whatever a watch brings: what is known stays, and the next change is seen."""
    with Api() as api:
        label(api, "ns-1", "ml")
        with Gate(api, folder) as gate:
            cases = [("gone", "gone", stream_fault(GONE)), ("half a line", "connection", stream_fault(HALF)),
                     ("no end", "limit", stream_fault([b"x" * 65536] * 70)),
                     ("a drip", "malformed", stream_fault([b"{", b'"', b"t", b"\n"], 0.3)),
                     ("garbage", "malformed", stream_fault(b"\x00\xff<html>\n"))]
            for name, reason, fault in cases:
                count, asked = gate.errors("Namespace", reason), len(api.watches(NAMESPACES))
                api.faults[("Namespace", "watch")] = [fault]
                api.drop()
                until(f"{name}: {reason}", lambda: gate.errors("Namespace", reason) > count, 40)
                expect(gate.denied("ns-1"), f"{name}: what was known is forgotten")
                until(f"{name}: a watch that is good", lambda: len(api.watches(NAMESPACES)) >= asked + 2, 40)
                label(api, "ns-1", "web")
                until(f"{name}: the next change", lambda: not gate.denied("ns-1"), 3)
                label(api, "ns-1", "ml")
                until(f"{name}: and the next", lambda: gate.denied("ns-1"))


def bad_lists(folder):
    """Two of many; the others are in the unit test."""
    replies = [b"{", b'{"metadata":{"resourceVersion":"1"},"items":[5]}']
    with Api() as api:
        label(api, "ns-1", "ml")
        api.faults[("Namespace", "list")] = [lambda c, q, text=text: c.reply(200, text) for text in replies]
        with Gate(api, folder, extra=["--context-wait", "30"]) as gate:
            expect(gate.denied("ns-1"), "ready before the list was good")
            for text in replies:
                api.faults[("Namespace", "list")] = [lambda c, q, text=text: c.reply(200, text)]
                lists = len(api.lists(NAMESPACES))
                api.compact()
                label(api, "ns-1", "ml")
                api.drop()
                until(f"{text[:60]}: listed twice", lambda: len(api.lists(NAMESPACES)) >= lists + 2, 40)
                expect(gate.denied("ns-1"), f"{text[:60]}: what was known is forgotten")
                until("watched again", lambda: api.watches(NAMESPACES)[-1][0] > api.lists(NAMESPACES)[-1][0], 40)
                time.sleep(0.6)  # a bookmark, after which failures do not count any more
            expect(gate.metric('mlgate_context_synced{kind="Namespace"}') == 1, gate.verbose())


def token(folder):
    with Api() as api:
        label(api, "ns-1", "ml")
        with Gate(api, folder) as gate:
            api.token = "second-token"
            api.drop()
            until("401 is counted", lambda: gate.errors("Namespace", "unauthorized") > 0, 3)
            expect(gate.denied("ns-1"), "what was known is forgotten")
            gate.write_token(api.token)
            label(api, "ns-1", "web")
            until("the new token", lambda: not gate.denied("ns-1"), 5)
            os.unlink(gate.token_file)
            api.drop()
            until("no token", lambda: gate.errors("Namespace", "token") > 0, 3)
            gate.write_token(api.token)
            label(api, "ns-1", "ml")
            until("a token again", lambda: gate.denied("ns-1"), 5)
            log = gate.logged()
            expect("first-token" not in log and "second-token" not in log, f"a token in the log: {log}")


def refusals(folder):
    with Api() as api:
        label(api, "ns-1", "ml")
        api.lasting = True
        api.faults[("PriorityClass", "list")] = [lambda c, q: c.refuse(403, "priorityclasses is forbidden: no")]
        with Gate(api, folder, (SELECTED, PREEMPTION), extra=["--context-wait", "1"]) as gate:
            expect("context PriorityClass not synced, 0 objects (forbidden)" in gate.verbose(), gate.verbose())
            line = next(json.loads(text) for text in gate.logged().splitlines() if "forbidden" in text)
            expect((line["verb"], line["resource"], line["error"]) == ("list", "priorityclasses",
                                                                       "HTTP 403: priorityclasses is forbidden: no"), line)
            expect(gate.logged().count("is forbidden") == 1, "told more than once")
            warnings = gate.judge("ns-2").get("warnings", [])
            expect(warnings == ["preemption/context: judged without knowing PriorityClass of the cluster"], f"{warnings}")
            class_of(api, "train", "PreemptLowerPriority")
            api.faults.clear()
            until("allowed at last", lambda: gate.denied("ns-2", "train"), 35)
            expect("warnings" not in gate.judge("ns-2"), "still warns")
            api.faults[("Namespace", "watch")] = [lambda c, q: c.refuse(429, "slow down", "Retry-After: 2\r\n")]
            api.drop()
            until("429", lambda: gate.errors("Namespace", "throttled") > 0, 5)
            time.sleep(2.5)
            times = [when for when, _ in api.watches(NAMESPACES)][-2:]
            expect(times[1] - times[0] >= 2, f"came back after {times[1] - times[0]} s")
            api.faults[("Namespace", "watch")] = [lambda c, q: c.refuse(500, "etcd")]
            until("500", lambda: gate.errors("Namespace", "server") >= 3, 10)
            api.faults.clear()
            label(api, "ns-1", "web")
            until("well again", lambda: not gate.denied("ns-1"), 15)


CLAIM = {"resourceClaims": [{"name": "c", "resourceClaimTemplateName": "t"}],
         "containers": [{"name": "main", "image": "a.example/b:1", "resources": {"claims": [{"name": "c"}]}}]}


def versions(folder):
    """An API of an earlier version; one that is not served; and one that comes later."""
    with Api() as api:
        api.put("ResourceClaimTemplate", "t", {"spec": {"spec": {"devices": {"requests": [
            {"name": "r", "deviceClassName": "fast"}]}}}}, "ns-1")
        api.put("DeviceClass", "fast", {"spec": {"extendedResourceName": "nvidia.com/gpu"}})
        with Gate(api, folder, (DEVICES,)) as gate:
            expect(gate.denied("ns-1", spec=CLAIM) and not gate.denied("ns-1"), f"claims: {gate.verbose()}")
        api.absent = {"DeviceClass", "ResourceClaimTemplate"}
        with Gate(api, folder, (DEVICES,), extra=["--context-stale", "2"]) as gate:
            expect("context DeviceClass not served, 0 objects" in gate.verbose(), gate.verbose())
            time.sleep(2.5)
            answer = gate.judge("ns-1", spec=CLAIM)
            expect(answer["allowed"] and "warnings" not in answer, f"what is not served is missing: {answer}")
            api.absent = set()
            until("served at last", lambda: gate.denied("ns-1", spec=CLAIM), 4)


def restarts(folder):
    """Twenty times away and back under load: no review fails, every change is seen, nothing leaks."""
    with Api() as api:
        label(api, "ns-1", "ml")
        class_of(api, "train", "Never")
        with Gate(api, folder, (SELECTED, PREEMPTION)) as gate:
            done, failures, count = threading.Event(), [], [0]

            def ask():
                client = harness.Server(gate.policies)
                client.port, client.plain_port = gate.port, gate.plain_port
                client.judge = Gate.judge.__get__(client)
                while not done.is_set():
                    try:
                        expect(not client.judge("always")["allowed"], "not denied")
                        count[0] += 1
                    except Exception as wrong:  # pylint: disable=broad-except
                        failures.append(repr(wrong))
                    time.sleep(0.002)
                client.close()

            label(api, "always", "ml")
            until("the first", lambda: gate.denied("always"))
            gate.close()
            time.sleep(0.3)
            before = gate.fds()
            asking = threading.Thread(target=ask)
            asking.start()
            try:
                for i in range(20):
                    api.stop()
                    time.sleep(0.05 if i % 3 else 0.5)
                    if i % 5 == 4:
                        api.compact()
                    label(api, "ns-1", "web" if i % 2 else "ml")
                    api.start()
                    until(f"restart {i}", lambda i=i: gate.denied("ns-1") == (i % 2 == 0), 10)
            finally:
                done.set()
                asking.join()
            expect(not failures and count[0] > 100, f"{len(failures)} of {count[0]} failed: {failures[:3]}")
            gate.close()
            until("descriptors come back", lambda: gate.fds() <= before, 5)
            expect(len(api.connections) <= 4, f"{len(api.connections)} connections")
            harness.Tap.note(f"{count[0]} reviews, {before} descriptors before, {gate.fds()} after")


def away(folder):
    """No API server at all: ready after a while, and each policy does what it says."""
    api = Api()
    with Gate(api, folder, extra=["--context-wait", "1"]) as gate:
        expect(gate.get("/readyz")[0] == 200 and "not synced" in gate.verbose(), gate.verbose())
        answer = gate.judge()
        expect(answer["allowed"] and answer["warnings"] == ["selected/context: judged without knowing Namespace of the cluster"],
               f"{answer}")
        gate.policy(SELECTED, missing="deny")
        until("deny", gate.denied, 5)
        message = gate.judge()["status"]["message"]
        expect("selected/context: " in message and "without Namespace" in message, message)
        gate.policy(SELECTED, missing="ignore")
        until("ignore", lambda: not gate.denied() and "warnings" not in gate.judge(), 5)
        gate.policy(SELECTED, missing="deny")
        until("deny again", gate.denied, 5)
        label(api, "ns-1", "web")
        with api:
            until("it came", lambda: not gate.denied(), 35)


def not_ready_at_once(folder):
    """Before the first list, and for a bounded time, nobody sends reviews here."""
    with Api() as api:
        hold = threading.Event()
        api.faults[("Namespace", "list")] = [lambda c, q: hold.wait(10) and c.list("Namespace", q)]
        gate = Gate(api, folder, extra=["--context-wait", "20"])
        gate.wait_ready = lambda: None
        with gate:
            until("an answer", lambda: answers(gate, 503), 5)
            expect("the context has not been listed yet" in gate.verbose(), gate.verbose())
            hold.set()
            until("ready", lambda: answers(gate, 200), 5)
        for name in ("--kube-api=https://a", "--kube-token-file=x"):
            status, _, error = harness.run(["serve", "--tls-cert", "a", "--tls-key", "b", name])
            expect(status == 2 and "need --live-context" in error, f"{name}: {status} {error}")


def answers(gate, status):
    try:
        return gate.get("/readyz")[0] == status
    except OSError:
        return False


def stale(folder):
    with Api() as api:
        label(api, "ns-1", "ml")
        with Gate(api, folder, extra=["--context-stale", "1"]) as gate:
            time.sleep(2.5)
            expect("warnings" not in gate.judge(), "a quiet watch is stale")
            api.stop()
            until("stale", lambda: "warnings" in gate.judge(), 4)
            expect(gate.denied("ns-1") and "context Namespace stale, 1 objects" in gate.verbose(), gate.verbose())
            expect(gate.metric('mlgate_context_synced{kind="Namespace"}') == 0, "synced")
            expect(gate.get("/readyz")[0] == 200, "not ready for the API server's sake")
            api.start()
            until("known again", lambda: "warnings" not in gate.judge(), 10)


def other_policies(folder):
    """A reload that needs other kinds; and of an object in a file and in the cluster the file's holds."""
    with Api() as api, tempfile.TemporaryDirectory() as files:
        label(api, "ns-1", "ml")
        label(api, "ns-2", "ml")
        class_of(api, "train", "PreemptLowerPriority")
        with open(f"{files}/ns.yaml", "w", encoding="utf-8") as out:
            out.write("apiVersion: v1\nkind: Namespace\nmetadata: {name: ns-2, labels: {team: web}}\n")
        with Gate(api, folder, contexts=[files]) as gate:
            expect(gate.denied("ns-1") and not gate.denied("ns-2"), "the file does not hold")
            expect(not api.lists(CLASSES), "classes are listed although nobody needs them")
            gate.policy(SELECTED, PREEMPTION)
            until("the class", lambda: gate.denied("ns-3", "train"), 5)
            gate.policy(PREEMPTION)
            until("namespaces are forgotten", lambda: "Namespace" not in gate.verbose(), 5)
            connections = len(api.connections)
            until("and not watched", lambda: len(api.connections) <= connections, 5)
            gate.policy(SELECTED, PREEMPTION)
            until("namespaces again", lambda: gate.denied("ns-1"), 5)


def large(folder):
    """Ten thousand namespaces: one change is seen soon, a burst of thousands costs little."""
    with Api() as api:
        for i in range(10000):
            api.put("Namespace", f"ns-{i}", {"metadata": {"labels": {"team": "web", "n": str(i)}},
                                             "spec": {"finalizers": ["kubernetes"]}})
        api.events.clear()
        with Gate(api, folder) as gate:
            def cpu():
                return gate.metric("process_cpu_seconds_total")
            label(api, "ns-1", "ml")
            seen = until("one change", lambda: gate.denied("ns-1"))
            begin = cpu()
            for i in range(2000):
                label(api, f"ns-{2000 + i}", "ml")
            until("the last of a burst", lambda: gate.denied("ns-3999"), 3)
            burst = cpu() - begin
            begin = cpu()
            time.sleep(2)
            idle = cpu() - begin
            resident = gate.metric("process_resident_memory_bytes") / 1048576
            harness.Tap.note(f"one change after {seen * 1000:.0f} ms; 2000 changes {burst * 1000:.0f} ms of CPU; "
                             f"two idle seconds {idle * 1000:.0f} ms; resident {resident:.0f} MiB")
            expect(burst < 1 * SLOW and idle < 0.1 * SLOW, f"burst {burst} s, idle {idle} s of CPU")


def leaves(folder):
    with Api() as api:
        label(api, "ns-1", "ml")
        with Gate(api, folder) as gate:
            begin = time.monotonic()
            expect(gate.stop() == 0 and time.monotonic() - begin < 2 * SLOW, f"{time.monotonic() - begin} s")


def exceptions(folder):
    """Counted by how long they last."""
    dates = [time.strftime("%Y-%m-%d", time.gmtime(time.time() + days * 86400)) for days in (-3, -2, 3, 40, 50, 60)]
    text = "".join(f"---\napiVersion: mlgate.dev/v1\nkind: Exception\nmetadata: {{name: e{i}}}\nspec: {{policies: [selected], "
                   f"owner: a, reason: b, match: {{namespaces: [x]}}, expires: {date}}}\n" for i, date in enumerate(dates))
    with Api() as api, Gate(api, folder, (SELECTED + text,)) as gate:
        got = [gate.metric(f'mlgate_exceptions{{state="{state}"}}') for state in ("active", "expiring", "expired")]
        expect(got == [3, 1, 2], f"{got}")
        expect("exceptions 6\nexceptions expiring 1\nexceptions expired 2\n" in gate.verbose(), gate.verbose())


TESTS = [pages_and_changes, resume, bad_streams, bad_lists, token, refusals, versions, restarts, away, not_ready_at_once, stale,
         other_policies, large, leaves, exceptions]


def main():
    tap = harness.Tap()
    for test in TESTS:
        if len(sys.argv) > 1 and test.__name__ not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory(prefix="mlgate-live-") as folder:
            tap.run(f"live context: {test.__name__.replace('_', ' ')}", test, folder)
    tap.finish()


if __name__ == "__main__":
    main()
