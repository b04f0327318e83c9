#!/usr/bin/python3
"""imageSize in serve, check and image, over plain HTTP; slow, broken and absent registries."""
import base64
import contextlib
import http.client
import json
import os
import re
import ssl
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from registry_fixture import (MIB, SAFETENSORS, SLOW, TAR, Layer, Stub, ask, expect, harness, pod, run_all,  # noqa: E402
                              tar_head)

FILE = "models/model-00001-of-00001.safetensors"
BASE = [Layer(b"base", 3 * MIB, "ADD rootfs.tar in /", TAR), Layer(b"python", 40 * MIB, "RUN apt-get install python3", TAR)]
CODE = Layer(tar_head("app/main.py", 4000) + b"import torch", 5 * MIB, "COPY app/ /app/", TAR)
FAT = Layer(tar_head(FILE, 400 * MIB) + SAFETENSORS, 401 * MIB, "COPY weights/ /models/ # buildkit", TAR)


def says(status, **headers):
    """A registry that answers everything with this."""
    def twist(handler, _kind, _what):
        handler.send(status, b'{"errors":[{"code":"DENIED"}]}', **headers)
        return True

    return twist


def wants(login):
    """A registry that answers whom it knows."""
    def twist(handler, kind, what):
        known = handler.headers.get("Authorization") == login
        return not known and says(401, WWW_Authenticate='Basic realm="test"')(handler, kind, what)

    return twist


def policy(registry, action="enforce", more="", host=None, timeout="3s"):
    return f"""apiVersion: mlgate.dev/v1
kind: Policy
metadata: {{name: images}}
spec:
  action: {action}
  rules:
  - imageSize: {{weights: deny{more}}}
---
apiVersion: mlgate.dev/v1
kind: Registry
metadata: {{name: local}}
spec: {{host: "{host or registry.host}", insecure: true, timeout: {timeout}}}
"""


@contextlib.contextmanager
def scene(more="", **keys):
    """A registry with images, and a folder with a policy."""
    with Stub(None, tls=False) as registry, tempfile.TemporaryDirectory(prefix="mlgate-images-") as folder:
        registry.fat = registry.image("team/llm", [*BASE, CODE, FAT])
        registry.slim = registry.image("team/app", [*BASE, CODE])
        registry.base = registry.image("base/python", BASE)
        with open(f"{folder}/policy.yaml", "w", encoding="utf-8") as file:
            file.write(policy(registry, more=more, **keys))
        yield registry, folder


def write(folder, name, *objects):
    with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
        file.write(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))
    return name


def checked(folder, *args, stdin=b""):
    return harness.check(["--policies", "policy.yaml", *args], cwd=folder, stdin=stdin)


# --- check -----------------------------------------------------------------------------------------------------------

def test_check():
    with scene() as (registry, folder):
        write(folder, "pods.yaml", pod(registry.fat), pod(registry.slim, name="q"))
        status, report, err = checked(folder, "pods.yaml")
        expect(status == 1, f"exit {status}: {err}")
        [fat, slim] = report["results"]
        expect(not fat["allowed"] and slim["allowed"] and not slim["violations"], f"{report}")
        message = fat["violations"][0]["message"]
        for part in (registry.fat, "models/model-00001-of-00001.safetensors (400 MiB)", "layer 4 of 4 (401 MiB)",
                     "COPY weights/ /models/", "linux/amd64: 449", "in all"):
            expect(part in message, f"no {part!r} in {message!r}")
        expect(fat["violations"][0]["path"] == "spec.containers[0].image", f"{fat['violations']}")


def test_check_standard_input():
    """Read once, judged twice."""
    with scene() as (registry, folder):
        status, report, err = checked(folder, "-", stdin=json.dumps(pod(registry.fat)).encode())
        expect(status == 1 and len(report["results"]) == 1, f"exit {status}: {err} {report}")
        expect(report["summary"]["files"] == 1 and report["summary"]["objects"] == 1, f"{report['summary']}")


