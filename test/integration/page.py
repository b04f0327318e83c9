#!/usr/bin/python3
"""`--format html` in a real browser: nothing is fetched, nothing of an object runs, the filter and the keyboard do what they
say, and it can be read in light and dark, on a small screen and without a script. PICTURES=DIR keeps screenshots."""
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import browser  # noqa: E402
import harness  # noqa: E402
import manifests_hostile as hostile  # noqa: E402
from harness import expect  # noqa: E402

SHOWN = "[...document.querySelectorAll('.finding')].filter(f => f.checkVisibility())"
CONTRAST = """(() => {
  const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const colour = text => { paint.clearRect(0, 0, 1, 1); paint.fillStyle = text; paint.fillRect(0, 0, 1, 1);
    return [...paint.getImageData(0, 0, 1, 1).data]; };
  const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = c => { const [r, g, b] = c.slice(0, 3).map(v => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = e => {
    for (; e; e = e.parentElement) { const c = colour(getComputedStyle(e).backgroundColor); if (c[3]) return c; }
    return [255, 255, 255, 255]; };
  const worst = {};
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility()) continue;
    const a = light(colour(getComputedStyle(e).color)), b = light(behind(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), name = e.tagName + '.' + e.className;
    worst[name] = Math.min(worst[name] || 99, ratio);
  }
  return JSON.stringify({page: light(behind(document.body)), worst});
})()"""


def picture(page, scheme, name, **size):
    folder = os.environ.get("PICTURES")
    return page.look(scheme, folder and os.path.join(folder, f"{name}-{scheme}.png"), **size)


def choose(page, **wanted):
    for key, value in wanted.items():
        page.value(f"(() => {{ const s = document.getElementById({json.dumps(key)}); s.value = {json.dumps(value)}; "
                   "s.dispatchEvent(new Event('change')); })()")


def shown(page, what="f.dataset.action"):
    return page.value(f"{SHOWN}.map(f => {what})")


def quiet(page, path):
    expect(page.asked == ["file://" + path], f"fetched: {page.asked}")
    expect(not page.problems, "\n".join(page.problems))


def stays_text(page, report):
    names = page.value("[...document.querySelectorAll('h2')].map(h => h.textContent)")
    for result in report["results"]:
        if result["violations"] and "<script>" in result["name"]:
            expect(f"{result['kind']} {result['namespace']}/{result['name']}" in names, f"{result['name']!r} is not shown")
    expect(page.value("document.scripts.length") == 1 and page.value("document.images.length") == 0, "an element of an object")
    hrefs = page.value("[...document.links].map(a => a.protocol)")
    expect(set(hrefs) == {"https:"}, f"links {set(hrefs)}")


def filters(page, report):
    violations = [(r, v) for r in report["results"] for v in r["violations"]]
    everything = len(shown(page))
    for key, value, wanted in (
            ("action", "deny", sum(v["action"] == "deny" for _, v in violations)),
            ("policy", "soft", sum(v["policy"] == "soft" for _, v in violations)),
            ("file", "jobs/plain.yaml", 1 + sum(r["file"] == "jobs/plain.yaml" for r, _ in violations)),
            ("kind", "Pod", everything - len(report["errors"]) - 1)):
        choose(page, **{key: value})
        expect(0 < len(shown(page)) == wanted, f"{key} {value}: {len(shown(page))} shown, not {wanted}")
        expect(page.value("document.getElementById('count').textContent") == f"{wanted} of {everything} findings", "the count")
        options = page.value(f"[...document.getElementById({json.dumps(key)}).options].map(o => o.textContent)")
        expect(f"{value} ({wanted})" in options, f"{options}")
        choose(page, **{key: ""})
    choose(page, action="deny", policy="soft")
    expect(not shown(page) and page.value("!document.getElementById('none').hidden"), "deny of a policy that only warns")
    expect(page.value("[...document.querySelectorAll('.object')].every(o => o.hidden)"), "an empty object is shown")
    page.value("document.getElementById('show-all').click()")
    page.value("new Promise(done => setTimeout(done, 50))")
    expect(len(shown(page)) == everything, "the button does not show all")


def keyboard(page, _report):
    everything = len(shown(page))
    page.press("/", "/")
    expect(page.value("document.activeElement.id") == "search", "/ does not search")
    page.type("spared gpu")
    expect(page.value("document.getElementById('search').value") == "spared gpu", "a letter of the search is a command")
    expect(0 < len(shown(page)) < everything, f"{len(shown(page))} found")
    page.press("Escape")
    expect(len(shown(page)) == everything and page.value("document.activeElement === document.body"), "Esc does not show all")
    at = "[...document.querySelectorAll('summary')].indexOf(document.activeElement)"
    steps = []
    for key in "jjjkk":
        page.press(key, key)
        steps.append(page.value(at))
    expect(steps == [0, 1, 2, 1, 0], f"j and k go to {steps}")
    page.press("k", "k")
    expect(page.value(at) == 0, "k before the first")
    was = page.value("document.activeElement.parentElement.open")
    page.press("Enter")
    expect(page.value("document.activeElement.parentElement.open") != was, "Enter does not open or close")
    page.press("Tab")
    expect(page.value(at) == 1 or page.value("document.activeElement.tagName") == "A", "Tab does not go on")
    page.press("o", "o")
    expect(page.value(f"{SHOWN}.every(f => f.open)"), "o does not open all")
    page.press("o", "o")
    expect(page.value(f"{SHOWN}.every(f => !f.open)"), "o does not close all")
    page.press("o", "o")


