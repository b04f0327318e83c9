#!/usr/bin/python3
"""`mlgate check --git-diff REF`: which files and objects of a repository it judges, and what it says where there is none."""
import json
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402
from harness import expect  # noqa: E402

POLICY = """apiVersion: mlgate.dev/v1
kind: Policy
metadata: {name: gpu}
spec:
  rules:
  - gpuLimits: {}
"""
# What a user's configuration may hold, and what git would then print otherwise.
ODD = {"color.ui": "always", "diff.noprefix": "true", "diff.mnemonicPrefix": "true", "diff.external": "/bin/false",
       "diff.relative": "true", "diff.context": "9", "diff.interHunkContext": "50", "core.quotePath": "false",
       "diff.renames": "false", "core.pager": "/bin/false", "diff.submodule": "log", "diff.suppressBlankEmpty": "true"}


def pod(name, image="i"):
    return (f"apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n  containers:\n  - name: c\n    image: {image}\n"
            "    resources:\n      requests: {nvidia.com/gpu: 1}\n")


class Repository:
    """One commit on main with a.yaml (three Pods), b.yaml and deep/c.yaml; HEAD is a branch off it. Policies stand outside."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="mlgate-git-")
        self.policy = f"{self.folder.name}/policy.yaml"
        self.top = f"{self.folder.name}/repository"
        os.mkdir(self.top)
        with open(self.policy, "w", encoding="utf-8") as file:
            file.write(POLICY)
        self.git("init", "-q", "-b", "main", ".")
        self.write("a.yaml", "---\n".join(pod(name) for name in ("a1", "a2", "a3")))
        self.write("b.yaml", pod("b"))
        self.write("deep/c.yaml", pod("c"))
        self.commit()
        self.git("checkout", "-q", "-b", "work")
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def git(self, *args, check=True):
        clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        names = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *names, *args], cwd=self.top, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**clean, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}, timeout=60)
        expect(done.returncode == 0 or not check, f"git {args}: {done.stdout.decode()}")
        return done.stdout.decode().strip()

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x")

    def write(self, name, text, mode="w"):
        path = os.path.join(self.top, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, mode, encoding="utf-8") as file:
            file.write(text)

    def read(self, name):
        with open(os.path.join(self.top, name), encoding="utf-8") as file:
            return file.read()

    def change(self, name, before, after):
        text = self.read(name)
        expect(before in text, f"{name}: no {before!r}")
        self.write(name, text.replace(before, after, 1))

    def run(self, *args, ref="main", cwd=None, env=None):
        clean = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", **(env or {})}
        return harness.run(["check", "--format", "json", "--policies", self.policy, "--git-diff", ref, *args],
                           cwd=cwd or self.top, env=clean)

    def found(self, *args, **how):
        """The names of the objects that are judged, with their files."""
        status, out, err = self.run(*args, **how)
        expect(status in (0, 1), f"exit {status}: {err}")
        return sorted(f"{result['file']} {result['name']}" for result in json.loads(out)["results"])

    def finds(self, wanted, *args, **how):
        found = self.found(*args, **how)
        expect(found == sorted(wanted), f"found {found}, not {sorted(wanted)}")

    def fails(self, status, words, *args, **how):
        got, out, err = self.run(*args, **how)
        expect(got == status and words in err, f"exit {got}, not {status}; {words!r} not in {err!r} {out[:300]!r}")


def nothing_changed(r):
    status, out, err = r.run(".")
    expect(status == 0 and err == "", f"exit {status}: {err}")
    expect(json.loads(out)["summary"]["files"] == 0, out)


def only_deleted(r):
    """The first that git tells of is a file that is gone, which has no lines."""
    os.remove(f"{r.top}/a.yaml")
    status, out, err = r.run(".")
    expect(status == 0 and err == "", f"exit {status}: {err}")
    expect(json.loads(out)["summary"]["files"] == 0, out)


def one_object_of_a_file(r):
    r.change("a.yaml", "name: a2", "name: a2-new")
    r.finds(["a.yaml a2-new"], ".")
    r.finds(["a.yaml a2-new"], "a.yaml", "b.yaml")
    r.finds(["a.yaml a2-new"])
    r.finds([], "deep")


def odd_environment(r):
    """Neighbours are no changed lines, whatever the user's shell sets for git."""
    r.change("a.yaml", "image: i", "image: j")
    for odd in ({"GIT_DIFF_OPTS": "-u20"}, {"GIT_DIFF_OPTS": "--unified=20"}, {"GIT_EXTERNAL_DIFF": "/bin/false"},
                {"GIT_PAGER": "/bin/false"}, {"GIT_LITERAL_PATHSPECS": "1"}):
        r.finds(["a.yaml a1"], env=odd)


