"""Clients and upstreams that move just enough not to look dead.

Each phase in which one could: it is ended by the limit of that phase, others are served meanwhile,
and nothing is left of it. Who is slow here sends or takes a byte every few milliseconds, far below
the rate that is asked for, however slow the machine is.
"""
import select
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from certificates import Authority
from larder import connect, drain
from push import begin, check_put, manifest_path, with_query
from registry import Registry, digest_of, noise

PAUSE = 0.02
SHORT = {"tls": "1s", "client_headers": "1s", "client_idle": "1s", "client_progress": "1s"}
WARM = noise(300_000)
BIG = noise(12_000_000, seed=88)


@pytest.fixture
def lar(registry, larder):
    made = larder(upstreams={"docker.io": registry.url}, limits=SHORT)
    made.warm = "/v2/library/warm/blobs/" + registry.add_blob("library/warm", WARM)
    assert made.get(made.warm).body == WARM
    return made


def pause(sock):
    """A moment; true where the other side closed, or says something, within it."""
    return bool(select.select([sock], [], [], PAUSE)[0])


def drip(lar, sock, head, byte=b"x"):
    """Sends `head` and then a byte now and then, until the server ends it; what it said."""
    sock.sendall(head)
    try:
        while not pause(sock):
            sock.sendall(byte)
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                break
    except OSError:
        pass
    said, closed = drain(sock, 20)
    assert closed, said
    sock.close()
    return said


def settled(lar, uploads_left=0):
    """Nothing is left of anybody, and the next one is served."""
    for name in ("readers_open", "flights_open"):
        lar.wait(lambda name=name: lar.counter(name) == 0, f"{name} is 0")
    lar.wait(lambda: lar.counter("connections_open") <= 1, "all connections are gone")
    assert len([name for name in lar.ingests() if name.startswith("upload-")]) == uploads_left
    assert lar.get(lar.warm).body == WARM


