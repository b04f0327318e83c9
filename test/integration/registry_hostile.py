#!/usr/bin/python3
"""Registries that are slow, endless, wrong or in the way: every answer is bounded, and told apart from the others."""
import email.utils
import gzip
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from registry_fixture import (GB, MANIFEST, MIB, SLOW, Layer, Stub, ask, cuda_base, each, expect, harness, pod,  # noqa: E402
                              run_all, sha256, tar_file, weights_layer)


def twisted(scene, name, twist, layers=None):
    """An image of a repository that answers in its own way."""
    image = scene.stub.image(name, layers or cuda_base())
    scene.stub.twists[name] = twist
    return image


def expect_why(scene, image, *parts, **keys):
    begun = time.monotonic()
    why = scene.why(image, **keys)
    took = time.monotonic() - begun
    for part in (scene.stub.host, *parts):
        expect(part in why, f"no {part!r} in {why!r}")
    return took


# --- what is too long or too large -----------------------------------------------------------------------------------

def padded_manifest(scene, name, size):
    body = json.dumps(scene.stub.manifest(cuda_base())).encode()
    scene.stub.put(name, "1", body + b" " * (size - len(body)), MANIFEST)
    return f"{scene.stub.host}/{name}:1"


def test_manifest_of_4_mib_and_one_more(scene):
    expect(scene.known(padded_manifest(scene, "limit/most", 4 * MIB))["layers"], "")
    expect_why(scene, padded_manifest(scene, "limit/over", 4 * MIB + 1), "too large")


def test_endless_body(scene):
    def endless(handler, kind, _):
        if handler.command != "GET" or kind != "manifests":
            return False
        handler.send_response(200)
        handler.send_header("Content-Type", MANIFEST)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for _ in range(2000):  # 128 MiB, if it were taken
            handler.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
        return True

    before = scene.stub.sent
    expect_why(scene, twisted(scene, "limit/endless", endless), "too large")
    expect(scene.stub.sent - before < 64 * MIB, f"{scene.stub.sent - before} bytes were taken")


def test_endless_headers(scene):
    def endless(handler, _kind, _what):
        handler.send_response(200)
        for i in range(2000):
            handler.send_header(f"X-{i}", "x" * 1000)
        handler.end_headers()
        return True

    expect_why(scene, twisted(scene, "limit/headers", endless))


def drip(handler, _kind, _what):
    """A byte now and then, for as long as anyone listens."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        if handler.server.stub.stopping.wait(0.1):
            break
    handler.close_connection = True
    return True


def test_slow_loris_body(scene):
    """The time-out is of the whole request, not of the next byte."""
    def slow(handler, kind, what):
        return handler.command == "GET" and drip(handler, kind, what)

    took = expect_why(scene, twisted(scene, "limit/slow", slow), "no answer in time", policy=scene.policy(timeout="1s"))
    expect(0.9 < took < 4 * SLOW, f"{took:.1f} s")


def test_no_answer(scene):
    def hang(handler, _kind, _what):
        handler.server.stub.stopping.wait(10)
        handler.close_connection = True
        return True

    took = expect_why(scene, twisted(scene, "limit/hang", hang), "no answer in time", policy=scene.policy(timeout="1s"))
    expect(0.9 < took < 4 * SLOW, f"{took:.1f} s")


def test_broken_connection(scene):
    """Once is tried again, twice is told."""
    for name, times in (("once", 1), ("always", 1000)):
        left = [times]

        def cut(handler, _kind, _what, left=left):
            left[0] -= 1
            handler.close_connection = True
            return left[0] >= 0

        image = twisted(scene, f"limit/{name}", cut)
        if name == "once":
            expect(scene.known(image)["layers"], name)
        else:
            expect_why(scene, image, "connection broke")


def test_nobody_there(scene):
    gone = f"localhost:{harness.free_port()}"
    why = scene.why(f"{gone}/a/b:1", policy=scene.policy(hosts=[gone]))
    expect("cannot be reached" in why and gone in why, why)


def test_certificate_is_not_trusted(scene):
    """Neither by the system's authorities nor for another name; `insecure` takes it."""
    image = scene.stub.image("tls/image", cuda_base())
    expect_why(scene, image, "no trusted connection", policy=scene.policy(caFile=None))
    expect(scene.known(image, policy=scene.policy(caFile=None, insecure=True))["layers"], "")
    with Stub(scene.folder, tls=False) as plain:
        image = plain.image("plain/image", cuda_base())
        expect("error" in scene.image(image, policy=scene.policy(hosts=[plain.host])), "plain HTTP was taken unasked")
        expect(scene.known(image, policy=scene.policy(hosts=[plain.host], insecure=True))["layers"], "")


# --- what a server says ----------------------------------------------------------------------------------------------

def test_errors_are_told_apart(scene):
    for status, word in ((403, "does not allow"), (404, "no such thing"), (410, "no such thing"), (429, "no more requests"),
                         (500, "answers 500"), (503, "answers 503"), (400, "answers 400"), (418, "answers 418")):
        def say(handler, _kind, _what, status=status):
            handler.send(status, b"<html>\x00\xff not JSON at all")
            return True

        expect_why(scene, twisted(scene, f"status/{status}", say), word)


