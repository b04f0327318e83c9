#!/usr/bin/env python3
"""report.py BUILD   what the tests ran of webhook/, after they ran in a build that counts (`make coverage`).

Prints a table by folder. Fails where the parsers or rules/ have less than 95 % of their lines run, or the whole less than 85 %;
and where test/coverage/exceptions does not list, with a reason, just what is not run in them.

A line of exceptions is `FILE FUNCTION REASON`: the lines of that function that are not run. What is done when memory is out is
no exception: `make torture` runs that, in a build of its own.
"""
import collections
import fnmatch
import glob
import json
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXCEPTIONS = "test/coverage/exceptions"
PARSERS = ("doc/*.[ch]", "kube/quantity.[ch]", "kube/selector.[ch]", "kube/pattern.[ch]", "kube/image.[ch]", "kube/name.[ch]",
           "registry/manifest*.[ch]", "registry/peek*.[ch]", "registry/weights*.[ch]", "certs/pem.[ch]", "policy/load.c")
RULES = ("rules/*.[ch]",)
GOALS = (("parsers", PARSERS, 95.0), ("rules", RULES, 95.0), ("whole", ("*",), 85.0))
NO_MEMORY = re.compile(r"MG_E_NOMEM|mg_err_nomem|out of memory|too little memory|no_memory|failed = true")


def places(build):
    """The folders with what was counted, a test program each: who is killed while it writes spoils the counts of one alone."""
    yield f"{build}/obj"
    for place in sorted(glob.glob(f"{build}/counts/*/{build}/obj")):
        for data in glob.glob(f"{place}/*/*.gcda"):
            notes = data.removesuffix("gcda") + "gcno"
            if not os.path.lexists(notes):
                os.symlink(f"{TOP}/{build}/obj/{os.path.relpath(notes, place)}", notes)
        yield place


def add(files, found):
    for file in found["files"]:
        name = os.path.relpath(os.path.join(TOP, file["file"]), TOP)
        if not name.startswith("webhook/"):
            continue
        for line in file["lines"]:
            had = files[name].setdefault(line["line_number"], [0, line.get("function_name", "")])
            had[0] += line["count"]


def counts(build):
    """{file: {line: [times, function]}} of webhook/, of all that was compiled: a header counts where it was run from anywhere."""
    files = collections.defaultdict(dict)
    for place in places(build):
        notes = sorted(glob.glob(f"{place}/*/*.gcno"))
        for at in range(0, len(notes), 32):
            gcov = subprocess.run(["gcov", "--json-format", "--stdout", *notes[at:at + 32]], capture_output=True, text=True,
                                  cwd=TOP, check=False)
            for text in filter(None, gcov.stdout.split("\n")):
                add(files, json.loads(text))
    return files


def is_in(name, patterns):
    return any(fnmatch.fnmatch(name.removeprefix("webhook/"), pattern) for pattern in patterns)


def share(files):
    lines = [had[0] for each in files for had in each.values()]
    return len(lines), sum(1 for times in lines if times)


def percent(lines, run):
    return 100.0 * run / lines if lines else 100.0


def no_memory(source, number):
    """Whether the line, or one beside it in the same block, is about memory that is out."""
    return any(NO_MEMORY.search(source[at - 1]) for at in (number, number - 1, number + 1) if 1 <= at <= len(source))


def not_run(files):
    """{(file, function): [line]} of parsers and rules, less what belongs to memory that is out."""
    found = collections.defaultdict(list)
    for name, lines in sorted(files.items()):
        if not is_in(name, PARSERS + RULES):
            continue
        with open(os.path.join(TOP, name), encoding="utf-8") as file:
            source = file.read().split("\n")
        for number, (times, function) in sorted(lines.items()):
            if not times and not no_memory(source, number):
                found[name.removeprefix("webhook/"), function].append((number, source[number - 1].strip()))
    return found


def exceptions():
    listed = {}
    with open(os.path.join(TOP, EXCEPTIONS), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or line.startswith("#"):
                continue
            words = line.split(None, 2)
            if len(words) < 3:
                sys.exit(f"{EXCEPTIONS}:{number}: FILE FUNCTION REASON")
            if (words[0], words[1]) in listed:
                sys.exit(f"{EXCEPTIONS}:{number}: {words[0]} {words[1]} a second time")
            listed[words[0], words[1]] = number
    return listed


def table(files):
    folders = collections.defaultdict(list)
    for name, lines in files.items():
        folders[name.split("/")[1]].append(lines)
    print(f"{'folder':<10} {'lines':>7} {'run':>7} {'%':>6}")
    for folder, each in sorted(folders.items()):
        lines, run = share(each)
        print(f"{folder:<10} {lines:>7} {run:>7} {percent(lines, run):>6.1f}")


def main():
    files = counts(sys.argv[1])
    if not files:
        sys.exit("coverage: nothing was counted")
    broken = 0
    table(files)
    for word, patterns, goal in GOALS:
        lines, run = share([each for name, each in files.items() if is_in(name, patterns)])
        good = percent(lines, run) >= goal
        broken += not good
        verdict = "at least" if good else "LESS THAN"
        print(f"{word + ':':<10} {lines:>7} {run:>7} {percent(lines, run):>6.1f}  {verdict} {goal:.0f}")
    listed, found = exceptions(), not_run(files)
    for (name, function), number in listed.items():
        if (name, function) not in found:
            broken += 1
            print(f"{EXCEPTIONS}:{number}: {name} {function}: all of it is run now, or it is gone")
    for (name, function), lines in found.items():
        if (name, function) not in listed:
            broken += 1
            for number, text in lines:
                print(f"webhook/{name}:{number}: {function}: not run, and not in {EXCEPTIONS}: {text}")
    print(f"coverage: {broken} broken" if broken else f"coverage: ok, {len(listed)} exceptions")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
