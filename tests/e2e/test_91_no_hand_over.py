"""A hand-over that comes to nothing, or that others get in the way of: nobody loses anything by it.

The process that takes over is played by the test itself, which stops wherever that matters.
"""
import array
import base64
import fcntl
import http.client
import os
import signal
import socket
import ssl
import subprocess
import urllib.parse

import pytest
from certificates import Authority
from larder import PROGRAM, StartFailed, Stuck
from push import begin, image_body, offset, put_blob, uploads, with_query
from recount import Index
from registry import MANIFEST, digest_of
from test_64_order import Order, check_promise
from test_82_users import passwd
from test_90_hand_over import (COLD, HOSTED, PARTS, ended, half_fetched, pid_of, put_open, start,
                               successor)

ASK = b"POST /-/take-over HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
UPLOAD = os.path.join("ingest", "upload-")


class Asker:
    """Asks for everything, has it, and then does nothing."""

    def __init__(self, lar):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(os.path.join(lar.data, "control.sock"))
        self.sock.sendall(ASK)
        head, self.fds = b"", array.array("i")
        while b'"leases":[' not in head:
            data, beside, _flags, _peer = self.sock.recvmsg(65536, socket.CMSG_SPACE(4 * 40))
            assert data, head
            head += data
            for _level, _kind, what in beside:
                self.fds.frombytes(what)
        self.text = head

    def leave(self):
        """It is gone, as if killed."""
        for fd in self.fds:
            os.close(fd)
        self.sock.close()


def goes_on(lar, times=1):
    lar.wait(lambda: lar.events.count("this one goes on") == times, "the server goes on")
    assert "nothing can be kept" not in lar.events


def index_is_right(lar):
    """Stops it: the index, counted again, is right, and its sums are."""
    lar.stop()
    Index(lar.data).check()


def test_what_ends_while_it_is_uncertain(registry, larder):
    """Requests that come to their end between the two are answered once it is certain by whom."""
    lar = start(larder, registry)
    blob, held, fetching = half_fetched(lar, registry)
    at = [begin(lar) for _ in range(5)]
    patch = put_open(lar, "PATCH", at[0], PARTS[0], 1_000_000)
    put = put_open(lar, "PUT", with_query(at[1], digest=digest_of(PARTS[1])), PARTS[1], 1_000_000)
    wrong = put_open(lar, "PUT", with_query(at[2], digest=digest_of(b"x")), PARTS[2], 1_000_000)
    left = put_open(lar, "PATCH", at[3], PARTS[3], 1_000_000)
    assert lar.send("PATCH", at[4], PARTS[3][:300_000]).status == 202
    lar.wait_counter("upload_bytes", 4_300_000)

    asker = Asker(lar)
    held.open()
    assert fetching.done().body == COLD
    patch.push(PARTS[0][1_000_000:])
    put.push(PARTS[1][1_000_000:])
    wrong.push(PARTS[2][1_000_000:])
    left.close()
    assert not put.ended.wait(0.2) and not patch.ended.is_set(), "nobody can promise anything"
    asker.leave()
    goes_on(lar)

    assert patch.done().status == 202
    assert put.done().status == 201
    assert wrong.done().status == 400
    lar.wait(lambda: lar.get(at[3]).status == 204, "the session that was left")
    assert (offset(lar, at[0]), offset(lar, at[3])) == (len(PARTS[0]), 1_000_000)
    assert offset(lar, at[4]) == 300_000
    for location, data, there in ((at[0], PARTS[0], len(PARTS[0])), (at[3], PARTS[3], 1_000_000)):
        reply = lar.send("PUT", with_query(location, digest=digest_of(data)), data[there:])
        assert reply.status == 201, reply
    lar.wait(lambda: lar.counter("flights_open") == 0, "all is recorded")
    assert lar.get(blob).source() == "hit" and registry.hits("GET", "/blobs/") == 1
    index_is_right(lar)


