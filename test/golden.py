#!/usr/bin/python3
"""The golden cases: test/golden/RULE/CASE/, a folder of plain files each.

  policy.yaml      the policies
  object.yaml      the object that is judged
  expected.json    {"allowed": bool, "violations": [{"policy", "rule", "action", and any of "path", "pointer", "line",
                   "column", "message", "fix", "docs", "exception"}], "warnings": [...], "patch": null | true}
                   Strings may hold * for any text. What is not given is not compared, except: no "warnings" means none, no
                   "patch" means one exactly if there is a patched.yaml. {"skipped": true}: an object of unknown kind.
                   {"error": {"line", "column", "message"}} (or a list of them): the policies are refused.
  patched.yaml     the object after the patch; absent: nothing is patched
  context.yaml     context documents (--context)
  old.yaml         the object before: the case is an UPDATE
  request.yaml     further keys of the review's request (subResource, dryRun, userInfo ...)
                   With either of these two, `check` is given an AdmissionReview.
  args             further options of `check`, one word a line; the reviews are made to agree
  received.yaml    the object as the API server passes it on, where its own defaults make a difference to it; then
                   received.patched.yaml is what the patch makes of it, compared if it is there

Every case goes three ways, which must agree: `mlgate check`, the admission function (golden_driver), and a running server.

golden.py [WORD]...   only cases whose path has one of the words.   UPDATE=1: rewrites expected.json and patched.yaml.
"""
import concurrent.futures
import contextlib
import json
import os
import re
import sys
import tempfile

import harness
from harness import Mismatch, expect, fits, same, show

GOLDEN = os.path.join(harness.TOP, "test", "golden")
UPDATE = bool(os.environ.get("UPDATE"))
WRITTEN = ("policy", "rule", "action", "path", "line", "column", "message", "fix", "docs", "exception")
OF_THE_REQUEST = {"--namespace": "namespace", "--operation": "operation", "--user": "user", "--group": "groups"}


class Case:
    def __init__(self, folder):
        self.folder = folder
        self.name = os.path.relpath(folder, GOLDEN)
        self.object = self.yaml("object.yaml")
        self.old = self.yaml("old.yaml")
        self.more = self.yaml("request.yaml")
        self.received = self.yaml("received.yaml")
        self.args = (self.text("args") or "").split("\n")
        self.args = [line for line in self.args if line]
        self.expected = json.loads(self.text("expected.json") or "{}")
        expect(self.expected or UPDATE, "no expected.json; UPDATE=1 writes one")

    def path(self, name):
        return os.path.join(self.folder, name)

    def text(self, name):
        if not os.path.exists(self.path(name)):
            return None
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def yaml(self, name):
        return harness.load_yaml(self.path(name)) if os.path.exists(self.path(name)) else None

    def loading(self):
        """The options that say what is loaded, relative to the folder."""
        context = ["--context", "context.yaml"] if os.path.exists(self.path("context.yaml")) else []
        return ["--policies", "policy.yaml", *context]

    def group(self):
        """Cases with the same files share a server."""
        return self.text("policy.yaml"), self.text("context.yaml"), tuple(self.clock())

    def clock(self):
        at = self.args.index("--now") if "--now" in self.args else None
        return [] if at is None else self.args[at:at + 2]

    def request(self, obj):
        """The review of this object under the circumstances that `args` and old.yaml give."""
        about = {"user": "", "groups": []}
        for option, value in zip(self.args, self.args[1:]):
            key = OF_THE_REQUEST.get(option)
            if key == "groups":
                about["groups"].append(value)
            elif key:
                about[key] = value
        return harness.review(obj, old=self.old, more=self.more, **about)

    def as_review(self):
        return self.old is not None or self.more is not None

    def refused(self):
        return "error" in self.expected

    def update(self, verdict, patched):
        if not UPDATE:
            return
        with open(self.path("expected.json"), "w", encoding="utf-8") as file:
            file.write(json.dumps(verdict, indent=2, ensure_ascii=False) + "\n")
        if patched is not None:
            with open(self.path("patched.yaml"), "w", encoding="utf-8") as file:
                file.write(harness.dump_yaml(patched))
        elif os.path.exists(self.path("patched.yaml")):
            os.remove(self.path("patched.yaml"))
        self.expected = verdict


# --- mlgate check ----------------------------------------------------------------------------------------------------

def checked(case):
    """What `check` says of the object: its result, or None where the kind is unknown."""
    with contextlib.ExitStack() as stack:
        args, target = list(case.args), "object.yaml"
        if case.as_review():
            file = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8"))
            json.dump(case.request(case.object), file)
            file.flush()
            args, target = case.clock(), file.name
        status, report, err = harness.check([*case.loading(), *args, target], cwd=case.folder)
    expect(report is not None and report.get("mlgate") == 1, f"check: exit {status}, no report: {err}")
    expect(not report["errors"], f"check: errors {show(report['errors'])}")
    expect(len(report["results"]) == 1 - report["summary"]["skipped"], f"check: not one result: {show(report)}")
    if not report["results"]:
        return None
    result = report["results"][0]
    expect(status == (0 if result["allowed"] else 1), f"check: exit {status}, allowed {result['allowed']}")
    return result


