#!/usr/bin/env python3
"""manifests/ci and .pre-commit-hooks.yaml: what can be run without the hosts that they are for is run. The scripts are taken
out of the YAML and run as the host would, once with a stand-in that writes down what it is called with, once with mlgate.
Speaks TAP."""
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from harness import MLGATE, SLOW, TOP, Tap, environment, expect, run  # noqa: E402

TAP = Tap()
CI = pathlib.Path(TOP, "manifests/ci")
DENIED = """apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: ml}
spec:
  containers:
  - name: main
    image: registry.example/train:1
    resources: {requests: {nvidia.com/gpu: 1}}
"""
GOOD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"
# Writes its arguments down, then every report that it is asked for.
STAND_IN = """#!/usr/bin/env python3
import json, os, sys
json.dump(sys.argv[1:], open(os.environ["CALLED"], "w"))
words = sys.argv[1:] + ["--format", os.environ.get("MLGATE_FORMAT", "").replace(",", "\\0")]
for at, word in enumerate(words[:-1]):
    for spec in words[at + 1].split("\\0") if word == "--format" else []:
        name, _, path = spec.partition("=")
        if path and os.environ["STATUS"] != "2":
            open(path, "w").write(("::error::of the report\\n" if name == "github" else "") + "the " + name + " report\\n")
print("::error::the text")
sys.exit(int(os.environ["STATUS"]))
"""


def load(path):
    return yaml.safe_load(pathlib.Path(path).read_text(encoding="utf-8"))


class Desk:
    """A folder with a repository in it, and a mlgate to be found; used in a with statement."""

    def __init__(self, stand_in=False):
        self.stand_in = stand_in

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="mlgate-ci-")
        self.path = pathlib.Path(self.folder.name)
        for name in ("bin", "repository", "temp"):
            (self.path / name).mkdir()
        self.called = self.path / "called"
        tool = self.path / "bin/mlgate"
        if self.stand_in:
            tool.write_text(STAND_IN, encoding="utf-8")
            tool.chmod(0o755)
        else:
            tool.symlink_to(MLGATE)
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def run(self, command, env=None, status=0, cwd="repository"):
        env = {"PATH": f"{self.path}/bin:{os.environ['PATH']}", "HOME": str(self.path), "TMPDIR": str(self.path / "temp"),
               "CALLED": str(self.called), "STATUS": str(status), "LC_ALL": "C.UTF-8", **(env or {})}
        return subprocess.run(command, cwd=self.path / cwd, env=environment_of(env), capture_output=True, text=True,
                              timeout=60 * SLOW, check=False)

    def words(self):
        return json.loads(self.called.read_text(encoding="utf-8"))

    def write(self, name, text):
        path = self.path / "repository" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def environment_of(env):
    """Nothing of ours but what sanitizers are told."""
    return {**{key: value for key, value in environment().items() if key.endswith("SAN_OPTIONS")}, **env}


# --- GitHub ----------------------------------------------------------------------------------------------------------

def action():
    return load(CI / "github/action.yml")


def action_form():
    """Against what GitHub documents of the metadata of actions."""
    document = action()
    expect(set(document) <= {"name", "author", "description", "inputs", "outputs", "runs", "branding"}, document.keys())
    for name, entry in document["inputs"].items():
        expect(set(entry) <= {"description", "required", "default", "deprecationMessage"} and entry["description"], name)
        expect(isinstance(entry.get("default", ""), str), f"the default of {name} is no string")
    for name, entry in document["outputs"].items():
        expect(set(entry) == {"description", "value"}, name)
    expect(set(document["runs"]) == {"using", "steps"} and document["runs"]["using"] == "composite", document["runs"].keys())
    for step in document["runs"]["steps"]:
        expect(set(step) <= {"name", "id", "if", "run", "shell", "env", "uses", "with", "working-directory"}, step)
        expect(("run" in step) == ("shell" in step) and ("run" in step) != ("uses" in step), step["name"])
        expect("${{" not in step.get("run", ""), f"{step['name']}: an input becomes text of a script")
        for name in step.get("env", {}):
            expect(not name.startswith("MLGATE_"), f"{name} would be an option")
    text = (CI / "github/action.yml").read_text(encoding="utf-8")
    used = set(re.findall(r"inputs\.([a-z-]+)", text))
    expect(used == set(document["inputs"]), f"inputs {set(document['inputs'])}, used {used}")


