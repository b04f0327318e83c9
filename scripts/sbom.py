#!/usr/bin/env python3
"""sbom.py BINARY FILE   writes an SPDX 2.3 document in JSON about BINARY to FILE: the binary by its digest, and the packages of Debian
that its shared libraries are in, by version and source. The same binary on the same packages makes the same bytes:
its time is SOURCE_DATE_EPOCH, or that of the commit, or none (1970)."""
import datetime
import hashlib
import json
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FIELDS = ("Package", "Version", "Architecture", "source:Package", "source:Version", "Maintainer")


def output(*command):
    """What a program says; nothing where it fails or is not there."""
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True, cwd=TOP,
                              env={**os.environ, "LC_ALL": "C"}).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def libraries(binary):
    """The files that the loader takes, by their names in the binary and its libraries."""
    found = re.findall(r"^\s*(?:\S+ => )?(/\S+) \(0x", output("ldd", binary), re.M)
    if not found:
        sys.exit(f"sbom: ldd names no libraries of {binary}")
    return sorted(set(found), key=os.path.basename)


def package_of(path):
    """Its Debian package as a dict, or None. The database may know it below /usr, or not."""
    for name in (os.path.realpath(path), path, re.sub("^/usr", "", os.path.realpath(path)), "/usr" + path):
        owner = output("dpkg-query", "-S", name).split(": ")[0].split(",")[0].strip()
        if owner:
            values = output("dpkg-query", "-W", "-f", "\n".join("${" + field + "}" for field in FIELDS), owner).split("\n")
            return dict(zip(FIELDS, values))
    return None


def spdx_id(kind, name):
    return f"SPDXRef-{kind}-" + re.sub(r"[^A-Za-z0-9.-]", "-", name)


def component(row):
    """A Debian package, as SPDX has packages. What its licence is stands in a file that no program can read."""
    purl = f"pkg:deb/debian/{row['Package']}@{row['Version'].replace('+', '%2B').replace(':', '%3A')}?arch={row['Architecture']}"
    return {
        "SPDXID": spdx_id("Package", row["Package"]), "name": row["Package"], "versionInfo": row["Version"],
        "supplier": "Person: " + re.sub(r"\s*<([^>]*)>$", r" (\1)", row["Maintainer"]), "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False, "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION", "comment": f"The licence is in /usr/share/doc/{row['Package']}/copyright.",
        "sourceInfo": f"built from {row['source:Package']} {row['source:Version']}",
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}],
    }


def relation(one, kind, other):
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    binary, out = os.path.abspath(sys.argv[1]), sys.argv[2]
    sha256 = digest(binary)
    version = output(binary, "version").split("\n")[0].split(" ")[-1]
    seconds = os.environ.get("SOURCE_DATE_EPOCH") or output("git", "log", "-1", "--format=%ct").strip() or "0"
    main_id = "SPDXRef-Package-mlgate"
    packages, unknown = {}, []
    for path in libraries(binary):
        row = package_of(path)
        if row:
            packages[row["Package"]] = component(row)
        else:
            unknown.append(path)
    if unknown:
        sys.exit(f"sbom: of no Debian package: {' '.join(unknown)}")
    mlgate = {
        "SPDXID": main_id, "name": "mlgate", "versionInfo": version, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
        "primaryPackagePurpose": "APPLICATION", "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION", "checksums": [{"algorithm": "SHA256", "checksumValue": sha256}],
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                          "referenceLocator": f"pkg:generic/mlgate@{version}"}],
    }
    listed = [packages[name] for name in sorted(packages)]
    text = {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"mlgate-{version}",
        "documentNamespace": f"https://mlgate.dev/spdx/mlgate-{version}-{sha256}",
        "creationInfo": {
            "created": datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": [f"Tool: mlgate-sbom-{version}"],
        },
        "packages": [mlgate, *listed],
        "relationships": [relation("SPDXRef-DOCUMENT", "DESCRIBES", main_id)]
        + [relation(main_id, "DYNAMIC_LINK", one["SPDXID"]) for one in listed],
    }
    with open(out, "w", encoding="utf-8") as file:
        json.dump(text, file, indent=2, ensure_ascii=False)
        file.write("\n")


if __name__ == "__main__":
    main()
