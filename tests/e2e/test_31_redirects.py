"""Redirects: to storage that must not see credentials, that expire, that lead nowhere."""
import pytest
from registry import Basic, Bearer, Registry, failure, noise

DATA = noise(1_000_000)


@pytest.fixture
def storage():
    made = Registry(host="127.0.0.3")
    yield made
    made.clear_rules()
    made.stop()


def redirected(registry, storage, target="/signed?s=1"):
    digest = registry.add_blob("library/x", DATA)
    registry.on(None, digest).always().redirect(storage.add_file(target, DATA))
    return digest, "/v2/library/x/blobs/" + digest


def test_storage_gets_no_credentials(registry, storage, larder):
    registry.auth = Bearer()
    digest = registry.add_blob("library/x", DATA)
    registry.on("GET", digest).skip(1).always().redirect(storage.add_file("/signed?s=1", DATA))
    lar = larder(upstreams={"docker.io": registry.url})
    reply = lar.get("/v2/library/x/blobs/" + digest)
    assert reply.complete and reply.body == DATA and "location" not in reply.headers
    assert [x.headers.get("authorization") for x in storage.requests] == [None]
    assert "authorization" in registry.seen("GET", digest)[-1].headers
    assert lar.counter("upstream_redirects") == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_all_kinds(registry, storage, larder, status):
    digest = registry.add_blob("library/x", DATA)
    registry.on(None, digest).redirect(storage.add_file("/f", DATA), status)
    lar = larder(upstreams={"docker.io": registry.url})
    assert lar.get("/v2/library/x/blobs/" + digest).body == DATA


def test_storage_that_refuses_credentials(registry, storage, larder):
    """As S3 does: a signature and an Authorization are one too many."""
    registry.auth = Basic("ann", "secret")
    digest = registry.add_blob("library/x", DATA)
    registry.on("GET", digest).skip(1).always().redirect(storage.add_file("/signed?s=1", DATA))
    answer = storage._answer
    storage._answer = lambda seen: (failure(400, "INVALID") if "authorization" in seen.headers
                                    else answer(seen))
    lar = larder(config={"upstreams": {"docker.io": {
        "endpoints": [registry.url], "credentials": {"user": "ann", "password": "secret"}}}})
    assert lar.get("/v2/library/x/blobs/" + digest).body == DATA
    assert storage.hits("GET", "/signed") == 1


def test_relative_and_same_host_keep_the_credential(registry, larder):
    registry.auth = Basic("ann", "secret")
    digest = registry.add_blob("library/x", DATA)
    registry.add_file("/v2/elsewhere?x", DATA)
    registry.on("GET", digest).skip(1).redirect("/v2/elsewhere?x")
    lar = larder(config={"upstreams": {"docker.io": {
        "endpoints": [registry.url], "credentials": {"user": "ann", "password": "secret"}}}})
    assert lar.get("/v2/library/x/blobs/" + digest).body == DATA
    asked = registry.seen("GET", "/v2/elsewhere")
    assert [x.headers["authorization"] for x in asked] == [registry.auth.value]


def test_loop(registry, larder):
    digest = registry.add_blob("library/x", DATA)
    registry.on(None, digest).always().redirect("/v2/library/x/blobs/" + digest)
    lar = larder(upstreams={"docker.io": registry.url}, limits={"retry_min": "1ms"})
    assert lar.get("/v2/library/x/blobs/" + digest).status == 502
    assert registry.hits("GET", digest) <= 11 * 5


@pytest.mark.parametrize("status", [400, 401, 403])
def test_signature_that_has_expired(registry, storage, larder, status):
    digest, path = redirected(registry, storage)
    storage.on("GET", "/signed").status(status)
    lar = larder(upstreams={"docker.io": registry.url})
    assert lar.get(path).body == DATA
    assert registry.hits("GET", digest) == 2 and storage.hits("GET", "/signed") == 2


def test_signature_that_expires_in_mid_blob(registry, storage, larder):
    digest, path = redirected(registry, storage)
    storage.on("GET", "/signed").drop_after(400_000)
    storage.on("GET", "/signed").status(403)
    lar = larder(upstreams={"docker.io": registry.url})
    reply = lar.get(path)
    assert reply.complete and reply.body == DATA
    assert storage.requests[-1].headers["range"] == "bytes=400000-"


@pytest.mark.parametrize("location", ["", "ftp://x/y", "http://", "http://[::1", "//",
                                      "javascript:1", "http://a b/", "http://127.0.0.3:99999/"])
def test_that_leads_nowhere(registry, larder, location):
    digest = registry.add_blob("library/x", DATA)
    registry.on(None, digest).always().redirect(location)
    lar = larder(upstreams={"docker.io": registry.url},
                 limits={"retry_min": "1ms", "first_byte": "3s"})
    reply = lar.get("/v2/library/x/blobs/" + digest)
    assert reply.status in (404, 502), reply


def test_manifest_by_redirect(registry, storage, larder):
    img = registry.add_image("library/x", "latest", [noise(1000)])
    url = storage.add_file("/m", img.body)
    registry.on(None, "manifests").always().redirect(url)
    lar = larder(upstreams={"docker.io": registry.url})
    reply = lar.get("/v2/library/x/manifests/latest")
    assert (reply.body, reply.headers["docker-content-digest"]) == (img.body, img.digest)
    assert reply.headers["content-type"] == "application/vnd.oci.image.manifest.v1+json"