def act(desk, inputs, status=0):
    """The step that judges, as the runner starts it; the files that it leaves."""
    step = next(step for step in action()["runs"]["steps"] if step.get("id") == "check")
    given = {name: entry["default"] for name, entry in action()["inputs"].items()}
    expect(set(inputs) <= set(given), inputs)
    given.update(inputs)
    env = {name: given[re.fullmatch(r"\$\{\{ inputs\.([a-z-]+) \}\}", value).group(1)] for name, value in step["env"].items()}
    files = {name: desk.path / "temp" / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for path in files.values():
        path.write_text("")
    script = desk.path / "temp/script.sh"
    script.write_text(step["run"], encoding="utf-8")
    env.update({name: str(path) for name, path in files.items()}, RUNNER_TEMP=str(desk.path / "temp"))
    done = desk.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)], env, status)
    outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
    return done, outputs, files["GITHUB_STEP_SUMMARY"].read_text(encoding="utf-8")


def action_words():
    with Desk(stand_in=True) as desk:
        temp = desk.path / "temp"
        reports = ["--format", "text", "--format", f"github={temp}/mlgate.commands", "--format", f"markdown={temp}/mlgate.md"]
        done, outputs, summary = act(desk, {})
        expect(done.returncode == 0, done.stderr)
        expect(desk.words() == ["check", *reports, "--format", "sarif=mlgate.sarif", "--", "."], desk.words())
        expect(outputs == {"status": "0", "sarif": "mlgate.sarif"} and summary == "the markdown report\n", (outputs, summary))
        hostile = {"paths": "a b\n$(touch owned)\r\n\n`touch owned`\n-x\n", "policies": "p q\n'p", "context": "c",
                   "git-diff": "main; touch owned", "baseline": "b", "options": "--offline\n--group=a b", "sarif": "s $x.sarif"}
        done, outputs, _ = act(desk, hostile, 1)
        wanted = ["check", "--policies", "p q", "--policies", "'p", "--context", "c", "--git-diff", "main; touch owned",
                  "--baseline", "b", "--offline", "--group=a b", *reports, "--format", "sarif=s $x.sarif", "--", "a b",
                  "$(touch owned)", "`touch owned`", "-x"]
        expect(desk.words() == wanted, desk.words())
        expect(done.returncode == 1 and outputs == {"status": "1", "sarif": "s $x.sarif"}, (done, outputs))
        expect(not list(desk.path.rglob("owned")), "an input was run")


def action_commands():
    """What people wrote is no command for the runner; what the format writes is. An earlier report is not taken for ours."""
    with Desk(stand_in=True) as desk:
        tokens = []
        for _ in range(2):
            lines = act(desk, {})[0].stdout.splitlines()
            token = re.fullmatch(r"::stop-commands::([0-9a-f]{32})", lines[0])
            expect(token and lines[1:] == ["::error::the text", f"::{token.group(1)}::", "::error::of the report"], lines)
            tokens.append(token.group(1))
        expect(tokens[0] != tokens[1], "a token that can be foreseen")
        done, outputs, summary = act(desk, {}, 2)
        expect(done.returncode == 2 and outputs == {"status": "2"} and summary == "", (outputs, summary))


def action_for_real():
    with Desk() as desk:
        desk.write("jobs/a pod.yaml", DENIED % "bert")
        done, outputs, summary = act(desk, {"paths": "jobs"})
        expect(done.returncode == 1 and outputs == {"status": "1", "sarif": "mlgate.sarif"}, (done, outputs))
        found = json.loads((desk.path / "repository/mlgate.sarif").read_text(encoding="utf-8"))["runs"][0]["results"]
        expect([one["ruleId"] for one in found if one["level"] == "error"] == ["gpu-limits/gpuLimits"], found)
        expect("gpu-limits/gpuLimits" in summary, summary)
        expect(re.search(r"(?m)^::error file=jobs/a pod\.yaml,line=8,", done.stdout), done.stdout)
        desk.write("jobs/a pod.yaml", GOOD)
        done, outputs, _ = act(desk, {"paths": "jobs"})
        expect(done.returncode == 0 and outputs["status"] == "0", (done, outputs))


