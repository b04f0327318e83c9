#!/usr/bin/python3
"""Logging in at registries: challenges, tokens, credentials and who gets them; and that nothing secret is ever told."""
import base64
import json
import os
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from registry_fixture import (KIB, SLOW, Layer, ask, code, cuda_base, each, expect, harness, pod, run_all,  # noqa: E402
                              weights_layer)

USER, PASSWORD, TOKEN = "alice", "pa:ss-PLANTED1", "tok-PLANTED2." + "t" * 2200
GB2 = 2 * 10**9


def basic(user=USER, password=PASSWORD):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def auth_file(scene, auths, name="config.json"):
    return scene.write(name, {"auths": auths})


def entry(user=USER, password=PASSWORD):
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


class TokenServer:
    """Gives tokens at /token, and answers for the repository only who has one."""

    def __init__(self, scene, name, at=None, reply=None, good=TOKEN, challenge=None, anonymous=True):
        self.stub, self.at, self.good, self.anonymous = scene.stub, at or scene.stub, good, anonymous
        self.reply = reply or (lambda: {"token": TOKEN, "expires_in": 300})
        self.realm = f"https://{self.at.host}/token/{name}"
        self.challenge = challenge or f'Bearer realm="{self.realm}",service="test",scope="repository:{name}:pull"'
        self.name, self.image, self.given = name, scene.stub.image(name, cuda_base()), []
        self.stub.twists[name] = self.guard
        previous = self.at.twists.get("")

        def token(handler, kind, what):
            if not what.startswith(f"/token/{name}"):
                return bool(previous and previous(handler, kind, what))
            self.give(handler)
            return True

        self.at.twists[""] = token

    def give(self, handler):
        self.given.append((handler.path, handler.headers.get("Authorization")))
        if handler.headers.get("Authorization") not in (basic(),) + ((None,) if self.anonymous else ()):
            handler.send(401, b'{"details":"incorrect username or password"}')
            return
        reply = self.reply()
        handler.send(200, reply if isinstance(reply, bytes) else json.dumps(reply).encode(), Content_Type="application/json")

    def guard(self, handler, _kind, _what):
        if handler.headers.get("Authorization") == f"Bearer {self.good}":
            return False
        handler.send(401, b'{"errors":[{"code":"UNAUTHORIZED"}]}', www_authenticate=self.challenge)
        return True


# --- tokens ----------------------------------------------------------------------------------------------------------

def test_anonymous_token(scene):
    tokens = TokenServer(scene, "token/anonymous")
    expect(scene.known(tokens.image)["layers"], "")
    [(path, authorization)] = tokens.given
    query = urllib.parse.parse_qs(urllib.parse.urlparse(path).query)
    expect(authorization is None and query["service"] == ["test"] and query["scope"] == ["repository:token/anonymous:pull"], path)


def test_token_with_credentials(scene):
    tokens = TokenServer(scene, "token/private", anonymous=False)
    why = scene.why(tokens.image)
    expect("credentials" in why, why)
    policy = scene.policy(authFile=auth_file(scene, {scene.stub.host: entry()}))
    expect(scene.known(tokens.image, policy=policy)["layers"], "")
    expect(tokens.given[-1][1] == basic(), f"{tokens.given}")
    early = [headers for _, path, headers in scene.stub.requests("token/private/") if "Basic" in headers.get("Authorization", "")]
    expect(not early, "the registry itself got the password")


def path_of(name):
    """A name of a case, as a part of a repository's."""
    return "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-")


@each({"access_token only": {"access_token": TOKEN}, "expires_in absent": {"token": TOKEN},
       "expires_in 0": {"token": TOKEN, "expires_in": 0}, "expires_in soon": {"token": TOKEN, "expires_in": "soon"},
       "expires_in 10^15": {"token": TOKEN, "expires_in": 10**15}})
def test_token_reply(scene, name, reply):
    tokens = TokenServer(scene, f"token/{path_of(name)}", reply=lambda: reply)
    expect(scene.known(tokens.image)["layers"], "")
    expect(len(tokens.given) == 1, f"{len(tokens.given)} tokens")


@each({"empty": {}, "list": [], "html": b"<html>", "newline": {"token": "a\r\nX-Evil: 1"},
       "64 KiB and more": {"token": "t" * 64 * KIB}, "number": {"token": 5}})
