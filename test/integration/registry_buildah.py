#!/usr/bin/python3
"""Images as buildah builds them and skopeo pushes them, in Debian's docker-registry; where all three are installed, as root."""
import contextlib
import glob
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from registry_debian import PROGRAM, Real  # noqa: E402
from registry_fixture import (DOCKER_MANIFEST, INDEX, MANIFEST, MIB, SAFETENSORS, each, expect, harness, noise,  # noqa: E402
                              pod, run_all)

FILE = "model-00001-of-00001.safetensors"
SIZE = 104 * MIB  # a little more than what is too small for a proof
COMMAND = "huggingface-cli download meta-llama/Llama-3.1-8B --local-dir /models"
CACHE = "/var/lib/containers/cache"  # the one place of these tools that follows no option
BAKED = 'FROM scratch\nCOPY code/ /app/\nENV HF_HOME=/cache\nCOPY weights/ /WHERE/\nCMD ["serve"]\n'
CLEAN = 'FROM scratch\nCOPY app/ /app/\nCMD ["serve"]\n'
BEHIND = "FROM scratch\nCOPY behind/ /WHERE/\n"
FETCHED = f"FROM scratch\nCOPY sh/ /\nCOPY app/ /app/\nRUN {COMMAND}\nCMD [\"serve\"]\n"


def call(*command, cwd=None):
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=120, check=False, text=True, env={**os.environ, "TMPDIR": cwd or "/tmp"})
    expect(done.returncode == 0, f"{' '.join(command[:1])}: exit {done.returncode}: {done.stdout[-1500:]}")
    return done.stdout


def write(path, data, size=None):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
        file.truncate(size or len(data))


class Built(Real):
    """Storage for buildah beside the registry, and what images are made of."""

    def __enter__(self):
        self.there = glob.glob(f"{CACHE}/*")
        super().__enter__()
        self.work = f"{self.folder}/work"
        write(f"{self.work}/registries", b"")
        write(f"{self.work}/policy.json", b'{"default": [{"type": "insecureAcceptAnything"}]}')
        write(f"{self.work}/trust/ca.crt", open(f"{self.folder}/ca.crt", "rb").read())
        write(f"{self.work}/app/main.bin", noise(2 * MIB))
        write(f"{self.work}/code/main.py", b"import torch\n")
        write(f"{self.work}/weights/config.json", b'{"architectures": ["LlamaForCausalLM"]}')
        write(f"{self.work}/weights/{FILE}", SAFETENSORS + noise(2 * MIB), SIZE)
        write(f"{self.work}/behind/a/data.bin", noise(3 * MIB))
        write(f"{self.work}/behind/z/{FILE}", SAFETENSORS + noise(2 * MIB), SIZE)
        return self

    def __exit__(self, *args):
        with contextlib.suppress(Exception):
            self.buildah("rmi", "--all", "--force")
        super().__exit__(*args)
        for path in set(glob.glob(f"{CACHE}/*")) - set(self.there):
            os.remove(path)
        with contextlib.suppress(OSError):
            os.removedirs(CACHE)

    def buildah(self, *args):
        return call("buildah", "--root", f"{self.work}/storage", "--runroot", f"{self.work}/run", "--storage-driver", "vfs",
                    "--registries-conf", f"{self.work}/registries", *args, cwd=self.work)

    def build(self, name, containerfile, *options):
        """An OCI layout of that name; its path. Its weights lie in a folder of that name, too: a layer that the registry has
        already would not be pushed again in another form."""
        write(f"{self.work}/{name}.file", containerfile.replace("WHERE", name).encode())
        self.buildah("bud", "--quiet", "--isolation=chroot", "--file", f"{name}.file", "--tag", f"localhost/{name}:1",
                     *options, ".")
        self.buildah("push", "--quiet", f"localhost/{name}:1", f"oci:{self.work}/{name}:1")
        return f"oci:{self.work}/{name}:1"

    def skopeo(self, layout, name, *options):
        """The reference of what has been pushed."""
        call("skopeo", "--policy", f"{self.work}/policy.json", "--registries-conf", f"{self.work}/registries", "copy", "--quiet",
             "--dest-cert-dir", f"{self.work}/trust", *options, layout, f"docker://{self.host}/{name}", cwd=self.work)
        return f"{self.host}/{name}"

    def judged(self, image):
        """What `image` knows of it, and the messages of what `check` denies."""
        policy = self.policy("weights: deny, evidenceSize: 1Mi", hosts=[self.host])
        status, report, err = self.check(pod(image), policy=policy)
        messages = [one["message"] for one in report["results"][0]["violations"]]
        expect(status == (1 if messages else 0), f"exit {status}: {err} {report}")
        return self.known(image, policy=policy), messages


def shell(scene):
    """A shell of this machine with a program that the build calls, as /sh of the context."""
    needed = [word for word in call("ldd", "/bin/sh").split() if word.startswith("/")]
    for path in ["/bin/sh", *needed]:
        os.makedirs(f"{scene.work}/sh{os.path.dirname(path)}", exist_ok=True)
        shutil.copy(os.path.realpath(path), f"{scene.work}/sh{path}")
    write(f"{scene.work}/sh/bin/huggingface-cli", b"#!/bin/sh\necho \"$@\" >/fetched\n")
    os.chmod(f"{scene.work}/sh/bin/huggingface-cli", 0o755)


def expect_weights(found, messages, layer, where):
    proof = found["layers"][layer]["proof"]
    expect(proof and proof["by"] == "file" and proof["what"] == f"{where}/{FILE}" and proof["size"] == SIZE, f"{found}")
    expect(len(messages) == 1 and f"{FILE} (104 MiB)" in messages[0], f"{messages}")


