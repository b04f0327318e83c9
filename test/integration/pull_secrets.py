#!/usr/bin/python3
"""Pull secrets of pods: whose credentials an image is asked for with, what becomes of bad ones, and that none is told."""
import base64
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fake_api import Api  # noqa: E402
from registry_auth import TokenServer, answer_signed, basic, entry, guard_basic  # noqa: E402
from registry_fixture import SLOW, ask, cuda_base, expect, harness, pod, run_all, weights_layer  # noqa: E402

API_TOKEN = "api-PLANTED30"
CONFIG_JSON, CONFIG = "kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"


def b64(value):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.b64encode(text).decode()


def secret(auths, kind=CONFIG_JSON):
    """As the API server has it; bytes are taken as they are."""
    if kind == CONFIG:
        return {"kind": "Secret", "type": kind, "data": {".dockercfg": b64(auths)}}
    text = auths if isinstance(auths, bytes) else {"auths": auths}
    return {"kind": "Secret", "type": kind, "data": {".dockerconfigjson": b64(text)}}


def account(*names):
    return {"kind": "ServiceAccount", "imagePullSecrets": [{"name": name} for name in names]}


def put(api, namespace, name, body, status=200, kind="secrets"):
    api.single[f"/api/v1/namespaces/{namespace}/{kind}/{name}"] = (status, body)


def refuse(api, namespace, name, status, kind="secrets"):
    put(api, namespace, name, {"kind": "Status", "code": status, "message": "PLANTED31"}, status, kind)


def asked(api, part):
    return [path for _, path, _ in list(api.asked) if part in path]


def private(scene, name, layers=None, password="good-PLANTED32"):
    """An image for one user: (reference, the credentials as they stand in a Secret)."""
    image = scene.stub.image(name, layers or cuda_base())
    scene.stub.twists[name] = guard_basic(basic("bob", password))
    return image, entry("bob", password)


def of(namespace, image, *secrets, name="p", **spec):
    if secrets:
        spec["imagePullSecrets"] = [{"name": one} for one in secrets]
    obj = pod(image, name=name, **spec)
    obj["metadata"]["namespace"] = namespace
    return obj


def deployment(namespace, image, *secrets, **spec):
    template = of(namespace, image, *secrets, **spec)["spec"]
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": namespace},
            "spec": {"selector": {"matchLabels": {"a": "b"}},
                     "template": {"metadata": {"labels": {"a": "b"}}, "spec": template}}}


class Serving:
    """An API server, and mlgate that reads pull secrets there."""

    def __init__(self, scene, policy=None, extra=()):
        self.api = Api(API_TOKEN)
        token = scene.write("api-token", API_TOKEN + "\n")
        options = ["--pull-secrets", "--kube-api", f"https://localhost:{self.api.port}", "--kube-ca-file",
                   f"{harness.certificates()}/ca.crt", "--kube-token-file", token, *extra]
        self.server = scene.server(policy or scene.policy("weights: deny, unknown: deny"), extra=options)

    def __enter__(self):
        self.api.start()
        self.server.__enter__()
        return self.api, self.server

    def __exit__(self, *why):
        try:
            self.server.__exit__(*why)
        finally:
            self.api.stop()


def allowed(server, obj, timeout="10s"):
    response, _ = ask(server, obj, timeout=timeout)
    expect(response["allowed"] and not response.get("warnings"), f"{response}")


def denied(server, obj, *parts):
    response, _ = ask(server, obj)
    expect(not response["allowed"], f"{response}")
    message = response["status"]["message"]
    for part in parts:
        expect(part in message, f"no {part!r} in {message}")
    return message


# --- whose credentials -----------------------------------------------------------------------------------------------

