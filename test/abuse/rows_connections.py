"""Rows 1 to 6, 16 and 23: what is done with connections as such."""
import os
import socket
import ssl
import time
import warnings

from scene import MIB, PATIENCE, POD, Attack, Talk, attack, dial, expect, listen, post, review_of, trust_nobody, wait_until, write

UPDATES = 'mlgate_admission_requests_total{operation="UPDATE"'  # which no victim asks for
HEAD = b"POST /mutate?timeout=10s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 4096\r\n\r\n"


def client_hello():
    """The first flight of a client, without a socket."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trust_nobody().wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def all_ended(name, result, limit_ms):
    expect(result["by_server"] == result["made"] - result["refused"] and result["refused"] == 0,
           f"{name}: not all were ended by the server: {result}")
    expect(result["greatest_ms"] < limit_ms + 3000 * (PATIENCE[0] - 1), f"{name}: one lived {result['greatest_ms']} ms")
    return f"{name}: {result['made']} ended after {result['least_ms']} to {result['greatest_ms']} ms"


def silent(scene):
    """1"""
    result = attack(scene.target, count=1024, rate=125 if scene.gentle else 1000, hold=20000)
    return all_ended("silent", result, 5800)


def handshakes(scene):
    """2"""
    hello = client_hello()
    one = write(f"{scene.folder}/hello", hello)
    rubbish = write(f"{scene.folder}/rubbish", os.urandom(600))
    plain = write(f"{scene.folder}/plain", post())
    log = scene.target.log_size()
    with Attack(scene.target, count=64, file=one, first=0, drip=1000, hold=20000) as slow:
        said = [all_ended("garbage", attack(scene.target, count=64, file=rubbish, rate=200, hold=20000), 5800),
                all_ended("plain HTTP", attack(scene.target, count=64, file=plain, rate=200, hold=20000), 5800)]
        said.append(odd_handshakes(scene, hello))
        said.append(all_ended("a byte a second", slow.result(), 5800))
    lines = scene.target.whole_log(log)
    lines = [line for line in lines.split(b"\n") if line and b'"denied"' not in line]
    expect(len(lines) <= 50, f"{len(lines)} lines in the log: {lines[:3]}")
    return "; ".join(said)


def alert_of(port, data):
    """The number of the alert that the bytes bring, or None; and that the server ends it soon."""
    with dial(port, tls=False) as connection:
        connection.sendall(data)
        talk = listen(connection, 6.5 * PATIENCE[0], Talk())
    expect(talk.ended is not None, f"{data[:20]!r}: not ended")
    return talk.raw[6] if len(talk.raw) >= 7 and talk.raw[0] == 21 else None


def old_version(port, version):
    warnings.simplefilter("ignore", DeprecationWarning)  # of the very version that is tried
    context = trust_nobody()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    try:
        with dial(port, context=context):
            return "spoken"
    except ssl.SSLError as wrong:
        return wrong.reason or "ended"
    except OSError:
        return "ended"


def records_of(handshake, size):
    return b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part
                    for part in (handshake[i:i + size] for i in range(0, len(handshake), size)))


def odd_handshakes(scene, hello):
    port, message = scene.target.port, hello[5:]
    old = {old_version(port, version) for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)}
    expect(old <= {"TLSV1_ALERT_PROTOCOL_VERSION", "SSLV3_ALERT_HANDSHAKE_FAILURE", "ended"}, f"old versions: {old}")
    huge = b"\x01" + (200000).to_bytes(3, "big") + b"\x03\x03" + b"h" * 200000
    began = time.monotonic()
    alerts = [alert_of(port, records_of(huge, 16384)), alert_of(port, b"\x16\x03\x01\xff\xff" + b"h" * 65535)]
    expect(time.monotonic() - began < 12 * PATIENCE[0], "two huge ones took longer than two deadlines")
    with dial(port, tls=False) as connection:  # a byte a record: slow or fast, it must end
        for part in (message[i:i + 1] for i in range(len(message))):
            try:
                connection.sendall(records_of(part, 1))
            except OSError:
                break
        talk = listen(connection, 6.5 * PATIENCE[0], Talk())
    expect(talk.ended is not None and talk.ended < 5800 + 3000 * (PATIENCE[0] - 1), "one-byte records: not ended")
    return f"TLS 1.0 and 1.1: {', '.join(sorted(old))}; huge: alerts {alerts}; one-byte records: ended after {talk.ended:.0f} ms"


def slow_requests(scene):
    """3"""
    head = write(f"{scene.folder}/head", b"POST /mutate HTTP/1.1\r\nX: " + b"a" * 60)
    body = write(f"{scene.folder}/body", HEAD + b" " * 4096)
    only = write(f"{scene.folder}/only", HEAD)
    common = {"count": 32, "tls": 1, "rate": 200, "hold": 30000}
    with Attack(scene.target, file=head, first=27, drip=1000, **common) as one, \
            Attack(scene.target, file=body, first=len(HEAD), drip=1000, **common) as two, \
            Attack(scene.target, file=only, **common) as three:
        return "; ".join([all_ended("head", one.result(), 6500), all_ended("body", two.result(), 11500),
                          all_ended("no body", three.result(), 11500)])


def idle(scene):
    """4"""
    count = 10000
    gate = scene.target
    before, fds = gate.resident(), gate.fds()
    with Attack(gate, count=count, tls=1, rate=500, hold=60000) as tool:
        tool.held()
        scene.restart_window()  # the victim beside those that are idle, and not beside their handshakes
        time.sleep(4)
        held = gate.fds() - fds
        each = (gate.resident() - before) / count
        scene.end_window()
        expect(held >= count, f"{held} are held")
        expect(scene.sanitized or each <= 24 * 1024, f"{each / 1024:.1f} KiB for an idle connection")
        tool.process.stdin.close()
        result = tool.result()
    expect(result["by_server"] == 0 and result["refused"] == 0, f"some were ended: {result}")
    wait_until(lambda: gate.fds() < fds + 40, 10, "they are not released")
    return f"{count} idle, {each / 1024:.1f} KiB each"


def limit(scene):
    """5"""
    gate = scene.target
    before, cpu = gate.metric('mlgate_http_connections_ended_total{reason="crowded"}'), gate.cpu()
    request = write(f"{scene.folder}/request", post())
    result = attack(gate, count=300, tls=1, rate=100, file=request, hold=4000)
    crowded = gate.metric('mlgate_http_connections_ended_total{reason="crowded"}') - before
    expect(result["statuses"].get("200", 0) > 250, f"newcomers were not served: {result}")
    expect(crowded >= 200, f"{crowded} ended to make room, of 300 that came to a limit of 64")
    cpu = (gate.cpu() - cpu) / 4
    expect(cpu < 1.2, f"{cpu:.2f} CPUs: it spins")
    return f"300 came to a limit of 64, {result['statuses']} served, {crowded:.0f} ended to make room, {cpu:.2f} CPUs"


def storm(scene):
    """6"""
    gate, share = scene.target, 4 if scene.gentle else 1
    hello = write(f"{scene.folder}/hello", client_hello())
    half = write(f"{scene.folder}/half", HEAD + b" " * 2000)
    fds, residents = gate.fds(), []
    for _ in range(2):
        attack(gate, count=6000 // share, at_once=64, rate=2500 // share, rst=1, hold=10000, **{"await": 0})
        attack(gate, count=2500 // share, at_once=64, rate=800 // share, file=hello, rst=1, hold=10000, **{"await": 1})
        attack(gate, count=1500 // share, at_once=64, rate=350 // share, tls=1, file=half, rst=1, hold=10000, **{"await": 0})
        wait_until(lambda: gate.fds() <= fds + 4, 8, f"{gate.fds()} descriptors, {fds} before")
        residents.append(gate.resident())
    grown = residents[1] - residents[0]
    expect(scene.sanitized or grown < max(residents[0] * 0.05, MIB), f"grew by {grown / 1024:.0f} KiB in the second half")
    return f"{20000 // share} aborted, memory {residents[0] / MIB:.1f} and {residents[1] / MIB:.1f} MiB after each half"


def bodies(scene):
    """16"""
    said = []
    for name, body in (("spaces", b" " * (8 * MIB - 2) + b"{}"), ("small objects", b"[" + b"{}," * (8 * MIB // 3 - 1) + b"{}]")):
        body = body[:8 * MIB]
        request = write(f"{scene.folder}/large", post("/mutate?timeout=10s", body))
        result = attack(scene.target, count=64, tls=1, rate=200, file=request, hold=15000)
        codes = {int(code): count for code, count in result["statuses"].items()}
        # Where more are refused at one time than linger, a client that only sends may miss why.
        expect(set(codes) <= {400, 413, 503} and sum(codes.values()) >= 32 and result["refused"] == 0, f"{name}: {result}")
        peak = scene.target.peak()
        expect(scene.sanitized or peak <= 96 * MIB, f"{name}: {peak / MIB:.1f} MiB")
        said.append(f"{name}: {codes}, peak {peak / MIB:.1f} MiB")
    talk = Talk()
    with dial(scene.target.port) as connection:
        connection.sendall(post(body=review_of(POD)))
        talk = listen(connection, 0.5, talk)
    expect(talk.statuses == [200], f"afterwards: {talk.statuses}")
    return "; ".join(said)


def gone_or_deaf(scene):
    """23"""
    gate = scene.target
    request = write(f"{scene.folder}/request", post("/validate?timeout=10s") * 20)
    one = write(f"{scene.folder}/one", post("/validate?timeout=10s"))
    fds = gate.fds()
    gone = attack(gate, count=300, at_once=32, tls=1, rate=150, file=one, rst=1, hold=8000, **{"await": 0})
    result = attack(gate, count=16, tls=1, rate=100, file=request, deaf=1, hold=30000)
    expect(result["by_server"] == 16, f"who never reads is not ended: {result}")
    wait_until(lambda: gate.fds() <= fds + 4, 8, f"{gate.fds()} descriptors, {fds} before")
    return f"{gone['made']} gone before the answer; {result['made']} who never read ended after {result['least_ms']} to " \
           f"{result['greatest_ms']} ms"


def end_tls(connection):
    """Says goodbye, and waits for no answer to that."""
    connection.settimeout(0.01)
    connection.unwrap()


def half_closed(scene):
    """17"""
    gate, said = scene.target, []
    before = gate.metric(UPDATES)
    data = post(body=review_of(POD, old=POD))
    head, size = data.split(b"\r\n\r\n")[0], len(data)
    longer = head.replace(b"Content-Length: ", b"Content-Length: 9") + data[len(head):]
    for name, end in (("end of TLS", end_tls), ("end of TCP", lambda c: socket.socket.shutdown(c, socket.SHUT_WR))):
        for part, sent in (("a longer body", longer), ("half a body", data[:size - 100]), ("half a head", data[:60])):
            with dial(gate.port) as connection:
                connection.sendall(sent)
                try:
                    end(connection)
                except (OSError, ValueError):
                    pass
                talk = listen(connection, 2 * PATIENCE[0], Talk())
            expect(talk.ended is not None and talk.ended < 1000 * PATIENCE[0], f"{name} in {part}: not ended")
            expect(talk.statuses in ([], [400]), f"{name} in {part}: {talk.statuses}")
            said.append(talk.ended)
    expect(gate.metric(UPDATES) == before, "a review of which a part never came was judged")
    return f"six ended after at most {max(said):.0f} ms, none judged"
