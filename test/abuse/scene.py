"""What the rows of abuse, the soak and the rolling restart share: a server that is measured, the victim, attackers, odd bytes."""
import glob
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "integration"))
import harness  # noqa: E402
from reload import Place, pair, use_pair  # noqa: E402
from harness import Mismatch, expect  # noqa: E402,F401

TOOLS = os.environ.get("ABUSE_TOOLS", os.path.join(harness.TOP, "build", "abuse"))
BASELINE = os.path.join(harness.TOP, "policies", "baseline")
STRICT = os.path.join(harness.TOP, "policies", "strict")
MIB = 1 << 20
PATIENCE = [1]  # how many times as long as on a machine of its own an end may take to be seen
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "ml"},
       "spec": {"containers": [{"name": "main", "image": "registry.example/a:1"}]}}


def cpu_seconds(pid):
    """What the process was charged for, all its threads."""
    return time.clock_gettime((~pid << 3) | 2)


def sanitizer_lines(log):
    """What a sanitizer has written to the log, its first lines."""
    lines = [line for line in log.split(b"\n") if b"Sanitizer" in line or b"runtime error" in line]
    return [line.decode("utf-8", "replace")[:300] for line in lines[:5]]


def wait_until(condition, seconds, text):
    end = time.monotonic() + seconds
    while not condition():
        expect(time.monotonic() < end, f"{text} after {seconds} s")
        time.sleep(0.02)


class Gate(harness.Server):
    """A server with its figures; `wrap` comes before its command, and `env` into its environment."""

    wrap, env, fixed = (), None, None

    def command(self):
        command = super().command()
        if self.fixed:  # the ports of the one before
            for own, port in zip((self.port, self.plain_port), self.fixed):
                command[command.index(f"127.0.0.1:{own}")] = f"127.0.0.1:{port}"
            self.port, self.plain_port = self.fixed
        return [*self.wrap, *(["env", *self.env] if self.env else []), *command]

    def status_kib(self, name):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(rf"^{name}:\s+(\d+) kB", file.read(), re.M).group(1))

    def resident(self):
        return self.status_kib("VmRSS") * 1024

    def peak(self):
        return self.status_kib("VmHWM") * 1024

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu(self):
        return cpu_seconds(self.process.pid)

    def metric(self, start):
        """The sum of all series that begin so."""
        lines = self.get("/metrics")[1].decode().split("\n")
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(start))

    def whole_log(self, start=0):
        """From this byte on; never seeks, as the position belongs to the server."""
        parts = []
        while part := os.pread(self.log.fileno(), 1 << 20, start):
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def log_size(self):
        return os.fstat(self.log.fileno()).st_size


class Mounted(Gate):
    """Its policies and its certificate are in volumes, as Kubernetes mounts them."""

    def __init__(self, folder, extra=()):
        self.policy_place, self.pair_place = Place(f"{folder}/policies"), Place(f"{folder}/tls")
        self.use_policies(BASELINE)
        self.pair_place.write(pair(harness.certificates()))
        super().__init__([self.policy_place.folder], extra=extra)

    def use_policies(self, *folders):
        names = [path for folder in folders for path in sorted(glob.glob(f"{folder}/*.yaml"))]
        self.policy_place.write({f"{i:03}-{os.path.basename(path)}": read(path) for i, path in enumerate(names)})
        for link in glob.glob(f"{self.policy_place.folder}/*.yaml"):  # as the kubelet does with what is no more
            if not os.path.exists(link):
                os.unlink(link)

    def command(self):
        return use_pair(super().command(), self.pair_place)

    def generation(self):
        return int(re.search(r"generation (\d+)", self.get("/readyz?verbose")[1].decode()).group(1))


