"""Where the disk refuses, or the budget does, blobs are passed through whole and not kept."""
import os

import pytest

from larder import fill
from recount import Index
from registry import noise

REPO = "library/x"
MIB = 1024 * 1024
WINDOW = 8 * MIB
LARGE = noise(40 * MIB + 3, seed=60)
SMALL = noise(100_000, seed=61)
QUICK = {"retry_min": "5ms", "retry_max": "20ms"}


def path_of(digest, repo=REPO):
    return f"/v2/{repo}/blobs/{digest}"


@pytest.fixture
def tight(registry, larder):
    """May keep 4 MiB."""
    return larder(upstreams={"docker.io": registry.url}, limits=QUICK,
                  config={"cache": {"max_size": "4MiB", "min_free": 0}})


def check_window_only(lar):
    assert lar.kept() == set() and lar.ingests() == []


def test_a_blob_beyond_the_budget(registry, tight):
    digest = registry.add_blob(REPO, LARGE)
    for n in (1, 2):
        reply = tight.get(path_of(digest))
        assert (reply.status, reply.complete, reply.source()) == (200, True, "passed")
        assert reply.body == LARGE
        assert reply.headers["content-length"] == str(len(LARGE))
        tight.wait_counter("flights_passed", n)
    assert registry.hits("GET", digest) == 2
    check_window_only(tight)


def test_what_fits_is_kept(registry, tight):
    digest = registry.add_blob(REPO, SMALL)
    assert tight.get(path_of(digest)).source() == "miss"
    tight.wait_counter("flights_landed", 1)
    assert tight.get(path_of(registry.add_blob(REPO, LARGE))).source() == "passed"
    assert tight.get(path_of(digest)).source() == "hit"
    assert tight.kept() == {digest}


@pytest.mark.parametrize("told", [True, False])
def test_a_blob_that_just_fits_is_kept(registry, larder, told):
    """In a small store room is taken in small steps, also where another blob gives way for it, and
    where nobody says how long the blob is."""
    lar = larder(upstreams={"docker.io": registry.url}, limits={**QUICK, "evict_young": "1ms"},
                 config={"cache": {"max_size": "4MB", "min_free": 0}})
    for seed in (1, 2):
        data = noise(3_700_000, seed)
        digest = registry.add_blob(REPO, data)
        if not told:
            registry.on("GET", digest).chunked(1 << 16)
        assert lar.get(path_of(digest)).body == data
        lar.wait_counter("flights_landed", seed)
        assert lar.get(path_of(digest)).source() == "hit"
    assert lar.counter("flights_passed") == 0 and lar.counter("evictions") == 1


def test_a_blob_without_length_beyond_the_budget(registry, tight):
    digest = registry.add_blob(REPO, LARGE)
    registry.on("GET", digest).chunked(1 << 20)
    reply = tight.get(path_of(digest))
    assert reply.status == 200 and reply.complete and reply.body == LARGE
    tight.wait_counter("flights_passed", 1)
    check_window_only(tight)


def begin_together(registry, lar, digest):
    """One client that takes nothing and one that takes all, both there before the first byte."""
    gate = registry.on("GET", digest).hold_after(0)
    slow = lar.begin(path_of(digest), read=False, rcvbuf=4096)
    fast = lar.begin(path_of(digest))
    lar.wait_counter("readers_open", 2)
    gate.open()
    return slow, fast


def test_the_slowest_reader_paces_upstream(registry, tight):
    """Nobody takes anything: upstream gets rid of one window and what sockets hold, no more."""
    digest = registry.add_blob(REPO, LARGE)
    slow, fast = begin_together(registry, tight, digest)
    tight.wait_counter("upstream_bytes", WINDOW)
    assert registry.wait_sent(registry.seen("GET", digest)[0], WINDOW)
    assert not registry.wait_sent(registry.seen("GET", digest)[0], 30 * MIB, timeout=1)
    assert not fast.ended.is_set() and fast.count <= WINDOW + 8 * MIB
    slow.go_on()
    for reply in (fast.done(), slow.done()):
        assert reply.complete and reply.body == LARGE
    assert registry.hits("GET", digest) == 1
    check_window_only(tight)


def test_a_reader_that_leaves_no_longer_paces(registry, tight):
    digest = registry.add_blob(REPO, LARGE)
    slow, fast = begin_together(registry, tight, digest)
    tight.wait_counter("upstream_bytes", WINDOW)
    slow.reset()
    reply = fast.done()
    assert reply.complete and reply.body == LARGE


def test_what_is_punched_out_gets_a_flight_of_its_own(registry, tight):
    digest = registry.add_blob(REPO, LARGE)
    gate = registry.on("GET", digest).hold_after(30 * MIB)
    first = tight.begin(path_of(digest))
    assert gate.reached() and first.read(30 * MIB)
    tight.wait(lambda: tight.counter("flights_open") == 1, "one flight")
    second = tight.get(path_of(digest))
    assert second.complete and second.body == LARGE and second.source() == "passed"
    part = tight.get(path_of(digest), {"Range": "bytes=1000-1999"})
    assert part.status == 206 and part.body == LARGE[1000:2000]
    gate.open()
    reply = first.done()
    assert reply.complete and reply.body == LARGE
    check_window_only(tight)


def test_ranges_through_the_window(registry, tight):
    digest = registry.add_blob(REPO, LARGE)
    size = len(LARGE)
    for a, b in ((0, 10), (20 * MIB, 21 * MIB), (size - 10, size), (5, size)):
        reply = tight.get(path_of(digest), {"Range": f"bytes={a}-{b - 1}"})
        assert (reply.status, reply.complete) == (206, True) and reply.body == LARGE[a:b]
    check_window_only(tight)


