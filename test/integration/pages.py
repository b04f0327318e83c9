#!/usr/bin/env python3
"""Every command of the pages, word by word, as a reader follows them: page by page in one home, empty at first, each page in
a clone of this tree and in one shell. `sh` blocks may not fail; what a `text` or `diff` block below one, or a `console` block,
shows is what is printed; there "…" is anything, whole lines too. What is not run here is in one of two tables, with a reason.
UPDATE=1 writes what was printed into the pages. Speaks TAP."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)]
from docs import pages, read  # noqa: E402
from harness import BUILD, MLGATE, TOP, Tap, environment, expect  # noqa: E402

TAP = Tap()
FIRST = ("README.md", "docs/getting-started.md")  # the pages that install it; the others have it
GENERATED = ("docs/benchmarks.md", "docs/options.md", "docs/policies.md", "docs/reference.md", "docs/rules.md",
             "docs/workloads.md")
CHANGES = "docs/architecture.md"  # compiles, for which pages_changes.py has a time of its own
FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.M | re.S)
COMMAND = re.compile(r"^(\$ |(sudo |! )?(mlgate|build/mlgate|make|kubectl|helm|git|curl|podman) )", re.M)
CLUSTER = re.compile(r"(^|[|;&!] *)(kubectl|helm) ", re.M)  # must never be run here: it could be somebody's
FAILED, ENDED = "\x1d", "\x1e"

# Commands that need more than this machine: the page, how the line begins from which on a block is left out, and why.
NOT_RUN = (
    ("README.md", "make test", "is what runs this"),
    ("docs/release.md", "make reproducible", "builds all of it twice; .ci/run does"),
    ("manifests/README.md", "podman build",
     "needs a registry; make container builds it, test/e2e/cases/operation_test.go names another in the overlay"),
    ("manifests/README.md", "overlay=manifests/overlays/cert-manager",
     "needs cert-manager's controller; test/e2e/cases/variants_test.go applies it beside cert-manager's definitions"),
    ("docs/commands.md", "mlgate scan", "asks a cluster: test/e2e/cases/scan_test.go and test/integration/scan.py"),
)
# Sections that are followed on a real control plane: the page, the heading, the file and the case of `make e2e`.
FOLLOWED = (
    ("manifests/README.md", "With certificates of mlgate's own", "installed_test.go", "TestInstallation"),
    ("manifests/README.md", "With Helm", "installed_test.go", "TestInstallation"),
    ("manifests/README.md", "Registries", "need_test.go", "pullSecretsAllowed"),
    ("manifests/README.md", "Trying it", "installed_test.go", "TestInstallation"),
    ("manifests/README.md", "Changing what is installed", "installed_test.go", "TestInstallation"),
    ("manifests/README.md", "Uninstalling", "installed_test.go", "TestInstallation"),
    ("docs/operations.md", "One workload must run now", "need_test.go", "inNeed"),
    ("docs/operations.md", "A policy is wrong", "need_test.go", "inNeed"),
    ("docs/operations.md", "All policies are in doubt", "need_test.go", "inNeed"),
    ("docs/operations.md", "mlgate does not answer", "need_test.go", "inNeed"),
    ("docs/security.md", "What an operator does", "need_test.go", "compared"),
)


class Step:
    """Commands of a page, and what it shows of what they print: None where it shows nothing."""

    def __init__(self, heading, commands, start):
        self.heading, self.commands, self.shown, self.start = heading, commands, None, start

    def shows(self, text, start):
        self.shown, self.start = text, start


def in_order():
    return [*FIRST, *sorted(set(pages()) - set(FIRST + GENERATED + (CHANGES,)))]


def console(heading, body, start):
    """Steps of a block in which commands stand behind "$ ", each with what it prints below it."""
    found = []
    for line in body.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append(Step(heading, line[2:], start))
            found[-1].shows("", start + len(line))
        else:
            expect(found, f"nothing prints this: {line}")
            found[-1].shown += line
        start += len(line)
    return found


def steps(text):
    found, last = [], None  # the step that a block of output belongs to
    expect(not re.search(r"^( +```|~~~)", text, re.M), "blocks stand at the margin, behind ```")
    for match in FENCE.finditer(text):
        heading = re.findall(r"^#+ (.+)$", FENCE.sub("", text[:match.start()]), re.M)[-1]
        info, body, start = match.group(1), match.group(2), match.start(2)
        if info == "sh":
            last = Step(heading, body, start)
            found.append(last)
        elif info == "console":
            found += console(heading, body, start)
        elif info in ("text", "diff"):
            expect(last, f"nothing prints this: {body}")
            last.shows(body, start)
            last = None
        else:
            expect(info in ("", "yaml", "json"), f"what is a block of {info}?")
            expect(not COMMAND.search(body), f"commands in a block of {info or 'nothing'}: {body}")
    return found


# --- what is not run here -----------------------------------------------------------------------------------------------

def without(page, step, used):
    """The commands as far as NOT_RUN lets them."""
    for row in NOT_RUN:
        begin = ("\n" + step.commands).find("\n" + row[1])
        if page == row[0] and begin >= 0:
            used.add(row)
            return step.commands[:begin]
    return step.commands


def followed(page, step, used):
    """Whether `make e2e` runs it: its section, or on another page a section with the same commands."""
    own = [row for row in FOLLOWED if (page, step.heading) == row[:2]]
    used.update(own)
    others = [row[0] for row in FOLLOWED if row[0] != page]
    return bool(own) or bool(CLUSTER.search(step.commands)) and any(step.commands in read(other) for other in others)


def case_follows(page, heading, name, case):
    """The Go program follows the first block of a section that begins as it says, so that must be each of them."""
    text = read(f"test/e2e/cases/{name}")
    expect(f"func {case}(" in text, f"no {case} in {name}")
    text += read("test/e2e/cases/installed_test.go")
    expect(f"/{page}\"" in text, f"{name} does not read {page}")
    said = {**dict(re.findall(r'(\w+) += ("[^"]*")', text))}
    calls = re.findall(r'(?:follow|section)\(t, [\w, ]*?(\w+|"[^"]*"), (\w+|"[^"]*")\)', text)
    begins = [said.get(begin, begin).strip('"') for where, begin in calls if said.get(where, where) == f'"{heading}"']
    blocks = [step.commands for step in steps(read(page)) if step.heading == heading]
    firsts = [next((block for block in blocks if block.startswith(begin)), None) for begin in begins]
    expect(not set(blocks) - set(firsts), f"{name} follows {begins} of {heading}, and so not {set(blocks) - set(firsts)}")


# --- what is run --------------------------------------------------------------------------------------------------------

class Reader:
    """A home, what is cloned, and a PATH."""

    def __init__(self, folder):
        self.home, self.place = os.path.join(folder, "home"), os.path.join(folder, "work")
        self.tree = os.path.join(self.place, "mlgate")
        os.mkdir(self.home)
        origin = os.path.join(folder, "origin")
        shutil.copytree(TOP, origin, ignore=shutil.ignore_patterns("build", ".git", "__pycache__"), symlinks=True)
        for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "all"], ["clone", "-q", ".", self.tree]):
            self.git(origin, *words)
        self.built(os.path.join(self.tree, "build"))

    def git(self, folder, *words):
        subprocess.run(["git", *words], cwd=folder, env=self.env(), check=True)

    def as_cloned(self):
        """Takes away what the page before has left."""
        self.git(self.tree, "reset", "-q", "--hard")
        self.git(self.tree, "clean", "-q", "-d", "--force")
        for name in set(os.listdir(self.place)) - {"mlgate"}:
            shutil.rmtree(os.path.join(self.place, name))

    def env(self):
        own = os.path.join(self.home, ".local/bin")
        who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in
               (("NAME", "somebody"), ("EMAIL", "somebody@example.com"))}
        return environment({"PATH": ":".join(([own] if os.path.isdir(own) else []) + [os.environ["PATH"]]), "HOME": self.home,
                            "MAKEFLAGS": f"-j2 -- CURDIR={TOP}",  # a part of the flags, by which make knows its objects again
                            "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "KUBECONFIG": "/dev/null", **who})

    @staticmethod
    def built(build):
        """What is built already: objects that are newer than the clone."""
        shutil.copytree(BUILD, os.path.join(build, "release"), ignore=shutil.ignore_patterns("unit", "fuzz", "torture"))
        shutil.copy(MLGATE, os.path.join(build, "mlgate"))
        now = time.time_ns()
        for folder, _, files in os.walk(build):
            for name in files:
                os.utime(os.path.join(folder, name), ns=(now, now))

    def follow(self, commands):
        """What each of the commands prints in one shell; FAILED is in it where a command failed."""
        self.as_cloned()
        script = "trap 'printf \"\\035\"' ERR\n" + "".join(f"{text}printf '\\036'\n" for text in commands)
        shell = subprocess.Popen(["bash", "-c", script], cwd=self.tree, env=self.env(), stdin=subprocess.DEVNULL, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            return shell.communicate(timeout=200)[0].split(ENDED)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGTERM)  # what serves is stopped by who started it
            raise
        finally:
            shell.communicate()


def as_shown(shown, printed):
    pattern = re.escape(shown)
    pattern = re.sub(r"(?m)^ *…\\?\n", r"(?:.*\\n)*?", pattern.replace("\\\n", "\n")).replace("…", ".*?")
    return re.fullmatch(pattern, printed) is not None


def judge(step, said):
    printed = said.replace(FAILED, "")
    if step.shown is not None:
        expect(as_shown(step.shown, printed), f"{step.commands}prints\n{printed}")
    else:
        expect(FAILED not in said, f"{step.commands}fails:\n{printed}")


def updated(text, run, said):
    """The page with what was printed, from its end to its beginning, so that places stay true."""
    for step, printed in reversed(list(zip(run, said))):
        printed = printed.replace(FAILED, "")
        if step.shown is not None and not as_shown(step.shown, printed):
            text = text[:step.start] + printed + text[step.start + len(step.shown):]
    return text


def one_page(page, reader, used):
    text = read(page)
    here = [step for step in steps(text) if not followed(page, step, used)]
    run = [(step, commands) for step in here for commands in [without(page, step, used)] if commands]
    elsewhere = [commands for _, commands in run if CLUSTER.search(commands)]
    expect(not elsewhere, f"needs a cluster, and no case follows it: {elsewhere}")
    if not run:
        return 0
    said = reader.follow([commands for _, commands in run])
    expect(len(said) == len(run) + 1, f"the commands ended early: {''.join(said)}")
    for number, ((step, _), printed) in enumerate(zip(run, said), 1):
        TAP.run(f"{page}: {number}: {step.commands.splitlines()[0]}", judge, step, printed)
    if os.environ.get("UPDATE"):
        with open(os.path.join(TOP, page), "w", encoding="utf-8") as file:
            file.write(updated(text, [step for step, _ in run], said))
    return len(run)


def only_where_they_can_be():
    """What a reader builds is the release."""
    if os.path.basename(BUILD) != "release" or not shutil.which("git"):
        TAP.skip("the pages are followed", "needs git, and the build that make makes")
        TAP.finish()


def main():
    only_where_they_can_be()
    used, counts = set(), []
    with tempfile.TemporaryDirectory(prefix="mlgate-pages-") as folder:
        reader = Reader(folder)
        for page in in_order():
            TAP.run(f"{page}: its commands can be followed", lambda p=page: counts.append(one_page(p, reader, used)))
    TAP.check("many blocks were run", sum(counts) > 20, counts)
    for row in NOT_RUN:
        TAP.check(f"{row[0]}: {row[1]}: not run, since it {row[2]}", row in used, "no page has that command")
    for row in FOLLOWED:
        TAP.check(f"{row[0]}: {row[1]} is there", row in used, "no page has that section")
        TAP.run(f"{row[0]}: {row[1]} is followed by {row[3]}", case_follows, *row)
    TAP.finish()


if __name__ == "__main__":
    main()