def action_builds():
    """Without mlgate on the PATH it is built out of the action's own source, which is three folders up."""
    step = action()["runs"]["steps"][0]
    with Desk(stand_in=True) as desk:
        paths = desk.path / "temp/paths"
        env = {"GITHUB_ACTION_PATH": str(CI / "github"), "GITHUB_PATH": str(paths)}
        done = desk.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]], env)
        expect(done.returncode == 0 and done.stdout.strip().endswith("/bin/mlgate") and not paths.exists(), done)
        (desk.path / "bin/mlgate").unlink()
        for name in ("make", "nproc"):
            tool = desk.path / "bin" / name
            tool.write_text('#!/bin/sh\necho "$0 $@"\n', encoding="utf-8")
            tool.chmod(0o755)
        source = desk.path / "source"
        (source / "scripts").mkdir(parents=True)
        (source / "scripts/deps.sh").write_text('#!/bin/sh\necho "deps $@"\n', encoding="utf-8")
        (source / "scripts/deps.sh").chmod(0o755)
        env["GITHUB_ACTION_PATH"] = f"{source}/manifests/ci/github"
        (source / "manifests/ci/github").mkdir(parents=True)
        env["PATH"] = f"{desk.path}/bin:/usr/bin:/bin"
        if shutil.which("mlgate", path=env["PATH"]):
            return
        done = desk.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]], env)
        expect(done.returncode == 0 and "deps build" in done.stdout and f"-C {source}/manifests" in done.stdout, done)
        expect(paths.read_text().strip() == f"{source}/manifests/ci/github/../../../build", paths.read_text())
    expect(os.access(f"{CI}/github/../../../scripts/deps.sh", os.X_OK), "scripts/deps.sh is somewhere else")


def linted():
    """actionlint's own judgement of the workflow, with the action beside it so that inputs are known."""
    if not shutil.which("actionlint"):
        TAP.skip("actionlint finds nothing in the workflow", "actionlint is not installed")
        return
    with tempfile.TemporaryDirectory(prefix="mlgate-ci-") as folder:
        top = pathlib.Path(folder)
        (top / ".git").mkdir()
        (top / ".github/workflows").mkdir(parents=True)
        (top / "action").mkdir()
        text = (CI / "github/workflow.yml").read_text(encoding="utf-8")
        used = re.search(r"uses: (OWNER/mlgate/manifests/ci/github@\S+)", text).group(1)
        (top / ".github/workflows/mlgate.yml").write_text(text.replace(used, "./action"), encoding="utf-8")
        shutil.copy(CI / "github/action.yml", top / "action")
        done = subprocess.run(["actionlint"], cwd=top, capture_output=True, text=True, timeout=60, check=False)
        TAP.check("actionlint finds nothing in the workflow", done.returncode == 0, done.stdout + done.stderr)


def workflow():
    document = load(CI / "github/workflow.yml")
    steps = document["jobs"]["check"]["steps"]
    given = next(step for step in steps if "manifests/ci/github" in step["uses"])
    expect(set(given["with"]) <= set(action()["inputs"]), given)
    expect(document["permissions"] == {"contents": "read"}, document["permissions"])
    expect(steps[0]["with"]["fetch-depth"] == 0, "--git-diff needs the history")


# --- GitLab, Jenkins, Argo CD -----------------------------------------------------------------------------------------

def gitlab():
    return load(CI / "gitlab/mlgate.gitlab-ci.yml")


def gitlab_run(desk, env, status=0):
    job = gitlab()["mlgate"]
    env = {**{name: str(value) for name, value in job["variables"].items()}, **env}
    return desk.run(["sh", "-ec", "\n".join(job["script"])], env, status)


def gitlab_words():
    reports = gitlab()["mlgate"]["artifacts"]["reports"]
    tail = ["--format", "text", "--format", f"gitlab={reports['codequality']}", "--format", f"junit={reports['junit']}",
            "--format", "html=mlgate.html", "--"]
    with Desk(stand_in=True) as desk:
        done = gitlab_run(desk, {})
        expect(done.returncode == 0 and desk.words() == ["check", *tail, "."], desk.words())
        done = gitlab_run(desk, {"CI_MERGE_REQUEST_DIFF_BASE_SHA": "abc", "MLGATE_CI_PATHS": "jobs models"}, 1)
        expect(done.returncode == 1 and desk.words() == ["check", "--git-diff", "abc", *tail, "jobs", "models"], desk.words())
    expect(gitlab()["mlgate"]["image"] == "$MLGATE_CI_IMAGE" and "MLGATE_CI_IMAGE" in gitlab()["variables"], gitlab())
    expect(str(gitlab()["mlgate"]["allow_failure"]["exit_codes"]) == gitlab()["mlgate"]["variables"]["MLGATE_WARN_EXIT_CODE"],
           "warnings exit otherwise")