def lines_that_went(r):
    r.change("b.yaml", "    image: i\n", "")
    r.change("a.yaml", "kind: Pod\nmetadata:\n  name: a2\n", "kind: Pod\nmetadata:\n  name: a2\n")
    r.change("deep/c.yaml", "    resources:\n      requests: {nvidia.com/gpu: 1}\n", "")
    found = r.found(".")
    expect(found == ["b.yaml b", "deep/c.yaml c"], f"found {found}")


def documents_that_went(r):
    """Whoever deletes a document is not told of its neighbours, whichever of the two separators went."""
    for name, text in (("middle", pod("a1") + "---\n" + pod("a3")), ("last", pod("a1") + "---\n" + pod("a2")),
                       ("first", pod("a2") + "---\n" + pod("a3"))):
        r.write("a.yaml", text)
        expect(r.found(".") == [], f"{name}: {r.found('.')}")
    r.write("a.yaml", "---\n".join(pod(name) for name in ("a1", "new", "a2", "a3")))
    r.finds(["a.yaml new"], ".")
    r.write("a.yaml", pod("a1") + "".join(pod("a2").splitlines(True)[-2:]) + "---\n" + pod("a3"))
    r.finds(["a.yaml a1"], ".")


def random_edits(r):
    """Documents put in, taken out and changed: none that is new or other than before is missed, and few others are named."""
    chance, spurious, judged = random.Random(8), 0, 0

    def some():
        text = pod(f"p{chance.randrange(10 ** 9)}", image=chance.choice("ij"))
        return text.replace("    image", "    tty: true\n    image") if chance.randrange(2) else text

    for _ in range(25):
        before = [some() for _ in range(chance.randrange(1, 12))]
        r.write("a.yaml", "---\n".join(before))
        r.commit()
        after = list(before)
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(after) + 1)
            what = chance.randrange(3)
            if what == 0:
                after.insert(at, some())
            elif what == 1 and len(after) > 1:
                after.pop(at % len(after))
            else:
                lines = after[at % len(after)].splitlines(True)
                lines.pop() if chance.randrange(2) else lines.insert(5, "  hostIPC: true\n")
                after[at % len(after)] = "".join(lines)
        r.write("a.yaml", "---\n".join(after))
        named = set(r.found("a.yaml", ref="HEAD"))
        wanted = {f"a.yaml {text.split('name: ')[1].split()[0]}" for text in after if text not in before}
        expect(wanted <= named, f"missed {wanted - named}: {r.git('diff', '-U0')}")
        spurious, judged = spurious + len(named - wanted), judged + len(named)
        r.git("checkout", "-q", ".")
    print(f"# note: {spurious} of {judged} objects that are judged had not changed")
    expect(spurious * 3 < judged, f"{spurious} of {judged} had not changed")


def last_line(r):
    """The end of the one and the beginning of the next are told apart; there is no newline at the end of the file."""
    r.write("a.yaml", r.read("a.yaml").rstrip("\n"))
    r.finds(["a.yaml a3"], ".")
    r.change("a.yaml", pod("a1"), pod("a1").replace("gpu: 1", "gpu: 2"))
    r.finds(["a.yaml a1", "a.yaml a3"], ".")


