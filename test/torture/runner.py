"""Runs mlgate with one call failing: points, processes that are forked for each, and what they left."""
import errno
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import harness  # noqa: E402

PROGRAM = os.path.join(harness.BUILD, "torture", "torture")
FRAMES, SITES, SHORT = 20, 65536, 1000
SITE = struct.Struct(f"<QII{FRAMES}I{FRAMES}Q")
HEAD = struct.Struct("<IIII")

E = errno
NO_MEMORY, NO_FILE = (E.ENOMEM,), (E.EMFILE, E.ENOMEM)
EAI_AGAIN, EAI_MEMORY = -3, -10
# What each call is made to fail with, in turn.
HOWS = {
    "malloc": NO_MEMORY, "calloc": NO_MEMORY, "realloc": NO_MEMORY, "posix_memalign": NO_MEMORY, "reallocarray": NO_MEMORY,
    "strdup": NO_MEMORY, "strndup": NO_MEMORY, "aligned_alloc": NO_MEMORY, "mmap": NO_MEMORY, "mmap64": NO_MEMORY,
    "accept": (E.EMFILE, E.ECONNABORTED, E.EINTR), "accept4": (E.EMFILE, E.ECONNABORTED, E.EINTR), "access": (E.EACCES,),
    "bind": (E.EADDRINUSE,), "connect": (E.ECONNREFUSED, E.EINTR), "dup": NO_FILE, "eventfd": NO_FILE, "fchmod": (E.EPERM,),
    "fgets": (E.EIO,), "flock": (E.ENOLCK, E.EINTR), "fopen": NO_FILE, "fopen64": NO_FILE, "fstat": (E.EIO,), "fstat64": (E.EIO,),
    "fsync": (E.EIO,), "getpeername": (E.ENOTCONN,), "getrandom": (E.EINTR, E.ENOSYS), "getrlimit": (E.EINVAL,),
    "getrusage": (E.EINVAL,), "getsockname": (E.ENOBUFS,), "getsockopt": (E.ENOBUFS,), "inotify_add_watch": (E.ENOSPC, E.ENOENT),
    "inotify_init1": NO_FILE, "listen": (E.EADDRINUSE,), "lstat": (E.EIO,), "mkdir": (E.ENOSPC,), "mkstemp": (E.EMFILE,),
    "nanosleep": (E.EINTR,), "opendir": NO_FILE, "pipe": NO_FILE, "pipe2": NO_FILE, "poll": (E.EINTR, E.ENOMEM),
    "pthread_key_create": (E.EAGAIN,), "readdir": (E.EIO,), "readdir64": (E.EIO,), "recvmsg": (E.ECONNRESET, E.EINTR),
    "rename": (E.ENOSPC,), "renameat": (E.ENOSPC,), "sendmsg": (E.ECONNRESET, E.EINTR), "setsockopt": (E.ENOBUFS,),
    "shutdown": (E.ENOTCONN,), "sigwaitinfo": (E.EINTR,), "socket": NO_FILE, "socketpair": NO_FILE, "stat": (E.EIO, E.ENOENT),
    "stat64": (E.EIO,), "unlink": (E.EACCES,), "unlinkat": (E.EACCES,), "getaddrinfo": (EAI_AGAIN, EAI_MEMORY),
    "pthread_create": (E.EAGAIN,), "read": (E.EIO, E.EINTR, SHORT), "pread": (E.EIO, E.EINTR, SHORT),
    "recv": (E.ECONNRESET, E.EINTR, SHORT), "send": (E.ECONNRESET, E.EINTR, SHORT), "write": (E.ENOSPC, E.EINTR, SHORT),
    "open": NO_FILE, "open64": NO_FILE, "openat": NO_FILE, "fcntl": (E.EMFILE,), "fcntl64": (E.EMFILE,),
    "close": (E.EIO, E.EINTR),
}


def how_word(how):
    return "short" if how == SHORT else errno.errorcode.get(how, f"EAI {how}")