def test_bad_token(scene, name, reply):
    tokens = TokenServer(scene, f"token/bad-{path_of(name)}", reply=lambda: reply)
    why = scene.why(tokens.image)
    expect(scene.stub.host in why, why)
    expect(len(tokens.given) <= 2, f"{len(tokens.given)} tokens")  # of HEAD, and of GET
    expect(not any("X-Evil" in headers for _, _, headers in scene.stub.asked), "a token ended the header")


def test_insufficient_scope_is_no_loop(scene):
    """It is given and does not open: no loop."""
    name = "token/fewer"
    tokens = TokenServer(scene, name, good="another")
    tokens.challenge += ',error="insufficient_scope"'
    why = scene.why(tokens.image)
    expect("credentials" in why or "allow" in why, why)
    expect(len(tokens.given) <= 2 and len(scene.stub.requests(f"/v2/{name}/")) <= 4, f"{len(tokens.given)} tokens")


CHALLENGES = {
    "quoted comma in scope": 'Bearer realm="{realm}",service="test",scope="repository:{name}:pull,push"',
    "case": 'bEARER Realm="{realm}" , SERVICE=test,scope="repository:{name}:pull"',
    "escaped": 'Bearer service="te\\"st", realm="{realm}"',
    "two headers": ['Basic realm="x, y"', 'Bearer realm="{realm}",service="test"'],
    "one line": 'Negotiate, Basic realm="x", Bearer realm="{realm}",service=test',
    "query": 'Bearer realm="{realm}?account=x",service="test"',
}


@each(CHALLENGES)
def test_challenge(scene, case, challenge):
    """Commas inside quotes, several headers, other cases of letters, Basic beside Bearer."""
    name = f"challenge/{path_of(case)}"
    given = [one.format(realm=f"https://{scene.stub.host}/token/{name}", name=name)
             for one in (challenge if isinstance(challenge, list) else [challenge])]
    tokens = TokenServer(scene, name, challenge=given)
    expect(scene.known(tokens.image)["layers"], "")
    scopes = urllib.parse.parse_qs(urllib.parse.urlparse(tokens.given[0][0]).query)["scope"]
    expect(scopes == [f"repository:{name}:pull" + (",push" if "comma" in case else "")], f"{scopes}")


def test_bad_challenges(scene):
    for name, challenge in (("none", "Negotiate"), ("no-realm", 'Bearer service="x"'), ("unclosed", 'Bearer realm="https://loc'),
                            ("empty", ""), ("long", 'Bearer realm="' + "x" * 9000 + '"'), ("commas", "," * 500)):
        tokens = TokenServer(scene, f"challenge/{name}", challenge=challenge or " ")
        why = scene.why(tokens.image)
        expect(scene.stub.host in why and not tokens.given, f"{name}: {why}")


@each({"http": "http://localhost:{port}/token", "private IP": "https://10.0.0.1/token",
       "loopback": "https://127.0.0.1:{port}/token", "file": "file:///etc/passwd"})
def test_realm(scene, name, realm):
    """Not over plain HTTP, not at a private address that nobody named."""
    realm = realm.format(port=scene.other.server.server_port)
    tokens = TokenServer(scene, f"realm/{path_of(name)}", challenge=f'Bearer realm="{realm}",service="s"')
    policy = scene.policy(hosts=[scene.stub.host], authFile=auth_file(scene, {scene.stub.host: entry()}))
    begun = time.monotonic()
    why = scene.why(tokens.image, policy=policy)
    expect(scene.stub.host in why and time.monotonic() - begun < 2 * SLOW, f"{why}")
    expect(not scene.other.requests("/token"), "it was asked")


def test_token_is_kept(scene):
    """One for all requests of a repository, as long as it lives."""
    tokens = TokenServer(scene, "token/kept")
    scene.stub.image("token/kept", [*cuda_base(), Layer(code(5), 50, "RUN x")], tag="2")
    with scene.server() as server:
        for tag in ("1", "2"):
            response = harness.answer(server, "/validate", harness.review(pod(f"{scene.stub.host}/token/kept:{tag}")))
            expect(response["allowed"] and not response.get("warnings"), f"{response}")
    expect(len(tokens.given) == 1, f"{len(tokens.given)} tokens")


# --- credentials -----------------------------------------------------------------------------------------------------

def guard_basic(good):
    def guard(handler, _kind, _what):
        if handler.headers.get("Authorization") == good:
            return False
        handler.send(401, b"", WWW_Authenticate='Basic realm="mlgate-basic"')
        return True

    return guard