def test_check_review():
    """A recorded AdmissionReview is judged like the object in it."""
    with scene() as (registry, folder):
        with open(f"{folder}/review.json", "w", encoding="utf-8") as file:
            json.dump(harness.review(pod(registry.fat)), file)
        status, report, err = checked(folder, "review.json")
        expect(status == 1 and not report["results"][0]["allowed"], f"exit {status}: {err} {report}")


def test_check_login():
    """The credentials of whoever runs it."""
    with scene(more=", unknown: deny") as (registry, folder):
        login = base64.b64encode(b"kim:secret").decode()
        registry.twists["team/app"] = wants(f"Basic {login}")
        write(folder, "pods.yaml", pod(registry.slim))
        command = ["check", "--policies", "policy.yaml", "pods.yaml"]
        status, out, _ = harness.run(command, cwd=folder, env={"DOCKER_CONFIG": f"{folder}/none"})
        expect(status == 1 and "could not be looked into" in out, f"exit {status}: {out}")
        for more in ({"DOCKER_CONFIG": f"{folder}/.docker"}, {"DOCKER_CONFIG": "", "HOME": folder}):
            os.makedirs(f"{folder}/.docker", exist_ok=True)
            with open(f"{folder}/.docker/config.json", "w", encoding="utf-8") as file:
                json.dump({"auths": {registry.host: {"auth": login}}}, file)
            status, out, err = harness.run(command, cwd=folder, env=more)
            expect(status == 0 and "secret" not in out + err and login not in out + err, f"exit {status}: {out}{err}")


def test_check_is_parallel():
    """Thirty images of a slow registry take as long as a few."""
    with scene() as (registry, folder):
        images = [registry.image(f"many/i{i}", [*BASE, Layer(b"x%d" % i, 2 * MIB, "RUN true", TAR)]) for i in range(30)]
        for i, image in enumerate(images):
            write(folder, f"m{i}.yaml", pod(image, name=f"p{i}"))
        registry.delay = 0.2
        begun = time.monotonic()
        status, report, err = checked(folder, *(f"m{i}.yaml" for i in range(30)))
        took = time.monotonic() - begun
        expect(status == 0 and report["summary"]["warned"] == 0, f"exit {status}: {err} {report['summary']}")
        expect(took < 9 * SLOW, f"{took:.1f} s")  # one after the other: 30 x 3 x 0.2 s = 18 s


def test_check_offline():
    with scene(more=", unknown: deny") as (registry, folder):
        write(folder, "pods.yaml", pod(registry.fat))
        status, report, err = checked(folder, "--offline", "pods.yaml")
        expect(status == 0 and not report["results"][0]["violations"], f"exit {status}: {report}")
        expect("--offline" in err and err.count("\n") == 1, f"standard error: {err!r}")
        expect(not registry.asked, f"asked {registry.asked}")


def test_check_unknown():
    for word, want in (("deny", "deny"), ("warn", "warn"), ("ignore", None)):
        with scene(more=f", unknown: {word}") as (registry, folder):
            write(folder, "pods.yaml", pod(f"{registry.host}/team/none:1"))
            _, report, _ = checked(folder, "pods.yaml")
            found = [v["action"] for v in report["results"][0]["violations"]]
            expect(found == ([want] if want else []), f"{word}: {report['results'][0]}")
            expect(not want or "could not be looked into" in report["results"][0]["violations"][0]["message"], f"{report}")


def test_check_bases():
    with scene() as (registry, folder):
        with open(f"{folder}/policy.yaml", "w", encoding="utf-8") as file:
            file.write(policy(registry, more=f', maxOverBase: 4Mi, oversize: deny, bases: ["{registry.base}"]'))
        write(folder, "pods.yaml", pod(registry.slim))
        status, report, err = checked(folder, "pods.yaml")
        expect(status == 1, f"exit {status}: {err} {report}")
        message = report["results"][0]["violations"][0]["message"]
        expect(f"over base {registry.base} (maxOverBase is 4 MiB)" in message, message)


# --- image -----------------------------------------------------------------------------------------------------------

