#!/usr/bin/env python3
"""`mlgate completion`: each script goes through its own shell, which then completes lines as somebody typed them.
bash and zsh are asked on a terminal of their own: all that they would offer is put on the line, which is then run by printf.
A shell that is not installed is left out, saying so. Speaks TAP."""
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from harness import MLGATE, Lacking, Mismatch, SLOW, Tap, environment, expect, run  # noqa: E402

TAP = Tap()
SHELLS = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"], "fish": None}
WIDTH = "stty cols 30000 rows 50 -echo 2>/dev/null\n"
READY = {
    "bash": WIDTH + "bind 'set enable-bracketed-paste off'; bind '\"\\C-t\": insert-completions'; PS1=; "
            "source <(mlgate completion bash)\n",
    "zsh": WIDTH + "PS1= PS2= RPS1=; unsetopt prompt_cr zle_bracketed_paste 2>/dev/null; unset zle_bracketed_paste; bindkey -e; "
           "autoload -Uz compinit; compinit -u -D; source <(mlgate completion zsh); "
           "zstyle ':completion:all-matches::::' completer _all_matches _complete; "
           "zstyle ':completion:all-matches:*' insert yes; "
           "zle -C all-matches complete-word _generic; bindkey '^T' all-matches\n",
}


class Terminal:
    """An interactive shell behind a pseudo terminal; used in a with statement."""

    def __init__(self, shell, folder):
        self.shell, self.folder, self.text = shell, folder, ""

    def __enter__(self):
        env = environment({"PATH": f"{os.path.dirname(MLGATE)}:{os.environ['PATH']}", "TERM": "vt100", "HOME": self.folder,
                           "HISTFILE": "", "INPUTRC": "/dev/null"})
        try:
            self.pid, self.terminal = pty.fork()
        except OSError as wrong:
            raise Lacking(f"no pseudo terminal: {wrong}") from wrong
        if self.pid == 0:
            os.chdir(self.folder)
            os.execvpe(SHELLS[self.shell][0], SHELLS[self.shell], env)
        self.ask(READY[self.shell])
        return self

    def __exit__(self, *_):
        for number in (signal.SIGHUP, signal.SIGKILL):
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                break
            end = time.monotonic() + 5
            while time.monotonic() < end:
                if os.waitpid(self.pid, os.WNOHANG)[0]:
                    os.close(self.terminal)
                    return
                time.sleep(0.01)

    def ask(self, keys, seconds=20 * SLOW):
        """What the terminal says until the shell has done all of it."""
        mark = f"done-{time.monotonic_ns()}"
        os.write(self.terminal, keys.encode() + f"echo do''ne-{mark[5:]}\n".encode())
        text, end = b"", time.monotonic() + seconds
        while mark.encode() not in text:
            expect(time.monotonic() < end, f"{self.shell} did not answer {keys!r}: {text[-600:]!r}")
            if select.select([self.terminal], [], [], 0.2)[0]:
                text += os.read(self.terminal, 65536)
        return text.decode("utf-8", "replace")

    def offers(self, line):
        """Every word that the last one of the line could become, with what stands before it."""
        said = self.ask(line + "\x14\x01printf '<%s>\\n' \n")
        return re.findall(r"(?m)^<(.*)>\r?$", said)


class Fish:
    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def offers(self, line):
        script = 'mlgate completion fish | source; complete -C "$argv[1]"'
        env = environment({"PATH": f"{os.path.dirname(MLGATE)}:{os.environ['PATH']}", "HOME": self.folder})
        done = subprocess.run(["fish", "--no-config", "-c", script, line], cwd=self.folder, env=env, capture_output=True,
                              text=True, timeout=30 * SLOW, check=False)
        expect(done.returncode == 0 and done.stderr == "", f"fish: exit {done.returncode}: {done.stderr}")
        return line.split(" ")[:-1] + [row.split("\t")[0].rstrip("/") for row in done.stdout.splitlines()]


def helped(pattern, *args):
    return re.findall(pattern, run([*args])[1], re.M)


def commands():
    return helped(r"^  ([a-z]+) ", "help")


def offered(shell, line, wanted, exactly=True):
    """The words behind the line's own are the wanted ones."""
    words = line.split(" ")[:-1]
    found = shell.offers(line)
    expect(found[:len(words)] == words, f"{line!r} became {found}")
    rest = [word.rstrip("/") for word in found[len(words):]]
    rest = [re.sub(r"^--[a-z-]+=(json=)?|^json=", "", word) if "=" in line.split(" ")[-1] else word for word in rest]
    missing, more = set(wanted) - set(rest), set(rest) - set(wanted)
    expect(not missing and not (exactly and more), f"{line!r} offers {rest}: missing {missing}, too many {more}")


