"""Rows 7 to 15 and 22: requests that are not what they should be. Each has one refusal, and then the connection ends."""
import json
import re
import time

from scene import MIB, POD, Attack, dial, expect, harness, is_status, post, refused, review_of, say, write

H, J, P = b"Host: localhost\r\n", b"Content-Type: application/json\r\n", b"POST /validate HTTP/1.1\r\n"
L2 = b"Content-Length: 2\r\n"
PAUSE = 0.01
LIBRARY = {400, 413, 414, 431, 505}  # what libmicrohttpd refuses by itself, before our code is asked, has no Status as its body
UPDATES = 'mlgate_admission_requests_total{operation="UPDATE"'  # which no victim asks for
NEXT = post("/validate?timeout=10s", review_of(POD, old=POD))   # and would be counted


def table(scene, rows):
    """(name, bytes, statuses): refused once, ended, and nothing of what comes behind is executed."""
    before = scene.target.metric(UPDATES)
    seen, twice = {}, 0
    for name, data, wanted in rows:
        talk = say(scene.target.port, data + NEXT)
        refused(name, talk, wanted)
        code = talk.statuses[0]
        ours = is_status(talk.bodies[0], code)
        expect(ours or (code in LIBRARY and b"<html>" in talk.raw), f"{name}: no v1 Status: {talk.raw[:400]!r}")
        heads = len(re.findall(rb"HTTP/1\.1 \d{3} ", talk.raw))
        expect(heads == 1 or not ours, f"{name}: {heads} answers: {talk.raw[:400]!r}")
        seen[code], twice = seen.get(code, 0) + 1, twice + (heads > 1)
        time.sleep(PAUSE)
    expect(scene.target.metric(UPDATES) == before, "what came behind a refused request was executed")
    told = f"{len(rows)} refused and ended: " + ", ".join(f"{code} × {count}" for code, count in sorted(seen.items()))
    return told + (f" (libmicrohttpd, which refused {twice} of them by itself, wrote their heads twice)" if twice else "")


def too_much_head(scene):
    """7"""
    return table(scene, [
        ("one field of 40 KiB", P + H + J + b"X: " + b"a" * 40960 + b"\r\n" + L2 + b"\r\n{}", [431]),
        ("one field of 17 KiB", P + H + J + b"X: " + b"a" * 17408 + b"\r\n" + L2 + b"\r\n{}", [431]),
        ("65 fields", P + H + J + L2 + b"".join(b"X-%d: 1\r\n" % i for i in range(62)) + b"\r\n{}", [431]),
        ("5,000 fields", P + H + J + L2 + b"".join(b"X-%d: 1\r\n" % i for i in range(5000)) + b"\r\n{}", [431]),
        ("a target of 2,049", b"POST /validate?" + b"a" * 2039 + b" HTTP/1.1\r\n" + H + J + L2 + b"\r\n{}", [414]),
        ("a target of 40 KiB", b"POST /" + b"a" * 40960 + b" HTTP/1.1\r\n" + H + J + L2 + b"\r\n{}", [414]),
        ("a method of 9", b"VALIDATES /validate HTTP/1.1\r\n" + H + J + L2 + b"\r\n{}", [405, 501]),
        ("a method of 5,000", b"A" * 5000 + b" /validate HTTP/1.1\r\n" + H + J + L2 + b"\r\n{}", [405, 501]),
    ])


def lengths(scene):
    """8"""
    rows = [("the same twice", P + H + J + L2 + L2 + b"\r\n{}", [400]),
            ("0 and then 2", P + H + J + b"Content-Length: 0\r\n" + L2 + b"\r\n{}", [400]),
            ("2 and then 0", P + H + J + L2 + b"Content-Length: 0\r\n\r\n{}", [400])]
    for text in (b"2, 2", b"+2", b"-1", b"0x2", b"", b"2 2", b"18446744073709551616", b"18446744073709551615", b"9" * 40, b"2e1",
                 b"2."):
        wanted = [400, 413] if len(text) > 8 else [400]
        rows.append((f"length \"{text.decode()}\"", P + H + J + b"Content-Length: " + text + b"\r\n\r\n{}", wanted))
    return table(scene, rows)


CHUNKS = b"\r\n2\r\n{}\r\n0\r\n\r\n"


def codings(scene):
    """9"""
    te = b"Transfer-Encoding: "
    return table(scene, [
        ("length, chunked", P + H + J + L2 + te + b"chunked\r\n" + CHUNKS, [400]),
        ("chunked, length", P + H + J + te + b"chunked\r\n" + L2 + CHUNKS, [400]),
        ("gzip, chunked", P + H + J + te + b"gzip, chunked\r\n" + CHUNKS, [400, 411, 501]),
        ("identity and a length", P + H + J + te + b"identity\r\n" + L2 + b"\r\n{}", [400, 501]),
        ("unknown and a length", P + H + J + te + b"xchunked\r\n" + L2 + b"\r\n{}", [400, 501]),
        ("unknown", P + H + J + te + b"xchunked\r\n" + CHUNKS, [400, 411, 501]),
        ("chunked twice", P + H + J + te + b"chunked\r\n" + te + b"chunked\r\n" + CHUNKS, [400, 411, 501]),
        ("chunked, then identity", P + H + J + te + b"chunked\r\n" + te + b"identity\r\n" + CHUNKS, [400, 411, 501]),
        ("a tab before it", P + H + J + b"Transfer-Encoding:\tchunked\r\n" + CHUNKS, [400, 411, 501]),
        ("of HTTP/1.0", P.replace(b"1.1", b"1.0") + H + J + te + b"chunked\r\n" + CHUNKS, [400, 411, 501, 505]),
    ])