def test_again_after_it_came_to_nothing(registry, larder):
    """The same session under way through one that fails, and one that does not."""
    lar = start(larder, registry)
    at = begin(lar)
    patch = put_open(lar, "PATCH", at, PARTS[0], 1_000_000)
    lar.wait_counter("upload_bytes", 1_000_000)
    for n in range(1, 4):
        Asker(lar).leave()
        goes_on(lar, n)
    new = successor(larder, lar).start()
    patch.push(PARTS[0][1_000_000:])
    assert patch.done().status == 202
    ended(lar)
    assert new.send("PUT", with_query(at, digest=digest_of(PARTS[0]))).status == 201
    index_is_right(new)


def index_threads(lar):
    folder = f"/proc/{lar.process.pid}/task"
    names = []
    for task in os.listdir(folder):
        with open(os.path.join(folder, task, "comm"), encoding="ascii") as file:
            names.append(file.read().strip())
    return names.count("index")


def test_who_asks_is_gone_at_once(registry, larder):
    """Before it is told anything: nothing was given, so that nothing is to be taken back."""
    lar = start(larder, registry)
    idle, at = begin(lar), begin(lar)
    patch = put_open(lar, "PATCH", at, PARTS[0], 1_000_000)
    lar.wait_counter("upload_bytes", 1_000_000)
    for n in range(1, 4):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(os.path.join(lar.data, "control.sock"))
            sock.shutdown(socket.SHUT_RD)  # nothing can be sent to it, and all that it asks is read
            sock.sendall(ASK)
            goes_on(lar, n)
    assert lar.send("PATCH", idle, PARTS[1]).status == 202
    put_blob(lar, PARTS[2], HOSTED)
    assert index_threads(lar) == 1
    new = successor(larder, lar).start()
    patch.push(PARTS[0][1_000_000:])
    assert patch.done().status == 202
    ended(lar)
    for location, data in (at, PARTS[0]), (idle, PARTS[1]):
        assert new.send("PUT", with_query(location, digest=digest_of(data))).status == 201
    index_is_right(new)


def test_another_used_the_directory_meanwhile(registry, larder):
    """One that had it and failed may have changed anything: it is read again."""
    lar = start(larder, registry)
    old, at = begin(lar), begin(lar)
    assert lar.send("PATCH", at, PARTS[0][:1_000_000]).status == 202
    asker = Asker(lar)
    control = os.path.join(lar.data, "control.sock")
    os.rename(control, control + ".kept")
    other = larder(config={**lar.config, "listen": ["127.0.0.1:0"]}, data=lar.data)
    blob = "/v2/library/x/blobs/" + registry.add_blob("library/x", COLD)
    assert other.get(blob).body == COLD
    put_blob(other, PARTS[1], HOSTED)
    assert other.send("PATCH", at, PARTS[0][1_000_000:2_000_000]).status == 202
    assert other.delete(old).status == 204
    new = begin(other)
    assert other.send("PATCH", new, PARTS[2][:500_000]).status == 202
    other.stop()
    os.rename(control + ".kept", control)
    asker.leave()
    goes_on(lar)
    assert lar.get(blob).source() == "hit"
    assert lar.get(f"/v2/{HOSTED}/blobs/{digest_of(PARTS[1])}").body == PARTS[1]
    assert lar.get(old).status == 404
    assert (offset(lar, at), offset(lar, new)) == (2_000_000, 500_000)
    assert lar.send("PUT", with_query(at, digest=digest_of(PARTS[0])),
                    PARTS[0][2_000_000:]).status == 201
    index_is_right(lar)
    other.ended_well = False


