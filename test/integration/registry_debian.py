#!/usr/bin/python3
"""Against Debian's docker-registry, where it is installed: what it makes of Accept headers and claimed sizes."""
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from registry_fixture import (DOCKER_LIST, DOCKER_MANIFEST, INDEX, MANIFEST, SHARD, Layer, Scene, code,  # noqa: E402
                              cuda_base, expect, harness, pod, run_all, sha256, weights_layer)

PROGRAM = shutil.which("docker-registry")
ALL = ", ".join((INDEX, MANIFEST, DOCKER_LIST, DOCKER_MANIFEST))
CONFIG_YML = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "127.0.0.1:{port}", tls: {{certificate: {folder}/srv.crt, key: {folder}/srv.key}}}}
"""


class Real(Scene):
    """A docker-registry beside the stubs, for the time of the tests."""

    def __enter__(self):
        super().__enter__()
        self.port = harness.free_port()
        self.host = f"localhost:{self.port}"
        path = self.write("registry.yml", CONFIG_YML.format(folder=self.folder, port=self.port))
        self.log = open(f"{self.folder}/registry.log", "wb")
        self.process = subprocess.Popen([PROGRAM, "serve", path], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.trust = ssl.create_default_context(cafile=f"{self.folder}/ca.crt")
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                if self.request("GET", "/v2/")[0] == 200:
                    break
            except OSError:
                time.sleep(0.05)
        return self

    def __exit__(self, *args):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()
        super().__exit__(*args)

    def request(self, method, path, body=None, **headers):
        """(status, headers, body)"""
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=20, context=self.trust)
        try:
            connection.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def push_blob(self, name, data):
        status, headers, body = self.request("POST", f"/v2/{name}/blobs/uploads/", b"")
        expect(status == 202, f"{status} {body}")
        where = urllib.parse.urlparse(headers["Location"])
        query = f"{where.query}&digest={sha256(data)}"
        status, _, body = self.request("PUT", f"{where.path}?{query}", data, Content_Type="application/octet-stream")
        expect(status == 201, f"{status} {body}")
        return {"digest": sha256(data), "size": len(data)}

    def push(self, name, tag, body, media_type):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, _, reply = self.request("PUT", f"/v2/{name}/manifests/{tag}", body, Content_Type=media_type)
        expect(status == 201, f"{status} {reply}")
        return {"mediaType": media_type, "digest": sha256(body), "size": len(body)}

    def push_manifest(self, name, tag, layers, media_type=MANIFEST, sizes=None, arch="amd64"):
        """Real blobs, with the sizes that are claimed of them."""
        rows = [{"mediaType": layer.media_type if media_type == MANIFEST else "application/vnd.docker.image.rootfs.diff.tar.gzip",
                 "digest": self.push_blob(name, layer.data)["digest"], "size": size}
                for layer, size in zip(layers, sizes or [layer.size for layer in layers])]
        history = [{"created_by": layer.command} for layer in layers]
        config = json.dumps({"architecture": arch, "os": "linux", "config": {}, "history": history,
                             "rootfs": {"type": "layers", "diff_ids": [sha256(layer.data) for layer in layers]}}).encode()
        config_type = "application/vnd.oci.image.config.v1+json" if media_type == MANIFEST else \
            "application/vnd.docker.container.image.v1+json"
        return self.push(name, tag, {"schemaVersion": 2, "mediaType": media_type, "layers": rows,
                                     "config": {"mediaType": config_type, **self.push_blob(name, config)}}, media_type)

    def push_index(self, name, tag, media_type=INDEX):
        child_type = MANIFEST if media_type == INDEX else DOCKER_MANIFEST
        rows = [{**self.push_manifest(name, arch, cuda_base(), child_type, arch=arch),
                 "platform": {"os": "linux", "architecture": arch}}
                for arch in ("amd64", "arm64")]
        return self.push(name, tag, {"schemaVersion": 2, "mediaType": media_type, "manifests": rows}, media_type)

    def settings(self):
        return self.policy(hosts=[self.host])


def test_accept_matrix_of_docker_registry(scene):
    """What a wrong Accept would make of an image, and that mlgate's is not one."""
    scene.push_index("accept/oci", "1")
    scene.push_index("accept/docker", "1", DOCKER_LIST)
    scene.push_manifest("accept/single", "1", cuda_base())
    docker_only, oci_only = f"{DOCKER_LIST}, {DOCKER_MANIFEST}", f"{INDEX}, {MANIFEST}"
    schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    rows = [("oci", accept, 404, None) for accept in (None, "*/*", "application/json", docker_only, MANIFEST)] + \
           [("single", accept, 404, None) for accept in ("*/*", docker_only)] + \
           [("docker", accept, 200, schema1) for accept in (None, oci_only)] + \
           [("docker", DOCKER_MANIFEST, 200, DOCKER_MANIFEST), ("docker", ALL, 200, DOCKER_LIST), ("oci", ALL, 200, INDEX),
            ("single", ALL, 200, MANIFEST)]
    for name, accept, want, media_type in rows:
        status, headers, _ = scene.request("GET", f"/v2/accept/{name}/manifests/1", **({"Accept": accept} if accept else {}))
        kind = headers["Content-Type"]
        expect(status == want and media_type in (None, kind), f"{name} {accept}: {status} {kind}")
    for name, platforms in (("oci", 2), ("docker", 2), ("single", 1)):
        found = scene.image(f"{scene.host}/accept/{name}:1", policy=scene.settings())
        expect(len(found["platforms"]) == platforms and len(found["platforms"][0]["layers"]) == 3, f"{name}: {found}")


def test_weights_in_a_real_registry(scene):
    """Blobs of 300 KB that a manifest says are of 15 GB."""
    scene.push_manifest("real/baked", "1", [*cuda_base(), Layer(code(4), 6_500 * 10**6, "RUN pip install vllm"), weights_layer()])
    image = f"{scene.host}/real/baked:1"
    status, report, err = scene.check(pod(image), policy=scene.settings())
    expect(status == 1, f"exit {status}: {err} {report}")
    message = report["results"][0]["violations"][0]["message"]
    expect(f"{SHARD} (4.57 GiB)" in message and "COPY ./weights/ /models/" in message, message)
    begun = time.monotonic()
    scene.known(image, policy=scene.settings())
    harness.Tap.note(f"mlgate image against docker-registry: {(time.monotonic() - begun) * 1000:.0f} ms, its start in it")


def test_sizes_that_it_takes(scene):
    """It takes any size; mlgate does not."""
    for i, size in enumerate((-5, None, 2**63 - 1)):
        layer = Layer(code(50 + i), 100, "COPY a /")
        scene.push_manifest(f"real/size{i}", "1", [layer], sizes=[size])
        found = scene.known(f"{scene.host}/real/size{i}:1", policy=scene.settings())
        expect("layer 1" in found.get("malformed", ""), f"{size}: {found}")


def test_what_is_not_there(scene):
    for name in ("real/none:1", "accept/oci:none", "accept/oci@" + sha256(b"none")):
        why = scene.why(f"{scene.host}/{name}", policy=scene.settings())
        expect("no such thing" in why, f"{name}: {why}")


if __name__ == "__main__":
    run_all(globals(), Real, None if PROGRAM else "docker-registry is not installed")
