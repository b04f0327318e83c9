#!/usr/bin/python3
"""mlgate beside other servers: the same bodies, the same policies, one run, in turns. Asserts nothing but that they answer alike.

compare.py MLGATE BENCH JSON   the binary; the folder with the programs and certificates that run.sh makes; what it measured

The others: `echo`, mlgate's own server without a review in it (libmicrohttpd); `bare`, OpenSSL and epoll and as little HTTP as
goes; `go`, a webhook in Go with the types of k8s.io/api, the rules of policies/baseline and operations written by hand. CPU is
what the process was charged for. A busy machine makes everything dearer for a while: of several short turns the least is the
figure to trust, and the median is told, too. ROUNDS=15 turns; QUICK=1 for a look.
"""
import base64
import json
import os
import re
import ssl
import statistics
import subprocess
import sys
import time
import http.client
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent.parent
QUICK = bool(os.environ.get("QUICK"))
ROUNDS = int(os.environ.get("ROUNDS") or (3 if QUICK else 15))
NAMES = {"mlgate": "mlgate", "echo": "libmicrohttpd echo", "bare": "OpenSSL echo", "go": "webhook in Go"}
POLICY = """---
apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: p-%d}
spec:
  match: {%s}
  rules:
  - gpuLimits: {max: {container: 1%d}, requestsEqualLimits: [memory]}
"""


def fail(why):
    sys.exit(f"bench: {why}")


class Server:
    """A process that serves; ended with its standard input, or by us. It says its port on standard output, or in its log."""

    def __init__(self, argv, log):
        with open(log, "w") as err:
            self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, text=True)
        self.port = logged_port(self.process, log) if "serve" in argv[1:2] and "--policies" in argv else first_line(self.process)
        self.pid = str(self.process.pid)

    def stop(self):
        self.process.terminate()
        self.process.communicate()

    def resident(self):
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())[1]) / 1024


def first_line(process):
    words = process.stdout.readline().split()
    return int(words[0]) if words else fail(f"does not start: {process.args}")


def logged_port(process, log):
    for _ in range(500):
        found = re.search(r'"port":(\d+)', Path(log).read_text())
        if found:
            return int(found[1])
        time.sleep(0.02)
    return fail(f"does not start: {process.args}")


class Bench:
    def __init__(self, mlgate, folder):
        self.mlgate, self.folder, self.running = mlgate, folder, []
        self.pair = [str(folder / "certs/tls.crt"), str(folder / "certs/tls.key")]
        self.go = folder / "client"

    def start(self, name, policies=REPO / "policies/baseline", connections=1024):
        argv = {
            "mlgate": [self.mlgate, "serve", "--policies", str(policies), "--tls-cert", self.pair[0], "--tls-key", self.pair[1],
                       "--grace", "0", "--listen", "127.0.0.1:0", "--listen-plain", "127.0.0.1:0", "--max-connections",
                       str(connections), "--log-level", "info"],
            "echo": [str(self.folder / "echo"), *self.pair, str(connections)],
            "bare": [str(self.folder / "bare"), *self.pair],
            "go": [str(self.go), "serve", *self.pair],
        }[name]
        server = Server(argv, self.folder / f"{name}-{len(self.running)}.log")
        self.running.append(server)
        return server

    def stop(self):
        for server in self.running:
            server.stop()
        self.running = []

    def all_names(self):
        return [name for name in NAMES if name != "go" or self.go.exists()]

    def body(self, *args):
        path = self.folder / ("review" + "".join(args).replace("--", "-") + ".json")
        path.write_text(subprocess.run([sys.executable, REPO / "test/bench/review.py", *args], check=True, text=True,
                                       stdout=subprocess.PIPE).stdout)
        return path

    def run(self, program, *args):
        done = subprocess.run([str(self.folder / program), *map(str, args)], text=True, stdout=subprocess.PIPE)
        return [float(word) for word in done.stdout.split()] if done.returncode == 0 else fail(f"{program} {args} failed")

    def load(self, server, path, body, connections, requests):
        """CPU of one, in µs, and how many a second."""
        cpu, _, rate = self.run("load", server.port, path, body, server.pid, connections, requests)
        return cpu, rate

    def turns(self, servers, path, body, connections, requests, rounds):
        """By server: CPU of one in each round. They take turns, so that what else the machine does meets them alike."""
        cpu, rate = {}, {}
        for _ in range(rounds):
            for key, server in servers.items():
                one = self.load(server, path, body, connections, requests)
                cpu.setdefault(key, []).append(one[0])
                rate.setdefault(key, []).append(one[1])
        return cpu, rate