def chunked(scene):
    """10"""
    start = P + H + J + b"Transfer-Encoding: chunked\r\n\r\n"
    cpu = scene.target.cpu()
    told = table(scene, [
        ("chunks", start + b"2\r\n{}\r\n0\r\n\r\n", [411]),
        ("an extension", start + b"2;a=b\r\n{}\r\n0\r\n\r\n", [411]),
        ("a size without end", start + b"0" * 200000, [411]),
        ("an extension without end", start + b"2;" + b"a" * 200000, [411]),
        ("a size beyond all", start + b"ffffffffffffffff\r\n{}", [411]),
        ("trailers", start + b"2\r\n{}\r\n0\r\nX: y\r\n\r\n", [411]),
    ])
    with Attack(scene.target, count=32, tls=1, rate=200, hold=1500, drip=20, first=len(start),
                file=write(f"{scene.folder}/chunk", start + b"0" * 4096)) as slow:
        result = slow.result()
    expect(result["by_server"] == 32, f"a size that comes slowly: {result}")
    cpu = scene.target.cpu() - cpu
    expect(scene.sanitized or cpu < 1.5, f"{cpu:.2f} s of CPU: it spins")
    return told


def pipelined(scene):
    """11"""
    paths = [f"/{('mutate', 'validate')[i % 2]}?timeout=10s" for i in range(50)]
    requests = b"".join(post(path, review_of(POD, uid=f"uid-{i}")) for i, path in enumerate(paths))
    talk = say(scene.target.port, requests, seconds=5, enough=50)
    expect(talk.statuses == [200] * len(talk.statuses) and talk.statuses, f"{talk.statuses}")
    uids = [json.loads(body)["response"]["uid"] for body in talk.bodies]
    expect(uids == [f"uid-{i}" for i in range(len(uids))], f"order {uids}")
    expect(len(uids) == 50 or talk.ended is not None, f"{len(uids)} answers, and the connection is open")
    before = scene.target.metric(UPDATES)
    talk = say(scene.target.port, post() + P + H + J + L2 + L2 + b"\r\n{}" + NEXT)
    expect(talk.statuses == [200, 400] and talk.ended is not None, f"good, bad, good: {talk.statuses}")
    expect(scene.target.metric(UPDATES) == before, "what came behind a refused request was executed")
    return f"{len(uids)} answered in order; behind a refused one nothing is executed"


def grammar(scene):
    """12"""
    ok = P + H + J + L2
    return table(scene, [
        ("a space before the colon", P + H + J + b"Content-Length : 2\r\n\r\n{}", [400]),
        ("no name", ok + b": x\r\n\r\n{}", [400]),
        ("a name that is no token", ok + b"X(y): 1\r\n\r\n{}", [400]),
        ("no colon", ok + b"nonsense\r\n\r\n{}", [400]),
        ("a folded line", ok + b"X: a\r\n b\r\n\r\n{}", [400]),
        ("a fold after the first line", P + b" X: a\r\n" + H + J + L2 + b"\r\n{}", [400]),
        ("a CR in a value", ok + b"X: a\rb\r\n\r\n{}", [400]),
        ("a NUL in a value", ok + b"X: a\0b\r\n\r\n{}", [400]),
        ("a NUL in a name", ok + b"X\0Y: b\r\n\r\n{}", [400]),
        ("LF alone", ok.replace(b"\r\n", b"\n") + b"\n{}", [400]),
        ("LF alone in one line", P + H.replace(b"\r\n", b"\n") + J + L2 + b"\r\n{}", [400]),
        ("two Hosts", P + H + H + J + L2 + b"\r\n{}", [400]),
        ("no Host", P + J + L2 + b"\r\n{}", [400]),
        ("HTTP/0.9", b"GET /validate\r\n\r\n", [400, 505]),
        ("HTTP/1.0", P.replace(b"1.1", b"1.0") + H + J + L2 + b"\r\n{}", [400, 505]),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400, 505]),
        ("HTTP/1.10", P.replace(b"1.1", b"1.10") + H + J + L2 + b"\r\n{}", [400, 505]),
    ])


def upgrade(scene):
    """12, what is served as if it had not been said: an Upgrade, and empty lines before a request."""
    headers = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"]
    talk = say(scene.target.port, post(headers=headers), enough=1)
    expect(talk.statuses == [200] and b"h2c" not in talk.raw, f"Upgrade: {talk.raw[:200]!r}")
    talk = say(scene.target.port, b"\r\n\r\n" + post(), enough=1)
    expect(talk.statuses in ([200], [400]), f"empty lines: {talk.raw[:200]!r}")