def test_image():
    with scene() as (registry, folder):
        status, out, err = harness.run(["image", "--policies", "policy.yaml", registry.fat, registry.slim], cwd=folder)
        expect(status == 1, f"exit {status}: {err}{out}")
        for part in ("model weights: models/model-00001-of-00001.safetensors (400 MiB), by its content", "COPY app/ /app/",
                     "deny images/imageSize: container", "linux/amd64"):
            expect(part in out, f"no {part!r} in\n{out}")
        status, out, err = harness.run(["image", "--policies", "policy.yaml", "--format", "json", registry.fat,
                                        f"{registry.host}/team/none:1"], cwd=folder)
        expect(status == 3, f"exit {status}: {err}{out}")
        [fat, none] = json.loads(out)["images"]
        layers = fat["platforms"][0]["layers"]
        expect([layer["size"] for layer in layers] == [3 * MIB, 40 * MIB, 5 * MIB, 401 * MIB], f"{layers}")
        expect(layers[3]["proof"]["by"] == "file" and layers[3]["lookedInto"], f"{layers[3]}")
        expect(fat["violations"][0]["action"] == "deny" and "error" in none and not none["platforms"], f"{fat} {none}")


# --- serve -----------------------------------------------------------------------------------------------------------

def lookups(server):
    """mlgate_image_lookups_total by result."""
    text = server.get("/metrics")[1].decode()
    return {result: int(count) for result, count in re.findall(r'^mlgate_image_lookups_total{result="(\w+)"} (\d+)$', text, re.M)}


def served(folder, extra=()):
    return harness.Server([f"{folder}/policy.yaml"], extra=["--threads", "1", *extra])


def test_serve():
    with scene() as (registry, folder), served(folder) as server:
        response, _ = ask(server, pod(registry.fat), "/mutate")
        expect(response["allowed"] and not registry.asked, f"/mutate asked {registry.asked}")
        response, _ = ask(server, pod(registry.slim, registry.fat))
        message = response.get("status", {}).get("message", "")
        expect(not response["allowed"] and FILE in message, f"{response}")
        expect('container "c1"' in message and 'container "c0"' not in message, message)
        asked = len(registry.asked)
        response, _ = ask(server, pod(registry.fat, name="again"))
        expect(not response["allowed"] and len(registry.asked) == asked, f"asked again: {registry.asked[asked:]}")
        response, _ = ask(server, pod(registry.slim))
        expect(response["allowed"] and not response.get("warnings"), f"{response}")
        counts = lookups(server)
        expect(counts.get("fetched", 0) >= 2 and counts.get("hit", 0) >= 2, f"{counts}")


def test_serve_update():
    """What is there already is not asked for."""
    with scene() as (registry, folder), served(folder) as server:
        response, _ = ask(server, pod(registry.fat), old=pod(registry.fat))
        expect(response["allowed"] and not registry.asked, f"{response} {registry.asked}")
        response, _ = ask(server, pod(registry.fat), old=pod(registry.slim))
        expect(not response["allowed"], f"{response}")


def test_serve_slow_registry():
    """Answered a second before the API server gives up, as unknown; the look-up goes on, and the next review has it."""
    with scene(timeout="20s") as (registry, folder), served(folder) as server:
        registry.delay = 1.5
        response, took = ask(server, pod(registry.fat), timeout="3s")
        expect(response["allowed"] and "could not be looked into" in str(response.get("warnings")), f"{response}")
        expect(1.8 < took < 2.9 * SLOW, f"{took:.2f} s")
        response, took = ask(server, pod(registry.fat), timeout="1s")
        expect(response["allowed"] and took < 0.9 * SLOW, f"{took:.2f} s {response}")
        registry.delay = 0
        end = time.monotonic() + 20
        while time.monotonic() < end and response["allowed"]:
            time.sleep(0.3)
            response, _ = ask(server, pod(registry.fat))
        expect(not response["allowed"], f"{response}")
        expect(lookups(server).get("late", 0) >= 1, f"{lookups(server)}")


