#!/usr/bin/python3
"""How `mlgate check` goes through its input: by several threads with one report, with a progress line on a terminal, what Helm
rendered under the names of its templates, findings that point at the right token, and what all that costs."""
import json
import os
import random
import select
import subprocess
import sys
import time

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402
from harness import expect  # noqa: E402

SAMPLE = 200
CPU_SECONDS, MEMORY_KIB = 0.2, 48 << 10
PACKS = [os.path.join(harness.TOP, "policies", name) for name in ("strict", "addons")]
# Something to say about every template, so that there is a sample to draw from.
MANY = """apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: many}
spec:
  rules:
  - forbid: {of: container, path: image, exists: true}
    name: image
  - forbid: {of: container, path: "command[]", exists: true}
    name: command
  - forbid: {of: container, path: "env[].name", exists: true}
    name: env
  - forbid: {of: container, path: "resources.limits{}", exists: true}
    name: limits
  - require: {of: container, path: resources.requests.cpu}
    name: cpu
  - require: {of: pod, path: securityContext.runAsNonRoot, equals: true}
    name: root
  - labels: {require: {team: "*", "example.org/cost": "*"}}
  - forbid: {path: "metadata.labels{}", exists: true}
    name: labels-there
"""


def pod(name, more=""):
    return (f"apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n{more}spec:\n  containers:\n  - name: c\n    image: i\n"
            "    resources:\n      requests: {nvidia.com/gpu: 1}\n")


class Folder(harness.Folder):
    FILES = {"policy/many.yaml": MANY,
             "policy/gpu.yaml": "apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: gpu}\nspec:\n  rules:\n"
                                "  - gpuLimits: {}\n  - sharedMemory: {sizeLimit: 1Gi}\n"}

    def check(self, *args, stdin=b""):
        return harness.run(["check", "--policies", "policy/gpu.yaml", *args], cwd=self.path(), stdin=stdin)


# --- threads ---------------------------------------------------------------------------------------------------------

def same_report(f):
    """Whatever the number of threads: results, errors, notes and their order."""
    chance = random.Random(8)
    for i in range(300):
        kind = chance.randrange(8)
        text = "---\n".join(pod(f"p{i}-{n}") for n in range(chance.randrange(1, 40)))
        text = {0: "a: [", 1: "# nothing\n", 2: "kind: X\nkind: Y\n", 3: text + "---\n: [\n"}.get(kind, text)
        f.write(f"m/{chance.randrange(10)}/{i:03}.yaml", text)
    f.write("m/large.yaml", "---\n".join(pod(f"large-{n}", "  annotations:\n    a: " + "x" * 20000 + "\n") for n in range(1000)))
    for form in ("text", "json"):
        first = f.check("--format", form, "--jobs", "1", "m", "gone.yaml", "m/1", "m/2")
        expect(first[0] == 3 and len(first[1]) > 10000, f"exit {first[0]}: {first[2]}")
        for jobs in ("2", "3", "7", "64"):
            again = f.check("--format", form, "--jobs", jobs, "m", "gone.yaml", "m/1", "m/2")
            expect(again == first, f"{form}, {jobs} jobs: differs")
        expect(f.check("--format", form, "m", "gone.yaml", "m/1", "m/2") == first, f"{form}: differs without --jobs")


def wrong_jobs(f):
    for jobs in ("0", "65", "-1", "x", ""):
        status, _, err = f.check("--jobs", jobs, "policy")
        expect(status == 2 and "--jobs" in err, f"{jobs!r}: exit {status}: {err}")


def input_among_files(f):
    f.write("a.yaml", pod("a"))
    f.write("b.yaml", pod("b"))
    for jobs in ("1", "4"):
        status, out, _ = f.check("--format", "json", "--jobs", jobs, "a.yaml", "-", "b.yaml", "a.yaml", stdin=pod("s").encode())
        found = [(result["file"], result["name"]) for result in json.loads(out)["results"]]
        expect(status == 1 and found == [("a.yaml", "a"), ("-", "s"), ("b.yaml", "b"), ("a.yaml", "a")], f"{jobs} jobs: {found}")