def test_basic_only(scene):
    image = scene.stub.image("basic/image", cuda_base())
    scene.stub.twists["basic/image"] = guard_basic(basic())
    why = scene.why(image)
    expect("credentials" in why, why)
    before = len(scene.stub.requests("basic/image"))
    expect(scene.known(image, policy=scene.policy(authFile=auth_file(scene, {scene.stub.host: entry()})))["layers"], "")
    expect("Authorization" not in scene.stub.requests("basic/image")[before][2], "the password was sent before it was asked for")


def test_which_credentials(scene):
    """Keys as the kubelet reads them."""
    host, name = scene.stub.host, "team/x"
    image = scene.stub.image(name, cuda_base())
    scene.stub.twists[name] = guard_basic(basic())
    plain = {"username": USER, "password": PASSWORD}
    cases = [
        (True, {host: entry()}), (True, {host: plain}), (True, {f"https://{host}": entry()}),
        (True, {f"https://{host}/v1/": entry()}),
        (True, {f"https://{host}/v2/": entry()}), (True, {f"{host}/team": entry()}), (True, {f"{host}/te": entry()}),
        (True, {"local*:" + host.split(":")[1]: entry()}), (False, {f"https://{host}/v1": entry()}),
        (False, {"localhost": entry()}),
        (False, {host.upper(): entry()}), (False, {f"{host}/*": entry()}), (False, {f"{host}/other": entry()}),
        (False, {"localhost:*": entry()}), (False, {host: {"auth": "!"}}), (False, {host: {}}), (False, {host: 5}), (False, {}),
        (True, {f"{host}/team": entry("old", "old"), host: entry()}),
        (True, {host: entry(), f"{host}/team/x": entry("old", "old")}),
        (True, {host: {"auth": entry()["auth"].rstrip("=") + "\n"}}),
        (True, {host: {**entry(), "username": "x", "password": "y"}}),
    ]
    for good, auths in cases:
        image_of = scene.image(image, policy=scene.policy(authFile=auth_file(scene, auths)))
        expect(("error" not in image_of) == good, f"{json.dumps(auths)}: {image_of.get('error')}")


def test_dockercfg_and_bad_files(scene):
    name = "team/cfg"
    image = scene.stub.image(name, cuda_base())
    scene.stub.twists[name] = guard_basic(basic())
    scene.write("dockercfg", {scene.stub.host: entry()})
    expect("error" not in scene.image(image, policy=scene.policy(authFile=f"{scene.folder}/dockercfg")), "the older form")
    for text in ("", "{", "[]", '{"auths": 5}', '{"auths": {"PLANTED9": '):
        scene.write("bad.json", text)
        why = scene.why(image, policy=scene.policy(authFile=f"{scene.folder}/bad.json"))
        expect("credentials" in why and "PLANTED9" not in why, f"{text!r}: {why}")
    expect("credentials" in scene.why(image, policy=scene.policy(authFile=f"{scene.folder}/absent.json")), "")


def test_own_docker_config(scene):
    """On the command line, where no document names another."""
    name = "team/own"
    image = scene.stub.image(name, cuda_base())
    scene.stub.twists[name] = guard_basic(basic())
    os.makedirs(f"{scene.folder}/.docker", exist_ok=True)
    auth_file(scene, {scene.stub.host: entry()}, ".docker/config.json")
    expect("error" not in scene.image(image), "~/.docker/config.json was not read")
    os.remove(f"{scene.folder}/.docker/config.json")


def test_credentials_are_renewed(scene):
    """A file that changes under a running server."""
    name = "team/renewed"
    scene.stub.image(name, cuda_base())
    other = scene.stub.image(name, [Layer(code(6), 5000, "RUN x")], tag="2")
    scene.stub.twists[name] = guard_basic(basic())
    path = auth_file(scene, {scene.stub.host: entry("old", "old")}, "renewed.json")
    with scene.server(scene.policy(authFile=path)) as server:
        response = harness.answer(server, "/validate", harness.review(pod(f"{scene.stub.host}/{name}:1")))
        expect("could not be looked into" in str(response.get("warnings")), f"{response}")
        auth_file(scene, {scene.stub.host: entry()}, "renewed.json")
        response = harness.answer(server, "/validate", harness.review(pod(other)))
        expect(response["allowed"] and not response.get("warnings"), f"{response}")


# --- mirrors ---------------------------------------------------------------------------------------------------------