def test_serve_others_go_on():
    """One thread, thirty reviews that wait: one that asks nothing is answered at once."""
    with scene() as (registry, folder), served(folder) as server:
        registry.delay = 0.6
        results = []

        def one():
            results.append(ask(server, pod(registry.fat))[0]["allowed"])

        threads = [threading.Thread(target=one) for _ in range(30)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 10
        while time.monotonic() < end and not registry.asked:
            time.sleep(0.01)
        _, took = ask(server, pod())
        waiting = not results
        for thread in threads:
            thread.join()
        expect(took < 0.5 * SLOW and waiting, f"{took:.2f} s, answered before: {len(results)}")
        expect(results == [False] * 30, f"{results}")
        expect(len(registry.requests("team/llm/manifests/1")) <= 3, f"{registry.asked}")  # one look-up for all


def test_serve_client_goes():
    with scene() as (registry, folder), served(folder) as server:
        registry.delay = 0.7
        trust = ssl.create_default_context(cafile=f"{harness.certificates()}/ca.crt")
        for _ in range(5):
            connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=30, context=trust)
            connection.request("POST", "/validate?timeout=10s", json.dumps(harness.review(pod(registry.fat))),
                               {"Content-Type": "application/json"})
            time.sleep(0.05)
            connection.close()
        response, _ = ask(server, pod(registry.fat))
        expect(not response["allowed"], f"{response}")


def test_serve_stops_while_one_waits():
    with scene() as (registry, folder), served(folder) as server:
        registry.delay = 0.8
        results = []
        thread = threading.Thread(target=lambda: results.append(ask(server, pod(registry.fat))[0]["allowed"]))
        thread.start()
        end = time.monotonic() + 10
        while time.monotonic() < end and not registry.asked:
            time.sleep(0.01)
        begun = time.monotonic()
        status = server.stop()
        thread.join()
        expect(status == 0 and results == [False], f"exit {status}, {results}: {server.logged()}")
        expect(time.monotonic() - begun < 10 * SLOW, f"{time.monotonic() - begun:.1f} s")


def test_serve_no_registry():
    with scene() as (_, folder), served(folder) as server:
        gone = f"127.0.0.1:{harness.free_port()}"
        with open(f"{folder}/policy.yaml", "w", encoding="utf-8") as file:
            file.write(policy(None, host=gone))
        end = time.monotonic() + 20
        response = {}
        while time.monotonic() < end and "warnings" not in response:  # until the policies are read again
            response, took = ask(server, pod(f"{gone}/a/b:1"))
        expect(response["allowed"] and "could not be looked into" in str(response["warnings"]), f"{response}")
        expect(took < 4 * SLOW, f"{took:.1f} s")


def test_serve_denied_by_the_registry():
    with scene() as (registry, folder), served(folder) as server:
        registry.twists["team/llm"] = says(403)
        response, _ = ask(server, pod(registry.fat))
        expect(response["allowed"] and len(response.get("warnings", [])) == 1, f"{response}")
        expect(lookups(server).get("denied", 0) == 1, f"{lookups(server)}")


def test_serve_reload_brings_the_rule():
    with scene() as (registry, folder):
        with open(f"{folder}/policy.yaml", "r+", encoding="utf-8") as file:
            whole = file.read()
            file.seek(0)
            file.truncate()
            file.write(whole.replace("imageSize: {weights: deny}", "namespace: {forbid: [default]}"))
        with served(folder, ["--sandbox", "auto"]) as server:  # one that is required would be closed by now
            response, _ = ask(server, pod(registry.fat))
            expect(response["allowed"] and not registry.asked, f"{response}")
            with open(f"{folder}/policy.yaml", "w", encoding="utf-8") as file:
                file.write(whole)
            end = time.monotonic() + 20
            while time.monotonic() < end and response["allowed"]:
                time.sleep(0.1)
                response, _ = ask(server, pod(registry.fat))
            expect(not response["allowed"], f"{response}")


if __name__ == "__main__":
    run_all(globals(), None)
