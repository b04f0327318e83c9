#!/usr/bin/env python3
"""The policies that ship: each file beside the baseline, and all together, load without a word, and say what they are.
Speaks TAP."""
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from harness import MLGATE, Tap, environment  # noqa: E402

TOP = pathlib.Path(__file__).resolve().parents[2]
ENV = environment()
TAP = Tap()
result = TAP.check


def loads(name, *paths):
    options = [word for path in paths for word in ("--policies", path)]
    done = subprocess.run([MLGATE, "check", "--allow-empty", *options], env=ENV, capture_output=True, text=True)
    result(name, done.returncode == 0 and done.stderr == "", f"exit {done.returncode}: {done.stderr}")


def main():
    baseline, addons = TOP / "policies/baseline", sorted((TOP / "policies/addons").glob("*.yaml"))
    loads("the baseline", baseline)
    loads("the baseline, and strict beside it", baseline, TOP / "policies/strict")
    for path in addons:
        loads(f"addons/{path.name}, beside the baseline", baseline, path)
    loads("everything that ships", TOP / "policies")
    topics = subprocess.run([MLGATE, "explain"], env=ENV, capture_output=True, text=True).stdout.split("\nAnd:")[0]
    text = "".join(path.read_text() for path in TOP.glob("policies/**/*.yaml"))
    used = set(re.findall(r"^\s*- (\w+): ?", text, re.M))
    unused = [rule for rule in re.findall(r"^  (\w+) ", topics, re.M) if rule not in used]
    result("every rule type has an entry in the pack", unused == [], unused)
    bare = [path.name for path in TOP.glob("policies/**/*.yaml") if not path.read_text().startswith("# ")]
    result("every file begins with what it is for", bare == [], bare)
    TAP.finish()


main()
