"""Which repository is meant: all ways of naming one, and what is refused."""
import pytest
from registry import Registry, noise

DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def two(registry, larder):
    """docker.io and ghcr.io with an image each; the second is `registry.other`."""
    other = Registry()
    registry.other = other
    registry.img = registry.add_image("library/x", "latest", [noise(1000, 1)])
    registry.deep = registry.add_image("a/blobs/manifests", "v2", [noise(1000, 2)])
    other.img = other.add_image("owner/app", "1", [noise(1000, 3)])
    registry.lar = larder(upstreams={"docker.io": registry.url, "ghcr.io": other.url})
    yield registry
    other.stop()


@pytest.mark.parametrize("path", [
    "/v2/library/x/manifests/latest",
    "/v2/x/manifests/latest",
    "/v2/docker.io/library/x/manifests/latest",
    "/v2/docker.io/x/manifests/latest",
    "/v2/library/x/manifests/latest?ns=docker.io",
    "/v2/x/manifests/latest?ns=index.docker.io",
    "/v2/library/x/manifests/latest?ns=registry-1.docker.io",
    "/docker.io/v2/library/x/manifests/latest",
    "/docker.io/v2/x/manifests/latest?ns=docker.io",
    "/v2/docker.io/library/x/manifests/latest?ns=docker.io",
    "/v2/library/x/manifests/latest?a=b&ns=docker.io",
    "/v2/library%2dnot/../x/manifests/latest",
])
def test_docker_hub(two, path):
    reply = two.lar.get(path)
    if ".." in path:
        assert reply.status in (400, 404) and two.hits(None, "not") == 0
        return
    assert (reply.status, reply.body) == (200, two.img.body)
    assert reply.headers.get("oci-namespace") == (path.split("ns=")[1] if "ns=" in path else None)


@pytest.mark.parametrize("path", [
    "/v2/ghcr.io/owner/app/manifests/1",
    "/ghcr.io/v2/owner/app/manifests/1",
    "/v2/owner/app/manifests/1?ns=ghcr.io",
    "/v2/ghcr.io/owner/app/manifests/1?ns=ghcr.io",
    "/ghcr.io/v2/owner/app/manifests/1?ns=ghcr.io",
])
def test_another_upstream(two, path):
    assert two.lar.get(path).body == two.other.img.body
    assert two.requests == []


def test_components_that_look_like_the_api(two):
    reply = two.lar.get("/v2/a/blobs/manifests/manifests/v2")
    assert reply.body == two.deep.body


@pytest.mark.parametrize("path, status, code", [
    ("/v2/library/x/manifests/latest?ns=evil.example", 404, "NAME_UNKNOWN"),
    ("/v2/library/x/manifests/latest?ns=127.0.0.1:1", 404, "NAME_UNKNOWN"),
    ("/v2/library/x/manifests/latest?ns=169.254.169.254", 404, "NAME_UNKNOWN"),
    ("/v2/evil.example/x/manifests/latest", 404, "NAME_UNKNOWN"),
    ("/v2/localhost/x/manifests/latest", 404, "NAME_UNKNOWN"),
    ("/v2/127.0.0.1:5000/x/manifests/latest", 404, "NAME_UNKNOWN"),
    ("/evil.example/v2/x/manifests/latest", 404, None),
    ("/v2/Library/X/manifests/latest", 400, "NAME_INVALID"),
    ("/v2/a__%5fb/manifests/latest", 400, "NAME_INVALID"),
    ("/v2/x/manifests/.latest", 404, "MANIFEST_UNKNOWN"),
    ("/v2/x/manifests/sha256:junk", 400, "DIGEST_INVALID"),
    ("/v2/x/manifests/" + DIGEST.upper().replace("SHA", "sha") + "A", 400, "DIGEST_INVALID"),
    ("/v2/x/blobs/latest", 400, "DIGEST_INVALID"),
    ("/v2/x/blobs/sha256:" + "A" * 64, 400, "DIGEST_INVALID"),
    ("/v2/x/referrers/sha256:junk", 400, "DIGEST_INVALID"),
    ("/v2/x/manifests/latest%00", 400, None),
    ("/v2/x%2fy/manifests/latest", 400, "NAME_INVALID"),
    ("/v2/stage/app/manifests/latest", 404, "MANIFEST_UNKNOWN"),
    ("/v2/library/x/manifests/latest?ns=evil.example&ns=docker.io", None, None),
    ("/v2/library/x/manifests/latest?ns=user@docker.io", 404, "NAME_UNKNOWN"),
    ("/v2/library/x/manifests/latest?ns=docker.io:80@evil.example", 404, "NAME_UNKNOWN"),
    ("/v2/library/x/manifests/latest?ns=%5B::1%5D", 404, "NAME_UNKNOWN"),
    ("/v2/library/x/manifests/latest?ns=docker.io%2f..%2fevil.example", 404, "NAME_UNKNOWN"),
    ("/v2/%5B::1%5D/x/manifests/latest", None, None),
    ("/http://evil.example/v2/x/manifests/latest", 404, None),
    ("/nothing", 404, None),
    ("/", 404, None),
    ("/v2/x/tags/list?n=junk", 400, "PAGINATION_NUMBER_INVALID"),
])
def test_refused_and_nobody_asked(two, path, status, code):
    two.add_image("library/x", "latest", [b"x"])
    if "tags" in path:
        two.lar.get("/v2/x/tags/list")
    asked = len(two.requests)
    reply = two.lar.get(path)
    assert reply.status in ((status,) if status else (400, 404)), reply
    assert reply.code() == (code or reply.code())
    assert reply.headers["docker-distribution-api-version"] == "registry/2.0"
    assert len(two.requests) == asked and two.other.requests == []
    head = two.lar.head(path)
    assert head.status == reply.status and head.body == b""


