"""Rows 24 to 28: certificates, ends, and a machine that fails."""
import os
import resource
import signal
import ssl
import struct
import subprocess
import sys
import time

from rolling import roll
from scene import (BASELINE, MIB, STRICT, TOOLS, Attack, Gate, Talk, Victim, dial, expect, harness, is_status, listen, pair, post,
                   say, trust_nobody, wait_until, write, write_cases)


def served(gate, body=None):
    talk = say(gate.port, post(body=body), enough=1, seconds=5)
    return talk.statuses == [200]


def openssl(folder, name, issuer=None, jump=0, days=2):
    """A certificate for clients, by itself or by the issuer; as if it were made so many seconds from now."""
    made = f"{folder}/{name}"
    os.makedirs(made, exist_ok=True)
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", str(days),
               "-subj", f"/CN={name}", "-keyout", f"{made}/tls.key", "-out", f"{made}/tls.crt",
               "-addext", "extendedKeyUsage=clientAuth,serverAuth", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    if issuer:
        command += ["-CA", f"{folder}/{issuer}/tls.crt", "-CAkey", f"{folder}/{issuer}/tls.key",
                    "-addext", "basicConstraints=CA:FALSE"]
    clock = {"LD_PRELOAD": f"{TOOLS}/clock.so", "JUMP": write(f"{folder}/jump", struct.pack("=q", jump))} if jump else {}
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **clock})
    return made


# --- 24, 25 ------------------------------------------------------------------------------------------------------------