def test_mirror_gets_no_credentials_of_the_source(scene):
    name = "mirrored/image"
    scene.other.twists[name] = guard_basic(basic())
    image = scene.stub.image(name, cuda_base())
    scene.stub.twists[name] = guard_basic(basic())
    path = auth_file(scene, {scene.stub.host: entry()})
    text = open(scene.policy(hosts=[scene.stub.host], authFile=path, mirror=scene.other.host), encoding="utf-8").read()
    text += (f"---\napiVersion: mlgate.dev/v1\nkind: Registry\nmetadata: {{name: m}}\n"
             f'spec: {{host: "{scene.other.host}", caFile: {scene.folder}/ca.crt}}\n')
    expect("error" not in scene.image(image, policy=scene.write("mirror.yaml", text)), "the source was not asked")
    asked = scene.other.requests(name)
    expect(asked and not any("Authorization" in headers for _, _, headers in asked), f"{asked}")


def test_mirror_is_asked_first(scene):
    """And where it has nothing or cannot be reached, the source."""
    image = scene.stub.image("mirrored/first", cuda_base())
    scene.other.image("mirrored/first", cuda_base())
    policy = scene.policy(hosts=[scene.stub.host], mirror=scene.other.host)
    expect(scene.known(image, policy=policy)["layers"], "")
    expect(not scene.stub.requests("mirrored/first"), "the source was asked")

    for name, mirror in (("absent", scene.other.host), ("gone", f"localhost:{harness.free_port()}")):
        image = scene.stub.image(f"mirrored/{name}", cuda_base())
        found = scene.known(image, policy=scene.policy(hosts=[scene.stub.host], mirror=mirror))
        expect(found["layers"] and scene.stub.requests(f"mirrored/{name}"), name)


# --- nothing secret is told ------------------------------------------------------------------------------------------

PLANTED = ["PLANTED", base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()]
HISTORY = [
    "RUN |2 HF_TOKEN=hf_PLANTEDabcdefghij API_KEY=PLANTED3 /bin/sh -c pip install vllm # buildkit",
    "RUN /bin/sh -c curl -H 'Authorization: Bearer PLANTED4' -o /models/model.safetensors https://hub.example/m # buildkit",
    "RUN /bin/sh -c git clone https://bob:PLANTED5@git.example/models.git && git lfs pull # buildkit",
    "ENV DB_PASSWORD=PLANTED6",
]
MORE_HISTORY = [
    "RUN |1 MSG=PLANTED12 PLANTED13 /bin/sh -c hf download a/b # buildkit",
    "RUN |1 X=PLANTED14 /bin/bash -c wget 'https://u:PLANTED15@h.example/model.safetensors?sv=1&sig=PLANTED16' # buildkit",
    "ADD https://h.example/model.safetensors?X-Amz-Signature=PLANTED17&X-Amz-Credential=PLANTED18 /models/ # buildkit",
    "RUN /bin/sh -c wget --header='X-Auth: PLANTED19' https://h.example/model.gguf",
    "ENV DB_PASS=PLANTED20", "ARG NAME=PLANTED21",
    "RUN /bin/sh -c curl -u bob:PLANTED22 -o m.gguf https://h.example/m.gguf",
    "RUN /bin/sh -c hf login --token PLANTED23 && hf download a/b",
]


def secret_image(scene, name):
    """Everything that could be told is in it; it asks for a token, and its blobs are elsewhere."""
    layers = [Layer(code(40 + len(name) + i), GB2, "") for i in range(3)] + [weights_layer()]  # known by digest, if the same
    tokens = TokenServer(scene, name, anonymous=False)
    image = scene.stub.image(name, layers, history=[{"created_by": line} for line in HISTORY])
    scene.other.image(name, layers, history=[{"created_by": line} for line in HISTORY])
    guard = scene.stub.twists[name]

    def lead(handler, kind, what):
        if guard(handler, kind, what):
            return True
        if kind != "blobs":
            return False
        handler.send(307, b"", Location=f"https://{scene.other.host}/v2/{name}/blobs/{what}?X-Amz-Signature=PLANTED7")
        return True

    scene.stub.twists[name] = lead
    scene.other.twists[name] = None
    tokens.challenge = tokens.challenge.replace(tokens.realm, tokens.realm + "?sig=PLANTED8")
    return image


def answer_signed(scene):
    """The second host knows blobs by their path with a signature."""
    plain = scene.other.answer

    def answer(handler):
        path = handler.path
        handler.path = path.split("?")[0]
        plain(handler)

    scene.other.answer = answer


def expect_nothing_told(where, text):
    for secret in PLANTED:
        expect(secret not in text, f"{where}: {secret} in {text[max(0, text.find(secret) - 200):][:400]!r}")


