"""Blobs: hit, miss, joined, HEAD, ranges and conditions (protocol.md 1.9)."""
import pytest

from registry import digest_of, noise

REPO = "library/x"
SMALL = noise(1000, seed=2)
BLOB = noise(400_000, seed=3)
LARGE = noise(3_000_000, seed=4)
MIB = 1024 * 1024


def path_of(digest, repo=REPO):
    return f"/v2/{repo}/blobs/{digest}"


@pytest.fixture
def lar(registry, larder):
    return larder(upstreams={"docker.io": registry.url})


@pytest.fixture
def warm(registry, lar):
    """The path of a blob of 400,000 bytes that is here."""
    path = path_of(registry.add_blob(REPO, BLOB))
    reply = lar.get(path)
    assert reply.complete and reply.body == BLOB
    lar.wait_counter("flights_landed", 1)
    return path


@pytest.mark.parametrize("data", [b"", b"x", SMALL, noise(256 * 1024), noise(256 * 1024 + 1), BLOB,
                                  LARGE], ids=len)
def test_a_miss_then_a_hit(registry, lar, data):
    digest = registry.add_blob(REPO, data)
    for word in ("miss", "hit"):
        reply = lar.get(path_of(digest))
        assert (reply.status, reply.complete, reply.body) == (200, True, data)
        assert reply.headers["x-larder"].split(";")[0] == word
        assert reply.headers["content-type"] == "application/octet-stream"
        assert reply.headers["content-length"] == str(len(data))
        assert reply.headers["docker-content-digest"] == digest
        assert reply.headers["etag"] == f'"{digest}"'
        assert reply.headers["accept-ranges"] == "bytes"
        lar.wait_counter("flights_landed", 1)
    assert registry.hits(None, digest) == 1
    counters = lar.counters()
    assert (counters["responses_miss"], counters["responses_hit"]) == (1, 1)
    assert (counters["blobs_stored"], counters["bytes_stored"]) == (1, len(data))