def told(values):
    return {"least": round(min(values), 2), "median": round(statistics.median(values), 2)}


def ask(server, body):
    context = ssl._create_unverified_context()
    client = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=10)
    client.request("POST", "/mutate?timeout=10s", body.read_bytes(), {"Content-Type": "application/json"})
    answer = json.loads(client.getresponse().read())["response"]
    client.close()
    return sorted(json.dumps(o, sort_keys=True) for o in json.loads(base64.b64decode(answer.get("patch", ""))))


def check_alike(bench, body):
    ours, go = bench.start("mlgate"), bench.start("go")
    one, other = ask(ours, body), ask(go, body)
    bench.stop()
    if one != other:
        fail(f"mlgate and the webhook in Go answer otherwise:\n{one}\n{other}")


def reviews(bench, ret):
    body = bench.body()
    servers = {name: bench.start(name) for name in bench.all_names()}
    started = servers["mlgate"].resident()
    requests = 1000 if QUICK else 3000
    ret["bytes"] = body.stat().st_size
    for path in ("mutate", "validate"):
        cpu, rate = bench.turns(servers, "/" + path, body, 16, requests, ROUNDS)
        ret[path] = {name: told(cpu[name]) | {"rate": round(max(rate[name]))} for name in servers}
        for name in servers:
            if name != "mlgate":
                ratios = [a / b for a, b in zip(cpu["mlgate"], cpu[name])]
                ret[path][name]["ratio"] = round(min(cpu["mlgate"]) / min(cpu[name]), 3)
                ret[path][name]["ratio_median"] = round(statistics.median(ratios), 3)
    ret["memory"] = {"started": round(started, 1), "loaded": round(servers["mlgate"].resident(), 1)}
    latency(bench, servers, body, ret)
    bench.stop()


def latency(bench, servers, body, ret):
    """Each at half of what it did in the closed loop, and all at half of what the slowest did."""
    slowest = min(ret["mutate"][name]["rate"] for name in servers) / 2
    ret["latency"] = {}
    for name, server in servers.items():
        half = ret["mutate"][name]["rate"] / 2
        for what, rate in (("half", half), ("same", slowest)):
            rows = [bench.run("pace", server.port, "/mutate", body, 64, rate, int(rate * (0.5 if QUICK else 2)) + 1)
                    for _ in range(1 if QUICK else 3)]
            p50, p99, p999, _ = min(rows, key=lambda row: row[1])
            ret["latency"].setdefault(name, {})[what] = {"rate": round(rate), "p50": p50, "p99": p99, "p999": p999}


def curve(bench, points, of_point, names, ret):
    """of_point gives the servers, the body, the connections and the requests of a point."""
    for point in points:
        servers, body, connections, requests, rounds = of_point(point, names)
        cpu, _ = bench.turns(servers, "/mutate" if "go" in names else "/validate", body, connections, requests, rounds)
        for name in cpu:
            ret.setdefault(name, []).append([point, round(min(cpu[name]), 2)])
        bench.stop()


def by_policies(bench, ret):
    body, matches = bench.body(), {"that match and pass": "roles: [training], accelerators: true", "for another namespace": None}

    def of_point(count, names):
        servers = {"echo": bench.start("echo")}
        for name, match in matches.items():
            folder = bench.folder / f"policies-{count}-{'pass' if match else 'other'}"
            folder.mkdir(exist_ok=True)
            (folder / "all.yaml").write_text("".join(POLICY % (i, match or f"namespaces: [team-{i}]", i) for i in range(count)))
            servers[name] = bench.start("mlgate", folder)
        return servers, body, 16, 500 if QUICK else 1500, min(ROUNDS, 5)
    curve(bench, (1, 10, 100, 1000), of_point, ("mlgate",), ret.setdefault("policies", {}))


