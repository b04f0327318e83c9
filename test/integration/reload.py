#!/usr/bin/python3
"""Files that change under a running server: policies and certificates under load, SIGHUP, errors, and clients' certificates."""
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402
from harness import expect  # noqa: E402

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "ml"},
       "spec": {"containers": [{"name": "main", "image": "registry.example/a:1",
                                "resources": {"limits": {"nvidia.com/gpu": "1"}}}]}}
POLICY = """apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: memory}
spec:
  action: ACTION
  rules:
  - gpuLimits: {signals: [], require: [memory]}
"""
RANGE = """---
apiVersion: v1
kind: LimitRange
metadata: {name: devices, namespace: other}
spec: {limits: [{type: Container, max: {nvidia.com/gpu: 4}}]}
"""


class Place:
    """A volume as Kubernetes mounts it: every file is a link through ..data, and ..data is replaced."""

    def __init__(self, folder):
        self.folder, self.turn = folder, 0
        os.makedirs(folder)

    def write(self, files):
        self.turn += 1
        name = f"..{self.turn}"
        os.mkdir(os.path.join(self.folder, name))
        for file, text in files.items():
            with open(os.path.join(self.folder, name, file), "wb") as out:
                out.write(text)
            if not os.path.islink(os.path.join(self.folder, file)):
                os.symlink(f"..data/{file}", os.path.join(self.folder, file))
        os.symlink(name, os.path.join(self.folder, "..data_tmp"))
        os.rename(os.path.join(self.folder, "..data_tmp"), os.path.join(self.folder, "..data"))
        if self.turn > 2:
            shutil.rmtree(os.path.join(self.folder, f"..{self.turn - 2}"))


def pair(folder):
    """A certificate and key of the test's CA."""
    with open(f"{folder}/tls.crt", "rb") as cert, open(f"{folder}/tls.key", "rb") as key:
        return {"tls.crt": cert.read(), "tls.key": key.read()}


def use_pair(command, place):
    """The command of a server, with the certificate and key of that volume."""
    for option in ("--tls-cert", "--tls-key"):
        at = command.index(option) + 1
        command[at] = os.path.join(place.folder, os.path.basename(command[at]))
    return command


class Reloading(harness.Server):
    """A server whose policies and certificate are mounted in a folder of its own."""

    def __init__(self, folder, extra=()):
        self.policy_place, self.pair_place = Place(f"{folder}/policies"), Place(f"{folder}/tls")
        self.policy("enforce")
        self.pair_place.write(pair(harness.certificates()))
        super().__init__([f"{folder}/policies"], extra=extra)

    def policy(self, action, text=POLICY):
        self.policy_place.write({"memory.yaml": text.replace("ACTION", action).encode()})

    def command(self):
        return use_pair(super().command(), self.pair_place)

    def verbose(self):
        return self.get("/readyz?verbose")[1].decode()

    def wait_for(self, text, seconds=15, absent=False):
        end = time.monotonic() + seconds
        while (text in self.verbose()) == absent:
            expect(time.monotonic() < end, f"\"{text}\": {self.verbose()} {self.logged()}")
            time.sleep(0.05)

    def allowed(self):
        status, reply = self.post("/validate", json.dumps(harness.review(POD)).encode())
        expect(status == 200, f"HTTP {status}: {reply[:200]!r}")
        return json.loads(reply)["response"]["allowed"]


def policies_change(server):
    expect(not server.allowed(), "allowed at first")
    server.policy("warn")
    server.wait_for("generation 2\n")
    expect(server.allowed(), "denied by the policy that was replaced")
    server.policy("nonsense")
    server.wait_for("policies: what is newer does not serve: ")
    expect("generation 2\n" in server.verbose() and server.get("/readyz")[0] == 200, server.verbose())
    expect(server.allowed(), "a bad policy serves")
    server.policy("enforce")
    server.wait_for("generation 3\n")
    expect(not server.allowed() and "newer" not in server.verbose(), server.verbose())


def hangup(server):
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("generation 4\n")


def warnings_and_errors(server):
    """What is odd is told in the log where it is loaded, and does not stand before what is wrong."""
    server.policy("enforce", POLICY + RANGE)
    server.wait_for("generation 5\n")
    expect('"level":"warn"' in server.logged() and "this maximum gives" in server.logged(), server.logged())
    for wrong in ("actions: a", "acton: a"):
        server.policy("enforce", (POLICY + RANGE).replace("action: ACTION", wrong))
        server.wait_for(f'unknown key "{wrong[:-3]}"')
    server.policy("enforce")
    server.wait_for("generation 6\n")


def certificate_errors(server):
    good = pair(harness.certificates())
    for name, files in (("half", {**good, "tls.crt": good["tls.crt"][:200]}), ("mismatch", {**good, "tls.key": good["tls.crt"]}),
                        ("large", {**good, "tls.crt": good["tls.crt"] + b"\n" * (1 << 20)})):
        server.pair_place.write(files)
        server.wait_for("certificate: what is newer does not serve: ")
        server.close()
        expect(not server.allowed() and server.get("/readyz")[0] == 200, name)
        server.pair_place.write(good)
        server.wait_for("newer", absent=True)