def reports_in_the_folder(f):
    """What is being written is no input, half of it or all, this time or the next."""
    for i in range(300):
        f.write(f"m/{i:03}.yaml", pod(f"p{i}"))
    args = ("--format", "gitlab=m/report.json", "--format", "json=m/100.json", "--format", "text", "--jobs", "1", "m")
    for _ in range(2):
        status, out, err = f.check(*args)
        expect(status == 1 and out.endswith("0 skipped, 0 errors\n"), f"exit {status}: {out[-300:]}{err}")
        with open(f.path("m/100.json"), encoding="utf-8") as file:
            expect(json.load(file)["summary"]["files"] == 300, "the reports are counted")


def bounded_memory(f, tap):
    """Many large files at a time need no more memory than a few of them: the threads wait."""
    text = "---\n".join(pod(f"p{n}", "  annotations:\n    a: " + "x" * 4000 + "\n") for n in range(1500))
    for i in range(12):
        f.write(f"large/{i}.yaml", text)
    usual = ["--policies", "policy/gpu.yaml", "--format", "json", "large"]
    peaks = [measured(["--jobs", jobs, *usual], f.path())[1] for jobs in ("1", "32")]
    tap.note(f"12 files of {len(text) >> 20} MiB, KiB with 1 and 32 jobs: {peaks}")
    expect(peaks[1] < peaks[0] + (128 << 10) * harness.SLOW, f"KiB with 1 and 32 jobs: {peaks}")


# A child begins with the memory of who starts it, so that this one is to be small.
MEASURE = """import os, sys
null = os.open(os.devnull, os.O_RDWR)
actions = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)]
_, status, usage = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=actions), 0)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss, os.waitstatus_to_exitcode(status))"""


def measured(args, cwd=None):
    """(seconds of CPU, KiB at most, exit status) of `mlgate check`."""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", MEASURE, harness.MLGATE, "check", *args], cwd=cwd, check=True,
                          stdout=subprocess.PIPE, env=harness.environment(), timeout=120)
    seconds, kib, status = done.stdout.split()
    return float(seconds), int(kib), int(status)


# --- progress --------------------------------------------------------------------------------------------------------

def on_terminal(f, args, seconds, feed=None, term="xterm"):
    """What standard error, a terminal, gets to see; `feed` is written to standard input after so many seconds."""
    master, slave = harness.terminal()
    seen, told = b"", feed is None
    with subprocess.Popen([harness.MLGATE, "check", "--policies", "policy/gpu.yaml", *args], cwd=f.path(), stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL, stderr=slave, env=harness.environment({"TERM": term})) as process:
        os.close(slave)
        begin = time.monotonic()
        while time.monotonic() < begin + 20:
            if not told and time.monotonic() > begin + seconds:
                process.stdin.write(feed)
                process.stdin.close()
                told = True
            if select.select([master], [], [], 0.05)[0]:
                try:
                    piece = os.read(master, 65536)
                except OSError:
                    piece = b""
                if not piece:
                    break
                seen += piece
        process.stdin = None if process.stdin.closed else process.stdin
        status = process.wait(20)
    os.close(master)
    return status, seen.decode()


def progress_line(f):
    f.write("a.yaml", pod("a"))
    status, seen = on_terminal(f, ["--jobs", "2", "a.yaml", "-", "a.yaml"], 1.8, pod("s").encode())
    expect(status == 1 and "\r\x1b[Kjudged 1 of 3 files" in seen, f"exit {status}: {seen!r}")
    expect(seen.endswith("\r\x1b[K"), f"not erased: {seen!r}")


def no_progress(f):
    """Not in the first second, not on a dumb terminal, not into a file."""
    f.write("a.yaml", pod("a"))
    expect(on_terminal(f, ["a.yaml"], 0)[1] == "", "at once")
    expect(on_terminal(f, ["--jobs", "2", "a.yaml", "-"], 1.5, pod("s").encode(), "dumb")[1] == "", "on a dumb terminal")
    command = [harness.MLGATE, "check", "--policies", "policy/gpu.yaml", "--jobs", "2", "a.yaml", "-"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=f.path(), stdin=pipe, stdout=pipe, stderr=pipe, env=harness.environment()) as process:
        time.sleep(1.5)
        _, err = process.communicate(pod("s").encode(), 20)
    expect(err == b"", f"into a pipe: {err!r}")


