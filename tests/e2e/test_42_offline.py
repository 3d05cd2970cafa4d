"""Offline: what is here is served whatever its age, and nobody is ever asked."""
import pytest
from registry import noise


@pytest.fixture
def filled(registry, larder):
    """A server that has an image, restarted offline; `filled.img` and `filled.asked`."""
    img = registry.add_image("library/x", "latest", [noise(400_000)])
    lar = larder(upstreams={"docker.io": registry.url}, args=["--tag-ttl", "0s"])
    lar.get("/v2/library/x/manifests/latest")
    lar.get("/v2/library/x/tags/list")
    for digest in [img.config, *img.layers]:
        lar.get("/v2/library/x/blobs/" + digest)
    lar.stop()
    lar.args.append("--offline")
    lar.start()
    lar.img, lar.registry, lar.asked = img, registry, len(registry.requests)
    return lar


@pytest.mark.parametrize("name", ["/v2/library/x", "/v2/x", "/v2/docker.io/library/x",
                                  "/docker.io/v2/library/x"])
def test_serves_under_every_name(filled, name):
    assert filled.get(name + "/manifests/latest").body == filled.img.body
    assert filled.get(name + "/manifests/" + filled.img.digest).body == filled.img.body
    reply = filled.get(f"{name}/blobs/{filled.img.layers[0]}?ns=docker.io")
    assert reply.complete and reply.source() == "hit"
    assert filled.get(name + "/tags/list").json()["tags"] == ["latest"]
    assert len(filled.registry.requests) == filled.asked


@pytest.mark.parametrize("path, code", [
    ("/v2/library/x/manifests/other", "MANIFEST_UNKNOWN"),
    ("/v2/library/y/manifests/latest", "MANIFEST_UNKNOWN"),
    ("/v2/library/x/manifests/sha256:" + "0" * 64, "MANIFEST_UNKNOWN"),
    ("/v2/library/x/blobs/sha256:" + "0" * 64, "BLOB_UNKNOWN"),
    ("/v2/library/y/tags/list", "NAME_UNKNOWN"),
])
def test_what_is_not_here(filled, path, code):
    reply = filled.get(path)
    assert (reply.status, reply.code()) == (404, code)
    assert "offline" in reply.message()
    assert filled.head(path).status == 404
    assert len(filled.registry.requests) == filled.asked
    assert filled.counter("upstream_connections") == 0


def test_blob_of_another_repository_is_not_given(filled):
    reply = filled.get("/v2/library/y/blobs/" + filled.img.layers[0])
    assert (reply.status, reply.code()) == (404, "BLOB_UNKNOWN")
