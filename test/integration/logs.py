#!/usr/bin/python3
"""The server's log: what a line has, that strangers cannot fill it, and that nobody who reads it slowly holds up a review."""
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import exposition  # noqa: E402
import harness  # noqa: E402
from harness import expect  # noqa: E402

BASELINE = os.path.join(harness.TOP, "policies", "baseline")
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
LINE_MAX = 4096


class Server(harness.Server):
    """One whose standard error goes where the test says."""

    def __init__(self, log, extra=()):
        super().__init__([BASELINE], extra=extra)
        self.given = log

    def __enter__(self):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.given,
                                        env=harness.environment())
        try:
            self.wait_ready()
        except harness.Mismatch:
            self.stop()
            raise
        return self

    def dropped(self, reason):
        families = exposition.read(self.get("/metrics")[1].decode())
        return families["mlgate_log_lines_dropped_total"].value(reason=reason)

    def ask(self, path, body, headers):
        """With headers of its own."""
        trust = ssl.create_default_context(cafile=f"{harness.certificates()}/ca.crt")
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=trust)
        connection.putrequest("POST", path)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers):
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status


def denial(name="a", secret="not-for-the-log"):
    container = {"name": "main", "image": "registry.example/a:1", "env": [{"name": "TOKEN", "value": secret}],
                 "resources": {"requests": {"nvidia.com/gpu": "1"}}}
    return json.dumps(harness.review({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "ml"},
                                      "spec": {"containers": [container]}})).encode()


def lines_of(text):
    lines = text.split("\n")
    expect(lines.pop() == "", "the last line does not end")
    expect(all(len(line.encode()) < LINE_MAX for line in lines), "a line is too long")
    return [json.loads(line) for line in lines]


def wait_for_lines(file, wanted, count=1):
    """The lines with such a message, when there are so many."""
    end = time.monotonic() + 10
    while True:
        file.seek(0)
        text = file.read().decode()
        found = [line for line in lines_of(text[:text.rfind("\n") + 1]) if line["msg"] == wanted]
        if len(found) >= count or time.monotonic() > end:
            expect(len(found) >= count, f"{len(found)} lines {wanted!r}: {text[-1000:]}")
            return found
        time.sleep(0.02)