def by_body(bench, ret):
    def of_point(size, names):
        requests = max(16, min(1500, (4 << 20) // size * 16)) // (4 if QUICK else 1)
        connections = 1 if size > 1 << 20 else 4 if size > 1 << 18 else 16
        return {n: bench.start(n) for n in names}, bench.body("--bytes", str(size)), connections, requests, min(ROUNDS, 5)
    sizes = (1 << 10, 6 << 10, 32 << 10, 256 << 10, 1 << 20, 3 << 20)
    curve(bench, sizes, of_point, bench.all_names(), ret.setdefault("bytes of the body", {}))


def by_containers(bench, ret):
    def of_point(count, names):
        requests = max(100, 3000 // count) // (2 if QUICK else 1)
        return {n: bench.start(n) for n in names}, bench.body("--containers", str(count)), 16, requests, min(ROUNDS, 5)
    curve(bench, (1, 2, 10, 50, 100, 200), of_point, bench.all_names(), ret.setdefault("containers", {}))


def by_connections(bench, ret):
    def of_point(count, names):
        requests = max(1500, count) // (2 if QUICK else 1)
        return ({n: bench.start(n, connections=count + 1024) for n in names}, bench.body(), count, requests,
                1 if count > 1000 else min(ROUNDS, 3))
    curve(bench, (1, 10, 100, 1000) if QUICK else (1, 10, 100, 1000, 10000), of_point, bench.all_names(),
          ret.setdefault("connections", {}))


def row(*cells):
    print("  " + "".join(f"{cell:<{24 if i == 0 else 20}}" for i, cell in enumerate(cells)).rstrip())


def show(ret):
    print(f"A review of {ret['bytes']} bytes over TLS 1.3 keep-alive, 16 connections, policies/baseline; {ROUNDS} rounds in"
          f" turns, the least (the median);\n{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    for path in ("mutate", "validate"):
        row(f"{path}, CPU a review", "µs", "mlgate / it", "median of ratios")
        for name, cost in ret[path].items():
            ratio = (f"{cost['ratio']:.2f}", f"{cost['ratio_median']:.2f}") if "ratio" in cost else ("", "")
            row("  " + NAMES[name], f"{cost['least']:.1f} ({cost['median']:.1f})", *ratio)
    row("resident memory", f"{ret['memory']['started']} MiB started", f"{ret['memory']['loaded']} MiB after load")
    row("open loop, µs", "a second", "p50", "p99", "p99.9")
    for name, kinds in ret["latency"].items():
        for what, at in kinds.items():
            row(f"  {NAMES[name]}", f"{at['rate']} ({'own half' if what == 'half' else 'the same'})", f"{at['p50']:.0f}",
                f"{at['p99']:.0f}", f"{at['p999']:.0f}")
    for what, lines in ret["curves"].items():
        row(f"CPU by {what}", *[str(x) for x, _ in next(iter(lines.values()))])
        for name, points in lines.items():
            row("  " + NAMES.get(name, name), *[f"{y:.1f}" for _, y in points])


def main():
    if len(sys.argv) != 4:
        fail("compare.py MLGATE BENCH JSON")
    bench, ret, start = Bench(sys.argv[1], Path(sys.argv[2])), {"curves": {}}, time.monotonic()
    try:
        if bench.go.exists():
            check_alike(bench, bench.body())
        reviews(bench, ret)
        for part in (by_policies, by_body, by_containers, by_connections):
            part(bench, ret["curves"])
    finally:
        bench.stop()
    ret["load"] = round(os.getloadavg()[1], 1)
    ret["rounds"], ret["cpus"], ret["seconds"] = ROUNDS, os.cpu_count(), round(time.monotonic() - start)
    Path(sys.argv[3]).write_text(json.dumps(ret, indent=1) + "\n")
    show(ret)


main()
