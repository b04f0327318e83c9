#!/usr/bin/python3
"""mlgate serve --sandbox: what is on, for every thread; kernels that lack a part; what a reload may not bring."""
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402
from harness import expect  # noqa: E402

DRIVER = os.path.join(harness.BUILD, "sandbox_driver")
POLICY = """apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: one}
spec:
  action: enforce
  rules:
  - RULE
"""
LIMITS, IMAGES = "gpuLimits: {require: [memory]}", "imageSize: {weights: deny}"
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "ml"},
       "spec": {"containers": [{"name": "main", "image": "registry.example/a:1",
                                "resources": {"limits": {"nvidia.com/gpu": "1"}}}]}}


class Server(harness.Server):
    """With words before the command, such as another program that starts it."""

    def __init__(self, policies, sandbox, before=(), **more):
        super().__init__(policies, extra=["--sandbox", sandbox, *more.pop("extra", [])], **more)
        self.before = list(before)

    def command(self):
        return self.before + super().command()

    def verbose(self):
        return self.get("/readyz?verbose")[1].decode()

    def sandbox(self):
        lines = [line for line in self.verbose().splitlines() if line.startswith("sandbox: ")]
        expect(len(lines) == 1, f"{lines}")
        return lines[0]

    def logged_sandbox(self):
        return json.loads(self.logged_line('"msg":"sandbox"'))

    def logged_line(self, text):
        """A thread writes the log."""
        end = time.monotonic() + 10
        while True:
            for line in self.logged().splitlines():
                if text in line and line.endswith("}"):
                    return line
            expect(time.monotonic() < end, f"no line with {text}: {self.logged()}")
            time.sleep(0.02)

    def wait_for(self, text):
        end = time.monotonic() + 15
        while text not in self.verbose():
            expect(time.monotonic() < end, f"\"{text}\": {self.verbose()} {self.logged()}")
            time.sleep(0.05)

    def denied(self):
        return not harness.answer(self, "/validate", harness.review(POD))["allowed"]

    def threads(self):
        """What the kernel says of each: {"Seccomp": "2", ...}."""
        folder = f"/proc/{self.process.pid}/task"
        for task in os.listdir(folder):
            with open(f"{folder}/{task}/status", encoding="ascii") as file:
                yield dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


@contextlib.contextmanager
def scene(rule=LIMITS):
    with tempfile.TemporaryDirectory(prefix="mlgate-sandbox-") as folder:
        os.mkdir(f"{folder}/policies")
        write(folder, rule)
        yield folder


def write(folder, rule):
    with open(f"{folder}/new", "w", encoding="utf-8") as file:
        file.write(POLICY.replace("RULE", rule))
    os.rename(f"{folder}/new", f"{folder}/policies/one.yaml")


def refuses(command):
    """serve that has to end at once: what it says."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20,
                          check=False, env=harness.environment())
    text = done.stdout.decode()
    expect(done.returncode == 2 and "\"serving\"" not in text, f"exit {done.returncode}: {text}")
    return text


def whole():
    with scene() as folder, Server([f"{folder}/policies"], "require") as server:
        expect(server.denied(), "not denied")
        threads = list(server.threads())
        expect(len(threads) > 3, f"{len(threads)} threads")
        for thread in threads:
            expect(thread["Seccomp"] == "2" and thread["NoNewPrivs"] == "1", f"{thread['Name']}: {thread}")
            expect(all(int(thread[key], 16) == 0 for key in ("CapPrm", "CapEff", "CapInh", "CapAmb")), f"{thread}")
        line = server.logged_sandbox()
        expect(line["on"] and line["seccomp"] and line["landlock_abi"] >= 1 and line["connects"] == "none", f"{line}")
        expect(server.sandbox() == f"sandbox: no privileges, Landlock ABI {line['landlock_abi']}, seccomp, connections: none",
               server.sandbox())
        for name in ("process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total"):
            expect(f"\n{name} " in server.get("/metrics")[1].decode(), name)
        expect(server.stop() == 0, server.logged())


def switched_off():
    with scene() as folder, Server([f"{folder}/policies"], "off") as server:
        expect(server.sandbox() == "sandbox: off" and server.logged_sandbox()["on"] is False, server.sandbox())
        expect(all(thread["Seccomp"] == "0" for thread in server.threads()), "seccomp")


def by_default():
    with scene() as folder, Server([f"{folder}/policies"], "auto") as server:
        expect(server.sandbox().endswith(", seccomp, connections: any"), server.sandbox())


def kernel_without(part, error, said):
    before = [DRIVER, "without", part, error]
    with scene() as folder:
        with Server([f"{folder}/policies"], "auto", before) as server:
            expect(server.denied(), "not denied")
            expect(server.sandbox().endswith(f"; missing {said}"), server.sandbox())
            expect(("seccomp, " in server.sandbox()) == (part != "seccomp"), server.sandbox())
            line = server.logged_sandbox()
            expect(line["on"] and line["missing"] == said and line["level"] == "warn", f"{line}")
            write(folder, "namespace: {forbid: [default]}")
            server.wait_for("generation 2\n")
            expect(not server.denied(), "the old policy serves")
        text = refuses(Server([f"{folder}/policies"], "require", before).command())
        expect(f"--sandbox=require: missing {said}" in text, text)


def kernel_fails():
    with scene() as folder:
        for part, said in (("landlock", "the sandbox: Landlock: "), ("seccomp", "the sandbox: seccomp: ")):
            text = refuses(Server([f"{folder}/policies"], "auto", [DRIVER, "without", part, "ENOMEM"]).command())
            expect(said in text, text)


def registries_come_later():
    with scene() as folder, Server([f"{folder}/policies"], "require") as server:
        write(folder, IMAGES)
        server.wait_for("policies: what is newer does not serve: imageSize asks registries")
        expect("generation 1\n" in server.verbose() and server.denied(), server.verbose())
        write(folder, "namespace: {forbid: [default]}")
        server.wait_for("generation 2\n")
        expect(not server.denied() and "newer" not in server.verbose(), server.verbose())


def a_name_is_looked_up():
    """By threads and sockets of the C library's resolver; the answer does not matter."""
    with scene(IMAGES) as folder, Server([f"{folder}/policies"], "require") as server:
        expect(server.sandbox().endswith(", seccomp, connections: any"), server.sandbox())
        response = harness.answer(server, "/validate", harness.review(POD))
        expect("imageSize" in json.dumps(response), f"{response}")
        expect(server.stop() == 0, server.logged())


