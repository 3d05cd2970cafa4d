"""What deletes take away and what they leave; lists of tags and of repositories."""
import pytest
from push import (OTHER, REPO, blob_path, check_blob, check_manifest, image_body, index_body,
                  is_there, manifest_path, put_blob, put_image, put_manifest, sha512_of)
from registry import INDEX, MANIFEST, digest_of, noise

LAYER = noise(5000, seed=11)


@pytest.fixture
def lar(larder):
    return larder()


def tags(lar, query="", repo=REPO):
    reply = lar.get(f"/v2/{repo}/tags/list{query}")
    assert reply.status == 200 and reply.headers["content-type"] == "application/json"
    assert reply.json()["name"] == repo
    return reply.json()["tags"]


def gone(lar, path, code):
    for method in ("GET", "HEAD", "DELETE"):
        reply = lar.get(path, method=method)
        assert reply.status == 404 and (method == "HEAD" or reply.code() == code), reply


def deleted(reply):
    assert (reply.status, reply.body) == (202, b""), reply


def test_tag(lar):
    """The manifest stays, and its other tags."""
    img = put_image(lar, "a", [LAYER])
    put_manifest(lar, "b", img.body)
    deleted(lar.delete(manifest_path("a")))
    gone(lar, manifest_path("a"), "MANIFEST_UNKNOWN")
    for reference in ("b", img.digest):
        check_manifest(lar.get(manifest_path(reference)), img.body)
    assert tags(lar) == ["b"]
    deleted(lar.delete(manifest_path("b")))
    check_manifest(lar.get(manifest_path(img.digest)), img.body)
    check_blob(lar, LAYER)
    assert tags(lar) == []


def test_manifest(lar):
    """All its tags go with it; other manifests and the blobs stay."""
    img = put_image(lar, "a", [LAYER])
    other = put_image(lar, "other", [LAYER], annotations={"x": "y"})
    for tag in ("b", "c"):
        put_manifest(lar, tag, img.body)
    deleted(lar.delete(manifest_path(img.digest)))
    for reference in (img.digest, "a", "b", "c"):
        gone(lar, manifest_path(reference), "MANIFEST_UNKNOWN")
    assert tags(lar) == ["other"]
    check_manifest(lar.get(manifest_path("other")), other.body)
    check_blob(lar, LAYER)
    put_manifest(lar, "again", img.body)
    assert tags(lar) == ["again", "other"]


def test_tag_that_moved_away_stays(lar):
    old, new = put_image(lar, "a", [LAYER]), put_image(lar, "a", [])
    deleted(lar.delete(manifest_path(old.digest)))
    check_manifest(lar.get(manifest_path("a")), new.body)
    assert tags(lar) == ["a"]


def test_manifest_by_sha512(lar):
    put_blob(lar, b"{}")
    body = image_body()
    put_manifest(lar, sha512_of(body), body)
    put_manifest(lar, digest_of(body), body)
    deleted(lar.delete(manifest_path(sha512_of(body))))
    gone(lar, manifest_path(sha512_of(body)), "MANIFEST_UNKNOWN")
    check_manifest(lar.get(manifest_path(digest_of(body))), body)


def test_index_leaves_its_children(lar):
    img = put_image(lar, None, [LAYER])
    body = index_body([(img.body, MANIFEST)])
    put_manifest(lar, "1", body, INDEX)
    deleted(lar.delete(manifest_path(digest_of(body))))
    check_manifest(lar.get(manifest_path(img.digest)), img.body)


def test_child_goes_before_its_index(lar):
    img = put_image(lar, None, [LAYER])
    body = index_body([(img.body, MANIFEST)])
    put_manifest(lar, "1", body, INDEX)
    deleted(lar.delete(manifest_path(img.digest)))
    check_manifest(lar.get(manifest_path("1")), body, INDEX)
    gone(lar, manifest_path(img.digest), "MANIFEST_UNKNOWN")


