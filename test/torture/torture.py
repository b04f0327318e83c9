#!/usr/bin/python3
"""Fails every allocation and every system call that can fail, one at a time, through whole lives of mlgate (scenes.py): nothing
may crash, leak, hang, or give a wrong answer or half of one, and what goes on must be right afterwards.

    torture.py [--sample N] [--workers N] [--each N] [--libraries N] [--times N] [--scene NAME] [--only TEXT] [--list]
"""
import argparse
import collections
import contextlib
import copy
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

from runner import HOWS, PROGRAM, Names, Parent, Point, Run, read_board  # noqa: I001, finds harness
import scenes
from harness import Mismatch

SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|UndefinedBehaviorSanitizer")
STOP = threading.Event()
FOLDER = os.path.dirname(os.path.abspath(__file__))


def rows(name):
    """PATTERN<two spaces or more>REASON, a line; # begins a comment."""
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file if line.strip() and not line.startswith("#")]
    return [(re.compile(pattern), reason.strip()) for pattern, _, reason in (line.partition("  ") for line in lines)]


def call_places(names):
    """(call, module, offset) of every call in our objects to one of the functions that can fail, and how it is told."""
    out = subprocess.run(["objdump", "-d", "--no-show-raw-insn", PROGRAM], check=True, stdout=subprocess.PIPE, text=True).stdout
    found, call = [], None
    for line in out.splitlines():
        at = re.match(r"\s*([0-9a-f]+):\s+(.*)$", line)
        if at and call:
            found.append((call, 0, int(at[1], 16)))
        to = at and re.match(r"call\s+[0-9a-f]+ <(\w+)(?:@plt)?>$", at[2])
        call = to[1] if to and to[1] in names.calls else None
    told = names.tell([place[1:] for place in found])
    local = re.compile(r" (calls\.def|(fail|torture)\.c):|^accept read_")  # the driver; a function that only has that name
    places = {place: f"{place[0]} {text}" for place, text in zip(found, told)}
    return {place: text for place, text in places.items() if not local.search(f" {text}") and not local.search(text)}


def tell_coverage(names, failed):
    """Prints it; how many places were not reached and nobody has said why."""
    places, reasons, unexplained = call_places(names), rows("unreached"), 0
    reached = [place for place in places if place in failed]
    print(f"{len(reached)} of {len(places)} places in our objects were failed")
    why = collections.defaultdict(list)
    for place in sorted(set(places) - set(reached), key=places.get):
        text = places[place]
        why[next((reason for pattern, reason in reasons if pattern.search(text)), "")].append(text)
    for reason, texts in sorted(why.items()):
        print(f"  {len(texts)} not reached: {reason or 'NOBODY HAS SAID WHY'}: {'; '.join(texts)}")
        unexplained += len(texts) if not reason else 0
    return unexplained


