"""One download, many readers: nobody waits for anybody else, and nobody gets what is not his."""
import functools

import pytest

from registry import digest_of, noise

REPO = "library/x"
MIB = 1024 * 1024
HOLD = 64 * 1024
BLOB = noise(3 * MIB + 17, seed=40)


def path_of(digest, repo=REPO):
    return f"/v2/{repo}/blobs/{digest}"


@functools.cache
def huge():
    """So large that far ranges of it are passed through."""
    return noise(80 * MIB + 5, seed=41)


@pytest.fixture
def lar(registry, larder):
    return larder(upstreams={"docker.io": registry.url})


@pytest.fixture
def huge_layer(registry, lar):
    """The path of a cold layer whose size is known from its manifest."""
    img = registry.add_image(REPO, "huge", [huge()])
    assert lar.get(f"/v2/{REPO}/manifests/huge").body == img.body
    return path_of(img.layers[0])


def test_fifty_clients_one_get(registry, lar):
    digest = registry.add_blob(REPO, BLOB)
    gate = registry.on("GET", digest).hold_headers()
    pending = [lar.begin(path_of(digest)) for _ in range(50)]
    assert gate.reached()
    lar.wait_counter("flights_joined", 49)
    gate.open()
    replies = [p.done() for p in pending]
    assert all(r.complete and r.body == BLOB for r in replies)
    assert sorted(r.headers["x-larder"] for r in replies) == ["joined"] * 49 + ["miss"]
    assert registry.hits(None, digest) == 1
    lar.wait_counter("flights_landed", 1)


@pytest.mark.parametrize("n", [1, 1000, 300_000, 2 * MIB])
def test_bytes_go_on_as_they_come(registry, lar, n):
    digest = registry.add_blob(REPO, BLOB)
    gate = registry.on("GET", digest).hold_after(n)
    pending = [lar.begin(path_of(digest)) for _ in range(3)]
    assert gate.reached()
    for p in pending:
        assert p.read(n) == BLOB[:n]
    gate.open()
    for p in pending:
        reply = p.done()
        assert reply.complete and reply.body == BLOB


def test_a_client_that_stops_reading(registry, lar):
    data = noise(12 * MIB, seed=42)
    digest = registry.add_blob(REPO, data)
    slow = lar.begin(path_of(digest), read=False, rcvbuf=4096)
    assert registry.wait_hits("GET", digest, 1)
    for _ in range(3):
        reply = lar.get(path_of(digest))
        assert reply.complete and reply.body == data
    lar.wait_counter("flights_landed", 1)
    assert lar.counter("readers_open") >= 1
    slow.go_on()
    reply = slow.done()
    assert reply.complete and reply.body == data
    assert registry.hits("GET", digest) == 1


def test_a_client_that_leaves(registry, lar):
    digest = registry.add_blob(REPO, BLOB)
    gate = registry.on("GET", digest).hold_after(MIB)
    leaves, stays = [lar.begin(path_of(digest)) for _ in range(2)]
    assert gate.reached() and leaves.read(MIB) and stays.read(MIB)
    leaves.reset()
    lar.wait(lambda: lar.counter("readers_open") == 1, "one reader is left")
    gate.open()
    reply = stays.done()
    assert reply.complete and reply.body == BLOB
    assert registry.hits("GET", digest) == 1


def test_a_client_that_closes(registry, lar):
    """By a FIN, which may mean that it only has nothing more to say: told by what it takes."""
    digest = registry.add_blob(REPO, BLOB)
    gate = registry.on("GET", digest).hold_after(MIB)
    leaves, stays = [lar.begin(path_of(digest)) for _ in range(2)]
    assert gate.reached() and leaves.read(MIB) and stays.read(MIB)
    leaves.close()
    gate.open()
    reply = stays.done()
    assert reply.complete and reply.body == BLOB
    lar.wait(lambda: lar.counter("readers_open") == 0, "no reader is left")


def test_all_clients_leave_and_the_download_goes_on(registry, lar):
    digest = registry.add_blob(REPO, BLOB)
    gate = registry.on("GET", digest).hold_after(MIB)
    pending = [lar.begin(path_of(digest)) for _ in range(3)]
    assert gate.reached()
    for p in pending:
        p.read(MIB)
        p.reset()
    lar.wait(lambda: lar.counter("readers_open") == 0, "no reader is left")
    gate.open()
    lar.wait_counter("flights_landed", 1)
    reply = lar.get(path_of(digest))
    assert reply.source() == "hit" and reply.body == BLOB
    assert registry.hits("GET", digest) == 1


def test_all_clients_leave_before_headers(registry, lar):
    digest = registry.add_blob(REPO, BLOB)
    gate = registry.on("GET", digest).hold_headers()
    pending = lar.begin(path_of(digest))
    assert gate.reached()
    pending.reset()
    gate.open()
    lar.wait_counter("flights_landed", 1)