def test_a_head_that_drips(lar):
    said = drip(lar, connect(lar), b"GET /v2/")
    assert said.startswith(b"HTTP/1.1 408 ")
    said = drip(lar, connect(lar), b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Long: ")
    assert said.startswith(b"HTTP/1.1 408 ")
    assert drip(lar, connect(lar), b"").startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 400 "))
    settled(lar)


def test_between_requests(lar):
    """Silence, and line ends that never become a request."""
    sock = connect(lar)
    sock.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
    said, closed = drain(sock, 20)
    assert said.startswith(b"HTTP/1.1 200 ") and closed
    said = drip(lar, connect(lar), b"\r\n", b"\r\n")
    assert said == b"" or said.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 400 "))
    settled(lar)


BODIES = {
    "length": (b"Content-Length: 100000\r\n\r\n", b"x"),
    "chunk": (b"Transfer-Encoding: chunked\r\n\r\n18000\r\n", b"x"),
    "tiny chunks": (b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"e" * 200 + b"\r\nx\r\n"),
    "extension": (b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n1;", b"e"),
    "trailers": (b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"a"),
}


def request(lar, method, path, framing):
    return b"%s %s HTTP/1.1\r\nHost: x\r\n%s" % (method, path.encode(), framing)


@pytest.mark.parametrize("kind", BODIES)
def test_an_upload_that_drips(lar, kind):
    """It is cut off; the session stays, and another request goes on with it."""
    framing, byte = BODIES[kind]
    location = begin(lar)
    drip(lar, connect(lar), request(lar, b"PATCH", location, framing), byte)
    lar.wait_counter("clients_slow", 1)
    lar.wait(lambda: "client.slow" in lar.events, "it is told")
    reply = lar.send("PUT", with_query(begin(lar), digest=digest_of(WARM)), WARM)
    check_put(reply, digest_of(WARM))
    assert lar.delete(location).status == 204
    lar.wait(lambda: not any(name.startswith("upload-") for name in lar.ingests()), "it is gone")
    settled(lar)


@pytest.mark.parametrize("kind", BODIES)
def test_a_manifest_that_drips(lar, kind):
    framing, byte = BODIES[kind]
    drip(lar, connect(lar), request(lar, b"PUT", manifest_path("1"), framing), byte)
    lar.wait_counter("clients_slow", 1)
    settled(lar)
    assert lar.get(manifest_path("1")).status == 404


def test_refused_bodies_that_drip(lar):
    """Nobody reads them; they go by for as long as any other. All at once, as it takes seconds."""
    path = "/v2/library/x/blobs/uploads/"
    with ThreadPoolExecutor(len(BODIES)) as pool:
        ends = [pool.submit(drip_on, lar, request(lar, b"POST", path, framing), byte)
                for framing, byte in BODIES.values()]
    for said in (end.result() for end in ends):
        assert said == b"" or said.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 400 ")), said
    settled(lar)


def drip_on(lar, head, byte):
    """The same, whatever is answered in between."""
    sock = connect(lar)
    sock.sendall(head)
    said = b""
    try:
        while True:
            if pause(sock):
                data = sock.recv(65536)
                if not data:
                    break
                said += data
            sock.sendall(byte)
    except OSError:
        pass
    sock.close()
    return said


def take_little(lar, sock, n):
    """Takes a byte now and then, until n clients have been found slow."""
    taken = 0
    while lar.counter("clients_slow") < n:
        select.select([], [], [], PAUSE)  # whether there is more to take or not
        try:
            taken += len(sock.recv(1))
        except OSError:
            break
    return taken


def ask_for(lar, path, wrap=lambda sock: sock):
    sock = wrap(connect(lar, 4096))
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return sock


def test_a_reader_that_drips(lar, registry):
    path = "/v2/library/x/blobs/" + registry.add_blob("library/x", BIG)
    assert lar.get(path).body == BIG
    sock = ask_for(lar, path)
    lar.wait_counter("readers_open", 1)
    taken = take_little(lar, sock, 1)
    assert taken < 100_000 and lar.counter("clients_slow") == 1
    sock.close()
    settled(lar)


def test_a_reader_of_a_download_that_drips(lar, registry):
    """It is dropped while the download goes on; one who waits for upstream as long is not."""
    digest = registry.add_blob("library/x", BIG)
    gate = registry.on("GET", digest).hold_after(10_000_000)
    path = "/v2/library/x/blobs/" + digest
    patient = lar.begin(path)
    patient.read(9_900_000)
    sock = ask_for(lar, path)
    lar.wait_counter("readers_open", 2)
    take_little(lar, sock, 1)
    assert not patient.ended.is_set()
    gate.open()
    reply = patient.done()
    assert reply.complete and reply.body == BIG and lar.counter("clients_slow") == 1
    sock.close()
    settled(lar)


def test_answers_that_nobody_takes(lar):
    """Requests without end by one who reads nothing."""
    sock = connect(lar, 4096)
    sock.settimeout(20)
    asked = b"GET /v2/nowhere.example/x/manifests/1 HTTP/1.1\r\nHost: x\r\n\r\n" * 1000
    with pytest.raises(OSError):
        while lar.counter("clients_slow") == 0:
            sock.settimeout(0.2)
            try:
                sock.sendall(asked)
            except TimeoutError:
                continue
        raise BrokenPipeError
    assert lar.counter("clients_slow") == 1
    sock.close()
    settled(lar)


def test_tls(registry, larder, tmp_path):
    """A handshake that is never done, and a reader that drips."""
    authority = Authority(tmp_path)
    files = authority.files()
    tls = {"certificate": str(files[0]), "key": str(files[1])}
    lar = larder(upstreams={"docker.io": registry.url}, limits=SHORT, config={
        "listen": [{"address": "127.0.0.1:0", "tls": tls}, "127.0.0.1:0"]})
    secure, plain = lar.door(0), lar.door(1)
    lar.host, lar.port = plain.host, plain.port
    lar.warm = "/v2/library/warm/blobs/" + registry.add_blob("library/warm", WARM)
    path = "/v2/library/x/blobs/" + registry.add_blob("library/x", BIG)
    assert lar.get(path).body == BIG
    for hello in (b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
        drip(lar, connect(secure), hello, b"\x01" if hello else b"\x16\x03\x01\x02\x00"[:1])
    context = authority.client()
    sock = ask_for(secure, path, lambda raw: context.wrap_socket(raw, server_hostname="127.0.0.1"))
    lar.wait_counter("readers_open", 1)
    take_little(lar, sock, 1)
    sock.close()
    settled(lar)


def test_many_at_once(lar, registry):
    """A hundred in each of four phases, while others are served."""
    path = "/v2/library/x/blobs/" + registry.add_blob("library/x", BIG)
    assert lar.get(path).body == BIG
    locations = [begin(lar) for _ in range(50)]
    socks = []
    for n in range(50):
        for head in (b"GET /v2/", request(lar, b"PATCH", locations[n], BODIES["length"][0]),
                     request(lar, b"PUT", manifest_path(f"m{n}"), BODIES["tiny chunks"][0])):
            socks.append(connect(lar))
            socks[-1].sendall(head)
        socks.append(ask_for(lar, path))
    assert lar.get(lar.warm).body == WARM
    lar.wait_counter("clients_slow", 150)
    lar.wait(lambda: lar.counter("connections_open") <= 1, "all are gone")
    for sock in socks:
        sock.close()
    for location in locations:
        assert lar.delete(location).status == 204
    lar.wait(lambda: not any(name.startswith("upload-") for name in lar.ingests()), "they go")
    settled(lar)


# --- upstreams -----------------------------------------------------------------------------------

def test_an_upstream_that_drips(registry, larder):
    """Another endpoint goes on where it is too slow, by a range."""
    second = Registry()
    try:
        digest = registry.add_blob("library/x", BIG)
        second.add_blob("library/x", BIG)
        registry.on("GET", digest).always().rate(100)
        endpoints = {"docker.io": {"endpoints": [registry.url, second.url]}}
        lar = larder(config={"upstreams": endpoints}, limits={"upstream_stall": "2s"})
        reply = lar.get("/v2/library/x/blobs/" + digest)
        assert reply.complete and reply.body == BIG
        assert registry.hits("GET", digest) == 1 and second.hits("GET", digest) == 1
        assert second.seen("GET", digest)[0].headers.get("range", "").startswith("bytes=")
        assert "another source" in lar.events
        lar.wait(lambda: lar.counter("flights_open") == 0, "it has ended")
    finally:
        second.clear_rules()
        second.stop()


def test_an_upstream_that_drips_and_is_all_there_is(registry, larder):
    """Slow is better than nothing: it is read to its end, by the one request."""
    data = noise(300, seed=3)
    digest = registry.add_blob("library/x", data)
    registry.on("GET", digest).always().rate(100)
    lar = larder(upstreams={"docker.io": registry.url}, limits={"upstream_stall": "2s"})
    reply = lar.get("/v2/library/x/blobs/" + digest)
    assert reply.complete and reply.body == data
    assert registry.hits("GET", digest) == 1


def test_endpoints_that_drip_alike(registry, larder):
    """Where all are slow, and none can go on in the middle, one of them still comes to its end."""
    second = Registry()
    data = noise(1000, seed=4)
    try:
        for one in (registry, second):
            digest = one.add_blob("library/x", data)
            one.on("GET", digest).always().rate(300).ignore_range()
        endpoints = {"docker.io": {"endpoints": [registry.url, second.url]}}
        lar = larder(config={"upstreams": endpoints}, limits={"upstream_stall": "2s"})
        reply = lar.get("/v2/library/x/blobs/" + digest)
        assert reply.complete and reply.body == data
        assert 2 <= registry.hits("GET", digest) + second.hits("GET", digest) <= 5
    finally:
        second.clear_rules()
        second.stop()