@pytest.mark.parametrize("target", ["http://169.254.169.254/v2/x/manifests/latest",
                                    "http://evil.example:1/v2/library/x/manifests/latest"])
def test_host_of_an_absolute_target_is_nobody_to_ask(two, target):
    got, _ = two.lar.raw(f"GET {target} HTTP/1.1\r\nHost: evil.example\r\n"
                         "Connection: close\r\n\r\n".encode())
    assert got.startswith(b"HTTP/1.1 200 ") and got.endswith(two.img.body)
    assert two.lar.counter("upstream_connections") == two.lar.counter("upstream_manifest_heads")


def test_what_upstream_does_not_have(two):
    blob = two.lar.get("/v2/x/blobs/" + DIGEST)
    assert (blob.status, blob.code()) == (404, "BLOB_UNKNOWN")
    manifest = two.lar.get("/v2/x/manifests/" + DIGEST)
    assert (manifest.status, manifest.code()) == (404, "MANIFEST_UNKNOWN")
    assert "docker.io" in manifest.message()
    assert two.lar.get("/v2/nothing/tags/list").code() == "NAME_UNKNOWN"


@pytest.mark.parametrize("path", ["/v2/", "/v2", "/docker.io/v2/", "/ghcr.io/v2/"])
def test_ping(two, path):
    for method in "GET", "HEAD":
        reply = two.lar.get(path, method=method)
        assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
        assert reply.headers["docker-distribution-api-version"] == "registry/2.0"
        assert reply.headers["x-larder"] == "none"
    assert two.requests == []


@pytest.mark.parametrize("method, path, status, code", [
    ("POST", "/v2/x/blobs/uploads/", 403, "DENIED"),
    ("PUT", "/v2/x/manifests/latest", 403, "DENIED"),
    ("PATCH", "/v2/x/blobs/uploads/abc", 403, "DENIED"),
    ("DELETE", "/v2/x/manifests/latest", 405, "UNSUPPORTED"),
    ("DELETE", "/v2/x/blobs/" + DIGEST, 405, "UNSUPPORTED"),
    ("BREW", "/v2/x/manifests/latest", 403, "DENIED"),
])
def test_mirrored_names_take_no_writes(two, method, path, status, code):
    reply = two.lar.get(path, method=method)
    assert (reply.status, reply.code()) == (status, code)
    assert two.requests == []


def test_mirror_role(registry, larder):
    registry.img = registry.add_image("stage/app", "1", [b"layer"])
    lar = larder(upstreams={"docker.io": registry.url},
                 config={"listen": [{"address": "127.0.0.1:0", "role": "mirror"}]})
    assert lar.get("/v2/stage/app/manifests/1").body == registry.img.body