def test_all_clients_leave_and_too_much_is_missing(registry, lar):
    """More than 512 MiB are missing and less than a fifth is there: it stops, and keeps that."""
    digest = digest_of(b"never whole")
    registry.blobs[REPO, digest] = BLOB
    gate = registry.on("GET", digest).length(700 * MIB).hold_after(2 * MIB)
    pending = [lar.begin(path_of(digest)) for _ in range(2)]
    assert gate.reached()
    for p in pending:
        assert p.head().headers["content-length"] == str(700 * MIB)
        p.read(2 * MIB)
    pending[0].reset()
    lar.wait(lambda: lar.counter("readers_open") == 1, "one reader is left")
    assert lar.counter("flights_open") == 1
    pending[1].reset()
    lar.wait(lambda: lar.counter("flights_open") == 0, "the flight has stopped")
    assert len(lar.ingests()) == 1
    registry.on("GET", digest).status(404)
    assert lar.get(path_of(digest)).status == 404
    assert registry.seen("GET", digest)[1].headers["range"] == f"bytes={2 * MIB}-"


def test_ranges_at_every_position_of_a_growing_blob(registry, lar):
    digest = registry.add_blob(REPO, BLOB)
    size, here = len(BLOB), MIB
    gate = registry.on("GET", digest).hold_after(here)
    whole = lar.begin(path_of(digest))
    assert gate.reached() and whole.read(here) == BLOB[:here]
    spans = [(0, 1), (0, size), (5, here), (5, size), (here - 1, here), (here - 1, here + 1),
             (here, size), (2 * MIB, 2 * MIB + 1), (size - HOLD, size),
             (size - HOLD - 1, size - HOLD), (size - 1, size)]
    pending = [lar.begin(path_of(digest), {"Range": f"bytes={a}-{b - 1}"}) for a, b in spans]
    for p, (a, b) in zip(pending, spans):
        assert p.head().headers["content-range"] == f"bytes {a}-{b - 1}/{size}"
        there = max(0, min(b, here) - a)
        assert p.read(there) == BLOB[a:a + there]
        assert p.ended.wait(20) if b <= here else not p.ended.is_set()
    gate.open()
    for p, (a, b) in zip(pending, spans):
        reply = p.done()
        assert (reply.status, reply.complete) == (206, True) and reply.body == BLOB[a:b]
    assert whole.done().body == BLOB
    assert registry.hits("GET", digest) == 1


def test_far_ranges_of_a_cold_blob_are_passed_on(registry, lar, huge_layer):
    started = lar.counter("flights_started")
    for i in range(7):
        a = 40 * MIB + i * 1000
        reply = lar.get(huge_layer, {"Range": f"bytes={a}-{a + 99_999}"})
        assert (reply.status, reply.complete, reply.source()) == (206, True, "passed")
        assert reply.headers["content-range"] == f"bytes {a}-{a + 99_999}/{len(huge())}"
        assert reply.body == huge()[a:a + 100_000]
        assert registry.seen("GET", "/blobs/")[i].headers["range"] == f"bytes={a}-{a + 99_999}"
    assert lar.counter("flights_started") == started and lar.counter("ranges_passed") == 7
    reply = lar.get(huge_layer, {"Range": f"bytes={50 * MIB}-{50 * MIB + 9}"})
    assert (reply.status, reply.source()) == (206, "miss")
    assert reply.body == huge()[50 * MIB:50 * MIB + 10]
    assert lar.counter("flights_started") == started + 1 and lar.counter("ranges_passed") == 7
    assert registry.hits("GET", "/blobs/") == 8


@pytest.mark.parametrize("text, a, b", [
    ("bytes=0-9", 0, 10), ("bytes=-10", 80 * MIB - 5, 80 * MIB + 5),
    (f"bytes={79 * MIB}-", 79 * MIB, 80 * MIB + 5)])
def test_ranges_of_a_cold_blob_that_start_the_download(registry, lar, huge_layer, text, a, b):
    reply = lar.get(huge_layer, {"Range": text})
    assert (reply.status, reply.source()) == (206, "miss") and reply.body == huge()[a:b]
    assert lar.counter("ranges_passed") == 0 and registry.hits("GET", "/blobs/") == 1


def test_near_and_far_ranges_of_a_growing_blob(registry, lar, huge_layer):
    gate = registry.on("GET", "/blobs/").hold_after(MIB)
    whole = lar.begin(huge_layer)
    assert gate.reached() and whole.read(MIB)
    near = lar.begin(huge_layer, {"Range": f"bytes={8 * MIB}-{8 * MIB + 99}"})
    last = lar.begin(huge_layer, {"Range": "bytes=-1"})
    assert near.head().source() == "joined" and last.head().source() == "joined"
    far = lar.get(huge_layer, {"Range": f"bytes={40 * MIB}-{40 * MIB + 99}"})
    assert far.source() == "passed" and far.body == huge()[40 * MIB:40 * MIB + 100]
    assert not near.first_byte.is_set() and not last.first_byte.is_set()
    gate.open()
    assert near.done().body == huge()[8 * MIB:8 * MIB + 100]
    assert last.done().body == huge()[-1:]
    assert whole.done().body == huge()
    assert registry.hits("GET", "/blobs/") == 2