def test_the_lock_is_free_later(registry, larder):
    """Of a process that is killed the connection may end before the lock is free."""
    lar = start(larder, registry, limits={"hand_over": "100s"})
    asker = Asker(lar)
    lock = os.open(os.path.join(lar.data, "lock"), os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    asker.leave()
    asked = lar.begin("/v2/")
    assert not asked.ended.wait(0.3), "it has not got its directory"
    os.close(lock)
    assert asked.done().status == 200
    goes_on(lar)
    put_blob(lar, PARTS[0], HOSTED)


@pytest.mark.faults
@pytest.mark.parametrize("point", ["handover.receive", "index.open", "handover.ready"])
def test_a_successor_that_hangs(registry, larder, tmp_path, point):
    """Before it has the directory, with it, or as it serves already: it is killed, so that it can
    come back in no way, and nobody loses anything."""
    lar = start(larder, registry, limits={"take_over": "1s"})
    blob, held, fetching = half_fetched(lar, registry)
    at = begin(lar)
    put = put_open(lar, "PUT", with_query(at, digest=digest_of(PARTS[0])), PARTS[0], 1_000_000)
    lar.wait_counter("upload_bytes", 1_000_000)
    stuck = Stuck(tmp_path, point)
    stuck.begin()
    new = successor(larder, lar, env=stuck.env)
    if point == "handover.ready":
        new.start()
    else:
        with pytest.raises(StartFailed):
            new.start()
    assert new._over(20) == -signal.SIGKILL
    goes_on(lar)
    assert "limits.take_over" in lar.events
    held.open()
    assert fetching.done().body == COLD
    put.push(PARTS[0][1_000_000:])
    assert put.done().status == 201
    put_blob(lar, PARTS[1], HOSTED)
    lar.wait(lambda: lar.counter("flights_open") == 0, "all is recorded")
    assert lar.get(blob).source() == "hit"
    index_is_right(lar)


def test_two_at_once(registry, larder):
    """The second waits until the first has it, or has given up."""
    lar = start(larder, registry)
    asker = Asker(lar)
    new = successor(larder, lar)
    new.process = subprocess.Popen(new.command(), stdout=subprocess.DEVNULL, text=True,
                                   stderr=subprocess.PIPE)
    asker.leave()
    goes_on(lar)
    ended(lar)
    new.host, new.port = lar.host, lar.port
    assert new.get("/v2/").status == 200
    new.process.stderr.close()
    new.process.terminate()
    assert new.process.wait(30) == 0
    new.process = None


def test_told_to_stop_meanwhile(registry, larder):
    lar = start(larder, registry)
    asker = Asker(lar)
    lar.process.terminate()
    ended(lar)
    asker.leave()
    with socket.socket() as sock:  # nobody has the sockets any more
        assert sock.connect_ex(("127.0.0.1", lar.port)) != 0


class Slow:
    """A client that was accepted before and asks behind it, of the process that was there."""

    def __init__(self, lar, method, path, body=b"", headers=None):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {lar.host}",
                 *(f"{name}: {value}" for name, value in (headers or {}).items()),
                 f"Content-Length: {len(body)}", "", ""]
        whole = "\r\n".join(lines).encode() + body
        self.sock = socket.create_connection(("127.0.0.1", lar.port), timeout=50)
        self.method, self.rest = method, whole[20:]
        self.sock.sendall(whole[:20])

    def ask(self):
        """Status and body."""
        self.sock.sendall(self.rest)
        response = http.client.HTTPResponse(self.sock, method=self.method)
        response.begin()
        body = response.read()
        self.sock.close()
        return response.status, body