class Torture:
    """One scene: its points, and what came of them."""

    def __init__(self, scene, names, options):
        self.scene, self.names, self.options = scene, names, options
        self.lock, self.results, self.failures = threading.Lock(), collections.Counter(), []
        self.excused, self.missed, self.failed_places = collections.Counter(), [], set()
        self.faults = rows("library-faults")

    def learn(self):
        """The sites that every run comes by; a run that is not disturbed tells what answers there are."""
        parent, sites = Parent(self.scene.args), {}
        for turn in range(2):
            run = Run(parent, self.scene.template)
            try:
                outcome, problem = self.cycle(run)
                if problem:
                    raise SystemExit(f"{self.scene.name}, with nothing failing: {problem}\n{run.text('err')[-4000:]}")
                _, seen = read_board(os.path.join(run.folder, "board"), self.names.calls)
            finally:
                run.remove()
            found = {site.key: site for site in seen}
            for key in list(sites):
                if key in found:
                    sites[key].count = min(sites[key].count, found[key].count)
                else:
                    del sites[key]
            sites = sites or (found if turn == 0 else {})
        parent.close()
        return list(sites.values())

    def points(self, sites):
        """One of each place first, then the next one of each: a sample sees as many places as it has points."""
        turns = collections.defaultdict(list)
        depth = collections.Counter()
        sites = [site for site in sites if not any("libasan" in self.names.module(module) for module, _ in site.frames)]
        for site in sorted(sites, key=lambda site: (site.call, site.frames, site.key)):
            for nth in range(1, min(site.count, self.options.each if site.ours() else 1) + 1):
                for how in HOWS[site.call]:
                    if not site.ours() and self.options.libraries and depth[site.place()] >= self.options.libraries:
                        break
                    turns[depth[site.place()], not site.ours()].append(Point(site, nth, how, self.options.times))
                    depth[site.place()] += 1
        for turn in turns.values():
            random.Random(1).shuffle(turn)
        ordered = sorted(turns, key=lambda turn: (turn[1] and turn[0] >= 2, turn[0], turn[1]))
        points = [point for turn in ordered for point in turns[turn]]
        if self.options.only:
            points = [point for point in points if self.options.only in self.tell(point)]
        return points[:self.options.sample] if self.options.sample else points

    def tell(self, point):
        return f"{point}\n    " + "\n    ".join(self.names.tell(point.site.frames))

    def cycle(self, run):
        """(what happened, what is wrong or None); the process has ended then."""
        outcome = problem = None
        try:
            outcome = copy.copy(self.scene).cycle(run)
        except Mismatch as wrong:
            problem = str(wrong)
        if not run.end() and not problem:
            problem = "had to be killed"
        log = run.text("err")
        if SANITIZER.search(log):
            at = SANITIZER.search(log).start()
            problem = (problem or "") + "\n" + log[max(0, at - 200):at + 6000]
        return outcome, problem

    def one(self, parent, point):
        """One point; a second time where it did not come by."""
        for _ in range(2):
            run = Run(parent, self.scene.template, point)
            try:
                outcome, problem = self.cycle(run)
                hit, log = run.hit(), run.text("err")
            finally:
                run.remove()
            if problem or hit:
                break
        if problem and "LeakSanitizer" in problem:
            problem = self.whole_stacks(point) or problem
        with self.lock:
            if problem:
                self.fail(point, problem, log)
            elif not hit:
                self.missed.append(point)
            else:
                self.results[outcome] += 1
            if hit:
                self.failed_places.add(point.site.place())

    def whole_stacks(self, point):
        """The same once more, slowly: who allocated what leaks is known beyond the first frame of a library."""
        parent = Parent(self.scene.args, slow=True)
        run = Run(parent, self.scene.template, point)
        try:
            return self.cycle(run)[1]
        finally:
            run.remove()
            parent.close()

    def fail(self, point, problem, log):
        stack = self.tell(point)
        for pattern, reason in self.faults:
            if pattern.search(stack + "\n" + problem):
                self.excused[reason] += 1
                return
        self.failures.append((point, problem))
        last = "\n".join(line[:300] for line in log.splitlines()[-6:])
        print(f"FAILED {stack}\n  {problem[:5000]}\n  log:\n{last}\n", flush=True)

    def work(self, queue):
        parent = Parent(self.scene.args)
        try:
            while True:
                with self.lock:
                    if not queue or STOP.is_set():
                        return
                    point = queue.popleft()
                    left = len(queue)
                try:
                    self.one(parent, point)
                except Exception as wrong:  # pylint: disable=broad-except
                    if STOP.is_set():
                        return
                    with self.lock:
                        self.failures.append((point, repr(wrong)))
                        print(f"FAILED {point}: {wrong!r}", flush=True)
                    parent.close()
                    parent = Parent(self.scene.args)
                if left % 100 == 0:
                    print(f"  {left} to go, {len(self.failures)} failed", flush=True)
        finally:
            parent.close()


def stop():
    """Ends what is still under way, so that nothing is made in the folder any more."""
    STOP.set()
    Parent.end_all()
    for thread in threading.enumerate():
        if thread.daemon and thread is not threading.current_thread():
            thread.join(2)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--each", type=int, default=4, help="calls of one of our stacks that fail, one after the other")
    parser.add_argument("--times", type=int, default=1, help="it fails so many times in a row")
    parser.add_argument("--libraries", type=int, default=6, help="stacks of one place in a library; 0: all")
    parser.add_argument("--scene", default="")
    parser.add_argument("--only", default="")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    names, good, bad, failed = Names(), 0, 0, set()
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # each run has a folder of its own
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="mlgate-torture-", dir=memory, ignore_cleanup_errors=True))
        stack.callback(stop)  # before the folder goes
        for kind in scenes.SCENES:
            if options.scene not in ("", kind.name):
                continue
            begun = time.monotonic()
            scene = kind(folder)
            torture = Torture(scene, names, options)
            sites = torture.learn()
            points = torture.points(sites)
            places = {site.place() for site in sites}
            ours = {site.place() for site in sites if site.ours()}
            print(f"{kind.name}: {len(sites)} sites at {len(places)} places, {len(ours)} of them ours; {len(points)} points",
                  flush=True)
            if options.list:
                for point in points:
                    print(torture.tell(point))
                continue
            queue = collections.deque(points)
            scene_workers = [threading.Thread(target=Torture.work, args=(torture, queue), daemon=True)
                             for _ in range(options.workers)]
            for worker in scene_workers:
                worker.start()
            for worker in scene_workers:
                worker.join()
            for outcome, count in sorted(torture.results.items()):
                print(f"  {count} {outcome}")
            for reason, count in sorted(torture.excused.items()):
                print(f"  {count} excused: {reason}")
            print(f"  {len(torture.missed)} did not come by a second time, {len(torture.failures)} failed; "
                  f"{len(torture.failed_places)} places, {len(torture.failed_places & ours)} ours; "
                  f"{time.monotonic() - begun:.0f} s")
            good += sum(torture.results.values())
            bad += len(torture.failures)
            failed |= torture.failed_places
            scene.close_peers()
    if not (options.sample or options.only or options.scene or options.list):
        bad += tell_coverage(names, failed)
    print(f"{good} passed, {bad} failed")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