def test_a_far_range_that_breaks_off(registry, lar, huge_layer):
    """It is nobody's but this client's: cut short, as upstream's was."""
    registry.on("GET", "/blobs/").drop_after(1000)
    reply = lar.get(huge_layer, {"Range": f"bytes={40 * MIB}-{41 * MIB - 1}"})
    assert (reply.status, reply.complete) == (206, False)
    assert reply.body == huge()[40 * MIB:40 * MIB + 1000]


def test_a_far_range_of_a_blob_that_was_wrong(registry, lar, huge_layer):
    registry.on("GET", "/blobs/").corrupt(60 * MIB).always()
    reply = lar.get(huge_layer)
    assert not reply.complete and len(reply.body) <= 80 * MIB + 5 - HOLD
    for a in (0, 40 * MIB, 80 * MIB):
        assert lar.get(huge_layer, {"Range": f"bytes={a}-{a + 4}"}).status == 502
    assert registry.hits("GET", "/blobs/") == 1


def test_a_far_range_of_another_size(registry, lar, huge_layer):
    """What upstream has is not the blob that the manifest names."""
    registry.on("GET", "/blobs/").wrong_total(81 * MIB)
    reply = lar.get(huge_layer, {"Range": f"bytes={40 * MIB}-{40 * MIB + 99}"})
    assert (reply.status, reply.source()) == (206, "miss")
    assert reply.headers["content-range"].endswith(f"/{len(huge())}")
    assert reply.body == huge()[40 * MIB:40 * MIB + 100]


def test_a_far_range_where_upstream_ignores_ranges(registry, lar, huge_layer):
    registry.on("GET", "/blobs/").ignore_range().always()
    reply = lar.get(huge_layer, {"Range": f"bytes={40 * MIB}-{40 * MIB + 99}"})
    assert (reply.status, reply.complete) == (206, True)
    assert reply.body == huge()[40 * MIB:40 * MIB + 100]


def test_a_refused_repository_beside_a_good_one(registry, lar):
    """It asks for what another is fetching just now, and is told what its own upstream says."""
    digest = registry.add_blob("a/x", BLOB)
    registry.add_blob("b/x", BLOB)
    registry.forbid("b/x")
    gate = registry.on("GET", digest).hold_after(MIB)
    good = lar.begin(path_of(digest, "a/x"))
    assert gate.reached()
    for headers in ({}, {"Range": "bytes=0-9"}):
        assert lar.get(path_of(digest, "b/x"), headers).status == 404
    gate.open()
    assert good.done().body == BLOB
    lar.wait_counter("flights_landed", 1)
    for method in ("GET", "HEAD"):
        assert lar.get(path_of(digest, "b/x"), method=method).status == 404
    assert lar.get(path_of(digest, "c/x")).status == 404
    assert registry.hits("GET", f"a/x/blobs/{digest}") == 1


def test_a_good_repository_beside_a_refused_one(registry, lar):
    """The refused one was first: its flight goes on with the other's source."""
    digest = registry.add_blob("a/x", BLOB)
    registry.add_blob("b/x", BLOB)
    registry.forbid("b/x")
    gate = registry.on("GET", "b/x/blobs").hold_headers()
    bad = lar.begin(path_of(digest, "b/x"))
    assert gate.reached()
    good = lar.begin(path_of(digest, "a/x"))
    assert registry.wait_hits("HEAD", "a/x/blobs", 1)
    gate.open()
    reply = good.done()
    assert reply.complete and reply.body == BLOB
    assert bad.done().status == 404
    assert lar.get(path_of(digest, "b/x")).status == 404


def test_a_proof_needs_no_second_download(registry, lar):
    digest = registry.add_blob("a/x", BLOB)
    registry.add_blob("b/x", BLOB)
    assert lar.get(path_of(digest, "a/x")).body == BLOB
    lar.wait_counter("flights_landed", 1)
    reply = lar.get(path_of(digest, "b/x"))
    assert reply.body == BLOB and reply.source() == "revalidated"
    assert registry.hits("HEAD", "b/x") == 1 and registry.hits("GET", digest) == 1
    assert lar.get(path_of(digest, "b/x")).source() == "hit"
    assert len(registry.requests) == 2


def test_the_other_repository_takes_over(registry, lar):
    """The first source breaks off for good in the middle; the second one has the rest."""
    digest = registry.add_blob("a/x", BLOB)
    registry.add_blob("b/x", BLOB)
    gate = registry.on("GET", "a/x").drop_after(MIB + 1).hold_after(MIB)
    first = lar.begin(path_of(digest, "a/x"))
    assert gate.reached()
    second = lar.begin(path_of(digest, "b/x"))
    assert second.head().source() == "joined"
    registry.forbid("a/x")
    gate.open()
    for pending in (first, second):
        reply = pending.done()
        assert reply.complete and reply.body == BLOB
    assert registry.seen("GET", "b/x")[0].headers["range"] == f"bytes={MIB + 1}-"
