#!/usr/bin/python3
"""`mlgate fix`: styles byte for byte, what is refused and where, files and streams, and the corpus (SHARED)."""
import difflib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402
from harness import expect  # noqa: E402

POLICY = """\
apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: gpu}
spec:
  rules:
  - gpuLimits: {}
  - tolerations: {forEachAccelerator: true}
"""
TEXT_POLICY = """\
apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: gpu}
spec:
  rules:
  - patch: {pod: {metadata: {annotations: {text: "two\\nlines\\n"}}}}
"""
CLASS_POLICY = """\
apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: gpu}
spec:
  rules:
  - priority: {className: ml-training, override: true}
"""
TOLERATION = "{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}"
HEAD = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
MAIN = "  containers:\n  - name: main\n    image: a\n    resources: {limits: {nvidia.com/gpu: 1}}\n"
BLOCK = "  tolerations:\n  - key: nvidia.com/gpu\n    operator: Exists\n    effect: NoSchedule\n"
JSON = '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [%s]%s}}'
ADDED = ', "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]'
ONE = '{"name": "main", "image": "a", "resources": {"limits": {"nvidia.com/gpu": 1}}}'


def tab(text):
    return json.dumps(json.loads(text), indent="\t")


# name, policies, options, before, after
STYLES = [
    ("a list not indented, like its neighbour", POLICY, [], HEAD + "spec:\n" + MAIN, HEAD + "spec:\n" + MAIN + BLOCK),
    ("a list indented, like its neighbour, four at a time", POLICY, [],
     HEAD + "spec:\n    containers:\n      - name: main\n        image: a\n        resources: {limits: {nvidia.com/gpu: 1}}\n",
     HEAD + "spec:\n    containers:\n      - name: main\n        image: a\n        resources: {limits: {nvidia.com/gpu: 1}}\n"
     "    tolerations:\n      - key: nvidia.com/gpu\n        operator: Exists\n        effect: NoSchedule\n"),
    ("dashes with more room", POLICY, [],
     HEAD + "spec:\n" + MAIN + "  tolerations:\n  -   key: a\n      operator: Exists\n",
     HEAD + "spec:\n" + MAIN + "  tolerations:\n  -   key: a\n      operator: Exists\n"
     "  -   key: nvidia.com/gpu\n      operator: Exists\n      effect: NoSchedule\n"),
    ("comments behind and below stay where they are", POLICY, [],
     HEAD + "spec:   # s\n" + MAIN + "    # m\n  # e\n# end\n",
     HEAD + "spec:   # s\n" + MAIN + "    # m\n" + BLOCK + "  # e\n# end\n"),
    ("no newline at the end", POLICY, [], HEAD + "spec:\n" + MAIN[:-1], HEAD + "spec:\n" + MAIN + BLOCK[:-1]),
    ("carriage returns and a byte order mark", POLICY, [], "\ufeff" + (HEAD + "spec:\n" + MAIN).replace("\n", "\r\n"),
     "\ufeff" + (HEAD + "spec:\n" + MAIN + BLOCK).replace("\n", "\r\n")),
    ("brackets", POLICY, [], HEAD + "spec: " + JSON[JSON.index('{"containers'):-1].replace("%s", ONE, 1).replace("%s", "") + "\n",
     HEAD + "spec: " + JSON[JSON.index('{"containers'):-1].replace("%s", ONE, 1)
     .replace("%s", ADDED) + "\n"),
    ("brackets of a list, with spaces and a comment", POLICY, [],
     HEAD + "spec:\n" + MAIN + "  tolerations: [ {key: a, operator: Exists} ]  # t\n",
     HEAD + "spec:\n" + MAIN + "  tolerations: [ {key: a, operator: Exists}, " + TOLERATION + " ]  # t\n"),
    ("brackets over lines, the comma before the comment", POLICY, [],
     HEAD + "spec:\n" + MAIN + "  tolerations: [\n    {key: a, operator: Exists} # a\n  ]\n",
     HEAD + "spec:\n" + MAIN + "  tolerations: [\n    {key: a, operator: Exists}, # a\n    " + TOLERATION + "\n  ]\n"),
    ("brackets over lines, with a last comma", POLICY, [],
     HEAD + "spec:\n" + MAIN + "  tolerations: [\n    {key: a, operator: Exists}, # a\n  ]\n",
     HEAD + "spec:\n" + MAIN + "  tolerations: [\n    {key: a, operator: Exists}, # a\n    " + TOLERATION + ",\n  ]\n"),
    ("an empty list", POLICY, [], HEAD + "spec:\n  tolerations: [] # none\n" + MAIN,
     HEAD + "spec:\n  tolerations: # none\n" + BLOCK.split("\n", 1)[1] + MAIN),
    ("null", POLICY, [], HEAD + "spec:\n  tolerations: ~ # none\n" + MAIN,
     HEAD + "spec:\n  tolerations: # none\n" + BLOCK.split("\n", 1)[1] + MAIN),
    ("nothing behind the colon", POLICY, [], HEAD + "spec:\n  tolerations:\n" + MAIN,
     HEAD + "spec:\n" + BLOCK + MAIN),
    ("JSON in one line", POLICY, [], JSON % (ONE, ""),
     JSON % (ONE, ADDED)),
    ("JSON without spaces", POLICY, [], json.dumps(json.loads(JSON % (ONE, "")), separators=(",", ":")) + "\n",
     json.dumps(json.loads(JSON % (ONE, ADDED)), separators=(",", ":")) + "\n"),
    ("JSON with tabs", POLICY, [], tab(JSON % (ONE, "")),
     tab(JSON % (ONE, ADDED))),
    ("an empty list in JSON with tabs", POLICY, [], tab(JSON % (ONE, ', "tolerations": [], "hostIPC": false')),
     tab(JSON % (ONE, ', "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}], '
                 '"hostIPC": false'))),
    ("behind a block scalar that keeps its newlines", POLICY, [],
     HEAD + "spec:\n" + MAIN + "  hostname: |+\n    a\n\n\n", HEAD + "spec:\n" + MAIN + "  hostname: |+\n    a\n\n\n" + BLOCK),
    ("the second of three documents", POLICY, [], "---\na: b\n---\n" + HEAD + "spec:\n" + MAIN + "---\n# c\nd: e\n",
     "---\na: b\n---\n" + HEAD + "spec:\n" + MAIN + BLOCK + "---\n# c\nd: e\n"),
    ("an item of a List", POLICY, [],
     "kind: List\napiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Pod\n  spec:\n" + MAIN.replace("\n  ", "\n    ")
     .replace("  containers", "    containers", 1) + "- {apiVersion: v1, kind: Secret}\n",
     "kind: List\napiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Pod\n  spec:\n" + MAIN.replace("\n  ", "\n    ")
     .replace("  containers", "    containers", 1) + "".join("  " + line + "\n" for line in BLOCK.splitlines())
     + "- {apiVersion: v1, kind: Secret}\n"),
    ("two uses of one anchor that want the same", POLICY, [],
     "apiVersion: kubeflow.org/v1\nkind: PyTorchJob\nmetadata: {name: p}\nspec:\n  pytorchReplicaSpecs:\n    Master: &r\n"
     "      template: {spec: {containers: [" + ONE + "]}}\n    Worker: *r\n",
     "apiVersion: kubeflow.org/v1\nkind: PyTorchJob\nmetadata: {name: p}\nspec:\n  pytorchReplicaSpecs:\n    Master: &r\n"
     "      template: {spec: {containers: [" + ONE + "], tolerations: [" + TOLERATION + "]}}\n    Worker: *r\n"),
    ("a class, quoted as the old one, and the number goes", CLASS_POLICY, [],
     HEAD + "spec:\n  priority: 5 # p\n  priorityClassName: 'old' # c\n  # k\n  preemptionPolicy: Never\n  containers: []\n",
     HEAD + "spec:\n  priorityClassName: 'ml-training' # c\n  # k\n  containers: []\n"),
    ("the last key goes, another comes", CLASS_POLICY, [], HEAD + "spec:\n  containers: []\n  priority: 5",
     HEAD + "spec:\n  containers: []\n  priorityClassName: ml-training"),
    ("JSON: the last key goes, another comes", CLASS_POLICY, [], JSON % ("", ', "priority": 5'),
     JSON % ("", ', "priorityClassName": "ml-training"')),
    ("text of several lines", TEXT_POLICY, [], "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n" + MAIN,
     "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:\n    text: |\n      two\n      lines\nspec:\n" + MAIN),
    ("text of several lines at the end without a newline", TEXT_POLICY, [],
     "apiVersion: v1\nkind: Pod\nspec: {}\nmetadata:\n  name: p",
     'apiVersion: v1\nkind: Pod\nspec: {}\nmetadata:\n  name: p\n  annotations:\n    text: "two\\nlines\\n"'),
    ("a limit from the request", POLICY, ["--mend"],
     HEAD + "spec:\n  containers:\n  - name: main\n    resources:\n      requests:\n        nvidia.com/gpu: '2' # r\n",
     HEAD + "spec:\n  containers:\n  - name: main\n    resources:\n      requests:\n        nvidia.com/gpu: '2' # r\n"
     "      limits:\n        nvidia.com/gpu: \"2\"\n" + BLOCK),
    ("a request from the limit", POLICY, ["--mend"],
     HEAD + "spec:\n" + MAIN.replace("{limits", "{requests: {nvidia.com/gpu: 3}, limits") + BLOCK,
     HEAD + "spec:\n" + MAIN.replace("{limits", "{requests: {nvidia.com/gpu: 1}, limits") + BLOCK),
    ("no mend without --mend", POLICY, [], HEAD + "spec:\n" + MAIN.replace("limits", "requests") + BLOCK,
     HEAD + "spec:\n" + MAIN.replace("limits", "requests") + BLOCK),
    ("no mend that takes all devices away", POLICY, ["--mend"],
     HEAD + "spec:\n" + MAIN.replace("{limits", "{requests: {nvidia.com/gpu: 3}, limits").replace("gpu: 1", "gpu: 0") + BLOCK,
     HEAD + "spec:\n" + MAIN.replace("{limits", "{requests: {nvidia.com/gpu: 3}, limits").replace("gpu: 1", "gpu: 0") + BLOCK),
    ("no mend of what a template engine fills in", POLICY, ["--mend"],
     HEAD + "spec:\n" + MAIN.replace("limits", "requests").replace("gpu: 1", "gpu: $GPUS") + BLOCK,
     HEAD + "spec:\n" + MAIN.replace("limits", "requests").replace("gpu: 1", "gpu: $GPUS") + BLOCK),
]
LIMITS = "{limits: {nvidia.com/gpu: 1}}"
# name, policies, the text, places of errors, of which the text stays as it is
REFUSED = [
    ("an alias brings the list", POLICY,
     HEAD + "x: &t [{key: a}]\nspec:\n" + MAIN + "  tolerations: *t\n", ["10:16"]),
    ("a merge key brings the spec", POLICY,
     HEAD + "x: &t {spec: {containers: [{name: a, resources: " + LIMITS + "}]}}\n<<: *t\n", ["5:5"]),
    ("an anchor is used where nothing is to change", POLICY,
     HEAD + "spec:\n" + MAIN + "  tolerations: &t [{key: a}]\nx: *t\n", ["1:1"]),
    ("a recorded review", POLICY,
     "apiVersion: admission.k8s.io/v1\nkind: AdmissionReview\nrequest:\n  uid: x\n  operation: CREATE\n"
     "  kind: {group: '', version: v1, kind: Pod}\n  resource: {group: '', version: v1, resource: pods}\n"
     "  object: {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [" + ONE + "]}}\n", ["8:11"]),
]


