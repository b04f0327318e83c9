#!/usr/bin/python3
"""What a look into an image costs, what of it cannot be had, sizes that are not true, and how many images are asked for."""
import gzip
import io
import json
import os
import sys
import tarfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from registry_fixture import (GB, INDEX, KIB, MANIFEST, MIB, SHARD, SLOW, TAR, Layer, Stub, code, cuda_base, expect,  # noqa: E402
                              harness, noise, pod, run_all, sha256, tar_file, tar_head, weights, weights_layer)


def verdict(scene, obj, rule="weights: deny"):
    """(exit status, its violations)."""
    status, report, err = scene.check(obj, policy=scene.policy(rule))
    expect(len(report["results"]) == 1, f"exit {status}: {err} {report}")
    return status, report["results"][0]["violations"]


def refuse(scene, name, *digests, status=403, **headers):
    """A registry that does not give these blobs or manifests away."""
    def twist(handler, _, what):
        if what not in digests:
            return False
        handler.send(status, b"", **headers)
        return True

    scene.stub.twists[name] = twist


# --- bytes -----------------------------------------------------------------------------------------------------------

def source(count, seed):
    """A layer of code only: whether weights are behind it nobody can tell."""
    data = b"".join(tar_file(f"app/m{i}.py", noise(900, b"%d-%d" % (seed, i))) for i in range(count))
    return Layer(gzip.compress(data, 1, mtime=0), 2 * GB, "COPY . /app")


