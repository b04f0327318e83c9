#!/usr/bin/python3
"""--otlp-endpoint against collectors of several tempers: one that takes spans, ones that fail, and one that hangs."""
import collections
import http.server
import json
import os
import re
import ssl
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import exposition  # noqa: E402
import harness  # noqa: E402
from harness import expect  # noqa: E402
from logs import Server, denial, expect_as_fast, latencies, wait_for_lines  # noqa: E402

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
QUEUE, BATCH = 2048, 256  # as in webhook/app/otlp.h


class Collector:
    """Answers the n-th request with the n-th status, and those behind with the last; 0: not at all."""

    def __init__(self, *statuses, tls=False):
        self.statuses, self.requests, self.lock = list(statuses), [], threading.Lock()
        self.gone = threading.Event()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):  # pylint: disable=invalid-name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = collector.take(self.path, dict(self.headers), body)
                if status == 0:
                    collector.gone.wait(60)
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(f"{harness.certificates()}/tls.crt", f"{harness.certificates()}/tls.key")
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})

    def take(self, path, headers, body):
        with self.lock:
            self.requests.append((path, headers, body))
            return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]

    def spans(self):
        with self.lock:
            bodies = [json.loads(body) for _, _, body in self.requests]
        return [span for body in bodies for of in body["resourceSpans"] for scope in of["scopeSpans"] for span in scope["spans"]]

    def wait(self, count, seconds=15):
        end = time.monotonic() + seconds
        while len(self.spans()) < count and time.monotonic() < end:
            time.sleep(0.05)
        expect(len(self.spans()) >= count, f"{len(self.spans())} spans, not {count}")
        return self.spans()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.gone.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def counted(server):
    return {dict(key[1])["result"]: value for key, value in
            exposition.read(server.get("/metrics")[1].decode())["mlgate_otlp_spans_total"].samples.items()}


def until(server, result, wanted, seconds=30):
    end = time.monotonic() + seconds
    while counted(server)[result] < wanted and time.monotonic() < end:
        time.sleep(0.1)
    expect(counted(server)[result] >= wanted, f"{result}: {counted(server)}, not {wanted}")


def attributes(span):
    return {item["key"]: next(iter(item["value"].values())) for item in span["attributes"]}


def spans_are_sent():
    with tempfile.TemporaryFile() as log, Collector(200) as collector, Server(log, ["--otlp-endpoint", collector.url]) as server:
        begin = time.time()
        server.ask("/validate", denial("ev\nil"), [("traceparent", f"00-{TRACE}-{SPAN}-01")])
        server.ask("/mutate", denial(), [("traceparent", f"00-{TRACE}-{SPAN}-00")])  # its caller does not want it
        server.ask("/mutate", denial(), [])
        server.ask("/validate", b"{}", [])
        spans = collector.wait(3)
        expect(len(spans) == 3, f"{len(spans)} spans")
        child, root, error = spans
        for span in spans:
            expect(re.fullmatch("[0-9a-f]{32}", span["traceId"]) and re.fullmatch("[0-9a-f]{16}", span["spanId"]), f"ids: {span}")
            start, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
            expect(begin * 1e9 - 1e9 < start <= end < time.time() * 1e9, f"times: {span}")
            expect(span["kind"] == 2 and span["status"] == {}, f"{span}")
        expect(child["traceId"] == TRACE and child["parentSpanId"] == SPAN != child["spanId"], f"{child}")
        expect(child["name"] == "POST /validate" and root["name"] == "POST /mutate", "names")
        wanted = {"http.response.status_code": "200", "url.path": "/validate", "mlgate.decision": "deny", "mlgate.kind": "Pod",
                  "mlgate.policies": "gpu-limits", "mlgate.operation": "CREATE", "k8s.namespace.name": "ml",
                  "mlgate.name": "ev\nil",
                  "mlgate.uid": "7f4a7c15-0000-4000-8000-000000000001"}
        expect(attributes(child) == wanted, f"{attributes(child)}")
        expect("parentSpanId" not in root and root["traceId"] not in (TRACE, error["traceId"]), f"{root}")
        expect(attributes(root)["mlgate.decision"] == "allow" and attributes(root)["mlgate.patched"] is True, f"{root}")
        told = attributes(error)
        expect((told["mlgate.decision"], told["http.response.status_code"]) == ("error", "400"), f"{error}")
        line = wait_for_lines(log, "denied")[0]
        expect((line["trace_id"], line["span_id"]) == (TRACE, child["spanId"]), f"the line is of another span: {line}")
        path, headers, body = collector.requests[0]
        expect(path == "/v1/traces" and headers["Content-Type"] == "application/json", f"{path} {headers}")
        expect(b"not-for-the-log" not in body and b"registry.example" not in body and b"alice" not in body, "too much is told")
        resource = attributes(json.loads(body)["resourceSpans"][0]["resource"])
        expect(resource["service.name"] == "mlgate" and resource["service.version"], f"{resource}")
        until(server, "sent", 3)
        expect(counted(server) == {"sent": 3, "dropped": 0, "failed": 0}, f"{counted(server)}")


