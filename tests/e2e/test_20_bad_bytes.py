"""Wrong bytes: nobody gets all of them, nothing of them is kept."""
import pytest

from registry import MANIFEST, Registry, digest_of, noise

REPO = "library/x"
SMALL = noise(200_000, seed=20)
LARGE = noise(1_500_000, seed=21)
HOLD = 64 * 1024


def path_of(digest, repo=REPO):
    return f"/v2/{repo}/blobs/{digest}"


def spoil(data, offset):
    data = bytearray(data)
    data[offset] ^= 0x55
    return bytes(data)


def check_nothing_kept(lar):
    """No blob, and no part of one that a later download would go on with."""
    lar.wait(lambda: lar.counter("flights_open") == 0, "all flights have ended")
    assert lar.kept() == set() and lar.ingests() == []
    assert lar.counter("blobs_stored") == 0


def check_held_back(replies, wrong):
    """What all replies together tell of the wrong bytes ends before its last 64 KiB."""
    for reply in replies:
        assert not (reply.complete and reply.status in (200, 206)), reply
        if reply.status == 200:
            assert reply.body == wrong[:len(reply.body)]
            assert len(reply.body) <= len(wrong) - HOLD
        else:
            assert reply.status in (206, 502)


@pytest.fixture
def lar(registry, larder):
    return larder(upstreams={"docker.io": registry.url})