class Names:
    """The numbers that a board has for calls and modules."""

    def __init__(self):
        self.calls, self.modules = [], []
        for line in subprocess.run([PROGRAM, "--names"], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines():
            kind, _, name = line.partition(" ")
            (self.calls if kind == "call" else self.modules).append(name)
        self.cache = {}

    def module(self, number):
        return os.path.basename(self.modules[number]) or "mlgate" if number < len(self.modules) else "?"

    def tell(self, frames):
        """FUNCTION FILE:LINE of each frame, as far as it can be known."""
        missing = {}
        for module, offset in frames:
            if offset and (module, offset) not in self.cache:
                missing.setdefault(module, []).append(offset)
        for module, offsets in missing.items():
            path = PROGRAM if module == 0 else self.modules[module] if module < len(self.modules) else ""
            out = subprocess.run(["addr2line", "-Cfse", path, *[hex(offset - 1) for offset in offsets]], check=False,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.splitlines()
            for i, offset in enumerate(offsets):
                function, place = (out[2 * i], out[2 * i + 1].split(" ")[0]) if len(out) > 2 * i + 1 else ("??", "")
                known = place if not place.startswith("??") else self.module(module)
                self.cache[module, offset] = f"{function} {known}" if function != "??" else f"{known}+{offset:#x}"
        return [self.cache[module, offset] for module, offset in frames if offset]


class Site:
    """A call from one stack."""

    def __init__(self, key, number, call, count, frames):
        self.key, self.number, self.call, self.count, self.frames = key, number, call, count, frames

    def ours(self):
        return self.frames[0][0] == 0

    def place(self):
        return (self.call, *self.frames[0])


def read_board(path, calls):
    """(hit, sites)."""
    with open(path, "rb") as file:
        data = file.read()
    hit, full, _, size = HEAD.unpack_from(data)
    if size == 0:
        return bool(hit), []
    assert size == SITE.size and not full, f"{path}: rows of {size} bytes, full: {full}"
    sites = []
    for at in range(HEAD.size, HEAD.size + SITES * SITE.size, SITE.size):
        if data[at:at + 8] == bytes(8):
            continue
        key, call, count, *rest = SITE.unpack_from(data, at)
        sites.append(Site(key, call, calls[call], count, list(zip(rest[:FRAMES], rest[FRAMES:]))))
    return bool(hit), sites


class Point:
    """One call that fails."""

    def __init__(self, site, nth, how, times=1):
        self.site, self.nth, self.how, self.times = site, nth, how, times

    def __str__(self):
        return f"{self.site.call} {how_word(self.how)} #{self.nth} {self.site.key:016x}"


class Parent:
    """The process that all of one worker are forked from."""

    living = set()

    def __init__(self, args, slow=False):
        environment = harness.environment({
            "ASAN_OPTIONS": "exitcode=99:handle_abort=1:detect_stack_use_after_return=1:"
                            f"detect_leaks=1:fast_unwind_on_malloc={int(not slow)}",
            "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=99", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"})
        self.args, self.process = args, None
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen([PROGRAM, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
                                        bufsize=0)
        self.rest = b""
        Parent.living.add(self.process)

    def line(self, seconds):
        """The next line, or None."""
        end = time.monotonic() + seconds
        while b"\n" not in self.rest:
            if not select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                return None
            piece = os.read(self.process.stdout.fileno(), 4096)
            if not piece:
                raise RuntimeError("the parent of all has ended")
            self.rest += piece
        line, _, self.rest = self.rest.partition(b"\n")
        return line.decode()

    @staticmethod
    def end_all():
        """At once, with what was forked from them."""
        for process in list(Parent.living):
            process.kill()
            process.wait()

    def close(self):
        Parent.living.discard(self.process)
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Run:
    """One process with one failing call, in a folder of its own."""

    def __init__(self, parent, template, point=None):
        self.parent, self.point = parent, point
        self.folder = tempfile.mkdtemp(prefix="run-", dir=os.path.dirname(template))
        os.rmdir(self.folder)
        shutil.copytree(template, self.folder, symlinks=True)
        self.status = None
        line = f"{self.folder} 0 0 0 0 0 0 0\n"
        if point:
            module, offset = point.site.frames[0]
            which = f"{point.site.key:x} {point.site.number} {module} {offset:x}"
            line = f"{self.folder} {which} {point.nth} {point.times} {point.how}\n"
        os.write(parent.process.stdin.fileno(), line.encode())
        self.pid = int(parent.line(20).split()[1])

    def ended(self, seconds=0.0):
        if self.status is None:
            line = self.parent.line(seconds)
            if line is not None:
                self.status = int(line.split()[1])
        return self.status is not None

    def signal(self, number):
        if not self.ended():
            os.kill(self.pid, number)

    def end(self):
        """Makes sure of it; True: it had not to be killed."""
        if self.ended(0):
            return True
        self.signal(signal.SIGABRT)
        if not self.ended(20):
            self.signal(signal.SIGKILL)
            self.ended(20)
        return False

    def text(self, name):
        try:
            with open(os.path.join(self.folder, name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def hit(self):
        try:
            with open(os.path.join(self.folder, "board"), "rb") as file:
                return file.read(4) == b"\1\0\0\0"
        except FileNotFoundError:
            return False

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)
