"""Upstreams that break off, hang, refuse and come back."""
import time

import pytest

from registry import digest_of, noise

REPO = "library/x"
BLOB = noise(1_500_000, seed=30)
SMALL = noise(50_000, seed=31)
MIB = 1024 * 1024
QUICK = {"retry_min": "5ms", "retry_max": "20ms"}


def path_of(digest, repo=REPO):
    return f"/v2/{repo}/blobs/{digest}"


@pytest.fixture
def lar(registry, larder):
    return larder(upstreams={"docker.io": registry.url}, limits=QUICK)


def ranges(registry, digest):
    return [x.headers.get("range") for x in registry.seen("GET", digest)]


@pytest.mark.parametrize("how", ["drop_after", "reset_after"])
@pytest.mark.parametrize("n", [0, 1, 65536, 256 * 1024, 700_001, len(BLOB) - 65536, len(BLOB) - 1])
def test_cut(registry, lar, how, n):
    """Whatever has come stays, and the rest is asked for. (An RST may take bytes with it.)"""
    digest = registry.add_blob(REPO, BLOB)
    getattr(registry.on("GET", digest), how)(n)
    reply = lar.get(path_of(digest))
    assert (reply.status, reply.complete) == (200, True) and reply.body == BLOB
    asked = ranges(registry, digest)
    assert len(asked) == 2 and asked[0] is None
    if how == "drop_after":
        assert asked[1] == (f"bytes={n}-" if n else None)
    lar.wait_counter("flights_landed", 1)


@pytest.mark.parametrize("n", [1, 700_001, len(BLOB) - 1])
def test_cut_without_ranges(registry, lar, n):
    digest = registry.add_blob(REPO, BLOB)
    registry.on("GET", digest).drop_after(n)
    registry.on("GET", digest).ignore_range()
    reply = lar.get(path_of(digest))
    assert reply.complete and reply.body == BLOB
    assert ranges(registry, digest) == [None, f"bytes={n}-"]


def test_cut_again_and_again(registry, lar):
    digest = registry.add_blob(REPO, BLOB)
    registry.on("GET", digest).drop_after(100_000).times(14)
    reply = lar.get(path_of(digest))
    assert reply.complete and reply.body == BLOB
    assert ranges(registry, digest) == [None] + [f"bytes={i}00000-" for i in range(1, 15)]


def test_cut_again_and_again_without_ranges(registry, lar):
    digest = registry.add_blob(REPO, BLOB)
    for n in (100_000, 700_000, 300_000, 1_200_000):
        registry.on("GET", digest).ignore_range().drop_after(n)
    registry.on("GET", digest).ignore_range()
    reply = lar.get(path_of(digest))
    assert reply.complete and reply.body == BLOB


def test_a_small_blob_that_is_cut(registry, lar):
    digest = registry.add_blob(REPO, SMALL)
    registry.on("GET", digest).drop_after(20_000)
    reply = lar.get(path_of(digest))
    assert reply.complete and reply.body == SMALL
    assert ranges(registry, digest) == [None, "bytes=20000-"]


@pytest.mark.parametrize("shift", [1, -1, 1000])
def test_a_range_that_is_another_one(registry, lar, shift):
    digest = registry.add_blob(REPO, BLOB)
    registry.on("GET", digest).drop_after(700_000)
    registry.on("GET", digest).wrong_range(shift).always()
    reply = lar.get(path_of(digest))
    assert reply.complete and reply.body == BLOB
    assert ranges(registry, digest) == [None, "bytes=700000-", None]


def test_a_range_without_content_range(registry, lar):
    digest = registry.add_blob(REPO, BLOB)
    registry.on("GET", digest).drop_after(700_000)
    registry.on("GET", digest).without("Content-Range").always()
    reply = lar.get(path_of(digest))
    assert reply.complete and reply.body == BLOB


def test_a_range_of_another_size(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url}, limits=QUICK)
    digest = registry.add_blob(REPO, BLOB)
    registry.on("GET", digest).drop_after(700_000)
    registry.on("GET", digest).wrong_total(len(BLOB) + 1)
    reply = lar.get(path_of(digest))
    assert (reply.status, reply.complete) == (200, False) and BLOB.startswith(reply.body)
    reply = lar.get(path_of(digest))
    assert reply.complete and reply.body == BLOB


@pytest.mark.parametrize("data", [SMALL, BLOB], ids=len)
@pytest.mark.parametrize("how", ["reset", "hang_up"])
def test_closed_before_headers(registry, lar, how, data):
    digest = registry.add_blob(REPO, data)
    getattr(registry.on("GET", digest), how)().times(2)
    reply = lar.get(path_of(digest))
    assert (reply.status, reply.complete) == (200, True) and reply.body == data


