#!/usr/bin/python3
"""/metrics in both its forms, what it counts, and that it stays small whatever comes in."""
import http.client
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import exposition  # noqa: E402
import harness  # noqa: E402
from harness import expect  # noqa: E402

BASELINE = os.path.join(harness.TOP, "policies", "baseline")
SECRET = "name-that-no-metric-has"
OPEN = ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
        "text/plain;version=0.0.4;q=0.5,*/*;q=0.1")  # what Prometheus sends


def pod(gpus=0, name=SECRET):
    container = {"name": "main", "image": "registry.example/a:1"}
    if gpus:
        container["resources"] = {"requests": {"nvidia.com/gpu": str(gpus)}}
    metadata = {"name": name, "namespace": SECRET}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}


def fetch(server, accept=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.plain_port, timeout=10)
    try:
        connection.request("GET", "/metrics", headers={"Accept": accept} if accept else {})
        answer = connection.getresponse()
        return answer.getheader("Content-Type"), answer.read().decode()
    finally:
        connection.close()


def scrape(server):
    return exposition.read(fetch(server)[1])


def until(server, name, wanted, **labels):
    """What another thread counts is there a moment later."""
    end = time.monotonic() + 10
    while True:
        value = scrape(server)[name].sum(**labels)
        if value >= wanted or time.monotonic() > end:
            expect(value >= wanted, f"{name}{labels} is {value}, not {wanted}")
            return
        time.sleep(0.02)


def both_forms(server):
    kind, text = fetch(server)
    expect(kind == "text/plain; version=0.0.4; charset=utf-8", f"Content-Type {kind}")
    plain = exposition.read(text)
    kind, text = fetch(server, OPEN)
    expect(kind == "application/openmetrics-text; version=1.0.0; charset=utf-8", f"Content-Type {kind}")
    opened = exposition.read(text, open_metrics=True)
    expect(list(plain) == list(opened), f"other families: {set(plain) ^ set(opened)}")
    for name, family in plain.items():
        other = opened[name]
        expect((family.kind, family.help) == (other.kind, other.help), f"{name} differs")
        expect(list(family.samples) == list(other.samples), f"{name} has other samples")
    for accept in ("text/plain", "*/*", "application/openmetrics-text;q=0", "application/json"):
        expect(fetch(server, accept)[0].startswith("text/plain"), f"Accept: {accept}")


def promtool(server):
    done = subprocess.run([exposition.promtool(), "check", "metrics"], input=fetch(server)[1].encode(), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60, check=False)
    expect(done.returncode == 0 and not done.stdout.strip(), f"exit {done.returncode}: {done.stdout.decode()}")


def reviews_are_counted(server):
    before = scrape(server)
    for _ in range(40):
        harness.answer(server, "/mutate", harness.review(pod(1)))
        harness.answer(server, "/validate", harness.review(pod(1)))
    server.post("/validate", b"{}")
    server.post("/validate", b"[" * 1000)
    after = scrape(server)

    def more(name, **labels):
        return after[name].sum(**labels) - before[name].sum(**labels)
    requests = "mlgate_admission_requests_total"
    expect(more(requests, operation="CREATE", kind="Pod", allowed="true") == 40, "40 patched")
    expect(more(requests, operation="CREATE", kind="Pod", allowed="false") == 40, "40 denied")
    expect(more("mlgate_admission_errors_total", status="400") == 1, "one without a request")
    expect(more("mlgate_admission_errors_total", status="413") == 1, "one too deep")
    expect(more("mlgate_policy_evaluations_total", policy="gpu-limits", result="deny") == 40, "40 by gpu-limits")
    expect(more("mlgate_policy_evaluations_total", result="mutate") >= 40, "40 were changed by some policy")
    timed = after["mlgate_policy_duration_seconds"].values(policy="gpu-limits")
    count = timed[("mlgate_policy_duration_seconds_count", (("policy", "gpu-limits"),))]
    taken = timed[("mlgate_policy_duration_seconds_sum", (("policy", "gpu-limits"),))]
    expect(1 <= count <= 40 and 0 < taken < 10, f"{count} timed, {taken} s")
    expect(more("mlgate_http_requests_total", door="reviews") == 82, "82 requests")
    expect(after["mlgate_http_requests_total"].value(door="plain") >= 2, "requests for metrics")


def nothing_of_objects(server):
    _, text = fetch(server)
    expect(SECRET not in text and "alice" not in text and "registry.example" not in text, "an object is in the metrics")


def series_are_bounded(server):
    """Names, kinds, users and paths that nobody has heard of make no series."""
    def series():
        return {key for family in scrape(server).values() for key in family.samples}
    for i in range(2):
        harness.answer(server, "/validate", harness.review({"apiVersion": "a.b/v1", "kind": "Kind", "metadata": {"name": "x"}}))
        server.get("/nothing")
    before = series()
    for i in range(100):
        other = {"apiVersion": f"group{i}.example/v{i}", "kind": f"Kind{i}", "metadata": {"name": f"n{i}", "namespace": f"ns{i}"}}
        harness.answer(server, "/validate", harness.review(other, user=f"user{i}"))
        server.get(f"/nothing{i}?a={i}")
    expect(series() == before, f"new: {sorted(series() - before)[:3]}")