def compare_violations(wanted, found):
    """Each wanted one has exactly one counterpart, in any order, and nothing is left over."""
    left, problems = list(found), []
    for want in wanted:
        hit = next((have for have in left if all(
            (fits(value, have[key]) if isinstance(value, str) and isinstance(have.get(key), str) else have.get(key) == value)
            for key, value in want.items())), None)
        if hit is None:
            problems.append(f"expected, not found: {show(want)}")
        else:
            left.remove(hit)
    problems += [f"found, not expected: {show({key: have.get(key) for key in WRITTEN if have.get(key) is not None})}"
                 for have in left]
    expect(not problems, "check: " + "\n".join(problems))


def compare_warnings(wanted, found):
    left = list(found)
    for want in wanted:
        hit = next((text for text in left if fits(want, text)), None)
        expect(hit is not None, f"check: no warning {want!r} in {found!r}")
        left.remove(hit)
    expect(not left, f"check: unexpected warnings {left!r}")


def verdict_of(case, result, patched):
    """What expected.json would have to say. Places in a review that is made on the fly mean nothing."""
    if result is None:
        return {"skipped": True}
    keys = [key for key in WRITTEN if not (case.as_review() and key in ("line", "column"))]
    violations = [{key: violation[key] for key in keys if violation.get(key) is not None} for violation in result["violations"]]
    verdict = {"allowed": result["allowed"], "violations": violations}
    if result.get("warnings"):
        verdict["warnings"] = result["warnings"]
    verdict["patch"] = None if patched is None else True
    return verdict


def judge_check(case):
    """Compares with expected.json and patched.yaml; returns the result and the patched object."""
    result = checked(case)
    operations = (result or {}).get("patch") or []
    patched = harness.apply(operations, case.object) if operations else None
    case.update(verdict_of(case, result, patched), patched)
    expected = case.expected
    if expected.get("skipped"):
        expect(result is None, f"check: not skipped: {show(result)}")
        return None, None
    expect(result is not None, "check: skipped, as an object of unknown kind")
    compare_violations(expected.get("violations", []), result["violations"])
    compare_warnings(expected.get("warnings", []), result.get("warnings") or [])
    expect(result["allowed"] == expected["allowed"], f"check: allowed {result['allowed']}")
    wanted = case.yaml("patched.yaml")
    expect("patch" not in expected or bool(expected["patch"]) == (wanted is not None),
           'expected.json says "patch" and patched.yaml says otherwise')
    compare_patched("check", wanted, patched, operations)
    return result, patched


def compare_patched(way, wanted, patched, operations):
    if wanted is None:
        expect(patched is None, f"{way}: a patch, but no patched.yaml: {show(operations)}")
    else:
        expect(patched is not None, f"{way}: no patch, but a patched.yaml")
        expect(same(patched, wanted), f"{way}: patched is not patched.yaml, but\n{harness.dump_yaml(patched)}")


# --- the function and the server -------------------------------------------------------------------------------------

def by_action(result, action):
    return [violation for violation in (result or {}).get("violations", []) if violation["action"] == action]


def judge_lines(way, what, lines, violations, with_path):
    """Every violation has its line; returned are the lines without a violation."""
    left = list(lines)
    for violation in violations:
        place = f"{violation['path']}: " if with_path and violation.get("path") else ""
        text = f"{violation['policy']}/{violation['rule']}: {place}{violation['message']}"
        hit = next((line for line in left if line.startswith(text) or (
            line.endswith("…") and text.startswith(line[:-1]))), None)
        expect(hit is not None, f"{way}: no {what} {text!r} in {lines!r}")
        left.remove(hit)
    return left


def judge_answers(way, case, result, patched, transport):
    """/mutate, /validate on what it leaves, and /mutate once more; both responses are returned."""
    obj = case.received if case.received is not None else case.object
    mutated = harness.answer(transport, "/mutate", case.request(obj))
    operations, final = mutated["operations"], obj
    if operations:
        final = harness.apply(operations, obj)
        again = harness.answer(transport, "/mutate", case.request(final))
        expect(not again["operations"], f"{way}: a second patch: {show(again['operations'])}")
    if case.received is None:
        compare_patched(way, patched, final if operations else None, operations)
    elif os.path.exists(case.path("received.patched.yaml")):
        compare_patched(way, case.yaml("received.patched.yaml"), final if operations else None, operations)
    judged = harness.answer(transport, "/validate", case.request(final))
    expect(judged["allowed"] == (result is None or result["allowed"]), f"{way}: allowed {judged['allowed']}")
    denied = by_action(result, "deny")
    lines = judged.get("status", {}).get("message", "").split("\n") if denied else []
    if len(denied) <= 20:
        left = judge_lines(way, "denial", lines, denied, True)
        expect(not left, f"{way}: denials that check does not have: {left!r}")
    left = judge_lines(way, "warning", judged.get("warnings", []), by_action(result, "warn"), False)
    known = mutated.get("warnings", []) + [text[:110] for text in (result or {}).get("warnings") or []]
    expect(all(any(line[:100].rstrip("…") in text or text in line for text in known) for line in left),
           f"{way}: warnings that check does not have: {left!r}")
    entries = sorted(f"{violation['policy']}/{violation['rule']}={violation['action']}"
                     for violation in (result or {}).get("violations", []))
    noted = [entry for entry in judged.get("auditAnnotations", {}).get("violations", "").split(",") if entry]
    if not noted or not noted[-1].startswith("+"):
        expect(sorted(set(noted)) == sorted(set(entries)), f"{way}: auditAnnotations {noted!r}, not {entries!r}")
    return mutated, judged


