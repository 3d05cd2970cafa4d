"""Bytes are stored once; which repository may serve them is asked of upstream."""
import json

import pytest
from registry import MANIFEST, Basic, Registry, digest_of, noise

DATA = noise(500_000)


def test_another_repository_has_to_be_vouched_for(registry, larder):
    digest = registry.add_blob("library/x", DATA)
    lar = larder(upstreams={"docker.io": registry.url})
    lar.get("/v2/library/x/blobs/" + digest)
    lar.wait_counter("flights_landed", 1)
    assert lar.get("/v2/library/y/blobs/" + digest).status == 404
    registry.add_blob("library/z", DATA)
    reply = lar.get("/v2/library/z/blobs/" + digest)
    assert (reply.body, reply.source()) == (DATA, "revalidated")
    assert registry.hits("GET", digest) == 1 and registry.hits("HEAD", "library/z") == 1
    assert lar.get("/v2/library/z/blobs/" + digest).source() == "hit"


def test_manifest_vouches_for_its_layers(registry, larder):
    registry.add_image("library/x", "latest", [DATA])
    img = registry.add_image("library/y", "latest", [DATA])
    lar = larder(upstreams={"docker.io": registry.url}, config={"cache": {"prefetch": False}})
    lar.get("/v2/library/x/manifests/latest")
    lar.get("/v2/library/x/blobs/" + img.layers[0])
    lar.wait_counter("flights_landed", 1)
    lar.get("/v2/library/y/manifests/latest")
    reply = lar.get("/v2/library/y/blobs/" + img.layers[0])
    assert (reply.body, reply.source()) == (DATA, "hit")
    assert registry.hits(None, "library/y/blobs") == 0


def test_head_where_upstream_refuses_it(registry, larder):
    registry.add_blob("library/x", DATA)
    digest = registry.add_blob("library/y", DATA)
    registry.on("HEAD", "blobs").always().status(405)
    lar = larder(upstreams={"docker.io": registry.url})
    lar.get("/v2/library/x/blobs/" + digest)
    assert lar.get("/v2/library/y/blobs/" + digest).body == DATA
    assert registry.seen("GET", "library/y")[0].headers["range"] == "bytes=0-0"


def test_forbidden_repository(registry, larder):
    registry.add_blob("library/x", DATA)
    digest = registry.add_blob("library/y", DATA)
    registry.forbid("library/y")
    lar = larder(upstreams={"docker.io": registry.url})
    lar.get("/v2/library/x/blobs/" + digest)
    assert lar.get("/v2/library/y/blobs/" + digest).status == 404
    assert lar.head("/v2/library/y/blobs/" + digest).status == 404


@pytest.mark.parametrize("when", ["kept", "landed", "under way", "before"])
def test_manifest_of_a_stranger_opens_no_private_blob(registry, larder, when):
    """Whoever writes a manifest on one upstream must not read another upstream's secret."""
    registry.auth = Basic("ann", "secret")
    secret = registry.add_blob("team/private", DATA)
    stranger = Registry()
    body = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST,
                       "config": {"mediaType": "x/y", "digest": stranger.add_blob("a/b", b"{}"),
                                  "size": 2},
                       "layers": [{"mediaType": "x/y", "digest": secret,
                                   "size": len(DATA)}]}).encode()
    stranger.add_manifest("a/b", "1", body)
    lar = larder(config={"cache": {"prefetch": False}, "upstreams": {
        "docker.io": {"endpoints": [registry.url],
                      "credentials": {"user": "ann", "password": "secret"}},
        "ghcr.io": {"endpoints": [stranger.url]}}})
    path = "/v2/ghcr.io/a/b/blobs/" + secret
    assert lar.get("/v2/ghcr.io/a/b/manifests/1").body == body
    if when == "before":
        gate = stranger.on("GET", secret).hold_headers()
        pending = lar.begin(path)
        assert gate.reached()
        other = lar.begin("/v2/team/private/blobs/" + secret)
        lar.wait_counter("flights_joined", 1)
        gate.open()
        assert other.done().body == DATA
        assert pending.done().status == 404
    elif when == "under way":
        gate = registry.on("GET", secret).skip(1).hold_after(300_000)
        other = lar.begin("/v2/team/private/blobs/" + secret)
        assert gate.reached()
        assert lar.get(path).status == 404
        gate.open()
        assert other.done().body == DATA
    else:
        assert lar.get("/v2/team/private/blobs/" + secret).body == DATA
        if when == "kept":
            lar.wait_counter("flights_landed", 1)
    assert lar.get(path).status == 404
    assert lar.head(path).status == 404
    stranger.add_blob("a/b", DATA)
    assert digest_of(DATA) == secret
    stranger.stop()


def test_manifest_as_a_blob_and_the_other_way_round(registry, larder):
    img = registry.add_image("library/x", "latest", [DATA])
    lar = larder(upstreams={"docker.io": registry.url})
    lar.get("/v2/library/x/manifests/latest")
    lar.get("/v2/library/x/blobs/" + img.layers[0])
    assert lar.get("/v2/library/x/manifests/" + img.layers[0]).status == 404


def test_head_of_a_cold_blob_starts_no_download(registry, larder):
    img = registry.add_image("library/x", "latest", [DATA])
    lar = larder(upstreams={"docker.io": registry.url})
    head = lar.head("/v2/library/x/blobs/" + img.layers[0])
    assert (head.status, head.headers["content-length"]) == (200, str(len(DATA)))
    assert registry.hits("GET", "blobs") == 0 and lar.counter("flights_started") == 0
