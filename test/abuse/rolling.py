#!/usr/bin/python3
"""make rolling   SIGTERM at full load beside a second replica, again and again: no review may fail.

rolling.py [TIMES]. The clients choose among the replicas for each new connection, as kube-proxy does, and learn that one ends
some hundred milliseconds after it was told so itself; kept connections stay where they are until the server ends them."""
import os
import random
import signal
import sys
import tempfile
import time

import scene as base
from scene import Gate, Victim, expect

GRACE = 1          # seconds
LAG = (0.05, 0.6)  # until the clients know
LIMIT = GRACE + 4  # seconds from SIGTERM to the end


def settle(gate, clients, others):
    """SIGTERM; the clients know later; exit 0 in time. Returns how long it took."""
    began = time.monotonic()
    gate.process.send_signal(signal.SIGTERM)
    time.sleep(random.uniform(*LAG))
    for client in clients:
        client.ports(*(other.port for other in others))
    status = gate.process.wait(60)
    took = time.monotonic() - began
    expect(status == 0, f"exit {status}: {gate.logged()[-500:]}")
    expect(took < LIMIT, f"gone after {took:.1f} s")
    return took


def roll(folder, times, rate=1500, fresh=120, say=lambda text: None):
    """Returns (reviews, failures by reason, the longest end, the greatest memory)."""
    cases = base.write_cases(folder, [base.BASELINE])
    counts, why, longest, peak = 0, {}, 0, 0
    replicas = [Gate([base.BASELINE], grace=GRACE).__enter__() for _ in range(2)]
    try:
        ports = [gate.port for gate in replicas]
        with Victim(cases, ports, rate, 16) as kept, Victim(cases, ports, fresh, 8, 8) as once:
            time.sleep(0.5)
            for turn in range(times):
                old = replicas.pop(0)
                longest = max(longest, settle(old, (kept, once), replicas))
                old.stop()
                replicas.append(Gate([base.BASELINE], grace=GRACE).__enter__())
                for client in (kept, once):
                    client.ports(*(gate.port for gate in replicas))
                peak = max(peak, replicas[0].peak())
                time.sleep(random.uniform(0, 0.3))
                for window in (kept.window(), once.window()):
                    counts += window["kept"]["n"] + window["newcomers"]["n"]
                    for name, number in window["why"].items():
                        why[name] = why.get(name, 0) + number
                if turn % 10 == 9 or why:
                    say(f"{turn + 1} times: {counts} reviews, failed {why or 0}, the longest end {longest:.2f} s")
    finally:
        for gate in replicas:
            gate.stop()
    return counts, why, longest, peak


def main():
    times = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1] else 100
    with tempfile.TemporaryDirectory(prefix="mlgate-rolling-") as folder:
        counts, why, longest, peak = roll(folder, times, int(os.environ.get("RATE", "1500")),
                                          say=lambda text: print(text, flush=True))
    print(f"{times} times SIGTERM: {counts} reviews, failed {why or 0}; exit 0 after at most {longest:.2f} s; "
          f"at most {peak / base.MIB:.1f} MiB")
    sys.exit(1 if why else 0)


if __name__ == "__main__":
    main()