def test_who_asks_too_late(registry, larder):
    """Pulls are answered by the one before, and what they fetch is kept; what changes something is
    to be asked again, and nothing is promised that the new one does not know of."""
    lar = start(larder, registry, limits={"client_headers": "100s"})
    image = registry.add_image("library/x", "1", [COLD])
    other = registry.add_image("library/y", "2", [PARTS[0]])
    assert lar.get("/v2/library/y/manifests/2").status == 200
    assert lar.get("/v2/library/y/blobs/" + other.layers[0]).body == PARTS[0]
    lar.wait(lambda: lar.counter("flights_open") == 0, "all is recorded")
    blob = "/v2/library/x/blobs/" + image.layers[0]
    seen = lar.counter("connections_accepted")
    late = {
        "blob": Slow(lar, "GET", blob), "tag": Slow(lar, "GET", "/v2/library/x/manifests/1"),
        "base": Slow(lar, "HEAD", f"/v2/{HOSTED}/blobs/{other.layers[0]}"),
        "warm": Slow(lar, "GET", "/v2/library/y/blobs/" + other.layers[0]),
        "push": Slow(lar, "POST", with_query(uploads(HOSTED), digest=digest_of(b"{}")), b"{}"),
        "begin": Slow(lar, "POST", uploads(HOSTED)),
        "image": Slow(lar, "PUT", f"/v2/{HOSTED}/manifests/1", image_body([]),
                      {"Content-Type": MANIFEST})}
    lar.wait_counter("connections_accepted", seen + len(late))
    new = successor(larder, lar).start()
    assert late["blob"].ask() == (200, COLD)
    assert late["tag"].ask() == (200, image.body)
    assert late["warm"].ask() == (200, PARTS[0])
    assert late["base"].ask()[0] == 404, "a promise that only the old one knows of"
    for name in "push", "begin", "image":
        status, body = late[name].ask()
        assert status == 503 and b"ask again" in body, (name, status, body)
    ended(lar)
    assert new.get(blob).source() == "hit" and registry.hits("GET", image.layers[0]) == 1
    put_blob(new, b"{}", HOSTED)
    index_is_right(new)


def test_promises_hold_over_two(registry, larder, tmp_path, interposer):
    """What one process received and another recorded is on disk before its 201; and what a client
    left off is before the other one vouches for it."""
    lar = start(larder, registry, start=False)
    log = tmp_path / "order.log"
    env = {"LD_PRELOAD": interposer, "ORDER_LOG": str(log),
           "ORDER_DIR": os.path.realpath(lar.folder)}
    lar.env, lar.order_log = env, log
    lar.start()
    at, other = begin(lar), begin(lar)
    put = put_open(lar, "PUT", with_query(at, digest=digest_of(PARTS[0])), PARTS[0], 1_000_000)
    left = put_open(lar, "PATCH", other, PARTS[1], 500_000)
    lar.wait_counter("upload_bytes", 1_500_000)
    new = successor(larder, lar, env=env).start()
    put.push(PARTS[0][1_000_000:])
    assert put.done().status == 201
    check_promise(lar, digest_of(PARTS[0]), digest_of(PARTS[0]))
    left.close()
    new.wait(lambda: offset(new, other) == 500_000, "the session is the new one's")
    order = Order(lar)
    name = UPLOAD + urllib.parse.urlsplit(other).path.rpartition("/")[2]
    written = order.find("written", path=name)
    assert written
    order.synced(written[-1], len(order.lines), "what was left off", path=name)
    ended(lar)


def test_names_of_any_bytes(registry, larder, tmp_path):
    """Of a user who uploads; and a data directory that is not ASCII."""
    users = tmp_path / "users"
    assert passwd(users, b"ren\xe9", "secret").returncode == 0
    asks = {"address": "127.0.0.1:0", "role": "registry"}
    config = {"listen": ["127.0.0.1:0", asks], "auth": {"htpasswd": str(users)},
              "upstreams": {"docker.io": {"endpoints": [registry.url]}}}
    lar = larder(config=config, data=tmp_path / "d\u00e9p\u00f4t")
    who = {"Authorization": "Basic " + base64.b64encode(b"ren\xe9:secret").decode()}
    door = lar.door(1)
    at = door.send("POST", uploads(HOSTED), headers=who).headers["location"]
    patch = door.begin(at, {"Content-Length": len(PARTS[0]), **who}, "PATCH")
    patch.push(PARTS[0][:1_000_000])
    lar.wait_counter("upload_bytes", 1_000_000)
    new = successor(larder, lar)
    new.config["listen"] = [lar.door(0).host, {**asks, "address": door.host}]
    new.start()
    patch.push(PARTS[0][1_000_000:])
    assert patch.done().status == 202
    ended(lar)
    door = new.door(1)
    whole = with_query(at, digest=digest_of(PARTS[0]))
    assert new.door(0).send("PUT", whole).status == 404, "it is somebody else's"
    assert door.send("PUT", whole, headers=who).status == 201