def grammar_all(scene):
    """12"""
    upgrade(scene)
    return grammar(scene) + "; an Upgrade and empty lines before the request are left unheard, as RFC 9110 and 9112 say"


def targets(scene):
    """13"""
    rows = []
    for path in (b"/validate\0", b"/validate\0x", b"/validate%00", b"/validate%00x", b"/%76alidate", b"/./validate",
                 b"/x/../validate", b"//validate", b"/validate/", b"/Validate", b"/valid\xc3\xa4te", b"/valid\xffate",
                 b"validate", b"*", b"http://localhost/validate", b"/validate#x", b"/validate;x", b"/validate\\x"):
        rows.append((repr(path), b"POST " + path + b" HTTP/1.1\r\n" + H + J + L2 + b"\r\n{}", [400, 404]))
    return table(scene, rows)


def wait_for_bytes(gate, wanted):
    """Until so many bytes of bodies have come."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        lines = gate.get("/metrics")[1].decode().splitlines()
        if [line for line in lines if line.startswith("mlgate_http_body_bytes ") and float(line.split()[1]) >= wanted]:
            return
        time.sleep(0.02)
    expect(False, f"less than {wanted} bytes of bodies have come")


def expectations(scene):
    """14"""
    port, body = scene.target.port, review_of(POD)
    head = post(body=body, headers=["Expect: 100-continue"])[:-len(body)]
    with dial(port) as connection:
        connection.settimeout(3)
        connection.sendall(head)
        expect(connection.recv(4096).startswith(b"HTTP/1.1 100 "), "no 100")
        connection.sendall(body)
        expect(connection.recv(65536).startswith(b"HTTP/1.1 200 "), "no 200 after 100")
    large = post(length=9 * MIB, headers=["Expect: 100-continue"], body=b"")
    refused("too large", say(port, large), [413])
    refused("a wrong path", say(port, post("/nope", headers=["Expect: 100-continue"], body=b"", length=10)), [404])
    refused("another expectation", say(port, post(headers=["Expect: a-pony"])), [417])
    full = write(f"{scene.folder}/full", post(length=8 * MIB, body=b" " * (8 * MIB - 1)))
    with Attack(scene.target, count=3, tls=1, file=full, hold=9000) as tool:
        tool.held()
        wait_for_bytes(scene.target, 3 * (8 * MIB - 1))
        large = say(port, post(length=8 * MIB, headers=["Expect: 100-continue"], body=b""), enough=1)
        talk = say(port, head, enough=1)  # what is small still finds room
        tool.process.stdin.close()
        tool.result()
    expect(large.statuses == [503], f"beyond the budget: {large.statuses}")
    expect(talk.statuses == [100], f"what is small, beside a full budget: {talk.statuses}")
    return "100 after the head was judged and room reserved; 413, 404, 417 and 503 without it"


def large(scene):
    """15"""
    port, said = scene.target.port, []
    for size in (8 * MIB + 1, 1 << 30, 1 << 55, 99999999999999999):
        talk = say(port, post(length=size, body=b"x" * 100))
        refused(f"{size}", talk, [413])
        expect(is_status(talk.bodies[0], 413), f"{size}: {talk.raw[:300]!r}")
        said.append(talk.ended)
    with dial(port) as connection:  # who sends it all the same still reads why
        connection.settimeout(5)
        connection.sendall(post(length=12 * MIB, body=b""))
        for _ in range(12 * 16):
            connection.sendall(b" " * 65536)
        expect(connection.recv(4096).startswith(b"HTTP/1.1 413 "), "the refusal is lost behind the body")
    return f"413 within {max(said):.0f} ms, before the body"


def wrong_reviews(scene):
    """22"""
    good = harness.review(POD)
    no_uid = json.loads(json.dumps(good))
    del no_uid["request"]["uid"]
    empty_uid = json.loads(json.dumps(good))
    empty_uid["request"]["uid"] = ""
    body = json.dumps(good).encode()
    rows = [("path", post("/", body), [404]), ("method", post(body=body, method="PUT"), [405]),
            ("GET", b"GET /validate HTTP/1.1\r\n" + H + b"\r\n", [405]),
            ("no content type", P + H + b"Content-Length: %d\r\n\r\n" % len(body) + body, [415]),
            ("text", post(body=body).replace(b"application/json", b"text/plain", 1), [415]), ("empty", post(body=b""), [400])]
    told = table(scene, rows)
    for name, value in (("wrong kind", dict(good, kind="Status")), ("v1beta1", dict(good, apiVersion="admission.k8s.io/v1beta1")),
                        ("no request", {"apiVersion": good["apiVersion"], "kind": good["kind"]}), ("no uid", no_uid),
                        ("an empty uid", empty_uid), ("null", None), ("a list", [good]),
                        ("a response", dict(good, response={}, request=None))):
        talk = say(scene.target.port, post(body=json.dumps(value).encode()), enough=1)
        expect(talk.statuses == [400] and is_status(talk.bodies[0], 400), f"{name}: {talk.statuses} {talk.raw[:300]!r}")
        time.sleep(PAUSE)
    return told + "; eight reviews without sense: 400"
