"""Upstream in trouble: a rate limit that runs low, endpoints that only fail, answers that do not
come. What is here is served, and nobody waits where it is of no use."""
import socket

import pytest
from registry import noise

TAG = "/v2/library/{}/manifests/latest"
# Shut after five failures in a row, whenever they came.
SHUT = {"breaker": "1ms", "breaker_pause": "60s", "retry_min": "1ms"}


def start(larder, registry, limits=None, **config):
    return larder(upstreams={"docker.io": registry.url}, limits=limits or {},
                  config={"tags": {"ttl": "0s", **config.pop("tags", {})}, **config})


def left(registry, remaining, limit=100, window=21600):
    registry.clear_rules()
    registry.on(None, "/manifests/").always().header("ratelimit-limit", f"{limit};w={window}") \
        .header("ratelimit-remaining", f"{remaining};w={window}")


def pull(lar, name):
    reply = lar.get(TAG.format(name))
    assert reply.status == 200
    return reply.body


def test_a_rate_limit_that_runs_low(registry, larder):
    a, b, c = (registry.add_image(f"library/{x}", "latest", [noise(1000)]) for x in "abc")
    lar = start(larder, registry)
    left(registry, 11)
    assert pull(lar, "a") == a.body
    asked = registry.hits("HEAD", "/manifests/latest")
    assert pull(lar, "a") == a.body
    assert registry.hits("HEAD", "/manifests/latest") == asked + 1
    left(registry, 10)
    assert pull(lar, "b") == b.body  # what is not here is asked for
    moved = registry.add_image("library/a", "latest", [noise(2000, 1)])
    asked = len(registry.requests)
    assert pull(lar, "a") == a.body
    assert pull(lar, "b") == b.body
    assert len(registry.requests) == asked
    assert lar.counter("upstream_spared") == 2
    lar.wait(lambda: "upstream.short docker.io: " in lar.events, "a line in the log")
    left(registry, 50)
    assert pull(lar, "c") == c.body  # … and its answer tells that there is more again
    assert pull(lar, "a") == moved.body


def test_no_prefetch_while_little_is_left(registry, larder):
    layers = [noise(400_000, seed) for seed in range(4)]
    img = registry.add_image("library/a", "latest", layers)
    lar = start(larder, registry)
    left(registry, 3)
    pull(lar, "a")
    assert lar.get("/v2/library/a/blobs/" + img.layers[0]).body == layers[0]
    lar.wait(lambda: lar.counter("flights_open") == 0, "the end of it")
    assert registry.hits("GET", "/blobs/") == 1


def test_the_window_passes(registry, larder):
    a = registry.add_image("library/a", "latest", [noise(1000)])
    lar = start(larder, registry)
    left(registry, 0, window=1)
    assert pull(lar, "a") == a.body
    moved = registry.add_image("library/a", "latest", [noise(2000, 1)])
    lar.wait(lambda: pull(lar, "a") == moved.body, "it is asked again")


def test_429_spares_what_is_here(registry, larder):
    a, b = (registry.add_image(f"library/{x}", "latest", [noise(1000)]) for x in "ab")
    lar = start(larder, registry)
    assert pull(lar, "a") == a.body
    registry.on("HEAD", "/manifests/").always().status(429, {"Retry-After": "600"})
    assert lar.get(TAG.format("b")).status == 429
    asked = len(registry.requests)
    assert pull(lar, "a") == a.body
    assert len(registry.requests) == asked
    assert b"TOOMANYREQUESTS" in lar.get(TAG.format("none")).body


def fail(lar, registry, times=5):
    """So many failures in a row; what is not here then fails at once."""
    for n in range(times):
        assert lar.get(f"/v2/library/f{n}/blobs/sha256:{n:064x}").status in (502, 503)


@pytest.mark.parametrize("trouble", ["503", "reset"])
def test_what_only_fails_is_left_alone(registry, larder, trouble):
    img = registry.add_image("library/a", "latest", [noise(1000)])
    other = registry.add_image("library/b", "latest", [noise(1000, 1)])
    lar = start(larder, registry, limits=SHUT)
    assert pull(lar, "a") == img.body
    rule = registry.on(None, "").always()
    rule.reset() if trouble == "reset" else rule.status(503)
    fail(lar, registry)
    lar.wait(lambda: "upstream.shut " in lar.events, "a line in the log")
    asked = len(registry.requests)
    assert pull(lar, "a") == img.body
    for path in (TAG.format("b"), "/v2/library/b/blobs/" + other.layers[0],
                 "/v2/library/b/tags/list"):
        reply = lar.get(path)
        assert reply.status == 503 and b"asked again in" in reply.body, reply
        assert 0 < int(reply.headers["retry-after"]) <= 60
    assert len(registry.requests) == asked
    assert lar.counter("upstream_shut") >= 3


