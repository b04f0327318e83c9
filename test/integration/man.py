#!/usr/bin/env python3
"""`mlgate man`: a page for each command with all its options, which mandoc and groff find nothing wrong with; and what
`make install` puts where. What is not installed is left out, saying so. Speaks TAP."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from harness import MLGATE, TOP, SLOW, Tap, environment, expect, run  # noqa: E402

TAP = Tap()
DATE = {"SOURCE_DATE_EPOCH": "1700000000"}
SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "SEE ALSO"]


def page(*command, env=DATE):
    status, text, err = run(["man", *command], env=env)
    expect(status == 0 and err == "", f"man {command}: exit {status}: {err}")
    return text


def plain(text):
    """As it is read: no fonts, no escapes."""
    return re.sub(r"\\f[BIR]|\\&", "", text).replace("\\-", "-").replace("\\e", "\\").replace("\\(ti", "~")


def commands():
    return re.findall(r"^  ([a-z]+) ", run(["help"])[1], re.M)


def sections(name):
    text = page(name)
    found = re.findall(r"^\.SH (.*)$", text, re.M)
    missing = [title for title in SECTIONS if title not in found]
    expect(not missing, f"no section {missing}")
    expect(text.startswith(f'.TH MLGATE-{name.upper()} 1 "2023-11-14" "mlgate '), text[:80])
    doc = re.search(rf"^  {name} +(.*)$", run(["help"])[1], re.M).group(1)
    expect(plain(text).split("\n")[2] == f"mlgate-{name} - {doc}", plain(text)[:200])


def options(name):
    text = plain(page(name))
    found = re.findall(r"^\.TP\n--([a-z-]+)(?: (.*))?$", text, re.M)
    helped = re.findall(r"^  --([a-z-]+)(?: (\S+))?  ", run([name, "--help-all"])[1], re.M)
    expect(found[:-1] == helped, f"{found}\n{helped}")
    variables = re.findall(r"^(MLGATE_[A-Z_]+)$", text, re.M)
    expect(variables == ["MLGATE_" + option.upper().replace("-", "_") for option, _ in helped], variables)


def statuses():
    text = plain(page("check"))
    rows = re.findall(r"^\.TP\n(\d)\n(.*)$", text.split(".SH EXIT STATUS")[1].split(".SH")[0], re.M)
    expect([number for number, _ in rows] == ["0", "1", "2", "3"] and all(words for _, words in rows), rows)
    expect("Exit:" not in text, "the line of the help is still there")
    rows = re.findall(r"^\.TP\n(\d)$", plain(page("schema")).split(".SH EXIT STATUS")[1].split(".SH")[0], re.M)
    expect(rows == ["0", "2"], rows)


def overview():
    text = plain(page())
    for name in commands():
        expect(f".BR mlgate-{name} (1)\n" in text and text.count(f"mlgate-{name} (1)") == 2,
               f"{name} is not listed, and seen also")


def see_also():
    names = set(commands())
    for name in names:
        seen = re.findall(r"^\.BR mlgate-([a-z]+) \(1\)", plain(page(name)).split(".SH SEE ALSO")[1], re.M)
        expect(set(seen) <= names - {name}, f"{name}: {seen}")


def wrong():
    for args in (["chek"], ["check", "serve"]):
        status, out, err = run(["man", *args])
        expect(status == 2 and out == "" and f'no command "{args[-1]}"' in err, f"{args}: exit {status}: {err}")
    expect(page(env={"SOURCE_DATE_EPOCH": "99999999999999999999"}).startswith(".TH MLGATE 1 \""), "no page for a senseless date")


def judged(tool, command):
    """The tool's own words about all pages are none."""
    if not shutil.which(tool):
        TAP.skip(f"{tool} finds nothing", f"{tool} is not installed")
        TAP.note(f"{tool} is not installed: it does not judge the pages")
        return
    for name in ["", *commands()]:
        done = subprocess.run(command, input=page(*([name] if name else [])), capture_output=True, text=True,
                              timeout=60 * SLOW, check=False)
        said = done.stderr + (done.stdout if "-Tlint" in command else "")
        TAP.check(f"{tool} finds nothing in mlgate{name and '-'}{name}(1)", done.returncode == 0 and said == "", said)


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in pathlib.Path(folder).rglob("*") if path.is_file())


def installed():
    with tempfile.TemporaryDirectory(prefix="mlgate-install-") as folder:
        man, prefix = os.path.join(folder, "man"), os.path.join(folder, "a prefix")
        env = environment({**DATE, "PATH": os.environ["PATH"]})
        for command in (["scripts/man.sh", MLGATE, man], ["scripts/install.sh", MLGATE, man, prefix]):
            done = subprocess.run(command, cwd=TOP, env=env, capture_output=True, text=True, timeout=60 * SLOW, check=False)
            expect(done.returncode == 0 and done.stderr == "", f"{command}: exit {done.returncode}: {done.stderr}")
        files = tree(prefix)
        wanted = ["bin/mlgate", "share/bash-completion/completions/mlgate", "share/zsh/site-functions/_mlgate",
                  "share/fish/vendor_completions.d/mlgate.fish", "share/man/man1/mlgate.1",
                  "share/mlgate/policies/baseline/gpu-limits.yaml"]
        wanted += [f"share/man/man1/mlgate-{name}.1" for name in commands()]
        expect(set(wanted) <= set(files), f"not there: {set(wanted) - set(files)}")
        page_of_check = pathlib.Path(prefix, "share/man/man1/mlgate-check.1").read_text(encoding="utf-8")
        expect(page_of_check == page("check"), "another page than mlgate's")
        done = subprocess.run([os.path.join(prefix, "bin/mlgate"), "check", "--allow-empty", "--policies",
                               os.path.join(prefix, "share/mlgate/policies/baseline")], env=env, capture_output=True,
                              timeout=60 * SLOW, check=False)
        expect(done.returncode == 0, f"what was installed does not run: exit {done.returncode}")
        stranger = pathlib.Path(prefix, "share/man/man1/other.1")
        stranger.write_text("", encoding="utf-8")
        subprocess.run(["scripts/install.sh", "--remove", prefix], cwd=TOP, check=True, timeout=60)
        expect(tree(prefix) == ["share/man/man1/other.1"], f"left: {tree(prefix)}")


def main():
    names = commands()
    TAP.check("there are commands", len(names) > 5, names)
    for name in names:
        TAP.run(f"{name}: sections", sections, name)
        if re.search(r"^usage: .* \[options\]", run([name, "--help"])[1]):
            TAP.run(f"{name}: every option, and its variable", options, name)
    for test in (statuses, overview, see_also, wrong, installed):
        TAP.run(test.__name__.replace("_", " "), test)
    judged("mandoc", ["mandoc", "-Tlint", "-W", "style"])
    judged("groff", ["groff", "-ww", "-man", "-Tascii", "-z"])
    TAP.finish()


if __name__ == "__main__":
    main()
