"""A strict reader of what /metrics says, in text 0.0.4 and in OpenMetrics 1.0: no line but those that the formats have."""
import os
import re
import shutil

from harness import TOP, expect

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{LABEL})(?:,{LABEL})*)\}})? (-?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?)")
SUFFIXES = {"counter": [""], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
LABELS_MAX = 3


def promtool():
    """Its path, or None."""
    return shutil.which("promtool", path=f"{os.environ.get('PATH', '')}:{os.path.join(TOP, 'build', 'tools')}")


class Family:
    """name: as the samples have it, without a histogram's suffix."""

    def __init__(self, name, kind, text):
        self.name, self.kind, self.help = name, kind, text
        self.samples = {}  # (name, sorted labels) -> value

    def values(self, **labels):
        return {key: value for key, value in self.samples.items() if labels.items() <= dict(key[1]).items()}

    def value(self, **labels):
        found = self.values(**labels)
        expect(len(found) == 1, f"{self.name}{labels}: {len(found)} samples")
        return next(iter(found.values()))

    def sum(self, **labels):
        return sum(self.values(**labels).values())


def read_sample(line, family):
    match = SAMPLE.fullmatch(line)
    expect(match, f"no sample: {line!r}")
    labels = tuple(sorted(re.findall(LABEL, match[2] or "")))
    expect(len(dict(labels)) == len(labels) <= LABELS_MAX + 1, f"labels: {line!r}")
    suffixes = [suffix for suffix in SUFFIXES[family.kind] if match[1] == family.name + suffix]
    expect(suffixes, f"{match[1]} stands below {family.name}")
    expect(("le" in dict(labels)) == (suffixes[0] == "_bucket"), f"le: {line!r}")
    key = (match[1], labels)
    expect(key not in family.samples, f"twice: {line!r}")
    family.samples[key] = float(match[len(match.groups())])


def check_histogram(family):
    series = {}
    for (name, labels), value in family.samples.items():
        rest = tuple(pair for pair in labels if pair[0] != "le")
        one = series.setdefault(rest, {"buckets": []})
        if name.endswith("_bucket"):
            bound = dict(labels)["le"]
            expect(bound == "+Inf" or not re.fullmatch("[0-9]+", bound), f"{name}: le={bound!r} is no canonical float")
            one["buckets"].append((float(bound.replace("+Inf", "inf")), value))
        else:
            one[name[len(family.name):]] = value
    for rest, one in series.items():
        where, buckets = f"{family.name}{dict(rest)}", one["buckets"]
        expect(buckets and "_sum" in one and "_count" in one, f"{where}: not whole")
        expect(buckets == sorted(buckets), f"{where}: bounds and counts must rise")
        expect(buckets[-1] == (float("inf"), one["_count"]), f"{where}: +Inf is not the count")


def read(text, open_metrics=False):
    """{name: Family}; raises Mismatch for whatever does not belong there."""
    expect(text.endswith("\n"), "the last line does not end")
    lines = text[:-1].split("\n")
    if open_metrics:
        expect(lines.pop() == "# EOF", "no # EOF at the end")
    families, family, heads = {}, None, {}
    for line in lines:
        if line.startswith("#"):
            match = re.fullmatch(rf"# (HELP|TYPE) ({NAME}) (\S.*)", line)
            expect(match, f"no head: {line!r}")
            word, name, rest = match.groups()
            if word == "HELP":
                heads = {name: rest}
                expect('"' not in rest and "\\" not in rest, f"needs escapes: {line!r}")
                continue
            expect(list(heads) == [name], f"{name}: TYPE without HELP just before")
            expect(rest in SUFFIXES, f"{name}: type {rest!r}")
            if open_metrics and rest == "counter":
                expect(not name.endswith("_total"), f"OpenMetrics: family {name}")
                name += "_total"
            expect((rest == "counter") == name.endswith("_total"), f"{name}: a {rest}")
            expect(name not in families, f"{name} comes twice")
            family = families[name] = Family(name, rest, heads.popitem()[1])
        else:
            expect(family and not heads, f"a sample outside of a family: {line!r}")
            read_sample(line, family)
    for one in families.values():
        if one.kind == "histogram":
            check_histogram(one)
        if one.kind in ("counter", "histogram"):
            expect(all(value >= 0 for value in one.samples.values()), f"{one.name}: below zero")
    return families