def a_denial():
    with tempfile.TemporaryFile() as log, Server(log) as server:
        status = server.ask("/validate", denial("ev\n\u001b[31mil"), [("traceparent", f"00-{TRACE}-{SPAN}-01")])
        expect(status == 200, f"HTTP {status}")
        line = wait_for_lines(log, "denied")[0]
        wanted = {"level": "info", "path": "/validate", "uid": "7f4a7c15-0000-4000-8000-000000000001", "kind": "Pod",
                  "namespace": "ml", "user": "alice", "operation": "CREATE", "decision": "deny", "policies": "gpu-limits",
                  "trace_id": TRACE, "span_id": SPAN}
        expect(wanted.items() <= line.items(), f"{line}")
        expect(line["name"] == "ev\n\ufffd[31mil", f"name {line['name']!r}")
        expect(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", line["time"]), line["time"])
        expect(isinstance(line["duration_us"], int) and line["duration_us"] >= 0, f"duration {line['duration_us']}")
        status = server.ask("/validate", b"{}", [])
        expect(status == 400, f"HTTP {status}")
        line = wait_for_lines(log, "not reviewed")[0]
        expect(line["decision"] == "error" and line["status"] == 400 and line["message"], f"{line}")
        log.seek(0)
        expect(b"not-for-the-log" not in log.read(), "what is in the object is in the log")


def traces_that_are_none():
    bad = [[("traceparent", f"00-{TRACE}-{SPAN}-01"), ("traceparent", f"00-{TRACE}-{SPAN}-01")],
           [("traceparent", f"00-{TRACE.upper()}-{SPAN}-01")], [("traceparent", f"00-{'0' * 32}-{SPAN}-01")],
           [("traceparent", f'00-{TRACE[:-1]}"-{SPAN}-01')], [("traceparent", "")], [("traceparent", "x" * 5000)]]
    with tempfile.TemporaryFile() as log, Server(log) as server:
        for headers in bad:
            expect(server.ask("/validate", denial(), headers) == 200, f"{headers}")
        for line in wait_for_lines(log, "denied", len(bad)):
            expect("trace_id" not in line and "span_id" not in line, f"{line}")
        expect(server.ask("/validate", denial(), [("TraceParent", f"01-{TRACE}-{SPAN}-00-more")]) == 200, "a later version")
        expect(wait_for_lines(log, "denied", len(bad) + 1)[-1].get("trace_id") == TRACE, "a later version's trace")


def strangers_cannot_fill_it():
    """Garbage from anybody, and denials: so many lines at once, and then at their rate; how many were not told is."""
    with tempfile.TemporaryFile() as log, Server(log, ["--log-rate", "5"]) as server:
        begin = time.monotonic()
        for _ in range(300):
            expect(server.post("/validate", b"{}")[0] == 400, "garbage")
            expect(server.post("/validate", denial())[0] == 200, "a denial")
        seconds = time.monotonic() - begin
        held = server.dropped("rate")
        time.sleep(0.5)
        server.post("/validate", b"{}")
        server.post("/validate", denial())
        for message in ("denied", "not reviewed"):
            found = wait_for_lines(log, message, 51)
            expect(len(found) <= 52 + 5 * (seconds + 1), f"{len(found)} lines {message!r} in {seconds:.1f} s")
            told = sum(line.get("held_back", 0) for line in found)
            expect(len(found) + told == 301, f"{message}: {len(found)} lines, {told} held back, of 301")
        expect(held >= 600 - 2 * (52 + 5 * (seconds + 1)), f"held back: {held}")
        expect(server.dropped("blocked") == 0, "none was blocked")


def all_denials():
    with tempfile.TemporaryFile() as log, Server(log, ["--log-rate", "0"]) as server:
        for _ in range(1500):
            server.post("/validate", denial())
        wait_for_lines(log, "denied", 1500)
        expect(server.dropped("rate") == 0, "none was held back")


def latencies(server, count):
    """Of denials over one connection, in ms, sorted."""
    body, taken = denial(), []
    for _ in range(count):
        begin = time.perf_counter()
        expect(server.post("/validate", body)[0] == 200, "a denial")
        taken.append((time.perf_counter() - begin) * 1000)
    return sorted(taken)


def expect_as_fast(tap, free, held, with_which, with_what):
    """Denials of the second server take no longer than those of the first, which has nothing to wait for."""
    rounds = [(latencies(free, 300), latencies(held, 300)) for _ in range(5)]
    quick, slow = (sorted(sum((pair[i] for pair in rounds), [])) for i in (0, 1))
    p99 = [of[len(of) * 99 // 100] for of in (quick, slow)]
    tap.note(f"denials: p50 {quick[750]:.2f} ms, p99 {p99[0]:.2f} ms {with_which}; p50 {slow[750]:.2f} ms, p99 {p99[1]:.2f} ms "
             f"{with_what}")
    expect(slow[-1] < 2000 and p99[1] < 5 * p99[0] + 20, f"p99 {p99[0]:.2f} ms {with_which}, {p99[1]:.2f} ms {with_what}")


def nobody_reads(tap):
    """Standard error is a pipe that is full. Reviews go on as before, and what is lost is counted."""
    read_end, write_end = os.pipe()
    try:
        with Server(write_end, ["--log-rate", "0"]) as server:
            with tempfile.TemporaryFile() as log, Server(log, ["--log-rate", "0"]) as free:
                latencies(server, 1500)  # fills the pipe and the queue: both hold about 320 KiB
                expect(server.dropped("blocked") > 0, "the pipe is not full")
                expect_as_fast(tap, free, server, "with a reader", "without")
            expect(server.get("/readyz")[0] == 200, "not ready")
            lost = server.dropped("blocked")
            expect(lost >= 1000, f"only {lost} lines were lost")
            got = []

            def reader():
                while True:
                    part = os.read(read_end, 65536)
                    got.append(part)
                    if not part:
                        return
            thread = threading.Thread(target=reader)
            os.close(write_end)  # ours; the server has its own
            thread.start()
            time.sleep(0.3)
            server.post("/validate", denial("after"))
            status = server.stop()
            thread.join(20)
            expect(status == 0, f"exit {status}")
        lines = lines_of(b"".join(got).decode())
        expect(lines[-1]["msg"] == "stopped", f"the last line is {lines[-1]}")
        denied = [line for line in lines if line["msg"] == "denied"]
        expect(denied[-1]["name"] == "after", "nothing came through after the reader was back")
        expect(len(denied) + lost == 1500 + 1500 + 1, f"{len(denied)} lines and {lost} lost, of 3001")
    finally:
        os.close(read_end)


def stops_with_nobody_reading():
    read_end, write_end = os.pipe()
    try:
        with Server(write_end, ["--log-rate", "0"]) as server:
            latencies(server, 1500)
            begin = time.monotonic()
            status = server.stop()
            expect(status == 0, f"exit {status}")
            expect(time.monotonic() - begin < 8, f"it took {time.monotonic() - begin:.1f} s")
    finally:
        os.close(read_end)
        os.close(write_end)


def a_full_disk():
    with open("/dev/full", "wb") as log, Server(log) as server:
        harness.answer(server, "/validate", denial())
        end = time.monotonic() + 10
        while server.dropped("blocked") < 2 and time.monotonic() < end:
            time.sleep(0.02)
        expect(server.dropped("blocked") >= 2, "lines that met a full disk are not counted")
        harness.answer(server, "/validate", denial())


def a_reader_that_goes():
    """The other end is closed: no SIGPIPE, no busy loop."""
    ours, theirs = socket.socketpair()
    with Server(theirs) as server:
        theirs.close()
        ours.close()
        for _ in range(50):
            harness.answer(server, "/validate", denial())
        expect(server.get("/readyz")[0] == 200, "not ready")


def main():
    tap = harness.Tap()
    for test in (a_denial, traces_that_are_none, strangers_cannot_fill_it, all_denials):
        tap.run(test.__name__.replace("_", " "), test)
    tap.run("nobody reads", nobody_reads, tap)
    for test in (stops_with_nobody_reading, a_full_disk, a_reader_that_goes):
        tap.run(test.__name__.replace("_", " "), test)
    tap.finish()


if __name__ == "__main__":
    main()