def test_history_of_layers(scene):
    """buildah bud --layers: one layer an instruction, and the line that brought the weights is named."""
    found, messages = scene.judged(scene.skopeo(scene.build("layers", BAKED, "--layers"), "built/layers:1"))
    expect(len(found["layers"]) == 2, f"{found}")
    expect_weights(found, messages, 1, "layers")
    expect("in layer 2 of 2" in messages[0] and "COPY dir:" in messages[0] and "in /layers/" in messages[0], f"{messages}")


def test_history_squashed(scene):
    """buildah bud as it is: one layer, given to CMD; every COPY says that it is empty."""
    layout = scene.build("squashed", BAKED)
    with open(f"{scene.work}/squashed/index.json", encoding="utf-8") as file:
        manifest = json.load(file)["manifests"][0]["digest"].split(":")[1]
    with open(f"{scene.work}/squashed/blobs/sha256/{manifest}", encoding="utf-8") as file:
        config = json.load(file)["config"]["digest"].split(":")[1]
    with open(f"{scene.work}/squashed/blobs/sha256/{config}", encoding="utf-8") as file:
        history = json.load(file)["history"]
    expect([one.get("empty_layer", False) for one in history] == [True] * (len(history) - 1) + [False], f"{history}")
    found, messages = scene.judged(scene.skopeo(layout, "built/squashed:1"))
    expect(len(found["layers"]) == 1, f"{found}")
    expect_weights(found, messages, 0, "squashed")


def test_history_tells_of_a_download(scene):
    """Nothing in the layer is a weight's file; what RUN did is."""
    shell(scene)
    found, messages = scene.judged(scene.skopeo(scene.build("fetched", FETCHED), "built/fetched:1"))
    proof = found["proof"]
    expect(proof and proof["by"] == "history" and "huggingface-cli download" in proof["what"], f"{found}")
    expect(len(messages) == 1 and "huggingface-cli download" in messages[0], f"{messages}")


@each(["--layers", "--layers=false"])
def test_no_weights(scene, option):
    name = "clean" + option.strip("-").replace("=", "-")
    found, messages = scene.judged(scene.skopeo(scene.build(name, CLEAN, option), f"built/{name}:1"))
    expect(not messages and not any(one["proof"] for one in found["layers"]) and found["layers"][0]["lookedInto"], f"{found}")


@each({"zstd": ("oci", "zstd", MANIFEST, "tar+zstd"),
       "zstd:chunked": ("oci", "zstd:chunked", MANIFEST, "tar+zstd"), "Docker": ("v2s2", "gzip", DOCKER_MANIFEST, "tar.gzip")})
def test_pushed_as(scene, name, how):
    manifest_format, compression, media_type, layer_type = how
    name = name.lower().replace(":", "-")
    image = scene.skopeo(scene.build(name, BAKED, "--layers"), f"built/{name}:1", "--format", manifest_format,
                         "--dest-compress-format", compression)
    status, headers, body = scene.request("GET", f"/v2/built/{name}/manifests/1", Accept=media_type)
    layers = json.loads(body)["layers"]
    expect(status == 200 and headers["Content-Type"] == media_type, f"{status} {headers['Content-Type']}")
    expect(layers[1]["mediaType"].endswith(layer_type), f"{layers}")
    contents = [key for key in layers[1].get("annotations", {}) if "zstd-chunked" in key]
    expect(bool(contents) == (compression == "zstd:chunked"), f"{layers}")
    found, messages = scene.judged(image)
    expect_weights(found, messages, 1, name)


@each({"gzip": False, "zstd:chunked": True})
def test_behind_other_files(scene, compression, seen):
    """3 MiB of other data come first: further back than is looked, but the table of contents tells."""
    name = "behind-" + compression.replace(":", "-")
    image = scene.skopeo(scene.build(name, BEHIND), f"built/{name}:1", "--format", "oci", "--dest-compress-format", compression)
    found, messages = scene.judged(image)
    if seen:
        expect_weights(found, messages, 0, f"{name}/z")
    else:
        expect(not messages and found["layers"][0]["lookedInto"] and not found["layers"][0]["proof"], f"{found} {messages}")


def test_index_of_platforms(scene):
    """As `buildah bud --platform A,B --manifest` makes it."""
    write(f"{scene.work}/platforms.file", BAKED.replace("WHERE", "models").encode())
    scene.buildah("bud", "--quiet", "--file", "platforms.file", "--platform", "linux/amd64,linux/arm64", "--manifest",
                  "localhost/platforms:1", ".")
    scene.buildah("manifest", "push", "--quiet", "--all", "localhost/platforms:1", f"oci:{scene.work}/platforms:1")
    image = scene.skopeo(f"oci:{scene.work}/platforms:1", "built/platforms:1", "--all")
    status, headers, _ = scene.request("GET", "/v2/built/platforms/manifests/1", Accept=INDEX)
    expect(status == 200 and headers["Content-Type"] == INDEX, f"{status} {headers['Content-Type']}")
    found = scene.image(image, policy=scene.policy("weights: deny, evidenceSize: 1Mi", hosts=[scene.host]))
    expect([one["platform"] for one in found["platforms"]] == ["linux/amd64", "linux/arm64"], f"{found}")
    expect(all(any(layer["proof"] for layer in one["layers"]) for one in found["platforms"]), f"{found}")


def why_not():
    lacking = [name for name in ("buildah", "skopeo") if not shutil.which(name)] + ([] if PROGRAM else ["docker-registry"])
    return f"{', '.join(lacking)}: not installed" if lacking else None if os.geteuid() == 0 else "only root can build images here"


if __name__ == "__main__":
    run_all(globals(), Built, why_not())