def test_bytes_that_are_read(scene):
    """Manifests and configs counted, over TLS."""
    def decided(i):
        return Layer(weights(f"models/m{i}.safetensors") + bytes([i]), 49 * GB // 10 + i, "COPY . /app", TAR)

    cases = {"one layer": ([decided(1)], 200_000), "five layers": ([decided(i) for i in range(5)], 200_000),
             "40 layers": ([decided(i) for i in range(40)], 200_000),
             "one layer of code": ([source(3000, 1)], 1_300_000),
             "eight of code": ([source(700, i) for i in range(8)], 1_300_000)}
    for name, (layers, most) in cases.items():
        image, before = scene.stub.image(f"bytes/{name.replace(' ', '-')}", layers), scene.stub.sent
        found, read = scene.known(image), scene.stub.sent - before
        harness.Tap.note(f"{name}: {read / 1000:.0f} kB read")
        expect(read <= most, f"{name}: {read} bytes")
        expect(all(layer["lookedInto"] for layer in found["layers"]), f"{name}: {found['layers']}")


def test_more_layers_than_are_looked_into(scene):
    layers = [Layer(code(i), 300 * MIB + i, "COPY . /app") for i in range(43)]
    image = scene.stub.image("bytes/many", layers)
    found = scene.known(image)["layers"]
    expect([i for i, layer in enumerate(found) if "unread" in layer] == [0, 1, 2], f"{found}")
    expect("only the 40 largest" in found[0]["unread"], f"{found[0]}")
    status, [violation] = verdict(scene, pod(image))
    expect(status == 0 and violation["action"] == "warn" and "layer 3 of 43" in violation["message"], f"{violation}")


# --- platforms -------------------------------------------------------------------------------------------------------

def two_platforms(scene, name, amd64, arm64):
    """Layers by architecture: the reference and the digests of the manifests."""
    rows = []
    for arch, layers in (("amd64", amd64), ("arm64", arm64)):
        row = scene.stub.put(name, arch, scene.stub.manifest(layers, scene.stub.config(layers, arch=arch)), MANIFEST)
        rows.append({**row, "platform": {"os": "linux", "architecture": arch}})
    scene.stub.put(name, "1", {"schemaVersion": 2, "mediaType": INDEX, "manifests": rows}, INDEX)
    return f"{scene.stub.host}/{name}:1", [row["digest"] for row in rows]


def test_one_platform_cannot_be_had(scene):
    """The others are judged; that one is unknown, with its reason."""
    baked, clean = [weights_layer()], [Layer(code(1), 10 * MIB, "COPY . /app")]
    for status, part in ((404, "no such thing"), (403, "does not allow that"), (500, "answers 500")):
        for weights_in, want in (("amd64", (1, "deny", SHARD)), ("nowhere", (0, "warn", "linux/arm64 could not be looked into"))):
            name = f"platform/{status}-{weights_in}"
            image, digests = two_platforms(scene, name, baked if weights_in == "amd64" else clean, clean)
            refuse(scene, name, digests[1], status=status)
            found = scene.image(image)["platforms"]
            expect([one["platform"] for one in found] == ["linux/amd64", "linux/arm64"], f"{found}")
            expect("error" not in found[0] and part in found[1]["error"] and not found[1]["layers"], f"{found}")
            code_of, [violation] = verdict(scene, pod(image))
            expect((code_of, violation["action"]) == want[:2] and want[2] in violation["message"], f"{name}: {violation}")
            expect(verdict(scene, pod(image), "weights: deny, unknown: deny")[0] == 1, f"{name}: unknown is not denied")
            on_amd64 = verdict(scene, pod(image, nodeSelector={"kubernetes.io/arch": "amd64"}))
            expect(on_amd64[0] == want[0] and len(on_amd64[1]) == want[0], f"{name}: {on_amd64}")


def test_one_platform_is_not_what_it_should_be(scene):
    image, digests = two_platforms(scene, "platform/lies", [weights_layer()], cuda_base())
    scene.stub.manifests["platform/lies", digests[1]] = (MANIFEST, b"{}")
    found = scene.image(image)["platforms"]
    expect("not what its index says" in found[1]["error"], f"{found}")
    expect(verdict(scene, pod(image))[0] == 1, "weights for amd64 were not seen")
    out = harness.run(["image", "--policies", scene.policy(), image], env={"HOME": scene.folder})[1]
    expect("linux/arm64  not known: " in out and "linux/amd64  4." in out, out)


def test_unknown_platforms_are_asked_for_again(scene):
    """An error holds for 10 seconds, not for ever: a server finds the platform when it is there."""
    image, digests = two_platforms(scene, "platform/later", [Layer(code(1), 10 * MIB, "COPY . /app")], [weights_layer()])
    refuse(scene, "platform/later", digests[1], status=500)
    with scene.server() as server:
        response = harness.answer(server, "/validate", harness.review(pod(image)))
        expect(response["allowed"] and "whose platform linux/arm64" in str(response.get("warnings")), f"{response}")
        del scene.stub.twists["platform/later"]
        end = time.monotonic() + 40
        while response["allowed"] and time.monotonic() < end:
            time.sleep(1)
            response = harness.answer(server, "/validate", harness.review(pod(image)))
        expect(not response["allowed"] and SHARD in response["status"]["message"], f"{response}")


# --- layers ----------------------------------------------------------------------------------------------------------

def test_layer_that_is_refused(scene):
    """What decides without it still decides; else `unknown` does."""
    for status, part in ((403, "does not allow that"), (416, "answers 416")):
        told = Layer(weights(), 5 * GB, "RUN huggingface-cli download meta-llama/Llama-3.1-8B")
        plain = Layer(weights(), 6 * GB, "COPY . /app")
        cases = {"told": ([told], "weights: deny", 1, "huggingface-cli download"),
                 "large": ([plain], "weights: deny, oversize: deny, maxLayer: 1Gi", 1, "too large"),
                 "other": ([plain, weights_layer()], "weights: deny", 1, SHARD),
                 "nothing": ([plain], "weights: deny", 0, "layer 1 of 1 (5.59 GiB) could not be looked into"),
                 "strict": ([plain], "weights: deny, unknown: deny", 1, "could not be looked into"),
                 "lax": ([plain], "weights: deny, unknown: ignore", 0, None),
                 "sizes": ([plain], "weights: ignore, maxLayer: 10Gi, unknown: deny", 0, None)}
        for name, (layers, rule, want, said) in cases.items():
            name = f"layer/{status}-{name}"
            image = scene.stub.image(name, layers)
            refuse(scene, name, layers[0].digest, status=status)
            code_of, violations = verdict(scene, pod(image), rule)
            expect(code_of == want and len(violations) == (said is not None), f"{name}: exit {code_of} {violations}")
            if said:
                expect(said in violations[0]["message"], f"{name}: {violations}")
            expect(part in scene.known(image)["layers"][0]["unread"], f"{name}: {scene.known(image)}")


def test_layer_that_hangs(scene):
    """A review does not wait for it longer than for anything, and has what is known by then."""
    name, told = "layer/hangs", Layer(weights(), 5 * GB, "RUN huggingface-cli download meta-llama/Llama-3.1-8B")
    image = scene.stub.image(name, [told])

    def hang(handler, kind, what):
        if kind == "blobs" and what == told.digest:
            handler.server.stub.stopping.wait(6)
        return False

    scene.stub.twists[name] = hang
    with scene.server(scene.policy(timeout="20s")) as server:
        response = harness.answer(server, "/validate?timeout=2s", harness.review(pod(image)))
    expect(not response["allowed"] and "huggingface-cli download" in response["status"]["message"], f"{response}")


# --- sizes -----------------------------------------------------------------------------------------------------------

def test_registry_holds_more(scene):
    """By the range of what is read, or by a HEAD where the history speaks of weights."""
    large, small = Layer(code(1), 300 * MIB, "COPY . /app"), Layer(weights(), 1000, "COPY model.safetensors /models/")
    silent = Layer(weights(), 1000, "COPY . /app")
    for name, layer, heads in (("large", large, 0), ("small", small, 1), ("silent", silent, 0)):
        image = scene.stub.image(f"holds/{name}", [*cuda_base()[:1], layer])
        scene.stub.blobs[layer.digest] = (layer.data, 5 * GB)
        found = scene.known(image)
        asked = [path for method, path, _ in scene.stub.requests(f"holds/{name}/blobs") if method == "HEAD"]
        expect(len(asked) == heads, f"{name}: {asked}")
        status, violations = verdict(scene, pod(image))
        if name == "silent":
            expect(status == 0 and "malformed" not in found, f"{found}")
            continue
        expect("the registry holds 4.66 GiB of layer 2, its manifest says" in found["malformed"], f"{name}: {found}")
        expect(status == 1 and "whose manifest is malformed: the registry holds" in violations[0]["message"], f"{violations}")


def test_sizes_that_are_not_said(scene):
    """No HEAD, or one without a length: no finding."""
    for i, answer in enumerate((lambda h: h.send(405, b""), lambda h: h.send(200, b""), lambda h: h.send(404, b""))):
        layer = Layer(weights(), 1000, "COPY model.safetensors /models/")

        def twist(handler, _, what, answer=answer, layer=layer):
            if handler.command != "HEAD" or what != layer.digest:
                return False
            answer(handler)
            return True

        image = scene.stub.image(f"holds/none{i}", [layer])
        scene.stub.twists[f"holds/none{i}"] = twist
        expect("malformed" not in scene.known(image), f"{i}: {scene.known(image)}")
        expect(verdict(scene, pod(image)) == (0, []), f"{i}: {verdict(scene, pod(image))}")


def test_heads_of_history_without_layers(scene):
    """Which layer the line made nobody can tell: all small ones are asked for, at most 64, each once."""
    layers = [Layer(b"%d" % i, 100 + i, "") for i in range(80)]
    image = scene.stub.image("holds/many", layers, history=[{"created_by": "RUN hf download a/b", "empty_layer": True}])
    scene.known(image)
    asked = [path for method, path, _ in scene.stub.requests("holds/many/blobs", "HEAD")]
    expect(len(asked) == len(set(asked)) == 64, f"{len(asked)} requests, {len(set(asked))} layers")


# --- eStargz ---------------------------------------------------------------------------------------------------------

def stargz_layer(files, forge=False):
    """As its builders write it: a gzip member a file, the table of contents, and the footer that says where that is."""
    body, entries = b"", []
    for name, size, data in files:
        entries.append({"name": name, "type": "reg", "size": size, "offset": len(body)})
        body += gzip.compress((tar_head(name, size) if size > len(data) else tar_file(name, data)[:512]) + data, 1, mtime=0)
    table = json.dumps({"version": 1, "entries": entries}, indent="\t").encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        info = tarfile.TarInfo("stargz.index.json")
        info.size = len(table)
        tar.addfile(info, io.BytesIO(table))
    place = 6 * GB
    toc = gzip.compress(packed.getvalue(), 9, mtime=0)
    extra = b"SG" + (22).to_bytes(2, "little") + b"%016xSTARGZ" % place
    footer = b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff" + len(extra).to_bytes(2, "little") + extra + b"\x01\0\0\xff\xff" + bytes(8)
    expect(len(footer) == 51 and gzip.decompress(footer) == b"", "no footer")
    layer = Layer(body, place + len(toc) + 51, "COPY . /app", annotations={
        "containerd.io/snapshot/stargz/toc.digest": sha256(b"other" if forge else table)})
    return layer, place, toc + footer


def serve_tail(scene, name, layer, place, tail):
    """The blob is too long to be made: its end is answered apart."""
    def twist(handler, kind, what):
        wanted = handler.headers.get("Range", "")
        if kind != "blobs" or what != layer.digest or int(wanted[6:].split("-")[0]) < place:
            return False
        first, last = (int(n) for n in wanted[6:].split("-"))
        handler.send(206, tail[first - place:last + 1 - place], Content_Range=f"bytes {first}-{last}/{layer.size}")
        return True

    scene.stub.twists[name] = twist


def test_stargz(scene):
    code_files = [(f"app/m{i}.py", 900, noise(900, b"s%d" % i)) for i in range(400)]
    cases = {"weights": ([*code_files, (SHARD, 5 * GB, b"")], False, SHARD),
             "forged": ([*code_files, (SHARD, 5 * GB, b"")], True, None),
             "code": (code_files, False, None)}
    for name, (files, forge, want) in cases.items():
        layer, place, tail = stargz_layer(files, forge)
        if forge:
            layer.data = layer.data[:64 * KIB]  # so that it can be seen in the table alone
        image = scene.stub.image(f"stargz/{name}", [layer])
        before = scene.stub.sent
        serve_tail(scene, f"stargz/{name}", layer, place, tail)
        found, read = scene.known(image)["layers"][0], scene.stub.sent - before
        expect(found["lookedInto"] and (found["proof"] or {}).get("what") == want, f"{name}: {found}")
        ranges = [headers["Range"] for _, _, headers in scene.stub.requests(layer.digest) if "Range" in headers]
        wanted = [f"bytes={layer.size - 51}-{layer.size - 1}", f"bytes={place}-{layer.size - 52}"]
        expect(ranges[:2] == wanted, f"{name}: {ranges}")
        expect(len(ranges) == 2 and read < 60_000 or not want, f"{name}: {read} bytes, {ranges}")


# --- how many --------------------------------------------------------------------------------------------------------

def test_three_thousand_images(scene):
    """A directory with more images than are asked for at a time."""
    folder, layers = f"{scene.folder}/crowd", [Layer(code(1), 10 * MIB, "COPY . /app")]
    os.makedirs(folder)
    with Stub(scene.folder, tls=False) as stub:  # TLS is not what is tried
        body = stub.manifest(layers)
        for i in range(3000):
            stub.put(f"crowd/i{i}", "1", body, MANIFEST)
        for part in range(3):
            items = [pod(f"{stub.host}/crowd/i{i}:1", name=f"p{i}") for i in range(part * 1000, part * 1000 + 1000)]
            with open(f"{folder}/{part}.json", "w", encoding="utf-8") as file:
                json.dump({"apiVersion": "v1", "kind": "List", "items": items}, file)
        policy = scene.policy("weights: deny, unknown: deny", hosts=[stub.host], caFile=None, insecure=True, timeout="20s")
        begun = time.monotonic()
        status, report, err = harness.check(["--policies", policy, folder], timeout=200)
        took = time.monotonic() - begun
        asked = {path for _, path, _ in stub.requests("/manifests/1", "HEAD")}
    wrong = [one["violations"][0]["message"] for one in report["results"] if one["violations"]]
    expect(status == 0 and not wrong, f"exit {status}: {err} {len(wrong)} {wrong[:2]}")
    expect(len(asked) == 3000, f"{len(asked)} were asked for")
    harness.Tap.note(f"check of 3,000 images: {took:.1f} s")
    expect(took < 60 * SLOW, f"{took:.1f} s")


if __name__ == "__main__":
    run_all(globals())