def handshakes(server):
    before = scrape(server)["mlgate_tls_handshakes_total"]
    for _ in range(3):
        other = harness.Server(server.policies)
        other.port = server.port
        harness.answer(other, "/validate", harness.review(pod()))
        other.close()
        with socket.create_connection(("127.0.0.1", server.port), 10) as raw:
            raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
            raw.settimeout(10)
            while raw.recv(1000):
                pass
    until(server, "mlgate_tls_handshakes_total", before.value(result="success") + 3, result="success")
    until(server, "mlgate_tls_handshakes_total", before.value(result="failure") + 3, result="failure")
    after = scrape(server)["mlgate_tls_handshakes_total"]
    expect(after.value(result="success") == before.value(result="success") + 3, "three handshakes")
    expect(after.value(result="failure") == before.value(result="failure") + 3, "three that were none")


def what_is_open(server):
    """Connections, requests under way and the bytes that have come of them."""
    trust = ssl.create_default_context(cafile=f"{harness.certificates()}/ca.crt")
    address = ("127.0.0.1", server.port)
    with socket.create_connection(address, 10) as raw, trust.wrap_socket(raw, server_hostname="localhost") as tls:
        head = b"POST /validate HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 123457\r\n\r\n"
        tls.sendall(head + b" " * 123456)
        until(server, "mlgate_http_body_bytes", 123456)
        now = scrape(server)
        expect(now["mlgate_http_body_bytes"].value() == 123456, "bytes of one body")
        expect(now["mlgate_http_requests_in_flight"].value() == 1, "one request")
        expect(1 <= now["mlgate_http_connections"].value(door="reviews") <= 3, "a connection")
    limits = {name: now[name].value() for name in ("mlgate_http_connections_limit", "mlgate_http_body_budget_bytes",
                                                  "mlgate_http_reviews_waiting_limit", "process_max_fds")}
    expect(all(value > 0 for value in limits.values()), f"limits: {limits}")
    end = time.monotonic() + 20
    while scrape(server)["mlgate_http_body_bytes"].value() and time.monotonic() < end:
        time.sleep(0.05)
    now = scrape(server)
    expect(now["mlgate_http_body_bytes"].value() == 0 and now["mlgate_http_requests_in_flight"].value() == 0, "given back")


def generations():
    """The generation counts up, a bad file is shown, and two servers with the same policies have the same hash."""
    policy = "apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: one}\nspec:\n  rules:\n  - gpuLimits: {}\n"
    with tempfile.TemporaryDirectory(prefix="mlgate-metrics-") as folder:
        def write(text):
            with open(f"{folder}/new", "w", encoding="utf-8") as file:
                file.write(text)
            os.rename(f"{folder}/new", f"{folder}/one.yaml")
        write(policy)
        with harness.Server([folder], extra=["--poll", "1"]) as server, harness.Server([folder]) as other:
            first = scrape(server)
            expect(first["mlgate_config_generation"].value() == 1, "the first generation")
            expect(abs(first["mlgate_config_generation_timestamp_seconds"].value() - time.time()) < 60, "just now")
            expect(first["mlgate_config_hash"].value() == scrape(other)["mlgate_config_hash"].value() > 0, "the same hash")
            write(policy + "    sizeLimt: 1\n")
            until(server, "mlgate_config_reload_failing", 1, what="policies")
            expect(scrape(server)["mlgate_config_generation"].value() == 1, "a bad file makes no generation")
            expect(scrape(server)["mlgate_config_reload_failing"].value(what="certificate") == 0, "the certificate is well")
            write(policy + "---\n" + policy.replace("one", "two"))
            until(server, "mlgate_config_reloads_total", 2, result="success")  # counted when all else is so
            now = scrape(server)
            expect(now["mlgate_config_generation"].value() == 2, "the second generation")
            expect(now["mlgate_config_reload_failing"].value(what="policies") == 0, "mended")
            expect(now["mlgate_config_hash"].value() != first["mlgate_config_hash"].value(), "another hash")
            expect(now["mlgate_policies"].value() == 2, "two policies")


def many_policies():
    """More than have a name of their own: the rest is one."""
    one = "apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {{name: p-{:05}}}\nspec:\n  rules:\n  - gpuLimits: {{}}\n"
    with tempfile.TemporaryDirectory(prefix="mlgate-metrics-") as folder:
        with open(f"{folder}/many.yaml", "w", encoding="utf-8") as file:
            file.write("---\n".join(one.format(i) for i in range(4100)))
        with harness.Server([folder]) as server:
            harness.answer(server, "/validate", harness.review(pod()))
            now = scrape(server)
            results = now["mlgate_policy_evaluations_total"]
            expect(now["mlgate_policies"].value() == 4100, "4100 policies")
            expect(results.value(policy="p-04095", result="pass") == 1, "4096 have a name")
            expect(not results.values(policy="p-04096"), "the next has none")
            expect(results.value(policy="other", result="pass") == 4, "four have none")
            _, text = fetch(server, OPEN)
            expect(len(exposition.read(text, True)["mlgate_policy_duration_seconds"].samples) == 4097 * 10, "all of them timed")


def main():
    tap = harness.Tap()
    try:
        with harness.Server([BASELINE]) as server:
            for test in (reviews_are_counted, both_forms, nothing_of_objects, series_are_bounded, handshakes, what_is_open):
                tap.run(test.__name__.replace("_", " "), test, server)
            if exposition.promtool():
                tap.run("promtool check metrics", promtool, server)
            else:
                tap.skip("promtool check metrics", "promtool is not installed (make promtool)")
    except harness.Mismatch as wrong:
        tap.result("the server starts", str(wrong))
    tap.run("generations", generations)
    tap.run("many policies", many_policies)
    tap.finish()


if __name__ == "__main__":
    main()
