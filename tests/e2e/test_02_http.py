"""HTTP/1.1 towards clients: what is framed in two ways is refused, and the rest is served."""
import os
import socket
import threading

import pytest
from larder import Larder, drain
from registry import Registry, noise

PING = b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"
# Asked behind each bad request; it must not be answered.
SECOND = b"GET /v2/second HTTP/1.1\r\nHost: second\r\n\r\n"

BAD = {
    "CL and TE": b"POST /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                 b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE twice": b"POST /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE list": b"POST /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n"
               b"0\r\n\r\n",
    "CL list": b"POST /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\nhello",
    "CL hex": b"POST /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\nhello",
    "two CL": b"POST /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"
              b"hello",
    "CL plus": b"POST /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello",
    "CL huge": b"POST /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "xchunked": b"POST /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n"
                b"5\r\nhello\r\n",
    "VT chunked": b"POST /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n"
                  b"0\r\n\r\n",
    "TE in 1.0": b"POST /v2/ HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "LF lines": b"GET /v2/ HTTP/1.1\nHost: x\n\n",
    "space before colon": b"POST /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\nhello",
    "NUL in a value": b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX-A: a\0b\r\n\r\n",
    "no Host": b"GET /v2/ HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /v2/ HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "bad name": b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX(A: b\r\n\r\n",
    "version": b"GET /v2/ HTTP/1.10\r\nHost: x\r\n\r\n",
    "version 2": b"GET /v2/ HTTP/2.0\r\nHost: x\r\n\r\n",
    "folded": b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n",
    "bare CR": b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX-A: b\rc\r\n\r\n",
    "space in target": b"GET /v2/ x HTTP/1.1\r\nHost: x\r\n\r\n",
    "HEAD with a body": b"HEAD /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    "HEAD with chunks": b"HEAD /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                        b"5\r\nhello\r\n0\r\n\r\n",
    "GET with a body": b"GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    "no version": b"GET /v2/\r\nHost: x\r\n\r\n",
}
BAD_CHUNKS = {
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "space": b" 5\r\nhello\r\n0\r\n\r\n",
    "junk": b"5 junk\r\nhello\r\n0\r\n\r\n",
    "minus zero": b"-0\r\n\r\n",
    "no CRLF behind": b"5\r\nhello0\r\n\r\n",
    "LF": b"5\nhello\n0\n\n",
    "too large": b"fffffffffffffffff\r\n",
    "long extension": b"5;a=" + b"b" * 300 + b"\r\nhello\r\n0\r\n\r\n",
}


@pytest.fixture(scope="module")
def lar(tmp_path_factory):
    reg = Registry()
    one = Larder(tmp_path_factory.mktemp("http"), upstreams={"docker.io": reg.url},
                 limits={"client_headers": "300ms", "client_idle": "400ms"})
    one.reg = reg
    yield one
    one.finish()
    reg.stop()


@pytest.mark.parametrize("name", BAD)
def test_refused_and_closed(lar, name):
    got, closed = lar.raw(BAD[name] + SECOND)
    assert got.startswith(b"HTTP/1.1 400 "), got
    assert got.count(b"\r\nDate: ") == 1 and closed
    assert b"Content-Type: application/json\r\n" in got and b'{"errors":[' in got


@pytest.mark.parametrize("name", BAD_CHUNKS)
@pytest.mark.parametrize("target", ["POST /v2/", "PUT /v2/x/manifests/latest"])
def test_bad_chunks(lar, name, target):
    """400, though the request would be refused for itself: its body must become no request."""
    head = target.encode() + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    got, closed = lar.raw(head + BAD_CHUNKS[name] + SECOND)
    assert got.startswith(b"HTTP/1.1 400 "), got
    assert got.count(b"HTTP/1.1 ") == 1 and closed


@pytest.mark.parametrize("target, status", [
    ("POST /v2/", b"405"), ("PUT /v2/x/manifests/1", b"403"), ("DELETE /v2/x/manifests/1", b"405")])