class Folder:
    """policy.yaml and x.yaml, and mlgate on them."""

    def __init__(self, path, policy=POLICY):
        self.path = path
        self.write("policy.yaml", policy)

    def write(self, name, text):
        with open(os.path.join(self.path, name), "wb") as file:
            file.write(text.encode())

    def read(self, name):
        with open(os.path.join(self.path, name), "rb") as file:
            return file.read().decode()

    def fix(self, *args, stdin=b"", env=None):
        return harness.run(["fix", "--policies", "policy.yaml", *args], cwd=self.path, stdin=stdin, env=env)

    def patches(self, *args):
        _, out, _ = harness.run(["check", "--policies", "policy.yaml", "--format", "json", *args], cwd=self.path)
        return sum(bool(result.get("patch")) for result in json.loads(out)["results"])


def diff_of(wanted, got):
    lines = difflib.unified_diff(wanted.splitlines(True), got.splitlines(True), "wanted", "got")
    return "".join(repr(line)[1:-1] + "\n" for line in lines)


def applied(text, diff):
    """The text with a unified diff, every line of which must fit."""
    lines, done, at = text.split("\n"), [], 0
    text_lines = [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    rows = diff.split("\n")[2:-1]
    for number, row in enumerate(rows):
        no_newline = number + 1 < len(rows) and rows[number + 1].startswith("\\")
        line = row[1:] + ("" if no_newline else "\n")
        if row.startswith("@@"):
            start, _, count = row.split()[1][1:].partition(",")
            begin = int(start) - (0 if count == "0" else 1)
            done += text_lines[at:begin]
            at = begin
        elif row[0] in " -":
            expect(text_lines[at] == line, f"line {at + 1} is {text_lines[at]!r}, not {line!r}")
            at += 1
        if row[0] in " +":
            done.append(line)
    return "".join(done + text_lines[at:])


def style(policy, options, before, after):
    with tempfile.TemporaryDirectory() as path:
        folder = Folder(path, policy)
        folder.write("x.yaml", before)
        status, out, err = folder.fix(*options, "x.yaml")
        expect(status in (0, 1), f"exit {status}: {out}{err}")
        expect(folder.read("x.yaml") == after, diff_of(after, folder.read("x.yaml")))
        expect(("changed" in err) == (before != after), f"says {err!r}")
        expect(folder.patches("x.yaml") == 0, "a patch is left")
        status_2, out_2, _ = folder.fix(*options, "x.yaml")
        expect((status_2, out_2) == (status, out) and folder.read("x.yaml") == after, "a second run is another")
        folder.write("x.yaml", before)
        status_2, diff, err = folder.fix("--diff", *options, "x.yaml")
        expect(folder.read("x.yaml") == before, "--diff writes")
        expect(status_2 == status and err == out, f"--diff: exit {status_2}, says {err!r}, not {out!r}")
        expect(bool(diff) == (before != after), "--diff shows nothing")
        expect(not diff or applied(before, diff) == after, f"the diff makes another file: {diff}")


def refused(policy, text, places):
    fine = "---\n" + HEAD + "spec:\n" + MAIN
    with tempfile.TemporaryDirectory() as path:
        folder = Folder(path, policy)
        folder.write("x.yaml", text + fine)
        status, out, err = folder.fix("--format", "json", "x.yaml")
        errors = json.loads(out)["errors"]
        expect(status == 3, f"exit {status}: {out}{err}")
        expect([f"{error['line']}:{error['column']}" for error in errors] == places, f"errors {errors}")
        expect(all(error["message"].startswith("not fixed: ") for error in errors), f"errors {errors}")
        expect(folder.read("x.yaml") == text + fine + BLOCK, "the other object is not fixed, or this one is")


# --- files and streams -----------------------------------------------------------------------------------------------

def exit_statuses(folder):
    folder.write("denied.yaml", HEAD + "spec:\n" + MAIN.replace("limits", "requests"))
    folder.write("fine.yaml", HEAD + "spec:\n" + MAIN)
    folder.write("broken.yaml", HEAD + "spec:\n" + MAIN + "---\na: [\n")
    for args, wanted in ((["fine.yaml"], 0), (["denied.yaml"], 1), (["--mend", "denied.yaml"], 0), (["broken.yaml"], 3),
                         (["no.yaml"], 3), (["--nonsense", "fine.yaml"], 2), (["--diff", "fine.yaml"], 0)):
        status, out, err = folder.fix(*args)
        expect(status == wanted, f"{args}: exit {status}, not {wanted}: {out}{err}")
    expect(folder.read("broken.yaml").endswith("1}}\n---\na: [\n"), "a file that cannot be read is written")
    folder.write("denied.yaml", HEAD + "spec:\n" + MAIN.replace("limits", "requests"))
    status, _, _ = folder.fix("denied.yaml", env={"MLGATE_MEND": "true", "MLGATE_DIFF": "1"})
    expect(status == 0 and "limits" not in folder.read("denied.yaml"), "MLGATE_MEND or MLGATE_DIFF does nothing")


def only_the_report(folder):
    folder.write("x.yaml", HEAD + "spec:\n" + MAIN)
    status, out, err = folder.fix("--format", "json", "x.yaml")
    report = json.loads(out)
    expect(status == 0 and report["summary"]["mutated"] == 0 and not report["results"][0]["patch"], out)
    expect(err == "mlgate fix: x.yaml: changed\n", err)


def standard_input(folder):
    text = HEAD + "spec:\n" + MAIN
    status, out, err = folder.fix("-", stdin=text.encode())
    expect((status, out) == (0, text + BLOCK) and err.startswith("1 file, 1 object: 0 denied"), f"exit {status}: {out}{err}")
    status, out, err = folder.fix("-", stdin=b"a: [\n")
    expect((status, out) == (3, "a: [\n") and "error" in err, f"what cannot be read is not passed on: exit {status}: {out}{err}")
    status, out, _ = folder.fix("--diff", "-", stdin=text.encode())
    expect(status == 0 and out.startswith("--- a/stdin\n+++ b/stdin\n@@ -"), out)


def files_keep_what_they_are(folder):
    os.makedirs(os.path.join(folder.path, "deep"))
    folder.write("deep/x.yaml", HEAD + "spec:\n" + MAIN)
    os.chmod(os.path.join(folder.path, "deep/x.yaml"), 0o640)
    os.symlink("deep/x.yaml", os.path.join(folder.path, "link.yaml"))
    status, out, err = folder.fix("link.yaml", "deep", "deep/x.yaml")
    expect(status == 0, f"exit {status}: {out}{err}")
    expect(err == "mlgate fix: link.yaml: changed\n", f"changed more than once: {err}")
    expect(folder.read("deep/x.yaml") == HEAD + "spec:\n" + MAIN + BLOCK, folder.read("deep/x.yaml"))
    expect(os.path.islink(os.path.join(folder.path, "link.yaml")), "the link is gone")
    expect(stat.S_IMODE(os.stat(os.path.join(folder.path, "deep/x.yaml")).st_mode) == 0o640, "another mode")
    expect(os.listdir(os.path.join(folder.path, "deep")) == ["x.yaml"], "something is left beside it")
    before = os.stat(os.path.join(folder.path, "deep/x.yaml"))
    folder.fix("deep")
    expect(os.stat(os.path.join(folder.path, "deep/x.yaml")).st_ino == before.st_ino, "written though nothing changes")


def one_file_under_many_names(folder):
    """The diff is printed once, and is what fix writes; of hard links both are written, each a file of its own from then on."""
    text = HEAD + "spec:\n" + MAIN
    folder.write("x.yaml", text)
    os.symlink("x.yaml", os.path.join(folder.path, "link.yaml"))
    for names in (["x.yaml", "./x.yaml"], ["x.yaml", "link.yaml"], ["link.yaml", "x.yaml"], ["x.yaml", "."],
                  [os.path.join(folder.path, "x.yaml"), "x.yaml"]):
        status, out, err = folder.fix("--diff", *names)
        expect(status == 0 and out.count("\n--- a/") + out.startswith("--- a/") == 1, f"{names}: exit {status}: {out}{err}")
    os.unlink(os.path.join(folder.path, "link.yaml"))
    os.link(os.path.join(folder.path, "x.yaml"), os.path.join(folder.path, "hard.yaml"))
    _, out, _ = folder.fix("--diff", "x.yaml", "hard.yaml")
    expect("+++ b/x.yaml\n" in out and "+++ b/hard.yaml\n" in out, out)
    _, _, err = folder.fix("x.yaml", "./x.yaml", "hard.yaml")
    expect(err == "mlgate fix: x.yaml: changed\nmlgate fix: hard.yaml: changed\nmlgate fix: 2 files changed\n", err)
    expect(folder.read("x.yaml") == folder.read("hard.yaml") == text + BLOCK, folder.read("hard.yaml"))


def not_to_be_written(folder):
    text = HEAD + "spec:\n" + MAIN
    pipe = os.path.join(folder.path, "pipe.yaml")
    os.mkfifo(pipe)
    with subprocess.Popen(["sh", "-c", 'printf %s "$1" >"$2"', "sh", text, pipe]) as writer:
        status, out, err = folder.fix("pipe.yaml")
        writer.wait(timeout=20)
    expect(status == 3 and "pipe.yaml: error: not fixed: it cannot be written: not a regular file" in out, out + err)
    expect("1 mutated" in out, f"what is left is not told: {out}")
    os.unlink(pipe)


def odd_names(folder):
    name = "a b\t\"\u00e9\n.yaml"
    folder.write(name, HEAD + "spec:\n" + MAIN)
    status, out, _ = folder.fix("--diff", name)
    expect(status == 0 and '--- "a/a b\\011\\"\\303\\251\\012.yaml"\n' in out, out)
    expect(applied(HEAD + "spec:\n" + MAIN, out) == HEAD + "spec:\n" + MAIN + BLOCK, "the diff makes another file")
    if shutil.which("git"):
        subprocess.run(["git", "apply", "--unsafe-paths"], input=out.encode(), cwd=folder.path, check=True)
        expect(folder.read(name) == HEAD + "spec:\n" + MAIN + BLOCK, "git applies it otherwise")
    os.unlink(os.path.join(folder.path, name))


def git_applies(folder):
    if not shutil.which("git"):
        return
    text = HEAD + "spec:\n" + MAIN
    os.makedirs(os.path.join(folder.path, "git/sub"))
    for name in ("./git/x.yaml", "git/./sub//.//x.yaml", ".//git", "./git/"):
        folder.write("git/x.yaml", text)
        folder.write("git/sub/x.yaml", text)
        _, diff, _ = folder.fix("--diff", name)
        done = subprocess.run(["git", "apply"], input=diff.encode(), cwd=folder.path, stderr=subprocess.PIPE, check=False,
                              env=harness.environment({"GIT_CEILING_DIRECTORIES": os.path.dirname(folder.path)}))
        expect(done.returncode == 0, f"{name}: {done.stderr.decode()}{diff}")
        fixed = [path for path in ("git/x.yaml", "git/sub/x.yaml") if folder.read(path) == text + BLOCK]
        expect(len(fixed) == diff.count("+++ ") == (1 if name.endswith("x.yaml") else 2), f"{name}: {fixed}")
    shutil.rmtree(os.path.join(folder.path, "git"))


def what_a_baseline_hides(folder):
    text = HEAD + "spec:\n" + MAIN + "  - name: side\n    resources: {requests: {nvidia.com/gpu: 1}}\n"
    folder.write("x.yaml", text)
    harness.run(["check", "--policies", "policy.yaml", "--write-baseline", "known.yaml", "x.yaml"], cwd=folder.path)
    status, out, err = folder.fix("--baseline", "known.yaml", "x.yaml")
    expect(status == 0 and "1 audited" in out and folder.read("x.yaml") == text + BLOCK, f"exit {status}: {out}{err}")
    status, _, err = folder.fix("--mend", "--baseline", "known.yaml", "--write-baseline", "known.yaml", "x.yaml")
    expect(status == 0 and "not found any more" in err, f"exit {status}: {err}")
    expect(folder.read("known.yaml").endswith("findings: []\n"), f"what is mended is written down: {folder.read('known.yaml')}")


def many_beside_some_that_are_refused(folder):
    good = "---\n" + HEAD + "spec:\n" + MAIN
    bad = "---\n" + HEAD + "x: &t [{key: a}]\nspec:\n" + MAIN + "  tolerations: *t\n"
    wanted = ""
    for number in range(1300):
        wanted += bad if number in (0, 700) else good
    folder.write("many.yaml", wanted)
    status, out, err = folder.fix("--format", "json", "many.yaml")
    expect(status == 3 and len(json.loads(out)["errors"]) == 2, f"exit {status}: {out[-1000:]}{err}")
    expect(folder.read("many.yaml") == wanted.replace(good, good + BLOCK), "not all others are fixed")


def many_in_one_line(folder):
    pod = json.loads(JSON % (ONE, ""))
    folder.write("big.json", json.dumps({"apiVersion": "v1", "kind": "List", "items": [pod] * 3000}))
    status, out, err = folder.fix("big.json")
    expect(status == 0 and "3000 objects" in out, f"exit {status}: {out}{err}")
    items = json.loads(folder.read("big.json"))["items"]
    expect(len(items) == 3000 and all(item["spec"]["tolerations"] for item in items), "not all are fixed")


# --- the corpus ------------------------------------------------------------------------------------------------------

def texts_below(top):
    found = {}
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith((".yaml", ".yml", ".json")):
                with open(path, "rb") as file:
                    found[os.path.relpath(path, top)] = file.read()
    return found


def documents(data):
    return list(harness.yaml.load_all(data.decode(), Loader=harness.Loader))


def results_by_file(top):
    _, out, _ = harness.run(["check", "--policies", os.path.join(harness.TOP, "policies", "baseline"), "--format", "json", "."],
                            cwd=top)
    found = {}
    for result in json.loads(out)["results"]:
        found.setdefault(result["file"], []).append(result)
    return found


def same_as_patch(before, after, results):
    """Documents of which each is one object: elsewhere a result does not say which it is of."""
    docs, wanted = documents(after), documents(before)
    for result in results:
        if result.get("patch"):
            number = result["document"] - (1 if wanted and wanted[0] is None and len(wanted) <= result["document"] else 0)
            wanted[number] = harness.apply(result["patch"], wanted[number])
    expect(docs == wanted, "a reader sees something else than the mutation")


def corpus(top):
    baseline = os.path.join(harness.TOP, "policies", "baseline")
    before, results = texts_below(top), results_by_file(top)
    status, out, err = harness.run(["fix", "--policies", baseline, "."], cwd=top)
    expect(status in (0, 1), f"exit {status}: {out[-1000:]}{err[-1000:]}")
    after = texts_below(top)
    changed = sorted(name for name in after if after[name] != before[name])
    wanted = sorted(name for name, all_of in results.items() if any(result.get("patch") for result in all_of))
    expect(changed == wanted and len(wanted) > 30, f"{len(changed)} files changed, {len(wanted)} have patches")
    for name in changed:
        lines = list(difflib.ndiff(before[name].decode().splitlines(True), after[name].decode().splitlines(True)))
        lost = [line for line in lines if line.startswith("- ")]
        expect(not lost, f"{name}: lines are gone: {lost[:3]}")
        same_as_patch(before[name], after[name], results[name])
    harness.run(["fix", "--policies", baseline, "."], cwd=top)
    expect(texts_below(top) == after, "a second run changes something")
    left = [name for name, all_of in results_by_file(top).items() if any(result.get("patch") for result in all_of)]
    expect(not left, f"patches are left in {left}")
    return len(changed)


def corpus_test(tap):
    folder = harness.shared("corpus")
    if folder is None:
        tap.skip("fix: the corpus", f"no folder {harness.SHARED}/corpus")
        return
    with tempfile.TemporaryDirectory() as path:
        top = os.path.join(path, "corpus")
        shutil.copytree(folder, top)
        tap.run("fix: the corpus", lambda: tap.note(f"{corpus(top)} files changed"))


def main():
    tap = harness.Tap()
    for name, *case in STYLES:
        tap.run(f"fix: {name}", style, *case)
    for name, *case in REFUSED:
        tap.run(f"fix refuses: {name}", refused, *case)
    for test in (exit_statuses, only_the_report, standard_input, files_keep_what_they_are, one_file_under_many_names,
                 not_to_be_written, odd_names, git_applies, what_a_baseline_hides, many_beside_some_that_are_refused,
                 many_in_one_line):
        with tempfile.TemporaryDirectory() as path:
            tap.run(f"fix: {test.__name__.replace('_', ' ')}", test, Folder(path))
    corpus_test(tap)
    tap.finish()


if __name__ == "__main__":
    main()