class Tool:
    """One of the two C programs; ends with its standard input, or by its process id."""

    def __init__(self, name, *args, quiet=False):
        self.process = subprocess.Popen([os.path.join(TOOLS, name), *map(str, args)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if quiet else None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.process.stdin.close()
            self.process.wait(10)
        except BrokenPipeError:  # it has gone before
            self.process.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def cpu(self):
        return cpu_seconds(self.process.pid)


class Victim(Tool):
    def __init__(self, cases, ports, rate=1000, connections=16, fresh=0, quiet=False):
        super().__init__("victim", cases, f"{harness.certificates()}/ca.crt", rate, connections, fresh, quiet=quiet)
        self.ports(*ports)

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def ports(self, *ports):
        self.say(f"ports {' '.join(map(str, ports))}")

    def window(self):
        self.say("window")
        line = self.process.stdout.readline()
        expect(line, "the victim is gone")
        return json.loads(line)


class Attack(Tool):
    def __init__(self, gate, **options):
        super().__init__("attack", gate.port, *(f"{name}={value}" for name, value in options.items()))

    def held(self):
        """Waits until all connections are there."""
        line = self.process.stdout.readline()
        expect(line == b"held\n", f"the attack was over before all its connections were through: {line!r}")

    def result(self):
        lines = self.process.stdout.read().split(b"\n")
        expect(self.process.wait(60) == 0, "the attacker failed")
        return json.loads([line for line in lines if line.startswith(b"{")][-1])


def attack(gate, **options):
    with Attack(gate, **options) as tool:
        return tool.result()


# --- what the victim asks ----------------------------------------------------------------------------------------------

def victim_reviews():
    """Paths and bodies: the review of the benchmark, and one of every kind that the golden cases have, for both paths."""
    program = os.path.join(harness.TOP, "test", "bench", "review.py")
    made = subprocess.run([sys.executable, program], check=True, capture_output=True)
    bodies = [made.stdout]
    for path in sorted(glob.glob(os.path.join(harness.TOP, "test", "golden", "kinds", "*", "object.yaml"))):
        bodies.append(json.dumps(harness.review(harness.load_yaml(path))).encode())
    return [(path, body) for body in bodies for path in ("/mutate", "/validate")]


def write_cases(folder, *policy_sets):
    """The victim's file of cases; right is what the admission function answers without a server, under any of these sets."""
    lines = []
    drivers = [harness.Driver(policies) for policies in policy_sets]
    try:
        for driver in drivers:
            driver.__enter__()
        for number, (path, body) in enumerate(victim_reviews()):
            names = [f"{folder}/{number}.review"]
            write(names[0], body)
            for turn, driver in enumerate(drivers):
                status, reply = driver.post(path, body)
                expect(status == 200, f"{path}: {status} {reply[:200]!r}")
                names.append(write(f"{folder}/{number}.{turn}", reply))
            lines.append(" ".join([path, *names]))
    finally:
        for driver in drivers:
            driver.__exit__(None, None, None)
    return write(f"{folder}/cases", "\n".join(lines).encode() + b"\n")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return path


# --- odd bytes ---------------------------------------------------------------------------------------------------------

def trust_nobody():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


TLS = trust_nobody()


class Talk:
    """What came back: raw bytes, the statuses in it, and the milliseconds until the server ended it (None: it did not)."""

    def __init__(self):
        self.raw, self.ended, self.statuses, self.bodies = b"", None, [], []

    def parse(self):
        rest = self.raw
        while match := re.match(rb"HTTP/1\.1 (\d{3}) ", rest):
            head, _, rest = rest.partition(b"\r\n\r\n")
            length = re.search(rb"\r\nContent-Length: (\d+)", head)
            size = int(length.group(1)) if length else 0
            if len(rest) < size:
                break
            self.statuses.append(int(match.group(1)))
            self.bodies.append(rest[:size])
            rest = rest[size:]
        return self


def dial(port, tls=True, timeout=10, context=TLS):
    raw = socket.create_connection(("127.0.0.1", port), timeout)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(raw) if tls else raw


def listen(connection, seconds, talk):
    began = time.monotonic()
    try:
        while (left := began + seconds - time.monotonic()) > 0:
            connection.settimeout(left)
            if not (part := connection.recv(65536)):
                talk.ended = (time.monotonic() - began) * 1e3
                break
            talk.raw += part
    except TimeoutError:
        pass
    except OSError:  # a reset, or TLS without its goodbye
        talk.ended = (time.monotonic() - began) * 1e3
    return talk.parse()


def say(port, data, seconds=2, tls=True, enough=None):
    """Sends the bytes and listens until the server ends the connection, or that many answers are there, for so long at most."""
    talk = Talk()
    seconds *= PATIENCE[0]
    with dial(port, tls) as connection:
        try:
            connection.sendall(data)
        except OSError:
            pass
        if enough is None:
            return listen(connection, seconds, talk)
        began = time.monotonic()
        while len(talk.statuses) < enough and talk.ended is None and time.monotonic() < began + seconds:
            talk.statuses, talk.bodies = [], []
            listen(connection, 0.05, talk)
    return talk


def post(path="/validate", body=None, headers=(), version="HTTP/1.1", method="POST", length=None):
    """A request as the API server writes it, where nothing else is said."""
    body = review_of(POD) if body is None else body
    lines = [f"{method} {path} {version}", "Host: localhost", "Content-Type: application/json",
             f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def review_of(obj, **more):
    return json.dumps(harness.review(obj, **more)).encode()


def is_status(body, code):
    """The v1 Status that the API server can show."""
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return answer.get("kind") == "Status" and answer.get("apiVersion") == "v1" and answer.get("code") == code


def refused(name, talk, wanted, within_ms=1500):
    """One refusal, of these statuses, and the end."""
    expect(len(talk.statuses) == 1 and talk.statuses[0] in wanted,
           f"{name}: {talk.statuses}, not one of {wanted}: {talk.raw[:300]!r}")
    expect(talk.ended is not None and talk.ended < within_ms * PATIENCE[0], f"{name}: not ended after {talk.statuses[0]}")
