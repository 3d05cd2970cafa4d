"""Floods: many requests, and what each of them could make the server keep."""
import concurrent.futures
import contextlib
import json
import resource
import select
import socket

import pytest
from larder import VARIANT, connect, drain
from push import manifest_path, put_manifest, uploads
from registry import MANIFEST, digest_of, noise
from test_84_limits import memory

MIB = 1 << 20
RELEASE = VARIANT == "release"
SMALL = noise(300_000)
MANY = 1000 if RELEASE else 200


@pytest.fixture
def descriptors():
    """As many as there may be, for this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def start(larder, registry, **more):
    lar = larder(upstreams={"docker.io": registry.url}, **more)
    lar.warm = "/v2/library/warm/blobs/" + registry.add_blob("library/warm", SMALL)
    assert lar.get(lar.warm).body == SMALL
    return lar


def settled(lar):
    for name in ("readers_open", "flights_open"):
        lar.wait(lambda name=name: lar.counter(name) == 0, f"{name} is 0", 60)
    lar.wait(lambda: lar.counter("connections_open") <= 1, "all connections are gone", 60)
    assert lar.get(lar.warm).body == SMALL


def big_manifest(size, n=0):
    """A manifest of about so many bytes, most of them an annotation that nobody needs."""
    body = {"schemaVersion": 2, "mediaType": MANIFEST, "config": {
        "mediaType": "application/vnd.oci.image.config.v1+json", "size": 2,
        "digest": digest_of(b"{}")}, "layers": [], "annotations": {"n": str(n), "fill": "x" * size}}
    return json.dumps(body).encode()


def begin_put(lar, reference, size, more=b""):
    """The head of a push, and no byte of its body."""
    sock = connect(lar)
    sock.sendall(b"PUT %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n" %
                 (manifest_path(reference).encode(), MANIFEST.encode(), size, more))
    return sock


# --- manifests -----------------------------------------------------------------------------------

def test_manifests_take_turns(larder):
    """What is held in memory is bounded: the rest wait unread, and all are taken in the end."""
    lar = larder(limits={"first_byte": "150s", "client_headers": "150s"})
    bodies = [big_manifest(6 * MIB, n) for n in range(5)]
    said = {"Content-Type": MANIFEST}
    with concurrent.futures.ThreadPoolExecutor(len(bodies)) as pool:
        answers = list(pool.map(lambda n: lar.send("PUT", manifest_path(f"m{n}"), bodies[n], said),
                                range(len(bodies))))
    assert [reply.status for reply in answers] == [201] * len(bodies), answers
    assert lar.get(manifest_path("m4")).body == bodies[4]


def check_refused(held):
    """One of them is told to come again, whichever came last; then all go."""
    told = select.select(held, [], [], 30)[0]
    said, _ = drain(told[0], 20)
    assert said.startswith(b"HTTP/1.1 429 ") and b"TOOMANYREQUESTS" in said
    assert b"Retry-After: 5\r\n" in said
    for sock in held:
        sock.close()


def test_who_holds_the_room_and_says_nothing_gives_way(larder):
    """Those that come slowly are sent away when others wait, and these are served."""
    lar = larder(limits={"client_headers": "1s"})
    size = 8 * MIB
    held = [begin_put(lar, f"slow{n}", size) for n in range(4)]
    lar.wait_counter("connections_open", 5)
    body = big_manifest(7 * MIB)
    assert lar.send("PUT", manifest_path("good"), body, {"Content-Type": MANIFEST}).status == 201
    check_refused(held)
    put_manifest(lar, "small", big_manifest(10))


def test_who_waits_for_room_in_vain(larder):
    """Where those before it are not slow enough to be sent away, it is told to come again."""
    lar = larder(limits={"first_byte": "1s", "client_headers": "50s"})
    held = [begin_put(lar, f"slow{n}", 8 * MIB) for n in range(3)]
    check_refused(held)
    put_manifest(lar, "small", big_manifest(10))  # these have room of their own


# --- requests ------------------------------------------------------------------------------------

def test_cold_names(registry, larder, descriptors):
    """As many questions as connections, each of another name, of which upstream knows none."""
    lar = start(larder, registry)
    before = lar.counter("asks_started")
    for kind in ("manifests/t%d", "blobs/sha256:%064x", "manifests/sha256:%064x"):
        socks = []
        for n in range(MANY // 2):
            socks.append(connect(lar))
            path = f"/v2/library/none{n}/" + kind % n
            socks[-1].sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert lar.get(lar.warm).body == SMALL
        for sock in socks:
            assert drain_one(sock).startswith(b"HTTP/1.1 404 ")
            sock.close()
    assert lar.counter("asks_started") - before >= MANY
    settled(lar)


def drain_one(sock):
    sock.settimeout(50)
    return sock.recv(65536)


def test_pipelined_requests(registry, larder):
    """One connection with thousands of them: each is answered, in order, none twice."""
    lar = start(larder, registry)
    n = 5000 if RELEASE else 1000
    sock = connect(lar)
    ask = b"HEAD %s HTTP/1.1\r\nHost: x\r\n\r\n" % lar.warm.encode()
    got, left = b"", ask * n + ask.replace(b"Host: x", b"Host: x\r\nConnection: close")
    sock.settimeout(0.2)
    while left:
        with contextlib.suppress(TimeoutError):
            left = left[sock.send(left):]
        with contextlib.suppress(TimeoutError):
            got += sock.recv(1 << 20) if not left else b""
        if left:
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                got += sock.recv(1 << 20)
            sock.settimeout(0.2)
    rest, closed = drain(sock, 20)
    assert closed and (got + rest).count(b"HTTP/1.1 200 OK\r\n") == n + 1
    sock.close()
    settled(lar)


def test_upload_posts(larder):
    """One client may begin so many; then it is told to come again, and another is served."""
    lar = larder()
    sock = connect(lar)
    stream = sock.makefile("rb")
    ask = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" % uploads().encode()
    statuses = []
    while not statuses or statuses[-1] == 202:
        sock.sendall(ask * 50)
        for _ in range(50):
            statuses.append(int(stream.readline().split()[1]))
            length = 0
            while line := stream.readline().strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            stream.read(length)
        assert len(statuses) <= 2050
    assert statuses.count(202) == 2000 and set(statuses) == {202, 429}
    sock.close()
    other = socket.socket()
    other.bind(("127.0.0.2", 0))
    other.connect(("127.0.0.1", lar.port))
    other.sendall(ask)
    assert drain_one(other).startswith(b"HTTP/1.1 202 ")
    other.close()


# --- memory --------------------------------------------------------------------------------------

def send_all(socks, data):
    """To each as much of it as the server takes."""
    left = {sock.fileno(): (sock, 0) for sock in socks}
    waits = select.poll()
    for sock in socks:
        sock.setblocking(False)
        waits.register(sock, select.POLLOUT)
    while left and (ready := waits.poll(500)):
        for fd, _ in ready:
            sock, at = left[fd]
            try:
                left[fd] = sock, at + sock.send(data[at:at + MIB])
            except OSError:
                left[fd] = sock, len(data)
            if left[fd][1] == len(data):
                waits.unregister(fd)
                del left[fd]


@pytest.mark.skipif(not RELEASE, reason="measures memory, of which sanitizers take their own")
def test_memory_is_bounded(registry, larder, descriptors):
    """All at once: slow readers of a blob that grows, pushes, manifests, idle ones, cold names."""
    lar = start(larder, registry, config={"workers": 2, "clients": {"connections": 10_000,
                                                                    "per_address": 10_000}})
    before = memory(lar)
    data = noise(24 * MIB, seed=9)
    digest = registry.add_blob("library/big", data)
    gate = registry.on("GET", digest).hold_after(20 * MIB)
    path = "/v2/library/big/blobs/" + digest
    socks = []

    def ask(method, target, more=b"", rcvbuf=4096):
        sock = connect(lar, rcvbuf)
        sock.sendall(b"%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (method, target.encode(), more))
        socks.append(sock)
        return sock

    first = lar.begin(path)
    first.read(MIB)
    for _ in range(1000):
        ask(b"GET", path)
    lar.wait_counter("readers_open", 1001, 60)
    for _ in range(200):
        ask(b"POST", uploads() + "?digest=" + digest,
            b"Content-Length: 100000000\r\n").sendall(data[:300_000])
    send_all([ask(b"PUT", manifest_path(f"m{n}"), b"Content-Length: %d\r\n" % (8 * MIB))
              for n in range(100)], data[:8 * MIB - 1])
    for n in range(300):
        ask(b"GET", f"/v2/library/none{n}/manifests/1")
        ask(b"GET", "/v2/", b"X-Large: " + b"x" * 50_000 + b"\r\n")
        ask(b"GET", "/v2/", b"X-Unended: " + b"x" * 50_000)
        socks.append(connect(lar))
    lar.wait_counter("connections_open", len(socks), 60)
    used = memory(lar) - before
    connections = len(socks)
    gate.open()
    assert lar.get(lar.warm).body == SMALL
    print(f"{connections} connections, {used / MIB:.1f} MiB")
    assert used <= 160 * MIB, f"{used / MIB:.1f} MiB"
    assert first.done().body == data
    for sock in socks:
        sock.close()
    settled(lar)
