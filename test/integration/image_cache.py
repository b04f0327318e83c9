#!/usr/bin/python3
"""What is kept of images: files that later runs answer from, and whose word counts."""
import gzip
import json
import os
import shutil
import stat
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from registry_fixture import (GB, Layer, ask, code, cuda_base, expect, harness, pod, run_all, tar_file,  # noqa: E402
                              weights_layer)


def folder(scene, name):
    return f"{scene.folder}/{name}"


def files(path):
    return sorted(os.listdir(path)) if os.path.isdir(path) else []


def check(scene, cache, *images, more=(), policy=None):
    status, report, err = scene.check(*[pod(one, name=f"p{i}") for i, one in enumerate(images)], policy=policy,
                                      args=["--image-cache", cache, *more])
    return status, [[v["message"] for v in result["violations"]] for result in report["results"]], err


def test_offline_from_files(scene):
    """The same report, and nobody is asked."""
    cache = folder(scene, "offline")
    image, clean = scene.stub.image("cache/a", [*cuda_base(), weights_layer()]), scene.stub.image("cache/b", cuda_base())
    first = check(scene, cache, image, clean)
    expect(first[0] == 1 and "model-00001" in first[1][0][0] and not first[1][1], f"{first}")
    expect(stat.S_IMODE(os.stat(cache).st_mode) == 0o700, oct(os.stat(cache).st_mode))
    expect(len(files(cache)) == 4, f"{files(cache)}")
    for name in files(cache):
        expect(stat.S_IMODE(os.stat(f"{cache}/{name}").st_mode) == 0o600, name)
    asked = len(scene.stub.asked)
    expect(check(scene, cache, image, clean, more=["--offline"])[:2] == first[:2], "another report offline")
    expect(len(scene.stub.asked) == asked, "the registry was asked")
    absent = scene.stub.image("cache/c", cuda_base())
    status, messages, _ = check(scene, cache, absent, more=["--offline"])
    expect(status == 0 and "not in the cache" in messages[0][0], f"{status} {messages}")
    deny = scene.policy("unknown: deny", name="deny.yaml")
    status, messages, err = check(scene, cache, absent, more=["--offline"], policy=deny)
    expect(status == 1 and len(scene.stub.asked) == asked, f"{status} {messages} {err}")


def test_offline_without_files(scene):
    image = scene.stub.image("cache/none", [weights_layer()])
    status, report, err = scene.check(pod(image), args=["--offline"])
    expect(status == 0 and "imageSize is left out" in err and not report["results"][0]["violations"], f"{status} {report}")


def test_files_that_are_none(scene):
    """Broken, cut, of another hand, no file at all: asked again, and mended where it can be."""
    cache = folder(scene, "broken")
    image = scene.stub.image("cache/broken", [*cuda_base(), weights_layer()])

    def spoil(path, how):
        text = open(path, "rb").read()
        os.remove(path)
        if how == "directory":
            os.mkdir(path)
        elif how == "link":
            with open(f"{scene.folder}/elsewhere", "wb") as file:
                file.write(text)
            os.symlink(f"{scene.folder}/elsewhere", path)
        elif how == "fifo":
            os.mkfifo(path)
        else:
            with open(path, "wb") as file:
                file.write({"empty": b"", "cut": text[:len(text) // 2], "noise": os.urandom(5000),
                            "large": text + b" " * (1 << 20),
                            "other": text.replace(b"sha256:", b"sha256:0"), "writable": text}[how])
            os.chmod(path, 0o666 if how == "writable" else 0o600)

    for how in ("empty", "cut", "noise", "large", "other", "writable", "link", "directory", "fifo"):
        shutil.rmtree(cache, ignore_errors=True)
        expect(check(scene, cache, image)[0] == 1, how)
        for name in files(cache):
            spoil(f"{cache}/{name}", how)
        status, messages, _ = check(scene, cache, image, more=["--offline"])
        expect(status == 0 and "not in the cache" in messages[0][0], f"{how}: {status} {messages}")
        expect(check(scene, cache, image)[0] == 1, how)
        again = check(scene, cache, image, more=["--offline"])
        expect(again[0] == (0 if how == "directory" else 1), f"{how}: {again}")


def test_no_place_for_files(scene):
    image = scene.stub.image("cache/place", cuda_base())
    plain = scene.write("plain", "x")
    for cache, says in ((f"{scene.folder}/a/b", "No such file"), (plain, "no directory")):
        for command in (["check", scene.write("place.json", pod(image))], ["image", image]):
            status, out, err = harness.run([command[0], "--policies", scene.policy(), "--image-cache", cache, *command[1:]])
            expect(status == 2 and says in err and cache in err, f"{command}: {status} {out}{err}")


def test_server_that_starts_again(scene):
    """It asks for the digest and whether it may see it, not for what it knows."""
    cache = folder(scene, "server")
    image = scene.stub.image("cache/server", [*cuda_base(), weights_layer()])
    for turn in range(2):
        before = len(scene.stub.requests("/v2/cache/server/"))
        with scene.server(extra=["--image-cache", cache]) as server:
            response, _ = ask(server, pod(image))
            expect(not response["allowed"] and "model-00001" in response["status"]["message"], f"{response}")
        asked = [method for method, _, _ in scene.stub.requests("/v2/cache/server/")[before:]]
        expect(asked == ["HEAD"] if turn else "GET" in asked, f"{turn}: {asked}")


def test_image_command(scene):
    cache = folder(scene, "command")
    image = scene.stub.image("cache/command", [*cuda_base(), weights_layer()])
    one = scene.images(image, args=["--image-cache", cache])
    before = len(scene.stub.asked)
    expect(scene.images(image, args=["--image-cache", cache]) == one, "another answer")
    expect([method for method, _, _ in scene.stub.asked[before:]] == ["HEAD"], f"{scene.stub.asked[before:]}")


def test_another_registrys_word(scene):
    """Who claims to have the same digest, with other bytes behind it, says nothing of the image elsewhere, nor learns of it."""
    layers = [Layer(code(70), 2 * GB, "RUN make"), weights_layer()]
    image = scene.stub.image("cache/word", layers, history=[{"created_by": "RUN make"}] * 2)
    scene.other.image("cache/word", layers, history=[{"created_by": "RUN make"}] * 2)
    for layer in layers:
        data = gzip.compress(tar_file("a.txt", b"harmless") + bytes(1024))
        scene.other.blobs[layer.digest] = (data + bytes(1 << 20), layer.size)
    digest = next(what for name, what in scene.stub.manifests if name == "cache/word" and what.startswith("sha256:"))
    cache = folder(scene, "word")
    with scene.server(extra=["--image-cache", cache]) as server:
        response, _ = ask(server, pod(f"{scene.other.host}/cache/word@{digest}"))
        expect(response["allowed"], f"{response}")
        response, _ = ask(server, pod(image))
        expect(not response["allowed"] and "model-00001" in response["status"]["message"], f"{response}")
        asked = len(scene.other.requests("/v2/cache/liar/"))
        response, _ = ask(server, pod(f"{scene.other.host}/cache/liar@{digest}"))
        told = response.get("auditAnnotations", {}).get("violations")
        expect(response["allowed"] and told == "images/imageSize=warn" and "model" not in json.dumps(response), f"{response}")
        expect(len(scene.other.requests("/v2/cache/liar/")) > asked, "nobody was asked")


if __name__ == "__main__":
    run_all(globals())