def login_out_of_reach():
    """A Registry document that names a file which was not named when the server started."""
    with scene() as folder, tempfile.TemporaryDirectory(prefix="mlgate-login-") as other, \
            Server([f"{folder}/policies"], "auto") as server:
        with open(f"{other}/config.json", "w", encoding="utf-8") as file:
            file.write("{}")
        with open(f"{folder}/policies/registry.yaml", "w", encoding="utf-8") as file:
            file.write("apiVersion: mlgate.dev/v1\nkind: Registry\nmetadata: {name: r}\n"
                       f"spec: {{host: registry.example, authFile: {other}/config.json}}\n")
        server.wait_for(f"what is newer does not serve: {other}/config.json cannot be read inside the sandbox")
        expect(server.denied(), "the policies of before do not serve")


def link_to_releases():
    """--policies is a link, and another directory takes the place of the one that it leads to."""
    with tempfile.TemporaryDirectory(prefix="mlgate-sandbox-") as folder:
        for turn, rule in ((1, LIMITS), (2, "namespace: {forbid: [default]}")):
            os.makedirs(f"{folder}/releases/{turn}")
            with open(f"{folder}/releases/{turn}/one.yaml", "w", encoding="utf-8") as file:
                file.write(POLICY.replace("RULE", rule))
        os.mkdir(f"{folder}/etc")
        os.symlink("../releases/1", f"{folder}/etc/policies")
        with Server([f"{folder}/etc/policies"], "require", extra=["--poll", "1"]) as server:
            expect(server.denied(), "not denied")
            os.symlink("../releases/2", f"{folder}/etc/new")
            os.rename(f"{folder}/etc/new", f"{folder}/etc/policies")
            server.wait_for("generation 2\n")
            expect(not server.denied(), "the old release serves")


def foreign_key():
    """Root reads what belongs to others by a capability, which is gone inside: told at the start, not at a reload."""
    with scene() as folder:
        command = Server([f"{folder}/policies"], "auto").command()
        at = command.index("--tls-key") + 1
        key = f"{folder}/tls.key"
        with open(command[at], "rb") as source, open(key, "wb") as copy:
            copy.write(source.read())
        os.chmod(key, 0o600)
        os.chown(key, 65534, 65534)
        command[at] = key
        text = refuses(command)
        expect(f"{key} cannot be read inside the sandbox" in text, text)


def privileged_port():
    """Bound before the capability for it is given up."""
    for port in range(1023, 1000, -1):
        with scene() as folder:
            server = Server([f"{folder}/policies"], "require", extra=["--listen", f"127.0.0.1:{port}"])
            try:
                with server:
                    server.logged_line(f"\"port\":{port},")
                return
            except harness.Mismatch:
                if "Address already in use" not in server.logged():
                    raise
    raise harness.Mismatch("no free port")


def sanitizer():
    with scene() as folder:
        with Server([f"{folder}/policies"], "auto") as server:
            expect("sandbox: off; missing all: this is a sanitizer build" in server.verbose(), server.verbose())
        expect("sanitizer" in refuses(Server([f"{folder}/policies"], "require").command()), "no reason")


def main():
    tap = harness.Tap()
    with scene() as folder, Server([f"{folder}/policies"], "auto") as server:
        missing = server.logged_sandbox().get("missing", "")
    if "sanitizer" in missing:
        tap.run("a sanitizer build has none", sanitizer)
    elif missing:
        tap.skip("the sandbox", f"this kernel lacks {missing}")
    else:
        tap.run("whole, in every thread", whole)
        tap.run("off", switched_off)
        tap.run("by default", by_default)
        for part, error, said in (("landlock", "ENOSYS", "Landlock: Function not implemented"),
                                  ("landlock", "EOPNOTSUPP", "Landlock: Operation not supported"),
                                  ("seccomp", "EINVAL", "seccomp: Invalid argument")):
            tap.run(f"without {part}: {error}", kernel_without, part, error, said)
        tap.run("a kernel that fails", kernel_fails)
        tap.run("registries come later", registries_come_later)
        tap.run("a name is looked up", a_name_is_looked_up)
        tap.run("a login out of reach", login_out_of_reach)
        tap.run("links to releases", link_to_releases)
        if os.geteuid() == 0:
            tap.run("a key of somebody else", foreign_key)
            tap.run("a privileged port", privileged_port)
        else:
            tap.skip("capabilities", "not root")
    tap.finish()


if __name__ == "__main__":
    main()
