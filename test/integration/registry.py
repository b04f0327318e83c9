#!/usr/bin/python3
"""What issue and reference promise of images in registries: what is refused and what is not, sizes, indexes, configs."""
import base64
import gzip
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from registry_fixture import (CONFIG, DOCKER_LIST, DOCKER_MANIFEST, GB, GZIP, INDEX, KIB, MANIFEST, MIB,  # noqa: E402
                              OCI, SAFETENSORS, SHARD, ZSTD, Layer, code, cuda_base, each, expect, harness, noise, pax, pod,
                              run_all, sha256, tar_file, tar_head, weights, weights_layer, zstd)


# --- what it must show -----------------------------------------------------------------------------------------------

def test_baked_weights_are_denied(scene):
    """15 GB, of it 4.9 GB in one file: layer, file and Dockerfile line are named."""
    layers = [*cuda_base(), Layer(code(4), 6_700 * 10**6, "RUN /bin/sh -c pip install torch vllm # buildkit"), weights_layer()]
    image = scene.stub.image("must/baked", layers)
    status, report, err = scene.check(pod(image))
    expect(status == 1, f"exit {status}: {err} {report}")
    [violation] = report["results"][0]["violations"]
    for part in (f"{SHARD} (4.57 GiB)", "in layer 5 of 5", "from `COPY ./weights/ /models/", image, "linux/amd64", "in all"):
        expect(part in violation["message"], f"no {part!r} in {violation['message']!r}")
    expect(violation["action"] == "deny" and "image volume" in violation["fix"], f"{violation}")
    found = scene.known(image)
    expect(14.7 * GB < found["total"] < 15.3 * GB, f"{found['total']}")
    expect([layer["proof"] is not None for layer in found["layers"]] == [False] * 4 + [True], f"{found['layers']}")
    harness.Tap.note(f"{found['total'] / GB:.1f} GB: {violation['message']}")


def framework(scene):
    """Of 20 GB nearly all is the base's."""
    base = [Layer(code(10), 80 * MIB, "ADD file in /"), Layer(code(11), 19 * GB, "RUN pip install rocm-sdk torch")]
    return scene.stub.image("must/rocm-base", base), \
        scene.stub.image("must/rocm-app", [*base, Layer(code(12), 900 * MIB, "COPY . /app # buildkit")])


def test_framework_on_a_base_is_not(scene):
    base, image = framework(scene)
    policy = scene.policy(f'weights: deny, oversize: deny, maxOverBase: 2Gi, bases: ["{base}"]')
    status, report, err = scene.check(pod(image), policy=policy)
    expect(status == 0 and not report["results"][0]["violations"], f"exit {status}: {err} {report}")
    found = scene.known(image, policy=policy)
    expect(found["total"] > 19.9 * GB and 900 * MIB < found["overBase"] < 901 * MIB and found["base"] == base, f"{found}")
    harness.Tap.note(f"{found['total'] / GB:.1f} GB, of it {found['overBase'] / GB:.2f} GB over {base}: allowed")
    # without the base it is too large: the sizes are looked at
    status, report, err = scene.check(pod(image), policy=scene.policy("weights: deny, oversize: deny, maxOverBase: 2Gi"))
    expect(status == 1 and "too large" in report["results"][0]["violations"][0]["message"], f"exit {status}: {err} {report}")


def test_bare_cuda_base_is_not(scene):
    image = scene.stub.image("must/cuda", cuda_base())
    status, report, err = scene.check(pod(image))
    expect(status == 0 and not report["results"][0]["violations"], f"exit {status}: {err} {report}")
    harness.Tap.note(f"a bare CUDA base of {scene.known(image)['total'] / GB:.1f} GB: allowed")


