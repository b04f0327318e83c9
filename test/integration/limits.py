#!/usr/bin/python3
"""What serve may use at most, and how it ends: limits that contradict each other or do not fit, signals at any time, a process
that stood still."""
import http.client
import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402
from harness import expect  # noqa: E402

BASELINE = os.path.join(harness.TOP, "policies", "baseline")
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "ml"},
       "spec": {"containers": [{"name": "main", "image": "registry.example/a:1"}]}}
WEIGHTS = """apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: weights}
spec:
  action: enforce
  rules:
  - imageSize: {unknown: deny}
---
apiVersion: mlgate.dev/v1
kind: Registry
metadata: {name: test}
spec: {host: "127.0.0.1:PORT", insecure: true, timeout: 30s}
"""


def serve_args(more):
    folder = harness.certificates()
    return ["serve", "--tls-cert", f"{folder}/tls.crt", "--tls-key", f"{folder}/tls.key", "--policies", BASELINE,
            "--listen", f"127.0.0.1:{harness.free_port()}", "--listen-plain", f"127.0.0.1:{harness.free_port()}", *more]


def contradiction(args, text):
    status, _, err = harness.run(serve_args(args), timeout=20)
    expect(status == 2 and text in err, f"exit {status}: {err!r}")


def help_fits_a_screen():
    status, out, _ = harness.run(["serve", "--help"])
    lines = out.splitlines()
    expect(status == 0 and len(lines) <= 25 and max(map(len, lines)) <= 80, f"{len(lines)} lines")
    status, more, _ = harness.run(["serve", "--help-all"])
    for name in ("--max-body", "--body-budget", "--review-memory", "--memory-budget", "--handshake-time", "--head-time",
                 "--body-time", "--answer-time", "--idle-time", "--age-time", "--max-waiting", "--watchdog"):
        expect(status == 0 and name in more and name not in out, name)


def idle_connection(server):
    context = ssl.create_default_context(cafile=f"{harness.certificates()}/ca.crt")
    return context.wrap_socket(socket.create_connection(("127.0.0.1", server.port)), server_hostname="localhost")


class Few(harness.Server):
    """A server that may open 256 files."""

    def __enter__(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.limits = soft, hard
        popen = subprocess.Popen

        def limited(*args, **kwargs):
            return popen(*args, **kwargs, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 256)))
        subprocess.Popen = limited
        try:
            return super().__enter__()
        finally:
            subprocess.Popen = popen


def few_descriptors():
    with Few([BASELINE]) as server:
        held = []
        try:
            for _ in range(200):
                try:
                    held.append(idle_connection(server))
                except (OSError, ssl.SSLError):
                    pass
            time.sleep(0.3)
            for _ in range(20):
                harness.answer(server, "/validate", json.dumps(harness.review(POD)).encode())
            files = len(os.listdir(f"/proc/{server.process.pid}/fd"))
            expect(files < 256, f"{files} files are open")
        finally:
            for one in held:
                one.close()
        expect("at most 128 connections instead of 1024" in server.logged(), server.logged())


def end_of(process, seconds):
    start = time.monotonic()
    status = process.wait(seconds)
    return status, time.monotonic() - start


def second_signal():
    with harness.Server([BASELINE], grace=30) as server:
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        expect(server.process.poll() is None, "left in its grace")
        server.process.send_signal(signal.SIGTERM)
        status, took = end_of(server.process, 10)
        expect(status == 128 + signal.SIGTERM and took < 2, f"exit {status} after {took:.1f} s")