def test_only_by_the_control_socket(registry, larder):
    """A listener for operators answers commands, and takes no blobs that nobody verified."""
    lar = larder(config={"listen": ["127.0.0.1:0", {"address": "127.0.0.1:0", "role": "admin"}]},
                 upstreams={"docker.io": registry.url})
    at = begin(lar.door(0))
    assert lar.door(0).send("PATCH", at, b"wrong").status == 202
    name = "upload-" + urllib.parse.urlsplit(at).path.rpartition("/")[2]
    body = (b'{"file":"%s","digest":"%s","size":5,"class":0,"repo":"docker.io/library/x","kind":2,'
            b'"credential":"0"}' % (name.encode(), digest_of(b"right").encode()))
    for door in lar.door(0), lar.door(1):
        for command in "take-blob", "take-upload", "take-over":
            assert door.send("POST", "/-/" + command, body).status in (403, 404), command
    assert lar.kept() == set()


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_tls(registry, larder, tmp_path, version):
    """A session that the one before gave out is no obstacle at the next."""
    authority = Authority(tmp_path)
    lar = start(larder, registry, start=False)
    cert, key = authority.files()
    tls = {"certificate": str(cert), "key": str(key)}
    lar.config["listen"] = [{"address": "127.0.0.1:0", "tls": tls}]
    lar.start()
    context = authority.client()
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]

    def ask(known=None):
        with socket.create_connection(("127.0.0.1", lar.port), timeout=20) as plain:
            with context.wrap_socket(plain, server_hostname="127.0.0.1", session=known) as sock:
                sock.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert sock.recv(4096).startswith(b"HTTP/1.1 200")
                return sock.session

    known = ask()
    new = successor(larder, lar)
    new.config["listen"] = [{"address": lar.host, "tls": tls}]
    new.start()
    ended(lar)
    ask(known)


def test_sigusr2_over_and_over(registry, larder):
    """Each process starts the next one as it was started itself."""
    lar = start(larder, registry)
    pids = [pid_of(lar)]
    for n in range(1, 4):
        os.kill(pids[-1], signal.SIGUSR2)
        os.kill(pids[-1], signal.SIGUSR2)  # once is enough
        lar.wait(lambda n=n: lar.events.count("has taken over") == n, "the next one")
        pids.append(pid_of(lar))
    assert len(set(pids)) == 4
    with open(f"/proc/{pids[-1]}/cmdline", "rb") as file:
        words = file.read().split(b"\0")
    assert words.count(b"--take-over") == 1 and os.fsdecode(words[0]) == PROGRAM
    assert lar.process.wait(20) == 0
    os.kill(pids[-1], signal.SIGTERM)
    for thread in lar._threads:
        thread.join(20)
    lar.process = None


def test_other_addresses_and_another_directory(registry, larder, tmp_path):
    """Those that are new are bound, those that are gone are closed; and where no server has the
    directory it is a start like any other."""
    lar = start(larder, registry)
    unix = f"unix:{tmp_path}/l.sock"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    new = successor(larder, lar)
    new.config["listen"] = [unix, f"127.0.0.1:{port}"]
    new.start()
    ended(lar)
    with socket.socket() as sock:
        assert sock.connect_ex(("127.0.0.1", lar.port)) != 0
    assert new.get("/v2/").status == 200
    last = successor(larder, new)
    last.config["listen"] = [unix, f"127.0.0.1:{port}"]
    last.start()
    ended(new)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(f"{tmp_path}/l.sock")
        sock.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
    away = larder(config={**last.config, "listen": [f"127.0.0.1:{port}"]}, args=["--take-over"],
                  start=False)
    run = subprocess.run(away.command(), capture_output=True, text=True, timeout=30, check=False)
    assert run.returncode == 1 and "already in use" in run.stderr
    last.stop()
    assert not os.path.exists(f"{tmp_path}/l.sock")