@pytest.mark.parametrize("at", [0, len(SMALL) // 2, len(SMALL) - 1])
def test_a_small_blob(registry, lar, at):
    digest = registry.add_blob(REPO, SMALL)
    registry.on("GET", digest).corrupt(at).always()
    for _ in range(2):
        reply = lar.get(path_of(digest))
        assert (reply.status, reply.headers["x-larder"]) == (502, "none")
        assert b"errors" in reply.body and SMALL[:20] not in reply.body
    assert registry.hits("GET", digest) == 1
    assert lar.counter("flights_mismatched") == 1
    check_nothing_kept(lar)


@pytest.mark.parametrize("at", [0, len(LARGE) // 2, len(LARGE) - 1])
def test_a_large_blob(registry, lar, at):
    digest = registry.add_blob(REPO, LARGE)
    registry.on("GET", digest).corrupt(at).always()
    reply = lar.get(path_of(digest))
    assert reply.status == 200 and reply.headers["content-length"] == str(len(LARGE))
    check_held_back([reply], spoil(LARGE, at))
    assert lar.counter("flights_mismatched") == 1
    check_nothing_kept(lar)


def test_refused_for_a_while(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url}, limits={"bad_digest": "300ms"})
    digest = registry.add_blob(REPO, LARGE)
    registry.on("GET", digest).corrupt(5)
    replies = [lar.get(path_of(digest))]
    for headers in ({}, {"Range": "bytes=0-9"}, {"Range": f"bytes={len(LARGE) - 9}-"},
                    {"Range": "bytes=1000000-"}):
        replies.append(lar.get(path_of(digest), headers))
        assert replies[-1].status == 502
    check_held_back(replies, spoil(LARGE, 5))
    assert registry.hits("GET", digest) == 1
    while (reply := lar.get(path_of(digest))).status == 502:
        pass
    assert reply.complete and reply.body == LARGE
    assert registry.hits("GET", digest) == 2


def test_joined_ones_and_ranges_of_a_wrong_blob(registry, lar):
    digest = registry.add_blob(REPO, LARGE)
    rule = registry.on("GET", digest).corrupt(len(LARGE) - 100_000).always()
    gate = rule.hold_after(len(LARGE) - 10)
    size = len(LARGE)
    asked = [{}, {}, {"Range": "bytes=0-"}, {"Range": f"bytes={size - HOLD}-"},
             {"Range": f"bytes={size - 200_000}-"}, {"Range": "bytes=-1"}]
    pending = [lar.begin(path_of(digest), headers) for headers in asked]
    assert pending[0].read(size - HOLD) == spoil(LARGE, size - 100_000)[:size - HOLD]
    gate.open()
    replies = [p.done() for p in pending]
    check_held_back(replies, spoil(LARGE, size - 100_000))
    tails = [reply.body for reply in replies if reply.status == 206]
    assert all(len(tail) < size for tail in tails)
    assert replies[3].body == b"" and replies[5].body == b""
    check_held_back([lar.get(path_of(digest), {"Range": f"bytes={size - HOLD}-"})], LARGE)
    check_nothing_kept(lar)


@pytest.mark.parametrize("n", [1, 300_000, len(LARGE) - 1])
def test_a_body_shorter_than_promised(registry, larder, n):
    """It ends early each time, in good order: the rest is asked for, and wrong bytes never come."""
    lar = larder(upstreams={"docker.io": registry.url},
                 limits={"retry_min": "5ms", "retry_max": "20ms", "retry_for": "300ms",
                         "first_byte": "500ms"})
    digest = registry.add_blob(REPO, LARGE)
    registry.on("GET", digest).body(LARGE[:n]).ignore_range().always()
    reply = lar.get(path_of(digest))
    assert reply.status in (502, 504) or (reply.status == 200 and not reply.complete)
    check_held_back([reply], LARGE)
    assert lar.kept() == set()


def test_a_content_length_that_the_body_does_not_fill(registry, larder):
    """More than there is was promised, and cannot be had: cut short at once, and right after."""
    lar = larder(upstreams={"docker.io": registry.url}, limits={"retry_min": "5ms"})
    digest = registry.add_blob(REPO, LARGE)
    registry.on("GET", digest).length(len(LARGE) + 5)
    reply = lar.get(path_of(digest))
    assert (reply.status, reply.complete) == (200, False)
    assert LARGE.startswith(reply.body)
    reply = lar.get(path_of(digest))
    assert reply.complete and reply.body == LARGE


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=len)
def test_a_body_longer_than_promised(registry, lar, data):
    """Bytes beyond Content-Length are no part of the answer, and spoil the connection only."""
    digest = registry.add_blob(REPO, data)
    registry.on("GET", digest).body(data + b"more" * 1000).length(len(data))
    other = registry.add_blob(REPO, noise(70_000, seed=22))
    reply = lar.get(path_of(digest))
    assert reply.complete and reply.body == data
    assert lar.get(path_of(other)).body == noise(70_000, seed=22)


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=len)
def test_a_blob_longer_than_its_digest(registry, lar, data):
    digest = registry.add_blob(REPO, data)
    registry.on("GET", digest).body(data + b"x").always()
    reply = lar.get(path_of(digest))
    assert not (reply.status == 200 and reply.complete)
    assert lar.get(path_of(digest)).status == 502
    check_nothing_kept(lar)


def test_longer_than_the_manifest_says(registry, lar):
    """The size that a manifest promised was in our head already, or not: never whole and wrong."""
    img = registry.add_image(REPO, "1", [LARGE])
    assert lar.get(f"/v2/{REPO}/manifests/{img.digest}").body == img.body
    landed = lar.counter("blobs_stored")
    registry.on("GET", img.layers[0]).body(LARGE + b"x").always()
    reply = lar.get(path_of(img.layers[0]))
    check_held_back([reply], LARGE + b"x")
    assert lar.counter("blobs_stored") == landed


def test_a_partial_file_that_is_wrong(registry, larder):
    """Its first half was bad: the download goes on, fails, and is done once more from zero."""
    lar = larder(upstreams={"docker.io": registry.url},
                 limits={"retry_min": "5ms", "retry_max": "5ms", "retry_for": "50ms",
                         "first_byte": "2s"})
    digest = registry.add_blob(REPO, LARGE)
    registry.on("GET", digest).corrupt(7).drop_after(700_000)
    rule = registry.on("GET", digest).status(503).always()
    reply = lar.get(path_of(digest))
    assert reply.status == 200 and not reply.complete and len(reply.body) <= 700_000
    rule.times(0)
    reply = lar.get(path_of(digest))
    asked = [x.headers.get("range") for x in registry.seen("GET", digest)]
    assert "bytes=700000-" in asked[-2:], asked
    assert reply.status == 200
    if reply.complete:
        assert reply.body == LARGE
    else:
        check_held_back([reply], spoil(LARGE, 7))
    reply = lar.get(path_of(digest))
    assert reply.complete and reply.body == LARGE
    assert registry.seen("GET", digest)[-1].headers.get("range") is None
    assert lar.counter("flights_mismatched") == 1


def test_two_upstreams_one_of_them_wrong(registry, larder):
    other = Registry()
    try:
        lar = larder(upstreams={"docker.io": registry.url, "ghcr.io": other.url})
        for landed, data in enumerate((SMALL, LARGE), 1):
            digest = registry.add_blob(REPO, data)
            other.add_blob("a/x", data)
            rule = registry.on("GET", digest).corrupt(9).always()
            gate = rule.hold_after(100_000)
            first = lar.begin(path_of(digest))
            assert gate.reached()
            second = lar.begin("/v2/ghcr.io/a/x/blobs/" + digest)
            assert other.wait_hits(None, digest, 1)
            gate.open()
            check_held_back([r for r in [first.done()] if not (r.complete and r.body == data)],
                              spoil(data, 9))
            reply = second.done()
            if not (reply.complete and reply.body == data):
                check_held_back([reply], spoil(data, 9))
            reply = lar.get("/v2/ghcr.io/a/x/blobs/" + digest)
            assert reply.complete and reply.body == data
            lar.wait_counter("flights_landed", landed)
            assert lar.get(path_of(digest)).body == data
    finally:
        other.stop()


def test_a_manifest_that_is_not_its_digest(registry, lar):
    body = b'{"schemaVersion":2,"mediaType":"%s","layers":[]}' % MANIFEST.encode()
    digest = registry.add_manifest(REPO, None, body)
    registry.on("GET", digest).body(body.replace(b"2", b"3")).always()
    assert lar.get(f"/v2/{REPO}/manifests/{digest}").status == 502
    assert digest == digest_of(body)
    check_nothing_kept(lar)