def broken_too(scene, name):
    """The same, with what goes wrong: errors are told, and secrets must not be."""
    image = secret_image(scene, name)
    lead = scene.stub.twists[name]

    def broken(handler, kind, what):
        if kind == "blobs" and handler.headers.get("Authorization", "").startswith("Bearer"):
            handler.send(307, b"PLANTED body", Location=f"https://u:PLANTED10@{scene.other.host}/x?sig=PLANTED11")
            return True
        return lead(handler, kind, what)

    scene.stub.twists[name] = broken
    return image


def test_nothing_secret_is_told(scene):
    answer_signed(scene)
    good, bad = secret_image(scene, "secret/image"), broken_too(scene, "secret/broken")
    policy = scene.policy(authFile=auth_file(scene, {scene.stub.host: entry()}))
    env = {"HOME": scene.folder, "DOCKER_CONFIG": ""}
    told = {}
    for form in ("text", "json"):
        status, out, err = harness.run(["image", "--policies", policy, "--format", form, good, bad], env=env)
        told[f"image {form}"] = out + err
        expect(status == 3 and "model-00001" in out and "u:" not in out, f"exit {status}: {out}{err}")
    objects = scene.write("secret.yaml", {"apiVersion": "v1", "kind": "List", "items": [pod(good), pod(bad, name="q")]})
    for form in ("text", "json", "sarif", "junit", "github"):
        status, out, err = harness.run(["check", "--policies", policy, "--format", form, objects], env=env)
        if status == 2 and "--format" in err:
            continue
        told[f"check {form}"] = out + err
        expect(status == 1 and "model-00001" in out, f"{form}: exit {status}: {out}{err}")
    expect("check json" in told and "check text" in told, f"{list(told)}")
    with scene.server(policy, extra=["--log-level", "debug"]) as server:
        for name, image in (("good", good), ("bad", bad)):
            told[f"answer {name}"] = json.dumps(ask(server, pod(image, name=name))[0], ensure_ascii=False)
        told["metrics"] = server.get("/metrics")[1].decode()
        server.log.seek(0)
        told["log"] = server.log.read().decode("utf-8", "replace")
    expect("model-00001" in told["answer good"], told["answer good"])
    expect("could not be looked into" in told["answer bad"], told["answer bad"])
    for where, text in told.items():
        expect_nothing_told(where, text)


def test_307_to_another_host_takes_no_authorization(scene):
    """A config and a layer that lie elsewhere, of a repository that wants a token: there, nothing of it is seen."""
    name = "moved/config"
    layers = [*cuda_base(), weights_layer()]
    tokens = TokenServer(scene, name)
    guard = scene.stub.twists[name]
    tokens.image = scene.stub.image(name, layers)
    scene.other.image(name, layers)

    def lead(handler, kind, what):
        if guard(handler, kind, what):
            return True
        if kind == "blobs":
            handler.send(307, b"", Location=f"https://{scene.other.host}/v2/{name}/blobs/{what}")
        return kind == "blobs"

    scene.stub.twists[name] = lead
    config = json.loads(scene.stub.manifests[name, "1"][1])["config"]["digest"]
    expect(scene.known(tokens.image)["layers"][3]["proof"]["by"] == "file", "")
    asked = scene.other.requests(f"{name}/blobs/")
    expect({path.rsplit("/", 1)[1] for _, path, _ in asked} >= {config, layers[3].digest}, f"{asked}")
    expect(not any("Authorization" in headers for _, _, headers in asked), f"{asked}")
    asked = scene.stub.requests(f"{name}/blobs/{config}")
    expect(any("Authorization" in headers for _, _, headers in asked), "no token was used")


def test_no_command_tells_a_secret(scene):
    layers = [Layer(code(60 + i), GB2, line) for i, line in enumerate(MORE_HISTORY)]
    found = scene.known(scene.stub.image("secret/history", layers))
    for line, layer in zip(MORE_HISTORY, found["layers"]):
        expect_nothing_told(line, json.dumps(layer))
    expect(sum(layer["proof"] is not None for layer in found["layers"]) == 6, f"{found}")


def test_other_host_gets_no_credentials(scene):
    """Where blobs are, and where nothing is."""
    asked = [one for one in scene.other.asked if "secret/" in one[1]]
    expect(asked, "the other host was not asked")
    for _, path, headers in asked:
        expect("Authorization" not in headers and "Cookie" not in headers, f"{path}: {headers}")
        expect(not any("PLANTED1" in value or "PLANTED2" in value for value in headers.values()), f"{headers}")


if __name__ == "__main__":
    run_all(globals())