def holds_signals(process):
    """As serve does first of all, before it has threads; before that the linker is at work, for as long as the machine likes. A
    thread that waits for a signal does not block it meanwhile, so that a late look goes by the threads."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        said = dict(line.split(":", 1) for line in file)
    return int(said["SigBlk"], 16) >> (signal.SIGTERM - 1) & 1 or int(said["Threads"]) > 1


def signal_at_start(ms):
    """So long after it holds them."""
    process = subprocess.Popen([harness.MLGATE, *serve_args(["--grace", "0"])], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, env=harness.environment())
    try:
        end = time.monotonic() + 20
        while not holds_signals(process):
            if process.poll() is not None:
                raise harness.Mismatch(f"exit {process.returncode}: {process.stderr.read().decode()}")
            expect(time.monotonic() < end, "signals are not held")
        time.sleep(ms / 1000)
        process.send_signal(signal.SIGTERM)
        status, took = end_of(process, 30)
        text = process.stderr.read().decode()
        expect(status == 0, f"exit {status} after {took:.1f} s: {text}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stderr.close()


def signal_while_reloading():
    with tempfile.TemporaryDirectory(prefix="mlgate-limits-") as folder:
        path = os.path.join(folder, "p.yaml")

        def write(turn):
            with open(path + ".new", "w", encoding="utf-8") as file:
                file.write("".join(f"---\napiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {{name: p{i}}}\nspec:\n"
                                   f"  description: turn {turn}\n  rules:\n  - gpuLimits: {{require: [memory]}}\n"
                                   for i in range(300)))
            os.rename(path + ".new", path)
        write(0)
        with harness.Server([folder], grace=0) as server:
            for turn in range(1, 20):
                write(turn)
                time.sleep(0.02)
            server.process.send_signal(signal.SIGHUP)
            server.process.send_signal(signal.SIGTERM)
            status, took = end_of(server.process, 30)
            expect(status == 0, f"exit {status} after {took:.1f} s: {server.logged()}")


def signal_while_a_review_waits():
    """For a registry that takes the connection and says nothing: the review is answered, and then all ends."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent, \
            tempfile.TemporaryDirectory(prefix="mlgate-limits-") as folder:
        port = silent.getsockname()[1]
        with open(os.path.join(folder, "p.yaml"), "w", encoding="utf-8") as file:
            file.write(WEIGHTS.replace("PORT", str(port)))
        pod = json.loads(json.dumps(POD))
        pod["spec"]["containers"][0]["image"] = f"127.0.0.1:{port}/team/model:1"
        answers = []
        with harness.Server([folder], grace=1) as server:
            def ask():
                context = ssl.create_default_context(cafile=f"{harness.certificates()}/ca.crt")
                connection = http.client.HTTPSConnection("localhost", server.port, context=context, timeout=30)
                try:
                    connection.request("POST", "/validate?timeout=4s", json.dumps(harness.review(pod)),
                                       {"Content-Type": "application/json"})
                    reply = connection.getresponse()
                    answers.append((reply.status, reply.read()))
                except (OSError, http.client.HTTPException) as wrong:
                    answers.append((0, repr(wrong).encode()))
                finally:
                    connection.close()
            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(0.5)
            server.process.send_signal(signal.SIGTERM)
            for thread in threads:
                thread.join(20)
            status, _ = end_of(server.process, 40)
            expect(status == 0, f"exit {status}: {server.logged()}")
        expect(len(answers) == 4, f"{len(answers)} answers")
        for code, text in answers:
            expect(code == 200 and json.loads(text)["response"]["allowed"] is False, f"{code} {text[:300]!r}")


def stood_still():
    """A stopped process is not a stuck thread."""
    with harness.Server([BASELINE], extra=["--watchdog", "1"]) as server:
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(4)
        server.process.send_signal(signal.SIGCONT)
        time.sleep(1.5)
        status, text = server.get("/livez")
        expect(status == 200 and text == b"ok\n", f"{status} {text!r}")
        harness.answer(server, "/validate", json.dumps(harness.review(POD)).encode())
        expect("stuck" not in server.logged(), server.logged())


def more_than_its_memory():
    """What can never be answered is refused once; a Retry-After would bring it back ten times."""
    pod = {**POD, "spec": {"containers": [{"name": f"c{i}", "image": "a"} for i in range(20000)]}}
    body = json.dumps(harness.review(pod)).encode()
    with harness.Server([BASELINE], extra=["--review-memory", "1Mi"]) as server:
        status, text = server.post("/validate", body)
        said = json.loads(text)
        expect(status == 413 and said["message"] == "mlgate: the review needs more than 1 MiB of memory", f"{status} {text!r}")
        harness.answer(server, "/validate", json.dumps(harness.review(POD)).encode())


def main():
    tap = harness.Tap()
    for args, text in ((["--body-budget", "4Mi"], "--body-budget is less than --max-body"),
                       (["--memory-budget", "4Mi"], "--memory-budget is less than --review-memory"),
                       (["--age-time", "60"], "--age-time is less than --idle-time"),
                       (["--max-body", "8M5"], "must be bytes such as 8Mi, from 64Ki to 8Mi"),
                       (["--max-body", "1Gi"], "from 64Ki to 8Mi"), (["--max-body", "100m"], "from 64Ki to 8Mi")):
        tap.run(f"refused: {' '.join(args)}", contradiction, args, text)
    for test in (help_fits_a_screen, few_descriptors, second_signal, signal_while_reloading, signal_while_a_review_waits,
                 stood_still, more_than_its_memory):
        tap.run(test.__name__.replace("_", " "), test)
    for ms in (0, 10, 30, 100):
        tap.run(f"SIGTERM {ms} ms after the start", signal_at_start, ms)
    tap.finish()


if __name__ == "__main__":
    main()