@pytest.mark.parametrize("data", [LAYER, b"{}", b""], ids=["layer", "json", "none"])
def test_blob(lar, data):
    """At once, though a manifest names it; and it can be pushed again, many times."""
    for digest in (digest_of(data), sha512_of(data)):
        for _ in range(3):
            put_blob(lar, data, digest=digest)
            put_manifest(lar, "1", image_body([data]))
            deleted(lar.delete(blob_path(digest)))
            gone(lar, blob_path(digest), "BLOB_UNKNOWN")
    check_manifest(lar.get(manifest_path("1")), image_body([data]))


def test_what_nobody_holds_any_more_leaves_the_disk(lar):
    img = put_image(lar, "1", [LAYER])
    for path in (manifest_path(img.digest), blob_path(img.config), blob_path(img.layers[0])):
        deleted(lar.delete(path))
    lar.wait(lambda: lar.kept() == set(), "the files go")


def test_what_another_repository_holds_stays_on_disk(lar):
    img = put_image(lar, "1", [LAYER])
    put_image(lar, "1", [LAYER], repo=OTHER)
    for path in (manifest_path(img.digest), blob_path(img.config), blob_path(img.layers[0])):
        deleted(lar.delete(path))
        gone(lar, path, "BLOB_UNKNOWN" if "blobs" in path else "MANIFEST_UNKNOWN")
    lar.stop()
    lar.start()
    check_manifest(lar.get(manifest_path("1", OTHER)), img.body)
    check_blob(lar, LAYER, OTHER)


def test_survives_a_kill(lar):
    """202 is kept too."""
    img = put_image(lar, "a", [LAYER])
    put_manifest(lar, "b", img.body)
    deleted(lar.delete(manifest_path("a")))
    lar.kill()
    lar.start()
    assert tags(lar) == ["b"]
    deleted(lar.delete(manifest_path(img.digest)))
    deleted(lar.delete(blob_path(img.layers[0])))
    lar.kill()
    lar.start()
    for path in (manifest_path("b"), manifest_path(img.digest), blob_path(img.layers[0])):
        assert not is_there(lar, path)


@pytest.mark.parametrize("path, status, code", [
    (manifest_path("never"), 404, "MANIFEST_UNKNOWN"),
    (manifest_path(digest_of(b"never")), 404, "MANIFEST_UNKNOWN"),
    (blob_path(digest_of(b"never")), 404, "BLOB_UNKNOWN"),
    (manifest_path("1", "stage/never/seen"), 404, None),
    (blob_path(digest_of(b"never"), "stage/never/seen"), 404, None),
    (blob_path("sha256:junk"), 400, "DIGEST_INVALID")],
    ids=["tag", "digest", "blob", "repository", "blob of none", "junk"])
def test_of_nothing(lar, path, status, code):
    put_image(lar, "1", [LAYER])
    reply = lar.delete(path)
    assert reply.status == status and reply.code() == (code or reply.code())


# --- lists -------------------------------------------------------------------------------------

NAMES = ["0", "1.0", "A", "B", "Z", "_", "a", "aa", "b", "z"]


@pytest.fixture
def tagged(lar):
    put_blob(lar, b"{}")
    for name in reversed(NAMES):
        put_manifest(lar, name, image_body())
    return lar


@pytest.mark.parametrize("query, expected, more", [
    ("", NAMES, False), ("?n=4", NAMES[:4], True), ("?n=10", NAMES, False),
    ("?n=11", NAMES, False), ("?n=9", NAMES[:9], True), ("?n=0", [], False),
    ("?n=1000000", NAMES, False), ("?last=B", NAMES[4:], False), ("?last=C", NAMES[4:], False),
    ("?last=B&n=2", NAMES[4:6], True), ("?last=z", [], False), ("?last=", NAMES, False),
    ("?last=zz&n=5", [], False), ("?n=2&last=aa", NAMES[8:], False)])
def test_tags(tagged, query, expected, more):
    assert tags(tagged, query) == expected
    assert ("link" in tagged.get(f"/v2/{REPO}/tags/list{query}").headers) == more