def test_a_request_joins_the_flight(registry, lar):
    digest = registry.add_blob(REPO, LARGE)
    gate = registry.on("GET", digest).hold_after(MIB)
    first = lar.begin(path_of(digest))
    assert gate.reached() and first.head().status == 200
    second = lar.begin(path_of(digest))
    assert second.head().headers["x-larder"] == "joined"
    assert second.read(MIB // 2) == LARGE[:MIB // 2]
    gate.open()
    for pending in (first, second):
        reply = pending.done()
        assert reply.complete and reply.body == LARGE
    assert registry.hits(None, digest) == 1 and lar.counter("flights_joined") == 1


def test_a_small_blob_comes_after_the_verdict(registry, lar):
    data = noise(256 * 1024, seed=5)
    digest = registry.add_blob(REPO, data)
    gate = registry.on("GET", digest).hold_after(len(data) - 1)
    pending = lar.begin(path_of(digest))
    assert gate.reached()
    lar.wait_counter("upstream_bytes", len(data) - 1)
    assert not pending.first_byte.is_set() and lar.counter("responses_miss") == 0
    gate.open()
    reply = pending.done()
    assert (reply.status, reply.complete, reply.body) == (200, True, data)


def test_the_tail_of_a_large_blob_comes_after_the_verdict(registry, lar):
    digest = registry.add_blob(REPO, BLOB)
    gate = registry.on("GET", digest).hold_after(len(BLOB) - 1)
    pending = lar.begin(path_of(digest))
    assert gate.reached()
    lar.wait_counter("upstream_bytes", len(BLOB) - 1)
    ready = len(BLOB) - 64 * 1024
    assert pending.read(ready) == BLOB[:ready]
    lar.wait_counter("readers_parked", 1)
    assert pending.body_so_far == BLOB[:ready]
    gate.open()
    assert pending.done().body == BLOB


def test_a_blob_that_upstream_lacks(registry, lar):
    digest = digest_of(b"nobody has it")
    for method in ("GET", "HEAD"):
        reply = lar.get(path_of(digest), method=method)
        assert (reply.status, reply.headers["x-larder"]) == (404, "none")
    assert b"BLOB_UNKNOWN" in lar.get(path_of(digest)).body
    assert lar.counter("flights_landed") == 0


def test_head_starts_no_flight(registry, lar):
    digest = registry.add_blob(REPO, BLOB)
    reply = lar.get(path_of(digest), method="HEAD")
    assert (reply.status, reply.headers["content-length"]) == (200, str(len(BLOB)))
    assert reply.headers["docker-content-digest"] == digest
    assert registry.hits("GET", digest) == 0 and lar.counter("flights_started") == 0
    assert lar.get(path_of(digest)).body == BLOB


def test_head_where_upstream_refuses_it(registry, lar):
    digest = registry.add_blob(REPO, BLOB)
    registry.on("HEAD", digest).status(405).always()
    reply = lar.get(path_of(digest), method="HEAD")
    assert (reply.status, reply.headers["content-length"]) == (200, str(len(BLOB)))
    assert registry.seen("GET", digest)[0].headers["range"] == "bytes=0-0"
    assert lar.counter("flights_started") == 0


def test_head_of_what_is_here(registry, lar, warm):
    asked = len(registry.requests)
    reply = lar.get(warm, method="HEAD")
    assert (reply.status, reply.headers["content-length"]) == (200, str(len(BLOB)))
    assert reply.headers["x-larder"].startswith("hit")
    assert reply.headers["accept-ranges"] == "bytes"
    assert len(registry.requests) == asked


S = len(BLOB)
RANGES = [("bytes=0-0", 0, 1), ("bytes=5-9", 5, 10), (f"bytes=10-{S}", 10, S), ("bytes=7-", 7, S),
          ("bytes=0-", 0, S), ("bytes=-5", S - 5, S), (f"bytes=-{S + 5}", 0, S),
          (f"bytes={S - 1}-", S - 1, S), (f"bytes={S - 1}-99999999999999999999", S - 1, S)]


@pytest.mark.parametrize("text, start, end", RANGES)
def test_ranges_of_a_hit(lar, warm, text, start, end):
    reply = lar.get(warm, {"Range": text})
    assert (reply.status, reply.complete, reply.body) == (206, True, BLOB[start:end])
    assert reply.headers["content-range"] == f"bytes {start}-{end - 1}/{S}"
    assert reply.headers["content-length"] == str(end - start)
    assert lar.counter("flights_started") == 1


@pytest.mark.parametrize("text, start, end", RANGES)
def test_ranges_of_a_cold_blob(registry, lar, text, start, end):
    digest = registry.add_blob(REPO, BLOB)
    reply = lar.get(path_of(digest), {"Range": text})
    assert (reply.status, reply.complete, reply.body) == (206, True, BLOB[start:end])
    assert reply.headers["content-range"] == f"bytes {start}-{end - 1}/{S}"
    lar.wait_counter("flights_landed", 1)
    assert registry.hits("GET", digest) == 1


@pytest.mark.parametrize("text", [f"bytes={S}-", "bytes=500-0", f"bytes={S + 5}-{S + 9}",
                                  "bytes=-0"])
@pytest.mark.parametrize("heat", ["warm", "cold"])
def test_ranges_beyond_the_end(request, registry, lar, text, heat):
    if heat == "warm":
        path = request.getfixturevalue("warm")
    else:
        path = path_of(registry.add_blob(REPO, BLOB))
    reply = lar.get(path, {"Range": text})
    assert (reply.status, reply.headers["content-range"]) == (416, f"bytes */{S}")


@pytest.mark.parametrize("text", ["lines=0-1", "bytes=", "bytes=a-b", "bytes 0-5", "bytes=0-5,7-9"])
def test_what_is_no_range_is_ignored(lar, warm, text):
    reply = lar.get(warm, {"Range": text})
    assert (reply.status, reply.body) == (200, BLOB)


def test_a_range_of_an_empty_blob_is_ignored(registry, lar):
    path = path_of(registry.add_blob(REPO, b""))
    for _ in range(2):
        reply = lar.get(path, {"Range": "bytes=0-5"})
        assert (reply.status, reply.headers["content-length"]) == (200, "0")
        lar.wait_counter("flights_landed", 1)


def test_conditions(lar, warm):
    etag = '"' + warm.rpartition("/")[2] + '"'
    for value in (etag, "W/" + etag, f'"other", {etag}', "*"):
        reply = lar.get(warm, {"If-None-Match": value})
        assert (reply.status, reply.body) == (304, b"")
        assert "content-type" not in reply.headers and reply.headers["etag"] == etag
    assert lar.get(warm, {"If-None-Match": etag}, "HEAD").status == 304
    assert lar.get(warm, {"If-None-Match": '"other"'}).body == BLOB
    assert lar.get(warm, {"If-Match": '"other"'}).status == 412
    assert lar.get(warm, {"If-Match": etag}).status == 200
    part = {"Range": "bytes=0-4"}
    assert lar.get(warm, {"If-Range": etag, **part}).status == 206
    assert lar.get(warm, {"If-Range": '"other"', **part}).status == 200
    assert lar.get(warm, {"If-Range": "W/" + etag, **part}).status == 200


def test_ways_to_name_a_repository(registry, lar, warm):
    """One blob, whatever the way in: nothing is asked again."""
    asked = len(registry.requests)
    digest = warm.rpartition("/")[2]
    for path in (f"/v2/x/blobs/{digest}", f"/v2/docker.io/x/blobs/{digest}",
                 f"/docker.io/v2/library/x/blobs/{digest}", f"{warm}?ns=docker.io",
                 f"/docker.io/v2/x/blobs/{digest}?ns=registry-1.docker.io"):
        reply = lar.get(path)
        assert (reply.status, reply.body) == (200, BLOB), path
    assert len(registry.requests) == asked