def test_closed_before_headers_each_time(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url}, limits={**QUICK, "first_byte": "400ms"})
    digest = registry.add_blob(REPO, BLOB)
    registry.on("GET", digest).reset().always()
    reply = lar.get(path_of(digest))
    assert reply.status in (502, 504)


def test_hang_before_headers(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url},
                 limits={**QUICK, "upstream_headers": "400ms"})
    digest = registry.add_blob(REPO, BLOB)
    registry.on("GET", digest).hold_headers()
    reply = lar.get(path_of(digest))
    assert reply.complete and reply.body == BLOB
    assert registry.hits("GET", digest) == 2


def test_hang_before_headers_each_time(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url},
                 limits={**QUICK, "upstream_headers": "50ms", "first_byte": "300ms"})
    digest = registry.add_blob(REPO, BLOB)
    registry.on("GET", digest).always().hold_headers()
    begun = time.monotonic()
    reply = lar.get(path_of(digest))
    assert reply.status in (502, 504)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("n", [1, 700_000, len(BLOB) - 1])
def test_hang_in_the_middle(registry, larder, n):
    lar = larder(upstreams={"docker.io": registry.url},
                 limits={**QUICK, "upstream_stall": "400ms"})
    digest = registry.add_blob(REPO, BLOB)
    registry.on("GET", digest).hold_after(n)
    reply = lar.get(path_of(digest))
    assert reply.complete and reply.body == BLOB
    assert ranges(registry, digest) == [None, f"bytes={n}-"]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_errors_that_pass(registry, lar, status):
    digest = registry.add_blob(REPO, BLOB)
    registry.on("GET", digest).status(status, {}, b"<html>sorry</html>").times(2)
    reply = lar.get(path_of(digest))
    assert reply.complete and reply.body == BLOB
    assert registry.hits("GET", digest) == 3


def test_an_error_that_stays(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url}, limits={**QUICK, "first_byte": "500ms"})
    digest = registry.add_blob(REPO, BLOB)
    registry.on(None, digest).status(503, {}, b"<html>secret</html>").always()
    for method in ("GET", "HEAD"):
        reply = lar.get(path_of(digest), method=method)
        assert reply.status in (502, 503, 504)
        assert b"secret" not in reply.body
    registry.clear_rules()
    assert lar.get(path_of(digest)).body == BLOB


def test_an_error_in_the_middle_that_passes(registry, lar):
    digest = registry.add_blob(REPO, BLOB)
    registry.on("GET", digest).drop_after(700_000)
    registry.on("GET", digest).status(503).times(8)
    reply = lar.get(path_of(digest))
    assert reply.complete and reply.body == BLOB
    assert set(ranges(registry, digest)[1:]) == {"bytes=700000-"}


@pytest.mark.parametrize("status", [401, 403, 404])
def test_refused_in_the_middle(registry, lar, status):
    """What upstream no longer gives cannot be finished: cut short, with no retries for minutes."""
    digest = registry.add_blob(REPO, BLOB)
    registry.on("GET", digest).drop_after(700_000)
    registry.on("GET", digest).status(status).always()
    reply = lar.get(path_of(digest))
    assert (reply.status, reply.complete) == (200, False) and BLOB.startswith(reply.body)
    assert lar.get(path_of(digest)).status == 404


def test_gone_for_good_in_the_middle(registry, larder):
    """After retry_for without progress the answer is cut short of its length; the bytes stay."""
    lar = larder(upstreams={"docker.io": registry.url}, limits={**QUICK, "retry_for": "300ms"})
    digest = registry.add_blob(REPO, BLOB)
    gate = registry.on("GET", digest).hold_after(700_000)
    pending = lar.begin(path_of(digest))
    assert pending.read(600_000) == BLOB[:600_000] and gate.reached()
    registry.stop()
    reply = pending.done()
    assert (reply.status, reply.complete) == (200, False)
    assert reply.body == BLOB[:len(reply.body)] and len(reply.body) >= 600_000
    registry.start_again()
    reply = lar.get(path_of(digest))
    assert reply.complete and reply.body == BLOB
    assert ranges(registry, digest)[-1].startswith("bytes=7")


def test_gone_for_a_while_in_the_middle(registry, lar):
    digest = registry.add_blob(REPO, BLOB)
    gate = registry.on("GET", digest).hold_after(700_000)
    pending = lar.begin(path_of(digest))
    assert pending.read(600_000) == BLOB[:600_000] and gate.reached()
    registry.stop()
    failed = lar.counter("upstream_errors")
    lar.wait_counter("upstream_errors", failed + 2)
    registry.start_again()
    reply = pending.done()
    assert reply.complete and reply.body == BLOB


def test_gone_with_a_cold_cache(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url}, limits={**QUICK, "first_byte": "400ms"})
    registry.stop()
    for method in ("GET", "HEAD"):
        assert lar.get(path_of(digest_of(b"x")), method=method).status in (502, 504)