def follow(lar, path, member):
    """All pages, by their links."""
    pages = []
    while path:
        reply = lar.get(path)
        assert reply.status == 200
        pages.append(reply.json()[member])
        link = reply.headers.get("link", "")
        assert not link or (link.startswith("</v2/") and link.endswith('>; rel="next"'))
        path = link[1:link.index(">")] if link else None
    return pages


@pytest.mark.parametrize("n", [1, 3, 5, 10])
def test_pages_of_tags(tagged, n):
    pages = follow(tagged, f"/v2/{REPO}/tags/list?n={n}", "tags")
    assert sum(pages, []) == NAMES and [len(page) for page in pages[:-1]] == [n] * (len(pages) - 1)


@pytest.mark.parametrize("n", ["-1", "x", "1.5", "", "99999999999999999999"])
def test_bad_n(tagged, n):
    for path in (f"/v2/{REPO}/tags/list?n={n}", f"/v2/_catalog?n={n}"):
        reply = tagged.get(path)
        assert reply.status in ((200, 400) if len(n) > 9 else (400,)), reply
        assert reply.status == 200 or reply.code() == "PAGINATION_NUMBER_INVALID"


def test_many_tags(lar):
    put_blob(lar, b"{}")
    body = image_body()
    names = [f"t{n:04}" for n in range(1200)]
    for at in range(0, 1200, 50):
        query = "&".join(f"tag={name}" for name in names[at:at + 50])
        reply = lar.send("PUT", f"{manifest_path(digest_of(body))}?{query}", body,
                         {"Content-Type": MANIFEST})
        assert reply.status == 201, reply
    assert sum(follow(lar, f"/v2/{REPO}/tags/list?n=100", "tags"), []) == names
    assert sum(follow(lar, f"/v2/{REPO}/tags/list", "tags"), []) == names
    deleted(lar.delete(manifest_path(digest_of(body))))
    assert tags(lar) == []


@pytest.mark.parametrize("repo", ["stage/never/seen", "cache/x"])
def test_tags_of_nothing(lar, repo):
    reply = lar.get(f"/v2/{repo}/tags/list")
    assert (reply.status, reply.code()) == (404, "NAME_UNKNOWN")


def test_a_delete_makes_no_repository(lar):
    for path in ("manifests/a", f"manifests/{digest_of(LAYER)}", f"blobs/{digest_of(LAYER)}"):
        assert lar.delete(f"/v2/stage/never/{path}").status == 404
    reply = lar.get("/v2/stage/never/tags/list")
    assert (reply.status, reply.code()) == (404, "NAME_UNKNOWN")


def test_tags_of_a_repository_with_blobs_only(lar):
    put_blob(lar, LAYER)
    reply = lar.get(f"/v2/{REPO}/tags/list")
    assert reply.status == 404 or reply.json()["tags"] == []


def test_catalog(registry, larder):
    """Hosted repositories, and no others."""
    registry.add_image("library/x", "1", [LAYER])
    lar = larder(upstreams={"docker.io": registry.url})
    assert lar.get("/v2/_catalog").json() == {"repositories": []}
    lar.get("/v2/library/x/manifests/1")
    names = ["cache/app", "stage/a", "stage/a-b", "stage/a/b", "stage/app", "stage/b"]
    for name in reversed(names):
        put_image(lar, "1", repo=name)
    reply = lar.get("/v2/_catalog")
    assert reply.json() == {"repositories": names} and "link" not in reply.headers
    assert reply.headers["content-type"] == "application/json"
    for n in (1, 2, 4, 6):
        assert sum(follow(lar, f"/v2/_catalog?n={n}", "repositories"), []) == names
    assert lar.get("/v2/_catalog?n=2&last=stage/a").json()["repositories"] == names[2:4]
    assert lar.get("/v2/_catalog?last=stage/b").json() == {"repositories": []}
    assert lar.head("/v2/_catalog").status == 200


def test_extensions_are_none(lar):
    assert lar.get("/v2/_oci/ext/discover").status in (200, 404)
