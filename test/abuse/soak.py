#!/usr/bin/python3
"""make soak   hours in minutes: certificates rotate and policies change every 100 ms, rows of abuse take turns, and valid reviews
come all the while, on kept connections and on new ones. None may fail or be answered wrong, and memory and descriptors of the
last minute are those of the minute after every row had its third turn.

soak.py [SECONDS]   600 where nothing is said. RATE: reviews a second on kept connections at most, 2000. With a VARIANT other than
release, 300, and memory is not judged, nor how soon files that change all the while can be read in one piece."""
import os
import statistics
import sys
import tempfile
import threading
import time
import traceback

import rows_connections as connections
import rows_http as http
import rows_process as process
import rows_reviews as reviews
import scene as base
from abuse import Scene
from scene import MIB, Mismatch, Mounted, Victim

LINE = 10  # seconds between two lines
WARM = 3  # turns of all rows, after which memory is what it will be
FULL = 1_000_000, 600  # reviews that are due in so many seconds
ROWS = [connections.silent, connections.handshakes, connections.slow_requests, connections.storm, http.too_much_head,
        http.lengths, http.codings, http.chunked, http.pipelined, http.grammar_all, http.targets, http.expectations, http.large,
        connections.half_closed, reviews.hostile_json, reviews.malformed, reviews.numbers, http.wrong_reviews,
        connections.gone_or_deaf, reviews.logs]


class Abuser(threading.Thread):
    """One row after the other."""

    def __init__(self, scene, released):
        super().__init__()
        self.scene, self.done, self.rows, self.wrong = scene, threading.Event(), 0, []
        # Who never reads is given time by the clock, in which a sanitizer's build has not even answered.
        self.list = ROWS if released else [row for row in ROWS if row is not connections.gone_or_deaf]

    def run(self):
        while not self.done.is_set():
            row = self.list[self.rows % len(self.list)]
            try:
                row(self.scene)
            except Mismatch as wrong:
                self.wrong.append(f"row {row.__name__}: {wrong}")
            except Exception:  # pylint: disable=broad-except
                self.wrong.append(f"row {row.__name__}: {traceback.format_exc()}")
            self.rows += 1


class Turner(threading.Thread):
    def __init__(self, gate, folder):
        super().__init__()
        self.turning, self.done = process.Turning(gate, folder), threading.Event()

    def run(self):
        while not self.done.is_set():
            self.turning.run(1)


class Totals:
    def __init__(self):
        self.reviews, self.why, self.samples, self.answers = 0, {}, [], [0, 0]

    def add(self, windows, gate, warm=True):
        worst = 0
        if not warm:
            self.samples = []
        for window in windows:
            self.reviews += window["kept"]["n"] + window["newcomers"]["n"]
            self.answers = [a + b for a, b in zip(self.answers, window["answers"])]
            worst = max(worst, window["kept"]["p99"])
            for name, number in window["why"].items():
                self.why[name] = self.why.get(name, 0) + number
        self.samples.append((gate.resident(), gate.fds()))
        return worst

    def line(self, seconds, worst, generation, abuser):
        resident, fds = self.samples[-1]
        print(f"{seconds:4.0f} s: {self.reviews} reviews, failed {self.why or 0}, p99 {worst:.1f} ms, {resident / MIB:.1f} MiB, "
              f"{fds} descriptors, generation {generation}, {abuser.rows} rows, {len(abuser.wrong)} not as due", flush=True)

    def drift(self):
        """The least of a minute is what stays: (first, last) of memory and of descriptors, and what is wrong with them."""
        if len(self.samples) < 4:
            return "too short for memory to be judged: not every row had a turn", []
        size = min(6, len(self.samples) // 2)
        first, last = self.samples[:size], self.samples[-size:]
        memory, fds = [[min(sample[i] for sample in part) for part in (first, last)] for i in (0, 1)]
        wrong = []
        if memory[1] > memory[0] * 1.1 + 2 * MIB:
            wrong.append("memory grows")
        if fds[1] > fds[0] + 2:
            wrong.append("descriptors grow")
        middle = [statistics.median(sample[0] for sample in part) / MIB for part in (first, last)]
        return (f"least of the first warm minute and of the last one: {memory[0] / MIB:.1f} and {memory[1] / MIB:.1f} MiB "
                f"(median {middle[0]:.1f} and {middle[1]:.1f}), {fds[0]} and {fds[1]} descriptors"), wrong


def scene_of(folder, gate, victim):
    """Other attacks, reloads and rotations run beside a row: its times and memory are judged here, not there."""
    scene = Scene(folder, gate, victim, gate)
    scene.gentle = scene.sanitized = True
    base.PATIENCE[0] = 4
    return scene


def soak(folder, seconds, rate, released):
    cases = base.write_cases(folder, [base.BASELINE], [base.BASELINE, base.STRICT])
    totals, wrong = Totals(), []
    with Mounted(folder, extra=["--log-rate", "0"]) as gate:  # the rows look for their denials in the log
        with Victim(cases, [gate.port], -rate, 128) as kept, \
                Victim(cases, [gate.port], -rate // 25, 16, 16) as once:
            abuser, turner = Abuser(scene_of(folder, gate, kept), released), Turner(gate, folder)
            began, generation = time.monotonic(), gate.generation()
            abuser.start()
            turner.start()
            try:
                while (now := time.monotonic() - began) < seconds:
                    time.sleep(min(LINE, seconds - now))
                    worst = totals.add((kept.window(), once.window()), gate, abuser.rows >= WARM * len(ROWS))
                    before, generation = generation, gate.generation()
                    totals.line(time.monotonic() - began, worst, generation, abuser)
                    if released and generation <= before:
                        wrong.append(f"generation stays at {generation}")
            finally:
                abuser.done.set()
                turner.done.set()
                abuser.join()
                turner.join()
            time.sleep(1)
            totals.add((kept.window(), once.window()), gate)
        peak, status = gate.peak(), gate.stop()
        log = gate.whole_log()
    text, drifts = totals.drift()
    wrong += abuser.wrong[:10] + (drifts if released else [])
    wrong += [f"failed {totals.why}"] if totals.why else []
    wrong += [f"exit {status}"] if status != 0 else []
    wrong += base.sanitizer_lines(log)
    wrong += [] if all(totals.answers) else [f"only one set of policies ever answered: {totals.answers}"]
    wrong += [] if generation > 1 else ["no change of policies ever served"]
    due = FULL[0] * seconds / FULL[1]
    wrong += [f"{totals.reviews} reviews, {due:.0f} are due"] if released and totals.reviews < due else []
    print(f"{totals.reviews} reviews ({totals.answers[0]} by one set of policies, {totals.answers[1]} by the other), failed "
          f"{totals.why or 0}; {turner.turning.turns} rotations and changes, generation {generation}; {abuser.rows} rows of "
          f"abuse, {len(abuser.wrong)} not as due; {text}; peak {peak / MIB:.1f} MiB")
    return wrong


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1] else 600
    released = os.environ.get("VARIANT", "release") == "release"
    rate = int(os.environ.get("RATE", "2000" if released else "300"))
    with tempfile.TemporaryDirectory(prefix="mlgate-soak-") as folder:
        wrong = soak(folder, seconds, rate, released)
    for text in wrong:
        print(f"    {text}")
    print(f"soak: {'not ok' if wrong else 'ok'}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
