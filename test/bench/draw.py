#!/usr/bin/python3
"""Draws what compare.py measured, and writes it as a page: draw.py JSON SVG PAGE"""
import json
import math
import sys
from pathlib import Path

NAMES = {"mlgate": "mlgate", "echo": "libmicrohttpd echo", "bare": "OpenSSL echo", "go": "webhook in Go"}
COLOURS = {"mlgate": "#0b6e4f", "echo": "#7a7a7a", "bare": "#b0a030", "go": "#2060c0", "that match and pass": "#0b6e4f",
           "for another namespace": "#c05020"}
WIDTH, HEIGHT, LEFT, TOP, GAP = 400, 230, 60, 96, 92


def text(x, y, words, anchor="start", size=12, colour="#222", more=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}" {more}>'
            f'{str(words).replace("&", "&amp;").replace("<", "&lt;")}</text>')


def short(n):
    for unit, size in (("Mi", 1 << 20), ("Ki", 1 << 10)):
        if n >= size and n % size == 0:
            return f"{n // size}{unit}"
    return f"{n:g}"


def line(x1, y1, x2, y2, colour="#ddd", width=1.0):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


class Scale:
    """Logarithmic, whole decades or the points themselves."""

    def __init__(self, low, high, start, end):
        self.low, self.start = math.log10(low), start
        self.step = (end - start) / (math.log10(high) - self.low)

    def __call__(self, n):
        return self.start + (math.log10(n) - self.low) * self.step


def panel(x, y, title, lines):
    xs = [p[0] for points in lines.values() for p in points]
    ys = [p[1] for points in lines.values() for p in points]
    low, high = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))
    across, up = Scale(min(xs), max(xs), x, x + WIDTH), Scale(10 ** low, 10 ** high, y + HEIGHT, y)
    out = [text(x, y - 12, f"CPU of one review, µs, by {title}", size=13, more='font-weight="bold"')]
    for decade in range(low, high + 1):
        at = up(10 ** decade)
        out += [line(x, at, x + WIDTH, at), text(x - 6, at + 4, f"{10 ** decade:,}", "end", 11, "#555")]
    for n in sorted(set(xs)):
        out += [line(across(n), y, across(n), y + HEIGHT, "#eee"),
                text(across(n), y + HEIGHT + 16, short(n), "middle", 11, "#555")]
    for at, (name, points) in enumerate(lines.items()):
        colour = COLOURS[name]
        path = " ".join(f"{across(n):.1f},{up(us):.1f}" for n, us in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{across(n):.1f}" cy="{up(us):.1f}" r="3" fill="{colour}"><title>{us} µs</title></circle>'
                for n, us in points]
        left = x + at % 2 * 170
        below = y + HEIGHT + 36 + at // 2 * 16
        out += [line(left, below - 4, left + 18, below - 4, colour, 3), text(left + 24, below, NAMES.get(name, name), size=11)]
    return out


def heading(ret):
    mutate = ret["mutate"]
    words = ", ".join(f"{NAMES[name]} {cost['least']:.0f} µs" for name, cost in mutate.items())
    return [text(LEFT, 30, f"CPU of one review: {words}", size=14, more='font-weight="bold"'),
            text(LEFT, 52, f"/mutate, {ret['bytes']} bytes, TLS 1.3 keep-alive, policies/baseline, patch included; least of"
                 f" {ret['rounds']} turns in one run on {ret['cpus']} CPUs (make bench, make drawings)", size=11, colour="#555")]


PAGE = """# Benchmarks

<!-- written by make drawings out of what make bench measured last -->
mlgate beside other servers: the same bodies, the same policies, one run, in turns, so that what else the machine does meets them
alike. Figures of different runs are not to be compared; ratios of one run are.

- **libmicrohttpd echo**: mlgate's own server, limits and TLS, and a constant answer of 1.5 KB instead of a review.
- **OpenSSL echo**: one thread, epoll, OpenSSL, and of HTTP only where a request ends (`test/bench/bare.c`).
- **webhook in Go**: `net/http`, the types of `k8s.io/api`, the rules of `policies/baseline` and patch operations written by hand
  (`test/bench/go`). It must answer with the same operations as mlgate, or there is no figure.

CPU is what the process was charged for, user and system; the least of the turns, and their median in brackets.

![CPU of one review by policies, bytes, containers and connections](benchmarks.svg)

"""


def table(head, rows):
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [head, ["---"] * len(head), *rows]) + "\n"


def page(ret):
    parts = [PAGE]
    for path in ("mutate", "validate"):
        rows = [(NAMES[name], f"{cost['least']:.1f} ({cost['median']:.1f})", f"{1e6 / cost['least']:,.0f}",
                 f"{cost['ratio']:.2f} ({cost['ratio_median']:.2f})" if "ratio" in cost else "")
                for name, cost in ret[path].items()]
        parts.append(table([f"`/{path}`, {ret['bytes']} bytes", "µs of CPU", "in a CPU second", "mlgate ÷ it"], rows))
    rows = [(NAMES[name], f"{at['rate']:,}, {'half of its own most' if what == 'half' else 'the same for all'}",
             *[f"{at[p]:,.0f}" for p in ("p50", "p99", "p999")])
            for name, kinds in ret["latency"].items() for what, at in kinds.items()]
    parts.append("Latency in an open loop, µs from when a review was due; client and server share the CPUs:\n\n" +
                 table(["", "a second", "p50", "p99", "p99.9"], rows))
    for title, lines in ret["curves"].items():
        points = [n for n, _ in next(iter(lines.values()))]
        rows = [(NAMES.get(name, name), *[f"{us:,.1f}" for _, us in values]) for name, values in lines.items()]
        parts.append(table([f"µs by {title}", *map(short, points)], rows))
    parts.append(f"Resident: {ret['memory']['started']} MiB started, {ret['memory']['loaded']} MiB after load."
                 f" {ret['rounds']} turns on {ret['cpus']} CPUs, load {ret['load']} while it ran.\n")
    return "\n".join(parts)


def main():
    ret = json.loads(Path(sys.argv[1]).read_text())
    out = heading(ret)
    for at, (title, lines) in enumerate(ret["curves"].items()):
        out += panel(LEFT + at % 2 * (WIDTH + GAP), TOP + at // 2 * (HEIGHT + 110), title, lines)
    wide, high = LEFT + 2 * WIDTH + GAP + 30, TOP + 2 * (HEIGHT + 110)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="sans-serif">'
    Path(sys.argv[3]).parent.mkdir(exist_ok=True)
    Path(sys.argv[3]).write_text(page(ret))
    target = Path(sys.argv[2])
    target.parent.mkdir(exist_ok=True)
    target.write_text("\n".join([head, f'<rect width="{wide}" height="{high}" fill="white"/>', *out, "</svg>"]) + "\n")


main()
