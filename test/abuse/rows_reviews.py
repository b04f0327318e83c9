"""Rows 18 to 21, 29 and 30: what stands in a review."""
import json
import re
import time

from scene import BASELINE, MIB, POD, Gate, Talk, dial, expect, harness, is_status, post, review_of, say

SIZE = 3 * MIB
# Of CPU. 10 are due, and even CPU time grows where others take turns; many keys, each looked up among those before it, take more.
LIMIT_MS, LIMIT_KEYS_MS = 20, 40
ESCAPE = "\x1b[31mred\x1b[0m"


def ask(connection, body, path="/validate?timeout=10s"):
    """Over a kept connection: (status, body, milliseconds)."""
    began = time.monotonic()
    connection.settimeout(10)
    connection.sendall(post(path, body))
    talk = Talk()
    while not talk.statuses or len(talk.bodies[-1]) < expected(talk.raw):
        part = connection.recv(65536)
        expect(part, f"ended: {talk.raw[:200]!r}")
        talk.raw += part
        talk.statuses, talk.bodies = [], []
        talk.parse()
    return talk.statuses[0], talk.bodies[0], (time.monotonic() - began) * 1e3


def expected(raw):
    return int(re.search(rb"\r\nContent-Length: (\d+)", raw).group(1))


def hostile():
    """Each 3 MiB or as deep as it says; none is a review."""
    keys = ",".join(f'"{i:x}":0' for i in range(SIZE // 9))
    rows = [("many keys", f"{{{keys}}}".encode()), ("many small objects", b"[" + b"{}," * (SIZE // 3) + b"{}]"),
            ("many small members", b"[" + b'{"a":{}},' * (SIZE // 9) + b"1]"),
            ("many lists", b"[" + b"[]," * (SIZE // 3) + b"1]"), ("many strings", b"[" + b'"",' * (SIZE // 3) + b"1]"),
            ("many numbers", b"[" + b"1," * (SIZE // 2) + b"1]"), ("one string", b'{"a":"' + b"x" * SIZE + b'"}'),
            ("one number", b'{"a":' + b"9" * SIZE + b"}"),
            ("escapes", b'{"a":"' + b"\\u0041" * (SIZE // 6) + b'"}'), ("blanks", b" " * SIZE + b"{}"),
            ("one key", b'{"' + b"k" * SIZE + b'":1}')]
    return rows + [(f"depth {depth}", b"[" * depth + b"]" * depth) for depth in (129, 1000, 100000, 1000000)] + \
        [(f"objects of depth {depth}", b'{"a":' * depth + b"1" + b"}" * depth) for depth in (129, 100000)]


def nested(body):
    """The same where an object is to be."""
    start, end = json.dumps(harness.review({"kind": "Pod", "apiVersion": "v1"})).encode().split(b'"object": {', 1)
    return start + b'"object": {"x": ' + body + b"," + end


def cost(gate, body, status=(200, 400, 413)):
    """The CPU in ms that a server without other work spends on it, the least of three."""
    least = 1e9
    with dial(gate.port) as connection:
        ask(connection, review_of(POD))
        for _ in range(3):
            cpu = gate.cpu()
            code, _, _ = ask(connection, body)
            least = min(least, (gate.cpu() - cpu) * 1e3)
            expect(code in status, f"HTTP {code}")
    return least


def costs(scene, bodies, limit, policies):
    """The dearest of (name, body), beside one of the same size that is refused for its first byte."""
    worst = ("", 0)
    with Gate(policies) as gate:
        base = {}
        for name, body in bodies:
            base[len(body)] = base.get(len(body)) or cost(gate, b"x" * len(body))
            worst = max(worst, (name, cost(gate, body) - base[len(body)]), key=lambda pair: pair[1])
    expect(scene.sanitized or worst[1] <= limit, f"{worst[0]}: {worst[1]:.1f} ms of CPU")
    return f"{worst[0]}: {worst[1]:.1f} ms of CPU"


def hostile_json(scene):
    """18"""
    gate, told = scene.target, {}
    for name, body in hostile():
        for form, text in (("", body), (" in an object", nested(body))):
            with dial(gate.port) as connection:
                status, answer, _ = ask(connection, text)
            expect(status in (200, 400, 413), f"{name}{form}: HTTP {status}")
            expect(status == 200 or is_status(answer, status), f"{name}{form}: {answer[:300]!r}")
            expect(form or status != 200, f"{name}: a review")
            told[status] = told.get(status, 0) + 1
            time.sleep(0.05)
    dearest = "" if scene.gentle else "; 3 MiB: " + costs(scene, hostile()[:1], LIMIT_KEYS_MS, [BASELINE]) + \
        ", the dearest other " + costs(scene, hostile()[1:11], LIMIT_MS, [BASELINE])
    peak = gate.peak()
    expect(scene.sanitized or peak <= 96 * MIB, f"{peak / MIB:.1f} MiB")
    return f"{told}{dearest}"


def malformed(scene):
    """19"""
    good = review_of(POD, user="nobody-in-particular")
    rows = [("a key twice", good.replace(b'"dryRun"', b'"dryRun": true, "dryRun"')),
            ("a key twice, escaped", good.replace(b'"dryRun"', b'"\\u0064ryRun": true, "dryRun"')),
            ("bad UTF-8", good.replace(b"registry", b"regi\xffry")),
            ("overlong UTF-8", good.replace(b"registry", b"regi\xc0\xafry")),
            ("a lone surrogate", good.replace(b"registry", b"regi\\ud800ry")), ("bytes behind", good + b"x"),
            ("another value behind", good + b"{}"), ("a byte order mark", b"\xef\xbb\xbf" + good), ("cut short", good[:-5]),
            ("a control", good.replace(b"registry", b"regi\x01ry"))]
    for name, body in rows:
        at = scene.target.log_size()
        talk = say(scene.target.port, post(body=body), enough=1)
        expect(talk.statuses == [400] and is_status(talk.bodies[0], 400), f"{name}: {talk.raw[:400]!r}")
        message = json.loads(talk.bodies[0])["message"]
        lines = scene.target.whole_log(at)
        expect(re.search(r"\d", message), f"{name}: no place is told: {message}")
        expect(b"nobody-in-particular" not in lines + talk.bodies[0] and b"regi" not in lines + talk.bodies[0],
               f"{name}: told with its content: {lines[-400:]!r} {message}")
        time.sleep(0.01)
    return f"{len(rows)} refused, with the place and without the content"


def numbers(scene):
    """20"""
    texts = ["9223372036854775808", "18446744073709551615", "1e400", "-1e-400", "0.1", "-0", "1E+2",
             "3.14159265358979323846264338327950288", "1" + "0" * 1000]
    for text in texts:
        body = review_of({**POD, "x": "NUMBER", "s": "a\0b"}).replace(b'"NUMBER"', text.encode())
        for path in ("/mutate", "/validate"):
            talk = say(scene.target.port, post(path, body), enough=1)
            expect(talk.statuses == [200], f"{path} {text[:40]}: {talk.raw[:300]!r}")
            answer = json.loads(talk.bodies[0])["response"]
            expect(answer["allowed"] and "patch" not in answer, f"{path} {text[:40]}: {answer}")
        time.sleep(0.01)
    return f"{len(texts)} numbers and a NUL are no errors (their text is what the golden cases compare)"


REGEX = """apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: regex}
spec:
  action: enforce
  rules:
  - forbid: {path: "spec.containers[].image", pattern: "/PATTERN/"}
"""


IMAGES = ("a" * 60 + "!", "a" * 4000 + "!", "ab" * 30000 + "c", "x" * 200000, "a" * 200000 + "!")


def patterns(scene):
    """21"""
    said = {}
    bodies = [(image[:6], review_of({**POD, "spec": {"containers": [{"name": "main", "image": image}]}})) for image in IMAGES]
    for name, body in bodies:
        with dial(scene.target.port) as connection:
            status, answer, _ = ask(connection, body)
        expect(status == 200, f"{name}: {status} {answer[:300]!r}")
        response = json.loads(answer)["response"]
        said[response["allowed"]] = said.get(response["allowed"], 0) + 1
        time.sleep(0.02)
    return f"allowed {said}; the dearest {costs(scene, bodies, 10, scene.target.policies)}"


def logs(scene):
    """29"""
    gate, at = scene.target, scene.target.log_size()
    secret = "hunter2-" + "s" * 24
    for name in ("a\nb", "a\r\n{\"level\":\"error\"}", ESCAPE, "\u202eevil", "n" * 100000, "a\0b", "\u2028"):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": name, "annotations": {"a": secret}},
               "spec": {"containers": [{"name": name, "image": f"registry.example/{name}",
                                        "env": [{"name": "TOKEN", "value": secret}],
                                        "resources": {"requests": {"nvidia.com/gpu": "1"}}}]}}
        for path in ("/mutate", "/validate"):
            talk = say(gate.port, post(path, review_of(pod, user=name, groups=[name])), enough=1)
            expect(talk.statuses and talk.statuses[0] in (200, 400), f"{name[:20]!r}: {talk.raw[:200]!r}")
        say(gate.port, post("/nope" + "".join(c for c in name[:3] if " " < c).encode().decode("latin-1")))
        time.sleep(0.01)
    text = gate.whole_log(at)
    lines = [line for line in text.split(b"\n") if line]
    expect(any(b"alice" not in line and b'"denied"' in line for line in lines), "no denial of ours is in the log")
    for line in lines:
        expect(isinstance(json.loads(line), dict), f"not JSON: {line[:200]!r}")
        expect(len(line) <= 8192, f"a line of {len(line)} bytes: {line[:200]!r}")
        expect(not re.search(rb"[\x00-\x1f\x7f]", line), f"a control: {line[:200]!r}")
    expect(secret.encode() not in text, "a secret is in the log")
    return f"{len(lines)} lines, each JSON without controls, at most {max(map(len, lines))} bytes"


def series(gate):
    return {line.rsplit(" ", 1)[0] for line in gate.get("/metrics")[1].decode().split("\n") if line and line[0] != "#"}


def labels(scene):
    """30"""
    gate = scene.target
    with dial(gate.port) as connection:
        ask(connection, review_of(POD, operation="DELETE"))
        first = None
        for i in range(300):
            pod = {"apiVersion": f"g{i}.example/v{i}", "kind": f"Kind{i}", "metadata": {"name": f"n{i}", "namespace": f"ns-{i}"}}
            old = pod if i % 2 else None
            status, _, _ = ask(connection, review_of(pod, user=f"user-{i}", operation=("CREATE", "UPDATE")[i % 2], old=old))
            expect(status in (200, 400), f"HTTP {status}")
            if i == 3:
                first = series(gate)
            time.sleep(0.003)
    for i in range(50):
        say(gate.port, post(f"/path-{i}"))
    more = series(gate) - first
    more = {name for name in more if "http_refused" not in name}
    kinds = {re.search(r'kind="([^"]*)"', name).group(1) for name in series(gate) if 'kind="' in name}
    expect(not any("example" in kind or re.match(r"Kind\d", kind) for kind in kinds), f"kinds {sorted(kinds)}")
    expect(len(more) <= 2, f"{len(more)} new series: {sorted(more)[:5]}")
    expect(any('kind="other"' in name for name in series(gate)), "unknown kinds are not \"other\"")
    return f"{len(series(gate))} series after 300 kinds, namespaces and users and 50 paths: {len(more)} more than after 4"


