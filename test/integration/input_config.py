#!/usr/bin/python3
"""`.mlgate.yaml`: where it is looked for, what wins over it, from where its paths start, and how mistakes in it are told."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402
from harness import expect  # noqa: E402

POLICY = "apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: NAME}\nspec: {rules: [{labels: {require: {team: x}}}]}\n"
POD = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: i}]}}\n"


class Folder(harness.Folder):
    """A repository with two policies and one Pod, and a folder beside it that is none."""

    FILES = {"repo/.git/HEAD": "", "repo/deep/er/pod.yaml": POD,
             **{f"repo/rules/{name}.yaml": POLICY.replace("NAME", name) for name in ("one", "two")}}

    def config(self, text, name="repo/.mlgate.yaml"):
        self.write(name, text)

    def run(self, *args, cwd="repo", env=None):
        pod = os.path.relpath(self.path("repo/deep/er/pod.yaml"), self.path(cwd))
        return harness.run(["check", *args, pod], cwd=self.path(cwd), env=env)

    def result(self, *args, **how):
        status, out, err = self.run(*args, "--format", "json", **how)
        expect(status in (0, 1), f"exit {status}: {err}")
        result = json.loads(out)["results"][0]
        return result["namespace"], sorted({violation["policy"] for violation in result["violations"]})

    def gives(self, wanted, *args, **how):
        got = self.result(*args, **how)
        expect(got == wanted, f"{got}, not {wanted}")


def found_above(f):
    f.config("policies: rules/one.yaml\nnamespace: team\n")
    for cwd in ("repo", "repo/deep", "repo/deep/er"):
        f.gives(("team", ["one"]), cwd=cwd)
    f.config("policies: [../rules/one.yaml, ../rules/two.yaml]\n", "repo/deep/.mlgate.yaml")
    f.gives(("default", ["one", "two"]), cwd="repo/deep/er")
    f.gives(("team", ["one"]))


def not_above_the_repository(f):
    f.config("namespace: stray\n", ".mlgate.yaml")
    f.gives(("default", ["one", "two"]), "--policies", f.path("repo/rules"))
    f.write("other/sub/x", "")
    f.gives(("default", ["one"]), "--policies", f.path("repo/rules/one.yaml"), cwd="other/sub")
    f.gives(("default", ["one"]), "--policies", f.path("repo/rules/one.yaml"), cwd="other")
    f.gives(("stray", ["one"]), "--policies", f.path("repo/rules/one.yaml"), cwd="")


def what_wins(f):
    f.config("policies: rules/one.yaml\nnamespace: file\nuser: u\nallow-empty: true\nwarn-exit-code: 9\n")
    f.gives(("variable", ["one"]), env={"MLGATE_NAMESPACE": "variable"})
    f.gives(("typed", ["one"]), "--namespace", "typed", env={"MLGATE_NAMESPACE": "variable"})
    f.gives(("file", ["two"]), "--policies", "rules/two.yaml")
    two = f.path("repo/rules/two.yaml")
    f.gives(("default", ["two"]), "--no-config", "--policies", two)
    f.gives(("default", ["two"]), "--policies", two, env={"MLGATE_NO_CONFIG": "true"})
    f.write("else/other.yaml", "policies: ../repo/rules/two.yaml\nnamespace: other\n")
    f.gives(("other", ["two"]), "--config", "../else/other.yaml")
    f.gives(("other", ["two"]), env={"MLGATE_CONFIG": f.path("else/other.yaml")})
    f.gives(("other", ["two"]), "--config", "../else/other.yaml", env={"MLGATE_NO_CONFIG": "1"})
    f.gives(("default", ["two"]), "--no-config", "--policies", two, env={"MLGATE_CONFIG": f.path("else/other.yaml")})
    f.gives(("default", ["two"]), "--no-config", "--config", "gone.yaml", "--policies", two)
    status, _, err = f.run("--config", "gone.yaml")
    expect(status == 2 and "gone.yaml: No such file or directory" in err, f"exit {status}: {err}")


def paths_start_from_the_file(f):
    f.config(f"policies:\n- rules/one.yaml\n- {f.path('repo/rules/two.yaml')}\nformat: [text, json=report.json]\n"
             "baseline: known.yaml\nwrite-baseline: known.yaml\n")
    status, out, err = f.run(cwd="repo/deep")
    expect(status == 1 and out.startswith("er/pod.yaml:1:29: deny one/labels") and err == "", f"exit {status}: {out} {err}")
    expect(sorted(os.listdir(f.path("repo"))) == [".git", ".mlgate.yaml", "deep", "known.yaml", "report.json", "rules"],
           f"{os.listdir(f.path('repo'))}")
    expect(f.run(cwd="repo/deep")[0] == 0, "the baseline is not read")
    expect(f.run("--config", "../.mlgate.yaml", cwd="repo/deep")[0] == 0, "--config from a folder below")
    f.write("elsewhere/x", "")
    expect(f.run("--config", f.path("repo/.mlgate.yaml"), cwd="elsewhere")[0] == 0, "--config from elsewhere")


def empty_and_odd_files(f):
    policies = ["--policies", "rules/one.yaml"]
    for text in ("", "# nothing\n", "{}\n", "---\n", "\ufeffnamespace: default\n", "namespace: default\r\n",
                 '{"namespace": "default"}'):
        f.config(text)
        f.gives(("default", ["one"]), *policies)
    f.config("format: [text, 'json=a=b.json']\n")
    f.run(*policies)
    expect(os.path.exists(f.path("repo/a=b.json")), "a name with an equals sign")
    f.config("format: json=-\n")
    status, out, _ = f.run("--policies", "../rules/one.yaml", cwd="repo/deep")
    expect(status == 1 and json.loads(out)["results"] and not os.path.exists(f.path("repo/-")), "\"-\" is standard output")


def it_is_no_manifest(f):
    f.config("namespace: x\n")
    status, out, _ = harness.run(["check", "--policies", "rules/one.yaml", "--format", "json", "."], cwd=f.path("repo"))
    expect(json.loads(out)["summary"]["files"] == 3 and json.loads(out)["summary"]["skipped"] == 2, out)


def explain_reads_it(f):
    f.config("policies: rules/one.yaml\nnamespace: team\nwarn-exit-code: 3\n")
    status, out, err = harness.run(["explain", "er/pod.yaml"], cwd=f.path("repo/deep"))
    expect(status == 0 and "team/p" in out and "one" in out, f"exit {status}: {out} {err}")


def help_says_it(_):
    _, out, _ = harness.run(["check", "--help"])
    expect(".mlgate.yaml" in out, out)
    _, out, _ = harness.run(["check", "--help-all"])
    expect("--config FILE" in out and "--no-config" in out and ".mlgate.yaml" in out, out)
    _, out, _ = harness.run(["serve", "--help"])
    expect(".mlgate.yaml" not in out, "serve reads it, too?")


REFUSED = (
    ('.mlgate.yaml:1:1: unknown key "polices"; keys are names of options; did you mean "policies"?', "polices: x\n"),
    ('.mlgate.yaml:2:1: unknown key "config"', "user: x\nconfig: y\n"),
    ('.mlgate.yaml:1:1: unknown key "tls-cert"', "tls-cert: x\n"),
    ('.mlgate.yaml:1:12: "namespace" must be a string; this is a boolean in YAML 1.1; quote it', "namespace: on\n"),
    ('.mlgate.yaml:1:12: "namespace" must be a string', "namespace: 1\n"),
    ('.mlgate.yaml:1:12: "namespace" must be a string', "namespace: [a]\n"),
    ('.mlgate.yaml:1:12: "namespace" must not be empty', "namespace: ''\n"),
    ('.mlgate.yaml:1:10: "policies" must be a string or a list of strings', "policies:\n"),
    ('"policies" must be a list of strings', "policies: [a, 1]\n"),
    ('.mlgate.yaml:1:17: "warn-exit-code" must be a whole number from 0 to 255, not "256"', "warn-exit-code: 256\n"),
    ('"warn-exit-code" must be a whole number', "warn-exit-code: '1'\n"),
    ('.mlgate.yaml:1:10: "offline" must be true or false', "offline: maybe\n"),
    ('.mlgate.yaml:1:12: "operation" cannot be "MAKE"; it is one of', "operation: MAKE\n"),
    ('"now" must be a date', "now: soon\n"),
    ('.mlgate.yaml:2:1: duplicate key "user"', "user: a\nuser: b\n"),
    ("the file must be an object", "- a\n"),
    ("the file must be an object", "just text\n"),
    ("a second document", "user: a\n---\nuser: b\n"),
    (".mlgate.yaml:", "a: [\n"),
    ("without the character 0", 'user: "a\\0b"\n'),
)


def refused(f):
    """With a caret, exit 2, and nothing on standard output, also where the command line says otherwise."""
    for words, text in REFUSED:
        f.config(text)
        status, out, err = f.run("--policies", "rules/one.yaml", "--namespace", "typed")
        expect(status == 2 and out == "", f"{text!r}: exit {status}: {out}")
        expect(words in err and "\n      | " in err, f"{text!r}: {err}")
    f.config("a: 1\nb: 2\nuser: [x]\n")
    expect(f.run()[2].count(".mlgate.yaml:") == 4, "not every mistake is told, or no sum")
    os.remove(f.path("repo/.mlgate.yaml"))
    os.mkdir(f.path("repo/.mlgate.yaml"))
    status, _, err = f.run()
    expect(status == 2 and "Is a directory" in err, f"exit {status}: {err}")


CASES = (found_above, not_above_the_repository, what_wins, paths_start_from_the_file, empty_and_odd_files, it_is_no_manifest,
         explain_reads_it, help_says_it, refused)


def main():
    tap = harness.Tap()
    tap.run_each("config", CASES, Folder)
    tap.finish()


if __name__ == "__main__":
    main()