def paths():
    for given, wanted in (("/", "/v1/traces"), ("/otel", "/otel/v1/traces"), ("/v1/traces", "/v1/traces")):
        with Collector(200) as collector, tempfile.TemporaryFile() as log:
            with Server(log, ["--otlp-endpoint", collector.url + given]) as server:
                server.ask("/mutate", denial(), [])
                server.stop()  # sends what waits
            expect([path for path, _, _ in collector.requests] == [wanted], f"{given}: {collector.requests}")


def over_tls():
    ca = f"{harness.certificates()}/ca.crt"
    with Collector(200, tls=True) as collector, tempfile.TemporaryFile() as log:
        with Server(log, ["--otlp-endpoint", collector.url, "--otlp-ca-file", ca]) as server:
            server.ask("/mutate", denial(), [])
            collector.wait(1)
        with Server(log, ["--otlp-endpoint", collector.url]) as server:  # nobody that the system knows has signed it
            server.ask("/mutate", denial(), [])
            until(server, "failed", 1)
        expect(len(collector.spans()) == 1, "a span for whoever is there")


def many_in_batches():
    with Collector(200) as collector, tempfile.TemporaryFile() as log:
        with Server(log, ["--otlp-endpoint", collector.url, "--log-level", "error"]) as server:
            latencies(server, 1000)
            until(server, "sent", 1000)
            expect(counted(server) == {"sent": 1000, "dropped": 0, "failed": 0}, f"{counted(server)}")
        sizes = [len(json.loads(body)["resourceSpans"][0]["scopeSpans"][0]["spans"]) for _, _, body in collector.requests]
        expect(max(sizes) <= BATCH and len(sizes) < 100, f"batches: {sizes}")
        ids = collections.Counter(span["spanId"] for span in collector.spans())
        expect(len(ids) == 1000 and max(ids.values()) == 1, "a span comes twice")


def one_that_answers_500():
    """For good: it is not tried again, the spans count as failed, reviews go on."""
    with Collector(500) as collector, tempfile.TemporaryFile() as log:
        with Server(log, ["--otlp-endpoint", collector.url]) as server:
            server.ask("/mutate", denial(), [])
            until(server, "failed", 1)
            expect(len(collector.requests) == 1, f"{len(collector.requests)} requests")
            server.ask("/mutate", denial(), [])
            until(server, "failed", 2)


def one_that_is_away_for_a_moment():
    with Collector(503, 429, 200) as collector, tempfile.TemporaryFile() as log:
        with Server(log, ["--otlp-endpoint", collector.url]) as server:
            server.ask("/mutate", denial(), [])
            until(server, "sent", 1)
            expect(len(collector.requests) == 3, f"{len(collector.requests)} requests")
            expect(len({span["spanId"] for span in collector.spans()}) == 1, "other spans")


def nobody_there():
    with tempfile.TemporaryFile() as log, Server(log, ["--otlp-endpoint", f"http://127.0.0.1:{harness.free_port()}"]) as server:
        server.ask("/mutate", denial(), [])
        until(server, "failed", 1)
        expect(server.stop() == 0, "exit status")


def one_that_hangs(tap):
    """Reviews are as fast as without; what does not fit is dropped and counted; and it does not hold up the end."""
    with Collector(0) as collector, tempfile.TemporaryFile() as log:
        extra = ["--log-level", "error"]
        with Server(log, ["--otlp-endpoint", collector.url, *extra]) as server, Server(log, extra) as free:
            latencies(server, QUEUE + BATCH + 500)
            expect(counted(server)["dropped"] >= 200, f"{counted(server)}")
            expect_as_fast(tap, free, server, "without spans", "with a collector that hangs")
            begin = time.monotonic()
            expect(server.stop() == 0, "exit status")
            expect(time.monotonic() - begin < 8, f"the end took {time.monotonic() - begin:.1f} s")


def refuses_to_start(args):
    folder = harness.certificates()
    files = ["--tls-cert", f"{folder}/tls.crt", "--tls-key", f"{folder}/tls.key"]
    status, _, err = harness.run(["serve", *files, *args], timeout=20)
    expect(status == 2 and "otlp" in err, f"exit {status}: {err!r}")


def main():
    tap = harness.Tap()
    for test in (spans_are_sent, paths, over_tls, many_in_batches, one_that_answers_500, one_that_is_away_for_a_moment,
                 nobody_there):
        tap.run(test.__name__.replace("_", " "), test)
    tap.run("one that hangs", one_that_hangs, tap)
    for url in ("collector:4318", "ftp://collector", "http://", "http:///v1/traces", "http://user:word@collector", "http://a/?b",
                "http://a b", "http://" + "a" * 600):
        tap.run(f"does not start with --otlp-endpoint {url[:40]}", refuses_to_start, ["--otlp-endpoint", url])
    tap.run("does not start with a CA for nobody", refuses_to_start, ["--otlp-ca-file", "/dev/null"])
    tap.finish()


if __name__ == "__main__":
    main()