def in_three_seconds():
    return email.utils.formatdate(time.time() + 3, usegmt=True)


@each({"seconds": lambda: {"Retry_After": "2"}, "HTTP-date": lambda: {"Retry_After": in_three_seconds()},
       "without Retry-After": dict})
def test_429_is_honoured(scene, name, header):
    """The registry is left alone, for every image of it, until the time that it says; in seconds or as a date."""
    with Stub(scene.folder) as stub:
        stub.image("a/first", cuda_base())
        other = stub.image("a/other", cuda_base())

        def say(handler, _kind, _what):
            handler.send(429, b"Too Many Requests", **header())
            return True

        stub.twists["a/first"] = say
        with scene.server(scene.policy(hosts=[stub.host], name="throttled.yaml")) as server:
            response = harness.answer(server, "/validate", harness.review(pod(f"{stub.host}/a/first:1")))
            expect(response["allowed"] and "could not be looked into" in str(response.get("warnings")), f"{response}")
            response = harness.answer(server, "/validate", harness.review(pod(other, name="q")))
            expect(not stub.requests("a/other"), "it was asked all the same")
            late = [stub.image(f"a/late{i}", cuda_base()) for i in range(60)]  # trouble with one is remembered for a while
            while name != "without Retry-After" and late and not stub.requests("/a/late"):
                time.sleep(0.2)
                harness.answer(server, "/validate", harness.review(pod(late.pop())))
            expect(name == "without Retry-After" or stub.requests("/a/late"), "never asked again")


def test_ratelimit_remaining_0(scene):
    """What is left of the quota is the nodes'; a HEAD costs none."""
    with Stub(scene.folder) as stub:
        image = stub.image("hub/image", cuda_base())

        def low(handler, kind, what):
            if kind != "manifests" or handler.command != "HEAD":
                return False
            handler.send(200, b"", Docker_Content_Digest=sha256(stub.manifests["hub/image", "1"][1]), Content_Type=MANIFEST,
                         RateLimit_Limit="100;w=21600", RateLimit_Remaining="0;w=21600")
            return True

        stub.twists["hub/image"] = low
        policy = scene.policy(hosts=[stub.host])
        with scene.server(policy) as server:
            ask(server, pod(image))
            _, text = server.get("/metrics")
            for name, value in (("limit", 100), ("remaining", 0)):
                line = f'mlgate_registry_quota_{name}{{host="{stub.host}"}} {value}'
                expect(line in text.decode().split("\n"), f"no {line}")
        why = scene.why(image, policy=policy)
        expect("quota" in why, why)
        expect(not stub.requests("hub/image", "GET"), "a pull was spent")


def test_head_without_digest(scene):
    """Older registries; what comes by tag is hashed here."""
    def bare(handler, kind, what):
        if kind != "manifests" or handler.command != "HEAD":
            return False
        handler.send(200, b"", Content_Type=MANIFEST)
        return True

    found = scene.image(twisted(scene, "head/bare", bare))
    expect(found.get("digest") == sha256(scene.stub.manifests["head/bare", "1"][1]), f"{found}")


def test_head_with_a_wrong_digest(scene):
    def wrong(handler, kind, what):
        if kind != "manifests" or handler.command != "HEAD":
            return False
        handler.send(200, b"", Content_Type=MANIFEST, Docker_Content_Digest=sha256(b"wrong"))
        return True

    found = scene.image(twisted(scene, "head/wrong", wrong))
    expect(found.get("digest") == sha256(scene.stub.manifests["head/wrong", "1"][1]), f"{found}")


def test_other_manifest_for_a_digest(scene):
    image = scene.stub.image("digest/other", cuda_base())
    digest = sha256(b"asked for")
    scene.stub.manifests["digest/other", digest] = scene.stub.manifests["digest/other", "1"]
    expect_why(scene, image.replace(":1", "@" + digest), "not what its digest says")


# --- ranges ----------------------------------------------------------------------------------------------------------

def test_range_ignored_by_200(scene):
    """The whole layer is sent: enough is taken, the rest is left."""
    layer = weights_layer()

    def whole(handler, kind, what):
        if kind != "blobs" or what != layer.digest:
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", str(layer.size))
        handler.end_headers()
        handler.write(layer.data)
        for _ in range(200):
            handler.write(bytes(MIB))
        return True

    before = scene.stub.sent
    found = scene.known(twisted(scene, "range/ignored", whole, [layer]))
    expect(found["layers"][0]["proof"]["by"] == "file", f"{found}")
    expect(scene.stub.sent - before < 50 * MIB, f"{scene.stub.sent - before} bytes were taken")


def test_range_416_of_a_tiny_layer(scene):
    """416, though the manifest says 2 GB: nothing is proven, nothing goes wrong."""
    layer = Layer(b"", 2 * GB, "COPY . /app")

    def none(handler, kind, what):
        if kind != "blobs" or what != layer.digest:
            return False
        handler.send(416, b"", Content_Range="bytes */0")
        return True

    found = scene.known(twisted(scene, "range/tiny", none, [layer]))
    expect(not found["layers"][0]["lookedInto"] and not found["layers"][0]["proof"], f"{found}")