def judge_case(case, driver, server):
    result, patched = judge_check(case)
    answers = []
    for way, transport in (("function", driver), ("server", server)):
        if transport is not None:
            answers.append(judge_answers(way, case, result, patched, transport))
    if len(answers) == 2:
        expect(same(list(answers[0]), list(answers[1])),
               f"function and server answer differently:\n{show(answers[0])}\n{show(answers[1])}")


# --- policies that are refused ---------------------------------------------------------------------------------------

def errors_in(err):
    """The (line, column, message) of each error of policy.yaml that is followed by its line and a caret."""
    lines, found = err.split("\n"), []
    for at, line in enumerate(lines):
        hit = re.match(r"(?:.*/)?(?:policy|context)\.yaml:(\d+):(\d+): (.*)", line)
        if hit:
            caret = lines[at + 2] if at + 2 < len(lines) else ""
            expect(re.match(r"\s*\|\s*\^~*\s*$", caret), f"no caret below {line!r}: {err}")
            found.append({"line": int(hit[1]), "column": int(hit[2]), "message": hit[3]})
    return found


def judge_refusal(case, way, status, err):
    expect(status == 2, f"{way}: exit {status}, not 2: {err}")
    found = errors_in(err)
    if way == "check":
        case.update({"error": found[0] if len(found) == 1 else found}, None)
    wanted = case.expected["error"]
    for want in wanted if isinstance(wanted, list) else [wanted]:
        expect(any(all(fits(value, have[key]) if isinstance(value, str) else have[key] == value
                       for key, value in want.items()) for have in found), f"{way}: no error {show(want)} in:\n{err}")


def judge_refused(case):
    target = "object.yaml" if case.object is not None else "-"
    status, out, err = harness.run(["check", *case.loading(), *case.args, target], cwd=case.folder)
    expect(not out, f"check: output on stdout: {out}")
    judge_refusal(case, "check", status, err)
    server = harness.Server([case.path("policy.yaml")], [case.path("context.yaml")] if "context.yaml" in case.loading() else [])
    try:
        with server:
            raise Mismatch("serve starts all the same")
    except Mismatch:
        if server.process.returncode != 2:
            raise
    judge_refusal(case, "serve", server.process.returncode, server.logged())


# --- running ---------------------------------------------------------------------------------------------------------

def run_group(cases):
    """One driver and one server for cases with the same files; a list of (name, problem or None)."""
    results = []

    def attempt(case, function, *args):
        try:
            function(case, *args)
            results.append((case.name, None))
        except Mismatch as wrong:
            results.append((case.name, str(wrong) or "failed"))
        except Exception as wrong:  # pylint: disable=broad-except
            results.append((case.name, f"{type(wrong).__name__}: {wrong}"))

    plain = [case for case in cases if not (case.refused() or (UPDATE and case.object is None))]
    for case in cases:
        if case not in plain:
            attempt(case, judge_refused)
    if not plain:
        return results
    first = plain[0]
    policies, contexts = [first.path("policy.yaml")], [first.path("context.yaml")] if "context.yaml" in first.loading() else []
    try:
        with contextlib.ExitStack() as stack:
            driver = stack.enter_context(harness.Driver(policies, contexts, first.clock()))
            # A server has the time of day and no option for another.
            server = None if first.clock() else stack.enter_context(harness.Server(policies, contexts))
            for case in plain:
                attempt(case, judge_case, driver, server)
            if server is not None:
                status = server.stop()
                expect(status == 0, f"the server ended with exit {status}: {server.logged()}")
    except Exception as wrong:  # pylint: disable=broad-except
        done = {name for name, _ in results}
        left = [case.name for case in plain if case.name not in done] or [plain[-1].name + " (end)"]
        results += [(name, f"{type(wrong).__name__}: {wrong}") for name in left]
    return results


def main():
    tap, groups = harness.Tap(), {}
    for path in harness.files(GOLDEN, "**/policy.yaml"):
        folder = os.path.dirname(path)
        if len(sys.argv) > 1 and not any(word in folder for word in sys.argv[1:]):
            continue
        try:
            case = Case(folder)
            groups.setdefault(case.group(), []).append(case)
        except Exception as wrong:  # pylint: disable=broad-except
            tap.result(os.path.relpath(folder, GOLDEN), f"{type(wrong).__name__}: {wrong}")
    if groups:
        harness.certificates()
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for results in pool.map(run_group, groups.values()):
            for name, problem in results:
                tap.result(name, problem)
    tap.finish()


if __name__ == "__main__":
    main()