@pytest.mark.parametrize("body", [
    b"Content-Length: 5\r\n\r\nhello",
    b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nTrailer: x\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n5;" + b"b" * 250 + b"\r\nhello\r\n00\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n10000\r\n" + b"x" * 65536 + b"\r\n0\r\n\r\n",
], ids=["length", "chunks", "extension", "large"])
def test_body_is_skipped(lar, target, status, body):
    ask = target.encode() + b" HTTP/1.1\r\nHost: x\r\n"
    got, _ = lar.raw(ask + body + PING.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert got.startswith(b"HTTP/1.1 " + status) and got.count(b"HTTP/1.1 ") == 2, got
    assert got.endswith(b"\r\n\r\n{}")


def test_length_of_nothing_is_no_body(lar):
    ask = PING.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n")
    got, _ = lar.raw(ask + ask.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert got.count(b"HTTP/1.1 200 ") == 2


def test_pipelined_and_in_order(lar):
    asks = b"".join(b"GET /v2/x%d/ HTTP/1.1\r\nHost: x\r\n\r\n" % i for i in range(20)) + PING
    got, _ = lar.raw(asks)
    assert got.count(b"HTTP/1.1 404") == 20 and got.count(b"HTTP/1.1 200") == 1
    assert got.endswith(b"{}")


def test_byte_by_byte(lar):
    with socket.create_connection(("127.0.0.1", lar.port)) as sock:
        for i in range(len(PING)):
            sock.sendall(PING[i:i + 1])
        got = sock.recv(4096)
        assert got.startswith(b"HTTP/1.1 200 ")


def test_http_1_0(lar):
    got, closed = lar.raw(b"GET /v2/ HTTP/1.0\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200 ") and closed
    got, closed = lar.raw(b"GET /v2/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", timeout=0.1)
    assert b"Connection: keep-alive" in got and not closed


@pytest.mark.parametrize("ask, status", [
    (b"GET /" + b"x" * 17000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
    (b"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 101 + b"\r\n", b"431"),
    (b"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + b"b" * 70000 + b"\r\n\r\n", b"431"),
], ids=["line", "fields", "block"])
def test_too_large(lar, ask, status):
    got, closed = lar.raw(ask)
    assert got.startswith(b"HTTP/1.1 " + status) and closed, got[:200]


def test_line_of_16k_and_100_fields_are_taken(lar):
    ask = b"GET /v2/?" + b"x" * 16000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    got, _ = lar.raw(ask + b"X-A: b\r\n" * 98 + b"\r\n")
    assert got.startswith(b"HTTP/1.1 200 ")


def test_slow_head_and_idle_connection_end(lar):
    with socket.create_connection(("127.0.0.1", lar.port)) as sock:
        sock.sendall(b"GET /v2/ HT")
        got, closed = drain(sock)
        assert closed and got.startswith(b"HTTP/1.1 408 ")
    got, closed = lar.raw(PING)
    assert closed and got.count(b"HTTP/1.1 200 ") == 1
    got, closed = lar.raw(b"")
    assert closed and got == b""


def test_absolute_target(lar):
    got, _ = lar.raw(b"GET http://x/v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200 ")


def test_half_closed_client_gets_its_answer(lar):
    with socket.create_connection(("127.0.0.1", lar.port)) as sock:
        sock.sendall(PING)
        sock.shutdown(socket.SHUT_WR)
        got, closed = drain(sock)
        assert closed and got.endswith(b"{}")


def test_large_body_is_never_held(lar):
    """More than is skipped ends the connection; the answer comes all the same."""
    head = b"POST /v2/x/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", lar.port)) as sock:
        sock.sendall(head)
        got = sock.recv(65536)
        assert got.startswith(b"HTTP/1.1 40") and b"Connection: close" in got


def test_ipv6_and_unix_sockets(registry, larder, tmp_path):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    path = str(deep / "larder.sock")
    assert len(path) > 107
    lar = larder(upstreams={"docker.io": registry.url},
                 config={"listen": ["127.0.0.1:0", "[::1]:0", "unix:" + path]})
    six = int(lar.events.split("listening on http://[::1]:")[1].split()[0])
    with socket.create_connection(("::1", six)) as sock:
        sock.sendall(PING)
        assert sock.recv(4096).startswith(b"HTTP/1.1 200 ")
    folder = os.open(deep, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"/proc/self/fd/{folder}/larder.sock")
        sock.sendall(PING)
        assert sock.recv(4096).startswith(b"HTTP/1.1 200 ")
    os.close(folder)
    lar.stop()
    assert not os.path.exists(path)


def test_many_connections_share_the_workers(registry, larder):
    img = registry.add_image("library/x", "latest", [noise(1000)])
    lar = larder(upstreams={"docker.io": registry.url}, args=["--workers", "4"])
    lar.get("/v2/library/x/manifests/latest")
    bad = []

    def ask():
        if lar.get("/v2/library/x/manifests/latest").body != img.body:
            bad.append(1)

    threads = [threading.Thread(target=ask) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not bad
