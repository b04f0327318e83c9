#!/usr/bin/python3
"""`--format sarif`: what the standard, code scanning and a reader of the file ask of it."""
import json
import os
import re
import sys
import tempfile
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402
import manifests_hostile as hostile  # noqa: E402
from harness import expect  # noqa: E402

SCHEMA = os.environ.get("SARIF_SCHEMA", os.path.join(harness.TOP, "build", "tools", "sarif-2.1.0.json"))
LEVELS = {"enforce": "error", "warn": "warning", "audit": "note"}
OUTCOMES = {"deny": "error", "warn": "warning", "audit": "note"}

# What an object may hold: name -> (type or shape, required). A list holds one shape, a dict is a shape.
TEXT = {"text": (str, True), "markdown": (str, False)}
ARTIFACT = {"uri": (str, True), "uriBaseId": (str, False)}
REGION = {"startLine": (int, True), "startColumn": (int, True), "endLine": (int, False), "endColumn": (int, False),
          "snippet": ({"text": (str, True)}, False)}
LOCATION = {"physicalLocation": ({"artifactLocation": (ARTIFACT, True), "region": (REGION, False)}, True),
            "logicalLocations": ([{"name": (str, True), "fullyQualifiedName": (str, True), "kind": (str, True)}], False)}
NOTIFICATION = {"level": (str, True), "message": (TEXT, True), "locations": ([LOCATION], False)}
RULE = {"id": (str, True), "name": (str, True), "shortDescription": (TEXT, True), "fullDescription": (TEXT, True),
        "help": (TEXT, True), "helpUri": (str, False), "defaultConfiguration": ({"level": (str, True)}, True),
        "properties": (dict, True)}
RESULT = {"ruleId": (str, True), "ruleIndex": (int, True), "level": (str, True), "message": (TEXT, True),
          "locations": ([LOCATION], True), "partialFingerprints": (dict, True), "properties": (dict, True),
          "suppressions": ([{"kind": (str, True), "status": (str, True), "justification": (str, True)}], False)}
RUN = {"tool": ({"driver": ({"name": (str, True), "version": (str, True), "rules": ([RULE], True)}, True)}, True),
       "columnKind": (str, True), "originalUriBaseIds": (dict, True), "results": ([RESULT], True),
       "invocations": ([{"executionSuccessful": (bool, True), "toolExecutionNotifications": ([NOTIFICATION], True),
                         "toolConfigurationNotifications": ([NOTIFICATION], True)}], True)}
LOG = {"$schema": (str, True), "version": (str, True), "runs": ([RUN], True)}


def fits_shape(value, shape, where="$"):
    if isinstance(shape, list):
        expect(isinstance(value, list), f"{where}: no list")
        for i, item in enumerate(value):
            fits_shape(item, shape[0], f"{where}[{i}]")
    elif isinstance(shape, dict):
        expect(isinstance(value, dict), f"{where}: no object")
        expect(set(value) <= set(shape), f"{where}: unknown {sorted(set(value) - set(shape))}")
        for key, (inner, required) in shape.items():
            expect(key in value or not required, f"{where}: no {key}")
            if key in value:
                fits_shape(value[key], inner, f"{where}.{key}")
    else:
        expect(isinstance(value, shape) and not (shape is int and isinstance(value, bool)), f"{where}: {value!r} is no {shape}")


def uri_is_fine(location):
    uri = location["uri"]
    expect(re.fullmatch(r"(file://)?([A-Za-z0-9._~/-]|%[0-9A-F]{2})+", uri), f"uri {uri!r}")
    expect(uri.startswith("file:///") == ("uriBaseId" not in location), f"{location}: relative to what?")
    expect(location.get("uriBaseId", "%SRCROOT%") == "%SRCROOT%", f"{location}")
    expect(not {"..", "."} & set(uri.split("/")), f"uri {uri!r} is not normal")


def region_is_true(region, location, top):
    """It stands in the file, and the snippet is what stands there."""
    expect(region["startLine"] >= 1 and region["startColumn"] >= 1, f"{region}")
    path = os.path.join(os.fsencode(top), urllib.parse.unquote_to_bytes(location["uri"].removeprefix("file://")))
    with open(path, "rb") as file:
        text = file.read().decode("utf-8", "replace").removeprefix("\ufeff")
    line = text.split("\n")[region["startLine"] - 1]
    if "endColumn" in region:
        expect(region["endLine"] == region["startLine"] and region["endColumn"] > region["startColumn"], f"{region}")
        there = line[region["startColumn"] - 1:region["endColumn"] - 1]
        expect(len(there) == region["endColumn"] - region["startColumn"], f"{region} is longer than its line {line!r}")
        expect(region.get("snippet", {"text": there})["text"] == there or "\t" in there, f"{region}, but there is {there!r}")
        expect(there == there.strip() and there, f"the region begins or ends with a blank: {there!r}")