def bad_pairs(folder):
    good = pair(harness.certificates())
    ended = openssl(folder, "ended", jump=-10 * 86400)
    return good, [("missing", {"tls.key": good["tls.key"]}), ("half-written", {**good, "tls.crt": good["tls.crt"][:200]}),
                  ("key of another", {**good, "tls.key": pair(openssl(folder, "other"))["tls.key"]}),
                  ("empty", {**good, "tls.crt": b""}), ("ended", pair(ended)),
                  ("1 MiB of PEM", {**good, "tls.crt": good["tls.crt"] + b"\n" * MIB}),
                  ("1 MiB of certificates", {**good, "tls.crt": good["tls.crt"] * (MIB // len(good["tls.crt"]))})]


def bad_certificates(scene):
    """24"""
    gate, at = scene.target, scene.target.log_size()
    failures = gate.metric('mlgate_config_reloads_total{result="failure"}')
    good, bad = bad_pairs(scene.folder)
    for name, files in bad:
        gate.pair_place.write(files)
        wait_until(lambda: b"certificate: what is newer" in gate.get("/readyz?verbose")[1], 15, f"{name} is not told")
        expect(gate.get("/readyz")[0] == 200, f"{name}: not ready")
        expect(served(gate), f"{name}: not served")
        gate.pair_place.write(good)
        wait_until(lambda: b"what is newer" not in gate.get("/readyz?verbose")[1], 15, f"the good one behind {name} is not taken")
    counted = gate.metric('mlgate_config_reloads_total{result="failure"}') - failures
    expect(counted >= len(bad), f"{counted:.0f} failures counted")
    lines = [line for line in gate.whole_log(at).split(b"\n") if b"not reloaded" in line]
    expect(len(bad) <= len(lines) <= 3 * len(bad), f"{len(lines)} lines: {lines[:3]}")
    return f"{len(bad)} not taken, the old one served on; {counted:.0f} counted, {len(lines)} lines"


class Turning:
    """Every 100 ms another certificate and other policies."""

    def __init__(self, gate, folder):
        self.gate, self.turns = gate, 0
        self.pairs = [pair(harness.certificates()), pair(leaf(folder, "second")), pair(leaf(folder, "third"))]

    def step(self):
        self.turns += 1
        self.gate.pair_place.write(self.pairs[self.turns % 3])
        self.gate.use_policies(*((BASELINE, STRICT) if self.turns // 30 % 2 else (BASELINE,)))

    def run(self, seconds):
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            self.step()
            time.sleep(max(0, 0.1 - (time.monotonic() - now)))


def leaf(folder, name):
    """Another certificate of the CA that the victim trusts."""
    made, ca = f"{folder}/{name}", harness.certificates()
    os.makedirs(made)
    for file in ("ca.crt", "ca.key"):
        with open(f"{ca}/{file}", "rb") as out:
            write(f"{made}/{file}", out.read())
    subprocess.run([harness.MLGATE, "certs", "--out", made, "--service", "mlgate", "--namespace", "mlgate-system",
                    "--dns", "localhost", "--ip", "127.0.0.1"], check=True, capture_output=True, env=harness.environment())
    return made


def rotation(scene):
    """25"""
    gate, generation = scene.target, scene.target.generation()
    turning = Turning(gate, scene.folder)
    turning.run(12)
    wait_until(lambda: gate.generation() > generation + 1, 15, "no new generation")
    return f"{turning.turns} rotations and changes, generation {generation} -> {gate.generation()}"


# --- 26 ----------------------------------------------------------------------------------------------------------------

def terminations(scene):
    """26"""
    folder = f"{scene.folder}/rolling"
    os.makedirs(folder)
    counts, why, longest, peak = roll(folder, 8, rate=800, fresh=80)
    scene.peaks.append(peak)
    expect(not why, f"{counts} reviews, failed {why}")
    return f"8 times (make rolling: 100): {counts} reviews, none failed, exit 0 after at most {longest:.2f} s"


# --- 27 ----------------------------------------------------------------------------------------------------------------

def killed(scene):
    """No answer is wrong, and a new process on the same ports serves at once."""
    cases = write_cases(f"{scene.folder}/kill", [BASELINE])
    gate = Gate([BASELINE])
    with gate, Victim(cases, [gate.port], 300, 8, quiet=True) as victim:
        for _ in range(3):
            time.sleep(0.4)
            gate.process.send_signal(signal.SIGKILL)
            gate.process.wait()
            gate.fixed = (gate.port, gate.plain_port)
            gate.__enter__()
        time.sleep(0.5)
        window = victim.window()
        expect(not {"wrong", "status", "late"} & set(window["why"]) and window["kept"]["n"] > 100, f"{window}")
        victim.window()
        time.sleep(0.5)
        window = victim.window()
        expect(not window["failed"], f"after the last start: {window}")
    return "killed 3 times: nothing wrong was answered"


def full_disk(scene):
    gate = Gate([BASELINE], extra=("--log-level", "debug"))
    gate.wrap = ("/bin/sh", "-c", 'exec "$@" 2>/dev/full', "sh")
    with gate:
        for _ in range(20):
            expect(served(gate), "not served")
        expect(gate.stop() == 0, "exit")
    return "a full disk for logs: served"


def no_descriptors(scene):
    with Gate([BASELINE]) as gate:
        expect(served(gate), "not served at first")
        room = gate.fds() + 40
        resource.prlimit(gate.process.pid, resource.RLIMIT_NOFILE, (room, room))
        with Attack(gate, count=120, tls=1, rate=200, file=write(f"{scene.folder}/one", post()), hold=20000) as tool:
            time.sleep(2)
            cpu, began = gate.cpu(), time.monotonic()
            waited, good = time.monotonic(), 0
            for _ in range(4):
                try:
                    good += served(gate)
                except OSError:
                    pass
                time.sleep(0.3)
            waited = time.monotonic() - waited
            cpu = (gate.cpu() - cpu) / (time.monotonic() - began)
            tool.process.stdin.close()
            tool.result()
        expect(scene.sanitized or cpu < 0.5, f"without descriptors it takes {cpu:.2f} CPUs")
        wait_until(lambda: tries(gate), 10, "not served when there are descriptors again")
        expect(good == 4, f"{good} of 4 newcomers were served while there were no descriptors ({waited:.1f} s)")
    return f"no descriptors: {good} of 4 newcomers served, {cpu:.2f} CPUs"


def tries(gate):
    try:
        return served(gate)
    except OSError:
        return False


def no_memory(scene):
    if scene.sanitized:
        return "no memory: left out, as the sanitizer needs terabytes of addresses"
    with Gate([BASELINE]) as gate:
        expect(served(gate), "not served at first")
        size = gate.status_kib("VmSize") * 1024 + 4 * MIB
        old = resource.prlimit(gate.process.pid, resource.RLIMIT_AS)
        resource.prlimit(gate.process.pid, resource.RLIMIT_AS, (size, old[1]))
        seen = set()
        for _ in range(10):
            talk = Talk()
            try:
                talk = say(gate.port, post(body=b"[" + b"{}," * (8 * MIB // 3 - 2) + b"{}]"), seconds=3)
            except OSError:
                pass
            expect(set(talk.statuses) <= {400, 413, 503}, f"{talk.statuses}")
            expect(all(is_status(body, code) for code, body in zip(talk.statuses, talk.bodies)), f"{talk.raw[:300]!r}")
            seen |= set(talk.statuses) or {"ended"}
        resource.prlimit(gate.process.pid, resource.RLIMIT_AS, old)
        expect(served(gate), "not served when there is memory again")
    return f"no memory: {sorted(map(str, seen))}, and served again"


def clock(scene):
    jump = write(f"{scene.folder}/jumps", struct.pack("=q", 0))
    gate = Gate([BASELINE])
    gate.env = (f"LD_PRELOAD={TOOLS}/clock.so", f"JUMP={jump}")
    if scene.sanitized:
        return "clock: left out, as the sanitizer must be loaded first"
    with gate:
        for seconds in (3600, -3600, 86400, 0):
            with open(jump, "r+b") as file:
                file.write(struct.pack("=q", seconds))
            expect(served(gate) and gate.get("/readyz")[0] == 200, f"{seconds} s: not served")
        with open(jump, "r+b") as file:
            file.write(struct.pack("=q", 30 * 365 * 86400))
        expect(served(gate) and gate.get("/readyz")[0] == 503, "30 years on the certificate has not ended")
        with open(jump, "r+b") as file:
            file.write(struct.pack("=q", 0))
        expect(served(gate) and gate.get("/readyz")[0] == 200, "back again: not served")
    return "clock: jumps are served through, a certificate that has ended is told by /readyz"


def busy_machine(scene):
    """Four processes that take all the CPU they get, for two seconds; nothing is lost."""
    hog = "import time\nend = time.monotonic() + 2\nwhile time.monotonic() < end: pass"
    hogs = [subprocess.Popen([sys.executable, "-c", hog]) for _ in range(4)]
    for hog in hogs:
        hog.wait()
    return "four processes that take all CPU: nothing lost"


def troubles(scene):
    """27"""
    os.makedirs(f"{scene.folder}/kill", exist_ok=True)
    return "; ".join(trouble(scene) for trouble in (killed, full_disk, no_descriptors, no_memory, clock, busy_machine))


# --- 28 ----------------------------------------------------------------------------------------------------------------

def client_certificates(scene):
    """28"""
    folder = scene.folder
    openssl(folder, "ca")
    good, other, rogue = openssl(folder, "kube-apiserver", "ca"), openssl(folder, "somebody", "ca"), openssl(folder, "rogue")
    ended = openssl(folder, "kube-apiserver-of-old", "ca", jump=-10 * 86400)
    extra = ("--client-ca", f"{folder}/ca/tls.crt", "--client-name", "kube-apiserver", "--client-name", "kube-apiserver-of-old")
    told = []
    with Gate([BASELINE], extra=extra) as gate:
        for name, made, wanted in (("good", good, True), ("none", None, False), ("rogue", rogue, False),
                                   ("another name", other, False), ("ended", ended, False), ("good again", good, True)):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = trust_nobody()
                context.minimum_version = context.maximum_version = version
                if made:
                    context.load_cert_chain(f"{made}/tls.crt", f"{made}/tls.key")
                before = gate.metric("mlgate_admission_requests_total") + gate.metric("mlgate_http_refused_total")
                talk = Talk()
                try:
                    with dial(gate.port, context=context) as connection:
                        connection.sendall(post())
                        connection.sendall(post("/nope"))
                        listen(connection, 1, talk)
                except OSError:
                    pass
                after = gate.metric("mlgate_admission_requests_total") + gate.metric("mlgate_http_refused_total")
                expect((talk.statuses == [200, 404]) == wanted and (wanted or not talk.raw),
                       f"{name}, {version}: {talk.raw[:100]!r}")
                expect(wanted or after == before, f"{name}, {version}: its request was read")
            told.append(name)
    return f"{', '.join(told)}: as due with TLS 1.2 and 1.3, none of the refused was read"
