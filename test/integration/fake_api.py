"""An API server of a few kinds for tests: lists in pages, watches with bookmarks, and whatever can go wrong with them."""
import json
import os
import re
import select
import socket
import ssl
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402

PATHS = {"/api/v1/namespaces": "Namespace", "/apis/scheduling.k8s.io/v1/priorityclasses": "PriorityClass",
         "/apis/resource.k8s.io/v1beta1/deviceclasses": "DeviceClass",
         "/apis/resource.k8s.io/v1beta1/resourceclaimtemplates": "ResourceClaimTemplate"}


class Connection:
    """One client: requests come in, answers go out, until one side has enough."""

    def __init__(self, api, raw):
        self.api, self.raw, self.stream = api, raw, None

    def run(self):
        try:
            self.raw.settimeout(20)
            self.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.stream = self.api.tls.wrap_socket(self.raw, server_side=True) if self.api.tls else self.raw
            rest = b""
            while not self.api.stopping:
                head, _, rest = self.read_head(rest).partition(b"\r\n\r\n")
                if not head or not self.answer(head.decode("latin-1")):
                    break
        except (OSError, ValueError):
            pass
        finally:
            self.close()

    def read_head(self, rest):
        while b"\r\n\r\n" not in rest and not self.api.stopping:
            ready = (self.api.tls and self.stream.pending()) or select.select([self.stream], [], [], 0.2)[0]
            if ready:
                piece = self.stream.recv(65536)
                if not piece:
                    return b""
                rest += piece
        return rest

    def close(self):
        """At once: what is on its way is lost, as when a process dies."""
        for one in (self.stream, self.raw):
            try:
                if one is not None:
                    one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            if one is not None:
                one.close()
        self.api.connections.discard(self)

    def send(self, data):
        self.stream.sendall(data)

    def reply(self, status, body, more=""):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n{more}\r\n"
        self.send(head.encode() + data)
        return True

    def refuse(self, status, message, more=""):
        return self.reply(status, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "message": message},
                          more)

    def chunk(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def begin_stream(self):
        self.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")

    def answer(self, head):
        target = head.split(" ")[1]
        path, _, query = target.partition("?")
        query = dict(urllib.parse.parse_qsl(query))
        token = re.search(r"(?im)^authorization: bearer (.*?)\r?$", head)
        of, namespace, resource = re.fullmatch(r"(.*?)(?:/namespaces/([^/]+)/([^/]+))?", path).groups()
        kind = self.api.paths.get(f"{of}/{resource}" if resource else path)
        self.api.asked.append((time.monotonic(), path, query))
        self.api.heads.append(head)
        if self.api.token and (not token or token.group(1) != self.api.token):
            return self.refuse(401, "Unauthorized")
        if path in self.api.single:
            return self.reply(*self.api.single[path])
        if kind is None or kind in self.api.absent:
            return self.refuse(404, "the server could not find the requested resource")
        faults = self.api.faults.get((kind, "watch" if "watch" in query else "list"), [])
        if faults:
            return faults.pop(0)(self, query) if len(faults) > 1 or not self.api.lasting else faults[0](self, query)
        return self.watch(kind, query) if "watch" in query else self.list(kind, query, namespace)

    def list(self, kind, query, namespace=None):
        with self.api.changed:
            objects = sorted(item for item in self.api.objects[kind].items() if namespace in (None, item[0][0]))
            version = self.api.version
        begin = int(query.get("continue", "0"))
        end = begin + int(query["limit"])
        meta = {"resourceVersion": str(version)}
        if end < len(objects):
            meta["continue"] = str(end)
        return self.reply(200, {"kind": kind + "List", "metadata": meta, "items": [item for _, item in objects[begin:end]]})

    def watch(self, kind, query):
        if int(query["resourceVersion"]) < self.api.oldest:
            return self.refuse(410, "too old resource version")
        at, bookmark = int(query["resourceVersion"]), time.monotonic() + self.api.bookmarks
        end = time.monotonic() + min(int(query["timeoutSeconds"]), self.api.watch_seconds)
        self.begin_stream()
        while not self.api.stopping and time.monotonic() < end:
            with self.api.changed:
                events = [event for event in self.api.events if event[0] > at and event[1] == kind]
                version = self.api.version  # of before the wait, so that no bookmark skips an event
                if not events:
                    self.api.changed.wait(0.05)
            for number, _, what, item in events:
                self.chunk(json.dumps({"type": what, "object": item}).encode() + b"\n")
                at = number
            if time.monotonic() > bookmark:
                bookmark = time.monotonic() + self.api.bookmarks
                self.chunk(json.dumps({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}).encode()
                           + b"\n")
                at = max(at, version)
        self.send(b"0\r\n\r\n")
        return not self.api.stopping


class Api:
    """The server; used in a with statement. `faults`: (kind, "list" or "watch") -> functions, each for one request."""

    def __init__(self, token="first-token"):
        self.token, self.port, self.version, self.oldest = token, harness.free_port(), 1000, 0
        self.paths = dict(PATHS)  # what else a test has is added by serve
        self.objects = {kind: {} for kind in PATHS.values()}
        self.single = {}  # path -> (status, object or bytes), for a GET of one object
        self.events, self.asked, self.heads, self.faults, self.absent = [], [], [], {}, set()
        self.changed, self.connections = threading.Condition(), set()
        self.bookmarks, self.watch_seconds, self.lasting, self.stopping = 0.5, 600, False, True
        self.listener = self.thread = None
        self.address = "127.0.0.1"
        folder = harness.certificates()
        # None: plain HTTP, as kubectl proxy
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(f"{folder}/tls.crt", f"{folder}/tls.key")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.stopping = False
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.address, self.port))
        self.listener.listen(64)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        listener = self.listener
        while not self.stopping:
            if select.select([listener], [], [], 0.1)[0]:
                connection = Connection(self, listener.accept()[0])
                self.connections.add(connection)
                threading.Thread(target=connection.run, daemon=True).start()

    def stop(self):
        if self.stopping:
            return
        self.stopping = True
        self.thread.join()
        self.listener.close()
        self.drop()

    def drop(self):
        """Every connection breaks off."""
        for connection in list(self.connections):
            connection.close()

    def serve(self, group_version, resources):
        """One more group and version is discovered: {resource: (kind, namespaced)}."""
        path = f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"
        self.single[path] = (200, {"kind": "APIResourceList", "groupVersion": group_version, "resources": [
            {"name": name, "kind": kind, "namespaced": namespaced, "verbs": ["get", "list", "watch"]}
            for name, (kind, namespaced) in resources.items()]})
        for name, (kind, _) in resources.items():
            self.paths[f"{path}/{name}"] = kind
            self.objects.setdefault(kind, {})
        group, _, version = group_version.rpartition("/")
        groups = self.single.setdefault("/apis", (200, {"kind": "APIGroupList", "groups": []}))[1]["groups"]
        known = next((one for one in groups if one["name"] == group), None)
        if group and known is None:
            groups.append(known := {"name": group, "versions": []})
        if group:
            known["versions"].append({"groupVersion": group_version, "version": version})

    def put(self, kind, name, body, namespace=None):
        key = (namespace or "", name)
        with self.changed:
            self.version += 1
            what = "MODIFIED" if key in self.objects[kind] else "ADDED"
            meta = {"name": name, "resourceVersion": str(self.version), "managedFields": [{"manager": "x"}],
                    **body.get("metadata", {})}
            if namespace:
                meta["namespace"] = namespace
            self.objects[kind][key] = {"kind": kind, **body, "metadata": meta}
            self.events.append((self.version, kind, what, self.objects[kind][key]))
            self.changed.notify_all()

    def delete(self, kind, name):
        with self.changed:
            self.version += 1
            gone = self.objects[kind].pop(("", name))
            gone = {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self.version)}}
            self.events.append((self.version, kind, "DELETED", gone))
            self.changed.notify_all()

    def compact(self):
        """Versions up to now are forgotten: a watch from one of them gets 410."""
        with self.changed:
            self.version += 1
            self.oldest = self.version
            self.events.clear()

    def watches(self, path):
        return [(when, query) for when, asked, query in list(self.asked) if asked == path and "watch" in query]

    def lists(self, path):
        return [(when, query) for when, asked, query in list(self.asked) if asked == path and "watch" not in query]