def test_pod_with_secret(scene):
    """Its namespace's alone: the same image in another is not known, by its tag or by its digest, whoever comes first."""
    image, login = private(scene, "pull/private")
    by_digest = scene.stub.host + "/pull/private@" + \
        next(what for name, what in scene.stub.manifests if name == "pull/private" and what.startswith("sha256:"))
    with Serving(scene) as (api, server):
        put(api, "team-a", "regcred", secret({scene.stub.host: login}))
        put(api, "team-c", "copy", secret({scene.stub.host: login}, CONFIG))
        allowed(server, of("team-a", image, "regcred"))
        denied(server, of("team-b", image), "could not be looked into", "credentials")
        denied(server, of("team-b", image, "regcred"), 'pull secret "regcred" does not exist')
        denied(server, of("team-b", by_digest), "credentials")
        denied(server, of("team-a", by_digest), "credentials")
        allowed(server, of("team-a", by_digest, "regcred"))
        before = len(scene.stub.requests("/pull/private/"))
        allowed(server, of("team-c", image, "copy"))
        allowed(server, of("team-a", by_digest, "regcred", name="again"))
        expect(len(scene.stub.requests("/pull/private/")) == before, "the same credentials were asked with again")
        expect(len(asked(api, "/team-a/secrets/regcred")) == 1, f"{asked(api, '/secrets/')}")
        expect(not asked(api, "serviceaccounts"), "a Pod has its account's secrets already")
        metrics = server.get("/metrics")[1].decode()
        expect('mlgate_pull_secrets_total{result="read"} 2' in metrics, metrics)


def test_claims_of_another_registry(scene):
    """Who names another namespace's image by its digest at a registry that says yes to everything learns nothing of it."""
    image, login = private(scene, "pull/claimed", [*cuda_base(), weights_layer()])
    digest = next(what for name, what in scene.stub.manifests if name == "pull/claimed" and what.startswith("sha256:"))

    def yes(handler, _kind, _what):
        if handler.command == "HEAD":
            handler.send(200, Docker_Content_Digest=digest, Content_Type="application/vnd.oci.image.manifest.v1+json")
        return handler.command == "HEAD"

    scene.other.twists["pull/claimed"] = yes
    with Serving(scene) as (api, server):
        put(api, "team-a", "regcred", secret({scene.stub.host: login}))
        denied(server, of("team-a", image, "regcred"), "model-00001")
        for what in (f"@{digest}", ":1"):
            message = denied(server, of("team-b", f"{scene.other.host}/pull/claimed{what}"), "could not be looked into")
            expect("model-00001" not in message, message)


def test_not_without_the_option(scene):
    image, login = private(scene, "pull/off")
    with Api(API_TOKEN) as api, scene.server(scene.policy("weights: deny, unknown: deny")) as server:
        put(api, "team-a", "regcred", secret({scene.stub.host: login}))
        denied(server, of("team-a", image, "regcred"), "credentials")
        expect(not api.asked, f"{api.asked}")
        expect("mlgate_pull_secrets_total" not in server.get("/metrics")[1].decode(), "")


def test_what_it_finds_in_a_private_image(scene):
    """Layers are read with the same credentials, through a token server, and where they are kept gets none."""
    answer_signed(scene)
    tokens = TokenServer(scene, "pull/tokens", anonymous=False)
    scene.stub.image("pull/tokens", [*cuda_base(), weights_layer()])
    scene.other.image("pull/tokens", [*cuda_base(), weights_layer()])
    guard = scene.stub.twists["pull/tokens"]

    def lead(handler, kind, what):
        if guard(handler, kind, what) or kind != "blobs":
            return handler.headers.get("Authorization") != f"Bearer {tokens.good}"
        handler.send(307, b"", Location=f"https://{scene.other.host}/v2/pull/tokens/blobs/{what}?sig=PLANTED33")
        return True

    scene.stub.twists["pull/tokens"] = lead
    with Serving(scene) as (api, server):
        put(api, "team-a", "regcred", secret({scene.stub.host: entry()}))
        denied(server, of("team-a", tokens.image, "regcred"), "model-00001")
        denied(server, of("team-b", tokens.image), "credentials")
    elsewhere = scene.other.requests("/v2/pull/tokens/")
    expect(elsewhere and not any("Authorization" in headers for _, _, headers in elsewhere), f"{elsewhere}")
    expect(tokens.given and all(authorization in (basic(), None) for _, authorization in tokens.given), f"{tokens.given}")


