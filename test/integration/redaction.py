#!/usr/bin/python3
"""Secrets at random places of an image's history: in nothing that mlgate writes."""
import json
import os
import random
import string
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from registry_fixture import GB, GZIP, Layer, ask, code, expect, harness, pod, run_all, weights_layer  # noqa: E402

SEED = int(os.environ.get("SEED", "20260101"))
PLACES = [
    "sshpass -p {} scp h:/m.gguf .", "sshpass -p{} scp h:/m.gguf .", "x --password {} m.gguf", "x --password={} m.gguf",
    "curl -u me:{} -O https://h/m.gguf", "curl -ume:{} -O https://h/m.gguf", "curl --user=me:{} -O https://h/m.gguf",
    "curl -u 'me:{}' -O https://h/m.gguf",
    "docker login -u me -p {} r.example", "mysql -u root -p{} db", "curl -H 'Authorization: Bearer {}' -O https://h/m.gguf",
    "wget --header=\"Authorization: token {}\" https://h/m.gguf",
    "curl -H 'Authorization: Digest a=b, response={}' https://h/m.gguf",
    "echo {} | docker login -u me --password-stdin", "echo 'root:{}' | chpasswd", "git clone https://me:{}@h/m.git",
    "echo 'password = {}' > /etc/x", "wget 'https://h/m.gguf?X-Amz-Signature={}&a=b'",
    "aws configure set aws_secret_access_key {}",
]
FRAMES = ["/bin/sh -c {}", "RUN /bin/sh -c {} # buildkit", "RUN |1 A=b /bin/bash -o pipefail -c {} # buildkit"]
ARGUMENTS = ["RUN |1 A={} /bin/sh -c hf download a/b", "RUN |2 A=x y B={} z /bin/sh -c hf download a/b # buildkit",
             "|1 A=/bin/sh -c {} /bin/sh -c wget https://h/m.gguf",
             "RUN |1 A='a /bin/sh -c {}' \"b\" /bin/bash -c cp /m.gguf /n # buildkit",
             "RUN |1 A=x /bin/sh -c wget {}.gguf /bin/sh -c make"]


def image_with(scene, rng, number):
    """The reference, and what is planted: its last layer has weights, so that its command is told."""
    secrets, lines = [], []
    for _ in range(3):
        secret = "".join(rng.choices(string.ascii_letters + string.digits, k=1)) + \
            "".join(rng.choices(string.ascii_letters + string.digits + "-_.+=", k=rng.randint(8, 30)))
        line = rng.choice(ARGUMENTS) if rng.random() < 0.3 else rng.choice(FRAMES).replace("{}", rng.choice(PLACES))
        secrets.append(secret)
        lines.append(line.replace("{}", secret))
    layers = [Layer(code(1000 + 2 * number + i), 2 * GB + i, line) for i, line in enumerate(lines[:2])]
    last = weights_layer()
    layers.append(Layer(last.data + bytes(number), last.size, lines[2], GZIP))
    return scene.stub.image(f"planted/i{number}", layers), secrets, lines


def test_nothing_planted_is_told(scene):
    rng = random.Random(SEED)
    images = [image_with(scene, rng, i) for i in range(60)]
    references = [reference for reference, _, _ in images]
    policy, warning = scene.policy(timeout="30s"), scene.policy("weights: warn", name="warning.yaml", timeout="30s")
    env, told = {"HOME": scene.folder, "DOCKER_CONFIG": ""}, {}
    for form in ("text", "json"):
        status, out, err = harness.run(["image", "--policies", policy, "--format", form, *references], env=env)
        expect(status == 1 and out.count("model-00001") >= len(images), f"exit {status}: {err}")
        told[f"image {form}"] = out + err
        objects = scene.write("planted.yaml", {"apiVersion": "v1", "kind": "List",
                                               "items": [pod(one, name=f"p{i}") for i, one in enumerate(references)]})
        status, out, err = harness.run(["check", "--policies", policy, "--format", form, objects], env=env)
        expect(status == 1 and out.count("model-00001") >= len(images), f"exit {status}: {err}")
        told[f"check {form}"] = out + err
    for path, what in ((policy, "status"), (warning, "warnings")):
        with scene.server(path, extra=["--log-level", "debug"]) as server:
            for i, one in enumerate(references[:20]):
                response, _ = ask(server, pod(one, name=f"p{i}"))
                text = json.dumps(response.get(what), ensure_ascii=False)
                expect("weights" in text, f"{response}")
                told[f"{what} {one}"] = json.dumps(response, ensure_ascii=False)
            told[f"metrics {what}"] = server.get("/metrics")[1].decode()
            server.log.seek(0)
            told[f"log {what}"] = server.log.read().decode("utf-8", "replace")
    shown = sum(told["image text"].count(word) for word in ("***", "hf download", "RUN make"))
    expect(shown > 60, f"few commands are shown: {shown}")
    for _, secrets, lines in images:
        for secret, line in zip(secrets, lines):
            for where, text in told.items():
                at = text.find(secret)
                expect(at < 0, f"seed {SEED}, {where}: {text[max(0, at - 200):at + 100]!r} of {line!r}")


if __name__ == "__main__":
    run_all(globals())