def cases():
    """(name, line, what must be offered, and nothing else)"""
    files = {"a file.yaml", "pod.yaml", "sub"}
    yield "the commands", "mlgate ", set(commands()), False
    yield "one command", "mlgate comp", {"completion"}, True
    options = {f"--{name}" for name in helped(r"^  --([a-z-]+)", "check", "--help-all")}
    yield "options of check", "mlgate check --", options | {"--help"}, False
    yield "options that are rarely needed, too", "mlgate serve --kube-ap", {"--kube-api"}, True
    yield "words of an option", "mlgate check --operation ", {"CREATE", "UPDATE", "DELETE", "CONNECT"}, True
    yield "behind an equals sign", "mlgate check --operation=U", {"UPDATE"}, True
    formats = set(re.findall(r"[a-z]+", run(["check", "--format", "?"])[2].split("there are ")[1]))
    yield "formats", "mlgate check --format j", {name for name in formats if name.startswith("j")}, True
    yield "a format's file", "mlgate check --format json=po", {"pod.yaml"}, True
    yield "a format's file behind an equals sign", "mlgate check --format=json=po", {"pod.yaml"}, True
    yield "files, quoted as the shell wants them", "mlgate check ", files, True
    yield "files of an option", "mlgate check --policies po", {"pod.yaml"}, True
    yield "directories alone", "mlgate check --image-cache ", {"sub"}, True
    yield "nothing where nothing is known", "mlgate check --namespace ", set(), True
    yield "a flag takes no value", "mlgate check --offline po", {"pod.yaml"}, True
    yield "rules", "mlgate explain gpu", {"gpuLimits"}, True
    rules = set(helped(r"^  ([a-z]+[A-Z]?\w*) ", "explain"))
    yield "rules, topics and files", "mlgate explain ", rules | files, True
    yield "kinds", "mlgate schema Pol", {"Policy"}, True
    yield "actions", "mlgate certs ", {"create", "rotate", "show"}, True
    yield "commands to be helped with", "mlgate help man", {"man", "manifests"}, True
    yield "shells", "mlgate completion ", {"bash", "zsh", "fish"}, True


def ask(name, shell):
    if name == "bash":  # the others read options themselves
        TAP.run("bash: an option's value is not an option", offered, shell, "mlgate check --namespace --operation po",
                {"pod.yaml"})
        TAP.run("bash: a dash is the beginning of an option", offered, shell, "mlgate certs -", {"--days"}, False)
        TAP.run("bash: behind -- all are files", offered, shell, "mlgate check -- --operat", {"--operat"})
        shell.ask("COMP_WORDBREAKS=${COMP_WORDBREAKS//=}; set -u\n")
        for line, wanted in (("--operation=U", {"UPDATE"}), ("--format=json=po", {"pod.yaml"}), ("--policies=po", {"pod.yaml"})):
            TAP.run(f"bash: {line}, where = breaks no words", offered, shell, f"mlgate check {line}", wanted)
        shell.ask("COMP_WORDBREAKS+==; set +u\n")
    for what, line, wanted, exactly in cases():
        TAP.run(f"{name}: {what}", offered, shell, line, wanted, exactly)


def syntax(name):
    status, script, err = run(["completion", name])
    expect(status == 0 and err == "", f"exit {status}: {err}")
    done = subprocess.run([name, "-n"], input=script, capture_output=True, text=True, timeout=30 * SLOW, check=False)
    expect(done.returncode == 0 and done.stderr == "", done.stderr)


def usage():
    for args, said in (([], "bash, zsh or fish"), (["fis"], 'did you mean "fish"?'), (["bash", "zsh"], "bash, zsh or fish"),
                       (["powershell"], "bash, zsh and fish")):
        status, out, err = run(["completion", *args])
        expect(status == 2 and out == "" and said in err, f"{args}: exit {status}: {err}")


def main():
    TAP.run("a shell is named, one of three", usage)
    with tempfile.TemporaryDirectory(prefix="mlgate-completion-") as folder:
        for name in ("a file.yaml", "pod.yaml"):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write("{}\n")
        os.mkdir(os.path.join(folder, "sub"))
        for name in SHELLS:
            if not shutil.which(name):
                TAP.skip(f"{name} completes", f"{name} is not installed")
                TAP.note(f"{name} is not installed: its completion is not tested")
                continue
            TAP.run(f"{name} takes the script", syntax, name)
            try:
                with Fish(folder) if name == "fish" else Terminal(name, folder) as shell:
                    ask(name, shell)
            except Mismatch as wrong:
                TAP.result(f"{name} completes", str(wrong))
            except Lacking as what:
                TAP.skip(f"{name} completes", str(what))
                TAP.note(f"{what}: the completion of {name} is not tested")
    TAP.finish()


if __name__ == "__main__":
    main()