# --- Helm and kustomize ----------------------------------------------------------------------------------------------

HELM = f"""---
# Source: chart/templates/a.yaml
{pod("a")}---
# Source: chart/charts/sub/templates/b.yaml
# A comment of the template, which names another
# Source: https://example.org/where-this-is-from
{pod("b")}---
# Source: chart/templates/empty.yaml
---
{pod("c")}---
# Source: chart/templates/two.yaml
{pod("d")}---
# Source: chart/templates/two.yaml

{pod("e")}"""


def helm(f):
    wanted = [("chart/templates/a.yaml", "a"), ("chart/charts/sub/templates/b.yaml", "b"), ("-", "c"),
              ("chart/templates/two.yaml", "d"), ("chart/templates/two.yaml", "e")]
    for text in (HELM, HELM.replace("\n", "\r\n"), HELM[4:]):
        status, out, _ = f.check("--format", "json", "-", stdin=text.encode())
        results = json.loads(out)["results"]
        expect(status == 1 and [(result["file"], result["name"]) for result in results] == wanted, f"{results}")
        lines = text.splitlines()
        for result in results:
            expect(lines[result["line"] - 1] == "apiVersion: v1", f"{result['name']}: line {result['line']}")
            for violation in result["violations"]:
                expect(lines[violation["line"] - 1].strip() == "resources:", f"line {violation['line']}")
    status, out, _ = f.check("-", stdin=HELM.encode())
    line = HELM.splitlines().index("    resources:") + 1
    expect(out.startswith(f"chart/templates/a.yaml:{line}:5: deny gpu/gpuLimits: Pod default/a\n"), out[:200])
    f.write("rendered.yaml", HELM)
    _, out, _ = f.check("--format", "json", "rendered.yaml")
    expect({result["file"] for result in json.loads(out)["results"]} == {"rendered.yaml"}, "a file keeps its name")


def odd_sources(f):
    """What cannot be a path is none."""
    for source in ("", " ", "a\x1b[2J", "x" * 1025, "a\x7f"):
        status, out, err = f.check("--format", "json", "-", stdin=f"# Source: {source}\n{pod('a')}".encode())
        report = json.loads(out)
        names = {entry["file"] for entry in report["results"] + report["errors"]}
        expect(status in (1, 3) and names == {"-"}, f"{source!r}: exit {status}: {out} {err}")
    for text in (f"a: 1\n# Source: x.yaml\nb: 2\n---\n{pod('a')}", f"# Source:x.yaml\n{pod('a')}", f"## Source: x\n{pod('a')}"):
        _, out, _ = f.check("--format", "json", "-", stdin=text.encode())
        expect(json.loads(out)["results"][0]["file"] == "-", f"{text!r}: {out}")


def kustomize(f):
    """Plain documents, and a List as kubectl prints it."""
    text = pod("a") + "---\n" + "apiVersion: v1\nkind: List\nitems:\n" + ("- " + pod("b")).replace("\n", "\n  ").rstrip(" ")
    status, out, _ = f.check("--format", "json", "-", stdin=text.encode())
    found = [(result["file"], result["name"], result["document"]) for result in json.loads(out)["results"]]
    expect(status == 1 and found == [("-", "a", 0), ("-", "b", 1)], f"{found}")


# --- the corpus ------------------------------------------------------------------------------------------------------

def documents(path):
    """The composed trees, with marks, and the text."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    return list(yaml.compose_all(text, Loader=harness.Loader)), text


def objects(node, kind, name):
    """The nodes of that kind and name: the document, or items of a List."""
    pairs = dict((key.value, value) for key, value in node.value) if isinstance(node, yaml.MappingNode) else {}
    if isinstance(pairs.get("items"), yaml.SequenceNode):
        return [found for item in pairs["items"].value for found in objects(item, kind, name)]
    meta = dict((key.value, value.value) for key, value in pairs["metadata"].value) if "metadata" in pairs else {}
    if "kind" in pairs and pairs["kind"].value == kind and meta.get("name", meta.get("generateName", "")) == name:
        return [node]
    return []


def token_of(node, pointer):
    """(mark, key or None) of the deepest place of the pointer that exists; None where an alias or a merge is on the way."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    mark, key = node.start_mark, None
    for step in steps:
        if isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
            before, node = node, node.value[int(step)]
            mark, key = node.start_mark, None
            if mark.index < before.start_mark.index or mark.index > before.end_mark.index:
                return None
        elif isinstance(node, yaml.MappingNode):
            if any(name.value == "<<" for name, _ in node.value):
                return None
            hits = [(name, value) for name, value in node.value if name.value == step]
            if not hits:
                break
            name, value = hits[-1]
            if value.start_mark.index < name.start_mark.index:
                return None
            node, mark, key = value, name.start_mark, name.value
        else:
            break
    return mark, key