def staged_committed_untracked(r):
    r.change("b.yaml", "name: b", "name: b-committed")
    r.commit()
    r.change("deep/c.yaml", "name: c", "name: c-staged")
    r.git("add", "-A")
    r.change("a.yaml", "name: a1", "name: a1-not-staged")
    r.write("new/d.yaml", pod("d"))
    r.write("new/.gitignore", "ignored.yaml\n")
    r.write("new/ignored.yaml", pod("ignored"))
    wanted = ["b.yaml b-committed", "deep/c.yaml c-staged", "a.yaml a1-not-staged", "new/d.yaml d"]
    r.finds(wanted, ".")
    for key, value in ODD.items():
        r.git("config", key, value)
    r.finds(wanted, ".")


def main_went_on(r):
    """What main has got since does not count, only what HEAD has."""
    r.change("b.yaml", "name: b", "name: b-mine")
    r.commit()
    r.git("checkout", "-q", "main")
    r.change("a.yaml", "name: a1", "name: a1-theirs")
    r.commit()
    r.git("checkout", "-q", "work")
    r.finds(["b.yaml b-mine"], ".")


def renamed(r):
    r.git("mv", "b.yaml", "moved.yaml")
    r.git("mv", "a.yaml", "deep/a.yaml")
    r.change("deep/a.yaml", "name: a3", "name: a3-new")
    r.finds(["deep/a.yaml a3-new"], ".")


def odd_names(r):
    names = ["sp ace.yaml", "ümlaut.yaml", 'quo"te.yaml', "back\\slash.yaml", "tab\t.yaml", "new\nline.yaml", " .yaml",
             "+++ b.yaml"]
    for name in names:
        r.write(name, pod("old") + "---\n" + pod("stays"))
    r.commit()
    base = r.git("rev-parse", "HEAD")
    for name in names:
        r.change(name, "name: old", "name: new")
    r.finds([f"{name} new" for name in names], ".", ref=base)
    r.finds([f"{name} {pod}" for name in names for pod in ("new", "stays")], ".")


def text_like_a_diff(r):
    """Content that looks like what git prints between files changes nothing."""
    evil = "# ++ b/b.yaml\n++ b/b.yaml\n-- a/b.yaml\n@@ -1 +1,99 @@\ndiff --git a/b.yaml b/b.yaml\n"
    r.write("evil.txt", evil * 3)
    r.commit()
    r.write("evil.txt", "x\n" + evil.replace("99", "98") * 2 + "++ b/b.yaml")
    r.change("a.yaml", "name: a1", "name: a1-new")
    r.finds(["a.yaml a1-new"], ".", ref="HEAD")