def test_service_accounts(scene):
    """Of a template that is no Pod's and names no secret: what its account will give it."""
    image, login = private(scene, "pull/account")
    with Serving(scene) as (api, server):
        put(api, "team-a", "regcred", secret({scene.stub.host: login}))
        put(api, "team-a", "default", account("regcred"), kind="serviceaccounts")
        put(api, "team-a", "train", account("absent", "../regcred", 5, "regcred"), kind="serviceaccounts")
        put(api, "team-a", "poor", account(), kind="serviceaccounts")
        refuse(api, "team-a", "hidden", 403, "serviceaccounts")
        allowed(server, deployment("team-a", image))
        allowed(server, deployment("team-a", image, serviceAccountName="train"))
        allowed(server, deployment("team-a", image, "regcred", serviceAccountName="poor"))
        denied(server, deployment("team-a", image, serviceAccountName="poor"), "credentials")
        denied(server, deployment("team-a", image, serviceAccountName="hidden"), 'service account "hidden" may not be read')
        denied(server, deployment("team-b", image), 'service account "default" does not exist')
        denied(server, deployment("team-b", image, serviceAccountName="../../team-a/serviceaccounts/default"), "credentials")
        denied(server, of("team-a", image, serviceAccountName="default"), "credentials")
        expect(not [path for path in asked(api, "") if ".." in path or "%" in path], f"{asked(api, '')}")


def test_all_candidates_in_the_kubelets_order(scene):
    """Keys in their order, the same key by the order of secrets, then the mounted file; each is tried."""
    host, name = scene.stub.host, "pull/many/x"
    image, login = private(scene, name)
    mounted = scene.write("mounted.json", {"auths": {host: entry("mounted", "m")}})
    with Serving(scene, scene.policy("weights: deny, unknown: deny", authFile=mounted)) as (api, server):
        put(api, "team-a", "one", secret({host: entry("one", "1"), f"{host}/pull": entry("path", "p")}))
        put(api, "team-a", "two", secret({host: login}))
        put(api, "team-a", "other", secret({"elsewhere.example": login}))
        denied(server, of("team-a", image, "other"), "credentials")
        denied(server, of("team-a", image, "one"), "credentials")
        first = len(scene.stub.requests(f"/v2/{name}/"))
        allowed(server, of("team-a", image, "other", "one", "two"))
        users = [base64.b64decode(headers["Authorization"][6:]).decode().split(":")[0]
                 for _, _, headers in scene.stub.requests(f"/v2/{name}/")[first:] if "Authorization" in headers]
        expect(users[:3] == ["path", "one", "bob"], f"{users}")
        users = [base64.b64decode(headers["Authorization"][6:]).decode().split(":")[0]
                 for _, _, headers in scene.stub.requests(f"/v2/{name}/")[:first] if "Authorization" in headers]
        expect(users == ["mounted", "path", "one", "mounted"], f"{users}")


def test_public_images_are_shared(scene):
    """Where no secret is for that registry, all namespaces have one answer."""
    image = scene.stub.image("pull/public", cuda_base())
    with Serving(scene) as (api, server):
        for i in range(5):
            put(api, f"team-{i}", "regcred", secret({f"{i}.example": entry()}))
            allowed(server, of(f"team-{i}", image, "regcred"))
        expect(len(scene.stub.requests("/v2/pull/public/manifests/", "HEAD")) == 1, f"{scene.stub.requests('/v2/pull/public/')}")


def test_bases_are_the_policys(scene):
    """A base is asked for with the mounted files alone: a pod's secret opens no base."""
    base, login = private(scene, "pull/base")
    image = scene.stub.image("pull/over-base", [*cuda_base(), weights_layer()])
    with Serving(scene, scene.policy(f'weights: deny, bases: ["{base}"]')) as (api, server):
        put(api, "team-a", "regcred", secret({f"{scene.stub.host}/pull/base": login}))
        ask(server, of("team-a", image, "regcred"))
    expect(not [1 for _, _, headers in scene.stub.requests("/v2/pull/base/") if "Authorization" in headers], "")


# --- what can be wrong -----------------------------------------------------------------------------------------------

