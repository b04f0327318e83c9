#!/usr/bin/python3
"""The server from outside: start, routes, refusals that the API server can show, and the way it stops."""
import concurrent.futures
import http.client
import json
import os
import signal
import socket
import ssl
import sys
import tempfile
import threading
import time
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402
from harness import expect  # noqa: E402

BASELINE = os.path.join(harness.TOP, "policies", "baseline")
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "ml"},
       "spec": {"containers": [{"name": "main", "image": "registry.example/a:1"}]}}


def body():
    return json.dumps(harness.review(POD)).encode()


def plain_routes(server):
    for path in ("/healthz", "/readyz", "/metrics"):
        status, text = server.get(path)
        expect(status == 200 and text, f"{path}: {status} {text[:100]!r}")
    status, _ = server.get("/no-such-path")
    expect(status == 404, f"/no-such-path: {status}")


def reviews_are_not_taken_in_plain_text(server):
    status, _ = server.get("/mutate")
    expect(status in (404, 405), f"GET /mutate on the plain port: {status}")


def metrics_count(server):
    harness.answer(server, "/validate", body())
    _, text = server.get("/metrics")
    lines = [line for line in text.decode().split("\n") if line.startswith("mlgate_admission_requests_total{")]
    expect(lines and all('operation="' in line and 'kind="' in line and 'allowed="' in line for line in lines),
           f"mlgate_admission_requests_total: {lines}")
    for name in ("mlgate_admission_duration_seconds_bucket", "mlgate_policies", "mlgate_certificate_expiry_timestamp_seconds"):
        expect(f"\n{name}" in text.decode(), f"no {name}")
    expect("ml/a" not in text.decode() and 'name="a"' not in text.decode(), "an object's name is in the metrics")


def refusal(server, path, text, wanted):
    status, reply = server.post(path, text)
    expect(status == wanted, f"HTTP {status}, not {wanted}: {reply[:300]!r}")
    answer = json.loads(reply)
    expect(answer.get("kind") == "Status" and answer.get("apiVersion") == "v1", f"no v1 Status: {reply[:300]!r}")
    expect(answer.get("code") == wanted and answer.get("message"), f"Status {answer}")


def refusals():
    review = harness.review(POD)
    no_uid = json.loads(json.dumps(review))
    del no_uid["request"]["uid"]
    old = dict(review, apiVersion="admission.k8s.io/v1beta1")
    return [
        ("empty body", b"", 400), ("no JSON", b"nonsense", 400), ("cut short", body()[:-5], 400), ("an array", b"[]", 400),
        ("bytes behind", body() + b"x", 400),
        ("no request", b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}', 400),
        ("no uid", json.dumps(no_uid).encode(), 400), ("v1beta1", json.dumps(old).encode(), 400),
        ("bad UTF-8", body().replace(b"registry", b"regi\xffry"), 400),
        ("a duplicate key", body().replace(b'"dryRun"', b'"dryRun": true, "dryRun"'), 400),
        ("100,000 brackets", b"[" * 100000, 413),
        ("9 MiB", b'{"a":"' + b"x" * (9 << 20) + b'"}', 413),
    ]


def same_after_refusals(server):
    harness.answer(server, "/mutate", body())


def many_at_once(server):
    """Eight connections, 50 reviews each; every answer carries its own uid."""
    def client(number):
        other = harness.Server(server.policies)
        other.port = server.port
        try:
            for i in range(50):
                harness.answer(other, "/mutate", harness.review(POD, uid=f"uid-{number}-{i}"))
        finally:
            other.close()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(client, number) for number in range(8)]:
            done.result()


def old_tls_is_refused(server):
    warnings.simplefilter("ignore", DeprecationWarning)  # of the very version that is tried
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.maximum_version = context.minimum_version = ssl.TLSVersion.TLSv1_1
    try:
        with socket.create_connection(("127.0.0.1", server.port), 10) as raw, context.wrap_socket(raw):
            raise harness.Mismatch("TLS 1.1 is taken")
    except (ssl.SSLError, ConnectionError):
        pass


def stops(number):
    """Not ready at once, answers while it stops, tells its figures until the end, exit 0."""
    with harness.Server([BASELINE], grace=1) as server:
        harness.answer(server, "/mutate", body())
        failures, done = [], threading.Event()

        def client():
            while not done.is_set():
                try:
                    harness.answer(server, "/mutate", body())
                except (OSError, ssl.SSLError):
                    return  # the port is closed: it has gone, and took nothing with it that was asked before
                except Exception as wrong:  # pylint: disable=broad-except
                    failures.append(wrong)
                    return

        def scraper():
            while not done.is_set():
                try:
                    server.get("/metrics")
                except (OSError, http.client.HTTPException):
                    return

        threads = [threading.Thread(target=client), threading.Thread(target=scraper)]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        server.process.send_signal(number)
        status = server.process.wait(40)
        done.set()
        for thread in threads:
            thread.join()
        expect(status == 0, f"exit {status}: {server.logged()}")
        expect(not failures, f"while stopping: {failures}")


def refuses_to_start(args):
    folder = harness.certificates()
    given = {"--tls-cert": f"{folder}/tls.crt", "--tls-key": f"{folder}/tls.key", "--policies": BASELINE,
             "--listen": f"127.0.0.1:{harness.free_port()}", "--listen-plain": f"127.0.0.1:{harness.free_port()}", **args}
    command = [word for pair in given.items() for word in pair]
    status, _, err = harness.run(["serve", *command], timeout=20)
    expect(status == 2 and err, f"exit {status}: {err!r}")


def main():
    tap = harness.Tap()
    try:
        with harness.Server([BASELINE]) as server:
            for test in (plain_routes, reviews_are_not_taken_in_plain_text, metrics_count, many_at_once, old_tls_is_refused):
                tap.run(test.__name__.replace("_", " "), test, server)
            for name, text, wanted in refusals():
                for path in ("/mutate", "/validate"):
                    tap.run(f"{path}: {name}: {wanted}", refusal, server, path, text, wanted)
            tap.run("/no-such-path: 404", refusal, server, "/no-such-path", body(), 404)
            tap.run("still well after all this", same_after_refusals, server)
    except harness.Mismatch as wrong:
        tap.result("the server starts", str(wrong))
    tap.run("SIGTERM", stops, signal.SIGTERM)
    tap.run("SIGINT", stops, signal.SIGINT)
    with tempfile.TemporaryDirectory(prefix="mlgate-serve-") as folder:
        policy = os.path.join(folder, "policy.yaml")
        with open(policy, "w", encoding="utf-8") as file:
            file.write("apiVersion: mlgate.dev/v1\nkind: Policy\n")
        for name, args in (("a bad policy", {"--policies": policy}), ("no such policies", {"--policies": f"{folder}/none"}),
                           ("no certificate", {"--tls-cert": f"{folder}/none.crt"}),
                           ("no key", {"--tls-key": f"{folder}/none.key"}),
                           ("a certificate for a key", {"--tls-key": f"{harness.certificates()}/tls.crt"}),
                           ("a bad address", {"--listen": "nonsense"})):
            tap.run(f"does not start with {name}", refuses_to_start, args)
    tap.finish()


if __name__ == "__main__":
    main()
