"""The program under test: started, asked, waited for, stopped.

    lar = Larder(folder, upstreams={"docker.io": reg.url}, limits={"upstream_headers": "1s"})
    reply = lar.get("/v2/library/x/manifests/latest")   # status, headers, body, complete
    p = lar.begin("/v2/library/x/blobs/" + digest)      # the same in the background
    p.head(); p.read(1000); p.done()
    lar.wait_counter("flights_joined", 1)               # the only way to wait for the server
    reply = lar.send("PUT", path, b"...")               # a body, at once; chunk=1000: in chunks
    p = lar.begin(path, {"Transfer-Encoding": "chunked"}, "PATCH")
    p.chunk(b"..."); p.chunk(b""); p.done()             # a body piece by piece
    lar.door(1).get("/v2/")                             # by the second listener

Nothing sleeps: whoever waits does so on an event, a socket, or counters that are asked again.
"""
import hashlib
import http.client
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import threading
import time
from copy import copy

from lmdbfile import Tables, digests

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.abspath(os.environ.get("LARDER", os.path.join(TOP, "build/release/larder")))
VARIANT = os.environ.get("VARIANT", "release")
REPORTS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:",
           "WARNING: ThreadSanitizer", "Assertion")


class Reply:
    """A response as far as it came; `complete` only where its framing was kept to the end."""

    def __init__(self, status, headers, body, complete, error=None):
        self.status, self.headers, self.body = status, headers, body
        self.complete, self.error = complete, error

    def json(self):
        return json.loads(self.body)

    def code(self):
        """The code of an OCI error body, which must be one."""
        assert self.headers["content-type"] == "application/json", self
        return self.json()["errors"][0]["code"]

    def message(self):
        return self.json()["errors"][0]["message"]

    def source(self):
        return self.headers.get("x-larder", "").split(";")[0]

    def __repr__(self):
        shown = self.body[:300] if self.status >= 300 else b""
        return (f"Reply({self.status}, {self.headers}, {len(self.body)} bytes {shown!r}, "
                f"complete={self.complete}, {self.error!r})")


def connect(lar, rcvbuf=None):
    sock = socket.socket()
    if rcvbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    sock.settimeout(50)
    sock.connect(("127.0.0.1", lar.port))
    return sock


