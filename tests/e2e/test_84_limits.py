"""Clients that want more than their share."""
import resource
import socket

import pytest
from larder import VARIANT, drain
from registry import noise
from test_83_access import start_with

DATA = noise(300_000)
MANY = 10_000 if VARIANT == "release" else 2_000


def start(larder, registry, **clients):
    return larder(config={"clients": clients} if clients else {},
                  upstreams={"docker.io": registry.url})


def idle(lar, source=None):
    """A connection that says nothing."""
    sock = socket.socket()
    if source:
        sock.bind((source, 0))
    sock.settimeout(20)
    sock.connect(("127.0.0.1", lar.port))
    return sock


def refused(sock):
    said, closed = drain(sock)
    sock.close()
    return closed and said.startswith(b"HTTP/1.1 503 ") and b"TOOMANYREQUESTS" in said


@pytest.mark.parametrize("limit", ["connections", "per_address"])
def test_one_too_many(registry, larder, limit):
    lar = start(larder, registry, **{"per_address": 3, limit: 3})
    path = "/v2/library/x/blobs/" + registry.add_blob("library/x", DATA)
    held = [idle(lar) for _ in range(3)]
    lar.wait(lambda: lar.counter("connections_open") == 4, "these, and the one that asks")
    assert refused(idle(lar))
    assert lar.counter("connections_refused") == 1
    other = idle(lar, "127.0.0.2")  # another address is another client
    if limit == "per_address":
        other.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert drain(other)[0].startswith(b"HTTP/1.1 200 ")
        other.close()
    else:
        assert refused(other)
    held.pop().close()
    lar.wait(lambda: lar.get(path).status == 200, "one that left makes room")
    for sock in held:
        sock.close()


def test_a_server_that_is_full_still_answers_its_operator(registry, larder):
    lar = start(larder, registry, connections=1, per_address=1)
    with idle(lar):
        lar.wait(lambda: lar.counter("connections_open") == 2, "this, and the one that asks")
        assert refused(idle(lar))


def memory(lar):
    with open(f"/proc/{lar.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon"))


def test_many_idle_connections(registry, larder):
    """They cost little more than their descriptors, and who wants something is served."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    lar = start(larder, registry, connections=MANY + 100, per_address=MANY)
    path = "/v2/library/x/blobs/" + registry.add_blob("library/x", DATA)
    held = []
    try:
        assert lar.get(path).body == DATA
        before = memory(lar)
        for n in range(MANY):
            held.append(idle(lar, f"127.0.{1 + n % 4}.1"))
        lar.wait_counter("connections_open", MANY)
        assert lar.get(path).body == DATA
        if VARIANT == "release":
            assert memory(lar) - before <= 1024 * MANY, "bytes of memory for each connection"
    finally:
        for sock in held:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    lar.wait(lambda: lar.counter("connections_open") <= 1, "all are gone")
    assert lar.get(path).body == DATA


@pytest.mark.parametrize("changes, says", [
    ({"connections": 0}, "clients.connections: must be a number from 1"),
    ({"per_address": "many"}, "clients.per_address: must be a number"),
    ({"each": 1}, "clients.each: "),
])
def test_what_cannot_be_meant(larder, registry, changes, says):
    run = start_with(larder, registry, clients=changes)
    assert run.returncode == 2 and says in run.stderr, run.stderr
