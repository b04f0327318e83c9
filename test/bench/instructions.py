#!/usr/bin/python3
"""Counts the instructions of the hot path and compares them with test/bench/instructions; what a change costs shows here, on a
busy machine too. Ends with 1 where a count is more than TOLERANCE above what is kept, and says so where it is below.

instructions.py BENCH   the folder with micro and review.json (run.sh); UPDATE=1 writes what is kept
"""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent.parent
KEPT = REPO / "test/bench/instructions"
COUNTED = 20  # as in micro.c
TOLERANCE = 0.03
HEAD = """\
# Instructions of one review, or of what the row says, as callgrind counts them in build/bench/micro (gcc 12, Debian 12).
# make instructions compares, with a tolerance of 3 %; UPDATE=1 make instructions writes this file. Of two rows of one name
# the first is of few policies, the second of many (micro.c).
"""


def count(bench):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out",
                               str(bench / "micro"), str(bench / "review.json"), "policies/baseline"], cwd=REPO,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            sys.exit(f"instructions: {done.stdout}")
        rows = []
        for path in sorted(Path(folder).glob("out.*"), key=lambda path: int(path.suffix[1:])):
            text = path.read_text(errors="replace")
            name = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.M)
            total = re.search(r"^totals: (\d+)$", text, re.M)
            if name and total:
                rows.append((name[1], int(total[1]) // COUNTED))
        return rows


def main():
    rows = count(Path(sys.argv[1]).resolve())
    if not rows:
        sys.exit("instructions: nothing was counted")
    if os.environ.get("UPDATE"):
        KEPT.write_text(HEAD + "".join(f"{n:>8} {name}\n" for name, n in rows))
    kept = [line.split(maxsplit=1) for line in KEPT.read_text().splitlines() if not line.startswith("#")]
    if [name for name, _ in rows] != [name for _, name in kept]:
        sys.exit("instructions: other rows than in test/bench/instructions; UPDATE=1 make instructions")
    more = 0
    for (name, now), (before, _) in zip(rows, kept):
        change = now / int(before) - 1
        what = "MORE" if change > TOLERANCE else "less: UPDATE=1 keeps it" if change < -TOLERANCE else ""
        more += change > TOLERANCE
        print(f"{now:>8} {100 * change:+6.1f} %  {name:<40} {what}".rstrip())
    print(f"instructions: {len(rows)} counted, {more} more than {100 * TOLERANCE:.0f} % above what is kept")
    sys.exit(1 if more else 0)


main()
