#!/usr/bin/python3
"""The report formats beside text, json and sarif, each read as those who take it read it: names that try to get out stay in, all
findings are there, and ten thousand of them are no trouble."""
import collections
import html.parser
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402
import manifests_hostile as hostile  # noqa: E402
from harness import expect  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
FORMATS = ["text", "json", "sarif", "junit", "github", "gitlab", "markdown", "html"]
HIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
USUAL = ["--policies", "policies", "--now", "2026-11-21"]


def clean(text):
    return re.sub(r"\n", "\ufffd", HIDDEN.sub("\ufffd", text))


def object_name(result):
    return f"{result['kind']} {result['namespace']}{'/' if result['namespace'] else ''}{result['name']}"


class Reports:
    """All formats of one run, by name; json as the value."""

    def __init__(self, folder, *args, timeout=120, usual=tuple(USUAL)):
        with tempfile.TemporaryDirectory(prefix="mlgate-formats-") as out:
            wanted = [word for name in FORMATS for word in ("--format", f"{name}={out}/{name}")]
            self.status, self.out, self.err = harness.run(["check", *usual, *wanted, *args], folder, timeout=timeout)
            expect(self.status in (0, 1, 3), f"exit {self.status}: {self.err}")
            expect(self.out == "", f"on standard output: {self.out[:200]}")
            self.text = {}
            for name in FORMATS:
                with open(f"{out}/{name}", "rb") as file:
                    data = file.read()
                expect(b"\0" not in data, f"{name}: a NUL")
                self.text[name] = data.decode()  # strictly
        for name in set(FORMATS) - {"json"}:
            hidden = HIDDEN.search(self.text[name])
            expect(not hidden, f"{name}: U+{ord(hidden.group()) if hidden else 0:04X} of an object")
        self.json = json.loads(self.text["json"])
        self.violations = [(r, v) for r in self.json["results"] for v in r["violations"]]
        self.errors = self.json["errors"]
        self.warnings = [(r, w) for r in self.json["results"] for w in r["warnings"]]
        self.exceptions = [e for e in self.json["exceptions"] if e["state"] != "active"]


# --- JUnit -----------------------------------------------------------------------------------------------------------

def junit(reports):
    root = ElementTree.fromstring(reports.text["junit"])
    results = collections.defaultdict(list)
    for result in reports.json["results"]:
        results[clean(result["file"])].append(result)
    errors = collections.Counter(clean(error["file"]) for error in reports.errors)
    suites = {suite.get("name"): suite for suite in root}
    expect(len(suites) == len(list(root)), "two suites of one file")
    expect(set(suites) == set(results) | set(errors), f"suites {sorted(set(suites) ^ (set(results) | set(errors)))}")
    for name, suite in suites.items():
        cases = [case for case in suite if case.find("error") is None]
        expect(int(suite.get("errors")) == errors[name] == len(list(suite)) - len(cases), f"{name}: errors")
        expect(int(suite.get("tests")) == len(list(suite)), f"{name}: tests")
        expect(int(suite.get("failures")) == len(suite.findall("testcase/failure")), f"{name}: failures")
        expect(int(suite.get("skipped")) == len(suite.findall("testcase/skipped")), f"{name}: skipped")
        for case, result in zip(cases, results[name]):
            junit_case(case, result)


def xml_clean(text):
    return re.sub("[\ufffe\uffff]", "\ufffd", clean(text))


def junit_case(case, result):
    name = object_name(result)
    expect(case.get("name") == xml_clean(name), f"{case.get('name')!r} is not {name!r}")
    expect((case.find("failure") is not None) == (not result["allowed"]), f"{name}: failure or not")
    actions = {violation["action"] for violation in result["violations"]}
    expect((case.find("skipped") is not None) == (actions == {"exempted"}), f"{name}: skipped or not")
    text = "".join(case.itertext())
    for violation in result["violations"]:
        expect(xml_clean(violation["message"]) in text, f"{name}: {violation['message']!r} is not told")