class Pending:
    """A request under way; a thread reads its response, unless `read` is false."""

    def __init__(self, lar, path, headers=None, method="GET", read=True, rcvbuf=None):
        self.sock = connect(lar, rcvbuf)
        lines = [f"{method} {path} HTTP/1.1", f"Host: {lar.host}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.method = method
        self.first_byte = threading.Event()
        self.headed = threading.Event()
        self.ended = threading.Event()
        self.changed = threading.Condition()
        self.parts, self.count = [], 0
        self.status, self.headers = None, {}
        self.complete, self.error = False, None
        self.thread = threading.Thread(target=self._run, daemon=True)
        if read:
            self.thread.start()

    def push(self, data):
        """Some bytes of the body as they are; false where the server has hung up."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def chunk(self, data):
        """The next chunk of the body; none, b"", is its end."""
        return self.push(b"%x\r\n%s\r\n" % (len(data), data))

    def go_on(self):
        """Begins to read what was asked for with read=False."""
        self.thread.start()

    def _run(self):
        try:
            self._read()
        except (OSError, http.client.HTTPException, ValueError) as error:
            # Its frames would hold the connection open.
            self.error = error.with_traceback(None)
        with self.changed:
            self.headed.set()
            self.ended.set()
            self.changed.notify_all()

    def _read(self):
        response = http.client.HTTPResponse(self.sock, method=self.method)
        response.begin()
        self.status = response.status
        self.headers = {name.lower(): ", ".join(response.headers.get_all(name))
                        for name in response.headers}
        self.headed.set()
        while data := response.read1(64 * 1024):
            with self.changed:
                self.parts.append(data)
                self.count += len(data)
                self.first_byte.set()
                self.changed.notify_all()
        # read1() ends early and silently where the body is shorter than its length.
        self.complete = response.length in (0, None) or self.method == "HEAD"

    @property
    def body_so_far(self):
        with self.changed:
            return b"".join(self.parts)

    def head(self, timeout=20):
        assert self.headed.wait(timeout), "no response head"
        return Reply(self.status, self.headers, b"", False, self.error)

    def read(self, n, timeout=20):
        """Waits until n bytes of the body have come, and gives them."""
        with self.changed:
            self.changed.wait_for(lambda: self.count >= n or self.ended.is_set(), timeout)
            body = b"".join(self.parts)
        assert len(body) >= n, f"{len(body)} bytes, not {n}: {self.error}"
        return body[:n]

    def done(self, timeout=50):
        assert self.ended.wait(timeout), f"not done after {self.count} bytes"
        self.sock.close()
        return Reply(self.status, self.headers, b"".join(self.parts), self.complete, self.error)

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def reset(self):
        """Gone by an RST. The reader's thread holds the connection open: it has to end first."""
        self.sock.shutdown(socket.SHUT_RD)
        if self.thread.is_alive():
            self.thread.join(10)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class StartFailed(AssertionError):
    """It ended, or does not say that it listens."""


class Larder:
    """One server with a data directory of its own, which outlives stop(), kill() and start()."""

    def __init__(self, folder, upstreams=None, limits=None, config=None, args=(), env=None,
                 start=True, data=None):
        self.folder = folder
        self.data = str(data or folder / "data")
        self.config = dict(config or {})
        if limits:
            self.config["limits"] = limits
        self.upstreams = upstreams or {}
        self.args = list(args)
        self.env = env or {}
        self.process = None
        self.ended_well = False
        self.host, self.port, self.url = None, None, None
        self.doors = []
        self.events, self.access = "", []
        self._threads = []
        if start:
            self.start()

    # --- its life --------------------------------------------------------------------------------

    def command(self):
        path = self.folder / "larder.json"
        path.write_text(json.dumps(self.config))
        command = [PROGRAM, "serve", "--config", str(path), "--data", self.data, *self.args]
        if "listen" not in self.config:
            command += ["--listen", "127.0.0.1:0"]
        for name, url in self.upstreams.items():
            command += ["--upstream", f"{name}={url}"]
        return command

    def start(self):
        self.ended_well = False
        self.host, self.port, self.url = None, None, None
        self.doors = []
        self.process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                        env={**os.environ, **self.env}, errors="replace")
        ready = threading.Event()
        self._threads = [
            threading.Thread(target=self._take_events, args=(self.process, ready), daemon=True),
            threading.Thread(target=self._take_access, args=(self.process,), daemon=True)]
        for thread in self._threads:
            thread.start()
        if not ready.wait(30) or not self.port:
            raise StartFailed(self.events)
        return self

    def _take_events(self, process, ready):
        for line in process.stderr:
            self.events += line
            if match := re.search(r"listening on (https?://(\S+:(\d+)))(,|$)", line):
                self.url, self.host, self.port = match[1], match[2], int(match[3])
                self.doors.append((self.host, self.port))
            if "control socket" in line:
                ready.set()
        ready.set()

    def _take_access(self, process):
        for line in process.stdout:
            self.access.append(line.rstrip("\n"))

    def _over(self, timeout):
        status = self.process.wait(timeout)
        for thread in self._threads:
            thread.join(10)
        self.process = None
        return status

    def stop(self, timeout=60):
        """SIGTERM, and all that is under way comes to its end; the exit status must be 0."""
        self.process.send_signal(signal.SIGTERM)
        status = self._over(timeout)
        assert status == 0, f"exit status {status}:\n{self.events[-6000:]}"
        self.ended_well = True

    def kill(self):
        self.process.kill()
        self._over(10)

    # --- asking ----------------------------------------------------------------------------------

    def begin(self, path, headers=None, method="GET", **more):
        return Pending(self, path, headers, method, **more)

    def get(self, path, headers=None, method="GET", timeout=50):
        return self.begin(path, headers, method).done(timeout)

    def head(self, path, headers=None):
        return self.get(path, headers, method="HEAD")

    def send(self, method, path, body=b"", headers=None, chunk=0):
        """A request with a body, in chunks of so many bytes where `chunk` says so. What the
        server answers before it has taken all of it counts."""
        said = {"Transfer-Encoding": "chunked"} if chunk else {"Content-Length": len(body)}
        p = self.begin(path, {**said, **(headers or {})}, method)
        if not chunk:
            p.push(body)
            return p.done()
        for at in range(0, len(body), chunk):
            if not p.chunk(body[at:at + chunk]):
                return p.done()
        p.chunk(b"")
        return p.done()

    def delete(self, path, headers=None):
        return self.get(path, headers, method="DELETE")

    def door(self, number):
        """The same server by its listener of that number, from 0, in the order of `listen`."""
        other = copy(self)
        other.host, other.port = self.doors[number]
        other.url = f"http://{other.host}"
        return other

    def raw(self, data, timeout=5):
        """Sends these bytes and gives all that the server answers until it closes, or says
        nothing for `timeout` seconds; and whether it closed."""
        with connect(self) as sock:
            sock.sendall(data)
            return drain(sock, timeout)

    def counters(self):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(os.path.join(self.data, "control.sock"))
            sock.sendall(b"GET /-/counters HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            response = http.client.HTTPResponse(sock)
            response.begin()
            return json.loads(response.read())

    def counter(self, name):
        return self.counters()[name]

    def wait_counter(self, name, at_least, timeout=20):
        self.wait(lambda: self.counter(name) >= at_least, f"{name} >= {at_least}", timeout)

    def wait(self, condition, what, timeout=20):
        """Asks again until it is so; only for what no event tells."""
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"never: {what}\n{self.events[-3000:]}"
            select.select([], [], [], 0.005)

    def lines(self, n, timeout=10):
        """The access log once it has n lines."""
        self.wait(lambda: len(self.access) >= n, f"{n} lines in the access log", timeout)
        return self.access

    # --- what it keeps ---------------------------------------------------------------------------

    def kept(self):
        """Digests of the blobs in the store, whose files must be what their names say."""
        found = set()
        for folder, _, names in os.walk(os.path.join(self.data, "blobs")):
            for name in names:
                algorithm = os.path.basename(os.path.dirname(folder))
                with open(os.path.join(folder, name), "rb") as file:
                    digest = hashlib.new(algorithm, file.read()).hexdigest()
                assert digest == os.path.basename(folder) + name, f"{folder}/{name} is wrong"
                found.add(f"{algorithm}:{digest}")
        return found

    def ingests(self):
        return os.listdir(os.path.join(self.data, "ingest"))

    def finish(self):
        """What must hold at the end of every test."""
        if self.process:
            self.stop()
        for word in REPORTS:
            assert word not in self.events, self.events[-8000:]
        if os.path.isdir(os.path.join(self.data, "blobs")):
            kept = self.kept()
            if self.ended_well:
                self.check_index(kept)

    def check_index(self, kept):
        """The index names no file that is missing; after a stop that the server itself counts as
        clean there is no file either that it does not name. One that came between the renaming of
        a blob and its record is told in the log, and the next start adopts the file."""
        index = os.path.join(self.data, "index")
        blobs = digests(index, "blobs")
        partials = {digest.replace(":", "-") for digest in digests(index, "partials")}
        with Tables(index) as tables:
            uploads = {"upload-" + key.decode() for key in tables.keys("uploads")}
        files = set(self.ingests()) - uploads
        assert blobs <= kept and partials <= files, (blobs - kept, partials - files)
        if "does not count as clean" not in self.events.rpartition("stopping:")[2]:
            assert blobs == kept and partials == files, (kept - blobs, files - partials)


class Stuck:
    """A fault point where a call that begins between begin() and go_on() takes until then, and
    fails. For the environment of one server."""

    def __init__(self, folder, point):
        self.point, self.file = point, folder / "stuck"
        self.env = {"FAULT": f"{point}:1:hold", "FAULT_WHEN": str(self.file)}

    def begin(self):
        self.file.touch()

    def reached(self, lar):
        lar.wait(lambda: f"fault {self.point} 1\n" in lar.events, f"a call at {self.point}")

    def go_on(self):
        self.file.unlink()


def drain(sock, timeout=5):
    """All bytes until the peer closes or is silent for so long; and whether it closed."""
    sock.settimeout(timeout)
    got = b""
    try:
        while data := sock.recv(64 * 1024):
            got += data
        return got, True
    except TimeoutError:
        return got, False
    except ConnectionResetError:
        return got, True


def fill(folder, leave):
    """Takes all of the file system but so much."""
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    with open(folder / "filler", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free - leave))


def check_never_whole(replies, wrong):
    """No client got all bytes of `wrong`, by one response or by putting several together."""
    together = bytearray(len(wrong))
    for reply in replies:
        if reply.status not in (200, 206):
            continue
        assert reply.body != wrong, "a client got all of a wrong blob"
        start = 0
        if "content-range" in reply.headers:
            start = int(re.match(r"bytes (\d+)-", reply.headers["content-range"])[1])
        together[start:start + len(reply.body)] = b"\1" * len(reply.body)
    assert not all(together), "clients together got all of a wrong blob"
