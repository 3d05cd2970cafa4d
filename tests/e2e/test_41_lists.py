"""Lists of tags and of referrers."""
import json

import pytest
from registry import INDEX, digest_of, noise

INDEX_EMPTY = {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}


def tags(registry, *names):
    digest = registry.add_image("library/x", None, [noise(100)]).digest
    for name in names:
        registry.move_tag("library/x", name, digest)


def test_sorted_by_bytes_and_kept(registry, larder):
    tags(registry, "b", "a", "C", "1.0")
    lar = larder(upstreams={"docker.io": registry.url})
    reply = lar.get("/v2/library/x/tags/list")
    assert reply.json() == {"name": "library/x", "tags": ["1.0", "C", "a", "b"]}
    assert reply.headers["content-type"] == "application/json" and "link" not in reply.headers
    asked = len(registry.requests)
    assert lar.get("/v2/library/x/tags/list").source() == "hit"
    assert len(registry.requests) == asked


@pytest.mark.parametrize("prefix, query", [("", ""), ("/docker.io", ""), ("", "&ns=docker.io")])
def test_pages(registry, larder, prefix, query):
    names = [f"t{i:03}" for i in range(25)]
    tags(registry, *names)
    lar = larder(upstreams={"docker.io": registry.url})
    target, got = f"{prefix}/v2/library/x/tags/list?n=10{query}", []
    for _ in range(3):
        reply = lar.get(target)
        got.append(reply.json()["tags"])
        link = reply.headers.get("link")
        if link is None:
            break
        assert link.startswith("<") and link.endswith('>; rel="next"')
        target = link[1:link.index(">")]
        assert target.startswith(prefix + "/v2/") and query.replace("&", "") in target
    assert [len(page) for page in got] == [10, 10, 5] and sum(got, []) == names


@pytest.mark.parametrize("query, expected, more", [
    ("n=0", [], False), ("n=2", ["a", "b"], True), ("n=3", ["a", "b", "c"], False),
    ("n=999999", ["a", "b", "c"], False), ("last=a", ["b", "c"], False),
    ("last=aa&n=1", ["b"], True), ("last=z", [], False)])
def test_n_and_last(registry, larder, query, expected, more):
    tags(registry, "a", "b", "c")
    lar = larder(upstreams={"docker.io": registry.url})
    reply = lar.get("/v2/library/x/tags/list?" + query)
    assert reply.json()["tags"] == expected and ("link" in reply.headers) == more


@pytest.mark.parametrize("n", ["-1", "x", "1.5", ""])
def test_bad_n(registry, larder, n):
    tags(registry, "a")
    lar = larder(upstreams={"docker.io": registry.url})
    reply = lar.get("/v2/library/x/tags/list?n=" + n)
    assert (reply.status, reply.code()) == (400, "PAGINATION_NUMBER_INVALID")


def test_pages_of_upstream_are_put_together(registry, larder):
    names = [f"t{i:04}" for i in range(2500)]
    tags(registry, *names)
    lar = larder(upstreams={"docker.io": registry.url})
    assert lar.get("/v2/library/x/tags/list").json()["tags"] == names
    assert registry.hits("GET", "tags/list") == 3
    assert lar.get("/v2/library/x/tags/list").json()["tags"] == names


def test_old_list_where_upstream_is_gone(registry, larder):
    tags(registry, "a")
    lar = larder(upstreams={"docker.io": registry.url}, args=["--tag-ttl", "0s"])
    lar.get("/v2/library/x/tags/list")
    registry.stop()
    reply = lar.get("/v2/library/x/tags/list")
    assert reply.json()["tags"] == ["a"] and reply.source() == "stale"


def descriptor(kind, n):
    return {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 10 + n,
            "digest": digest_of(b"%d" % n), "artifactType": kind, "annotations": {"n": str(n)}}


def test_referrers(registry, larder):
    img = registry.add_image("library/x", "latest", [noise(100)])
    all_of_them = [descriptor("application/a", 1), descriptor("application/b", 2)]
    for one in all_of_them:
        registry.add_referrer("library/x", img.digest, one)
    lar = larder(upstreams={"docker.io": registry.url})
    path = "/v2/library/x/referrers/" + img.digest
    reply = lar.get(path)
    assert reply.headers["content-type"] == INDEX
    assert reply.json()["manifests"] == all_of_them and reply.json()["schemaVersion"] == 2
    reply = lar.get(path + "?artifactType=application%2Fb")
    assert reply.headers["oci-filters-applied"] == "artifactType"
    assert reply.json()["manifests"] == all_of_them[1:]


def test_referrers_of_nothing(registry, larder):
    registry.on("GET", "sha256-").always().status(404)
    lar = larder(upstreams={"docker.io": registry.url})
    reply = lar.get("/v2/library/x/referrers/" + digest_of(b"?"))
    assert (reply.status, reply.json()) == (200, INDEX_EMPTY)


def test_referrers_by_the_fallback_tag(registry, larder):
    img = registry.add_image("library/x", "latest", [noise(100)])
    body = json.dumps({**INDEX_EMPTY, "manifests": [descriptor("application/a", 1)]}).encode()
    registry.add_manifest("library/x", img.digest.replace(":", "-"), body, INDEX)
    registry.on("GET", "/referrers/").always().status(404)
    lar = larder(upstreams={"docker.io": registry.url})
    reply = lar.get("/v2/library/x/referrers/" + img.digest)
    assert reply.json()["manifests"] == [descriptor("application/a", 1)]


def test_signature_tag_that_is_not_there(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url})
    reply = lar.get("/v2/library/x/manifests/" + digest_of(b"x").replace(":", "-") + ".sig")
    assert (reply.status, reply.code()) == (404, "MANIFEST_UNKNOWN")