def test_bad_secrets(scene):
    """Each is left out, and says so; a good one beside it is enough."""
    image, login = private(scene, "pull/bad")
    good = {scene.stub.host: login}
    bad = {
        "forbidden": (None, 403, "may not be read"), "absent": (None, 404, "does not exist"), "broken": (None, 500, "could not"),
        "no-json": (secret(b'{"auths": {"PLANTED34": '), 200, "no Docker config"),
        "no-base64": ({"type": CONFIG_JSON, "data": {".dockerconfigjson": "!PLANTED35"}}, 200, "no Docker config"),
        "opaque": ({**secret(good), "type": "Opaque"}, 200, "no Docker config"),
        "key": ({**secret(good), "type": CONFIG}, 200, "no Docker config"),
        "no-data": ({"type": CONFIG_JSON}, 200, "no Docker config"),
        "list": ([], 200, "no Docker config"), "html": (b"<html>PLANTED36", 200, "no Docker config"),
        "large": ({**secret(good), "x": "y" * 600_000}, 200, "could not be read"),
        "deep": (b"[" * 5000, 200, "no Docker config"),
        "empty-auths": (secret({}), 200, "credentials"),
    }
    with Serving(scene, extra=["--log-level", "debug"]) as (api, server):
        put(api, "team-a", "good", secret(good))
        for name, (body, status, says) in bad.items():
            put(api, "team-a", name, body, status) if body is not None else refuse(api, "team-a", name, status)
            message = denied(server, of("team-a", image, name), says, "credentials")
            expect("PLANTED" not in message, message)
        for name in bad:
            allowed(server, of("team-a", image, name, "good"))
        denied(server, of("team-a", image, "UPPER", "../../team-a/secrets/good", "a/b", "", "x" * 300), "credentials")
        denied(server, of("..", image, "good"), "credentials")
        expect(not [path for path in asked(api, "") if ".." in path or "UPPER" in path or "//" in path], f"{asked(api, '')}")
        counted = server.get("/metrics")[1].decode()
        expect('mlgate_pull_secrets_total{result="failed"} 4' in counted, counted)
        server.log.seek(0)
        log = server.log.read().decode()
    expect("PLANTED" not in log and "pull secret left out" in log and login["auth"] not in log, log)


def test_many_names(scene):
    """Sixteen are read; the registry is asked with eight logins."""
    image, login = private(scene, "pull/crowd")
    with Serving(scene) as (api, server):
        for i in range(20):
            put(api, "team-a", f"s{i}", secret({scene.stub.host: login if i == 7 else entry(f"u{i}", "x")}))
        allowed(server, of("team-a", image, *[f"s{i}" for i in range(20)]))
        expect(len(asked(api, "/team-a/secrets/")) == 16, f"{asked(api, '/secrets/')}")


def test_changed_secret(scene):
    """What was not allowed is asked for with what the Secret has by then, and what is allowed no more is not told for long."""
    image, login = private(scene, "pull/changed")
    with Serving(scene) as (api, server):
        put(api, "team-a", "regcred", secret({scene.stub.host: entry("bob", "old-PLANTED37")}))
        denied(server, of("team-a", image, "regcred"), "credentials")
        put(api, "team-a", "regcred", secret({scene.stub.host: login}))
        denied(server, of("team-a", image, "regcred", name="at-once"), "credentials")
        time.sleep(5.2)
        allowed(server, of("team-a", image, "regcred"))
        refuse(api, "team-b", "regcred", 404)
        denied(server, of("team-b", image, "regcred"), "does not exist")
        put(api, "team-b", "regcred", secret({scene.stub.host: login}))
        time.sleep(5.2)
        allowed(server, of("team-b", image, "regcred"))
        expect(len(asked(api, "/team-a/secrets/")) == 2, f"{asked(api, '/secrets/')}")


def test_api_server_that_is_away(scene):
    """Nobody waits for it longer than for a registry, and images that need no secret are known all the same."""
    public = scene.stub.image("pull/away", cuda_base())
    image, login = private(scene, "pull/away-private")
    with Serving(scene) as (api, server):
        put(api, "team-a", "regcred", secret({scene.stub.host: login}))
        api.stop()
        begun = time.monotonic()
        allowed(server, of("team-a", public, "regcred"))
        denied(server, of("team-a", image, "regcred"), 'pull secret "regcred" could not be read')
        expect(time.monotonic() - begun < 5 * SLOW, "it took long")