def test_delivered_otherwise_is_not(scene):
    """The same weights by an image volume, or by an init container that downloads them."""
    model = scene.stub.image("must/model", [weights_layer()])
    server = scene.stub.image("must/server", cuda_base())
    volume = pod(server, name="volume", volumes=[{"name": "model", "image": {"reference": model}}])
    init = pod(server, name="init", initContainers=[
        {"name": "fetch", "image": server, "command": ["huggingface-cli", "download", "meta-llama/Llama-3.1-8B"]}])
    for path in (None, "server"):
        if path is None:
            status, report, err = scene.check(volume, init)
            expect(status == 0 and not any(one["violations"] for one in report["results"]), f"exit {status}: {err} {report}")
            continue
        with scene.server() as server_of:
            for obj in (volume, init):
                response = harness.answer(server_of, "/validate", harness.review(obj))
                expect(response["allowed"] and not response.get("warnings"), f"{response}")
    expect(not scene.stub.requests("must/model"), "the image of a volume was asked for")
    harness.Tap.note("the same weights by an image volume, or by an init container that downloads them: allowed")


def test_every_kind_of_container_is_judged(scene):
    image = scene.stub.image("must/kinds", [weights_layer()])
    base = scene.stub.image("must/kinds-base", cuda_base())
    objects = [pod(base, name="init", initContainers=[{"name": "i", "image": image}]),
               pod(base, name="ephemeral", ephemeralContainers=[{"name": "e", "image": image}]),
               {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "ml"},
                "spec": {"selector": {}, "template": {"spec": pod(image)["spec"]}}}]
    status, report, err = scene.check(*objects)
    expect(status == 1 and report["summary"]["denied"] == 3, f"exit {status}: {err} {report['summary']}")


# --- proof in the first bytes ----------------------------------------------------------------------------------------

def peeked(scene, name, data, media_type=GZIP, size=2 * GB, command="COPY . /app"):
    layer = Layer(data, size, command, media_type)
    found = scene.known(scene.stub.image(f"peek/{name.lower().replace(' ', '-')}", [layer]))["layers"][0]
    expect(found["lookedInto"], f"{name}: {found}")
    return found["proof"]