def marked(page, report):
    """The marked text is that of the place in the file."""
    lines = page.value("[...document.querySelectorAll('.object[data-file=\"jobs/plain.yaml\"] .here')].map(l => "
                       "[+l.querySelector('.number').textContent, l.querySelector('mark').textContent])")
    wanted = [[v["line"]] for r in report["results"] if r["file"] == "jobs/plain.yaml" for v in r["violations"]]
    expect([line[:1] for line in lines] == wanted, f"{lines}, not {wanted}")
    text = hostile.POD.split("\n")
    for number, mark in lines:
        expect(mark and mark in text[number - 1], f"{mark!r} is not in {text[number - 1]!r}")
    diff = page.value("document.querySelector('.object[data-file=\"jobs/plain.yaml\"] .diff').textContent")
    for wanted in ("@@ line 4: spec @@\n spec:\n+  tolerations:\n+  - key: nvidia.com/gpu\n",
                   "@@ line 6: spec.containers[0] @@\n   - name: wörker\n+    volumeMounts:\n"):
        expect(wanted in diff, f"{wanted!r} is not in\n{diff}")


def colours(page, _report):
    seen = {}
    for scheme in ("light", "dark"):
        seen[scheme] = picture(page, scheme, "page")
        said = json.loads(page.value(CONTRAST))
        expect(said["page"] > 0.8 if scheme == "light" else said["page"] < 0.1, f"{scheme}: {said['page']}")
        bad = {name: round(ratio, 2) for name, ratio in said["worst"].items() if ratio < 4.5}
        expect(not bad and len(said["worst"]) > 10, f"{scheme}: too little contrast {bad}")
    expect(seen["light"] != seen["dark"], "one picture for both")


def small(page, _report):
    picture(page, "light", "small", width=380, height=800)
    wide = page.value("document.scrollingElement.scrollWidth - innerWidth")
    expect(wide <= 0, f"{wide} pixels too wide")
    picture(page, "light", "page")


def locked(page, _report):
    """What should get in all the same is not run."""
    page.value("(() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s);"
               "const i = document.createElement('img'); i.src = 'x.png'; i.setAttribute('onerror', 'window.ran = 1');"
               "document.body.append(i); return new Promise(done => setTimeout(done, 200)); })()")
    expect(page.value("window.ran === undefined"), "a script that was put in has run")
    expect(any("Content Security Policy" in problem for problem in page.problems), f"nobody said so: {page.problems}")


def bare(page, path):
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    page.open(path)
    expect(page.value("document.getElementById('filter').checkVisibility()") is False, "a filter that does nothing")
    expect(page.value("document.querySelectorAll('.finding').length") > 20, "nothing is shown")
    page.call("Emulation.setScriptExecutionDisabled", value=False)


def many(page, folder):
    hostile.many(os.path.join(folder, "many.json"), 12, 300)
    write(folder, "many", "many.json")
    page.open(os.path.join(folder, "many.html"))
    expect(len(page.value("[...document.querySelectorAll('.finding')].map(f => 1)")) > 10000, "not all findings")
    choose(page, policy="gpu")
    took = page.value("(() => { const t = performance.now(); const s = document.getElementById('search'); s.value = 'p7 c123';"
                      "s.dispatchEvent(new Event('input')); document.body.offsetHeight; return performance.now() - t; })()")
    count = page.value("document.getElementById('count').textContent")
    expect(count.startswith("2 of "), count)
    expect(took < 5000, f"a search takes {took} ms")


def write(folder, name, *paths):
    status, out, err = harness.run(["check", "--policies", "policies", "--now", "2026-11-21", "--format", f"html={name}.html",
                                    "--format", "json", *paths], folder, timeout=120)
    expect(status in (1, 3), f"exit {status}: {err}")
    return json.loads(out)


def main():
    tap = harness.Tap()
    if not browser.program():
        tap.skip("html in a browser", "chromium is not installed")
        tap.finish()
    with tempfile.TemporaryDirectory(prefix="mlgate-page-") as folder, browser.Browser() as page:
        hostile.write(folder)
        report, path = write(folder, "page", "jobs"), os.path.join(folder, "page.html")
        page.open(path)
        tap.run("html: nothing fetched, nothing said", quiet, page, path)
        for test in (stays_text, filters, keyboard, marked, colours, small):
            tap.run(f"html: {test.__name__.replace('_', ' ')}", test, page, report)
        tap.run("html: still nothing fetched, nothing said", quiet, page, path)
        tap.run("html: locked", locked, page, report)
        page.problems.clear()
        tap.run("html: without a script", bare, page, path)
        tap.run("html: ten thousand findings", many, page, folder)
    tap.finish()


if __name__ == "__main__":
    main()
