"""What the tests of registries share: certificates, a registry over TLS that does as it is told, images with claimed sizes."""
import contextlib
import gzip
import hashlib
import http.client
import http.server
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)]
import harness  # noqa: E402
import registry_items  # noqa: E402
from harness import SLOW, expect  # noqa: E402

KIB, MIB, GB = 1 << 10, 1 << 20, 10**9
OCI, DOCKER = "application/vnd.oci.image.", "application/vnd.docker."
MANIFEST, INDEX, CONFIG = OCI + "manifest.v1+json", OCI + "index.v1+json", OCI + "config.v1+json"
DOCKER_MANIFEST, DOCKER_LIST = DOCKER + "distribution.manifest.v2+json", DOCKER + "distribution.manifest.list.v2+json"
TAR, GZIP, ZSTD = OCI + "layer.v1.tar", OCI + "layer.v1.tar+gzip", OCI + "layer.v1.tar+zstd"
SAFETENSORS = (80).to_bytes(8, "little") + b'{"__metadata__":{"format":"pt"}}'
SHARD = "models/model-00001-of-00004.safetensors"


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


# --- certificates ----------------------------------------------------------------------------------------------------

def make_certificates(folder):
    """A CA, and a certificate of it for localhost: ca.crt, srv.crt, srv.key."""
    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    with open(f"{folder}/ext", "w", encoding="ascii") as file:
        file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-days", "2", "-subj", "/CN=registry test CA", "-keyout", "ca.key", "-out", "ca.crt")
    openssl("req", *curve, "-subj", "/CN=localhost", "-keyout", "srv.key", "-out", "srv.csr")
    openssl("x509", "-req", "-in", "srv.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "ext", "-out", "srv.crt")


# --- bytes of layers -------------------------------------------------------------------------------------------------

def checksummed(head):
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


def tar_head(name, size, kind=b"0"):
    """The header of one file, as ustar has it; sizes of 8 GiB and more in base 256."""
    head = bytearray(512)
    head[0:len(name)] = name.encode()
    head[100:108], head[108:116], head[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    head[124:136] = b"%011o\0" % size if size < 8 << 30 else b"\x80" + size.to_bytes(11, "big")
    head[136:148], head[156:157], head[257:265] = b"00000000000\0", kind, b"ustar\x0000"
    return checksummed(head)


def tar_file(name, data):
    return tar_head(name, len(data)) + data + bytes(-len(data) % 512)


def pax(**records):
    """An extended header for the file after it."""
    data = b""
    for key, value in records.items():
        length = len(key) + len(str(value)) + 3
        while len(f"{length} {key}={value}\n") != length:
            length = len(f"{length} {key}={value}\n")
        data += f"{length} {key}={value}\n".encode()
    return tar_head("PaxHeaders/x", len(data), b"x") + data + bytes(-len(data) % 512)


def noise(size, seed=b"noise"):
    """Bytes that no compressor makes smaller, the same each time."""
    return hashlib.shake_256(seed).digest(size)


def weights(name=SHARD, size=49 * GB // 10):
    """The beginning of a layer with one file of weights."""
    return tar_head("models/", 0, b"5") + tar_file("models/config.json", b'{"architectures":["LlamaForCausalLM"]}') + \
        tar_head(name, size) + SAFETENSORS + noise(300 * KIB)


def zstd(data):
    """A frame of raw blocks."""
    out = b"\x28\xB5\x2F\xFD\x00\x58"
    blocks = [data[i:i + 100 * KIB] for i in range(0, len(data), 100 * KIB)]
    for i, block in enumerate(blocks):
        out += (int(i == len(blocks) - 1) | len(block) << 3).to_bytes(3, "little") + block
    return out


def code(seed=0):
    return gzip.compress(tar_file("app/main.py", b"import torch  # %d\n" % seed) + noise(100 * KIB, b"code%d" % seed), 1, mtime=0)


class Layer:
    """What is claimed of a blob, and its first bytes."""

    def __init__(self, data, size, command, media_type=GZIP, annotations=None):
        self.data, self.size, self.command, self.media_type, self.annotations = data, size, command, media_type, annotations
        self.digest = sha256(data + str(size).encode())

    def row(self):
        row = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        return {**row, "annotations": self.annotations} if self.annotations else row


def cuda_base():
    return [Layer(code(1), 30 * MIB, "/bin/sh -c #(nop) ADD file:0123 in / "),
            Layer(code(2), 2_300 * MIB, "RUN /bin/sh -c apt-get install -y cuda-libraries-12-4 # buildkit"),
            Layer(code(3), 900 * MIB, "RUN /bin/sh -c apt-get install -y libcudnn9 # buildkit")]


def weights_layer(size=49 * GB // 10):
    return Layer(gzip.compress(weights(size=size), 1, mtime=0), size + MIB, "COPY ./weights/ /models/ # buildkit")


# --- the registry ----------------------------------------------------------------------------------------------------

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version, timeout, wbufsize, disable_nagle_algorithm = "HTTP/1.1", 20, 64 * KIB, True

    def setup(self):
        if self.server.tls:
            self.request.settimeout(10)
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass

    def do_GET(self):
        with contextlib.suppress(OSError):
            self.server.stub.answer(self)

    do_HEAD = do_POST = do_GET

    def send(self, status, body=b"", length=None, **headers):
        """A whole reply; keys of headers have _ for -."""
        self.send_response(status)
        for key, value in headers.items():
            for one in value if isinstance(value, list) else [value]:
                self.send_header(key.replace("_", "-"), one)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.write(body)

    def write(self, data):
        self.wfile.write(data)
        with self.server.stub.lock:
            self.server.stub.sent += len(data)


class Quiet(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 128
    tls = stub = None

    def handle_error(self, request, client_address):
        """A client that goes in the middle of a reply, or does not trust the certificate, is no news."""


class Stub:
    """A registry of images with claimed sizes. `twists` by repository may answer instead: called with (handler, kind, what),
    true where they have answered. Everything that was asked is kept."""

    def __init__(self, folder, tls=True):
        self.manifests, self.blobs, self.twists, self.asked = {}, {}, {}, []
        self.delay, self.sent, self.lock, self.stopping = 0.0, 0, threading.Lock(), threading.Event()
        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.server.stub = self
        if tls:
            self.server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.server.tls.load_cert_chain(f"{folder}/srv.crt", f"{folder}/srv.key")
        self.host = f"localhost:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def answer(self, handler):
        with self.lock:
            self.asked.append((handler.command, handler.path, dict(handler.headers)))
        self.stopping.wait(self.delay)
        place = re.match(r"/v2/(.+)/(manifests|blobs)/([^/?]+)$", handler.path)
        name, kind, what = place.groups() if place else ("", "", handler.path)
        twist = self.twists.get(name)
        if twist and twist(handler, kind, what):
            return
        if kind == "manifests" and (name, what) in self.manifests:
            kind_of, body = self.manifests[name, what]
            handler.send(200, body, Content_Type=kind_of, Docker_Content_Digest=sha256(body))
        elif kind == "blobs" and what in self.blobs:
            self.send_blob(handler, what)
        else:
            code_of = "MANIFEST_UNKNOWN" if kind == "manifests" else "BLOB_UNKNOWN"
            handler.send(404, json.dumps({"errors": [{"code": code_of}]}).encode(), Content_Type="application/json")

    def send_blob(self, handler, digest):
        data, size = self.blobs[digest]
        wanted = re.match(r"bytes=(\d+)-(\d+)$", handler.headers.get("Range", ""))
        if not wanted:
            handler.send(200, data, length=size if handler.command == "HEAD" else None, Content_Type="application/octet-stream")
            return
        first, last = int(wanted[1]), min(int(wanted[2]), size - 1)
        if first >= size:
            handler.send(416, Content_Range=f"bytes */{size}")
            return
        part = data[first:last + 1]
        part += bytes(last + 1 - first - len(part))
        handler.send(206, part, Content_Range=f"bytes {first}-{last}/{size}", Content_Type="application/octet-stream")

    # --- what is in it ---

    def blob(self, data, size=None):
        self.blobs[sha256(data)] = (data, len(data) if size is None else size)
        return {"digest": sha256(data), "size": len(data)}

    def put(self, name, tag, body, media_type):
        """A manifest or index, an object or bytes: its descriptor."""
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.manifests[name, tag] = self.manifests[name, sha256(body)] = (media_type, body)
        return {"mediaType": media_type, "digest": sha256(body), "size": len(body)}

    def config(self, layers, history=None, arch="amd64", **more):
        """A descriptor. history: the commands of the layers, if not said."""
        if history is None:
            history = [{"created_by": layer.command} for layer in layers]
        return {"mediaType": CONFIG, **self.blob(json.dumps({
            "architecture": arch, "os": "linux", "config": {}, "history": history,
            "rootfs": {"type": "layers", "diff_ids": [sha256(layer.data) for layer in layers]}, **more}).encode())}

    def manifest(self, layers, config=None):
        for layer in layers:
            self.blobs[layer.digest] = (layer.data, layer.size)
        return {"schemaVersion": 2, "mediaType": MANIFEST, "config": config or self.config(layers),
                "layers": [layer.row() for layer in layers]}

    def image(self, name, layers, tag="1", **config):
        """The reference."""
        self.put(name, tag, self.manifest(layers, self.config(layers, **config) if config else None), MANIFEST)
        return f"{self.host}/{name}:{tag}"

    def requests(self, part, method=None):
        with self.lock:
            return [one for one in self.asked if part in one[1] and method in (None, one[0])]


# --- mlgate ----------------------------------------------------------------------------------------------------------

class Served(harness.Server):
    """One whose end must be a good one: nothing lost, nothing that a sanitizer minds."""

    def __exit__(self, *why):
        status = self.stop()
        expect(why[0] or status == 0, f"serve ended with exit {status}: {self.logged()}")


class Scene:
    """Two registries, the second where the first may lead to, and a folder for policies and credentials."""

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mlgate-registry-"))
            make_certificates(self.folder)
            self.stub = stack.enter_context(Stub(self.folder))
            self.other = stack.enter_context(Stub(self.folder))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.__exit__(None, None, None)

    def write(self, name, text):
        with open(f"{self.folder}/{name}", "w", encoding="utf-8") as file:
            file.write(text if isinstance(text, str) else json.dumps(text))
        return f"{self.folder}/{name}"

    def policy(self, rule="weights: deny", hosts=None, name="policy.yaml", **more):
        """hosts: those that have a Registry document; `more` goes into each."""
        text = ("apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: images}\n"
                f"spec: {{rules: [{{imageSize: {{{rule}}}}}]}}\n")
        for i, host in enumerate([self.stub.host, self.other.host] if hosts is None else hosts):
            spec = {"host": host, "caFile": f"{self.folder}/ca.crt", "timeout": f"{3 * SLOW}s", **more}
            spec = {key: value for key, value in spec.items() if value is not None}
            text += f"---\napiVersion: mlgate.dev/v1\nkind: Registry\nmetadata: {{name: r{i}}}\nspec: {json.dumps(spec)}\n"
        return self.write(name, text)

    def images(self, *references, policy=None, args=(), timeout=60):
        """`mlgate image`: (exit status, images)."""
        status, out, err = harness.run(["image", "--policies", policy or self.policy(), "--format", "json", *args, *references],
                                       env={"HOME": self.folder, "DOCKER_CONFIG": ""}, timeout=timeout)
        expect(status in (0, 1, 3), f"exit {status}: {err}{out}")
        return status, json.loads(out)["images"]

    def image(self, reference, **keys):
        status, [image] = self.images(reference, **keys)
        expect((status == 3) == ("error" in image), f"exit {status}: {image}")
        return image

    def known(self, reference, **keys):
        """One platform of an image that has one."""
        image = self.image(reference, **keys)
        expect("error" not in image and len(image["platforms"]) == 1, f"{image}")
        return image["platforms"][0]

    def why(self, reference, **keys):
        image = self.image(reference, **keys)
        expect("error" in image and not image["platforms"], f"known: {image}")
        return image["error"]

    def check(self, *objects, policy=None, args=()):
        path = self.write("objects.yaml", {"apiVersion": "v1", "kind": "List", "items": list(objects)})
        return harness.check(["--policies", policy or self.policy(), *args, path])

    def server(self, policy=None, extra=()):
        return Served([policy or self.policy()], extra=extra)


def pod(*images, name="p", **spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "ml"},
            "spec": {"containers": [{"name": f"c{i}", "image": image} for i, image in enumerate(images)], **spec}}


def ask(server, obj, path="/validate", timeout="10s", old=None):
    """On a connection of its own: (response, seconds)."""
    trust = ssl.create_default_context(cafile=f"{harness.certificates()}/ca.crt")
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=40, context=trust)
    begun = time.monotonic()
    try:
        connection.request("POST", f"{path}?timeout={timeout}", json.dumps(harness.review(obj, old)),
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        status, body = answer.status, answer.read()
    finally:
        connection.close()
    expect(status == 200, f"HTTP {status}: {body}")
    return json.loads(body)["response"], time.monotonic() - begun


def each(cases):
    """Of one function many tests, each named after its case: called with the case's name and, of a dict, what belongs to it."""
    def mark(function):
        function.cases = list(cases.items()) if isinstance(cases, dict) else [(one,) for one in cases]
        return function

    return mark


def run_all(names, scene_type=Scene, missing=None):
    """Every function test_…(scene) of a module, with one scene for all (scene_type None: with none). missing: why none can be
    run here. At the end, those that registry_items.py promises must have been among them."""
    tap, ran = harness.Tap(), set()
    with scene_type() if scene_type and not missing else contextlib.nullcontext() as scene:
        for name, function in list(names.items()):
            if not name.startswith("test_"):
                continue
            for case in getattr(function, "cases", [()]):
                title = ": ".join([name[5:].replace("_", " "), *case[:1]])
                ran.add(title)
                if missing:
                    tap.skip(title, missing)
                else:
                    tap.run(title, function, *([scene] if scene_type else []), *case)
    promised = registry_items.of(os.path.basename(sys.argv[0]))
    if promised:
        tap.run("tests that registry_items.py names", lambda: expect(not promised - ran, f"not run: {sorted(promised - ran)}"))
    tap.finish()