@each({
    "gzip": gzip.compress(weights(), 1), "tar": weights(), "zstd": zstd(weights()),
    "members": gzip.compress(tar_file("a.txt", b"a")) + gzip.compress(weights(), 1),
    "pax size": pax(size=49 * GB // 10) + tar_head(SHARD, 0) + SAFETENSORS + noise(200 * KIB),
    "pax path": pax(path=SHARD) + tar_head("x", 49 * GB // 10) + SAFETENSORS + noise(200 * KIB),
    "GNU long name": tar_head("././@LongLink", len(SHARD) + 1, b"L") + SHARD.encode() + bytes(512 - len(SHARD))
    + tar_head("x", 49 * GB // 10) + SAFETENSORS,
})
def test_peek_formats(scene, name, data):
    """The file's name and size, whatever the layer is packed in."""
    proof = peeked(scene, name, data)
    expect(proof and proof["by"] == "file" and proof["what"] == SHARD, f"{proof}")
    expect(proof["size"] == 49 * GB // 10, f"{proof}")


def test_peek_base_256_size(scene):
    proof = peeked(scene, "base256", weights(size=40 * GB), size=41 * GB)
    expect(proof and proof["size"] == 40 * GB, f"{proof}")


def test_peek_media_type_lies(scene):
    proof = peeked(scene, "lies", gzip.compress(weights(), 1), media_type=ZSTD)
    expect(proof and proof["what"] == SHARD, f"{proof}")


def test_peek_finds_what_is_further_back(scene):
    """Behind more than 64 KiB of source: the second, larger look."""
    data = gzip.compress(b"".join(tar_file(f"app/m{i}.py", noise(900, b"m%d" % i)) for i in range(300)) + weights(), 1)
    proof = peeked(scene, "behind", data)
    expect(proof and proof["what"] == SHARD, f"{proof}")
    ranges = [headers.get("Range") for _, path, headers in scene.stub.requests("peek/behind/blobs") if "Range" in headers]
    expect(ranges == ["bytes=0-65535", "bytes=65536-1114111"], f"{ranges}")


@each({
    "library": gzip.compress(tar_head("usr/lib/libtorch_cuda.so", 2 * GB - 4096) + b"\x7fELF" + noise(100 * KIB)),
    "small file": gzip.compress(tar_head(SHARD, 99 * MIB) + SAFETENSORS + noise(100 * KIB)),
    "truncated gzip": gzip.compress(weights(), 1)[:40],
    "checksum wrong": weights()[:148] + b"000000" + weights()[154:512] + weights()[512:],
    "gzip bomb": gzip.compress(bytes(80 * MIB), 6), "noise": noise(70 * KIB),
    "bad zstd": b"\x28\xB5\x2F\xFD" + noise(70 * KIB), "zeros": bytes(70 * KIB),
})
def test_peek_no_proof(scene, name, data):
    """What is no weights, or cannot be read: nothing is proven, nothing goes wrong."""
    proof = peeked(scene, f"no-{name}", data)
    expect(proof is None, f"{proof}")


def test_small_layers_are_not_looked_into(scene):
    image = scene.stub.image("peek/small", [Layer(gzip.compress(weights(size=200 * MIB)), 200 * MIB, "COPY . /app")])
    found = scene.known(image)["layers"][0]
    expect(not found["lookedInto"] and not found["proof"], f"{found}")
    expect(not scene.stub.requests("peek/small/blobs/" + found["digest"]), "the layer was read")


def test_table_of_contents(scene):
    """zstd:chunked: the names are at the end, and vouched for by the manifest."""
    toc = zstd(json.dumps({"version": 1, "entries": [
        {"type": "reg", "name": "app/main.py", "size": 10}, {"type": "reg", "name": SHARD, "size": 5 * GB}]}).encode())
    at = 100 * KIB
    for name, digest, want in (("good", sha256(toc), SHARD), ("forged", sha256(b"other"), None)):
        layer = Layer(zstd(tar_file("app/a.py", noise(60 * KIB)))[:at].ljust(at, b"\0") + toc, 6 * GB, "COPY . /", ZSTD, {
            "io.github.containers.zstd-chunked.manifest-position": f"{at}:{len(toc)}:{len(toc)}:1",
            "io.github.containers.zstd-chunked.manifest-checksum": digest})
        proof = scene.known(scene.stub.image(f"peek/toc-{name}", [layer]))["layers"][0]["proof"]
        expect((proof or {}).get("what") == want, f"{name}: {proof}")


# --- sizes -----------------------------------------------------------------------------------------------------------

def with_sizes(scene, name, *sizes):
    """A manifest whose layers have these sizes, each the text of a JSON value."""
    rows = ", ".join(f'{{"mediaType": "{GZIP}", "digest": "{sha256(b"s%d" % i)}"' + (f', "size": {size}}}' if size else "}")
                     for i, size in enumerate(sizes))
    config = scene.stub.config([], rootfs={"type": "layers", "diff_ids": []})
    body = f'{{"schemaVersion": 2, "mediaType": "{MANIFEST}", "config": {json.dumps(config)}, "layers": [{rows}]}}'
    scene.stub.put(f"size/{name}", "1", body.encode(), MANIFEST)
    return f"{scene.stub.host}/size/{name}:1"


@each({"-5": "-5", "null": "null", '"12"': '"12"', "1e10": "1e10", "2^63-1": str(2**63 - 1), "2^63": str(2**63),
       "1.5": "1.5", "list": "[]", "0": "0", "missing": ""})
def test_malformed_sizes_are_denied(scene, _name, size):
    image = with_sizes(scene, "malformed", "1000", size)
    found = scene.known(image)
    expect("layer 2" in found.get("malformed", "") and found["total"] == -1, f"{found}")
    status, report, _ = scene.check(pod(image))
    expect(status == 1 and "malformed" in report["results"][0]["violations"][0]["message"], f"{report}")


def test_sum_of_sizes_does_not_overflow(scene):
    found = scene.known(with_sizes(scene, "sum", *[str(2**53)] * 60))
    expect(found["total"] > 2**58 and "malformed" not in found or found["total"] == -1, f"{found['total']}")
    found = scene.known(with_sizes(scene, "sum-max", *[str(2**62)] * 4))
    expect(found["total"] == -1 and found["malformed"], f"{found['total']}")


def test_one_blob_twice_counts_once(scene):
    layer = Layer(code(20), 100 * MIB, "COPY a /a")
    found = scene.known(scene.stub.image("size/twice", [layer, layer]))
    expect(100 * MIB < found["total"] < 101 * MIB, f"{found['total']}")
    rows = [layer.row(), {**layer.row(), "size": 5}]
    scene.stub.put("size/two-sizes", "1", {**scene.stub.manifest([layer]), "layers": rows}, MANIFEST)
    found = scene.known(f"{scene.stub.host}/size/two-sizes:1")
    expect("same blob with two sizes" in found.get("malformed", ""), f"{found}")


def test_layers_none(scene):
    body = scene.stub.manifest([])
    scene.stub.put("size/none", "1", body, MANIFEST)
    found = scene.known(f"{scene.stub.host}/size/none:1")
    expect(not found["layers"] and "malformed" not in found and found["total"] == body["config"]["size"], f"{found}")


def test_layers_missing(scene):
    body = scene.stub.manifest([])
    del body["layers"]
    scene.stub.put("size/missing-list", "1", body, MANIFEST)
    found = scene.known(f"{scene.stub.host}/size/missing-list:1")
    expect(found.get("malformed") == "no list of layers", f"{found}")


def test_too_many_layers(scene):
    found = scene.known(with_sizes(scene, "many", *["10"] * 257))
    expect("257 layers" in found.get("malformed", ""), f"{found.get('malformed')}")


# --- indexes ---------------------------------------------------------------------------------------------------------

def child(scene, name, layers=None, arch="amd64", **more):
    """A descriptor of a manifest for an index."""
    layers = layers or cuda_base()
    row = scene.stub.put(name, "child", scene.stub.manifest(layers, scene.stub.config(layers, arch=arch)), MANIFEST)
    return {**row, "platform": {"os": "linux", "architecture": arch}, **more}


def index(scene, name, *rows, media_type=INDEX, **more):
    scene.stub.put(name, "1", {"schemaVersion": 2, "mediaType": media_type, "manifests": list(rows), **more}, media_type)
    return f"{scene.stub.host}/{name}:1"


ATTESTATION = {"platform": {"os": "unknown", "architecture": "unknown"},
               "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}


def test_index_of_two(scene):
    """The worst of the platforms counts, unless the pod says where it runs."""
    image = index(scene, "index/two", child(scene, "index/two"), child(scene, "index/two", [weights_layer()], "arm64"))
    found = scene.image(image)
    expect([one["platform"] for one in found["platforms"]] == ["linux/amd64", "linux/arm64"], f"{found}")
    expect(scene.check(pod(image))[0] == 1, "weights for arm64 were not seen")
    expect(scene.check(pod(image, nodeSelector={"kubernetes.io/arch": "amd64"}))[0] == 0, "amd64 was denied")
    expect(scene.check(pod(image, nodeSelector={"kubernetes.io/arch": "arm64"}))[0] == 1, "arm64 was not denied")


def test_platform_of_the_document(scene):
    """Where the Registry document says on what nodes its images run, unless the pod says more."""
    image = index(scene, "index/said", child(scene, "index/said"), child(scene, "index/said", [weights_layer()], "arm64"))
    for arch, want in (("amd64", 0), ("arm64", 1)):
        policy = scene.policy(platform=f"linux/{arch}")
        expect(scene.check(pod(image), policy=policy)[0] == want, f"{arch}: not exit {want}")
        expect(scene.known(image, policy=policy)["platform"] == f"linux/{arch}", arch)
    pinned = pod(image, nodeSelector={"kubernetes.io/arch": "arm64"})
    expect(scene.check(pinned, policy=scene.policy(platform="linux/amd64"))[0] == 1, "the pod's own word did not count")


def test_index_with_attestations(scene):
    name = "index/attested"
    dummy = scene.stub.put(name, "att", scene.stub.manifest([Layer(b"{}", 2, "", "application/vnd.in-toto+json")]), MANIFEST)
    artifact = {"mediaType": MANIFEST, "artifactType": "application/vnd.docker.attestation.manifest.v1+json",
                "digest": sha256(b"gone"), "size": 500}
    found = scene.known(index(scene, name, {**dummy, **ATTESTATION}, artifact, child(scene, name)))
    expect(found["platform"] == "linux/amd64", f"{found}")
    expect(not scene.stub.requests(dummy["digest"]) and not scene.stub.requests(artifact["digest"]), "an attestation was fetched")


def test_index_nested(scene):
    name = "index/nested"
    inner = scene.stub.put(name, "inner", {"schemaVersion": 2, "mediaType": INDEX, "manifests": [child(scene, name)]}, INDEX)
    expect(scene.known(index(scene, name, inner))["platform"] == "linux/amd64", "")


def test_index_in_itself_forever(scene):
    """Each one leads to another: an end is made of it."""
    name, rows = "index/deep", []
    for depth in range(8):
        rows = [scene.stub.put(name, f"d{depth}", {"schemaVersion": 2, "mediaType": INDEX, "manifests": rows}, INDEX)]
    why = scene.why(index(scene, name, *rows))
    expect("nothing runs on Linux" in why, why)
    expect(len(scene.stub.requests("index/deep/manifests")) <= 6, f"{len(scene.stub.requests('index/deep/manifests'))} requests")


def test_index_empty(scene):
    expect("nothing runs on Linux" in scene.why(index(scene, "index/empty")), "")


def test_index_of_windows(scene):
    row = child(scene, "index/windows", platform={"os": "windows", "architecture": "amd64", "os.version": "10.0.20348"})
    expect("nothing runs on Linux" in scene.why(index(scene, "index/windows", row)), "")


def test_index_arm64_only(scene):
    found = scene.known(index(scene, "index/arm64", child(scene, "index/arm64", arch="arm64")))
    expect(found["platform"] == "linux/arm64", f"{found}")


def test_index_unknown_media_type(scene):
    odd = {"mediaType": "application/vnd.example.thing+json", "digest": sha256(b"odd"), "size": 3}
    found = scene.image(index(scene, "index/odd", child(scene, "index/odd"), odd))
    expect([one["platform"] for one in found.get("platforms", [])] == ["linux/amd64"], f"{found}")


def test_index_of_docker(scene):
    expect(scene.known(index(scene, "index/docker", child(scene, "index/docker"), media_type=DOCKER_LIST))["layers"], "")


def test_index_child_digest_mismatch(scene):
    row = child(scene, "index/liar")
    other = child(scene, "index/liar2", [weights_layer()])
    scene.stub.manifests["index/liar", row["digest"]] = scene.stub.manifests["index/liar2", other["digest"]]
    why = scene.why(index(scene, "index/liar", row))
    expect("not what its index says" in why, why)


def test_index_child_length_mismatch(scene):
    row = child(scene, "index/length")
    why = scene.why(index(scene, "index/length", {**row, "size": row["size"] + 1}))
    expect("not what its index says" in why, why)


def test_index_of_2000(scene):
    """At most four are fetched, and the one that nodes will pull is among them."""
    name = "index/many"
    rows = [{"mediaType": MANIFEST, "digest": sha256(b"%d" % i), "size": 500,
             "platform": {"os": "linux", "architecture": f"x{i}"}}
            for i in range(2000)]
    rows[1500] = child(scene, name, [weights_layer()])
    layers = cuda_base()
    for i in range(4):
        rows[i] = {**child(scene, f"{name}", layers, f"x{i}"), "platform": {"os": "linux", "architecture": f"x{i}"}}
    found = scene.image(index(scene, name, *rows))
    expect(len(found["platforms"]) <= 4 and found["platforms"][0]["platform"] == "linux/amd64", f"{found['platforms'][:1]}")
    expect(len(scene.stub.requests(f"{name}/manifests", "GET")) <= 5, "too many were fetched")


# --- configs ---------------------------------------------------------------------------------------------------------

@each({"absent": {}, "null": {"history": None}, "misaligned": {"history": [{"created_by": "COPY a /a"}]}})
def test_history(scene, name, more):
    layers = cuda_base()
    config = {"mediaType": CONFIG, **scene.stub.blob(json.dumps({
        "architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": None}, **more}).encode())}
    scene.stub.put(f"config/{name}", "1", scene.stub.manifest(layers, config), MANIFEST)
    found = scene.known(f"{scene.stub.host}/config/{name}:1")
    expect(len(found["layers"]) == 3 and not any(one["command"] for one in found["layers"]), f"{found}")


def test_history_squashed_by_buildah(scene):
    """As buildah writes it: one layer, every COPY called empty, the layer given to CMD. The history is read all the same."""
    history = [{"created_by": "/bin/sh -c #(nop) COPY dir:0123 in /app ", "empty_layer": True},
               {"created_by": "/bin/sh -c huggingface-cli download meta-llama/Llama-3.1-8B --local-dir /models",
                "empty_layer": True},
               {"created_by": "/bin/sh -c #(nop) CMD [\"serve\"]"}]
    image = scene.stub.image("config/squashed", [Layer(code(30), 16 * GB, "")], history=history)
    found = scene.known(image)
    expect(found["proof"] and found["proof"]["by"] == "history", f"{found}")
    expect("huggingface-cli download" in found["proof"]["what"], f"{found}")
    status, report, _ = scene.check(pod(image))
    expect(status == 1 and "huggingface-cli download" in report["results"][0]["violations"][0]["message"], f"{report}")


def test_config_digest_mismatch(scene):
    config = scene.stub.config([], history=[{"created_by": "liar"}])
    scene.stub.put("config/liar", "1", {**scene.stub.manifest([]), "config": config}, MANIFEST)
    scene.stub.blobs[config["digest"]] = (b"{}", 2)
    why = scene.why(f"{scene.stub.host}/config/liar:1")
    expect("not what its digest says" in why, why)


def test_config_size_lies(scene):
    config = {**scene.stub.config([], history=[{"created_by": "x"}]), "size": 3}
    scene.stub.put("config/size", "1", {**scene.stub.manifest([]), "config": config}, MANIFEST)
    found = scene.known(f"{scene.stub.host}/config/size:1")
    expect("not of the size" in found.get("malformed", ""), f"{found}")


def test_config_data_inline(scene):
    layers = cuda_base()
    config = scene.stub.config(layers, history=[{"created_by": f"RUN {i}"} for i in range(3)])
    data, _ = scene.stub.blobs.pop(config["digest"])
    body = {**scene.stub.manifest(layers, {**config, "data": base64.b64encode(data).decode()})}
    scene.stub.put("config/inline", "1", body, MANIFEST)
    found = scene.known(f"{scene.stub.host}/config/inline:1")
    expect([one["command"] for one in found["layers"]] == ["RUN 0", "RUN 1", "RUN 2"], f"{found}")
    expect(not scene.stub.requests("config/inline/blobs/" + config["digest"]), "it was fetched all the same")


# --- what a registry makes of Accept ---------------------------------------------------------------------------------

# What is stored, what Accept must have for it to be told, and what comes instead.
SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
STORED = {"OCI index": INDEX, "OCI manifest": MANIFEST, "Docker list": DOCKER_LIST, "Docker manifest": DOCKER_MANIFEST}


@each(STORED)
def test_accept_matrix(scene, name, media_type):
    """As docker-registry 2.8.2 has it: an OCI type that Accept does not name is not there, a Docker one is rewritten."""
    repository = "accept/" + name.lower().replace(" ", "-")
    if media_type in (INDEX, DOCKER_LIST):
        index(scene, repository, child(scene, repository), media_type=media_type)
    else:
        scene.stub.put(repository, "1", {**scene.stub.manifest(cuda_base()), "mediaType": media_type}, media_type)
    heads = []

    def choosy(handler, kind, what):
        accepted = [part.split(";")[0].strip() for part in handler.headers.get("Accept", "").split(",")]
        if kind != "manifests" or what != "1":
            return False
        heads.append(accepted)
        if media_type in accepted:
            return False
        if media_type.startswith(OCI):
            handler.send(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        else:
            handler.send(200, json.dumps({"schemaVersion": 1, "fsLayers": []}).encode(), Content_Type=SCHEMA1)
        return True

    scene.stub.twists[repository] = choosy
    expect(len(scene.known(f"{scene.stub.host}/{repository}:1")["layers"]) == 3, "")
    expect(heads and all(set(STORED.values()) <= set(accepted) for accepted in heads), f"{heads}")


# --- media types -----------------------------------------------------------------------------------------------------

def test_artifacts(scene):
    """A model where a container wants an image; the same as a volume is fine."""
    cases = {
        "ollama": {"config": "application/vnd.docker.container.image.v1+json", "layer": "application/vnd.ollama.image.model"},
        "modelpack": {"config": "application/vnd.cncf.model.config.v1+json", "layer": "application/vnd.cncf.model.weight.v1.tar"},
        "docker-ai": {"config": "application/vnd.docker.ai.model.config.v0.1+json",
                      "layer": "application/vnd.docker.ai.safetensors"},
    }
    for name, types in cases.items():
        body = scene.stub.manifest([Layer(b"m", 4 * GB, "", types["layer"])])
        body["config"]["mediaType"] = types["config"]
        scene.stub.put(f"artifact/{name}", "1", body, MANIFEST)
        image = f"{scene.stub.host}/artifact/{name}:1"
        expect(scene.known(image).get("artifact"), f"{name}: no artifact")
        status, report, _ = scene.check(pod(image))
        expect(status == 1 and "artifact" in report["results"][0]["violations"][0]["message"], f"{name}: {report}")
        status, report, _ = scene.check(pod(volumes=[{"name": "m", "image": {"reference": image}}]))
        expect(status == 0, f"{name}: {report}")


def test_every_layer_counts(scene):
    """Whatever its media type is called, and though the registry does not have it."""
    odd = Layer(code(31), 3 * GB, "RUN a", "application/x-gzip")
    foreign = Layer(code(32), 2 * GB, "ADD b", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
    image = scene.stub.image("media/odd", [odd, foreign])
    del scene.stub.blobs[foreign.digest]
    found = scene.known(image)
    expect(5 * GB < found["total"] < 5.01 * GB and not found["layers"][1]["lookedInto"], f"{found}")


def test_schema_1_is_not_known(scene):
    prettyjws = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    scene.stub.put("media/schema1", "1", {"schemaVersion": 1, "fsLayers": [{"blobSum": sha256(b"x")}]}, prettyjws)
    why = scene.why(f"{scene.stub.host}/media/schema1:1")
    expect("schema 1" in why, why)


def test_media_types_contradict(scene):
    scene.stub.put("media/two", "1", scene.stub.manifest([]), DOCKER_MANIFEST)
    why = scene.why(f"{scene.stub.host}/media/two:1")
    expect("says that it is" in why, why)
    body = {**scene.stub.manifest([]), "manifests": []}
    scene.stub.put("media/both", "1", body, MANIFEST)
    why = scene.why(f"{scene.stub.host}/media/both:1")
    expect("both an index and a manifest" in why, why)


def test_media_type_absent(scene):
    body = scene.stub.manifest(cuda_base())
    del body["mediaType"]
    for name, header in (("header", f"{MANIFEST}; charset=utf-8"), ("shape", "application/json")):
        scene.stub.put(f"media/{name}", "1", body, header)
        expect(len(scene.known(f"{scene.stub.host}/media/{name}:1")["layers"]) == 3, name)


def test_not_json(scene):
    for name, body in (("text", b"<html>"), ("cut", b'{"schemaVersion": 2, "layers": ['), ("list", b"[]"), ("empty", b""),
                       ("deep", b'{"a":' * 5000), ("zeros", bytes(100))):
        scene.stub.put(f"media/{name}", "1", body, MANIFEST)
        expect(scene.stub.host in scene.why(f"{scene.stub.host}/media/{name}:1"), name)


if __name__ == "__main__":
    run_all(globals())