def rotation_under_load(server):
    """Certificate and policies replaced every 100 ms for three seconds; every request on a connection of its own."""
    failures, done, counts = [], threading.Event(), [0, 0, 0]

    def client(number):
        other = harness.Server(server.policies)
        other.port, other.plain_port = server.port, server.plain_port
        body = json.dumps(harness.review(POD)).encode()
        while not done.is_set():
            try:
                if number == 0:
                    other.close()
                trust = ssl.create_default_context(cafile=f"{harness.certificates()}/ca.crt")
                other.connection = other.connection or harness.http.client.HTTPSConnection("127.0.0.1", other.port, timeout=10,
                                                                                           context=trust)
                other.connection.request("POST", "/validate?timeout=10s", body, {"Content-Type": "application/json"})
                answer = other.connection.getresponse()
                reply = answer.read()
                expect(answer.status == 200 and b'"allowed"' in reply, f"{answer.status} {reply[:100]!r}")
                counts[number] += 1
            except Exception as wrong:  # pylint: disable=broad-except
                failures.append(repr(wrong))
                other.close()
        other.close()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    good = pair(harness.certificates())
    for turn in range(30):
        server.pair_place.write(good)
        server.policy("warn" if turn % 2 else "enforce")
        time.sleep(0.1)
    done.set()
    for thread in threads:
        thread.join()
    expect(not failures, f"{len(failures)} failed: {failures[:3]}")
    expect(all(counts), f"requests {counts}")


def client_certificates(folder):
    """--client-ca with a name: with the right certificate a review is answered, without one or with another none is."""
    def certificate(name, issuer):
        made = f"{folder}/{name}"
        os.makedirs(made, exist_ok=True)
        run = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
               "-subj", f"/CN={name}", "-keyout", f"{made}/key", "-out", f"{made}/crt", "-addext", "extendedKeyUsage=clientAuth"]
        if issuer:
            run += ["-CA", f"{folder}/{issuer}/crt", "-CAkey", f"{folder}/{issuer}/key", "-addext", "basicConstraints=CA:FALSE"]
        subprocess.run(run, check=True, capture_output=True)
        return made
    certificate("client-ca", None)
    good, wrong, rogue = (certificate("kube-apiserver", "client-ca"), certificate("somebody", "client-ca"),
                          certificate("rogue", None))
    extra = ["--client-ca", f"{folder}/client-ca/crt", "--client-name", "kube-apiserver"]
    with Reloading(f"{folder}/m", extra) as server:
        for made, wanted in ((good, True), (wrong, False), (rogue, False), (None, False)):
            trust = ssl.create_default_context(cafile=f"{harness.certificates()}/ca.crt")
            if made:
                trust.load_cert_chain(f"{made}/crt", f"{made}/key")
            connection = harness.http.client.HTTPSConnection("127.0.0.1", server.port, timeout=10, context=trust)
            try:
                connection.request("POST", "/validate", json.dumps(harness.review(POD)).encode(),
                                   {"Content-Type": "application/json"})
                got = connection.getresponse().status == 200
            except (OSError, ssl.SSLError, harness.http.client.HTTPException):
                got = False
            finally:
                connection.close()
            expect(got == wanted, f"{made}: {got}")


def usual_folder_gone(folder):
    """Without --policies it is ./policies, and stays that: were it gone for a moment, the built-in pack would serve."""
    os.mkdir(folder)
    before = os.getcwd()
    os.chdir(folder)
    try:
        server = Reloading(folder, ["--poll", "3600"])
        server.policies = ()
        with server:
            expect(not server.allowed(), "./policies does not serve")
            os.rename("policies", "gone")
            server.process.send_signal(signal.SIGHUP)
            server.wait_for("policies: what is newer does not serve: ")
            expect("generation 1\n" in server.verbose() and not server.allowed(), server.verbose())
            os.rename("gone", "policies")
            server.process.send_signal(signal.SIGHUP)
            server.wait_for("newer", absent=True)
            expect(not server.allowed(), "another policy serves")
    finally:
        os.chdir(before)


def main():
    tap = harness.Tap()
    with tempfile.TemporaryDirectory(prefix="mlgate-reload-") as folder:
        try:
            with Reloading(f"{folder}/a", ["--poll", "3600"]) as server:
                for test in (policies_change, hangup, warnings_and_errors, certificate_errors, rotation_under_load):
                    tap.run(test.__name__.replace("_", " "), test, server)
        except harness.Mismatch as wrong:
            tap.result("the server starts", str(wrong))
        tap.run("client certificates", client_certificates, f"{folder}")
        tap.run("the usual folder gone", usual_folder_gone, f"{folder}/usual")
    tap.finish()


if __name__ == "__main__":
    main()
