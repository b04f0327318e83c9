#!/usr/bin/env python3
"""The version of a tree with and without git, at its tag and changed; and the SBOM: its required keys, that it is about this
binary and its libraries, and that it is the same twice. Speaks TAP."""
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import jsonschema

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from harness import MLGATE, TOP, Tap, environment, expect, run  # noqa: E402

TAP = Tap()
EPOCH = "1700000000"
TEXT = {"type": "string", "minLength": 1}
ID = {"type": "string", "pattern": "^SPDXRef-[A-Za-z0-9.-]+$"}
REFERENCE = {"type": "object", "additionalProperties": False,
             "required": ["referenceCategory", "referenceType", "referenceLocator"],
             "properties": {"referenceCategory": {"enum": ["PACKAGE-MANAGER", "SECURITY", "OTHER"]}, "referenceType": TEXT,
                            "referenceLocator": {"type": "string", "pattern": "^pkg:[a-z]+/[^ ]+@[^ ]+$"}}}
# What SPDX 2.3 demands of a document, and of packages whose files are not listed.
SPDX = {
    "type": "object",
    "required": ["spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace", "creationInfo", "packages",
                 "relationships"],
    "properties": {
        "spdxVersion": {"const": "SPDX-2.3"}, "dataLicense": {"const": "CC0-1.0"}, "SPDXID": {"const": "SPDXRef-DOCUMENT"},
        "name": TEXT, "documentNamespace": {"type": "string", "pattern": "^https://[^ #]+$"},
        "creationInfo": {"type": "object", "required": ["created", "creators"], "properties": {
            "created": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
            "creators": {"type": "array", "minItems": 1,
                         "items": {"type": "string", "pattern": "^(Tool|Person|Organization): ."}}}},
        "packages": {"type": "array", "minItems": 2, "items": {
            "type": "object", "required": ["SPDXID", "name", "versionInfo", "downloadLocation", "filesAnalyzed"],
            "properties": {"SPDXID": ID, "name": TEXT, "versionInfo": TEXT, "filesAnalyzed": {"const": False},
                           "supplier": {"type": "string", "pattern": "^(Person|Organization): .|^NOASSERTION$"},
                           "externalRefs": {"type": "array", "items": REFERENCE}}}},
        "relationships": {"type": "array", "minItems": 2, "items": {
            "type": "object", "additionalProperties": False,
            "required": ["spdxElementId", "relationshipType", "relatedSpdxElement"],
            "properties": {"spdxElementId": ID, "relatedSpdxElement": ID,
                           "relationshipType": {"enum": ["DESCRIBES", "DYNAMIC_LINK"]}}}},
    },
}


def tree(folder):
    """As much of the tree as says its version."""
    os.makedirs(os.path.join(folder, "scripts"))
    shutil.copy(os.path.join(TOP, "scripts/version.sh"), os.path.join(folder, "scripts"))
    with open(os.path.join(folder, "VERSION"), "w", encoding="utf-8") as file:
        file.write("1.2.3\n")
    return folder


def version(folder):
    done = subprocess.run(["sh", os.path.join(folder, "scripts/version.sh")], cwd="/", env=environment(),
                          stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def git(folder, *args):
    who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in
           (("NAME", "somebody"), ("EMAIL", "somebody@example.com"))}
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return subprocess.run(["git", "-C", folder, *args], check=True, stdout=subprocess.PIPE, text=True,
                          env={**clean, **who, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}).stdout.strip()


def versions(work):
    folder = tree(os.path.join(work, "clone"))
    same("without git", version(folder), "1.2.3\n")
    git(folder, "init", "-q")
    same("in a clone without a commit", version(folder), "1.2.3\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    head = git(folder, "rev-parse", "--short=10", "HEAD")
    same("in a clone", version(folder), f"1.2.3-g{head}\n")
    git(folder, "tag", "v9.9.9")
    same("at another tag", version(folder), f"1.2.3-g{head}\n")
    git(folder, "tag", "v1.2.3")
    same("at its tag", version(folder), "1.2.3\n")
    same("unpacked inside of another clone", version(tree(os.path.join(folder, "unpacked"))), "1.2.3\n")
    with open(os.path.join(folder, "VERSION"), "a", encoding="utf-8") as file:
        file.write("\n")
    same("changed at its tag", version(folder), f"1.2.3-g{head}-dirty\n")


def same(name, got, wanted):
    TAP.check(f"version {name}", got == wanted, f"{got!r}, not {wanted!r}")


def of_binary():
    said = run(["version"])[1].split("\n")[0]
    number = re.escape(open(os.path.join(TOP, "VERSION"), encoding="utf-8").read().strip())
    good = re.fullmatch(rf"mlgate {number}(-g[0-9a-f]{{10,}}(-dirty)?)?", said)
    TAP.check("the binary says the version of the tree", good, said)


def sbom(path):
    done = subprocess.run([os.path.join(TOP, "scripts/sbom.py"), MLGATE, path], text=True, check=False,
                          env=environment({"SOURCE_DATE_EPOCH": EPOCH}), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    expect(done.returncode == 0, done.stdout)
    with open(path, encoding="utf-8") as file:
        return file.read()


def sboms(work):
    text = sbom(os.path.join(work, "one.json"))
    expect(text == sbom(os.path.join(work, "two.json")), "two of them differ")
    value = json.loads(text)
    jsonschema.Draft202012Validator(SPDX).validate(value)
    expect(value["creationInfo"]["created"] == "2023-11-14T22:13:20Z", value["creationInfo"])
    ids = [package["SPDXID"] for package in value["packages"]]
    expect(len(ids) == len(set(ids)), f"an identifier stands twice: {ids}")
    known = {*ids, "SPDXRef-DOCUMENT"}
    for row in value["relationships"]:
        expect({row["spdxElementId"], row["relatedSpdxElement"]} <= known, f"of what is not there: {row}")
    linked = {row["relatedSpdxElement"] for row in value["relationships"] if row["relationshipType"] == "DYNAMIC_LINK"}
    expect(linked == set(ids) - {"SPDXRef-Package-mlgate"}, f"packages without a relation: {set(ids) - linked}")
    with open(MLGATE, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    expect(value["packages"][0]["checksums"] == [{"algorithm": "SHA256", "checksumValue": digest}], "another binary's digest")
    versions_ = {package["name"]: package["versionInfo"] for package in value["packages"]}
    for name in ("libjansson4", "libyaml-0-2", "libpcre2-8-0", "libmicrohttpd12", "libc6"):
        expect(name in versions_, f"{name} is not listed: {sorted(versions_)}")
        there = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], stdout=subprocess.PIPE, text=True, check=True)
        expect(versions_[name] == there.stdout, f"{name} {versions_[name]}, not {there.stdout}")


def main():
    with tempfile.TemporaryDirectory(prefix="mlgate-release-") as work:
        if shutil.which("git"):
            versions(work)
        else:
            TAP.skip("versions", "git is not installed")
        of_binary()
        name = "the SBOM is whole, about this binary, and the same twice"
        if os.path.exists("/etc/debian_version") and " 12" in " " + open("/etc/debian_version", encoding="utf-8").read():
            TAP.run(name, sboms, work)
        else:
            TAP.skip(name, "names of packages are Debian 12's")
    TAP.finish()


if __name__ == "__main__":
    main()
