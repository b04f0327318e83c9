#!/usr/bin/python3
"""References of images as container runtimes read them, by what a registry is asked for."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import registry_items  # noqa: E402
from registry_fixture import cuda_base, expect, harness, run_all, sha256  # noqa: E402

HEX = "0123456789abcdef" * 4
BAD_NAMES = ["foo/Bar", "foo.io/Bar", "foo@sha256:abc", f"foo@sha256:{HEX[1:]}", f"foo@sha256:{HEX}0",
             f"foo@sha256:{HEX.upper()}", f"foo@SHA256:{HEX}", "foo@md5:" + HEX[:32], HEX, "a___b", "a..b", "a._b", "a-",
             "_a", "a_", "foo:-x", "foo:.x", "foo:", "foo:" + "t" * 129, "foo/", "/foo", "foo//bar", " foo",
             "foo\n", "https://foo.io/bar", "foo.io/bar?x", "foo.io:/bar", "foo.io:99999/bar", "[fe80::1%25eth0]:5000/foo",
             "::1/foo", "foo_bar.com/x", "foo_bar.com:5000/x", "myhost.", "foo.-io/x", "shé.io/x", "foo.io/" + "a" * 256]


def test_names_that_are_none(scene):
    status, images = scene.images(*BAD_NAMES, policy=scene.policy(hosts=[]))
    expect(status == 3 and len(images) == len(BAD_NAMES), f"exit {status}")
    words = ("no image reference", "a digest that is neither", "no host that can be asked")
    wrong = [(name, image) for name, image in zip(BAD_NAMES, images) if not any(word in image.get("error", "") for word in words)]
    expect(not wrong, f"taken for names: {wrong}")


def test_names_that_are_the_same(scene):
    """What Docker Hub is called, and what is left out, by what a mirror of it is asked for."""
    scene.stub.image("library/ubuntu", cuda_base(), tag="latest")
    scene.stub.image("team/x", cuda_base(), tag="latest")
    policy = scene.policy(hosts=[scene.stub.host])
    with open(policy, "a", encoding="utf-8") as file:
        file.write("---\napiVersion: mlgate.dev/v1\nkind: Registry\nmetadata: {name: hub}\n"
                   f'spec: {{host: docker.io, mirror: "{scene.stub.host}"}}\n')
    for name in ("a__b/c", "a--b/c", "a.b/c", "x/" + HEX):
        scene.stub.image(name, cuda_base(), tag="_T.1")
        expect(scene.known(f"{scene.stub.host}/{name}:_T.1", policy=policy)["layers"], name)
    for name, want in (("ubuntu", "library/ubuntu"), ("docker.io/ubuntu", "library/ubuntu"),
                       ("index.docker.io/ubuntu", "library/ubuntu"),
                       ("docker.io/library/ubuntu:latest", "library/ubuntu"), ("team/x", "team/x"),
                       (f"{scene.stub.host}/team/x", "team/x")):
        before = len(scene.stub.requests(f"/v2/{want}/manifests/latest"))
        expect(scene.known(name, policy=policy)["layers"], name)
        expect(len(scene.stub.requests(f"/v2/{want}/manifests/latest")) > before, f"{name} was not asked for as {want}")


def test_names_with_tag_and_digest(scene):
    """The digest counts, and needs no HEAD."""
    scene.stub.image("names/both", cuda_base())
    digest = sha256(scene.stub.manifests["names/both", "1"][1])
    expect(scene.known(f"{scene.stub.host}/names/both:none@{digest}")["layers"], "")
    asked = [(method, path) for method, path, _ in scene.stub.requests("names/both/manifests")]
    expect(asked == [("GET", f"/v2/names/both/manifests/{digest}")], f"{asked}")
    expect(scene.why(f"{scene.stub.host}/names/both@{sha256(b'other')}"), "")


# --- what must be tested ---------------------------------------------------------------------------------------------

def test_programs_that_registry_items_names(_scene):
    """Integration tests are there to be run, and look for theirs themselves; those of units are run here."""
    folder = os.path.dirname(os.path.abspath(__file__))
    for program, items in registry_items.ITEMS.items():
        if program.endswith(".py"):
            expect(os.access(f"{folder}/{program}", os.X_OK), f"{program} is no program")
            continue
        done = subprocess.run([f"{harness.BUILD}/unit/{program}"], env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "tap"}, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, text=True)
        ran = set(re.findall(r"^ok \d+ - (\w+)$", done.stdout, re.M))
        expect(not set(items.values()) - ran, f"{program}: not ok or not run: {sorted(set(items.values()) - ran)}")


if __name__ == "__main__":
    run_all(globals())
