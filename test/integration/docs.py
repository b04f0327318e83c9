#!/usr/bin/env python3
"""What the pages say is there: links and their anchors, files, commands and their options, variables, targets, metrics and
alerts. Generated pages are up to date, policies in them load. What their commands do is for pages.py. Speaks TAP."""
import fnmatch
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from harness import MLGATE, SLOW, TOP, Tap, environment, expect, load_yaml, run  # noqa: E402

TAP = Tap()
GENERATED = ("rules.md", "reference.md", "workloads.md", "options.md")
FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```$", re.M | re.S)
ASIDE = {"build", ".git"}
TREES = ("docs/", "manifests/", "policies/", "scripts/", "test/", "webhook/", ".ci/")
OTHERS = {"--admission-control-config-file", "--build-arg", "--resource-name"}  # options of other programs
# Variables of ours that are no option of a command.
VARIABLES = {"MLGATE_SANDBOX", "MLGATE_BUILD", "MLGATE_E2E_BIN", "MLGATE_CI_IMAGE", "MLGATE_CI_PATHS"}


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def pages():
    found = []
    for folder, folders, files in os.walk(TOP):
        folders[:] = sorted(name for name in folders if name not in ASIDE)
        found += [os.path.relpath(os.path.join(folder, name), TOP) for name in sorted(files) if name.endswith(".md")]
    return [name for name in found if not name.startswith("test/")]


def blocks(text):
    """(info, body) of every fenced block."""
    return [(match.group(2).strip(), match.group(3)) for match in FENCE.finditer(text)]


def inline(text):
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", FENCE.sub("", text))


def slug(heading):
    """The anchor that GitHub and GitLab give a heading."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(path):
    seen, found = {}, set()
    for heading in re.findall(r"^#{1,6} +(.+)$", FENCE.sub("", read(path)), re.M):
        name = slug(heading)
        found.add(f"{name}-{seen[name]}" if name in seen else name)
        seen[name] = seen.get(name, 0) + 1
    return found


# --- what is named --------------------------------------------------------------------------------------------------

def links(page):
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", read(page)))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(page), name)) if name else page
        expect(os.path.exists(os.path.join(TOP, path)), f"{target}: no such file")
        if anchor:
            expect(anchor in anchors(path), f"{target}: {path} has only {sorted(anchors(path))}")


def ends(page):
    text = read(page)
    expect(text.endswith("\n"), "the last line has no end")
    expect(not re.search(r"[ \t]$", text, re.M), "blanks at the end of a line")


def files(page):
    """Paths in backticks, from the top of the tree."""
    for word in inline(read(page)):
        if not word.startswith(TREES) or re.search(r"[A-Z]{4}|[ …$\\{<=]", word):
            continue
        base = os.path.join(TOP, word.rstrip("/"))
        parent = os.path.dirname(base)
        there = os.path.isdir(parent) and fnmatch.filter(os.listdir(parent), os.path.basename(base))
        expect(there or word == "policies/gpu.yaml", f"`{word}`: no such file")


def commands():
    """{command: its options}, as help says."""
    names = re.findall(r"^  ([a-z]+) ", run(["help"])[1], re.M)
    always = {"--help", "--help-all"}
    return {name: set(re.findall(r"^  (--[a-z-]+)", run([name, "--help-all"])[1], re.M)) | always for name in names}


def called(text):
    """Command lines of mlgate in a block of code or in words: lists of words."""
    text = text.replace("\\\n", " ")
    for line in text.split("\n"):
        line = re.sub(r"\s#.*$", "", line)
        for part in re.split(r"\|(?!\w)|&&|;|\$\(|<\(|\)", line):
            words = part.replace("$ ", "").split()
            if words[:1] == ["mlgate"] and len(words) > 1 and re.match(r"[a-z]", words[1]):
                yield words[1:]


def command_lines(page, known):
    text = read(page)
    code = [body for info, body in blocks(text) if info in ("", "sh", "console", "yaml")]
    count = 0
    for part in code + inline(text):
        for words in called(part):
            name = words[0].rstrip(":")
            if "/" in name or name == "fix:" or (words[0].endswith(":") and name in known):
                continue  # a line that mlgate prints
            expect(name in known, f"mlgate {' '.join(words)}: no such command")
            wrong = [word for word in words[1:] if word.startswith("--") and word.split("=")[0] not in known[name]]
            expect(not wrong, f"mlgate {' '.join(words)}: no such option: {wrong}")
            count += 1
    everywhere = set().union(*known.values())
    for word in inline(text):
        if re.fullmatch(r"--[a-z-]+( [A-Z]+|=.*)?", word) and page not in ("docs/ci.md", "manifests/README.md"):
            name = re.split("[ =]", word)[0]
            expect(name in everywhere | OTHERS, f"`{word}`: no command has that option")
    return count


def variables(page, known):
    names = {"MLGATE_" + option[2:].upper().replace("-", "_") for options in known.values() for option in options} | VARIABLES
    used = set(re.findall(r"\bMLGATE_[A-Z_]+[A-Z]\b", read(page)))
    expect(used <= names, f"no such variable: {sorted(used - names)}")


def targets(page, known):
    text = read(page)
    for code in [body for info, body in blocks(text) if info in ("sh", "console")] + inline(text):
        for name in re.findall(r"(?:^|&& |[A-Z]+=\S+ )make ([a-z][a-z0-9-]*)", code, re.M):
            expect(name in known, f"make {name}: no such target")


def metrics(page):
    """manifests/monitoring says them all, and is itself held against a server."""
    there = set(re.findall(r"^\| `(\w+)` \|", read("manifests/monitoring/README.md"), re.M))
    families = {name for name in there} | {name + suffix for name in there for suffix in ("_bucket", "_sum", "_count")}
    expect(len(there) > 20, f"few metrics: {there}")
    used = set(re.findall(r"`(mlgate_[a-z_]+[a-z])`", read(page)))
    expect(used <= families, f"no such metric: {sorted(used - families)}")
    alerts = {rule["alert"] for group in load_yaml(os.path.join(TOP, "manifests/monitoring/rules.yaml"))["groups"]
              for rule in group["rules"] if "alert" in rule}
    named = set(re.findall(r"`(Mlgate[A-Za-z]+)`", read(page)))
    expect(named <= alerts, f"no such alert: {sorted(named - alerts)}")


def numbers(text):
    """1 to 3 and 7: 1, 2, 3, 7."""
    for first, last in re.findall(r"(\d+)(?: to (\d+))?", text):
        yield from range(int(first), int(last or first) + 1)


def tested(row, known):
    """The last cell of a threat or a failure names tests that there are, or says none where nothing is done."""
    cells = [cell.strip() for cell in row.strip("|").split(" | ")]
    done, where = cells[-2], cells[-1]
    if where == "none":
        expect(done == "Nothing can be done here", f"not tested: {done}")
        return
    attacks = {int(number) for number in re.findall(r'^    \((\d+), "', read("test/abuse/abuse.py"), re.M)}
    named = 0
    for word, rows in re.findall(r"`([^`]+)`((?: rows? [\d, to and]+)?)", where):
        missing = set(numbers(rows)) - attacks
        expect(not missing, f"test/abuse has no row {sorted(missing)}")
        expect((word == "test/abuse") == bool(rows), f"`{word}`: which of its rows?")
        if word.startswith("make "):
            expect(word[5:] in known, f"no such target: {word}")
        else:
            expect(word.startswith("Mlgate") or os.path.exists(os.path.join(TOP, word)), f"no such test: {word}")
            expect(not word.endswith(".py") or os.access(os.path.join(TOP, word), os.X_OK), f"not run by any suite: {word}")
        named += not word.startswith("Mlgate")
    expect(named, f"no test: {where}")


def threats(known):
    rows = re.findall(r"^\|(?! *\|| threat|---).*\|$", read("docs/security.md"), re.M)
    model = [row.split(" ")[1] for row in rows[:18]]
    TAP.check("there are threats", len(rows) > 24 and model == [str(n) for n in range(1, 19)], rows)
    failures = re.findall(r"^\|(?! what|---).*\|$", read("docs/operations.md").partition("## When something fails")[2], re.M)
    TAP.check("there are failures", len(failures) > 9, failures)
    for row in rows + failures:
        TAP.run(f"{row.split(' | ')[0][2:60]}: where it is tested", tested, row, known)


def policies(page, folder):
    """Policies that are shown can be loaded."""
    count = 0
    for info, body in blocks(read(page)):
        if info != "yaml" or not re.search(r"^kind: (Policy|Exception|WorkloadKind|Registry|Accelerators)$", body, re.M):
            continue
        path = os.path.join(folder, "shown.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(body)
        status, _, err = run(["check", "--policies", path, "--allow-empty", "-"])
        expect(status == 0, err + body)
        count += 1
    return count


# --- what is done -----------------------------------------------------------------------------------------------------

def generated(folder):
    done = subprocess.run([os.path.join(TOP, "scripts/docs.py"), MLGATE, folder], env=environment(), text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60 * SLOW)
    TAP.check("pages can be generated", done.returncode == 0, done.stdout)
    for name in GENERATED:
        path = os.path.join(folder, name)
        same = os.path.exists(path) and open(path, encoding="utf-8").read() == read(f"docs/{name}")
        TAP.check(f"docs/{name} is what the program says; else: make docs", same)


def main():
    known = commands()
    makefile = set(re.findall(r"^([a-z][a-z0-9 -]*):(?!=)", read("Makefile"), re.M))
    makefile = {name for names in makefile for name in names.split()}
    TAP.check("commands and targets are known", len(known) > 10 and len(makefile) > 20 and "--policies" in known["check"])
    every = pages()
    TAP.check("there are pages", "README.md" in every and len(every) > 12, every)
    threats(makefile)
    lines = shown = 0
    with tempfile.TemporaryDirectory(prefix="mlgate-docs-") as folder:
        os.mkdir(os.path.join(folder, "pages"))
        generated(os.path.join(folder, "pages"))
        for page in every:
            for test, *args in ((links,), (ends,), (files,), (variables, known), (targets, makefile), (metrics,)):
                TAP.run(f"{page}: {test.__name__}", test, page, *args)
            counts = {}
            TAP.run(f"{page}: command lines", lambda p=page, c=counts: c.update(lines=command_lines(p, known)))
            TAP.run(f"{page}: policies load", lambda p=page, c=counts: c.update(shown=policies(p, folder)))
            lines, shown = lines + counts.get("lines", 0), shown + counts.get("shown", 0)
    TAP.check("command lines and policies were found", lines > 40 and shown >= 1, (lines, shown))
    TAP.finish()


if __name__ == "__main__":
    main()
