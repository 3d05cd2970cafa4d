"""Memory that large answers share: who holds some of it, and for how long."""
import json

import pytest
from larder import Stuck, connect
from test_89_floods import big_manifest

MIB = 1 << 20
JSON = {"Content-Type": "application/json"}
MANIFEST = big_manifest(2 * MIB)


def tag_list(size, first=0):
    """Tags as long as they may be, of so many bytes in all."""
    return [f"{n:07d}" + "x" * 121 for n in range(first, first + size // 132)]


@pytest.fixture
def lar(registry, larder):
    """It keeps little, so that what it was asked for is in memory alone."""
    return larder(upstreams={"docker.io": registry.url},
                  config={"cache": {"max_size": "1MiB", "min_free": 0}})


@pytest.fixture
def slow_readers(registry, lar):
    """Begins so many cold lists, each of another repository and of more than a socket takes, which
    nobody reads further than their first bytes. Two of them being read are most of the room."""
    socks = []
    body = json.dumps({"name": "x", "tags": tag_list(21 * MIB // 4)}).encode()

    def begin(n):
        for i in range(n):
            registry.on("GET", f"/slow{i}/tags/list").status(200, JSON, body)
            sock = connect(lar, 4096)
            socks.append(sock)
            sock.sendall(f"GET /v2/library/slow{i}/tags/list HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert sock.recv(15) == b"HTTP/1.1 200 OK"

    yield begin
    for sock in socks:
        sock.close()


def test_slow_readers_of_lists_leave_room_to_fetch(registry, lar, slow_readers):
    registry.add_manifest("library/x", "1", MANIFEST)
    slow_readers(2)
    reply = lar.get("/v2/library/x/manifests/1")
    assert reply.status == 200 and reply.body == MANIFEST


def test_head_needs_no_room_to_send(registry, lar, slow_readers):
    """Of a manifest that is not kept: only who gets its bytes has them in memory."""
    registry.add_manifest("library/x", "1", MANIFEST)
    slow_readers(3)
    reply = lar.head("/v2/library/x/manifests/1")
    assert reply.status == 200 and int(reply.headers["content-length"]) == len(MANIFEST)
    assert lar.get("/v2/library/x/manifests/1").status == 429


@pytest.mark.parametrize("pages", [2, 5])
def test_a_list_as_long_as_lists_may_be(registry, lar, pages):
    """Three times its bytes are more than one answer may have of the room: it gets that."""
    size = 15 * MIB // pages
    tags = [tag_list(size, n * (size // 132)) for n in range(pages)]
    for n in reversed(range(pages)):  # the first rule that fits counts
        rule = registry.on("GET", f"page={n}" if n else "/tags/list")
        rule.status(200, JSON, json.dumps({"name": "library/x", "tags": tags[n]}).encode()).always()
        if n + 1 < pages:
            rule.header("Link", f'</v2/library/x/tags/list?page={n + 1}>; rel="next"')
    reply = lar.get("/v2/library/x/tags/list")
    assert reply.status == 200 and reply.json()["tags"] == sum(tags, [])


@pytest.mark.faults
def test_large_lists_are_made_one_after_the_other(registry, larder, tmp_path):
    """The next one waits, and is told to come again in the end; those that are small are made."""
    stuck = Stuck(tmp_path, "blob.open")
    lar = larder(upstreams={"docker.io": registry.url}, env=stuck.env)
    tags = {"one": tag_list(6 * MIB), "two": tag_list(6 * MIB, 1), "three": tag_list(MIB // 8)}
    for name, listed in tags.items():
        body = json.dumps({"name": f"library/{name}", "tags": listed}).encode()
        registry.on("GET", f"/{name}/tags/list").status(200, JSON, body)
        assert lar.get(f"/v2/library/{name}/tags/list").json()["tags"] == listed
    lar.stop()
    lar.config["limits"] = {"first_byte": "1s"}
    lar.start()
    stuck.begin()
    first = lar.begin("/v2/library/one/tags/list")
    stuck.reached(lar)
    reply = lar.get("/v2/library/two/tags/list")
    assert reply.status == 429 and "retry-after" in reply.headers, reply
    assert lar.get("/v2/library/three/tags/list").json()["tags"] == tags["three"]
    stuck.go_on()
    assert first.done().status >= 500
    assert lar.get("/v2/library/two/tags/list").json()["tags"] == tags["two"]