def points_right(result, violation, cache):
    """True: it does; False: it cannot be told apart; else it raises."""
    path = result["file"]
    if path not in cache:
        cache[path] = documents(path)
    trees, text = cache[path]
    where = f"{path}:{violation['line']}:{violation['column']}"
    found = [node for tree in trees if tree is not None for node in objects(tree, result["kind"], result["name"])]
    found = [node for node in found if node.start_mark.line + 1 == result["line"]]
    if len(found) != 1:
        return False
    token = token_of(found[0], violation["pointer"])
    if token is None:
        return False
    mark, key = token
    expect((mark.line + 1, mark.column + 1) == (violation["line"], violation["column"]),
           f"{where}: {violation['path']} is at {mark.line + 1}:{mark.column + 1}")
    line = text.split("\n")[violation["line"] - 1][violation["column"] - 1:].lstrip("\"'")
    expect(key is None or line.startswith(key), f"{where}: {violation['path']}: {line!r} is not {key!r}")
    return True


def right_tokens(f, folder, tap):
    """A sample of all findings, drawn the same each time, each read back from its file by another YAML reader."""
    args = [option for path in [f.path("policy/many.yaml"), *PACKS] for option in ("--policies", path)]
    status, out, err = harness.run(["check", "--offline", "--format", "json", *args, folder])
    expect(status == 1, f"exit {status}: {err[:500]}")
    every = [(result, violation) for result in json.loads(out)["results"] for violation in result["violations"]]
    expect(len(every) > 4 * SAMPLE, f"only {len(every)} findings")
    random.Random(8).shuffle(every)
    checked, keys, rules, cache = 0, 0, set(), {}
    for result, violation in every:
        if checked == SAMPLE:
            break
        if points_right(result, violation, cache):
            checked += 1
            rules.add(f"{violation['policy']}/{violation['rule']}")
    expect(checked == SAMPLE, f"only {checked} could be told")
    expect(len(rules) >= 8, f"of few rules: {sorted(rules)}")
    tap.note(f"{checked} of {len(every)} findings, of {len(rules)} rules, in {len(cache)} files")


def costs(folder, tap):
    runs = [measured(["--policies", os.path.join(harness.TOP, "policies", "baseline"), folder]) for _ in range(3)]
    expect(all(status in (0, 1, 3) for _, _, status in runs), f"{runs}")
    best, peak = min(run[0] for run in runs), max(run[1] for run in runs)
    tap.note(f"{best:.3f} s of CPU, {peak / 1024:.1f} MiB")
    if harness.SLOW == 1:
        expect(best <= CPU_SECONDS, f"{best:.3f} s of CPU, not {CPU_SECONDS}")
        expect(peak <= MEMORY_KIB, f"{peak} KiB, not {MEMORY_KIB}")


CASES = (same_report, wrong_jobs, input_among_files, reports_in_the_folder, progress_line, no_progress, helm, odd_sources,
         kustomize)


def main():
    tap, folder = harness.Tap(), harness.shared("corpus")

    tap.run_each("input", CASES, Folder)
    tap.run("input: bounded memory", tap.run_in, Folder, bounded_memory, tap)
    if folder is None:
        tap.skip("input: the corpus", f"no folder {harness.SHARED}/corpus")
    else:
        tap.run("input: findings of the corpus point at the right token", tap.run_in, Folder, right_tokens, folder, tap)
        tap.run("input: what the corpus costs", costs, folder, tap)
    tap.finish()


if __name__ == "__main__":
    main()
