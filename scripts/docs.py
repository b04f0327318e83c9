#!/usr/bin/env python3
"""docs.py BINARY DIR   writes what is generated of DIR: rules.md, workloads.md and options.md out of what the binary says of
itself, reference.md out of its schema."""
import json
import os
import re
import subprocess
import sys
import textwrap

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MARK = "<!-- Written by `make docs`. -->"
SECTIONS = ("Policy", "Exception", "Test", "WorkloadKind", "Accelerators", "Registry")
ABOUT = {
    "Policy": "What is wanted of whom. A policy applies where all keys of `match` hold and no block of "
              "`exclude` does; a list holds "
              "where one entry does.",
    "Exception": "What is left alone, where, and until when. What it spares is still reported, as exempted.",
    "Test": "Cases that policies must pass: `mlgate test policies/`. See [tests of policies](testing.md).",
    "WorkloadKind": "Where a kind keeps its pod templates. The [built-in ones](workloads.md) are such "
                    "documents, too; one of the same group "
                    "and kind replaces them.",
    "Accelerators": "What counts as a device, beside what is built in (`mlgate explain accelerators`).",
    "Registry": "How a registry is asked for images, where a policy has `imageSize`.",
}


class Program:
    def __init__(self, path):
        self.path = path
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("MLGATE_")}

    def say(self, *args):
        return subprocess.run([self.path, *args], env=self.env, cwd="/", check=True, stdout=subprocess.PIPE, text=True).stdout


def cell(text):
    """Text for one cell of a table: no bars, no markup by accident."""
    return re.sub(r"([|<>*_\[\]])", r"\\\1", text)


def wrapped(text):
    return "\n\n".join(textwrap.fill(part, 130, break_long_words=False, break_on_hyphens=False) for part in text.split("\n\n"))


def page(title, about, body):
    about = wrapped(about)
    return f"# {title}\n\n{MARK}\n\n{about}\n\n{body.rstrip()}\n"


def prose(text):
    return " ".join(text.split())


# --- rules ------------------------------------------------------------------------------------------------------------

def properties(schema):
    """The keys of an object, or of the objects of a list."""
    return schema.get("properties") or schema.get("items", {}).get("properties") or {}


def parameters(lines, schema, depth=0):
    """Items of a list out of `name: type [default]` lines, the words below each, and the keys that it has itself."""
    out, indent = [], " " * (2 + 4 * depth)
    keys = properties(schema)
    at = 0
    while at < len(lines):
        name, _, kind = lines[at].strip().partition(": ")
        end = at + 1
        while end < len(lines) and not re.match(rf"{indent}(?:{'|'.join(keys)}): ", lines[end]):
            end += 1
        inner = properties(keys.get(name, {}))
        below = lines[at + 1:end]
        split = next((i for i, line in enumerate(below) if re.match(rf"{indent}    (?:{'|'.join(inner) or '$^'}): ", line)),
                     len(below))
        words = prose(" ".join(below[:split]))
        what, _, default = kind.partition(" [")
        said = f"{'  ' * depth}- `{name}` ({what.replace(' | ', ', ')}" + (f"; default `{default[:-1]}`)" if default else ")")
        out.append(said + (f": {cell(words)}" if words else ""))
        out += parameters(below[split:], keys[name], depth + 1) if split < len(below) else []
        at = end
    return out


def rules(program, schema):
    listed = program.say("explain").split("\nAnd:")[0]
    names = re.findall(r"^  ([a-zA-Z]+) ", listed, re.M)
    out = []
    for name in names:
        head, _, rest = program.say("explain", name).partition("\n\nParameters [default]:\n\n")
        kind = re.match(r"\w+ \(([^)]*)\)", head).group(1)
        words = prose(head.split("\n\n", 1)[1])
        lines = [line for line in rest.split("\n") if line.strip()]
        out.append(f"## {name}\n\n*{kind.capitalize()}.* {cell(words)}\n")
        out.append("\n".join(parameters(lines, schema["$defs"][name])) or "No parameters: `{}`.")
        folder = f"test/golden/{name}"
        if os.path.isdir(os.path.join(TOP, folder)):
            out[-1] += f"\n\nExamples: the cases of [`{folder}`](../{folder})."
        out[-1] += "\n"
    about = ("Every rule type with its parameters: what `mlgate explain RULE` says. A rule that validates finds "
             "violations; one that "
             "mutates adds what is missing. What else stands in a policy is in the [policy reference](reference.md).\n\n"
             + " · ".join(f"[{name}](#{name.lower()})" for name in names))
    return page("Rules", about, "\n".join(out))


# --- reference --------------------------------------------------------------------------------------------------------

def type_of(schema):
    if "$ref" in schema:
        return "a rule" if schema["$ref"].endswith("/rule") else schema["$ref"].rsplit("/", 1)[1]
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "any")
    if kind == "array":
        return "list of " + type_of(schema.get("items", {}))
    names = {"any": "see there", "integer": "a whole number", "number": "a number", "boolean": "true or false",
             "string": "a string", "object": "an object", "null": "null"}
    return " or ".join(names.get(one, one) for one in ([kind] if isinstance(kind, str) else kind))