def test_wrong_api_server(scene):
    """One whose certificate is not of the CA gets no token."""
    image, _ = private(scene, "pull/wrong")
    with Serving(scene, extra=["--kube-ca-file", f"{scene.folder}/ca.crt"]) as (api, server):
        denied(server, of("team-a", image, "regcred"), "could not be read")
        expect(not api.asked, f"{api.asked}")


def test_a_crowd(scene):
    """Many pods at once: each Secret once, each namespace its own answer."""
    import threading  # pylint: disable=import-outside-toplevel
    image, login = private(scene, "pull/at-once")
    answers = {}

    def one(server, i):
        answers[i] = ask(server, of(f"team-{i % 4}", image, "regcred", name=f"p{i}"), timeout="25s")[0]["allowed"]

    with Serving(scene) as (api, server):
        for i in range(4):
            put(api, f"team-{i}", "regcred", secret({scene.stub.host: login if i % 2 else entry("bob", f"bad{i}")}))
        threads = [threading.Thread(target=one, args=(server, i)) for i in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expect(answers == {i: bool(i % 2) for i in range(40)}, f"{answers}")
        expect(len(asked(api, "/secrets/")) == 4, f"{asked(api, '/secrets/')}")


def test_options(scene):
    """It needs to know where; the options of the API server are good for it."""
    command = ["serve", "--tls-cert", f"{harness.certificates()}/tls.crt", "--tls-key", f"{harness.certificates()}/tls.key",
               "--listen", "127.0.0.1:0", "--listen-plain", "127.0.0.1:0"]
    status, _, err = harness.run([*command, "--pull-secrets"], env={"KUBERNETES_SERVICE_HOST": ""})
    expect(status == 2 and "not in a cluster" in err, f"{status} {err}")
    status, _, err = harness.run([*command, "--pull-secrets", "--kube-api", "http://localhost:1"])
    expect(status == 2 and "https://" in err, f"{status} {err}")
    status, _, err = harness.run([*command, "--kube-api", "https://localhost:1"])
    expect(status == 2 and "--pull-secrets" in err, f"{status} {err}")


# --- nothing is told -------------------------------------------------------------------------------------------------

def test_nothing_of_a_secret_is_told(scene):
    layers = [*cuda_base(), weights_layer()]
    good, login = private(scene, "pull/told", layers, "told-PLANTED38")
    bad, _ = private(scene, "pull/told-not", layers, "another-PLANTED39")
    told = {}
    with Serving(scene, extra=["--log-level", "debug"]) as (api, server):
        put(api, "team-a", "regcred", secret({scene.stub.host: login}))
        put(api, "team-a", "older", secret({scene.stub.host: {"username": "PLANTED40", "password": "PLANTED41"}}, CONFIG))
        for image in (good, bad):
            response, _ = ask(server, of("team-a", image, "older", "regcred"))
            expect(not response["allowed"], f"{response}")
            told[image] = json.dumps(response, ensure_ascii=False)
        told["metrics"] = server.get("/metrics")[1].decode()
        told["readyz"] = server.get("/readyz?verbose")[1].decode()
        server.log.seek(0)
        told["log"] = server.log.read().decode("utf-8", "replace")
    expect("model-00001" in told[good] and "credentials" in told[bad], f"{told}")
    secrets = ["PLANTED", login["auth"], b64(b"PLANTED40:PLANTED41"), b64({"auths": {scene.stub.host: login}})]
    for where, text in told.items():
        for one in secrets:
            expect(one not in text, f"{where}: {one} in {text}")
    got = {headers.get("Authorization") for _, path, headers in scene.stub.asked if "/pull/told" in path}
    expect(got == {None, "Basic " + login["auth"], "Basic " + b64(b"PLANTED40:PLANTED41")}, f"{got}")
    told = [headers for _, _, headers in scene.stub.asked + scene.other.asked if API_TOKEN in str(headers)]
    expect(not told, f"the API server's token: {told}")


if __name__ == "__main__":
    run_all(globals())