def one_line_files(r):
    """JSON of one line is one change; so is a List that uses anchors."""
    items = [json.loads(json.dumps(harness.yaml.safe_load(pod(name)))) for name in ("x", "y")]
    r.write("list.json", json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    lines = "".join(f"- {pod(name)}".replace("\n", "\n  ").rstrip(" ") for name in ("l1", "l2"))
    r.write("list.yaml", "apiVersion: v1\nkind: List\nitems:\n" + lines)
    anchored = lines.replace("resources:\n", "resources: &r\n", 1).replace("resources:\n        requests: {nvidia.com/gpu: 1}\n",
                                                                           "resources: *r\n")
    r.write("anchors.yaml", "apiVersion: v1\nkind: List\nitems:\n" + anchored)
    r.commit()
    for name in ("list.json", "list.yaml", "anchors.yaml"):
        text = r.read(name)
        r.write(name, text.replace("name: l1", "name: l1-new").replace('"x"', '"x-new"'))
    r.finds(["list.json x-new", "list.json y", "list.yaml l1-new", "anchors.yaml l1-new", "anchors.yaml l2"], ".", ref="HEAD")


def broken_file(r):
    r.write("b.yaml", "a: [")
    status, out, _ = r.run(".")
    report = json.loads(out)
    expect(status == 3 and [error["file"] for error in report["errors"]] == ["b.yaml"], f"exit {status}: {out}")


def duplicates(r):
    """Warnings of what did not change do not come either."""
    r.write("b.yaml", pod("b1").replace("kind: Pod", "kind: Pod\nkind: Pod") + "---\n" + pod("b2"))
    r.commit()
    r.change("b.yaml", "name: b2", "name: b2-new")
    status, out, err = r.run(".", ref="HEAD")
    expect(status == 1 and "twice" not in out + err, f"exit {status}: {out} {err}")


def links(r):
    os.symlink("b.yaml", f"{r.top}/link.yaml")
    r.commit()
    r.change("b.yaml", "name: b", "name: b-new")
    r.finds(["b.yaml b-new", "link.yaml b-new"], ".", ref="HEAD")
    r.git("checkout", "-q", "b.yaml")
    os.remove(f"{r.top}/link.yaml")
    os.symlink("a.yaml", f"{r.top}/link.yaml")
    r.finds([f"link.yaml a{i}" for i in (1, 2, 3)], ".", ref="HEAD")


def other_folders(r):
    r.change("deep/c.yaml", "name: c", "name: c-new")
    r.finds(["c.yaml c-new"], cwd=f"{r.top}/deep")
    r.finds(["../deep/c.yaml c-new"], "..", cwd=f"{r.top}/deep")
    outside = r.folder.name
    r.finds([f"{r.top}/deep/c.yaml c-new"], r.top, cwd=outside)
    r.finds([f"{r.top}/deep/c.yaml c-new"], f"{r.top}/deep/c.yaml", cwd=outside)


def conflict(r):
    r.change("b.yaml", "name: b", "name: mine")
    r.commit()
    r.git("checkout", "-q", "main")
    r.change("b.yaml", "name: b", "name: theirs")
    r.commit()
    r.git("checkout", "-q", "work")
    r.git("merge", "-q", "main", check=False)
    status, out, _ = r.run(".")
    expect(status == 3 and json.loads(out)["errors"][0]["file"] == "b.yaml", f"exit {status}: {out}")


def errors(r):
    r.fails(2, '--git-diff: "mian" is no commit of this repository', ".", ref="mian")
    r.fails(2, "is no commit", ".", ref="main:a.yaml")
    r.fails(2, "is no name of a commit", ".", ref="--output=x")
    r.fails(2, "standard input is in no commit", "-")
    r.fails(2, "is outside the repository", "/")
    r.fails(2, "--write-baseline needs all findings", "--write-baseline", f"{r.folder.name}/x.yaml", ".")
    r.fails(2, "git cannot be run", ".", env={"PATH": "/nonexistent"})
    r.fails(2, "not a git repository", ".", cwd=r.folder.name)
    status, out, _ = r.run("gone.yaml")
    expect(status == 3 and json.loads(out)["errors"][0]["file"] == "gone.yaml", f"a missing path: exit {status}: {out}")
    r.git("checkout", "-q", "--orphan", "alone")
    r.change("b.yaml", "name: b", "name: alone")
    r.commit()
    r.fails(2, "have no commit in common", ".")


def no_commit_yet(r):
    os.mkdir(f"{r.folder.name}/fresh")
    r.git("init", "-q", f"{r.folder.name}/fresh")
    r.fails(2, "is no commit", ".", ref="HEAD", cwd=f"{r.folder.name}/fresh")


def no_worktree(r):
    r.fails(2, "--git-diff: ", ".", cwd=f"{r.top}/.git")


def many_changes(r):
    """Thousands of places in one file, and a line of megabytes."""
    pods = [pod(f"p{i}") for i in range(2000)]
    r.write("many.yaml", "---\n".join(pods))
    r.write("long.json", '{"a": "' + "x" * 3000000 + '"}')
    r.commit()
    r.write("many.yaml", "---\n".join(text.replace("image: i", "image: j") if i % 2 else text for i, text in enumerate(pods)))
    r.write("long.json", '{"a": "' + "y" * 3000000 + '"}')
    r.finds([f"many.yaml p{i}" for i in range(2000) if i % 2], ".", ref="HEAD")


CASES = (nothing_changed, only_deleted, one_object_of_a_file, odd_environment, lines_that_went, documents_that_went, random_edits,
         last_line, staged_committed_untracked, main_went_on, renamed, odd_names, text_like_a_diff, one_line_files, broken_file,
         duplicates, links, other_folders, conflict, errors, no_commit_yet, no_worktree, many_changes)


def main():
    tap = harness.Tap()
    tap.run_each("git-diff", CASES, Repository)
    tap.finish()


if __name__ == "__main__":
    main()
