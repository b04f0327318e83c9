#!/usr/bin/env python3
"""README.md, from nothing to a mended pull request: the commands are run word by word in one shell, in an empty
folder, and print what stands below them. UPDATE=1 writes that into the page. Speaks TAP."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from harness import MLGATE, SLOW, TOP, Tap, environment, expect, run  # noqa: E402

TAP = Tap()
PAGE = os.path.join(TOP, "README.md")
HEADING = "## From nothing to a mended pull request\n"


def section(text):
    start = text.index(HEADING)
    return text[start:text.index("\n## ", start + len(HEADING))]


def blocks(text):
    """[commands, what they print], in order; None: nothing is said of it."""
    found = []
    for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S):
        if match.group(1) == "sh":
            found.append([match.group(2), None])
        else:
            expect(found and found[-1][1] is None, f"nothing prints this: {match.group(2)}")
            found[-1][1] = match.group(2)
    return found


def follow(folder, commands):
    """What each of the commands prints; the shell stays the same."""
    os.mkdir(os.path.join(folder, "bin"))
    os.symlink(MLGATE, os.path.join(folder, "bin/mlgate"))
    os.symlink(TOP, os.path.join(folder, "mlgate"))
    mark = "\x1e"
    script = "".join(f"{text}printf '\\036'\n" for text in commands)
    who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in
           (("NAME", "somebody"), ("EMAIL", "somebody@example.com"))}
    env = environment({"PATH": f"{folder}/bin:{os.environ['PATH']}", "HOME": folder, "GIT_CONFIG_GLOBAL": "/dev/null",
                       "GIT_CONFIG_SYSTEM": "/dev/null", **who})
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=120 * SLOW, check=False)
    said = done.stdout.split(mark)
    expect(len(said) == len(commands) + 1, f"the commands ended early: {done.stdout}")
    return said[:-1]


def replaced(text, found, said):
    """The text with what was printed."""
    place = text.index(HEADING)
    for (commands, wanted), printed in zip(found, said):
        place = text.index(commands, place) + len(commands)
        if wanted is not None:
            place = text.index("\n" + wanted, place) + 1
            text = text[:place] + printed + text[place + len(wanted):]
            place += len(printed)
    return text


def main():
    with open(PAGE, encoding="utf-8") as file:
        text = file.read()
    found = blocks(section(text))
    TAP.check("there are commands, and they print something", len(found) >= 4 and all(b[1] is not None for b in found), found)
    name = "its commands print what the page says"
    if not shutil.which("git"):
        TAP.skip(name, "git is not installed")
        TAP.finish()
    with tempfile.TemporaryDirectory(prefix="mlgate-readme-") as folder:
        said = follow(folder, [commands for commands, _ in found])
    for number, ((commands, wanted), printed) in enumerate(zip(found, said), 1):
        TAP.check(f"{name}: {number}", printed == (wanted or ""), f"{commands}\nprints\n{printed}")
    if os.environ.get("UPDATE"):
        with open(PAGE, "w", encoding="utf-8") as file:
            file.write(replaced(text, found, said))
    TAP.finish()


if __name__ == "__main__":
    main()