def gitlab_for_real():
    with Desk() as desk:
        desk.write("pod.yaml", DENIED % "bert")
        done = gitlab_run(desk, {})
        expect(done.returncode == 1, done)
        for report in gitlab()["mlgate"]["artifacts"]["reports"].values():
            expect("gpu-limits" in (desk.path / "repository" / report).read_text(encoding="utf-8"), report)
        desk.write("pod.yaml", GOOD)
        expect(gitlab_run(desk, {}).returncode == 0, "not 0")


def jenkins():
    """(environment, commands) of the Jenkinsfile; strings of Groovy without anything to be filled in."""
    text = (CI / "jenkins/Jenkinsfile").read_text(encoding="utf-8")
    for opening, closing in ("{}", "()"):
        bare = re.sub(r"//.*|'[^'\n]*'|\"[^\"\n]*\"", "", text)
        expect(bare.count(opening) == bare.count(closing), f"{opening} and {closing} are not paired")
    expect(re.search(r"MLGATE_GIT_DIFF = \"\$\{env\.CHANGE_TARGET \? 'origin/' \+ env\.CHANGE_TARGET : ''\}\"", text), text)
    return dict(re.findall(r"^    (MLGATE_[A-Z_]+) = '([^'\n]*)'$", text, re.M)), re.findall(r"^ +sh '([^'\n]+)'$", text, re.M)


def jenkins_run(desk, more=None, status=0):
    env, commands = jenkins()
    expect("mlgate check ." in commands, commands)
    for command in commands:
        done = desk.run(["sh", "-xe", "-c", command], {**env, **(more or {})}, status)
        if done.returncode:
            break
    return done


def jenkins_words():
    reports = ["mlgate-junit.xml", "mlgate.sarif", "mlgate.html"]
    text = (CI / "jenkins/Jenkinsfile").read_text(encoding="utf-8")
    with Desk(stand_in=True) as desk:
        done = jenkins_run(desk, {"MLGATE_GIT_DIFF": ""}, 1)
        expect(done.returncode == 1 and desk.words() == ["check", "."], done)
        made = sorted(path.name for path in (desk.path / "repository").iterdir())
        expect(made == sorted(reports), made)
    for name in reports:
        expect(text.count(f"'{name}'") >= 1, f"nobody takes {name}")


def jenkins_for_real():
    with Desk() as desk:
        desk.write("pod.yaml", DENIED % "bert")
        done = jenkins_run(desk, {"MLGATE_GIT_DIFF": ""})
        expect(done.returncode == 1 and "gpu-limits/gpuLimits" in done.stdout, done)
        expect((desk.path / "repository/mlgate-junit.xml").stat().st_size, "no report")


def argocd(desk):
    plugin = load(CI / "argocd/plugin.yaml")
    expect(plugin["kind"] == "ConfigManagementPlugin" and plugin["metadata"]["name"] == "mlgate", plugin)
    generate = plugin["spec"]["generate"]
    done = desk.run([*generate["command"], *generate["args"]], {"ARGOCD_APP_NAME": "app", "ARGOCD_APP_NAMESPACE": "ml"})
    expect(not list((desk.path / "temp").iterdir()), "something is left")
    return done


def argocd_judges():
    with Desk() as desk:
        desk.write("b.yaml", GOOD.rstrip("\n"))
        desk.write("sub/a.yml", GOOD.replace("settings", "other"))
        done = argocd(desk)
        expect(done.returncode == 0, done.stderr)
        names = [one["metadata"]["name"] for one in yaml.safe_load_all(done.stdout) if one]
        expect(names == ["settings", "other"], done.stdout)
        desk.write("c.yaml", DENIED % "bert")
        done = argocd(desk)
        expect(done.returncode == 1 and done.stdout == "" and "gpu-limits/gpuLimits: Pod ml/bert" in done.stderr, done)
        desk.write("c.yaml", "a: [\n")
        done = argocd(desk)
        expect(done.returncode == 3 and done.stdout == "", done)