def rows(schema, path=""):
    """(path, schema, wanted) of every key below, lists and maps marked as the table of workloads does."""
    for name, value in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here, value, name in schema.get("required", ())
        if name == "exclude":
            continue  # the same blocks as match
        if value.get("type") == "array":
            yield from rows(value.get("items", {}), here + "[]")
        elif isinstance(value.get("additionalProperties"), dict):
            yield from rows(value["additionalProperties"], here + "{}")
        else:
            yield from rows(value, here)


def reference(schema):
    out = []
    for kind in SECTIONS:
        out.append(f"## {kind}\n\n{ABOUT[kind]}\n\n| key | value | |\n|---|---|---|")
        for path, value, wanted in rows(schema["$defs"][kind]):
            if path.startswith("metadata.") and path != "metadata.name" and value.get("description") == "Not used.":
                continue
            default = f" [`{json.dumps(value['default'])}`]" if "default" in value else ""
            must = "; needed" if wanted else ""
            words = cell(value.get("description", ""))
            if path == "spec.exclude":
                words += " The keys are those of `match`."
            out.append(f"| `{path}` | {type_of(value)}{default}{must} | {words} |")
        out.append("")
    rule = schema["$defs"]["rule"]["properties"]
    out.append("## Rule\n\nExactly one type, and if wanted a name and a message.\n\n| key | value | |\n|---|---|---|")
    for name, value in rule.items():
        if "$ref" in value:
            words = prose(schema["$defs"][name].get("description", "")).split(". ")[0].rstrip(".") + "."
            out.append(f"| `{name}` | [parameters](rules.md#{name.lower()}) | {cell(words)} |")
        else:
            out.append(f"| `{name}` | {type_of(value)} | {cell(value.get('description', ''))} |")
    about = ("Every document that policy files may have, key by key: what `mlgate schema` says, which editors "
             "read, too. `[]` is every "
             "item of a list, `{}` every value of a map; a default stands in brackets. A key that is not here "
             "is an error, with its place.\n\n"
             "Patterns are globs, anchored at both ends (`*` any run, `?` one character, `[a-z]` a class), or "
             "PCRE2 between slashes: "
             "`ml-*`, `/team-[0-9]+/`. Namespace, LimitRange, ResourceQuota, PriorityClass, DeviceClass, ResourceClaim and "
             "ResourceClaimTemplate may stand beside these documents in their own form.\n\n"
             + " · ".join(f"[{kind}](#{kind.lower()})" for kind in SECTIONS + ("Rule",)))
    return page("Policy reference", about, "\n".join(out))


# --- workloads and options --------------------------------------------------------------------------------------------

def workloads(program):
    out, kinds = ["| kind | role | patched | of | templates |\n|---|---|---|---|---|"], 0
    for block in re.split(r"\n(?=\S)", program.say("explain", "workloads").rstrip("\n")):
        head, *paths = block.split("\n")
        parts = re.match(r"([^:]+): (.*?), ([^,;]*); (.*)$", head)
        if not parts:
            raise SystemExit(f"docs: explain workloads: not understood: {head}")
        kind, role, patched, source = parts.groups()
        kinds += 1
        places = "<br>".join(f"`{path.strip()}`" for path in paths)
        out.append(f"| `{kind}` | {cell(role)} | {cell(patched)} | {cell(source)} | {places} |")
    about = (f"The {kinds} kinds that are judged, and where each keeps its pod templates: what `mlgate explain "
             "workloads` says. `[]` is "
             "every item, `{}` every value, `.` the object itself; behind `x` stands what multiplies a "
             "template. A kind of your own is one "
             "document in a policy file, of the same form as "
             "[`webhook/kube/workloads.yaml`](../webhook/kube/workloads.yaml): see "
             "[WorkloadKind](reference.md#workloadkind). `mlgate explain FILE` shows what is seen in a manifest.")
    return page("Workloads", about, "\n".join(out))


def options(program):
    commands = re.findall(r"^  ([a-z]+) ", program.say("help"), re.M)
    out = []
    for name in commands:
        if name in ("help", "version"):
            continue
        out.append(f"## mlgate {name}\n\n```text\n{program.say(name, '--help-all').rstrip()}\n```\n")
    about = ("What `mlgate COMMAND --help-all` says; the manual pages (`man mlgate-check`) have it, too. What "
             "each command is for stands "
             "in [commands](commands.md).")
    return page("Options", about, "\n".join(out))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, folder = Program(os.path.abspath(sys.argv[1])), sys.argv[2]
    schema = json.loads(program.say("schema"))
    pages = {"rules.md": rules(program, schema), "reference.md": reference(schema), "workloads.md": workloads(program),
             "options.md": options(program)}
    for name, text in pages.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