def test_layer_is_gone(scene):
    layer = weights_layer()
    image = scene.stub.image("range/gone", [layer])
    del scene.stub.blobs[layer.digest]
    found = scene.known(image)
    expect(not found["layers"][0]["lookedInto"], f"{found}")


def test_layer_cannot_be_read(scene):
    """An error there is no proof of innocence: that the image has no weights is not known."""
    layer = Layer(weights_layer().data, 5 * GB, "COPY . /app")

    def broken(handler, kind, what):
        if kind != "blobs" or what != layer.digest:
            return False
        handler.send(500, b"")
        return True

    image = twisted(scene, "range/broken", broken, [layer])
    found = scene.known(image)["layers"][0]
    expect(not found["lookedInto"] and "answers 500" in found["unread"], f"{found}")
    status, report, err = scene.check(pod(image), policy=scene.policy("weights: deny, unknown: deny"))
    expect(status == 1, f"exit {status}: {err} {report}")
    message = report["results"][0]["violations"][0]["message"]
    expect("whose layer 1 of 1 (4.66 GiB) could not be looked into" in message and "answers 500" in message, message)


# --- redirects -------------------------------------------------------------------------------------------------------

def leads_to(url, status=307, only=None):
    def lead(handler, kind, what):
        if only and kind != only:
            return False
        handler.send(status, b"", Location=url(handler, kind, what) if callable(url) else url)
        return True

    return lead


def test_redirect_of_blobs(scene):
    """To object storage: config and layers come from there."""
    layers = [*cuda_base(), weights_layer()]
    scene.other.image("moved/image", layers)
    lead = leads_to(lambda _, kind, what: f"https://{scene.other.host}/v2/moved/image/{kind}/{what}", only="blobs")
    image = twisted(scene, "moved/image", lead, layers)
    found = scene.known(image)
    expect(found["layers"][3]["proof"]["by"] == "file", f"{found}")
    expect(scene.other.requests("moved/image/blobs"), "the other host was not asked")


def test_redirect_in_a_circle(scene):
    image = twisted(scene, "moved/circle", leads_to(lambda h, k, w: h.path))
    expect_why(scene, image, "leads nowhere")
    expect(len(scene.stub.requests("moved/circle")) <= 12, f"{len(scene.stub.requests('moved/circle'))} requests")


def test_redirect_to_what_nobody_named(scene):
    """A loopback address that no document names is no place for a registry to send anyone."""
    image = twisted(scene, "moved/inside", leads_to(f"https://127.0.0.1:{scene.other.server.server_port}/secret"))
    expect_why(scene, image, "private", policy=scene.policy(hosts=[scene.stub.host]))
    image = twisted(scene, "moved/metadata", leads_to("https://169.254.169.254/latest/meta-data/"))
    expect_why(scene, image, "private")
    expect(not scene.other.requests("/secret"), "it was asked")


def test_redirect_to_another_scheme(scene):
    for name, url in (("http", f"http://{scene.other.host}/x"), ("file", "file:///etc/passwd"),
                      ("gopher", "gopher://localhost:1/x"),
                      ("user", f"https://u:p@{scene.other.host}/x"), ("none", ""), ("long", "https://localhost/" + "x" * 20000)):
        expect_why(scene, twisted(scene, f"moved/{name}", leads_to(url)))


# --- what cannot be run is not looked at -----------------------------------------------------------------------------

def test_bomb_in_a_layer(scene):
    """64 KiB that unpack to more than is ever unpacked."""
    bomb = gzip.compress(tar_file("a", b"") + bytes(64 * MIB), 9)
    begun = time.monotonic()
    found = scene.known(scene.stub.image("bomb/layer", [Layer(bomb, 2 * GB, "COPY . /")]))
    expect(not found["layers"][0]["proof"] and time.monotonic() - begun < 5 * SLOW, f"{found}")


def test_bomb_in_a_config(scene):
    """8 MiB of brackets, or more."""
    for name, data in (("deep", b"[" * (2 * MIB)), ("large", b'{"a":"' + b"x" * (9 * MIB) + b'"}')):
        body = scene.stub.manifest([])
        body["config"] = {**body["config"], **scene.stub.blob(data)}
        scene.stub.put(f"bomb/{name}", "1", body, MANIFEST)
        expect_why(scene, f"{scene.stub.host}/bomb/{name}:1")


def test_server_is_compressed(scene):
    """Content-Encoding is neither asked for nor undone."""
    body = gzip.compress(json.dumps(scene.stub.manifest(cuda_base())).encode())

    def packed(handler, kind, _):
        if kind != "manifests":
            return False
        handler.send(200, body, Content_Type=MANIFEST, Content_Encoding="gzip", Docker_Content_Digest=sha256(body))
        return True

    expect_why(scene, twisted(scene, "bomb/packed", packed), "cannot be read")


if __name__ == "__main__":
    run_all(globals())