def message_of(violation):
    text = (violation["path"] and violation["path"] + ": ") + violation["message"]
    text += f" (fix: {violation['fix']})" if "fix" in violation else ""
    text = re.sub(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]", "\ufffd", text)
    return text.replace("{", "{{").replace("}", "}}").replace("](", "] (")


def is_right(log, report, top):
    """Everything that can be said of one, and that it says what the JSON report of the same run says."""
    fits_shape(log, LOG)
    run, = log["runs"]
    expect(log["version"] == "2.1.0" and run["columnKind"] == "unicodeCodePoints", "version or columnKind")
    rules = run["tool"]["driver"]["rules"]
    expect(len({rule["id"] for rule in rules}) == len(rules), "two rules of one id")
    for rule in rules:
        expect(rule["defaultConfiguration"]["level"] in LEVELS.values(), f"{rule}")
        expect(re.fullmatch(r"https?://[!-~]+", rule.get("helpUri", "http://x")), f"helpUri {rule.get('helpUri')!r}")
        expect(len(rule["shortDescription"]["text"]) <= 1024 and rule["shortDescription"]["text"], f"{rule}")
    violations = [(result, violation) for result in report["results"] for violation in result["violations"]]
    expect(len(violations) == len(run["results"]), f"{len(run['results'])} results of {len(violations)} violations")
    prints = set()
    for made, (result, violation) in zip(run["results"], violations):
        expect(made["ruleId"] == f"{violation['policy']}/{violation['rule']}" == rules[made["ruleIndex"]]["id"], f"{made}")
        expect(made["message"]["text"] == message_of(violation), f"{made['message']} is not {message_of(violation)!r}")
        place = made["locations"][0]["physicalLocation"]
        region, location = place["region"], place["artifactLocation"]
        expect((region["startLine"], region["startColumn"]) == (violation["line"], violation["column"]), f"{made}")
        uri_is_fine(location)
        if result["file"] != "-":
            region_is_true(region, location, top)
        hidden = violation["action"] == "exempted" or violation.get("baseline", False)
        expect(("suppressions" in made) == hidden, f"{made}: suppressed or not")
        expect(hidden or made["level"] == OUTCOMES[violation["action"]], f"{made}: level")
        key = (location["uri"], tuple(sorted(made["partialFingerprints"].items())))
        expect(key not in prints, f"the fingerprint of {made} is there twice")
        prints.add(key)
    done, = run["invocations"]
    errors = [note for note in done["toolExecutionNotifications"] if note["level"] == "error"]
    expect(len(errors) == len(report["errors"]), f"{len(errors)} errors of {len(report['errors'])}")
    expect(done["executionSuccessful"] == (not errors), "executionSuccessful")
    return run


def both(args, cwd):
    """One run, both reports."""
    with tempfile.TemporaryDirectory(prefix="mlgate-sarif-") as out:
        status, text, err = harness.run(["check", "--format", f"sarif={out}/s", "--format", "json", *args], cwd, timeout=120)
        expect(status in (0, 1, 3), f"exit {status}: {err}")
        with open(f"{out}/s", encoding="utf-8") as file:
            return json.load(file), json.loads(text)


def one_project(folder):
    log, report = both(["--policies", "policies", "--now", "2026-11-21", "jobs"], folder)
    run = is_right(log, report, folder)
    reasons = {s["justification"] for r in run["results"] for s in r.get("suppressions", [])}
    expect(reasons == {"Exception later of team-nlp, until 2026-11-30: it moves next week"}, f"justifications {reasons}")
    uris = {r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in run["results"]}
    expect("jobs/a%20b%2520%2Cc%3Ad%3Cb%3E%26%22.yaml" in uris, f"no such file in {uris}")
    expect("jobs/%FF.yaml" in uris, f"no such file in {uris}")
    notes = [n["message"]["text"] for n in run["invocations"][0]["toolConfigurationNotifications"]]
    expect(any("later ends soon" in note for note in notes), f"{notes}")
    helps = {rule["id"]: rule.get("helpUri") for rule in run["tool"]["driver"]["rules"]}
    expect(helps["gpu/gpuLimits"] == "https://wiki.example/gpu?a=1&b=%5Bx%5D%20%22", f"helpUri {helps}")
    expect(helps["soft/labels"] is None, "a javascript: address became a helpUri")
    schema_says(log)


def tokens(folder):
    """Regions are the key, with its value where that is a scalar."""
    log, _ = both(["--policies", "policies", "jobs/plain.yaml", "jobs/object.json"], folder)
    said = [r["locations"][0]["physicalLocation"]["region"].get("snippet", {}).get("text") for r in log["runs"][0]["results"]]
    for wanted in ("limits", "name: wörker", '"resources"', "metadata"):
        expect(wanted in said, f"no region of {wanted!r}: {said}")


