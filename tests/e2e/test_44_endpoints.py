"""Several endpoints of one upstream, and what Larder behind Larder looks like."""
import socket

import pytest
from registry import noise

TAG = "/v2/library/x/manifests/latest"


def both(larder, first, second, limits=None):
    """Where the first one is only slow, the second is not asked as well."""
    return larder(config={"upstreams": {"docker.io": {"endpoints": [first, second]}}},
                  limits={"hedge": "0s", **(limits or {})})


def fill(*registries, data=noise(500_000)):
    for one in registries:
        img = one.add_image("library/x", "latest", [data])
    return img


def test_first_one_is_asked(registry, second, larder):
    img = fill(registry, second)
    lar = both(larder, registry.url, second.url)
    assert lar.get(TAG).body == img.body
    assert second.requests == []


@pytest.mark.parametrize("trouble", ["refused", "503", "404", "reset", "hang"])
def test_second_one_where_the_first_fails(registry, second, larder, trouble):
    img = fill(registry, second)
    if trouble == "refused":
        registry.stop()
    elif trouble == "reset":
        registry.on(None, "").always().reset()
    elif trouble == "hang":
        registry.on(None, "").always().hold_headers()
    else:
        registry.on(None, "").always().status(int(trouble))
    lar = both(larder, registry.url, second.url, limits={"upstream_headers": "300ms"})
    assert lar.get(TAG).body == img.body
    assert lar.get("/v2/library/x/blobs/" + img.layers[0]).complete


def test_failed_one_comes_last_for_a_while(registry, second, larder):
    img = fill(registry, second)
    registry.on(None, "").always().status(503)
    lar = both(larder, registry.url, second.url)
    lar.get(TAG)
    asked = len(registry.requests)
    lar.get("/v2/library/x/blobs/" + img.layers[0])
    assert len(registry.requests) == asked


def test_blob_goes_on_at_the_other_one(registry, second, larder):
    data = noise(1_000_000)
    img = fill(registry, second, data=data)
    gate = registry.on("GET", img.layers[0]).hold_after(300_000)
    lar = both(larder, registry.url, second.url)
    pending = lar.begin("/v2/library/x/blobs/" + img.layers[0])
    assert gate.reached()
    registry.stop()
    reply = pending.done()
    assert reply.complete and reply.body == data
    assert second.seen("GET", img.layers[0])[0].headers["range"] == "bytes=300000-"


def test_path_and_ns(registry, larder):
    """Larder behind Larder: the one in front says which upstream it means."""
    img = fill(registry)
    behind = larder(upstreams={"ghcr.io": registry.url})
    front = larder(config={"upstreams": {"ghcr.io": {
        "endpoints": [{"url": behind.url, "ns": True}]}}})
    assert front.get("/v2/ghcr.io/library/x/manifests/latest").body == img.body
    assert {x.path for x in registry.requests} == {
        "/v2/library/x/manifests/latest", "/v2/library/x/manifests/" + img.digest}
    lines = behind.lines(1)
    # Its path does not name the upstream: only `ns`, which no log shows, can have.
    assert all("repo=ghcr.io/library/x" in x and "path=/v2/library/x/" in x for x in lines), lines
    prefixed = larder(upstreams={"ghcr.io": behind.url + "/ghcr.io"})
    assert prefixed.get("/v2/ghcr.io/library/x/manifests/latest").body == img.body
    exact = larder(upstreams={"ghcr.io": behind.url + "/v2/ghcr.io"})
    assert exact.get("/v2/ghcr.io/library/x/manifests/latest").body == img.body


def test_rate_limit_is_noted(registry, larder):
    fill(registry)
    registry.on("HEAD", "manifests").header("ratelimit-limit", "100;w=21600").header(
        "ratelimit-remaining", "76;w=21600")
    lar = larder(upstreams={"docker.io": registry.url})
    lar.get(TAG)
    assert lar.counter("hub_ratelimit_limit") == 100
    assert lar.counter("hub_ratelimit_remaining") == 76


def test_endpoint_that_takes_no_connections(registry, second, larder):
    img = fill(second)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        held = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(address)
            held.append(sock)
        lar = both(larder, f"http://127.0.0.1:{address[1]}", second.url,
                   limits={"connect": "300ms"})
        assert lar.get(TAG).body == img.body
        for sock in held:
            sock.close()