@pytest.mark.parametrize("n", [1, 10 * MIB, len(LARGE) - 1])
@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "none"])
def test_cut_while_in_the_window(registry, tight, n, ranges):
    digest = registry.add_blob(REPO, LARGE)
    registry.on("GET", digest).drop_after(n)
    if not ranges:
        registry.on("GET", digest).ignore_range()
    reply = tight.get(path_of(digest))
    assert reply.complete and reply.body == LARGE
    assert registry.seen("GET", digest)[1].headers["range"] == f"bytes={n}-"


@pytest.mark.parametrize("at", [0, len(LARGE) - 1])
def test_wrong_bytes_in_the_window(registry, tight, at):
    digest = registry.add_blob(REPO, LARGE)
    registry.on("GET", digest).corrupt(at).always()
    reply = tight.get(path_of(digest))
    assert (reply.status, reply.complete) == (200, False)
    assert len(reply.body) <= len(LARGE) - 65536
    assert tight.get(path_of(digest)).status == 502
    check_window_only(tight)


@pytest.fixture
def cramped(registry, small_disk, larder):
    return larder(upstreams={"docker.io": registry.url}, limits=QUICK, data=small_disk / "data",
                  config={"cache": {"max_size": "100%", "min_free": 0, "prefetch": False}})


def test_a_disk_that_has_no_room(registry, cramped, small_disk):
    digest = registry.add_blob(REPO, LARGE)
    fill(small_disk, 20 * MIB)
    reply = cramped.get(path_of(digest))
    assert (reply.status, reply.complete) == (200, True) and reply.body == LARGE
    cramped.wait_counter("flights_passed", 1)
    check_window_only(cramped)
    os.unlink(small_disk / "filler")


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_disk_that_fills_up_in_the_middle(registry, cramped, small_disk, chunked):
    """Whoever took the room, the download goes on: kept or not, whole and right."""
    digest = registry.add_blob(REPO, LARGE)
    rule = registry.on("GET", digest)
    if chunked:
        rule.chunked(1 << 20)
    gate = rule.hold_after(10 * MIB)
    first = cramped.begin(path_of(digest))
    assert gate.reached() and first.read(9 * MIB) == LARGE[:9 * MIB]
    fill(small_disk, 4 * MIB)
    second = cramped.begin(path_of(digest))
    assert second.read(1000) == LARGE[:1000]
    gate.open()
    for reply in (first.done(), second.done()):
        assert reply.complete and reply.body == LARGE
    cramped.wait(lambda: cramped.counter("flights_open") == 0, "the flight has ended")
    assert cramped.kept() in (set(), {digest})
    if chunked:
        assert cramped.counter("flights_passed") == 1 and cramped.kept() == set()
    os.unlink(small_disk / "filler")
    reply = cramped.get(path_of(digest))
    assert reply.complete and reply.body == LARGE


def test_a_disk_without_room_for_the_index(registry, cramped, small_disk):
    """Nothing can be noted any more; what clients ask for still comes."""
    fill(small_disk, 0)
    img = registry.add_image(REPO, "1", [SMALL])
    assert cramped.get(f"/v2/{REPO}/manifests/1").body == img.body
    for _ in range(2):
        reply = cramped.get(path_of(img.layers[0]))
        assert reply.complete and reply.body == SMALL
    os.unlink(small_disk / "filler")
    reply = cramped.get(path_of(img.layers[0]))
    assert reply.complete and reply.body == SMALL


@pytest.mark.faults
def test_what_could_not_be_written_is_no_part_of_the_blob(registry, larder):
    """Neither the disk nor memory takes it. What came was hashed, but is nowhere: the next one
    begins from the start."""
    digest = registry.add_blob(REPO, SMALL)
    lar = larder(upstreams={"docker.io": registry.url}, limits=QUICK,
                 config={"cache": {"max_size": 4096, "min_free": 0}},
                 env={"FAULT": "window.open:1-1000"})
    reply = lar.get(path_of(digest))
    assert reply.status >= 500 and reply.code()
    lar.stop()
    lar.env = {}
    lar.config["cache"]["max_size"] = "4MiB"
    lar.start()
    reply = lar.get(path_of(digest))
    assert reply.status == 200 and reply.body == SMALL


FAULTS = ["ingest.open", "ingest.allocate", "ingest.write", "ingest.full", "ingest.fsync",
          "ingest.cut", "ingest.rename", "ingest.folder", "dir.make", "dir.fsync", "blob.fsync",
          "index.begin", "index.put", "index.commit", "index.full", "file.short"]


@pytest.mark.faults
@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize("point", FAULTS)
def test_a_disk_that_fails(registry, larder, tmp_path, point, first):
    """Pulls go on; once it works again, by itself, what is pulled is kept again."""
    fails = tmp_path / "fails"
    lar = larder(upstreams={"docker.io": registry.url}, limits=QUICK,
                 config={"cache": {"prefetch": False, "min_free": 0}},
                 env={"FAULT": f"{point}:{first}-1000000", "FAULT_WHEN": str(fails)})
    fails.touch()
    img = registry.add_image(REPO, "1", [SMALL, LARGE[:9 * MIB]])
    for _ in range(2):
        assert lar.get(f"/v2/{REPO}/manifests/1").body == img.body
        for layer, data in zip(img.layers, (SMALL, LARGE[:9 * MIB]), strict=True):
            reply = lar.get(path_of(layer))
            assert reply.status == 200 and reply.complete and reply.body == data
    fails.unlink()
    for layer in img.layers:
        lar.wait(lambda layer=layer: lar.get(path_of(layer)).source() == "hit", "it is kept")
    assert set(img.layers) <= lar.kept()
    lar.stop()
    Index(lar.data).check()