def test_gone_with_a_warm_cache(registry, lar):
    digest = registry.add_blob(REPO, BLOB)
    assert lar.get(path_of(digest)).body == BLOB
    registry.stop()
    assert lar.get(path_of(digest)).body == BLOB


def test_too_many_requests_for_a_second(registry, lar):
    digest = registry.add_blob(REPO, BLOB)
    registry.on("GET", digest).status(429, {"Retry-After": "1"})
    begun = time.monotonic()
    reply = lar.get(path_of(digest))
    assert reply.complete and reply.body == BLOB
    assert time.monotonic() - begun >= 0.9
    assert registry.hits("GET", digest) == 2


def test_too_many_requests_for_an_hour(registry, lar):
    digest = registry.add_blob(REPO, BLOB)
    registry.on("GET", digest).status(429, {"Retry-After": "3600"}).always()
    reply = lar.get(path_of(digest))
    assert reply.status == 429 and b"TOOMANYREQUESTS" in reply.body
    assert 3500 <= int(reply.headers["retry-after"]) <= 3600
    assert registry.hits("GET", digest) == 1


@pytest.mark.parametrize("data", [b"", SMALL, noise(300_000), BLOB], ids=len)
@pytest.mark.parametrize("size", [1000, 16384, 4 * MIB])
def test_chunked(registry, lar, data, size):
    """No length is known before the end."""
    digest = registry.add_blob(REPO, data)
    registry.on("GET", digest).chunked(size)
    reply = lar.get(path_of(digest))
    assert (reply.status, reply.complete) == (200, True) and reply.body == data
    lar.wait_counter("flights_landed", 1)
    assert lar.get(path_of(digest)).headers["content-length"] == str(len(data))


def test_chunked_with_a_client_that_came_early(registry, lar):
    digest = registry.add_blob(REPO, BLOB)
    gate = registry.on("GET", digest).chunked().hold_after(MIB)
    pending = lar.begin(path_of(digest))
    assert gate.reached() and pending.read(MIB - 65536) == BLOB[:MIB - 65536]
    assert "content-length" not in pending.head().headers
    gate.open()
    reply = pending.done()
    assert reply.complete and reply.body == BLOB


@pytest.mark.parametrize("n", [32768, 320 * 1024, 64 * 16384])
def test_chunked_and_cut(registry, lar, n):
    digest = registry.add_blob(REPO, BLOB)
    registry.on("GET", digest).chunked().drop_after(n)
    reply = lar.get(path_of(digest))
    assert reply.complete and reply.body == BLOB
    assert len(ranges(registry, digest)) == 2


def test_chunked_and_wrong(registry, lar):
    digest = registry.add_blob(REPO, BLOB)
    registry.on("GET", digest).chunked().corrupt(5).always()
    reply = lar.get(path_of(digest))
    assert not reply.complete and len(reply.body) <= len(BLOB) - 65536
    assert lar.get(path_of(digest)).status == 502


def test_early_headers(registry, larder):
    """Where the manifest told the size, the head does not wait for upstream's."""
    lar = larder(upstreams={"docker.io": registry.url}, limits={"early_headers": "50ms"},
                 config={"cache": {"prefetch": False}})
    img = registry.add_image(REPO, "1", [BLOB])
    assert lar.get(f"/v2/{REPO}/manifests/1").body == img.body
    gate = registry.on("GET", img.layers[0]).hold_headers()
    pending = lar.begin(path_of(img.layers[0]))
    assert gate.reached()
    head = pending.head()
    assert (head.status, head.headers["content-length"]) == (200, str(len(BLOB)))
    assert not pending.first_byte.is_set()
    gate.open()
    reply = pending.done()
    assert reply.complete and reply.body == BLOB


def test_early_headers_and_then_nothing(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url},
                 limits={**QUICK, "early_headers": "50ms", "upstream_headers": "100ms",
                         "retry_for": "400ms"},
                 config={"cache": {"prefetch": False}})
    img = registry.add_image(REPO, "1", [BLOB])
    assert lar.get(f"/v2/{REPO}/manifests/1").body == img.body
    registry.on("GET", img.layers[0]).always().hold_headers()
    reply = lar.get(path_of(img.layers[0]))
    assert (reply.status, reply.complete, reply.body) == (200, False, b"")


def test_early_headers_and_another_size(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url}, limits={**QUICK, "early_headers": "50ms"},
                 config={"cache": {"prefetch": False}})
    img = registry.add_image(REPO, "1", [BLOB])
    assert lar.get(f"/v2/{REPO}/manifests/1").body == img.body
    gate = registry.on("GET", img.layers[0]).body(BLOB + b"x").hold_headers()
    pending = lar.begin(path_of(img.layers[0]))
    assert pending.head().status == 200
    gate.open()
    assert not pending.done().complete