def argocd_renders():
    with Desk() as desk:
        for tool, text in (("kustomize", DENIED % "from-kustomize"), ("helm", DENIED % "from-helm")):
            path = desk.path / "bin" / tool
            path.write_text(f'#!/bin/sh\necho "# $*"\ncat <<"END"\n{text}END\n', encoding="utf-8")
            path.chmod(0o755)
        for mark, name in (("Chart.yaml", "from-helm"), ("kustomization.yaml", "from-kustomize")):
            desk.write(mark, "")
            done = argocd(desk)
            expect(done.returncode == 1 and done.stdout == "" and f"Pod ml/{name}" in done.stderr, done)
        (desk.path / "bin/kustomize").write_text("#!/bin/sh\necho no such base >&2\nexit 1\n", encoding="utf-8")
        done = argocd(desk)
        expect(done.returncode == 1 and done.stdout == "" and "no such base" in done.stderr, done)
    patch, component = load(CI / "argocd/repo-server.yaml"), load(CI / "argocd/kustomization.yaml")
    expect(component["configMapGenerator"][0]["name"] == patch["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"],
           "the plugin is mounted from another ConfigMap")
    mounts = {mount["name"] for mount in patch["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]}
    own = {volume["name"] for volume in patch["spec"]["template"]["spec"]["volumes"]}
    expect(mounts - own == {"var-files", "plugins"}, f"volumes that the repo server has not: {mounts - own}")


# --- pre-commit, and what holds of all ---------------------------------------------------------------------------------

def hooks():
    return load(os.path.join(TOP, ".pre-commit-hooks.yaml"))


def hooks_form():
    known = {"id", "name", "entry", "language", "files", "exclude", "types", "types_or", "exclude_types", "always_run",
             "fail_fast", "verbose", "pass_filenames", "require_serial", "description", "language_version",
             "minimum_pre_commit_version", "args", "stages"}
    for hook in hooks():
        expect(set(hook) <= known and {"id", "name", "entry", "language"} <= set(hook), hook)
    if shutil.which("pre-commit"):
        done = subprocess.run(["pre-commit", "validate-manifest", ".pre-commit-hooks.yaml"], cwd=TOP, capture_output=True,
                              text=True, timeout=60, check=False)
        expect(done.returncode == 0, done.stdout + done.stderr)


def hook(desk, name, files):
    entry = next(hook["entry"] for hook in hooks() if hook["id"] == name)
    return desk.run([*shlex.split(entry), *files])


def hook_checks():
    with Desk() as desk:
        files = {"bad pod.yaml": DENIED % "bert", "good.yaml": GOOD, "empty.yaml": "---\n", "values.json": "{}"}
        for name, text in files.items():
            desk.write(name, text)
        done = hook(desk, "mlgate-check", ["good.yaml", "values.json", "empty.yaml"])
        expect(done.returncode == 0, done)
        done = hook(desk, "mlgate-check", ["empty.yaml"])
        expect(done.returncode == 0, f"an empty file alone: {done}")
        done = hook(desk, "mlgate-check", ["bad pod.yaml", "good.yaml"])
        expect(done.returncode == 1 and "bad pod.yaml:" in done.stdout, done)


def hook_fixes():
    with Desk() as desk:
        desk.write("pod.yaml", DENIED % "bert")
        done = hook(desk, "mlgate-fix", ["pod.yaml"])
        expect(done.returncode == 0, done)
        expect((desk.path / "repository/pod.yaml").read_text(encoding="utf-8") != DENIED % "bert", "nothing was mended")
        done = hook(desk, "mlgate-check", ["pod.yaml"])
        expect(done.returncode == 0, done)


def hook_in_git():
    """The hooks as pre-commit installs them, out of a clone of this repository."""
    with Desk() as desk:
        source = desk.path / "source"
        source.mkdir()
        shutil.copy(os.path.join(TOP, ".pre-commit-hooks.yaml"), source)
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
        for where, name in ((source, "."), (desk.path / "repository", "pod.yaml")):
            if where != source:
                desk.write("pod.yaml", DENIED % "bert")
            for command in (["init", "-q"], ["add", name], ["commit", "-qm", "all"]):
                done = desk.run([*git, *command], cwd=where)
                expect(done.returncode == 0, done.stderr)
        done = desk.run(["pre-commit", "try-repo", str(source), "mlgate-check", "--all-files"])
        expect(done.returncode == 1 and "gpu-limits/gpuLimits: Pod ml/bert" in done.stdout, done.stdout + done.stderr)


def shells():
    """(name, shell, script) of every script in YAML."""
    for step in action()["runs"]["steps"]:
        if "run" in step:
            yield f"action.yml, {step['name']}", "bash", step["run"]
    yield "mlgate.gitlab-ci.yml", "sh", "\n".join(gitlab()["mlgate"]["script"])
    yield "plugin.yaml", "sh", "set -eu\n" + load(CI / "argocd/plugin.yaml")["spec"]["generate"]["args"][0]


def shellcheck():
    for name, shell, script in shells():
        if not shutil.which("shellcheck"):
            TAP.skip(f"shellcheck finds nothing in {name}", "shellcheck is not installed")
            continue
        done = subprocess.run(["shellcheck", "-s", shell, "-"], input=script, capture_output=True, text=True, timeout=60,
                              check=False)
        TAP.check(f"shellcheck finds nothing in {name}", done.returncode == 0, done.stdout)


def image():
    """The packages of the image hold the libraries that mlgate is linked with."""
    text = (CI / "Containerfile").read_text(encoding="utf-8")
    packages = set(re.search(r"--no-install-recommends ((?:[a-z0-9.-]+|\\\n|\s)+?)&&", text).group(1).replace("\\", " ").split())
    needed = re.findall(r"NEEDED +(\S+)", subprocess.run(["objdump", "-p", MLGATE], capture_output=True, text=True,
                                                         check=True).stdout)
    for library in needed:
        if library.startswith(("libc.so", "libm.so", "libasan", "libubsan", "libtsan", "libgcc_s", "ld-linux")):
            continue
        found = subprocess.run(["dpkg", "-S", f"*/{library}"], capture_output=True, text=True, check=True).stdout
        owners = {line.split(":")[0] for line in found.splitlines()}
        expect(owners & packages, f"{library} is of {owners}, which the image has not")


def debian_12():
    try:
        return "bookworm" in pathlib.Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return False


def page():
    """docs/ci.md speaks of every file, of every input, and of no file that is not there."""
    text = pathlib.Path(TOP, "docs/ci.md").read_text(encoding="utf-8")
    for path in sorted(CI.rglob("*")):
        name = path.relative_to(TOP)
        expect(path.is_dir() or str(name) in text or str(name.parent) + "`" in text, f"{name} is not spoken of")
    for name in action()["inputs"]:
        expect(f"`{name}`" in text, f"the input {name} is not spoken of")
    for hook_ in hooks():
        expect(f"`{hook_['id']}`" in text or f"id: {hook_['id']}" in text, hook_["id"])
    for name in re.findall(r"`((?:manifests|policies|docs|scripts)/[^`* ]+)`", text):
        expect(os.path.exists(os.path.join(TOP, name)) or name == "policies/", f"there is no {name}")


def main():
    TAP.run("the action's form", action_form)
    TAP.run("the action's words for mlgate, whatever its inputs are", action_words)
    TAP.run("the action and the runner's commands", action_commands)
    TAP.run("the action builds what is missing", action_builds)
    TAP.run("the workflow uses it", workflow)
    linted()
    TAP.run("GitLab's words for mlgate", gitlab_words)
    TAP.run("Jenkins' words for mlgate", jenkins_words)
    TAP.run("Argo CD's plugin judges", argocd_judges)
    TAP.run("Argo CD's plugin renders", argocd_renders)
    TAP.run("the form of the hooks", hooks_form)
    TAP.run("the hook that checks", hook_checks)
    TAP.run("the action, with mlgate", action_for_real)
    TAP.run("GitLab, with mlgate", gitlab_for_real)
    TAP.run("Jenkins, with mlgate", jenkins_for_real)
    TAP.run("the hook that mends", hook_fixes)
    if shutil.which("pre-commit") and shutil.which("git"):
        TAP.run("a hook in a repository", hook_in_git)
    else:
        TAP.skip("a hook in a repository", "pre-commit or git is not installed")
    shellcheck()
    if debian_12():
        TAP.run("the image for pipelines has the libraries", image)
    else:
        TAP.skip("the image for pipelines has the libraries", "this is not the image's Debian")
    TAP.run("docs/ci.md", page)
    TAP.finish()


if __name__ == "__main__":
    main()