def test_one_question_opens_it(registry, larder):
    img = registry.add_image("library/a", "latest", [noise(1000)])
    lar = start(larder, registry, limits={**SHUT, "breaker_pause": "300ms"})
    registry.on(None, "").always().status(503)
    fail(lar, registry)
    lar.wait(lambda: "upstream.shut " in lar.events, "it is shut")
    registry.clear_rules()
    lar.wait(lambda: lar.get(TAG.format("a")).body == img.body, "it is asked and answers")
    lar.wait(lambda: "upstream.open " in lar.events, "a line in the log")
    assert lar.get("/v2/library/a/blobs/" + img.layers[0]).status == 200


def test_a_download_under_way_outlasts_it(registry, larder):
    data = noise(3_000_000)
    digest = registry.add_blob("library/a", data)
    registry.on("GET", digest).hold_after(1_000_000)
    lar = start(larder, registry, limits={**SHUT, "breaker_pause": "300ms"})
    pending = lar.begin("/v2/library/a/blobs/" + digest)
    pending.read(500_000)
    registry.stop()
    fail(lar, registry)
    lar.wait(lambda: "upstream.shut " in lar.events, "it is shut")
    registry.clear_rules()
    registry.start_again()
    reply = pending.done()
    assert reply.complete and reply.body == data


def black_hole():
    """An address that takes connections and says nothing."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(64)
    return sock


@pytest.mark.parametrize("cut", ["refused", "silent"])
def test_a_warm_pull_is_none_of_upstreams_business(registry, larder, cut):
    """With upstream cut off it takes no longer than with it there, as nothing is tried."""
    layers = [noise(300_000, seed) for seed in range(3)]
    img = registry.add_image("library/a", "latest", layers)
    paths = [TAG.format("a"), "/v2/library/a/manifests/" + img.digest]
    paths += ["/v2/library/a/blobs/" + digest for digest in [img.config, *img.layers]]
    lar = start(larder, registry, tags={"ttl": "1h"})
    warm = [lar.get(path).body for path in paths]
    assert warm[0] == img.body and warm[3:] == layers
    lar.wait(lambda: lar.counter("flights_open") == 0, "all of it is kept")
    lar.stop()
    registry.stop()
    with black_hole() as hole:
        if cut == "silent":
            lar.upstreams = {"docker.io": f"http://127.0.0.1:{hole.getsockname()[1]}"}
        lar.start()
        replies = [lar.get(path) for path in paths]
        assert [reply.body for reply in replies] == warm
        assert {reply.source() for reply in replies} == {"hit"}
        tried = [lar.counter(name) for name in (
            "upstream_connections", "upstream_requests", "upstream_errors", "asks_started")]
        assert tried == [0, 0, 0, 0]


def test_warm_pulls_wait_once_for_what_does_not_answer(registry, larder):
    """The first that waits in vain spares the others: where an upstream says nothing, a warm pull
    of many old tags waits for `patience` once, and not for each of them."""
    images = {f"a{n}": registry.add_image(f"library/a{n}", "latest", [noise(1000, n)])
              for n in range(8)}
    lar = start(larder, registry, tags={"patience": "100ms"})
    for name, img in images.items():
        assert pull(lar, name) == img.body
    lar.stop()
    with black_hole() as hole:
        lar.upstreams = {"docker.io": f"http://127.0.0.1:{hole.getsockname()[1]}"}
        lar.start()
        for name, img in [*images.items(), *images.items()]:
            assert pull(lar, name) == img.body
        assert lar.counter("upstream_late") == 1


def test_an_answer_ends_that(registry, larder):
    img = registry.add_image("library/a", "latest", [noise(1000)])
    lar = start(larder, registry, tags={"patience": "100ms"})
    assert pull(lar, "a") == img.body
    gate = registry.on("HEAD", "/manifests/").hold_headers()
    assert pull(lar, "a") == img.body
    assert lar.counter("upstream_late") == 1
    moved = registry.add_image("library/a", "latest", [noise(2000, 1)])
    gate.open()
    lar.wait(lambda: pull(lar, "a") == moved.body, "it is waited for again")