def stable(folder):
    """Lines above move no fingerprint, nor does a second object; of two that are alike both keep theirs."""
    def prints(text):
        with open(os.path.join(folder, "moved.yaml"), "w", encoding="utf-8") as file:
            file.write(text)
        log, _ = both(["--policies", "policies", "moved.yaml"], folder)
        return [r["partialFingerprints"]["primaryLocationLineHash"] for r in log["runs"][0]["results"]]
    first = prints(hostile.POD)
    expect(first and prints("# a line\n\n" + hostile.POD) == first, "fingerprints move with their lines")
    twice = prints(hostile.POD + "---\n" + hostile.POD)
    expect(twice[:len(first)] == first and len(set(twice)) == 2 * len(first), f"{first}, twice {twice}")
    other = prints(hostile.POD.replace("name: plain", "name: other"))
    expect(not set(other) & set(first), "another object, the same fingerprint")


def elsewhere(folder):
    """Names start at the top of the repository, wherever mlgate runs; what is not in it has an absolute name."""
    os.makedirs(os.path.join(folder, "top", ".git"))
    os.makedirs(os.path.join(folder, "top", "k8s", "deep"))
    for place in ("top/k8s/x.yaml", "outside.yaml"):
        with open(os.path.join(folder, place), "w", encoding="utf-8") as file:
            file.write(hostile.POD)
    args = ["--policies", os.path.join(folder, "policies")]
    for cwd, name, uri in (("top/k8s/deep", "../x.yaml", "k8s/x.yaml"), ("top/k8s", "./deep/..//x.yaml", "k8s/x.yaml"),
                           ("top", os.path.join(folder, "top/k8s/x.yaml"), "k8s/x.yaml"),
                           ("top/k8s", "../../outside.yaml", "file://" + os.path.join(folder, "outside.yaml"))):
        log, _ = both([*args, name], os.path.join(folder, cwd))
        location = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
        expect(location["uri"] == uri, f"{cwd} {name}: {location}")
        uri_is_fine(location)


def nothing(folder):
    log, report = both(["--policies", "policies", "--allow-empty"], folder)
    run = is_right(log, report, folder)
    expect(run["results"] == [] and run["tool"]["driver"]["rules"] == [], "results of nothing")


def schema_says(log):
    if not os.path.exists(SCHEMA):
        return
    import jsonschema  # pylint: disable=import-outside-toplevel
    with open(SCHEMA, encoding="utf-8") as file:
        schema = json.load(file)
    kind = jsonschema.validators.validator_for(schema)
    wrong = [f"{list(error.absolute_path)}: {error.message[:300]}" for error in kind(schema).iter_errors(log)]
    expect(not wrong, "\n".join(wrong[:10]))


def corpus():
    folder = harness.shared("corpus")
    policies = os.path.join(harness.TOP, "policies", "baseline")
    log, report = both(["--policies", policies, folder], "/")
    is_right(log, report, "/")
    schema_says(log)


def checker_checks(folder):
    """The strict checker above can fail."""
    log, report = both(["--policies", "policies", "jobs/plain.yaml"], folder)
    result = log["runs"][0]["results"][0]
    for spoil in (lambda: result.update(extra=1), lambda: result["message"].pop("text"), lambda: result.update(ruleIndex=True)):
        copy = json.loads(json.dumps(log))
        spoil()
        try:
            is_right(log, report, folder)
        except harness.Mismatch:
            log = copy
            result = log["runs"][0]["results"][0]
            continue
        raise harness.Mismatch("a spoiled log passes")


def main():
    tap = harness.Tap()
    with tempfile.TemporaryDirectory(prefix="mlgate-sarif-") as folder:
        hostile.write(folder)
        for test in (one_project, tokens, stable, elsewhere, nothing, checker_checks):
            tap.run(f"sarif: {test.__name__.replace('_', ' ')}", test, folder)
    if harness.shared("corpus"):
        tap.run("sarif: the corpus", corpus)
    else:
        tap.skip("sarif: the corpus", f"no folder {harness.SHARED}/corpus")
    if not os.path.exists(SCHEMA):
        tap.skip("sarif: the public schema", "not fetched (make sarif-schema)")
    else:
        tap.run("sarif: the public schema refuses what is none", refuses)
    tap.finish()


def refuses():
    try:
        schema_says({"version": "2.1.0", "runs": [{"results": []}]})
    except harness.Mismatch:
        return
    raise harness.Mismatch("a run without a tool is valid")


if __name__ == "__main__":
    main()