def validates(reports, xmllint):
    with tempfile.NamedTemporaryFile(suffix=".xml") as file:
        file.write(reports.text["junit"].encode())
        file.flush()
        done = subprocess.run([xmllint, "--huge", "--noout", "--schema", os.path.join(HERE, "junit.xsd"), file.name],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    expect(done.returncode == 0, done.stdout.decode("utf-8", "replace")[:2000])


# --- GitHub ----------------------------------------------------------------------------------------------------------

def runner(line):
    """What the runner makes of a line: (command, properties, message), or None."""
    line = line.lstrip()
    if not line.startswith("::"):
        return None
    end = line.find("::", 2)
    if end < 0:
        return None
    name, _, rest = line[2:end].partition(" ")
    properties = {}
    for part in rest.strip().split(","):
        key, equals, value = part.partition("=")
        if equals:
            for code, mark in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
                value = value.replace(code, mark)
            properties[key] = value
    message = line[end + 2:]
    for code, mark in (("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        message = message.replace(code, mark)
    return name, properties, message


def github(reports):
    lines = reports.text["github"].split("\n")
    commands = [runner(line) for line in lines]
    said = [command for command in commands if command]
    expect([line for line, command in zip(lines, commands) if not command] == [reports.text["text"].split("\n")[-2], ""],
           "other lines than the sum")
    kinds = [name for name, _, _ in said]
    expect(kinds == sorted(kinds, key=["error", "warning", "notice"].index), "the hardest do not come first")
    wanted = {"error": "deny", "warning": "warn"}
    count = collections.Counter(kinds)
    actions = collections.Counter(v["action"] for _, v in reports.violations)
    expect(count["error"] == actions["deny"] + len(reports.errors), f"{count} of {actions}")
    expect(count["warning"] == actions["warn"] + len(reports.warnings) + len(reports.exceptions), f"{count} of {actions}")
    expect(count["notice"] == actions["audit"] + actions["exempted"], f"{count} of {actions}")
    found = collections.Counter(
        (name, os.path.basename(p["file"]), int(p.get("line", 0)), p["title"], m.split("\n")[1])
        for name, p, m in said if p["title"] != "mlgate")
    for result, v in reports.violations:
        kind = next((name for name, action in wanted.items() if action == v["action"]), "notice")
        text = clean((v["path"] and v["path"] + ": ") + v["message"])
        key = (kind, os.path.basename(clean(result["file"])), v["line"], f"{v['policy']}/{v['rule']}", text)
        expect(found[key] > 0, f"{key} is not there")
    for _, properties, _ in said:
        expect(set(properties) <= {"file", "line", "col", "endLine", "endColumn", "title"}, f"{properties}")


# --- GitLab ----------------------------------------------------------------------------------------------------------

def gitlab(reports):
    entries = json.loads(reports.text["gitlab"])
    total = len(reports.violations) + len(reports.errors) + len(reports.warnings) + len(reports.exceptions)
    expect(len(entries) == total, f"{len(entries)} entries of {total}")
    for entry in entries:
        expect(set(entry) == {"description", "check_name", "fingerprint", "severity", "location"}, f"{entry}")
        expect(all(entry[key] and isinstance(entry[key], str) for key in set(entry) - {"location"}), f"{entry}")
        expect(entry["severity"] in ("info", "minor", "major", "critical", "blocker"), f"{entry}")
        expect(set(entry["location"]) == {"path", "lines"} and not entry["location"]["path"].startswith("./"), f"{entry}")
        expect(entry["location"]["lines"]["begin"] >= 1 and set(entry["location"]["lines"]) == {"begin"}, f"{entry}")
    expect(len({entry["fingerprint"] for entry in entries}) == len(entries), "two entries of one fingerprint")
    severities = {"deny": "critical", "warn": "minor", "audit": "info", "exempted": "info"}
    own = iter(entry for entry in entries if "/" in entry["check_name"])
    for (result, v), entry in zip(reports.violations, own):
        expect((entry["check_name"], entry["severity"]) == (f"{v['policy']}/{v['rule']}", severities[v["action"]]), f"{entry}")
        expect(clean(v["message"]) in entry["description"] and entry["location"]["lines"]["begin"] == v["line"], f"{entry}")


# --- Markdown --------------------------------------------------------------------------------------------------------

def markdown(reports):
    text = reports.text["markdown"]
    expect(len(text.encode()) <= 65536, f"{len(text.encode())} bytes")
    rows = [line for line in text.split("\n") if line.startswith("|")][2:]
    total = len(reports.violations) + len(reports.errors) + len(reports.warnings) + len(reports.exceptions)
    more = re.search(r"^and (\d+) more$", text, re.M)
    expect(len(rows) + int(more.group(1) if more else 0) == total, f"{len(rows)} rows, {more}, of {total}")
    order = {"error": 0, "deny": 0, "warn": 1, "warning": 1, "audit": 2, "exempted": 3}
    words = [re.match(r"\| \*\*(\w+)\*\*", row).group(1) for row in rows]
    ranks = [order[word] for word in words]
    expect(ranks == sorted(ranks), f"the hardest do not come first: {words}")
    for row in rows:
        expect(len(re.findall(r"(?<!\\)\|", row)) == 4, f"not three cells: {row!r}")
        expect(len(row) < 65536, "one row fills it")
        bare = row.replace("<!-- -->", "\1")
        bare = re.sub(r"(`+) ?.*?[^`]\1(?!`)", "", bare)
        bare = re.sub(r"&#\d+;", "\2", bare)
        bare = re.sub(r"<br>|\[docs\]\(https?://[^ ()<>|]*\)|\*\*\w+\*\*|\\\|", "", bare)
        mark = re.search(r"[<>*_`\[\]\\~]|[@#!%]\w|://|www\.", bare.replace(" | ", "").strip("| "))
        expect(not mark, f"{mark} in {row!r}: {bare!r}")


def rendered(reports, cmark):
    """As GitHub's own renderer reads it: a table of three columns without any link or image that is not ours."""
    done = subprocess.run([cmark, "--unsafe", "-e", "table", "-e", "autolink", "-e", "strikethrough"],
                          input=reports.text["markdown"].encode(), stdout=subprocess.PIPE, check=True)
    page = done.stdout.decode()
    allowed = {"h3", "p", "table", "thead", "tbody", "tr", "th", "td", "strong", "code", "br", "a"}
    tags = collections.Counter(re.findall(r"<([a-z0-9]+)", re.sub(r"<!-- -->", "", page)))
    expect(set(tags) <= allowed, f"elements {set(tags) - allowed}")
    expect(tags["td"] == 3 * (tags["tr"] - 1), f"{tags}")
    links = set(re.findall(r'href="([^"]*)"', page))
    expect(links <= {"https://wiki.example/gpu?a=1&amp;b=%5Bx%5D%20%22"}, f"links {links}")
    cells = re.findall(r"<code>(.*?)</code>", page, re.S)
    for result in reports.json["results"]:
        name = object_name(result)
        if result["violations"] and len(name) < 400:
            shown = clean(name).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
            shown = re.sub("[\ufffe\uffff]", "\ufffd", shown)
            expect(shown in cells, f"{shown!r} is not shown as it is")


# --- HTML ------------------------------------------------------------------------------------------------------------

class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.seen, self.links, self.stack, self.findings, self.names = collections.Counter(), [], [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.seen[tag] += 1
        expect(not any(key.startswith("on") or key in ("src", "srcset", "style", "action") for key in attrs), f"<{tag} {attrs}>")
        if "href" in attrs:
            self.links.append(attrs["href"])
        if tag == "details":
            self.findings.append((attrs["data-action"], attrs.get("data-policy")))
        self.stack.append(tag)

    def handle_endtag(self, tag):
        while self.stack and self.stack.pop() != tag:
            pass

    def handle_data(self, data):
        if self.stack and self.stack[-1] == "h2":
            self.names.append(data)


def page(reports):
    text = reports.text["html"]
    parsed = Page()
    parsed.feed(text)
    parsed.close()
    expect(parsed.seen["script"] == 1 and parsed.seen["style"] == 1, f"{parsed.seen}")
    expect(not set(parsed.seen) & {"img", "iframe", "object", "embed", "link", "base", "svg", "x"}, f"{parsed.seen}")
    expect(set(parsed.links) <= {"https://wiki.example/gpu?a=1&b=%5Bx%5D%20%22"}, f"links {set(parsed.links)}")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text).group(1)
    expect(policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "*" not in policy, policy)
    found = collections.Counter(parsed.findings)
    for key, count in collections.Counter((v["action"], v["policy"]) for _, v in reports.violations).items():
        expect(found[key] == count, f"{key}: {found[key]} of {count}")
    expect(found[("error", None)] == len(reports.errors), f"{found}")
    expect(found[("mutate", None)] == reports.json["summary"]["mutated"], f"{found}")


# --- text ------------------------------------------------------------------------------------------------------------

def on_terminal(args, folder, env):
    """What mlgate writes to a terminal."""
    outer, inner = harness.terminal()
    process = subprocess.Popen([harness.MLGATE, "check", *USUAL, *args], cwd=folder, stdin=subprocess.DEVNULL, stdout=inner,
                               stderr=subprocess.DEVNULL, env=harness.environment(env))
    os.close(inner)
    data = b""
    while True:
        try:
            more = os.read(outer, 1 << 16)
        except OSError:  # how a terminal says that nobody writes any more
            break
        if not more:
            break
        data += more
    os.close(outer)
    process.wait(30)
    return data.decode().replace("\r\n", "\n")


def colours(folder):
    plain = harness.run(["check", *USUAL, "jobs/plain.yaml"], folder, env={"TERM": "xterm"})[1]
    expect("\033" not in plain and "deny gpu/gpuLimits" in plain, f"into a pipe: {plain!r}")
    colour = on_terminal(["jobs/plain.yaml"], folder, {"TERM": "xterm", "NO_COLOR": "", "CLICOLOR_FORCE": ""})
    expect("\033[1;31mdeny\033[0m" in colour, f"on a terminal: {colour!r}")
    expect(re.sub(r"\033\[[0-9;]*m", "", colour) == plain, "colour changes more than the colour")
    off = {"TERM": "xterm", "CLICOLOR_FORCE": ""}
    for args, env, wanted in (
            ([], {"NO_COLOR": "1"}, False), ([], {"TERM": "dumb"}, False), (["--color=never"], {}, False),
            (["--color=always"], {"NO_COLOR": "1"}, True), ([], {"MLGATE_COLOR": "never"}, False),
            (["--color=auto"], {"MLGATE_COLOR": "never"}, True)):
        got = on_terminal([*args, "jobs/plain.yaml"], folder, {**off, "NO_COLOR": "", **env})
        expect(("\033" in got) == wanted, f"on a terminal, {args} {env}: {got[:80]!r}")
    for args, env, wanted in (([], {"CLICOLOR_FORCE": "1"}, True), ([], {"CLICOLOR_FORCE": "0"}, False),
                              ([], {"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, False), (["--color", "always"], {}, True),
                              (["--format", "json", "--color", "always"], {}, False)):
        env = {"NO_COLOR": "", "CLICOLOR_FORCE": "", **env}
        got = harness.run(["check", *USUAL, *args, "jobs/plain.yaml"], folder, env=env)[1]
        expect(("\033" in got) == wanted, f"into a pipe, {args} {env}: {got[:80]!r}")
    status, _, err = harness.run(["check", "--color", "red", "jobs/plain.yaml"], folder)
    expect(status == 2 and "always" in err, f"--color red: {status} {err}")


def named(folder):
    words = harness.run(["check", "--help"], folder)[1]
    expect(f"Formats: {' '.join(FORMATS)}." in words, words)
    expect(max(map(len, words.split("\n"))) <= 80 and words.count("\n") <= 25, "the help is more than a screen")
    status, _, err = harness.run(["check", "--format", "sarf"], folder)
    expect(status == 2 and all(name in err for name in FORMATS) and 'did you mean "sarif"' in err, err)


# --- all of them -----------------------------------------------------------------------------------------------------

READERS = {"junit": junit, "github": github, "gitlab": gitlab, "markdown": markdown, "html": page}
TOOLS = (("junit by its schema", "xmllint", validates), ("markdown as it is rendered", "cmark-gfm", rendered))


def read_all(tap, name, reports):
    for format_, reader in READERS.items():
        tap.run(f"{format_}: {name}", reader, reports)
    for what, tool, reader in TOOLS:
        if shutil.which(tool):
            tap.run(f"{what}: {name}", reader, reports, shutil.which(tool))
        else:
            tap.skip(f"{what}: {name}", f"{tool} is not installed")


def large(tap, folder):
    hostile.many(os.path.join(folder, "many.json"), 17, 300)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    reports = Reports(folder, "many.json", timeout=120 * harness.SLOW)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    expect(len(reports.violations) >= 10000, f"{len(reports.violations)} findings")
    seconds = after.ru_utime - before.ru_utime
    tap.note(f"{len(reports.violations)} findings in 8 formats: {seconds:.1f} s, {after.ru_maxrss >> 10} MiB")
    expect(harness.SLOW > 1 or after.ru_maxrss < 160 << 10, f"{after.ru_maxrss} KiB")
    for name in ("json", "sarif", "gitlab"):
        json.loads(reports.text[name])
    for name in ("junit", "github", "markdown", "html"):
        READERS[name](reports)


def main():
    tap = harness.Tap()
    with tempfile.TemporaryDirectory(prefix="mlgate-formats-") as folder:
        hostile.write(folder)
        tap.run("all formats are named", named, folder)
        tap.run("text: colour", colours, folder)
        read_all(tap, "hostile names", Reports(folder, "jobs"))
        read_all(tap, "nothing", Reports(folder, "--allow-empty"))
        read_all(tap, "errors only", Reports(folder, "jobs/broken.yaml", "gone.yaml"))
        tap.run("ten thousand findings", large, tap, folder)
    if harness.shared("corpus"):
        baseline = os.path.join(harness.TOP, "policies", "baseline")
        read_all(tap, "the corpus", Reports("/", harness.shared("corpus"), usual=("--policies", baseline)))
    else:
        tap.skip("the corpus", f"no folder {harness.SHARED}/corpus")
    tap.finish()


if __name__ == "__main__":
    main()
