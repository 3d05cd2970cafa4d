"""Manifests are pushed: by tag, by digest, with several tags at once; what is taken, what not."""
import json

import pytest
from push import (EMPTY, OTHER, REPO, blob_path, check_manifest, descriptor, encode, image_body,
                  index_body, is_there, manifest_path, put_blob, put_image, put_manifest,
                  send_manifest, sha512_of)
from registry import CONFIG, INDEX, LAYER, MANIFEST, digest_of, noise

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
LAYERS = [noise(3000, seed=1), noise(200_000, seed=2)]
MIB = 1024 * 1024


@pytest.fixture
def lar(larder):
    return larder()


def check_both_doors(lar, reference, body, media_type=MANIFEST, digest=None, repo=REPO):
    for method in ("GET", "HEAD"):
        reply = lar.get(manifest_path(reference, repo), method=method)
        if method == "HEAD":
            assert reply.body == b""
            reply.body = body
        check_manifest(reply, body, media_type, digest)


def test_by_tag(lar):
    img = put_image(lar, "1.0", LAYERS)
    for reference in ("1.0", img.digest):
        check_both_doors(lar, reference, img.body)
    assert not is_there(lar, manifest_path("1.1"))


def test_by_digest(lar):
    img = put_image(lar, None, LAYERS)
    check_both_doors(lar, img.digest, img.body)
    assert lar.get(f"/v2/{REPO}/tags/list").json()["tags"] == []


@pytest.mark.parametrize("tag", ["a", "_x", "V1.0-rc_1", "9", "a" * 128, "latest",
                                 "sha256-" + "a" * 64])
def test_tags_of_every_form(lar, tag):
    body = put_image(lar, tag).body
    check_both_doors(lar, tag, body)


def test_sha512(lar):
    data = LAYERS[0]
    config = {"mediaType": CONFIG, "size": 2, "digest": sha512_of(b"{}")}
    layer = {"mediaType": LAYER, "size": len(data), "digest": sha512_of(data)}
    put_blob(lar, b"{}", digest=config["digest"])
    put_blob(lar, data, digest=layer["digest"])
    body = encode({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]})
    reply = put_manifest(lar, sha512_of(body), body)
    assert "warning" not in reply.headers
    check_both_doors(lar, sha512_of(body), body, digest=sha512_of(body))
    assert not is_there(lar, manifest_path(digest_of(body)))
    index = encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": MANIFEST, "size": len(body), "digest": sha512_of(body)}]})
    put_manifest(lar, sha512_of(index), index, INDEX)
    assert lar.delete(manifest_path(sha512_of(body))).status == 202
    assert not is_there(lar, manifest_path(sha512_of(body)))


@pytest.mark.parametrize("algorithm", [digest_of, sha512_of], ids=["sha256", "sha512"])
def test_tag_parameters(lar, algorithm):
    """Every tag is told, and by a tag the digest is the one that the client chose."""
    put_blob(lar, b"{}")
    body = image_body(annotations={"x": "y"})
    digest = algorithm(body)
    tags = [f"t{n}" for n in range(12)]
    for repo in (REPO, OTHER):
        query = "&".join(f"tag={tag}" for tag in tags)
        reply = lar.send("PUT", f"{manifest_path(digest, repo)}?{query}", body,
                         {"Content-Type": MANIFEST})
        assert reply.status == 201 and reply.headers["location"] == manifest_path(digest, repo)
        assert reply.headers["docker-content-digest"] == digest
        told = [tag.strip() for tag in reply.headers["oci-tag"].split(",")]
        assert sorted(told) == sorted(tags)
        for tag in (tags[0], tags[11]):
            check_both_doors(lar, tag, body, digest=digest, repo=repo)
        assert lar.get(f"/v2/{repo}/tags/list").json()["tags"] == sorted(tags)


def test_tag_parameters_that_are_wrong(lar):
    """All or nothing."""
    put_blob(lar, b"{}")
    body = image_body()
    path = manifest_path(digest_of(body))
    reply = lar.send("PUT", path + "?tag=good&tag=.bad", body, {"Content-Type": MANIFEST})
    assert reply.status == 400 and reply.code() == "TAG_INVALID"
    assert not is_there(lar, manifest_path("good")) and not is_there(lar, path)
    many = "&".join(f"tag=t{n}" for n in range(500))
    reply = lar.send("PUT", f"{path}?{many}", body, {"Content-Type": MANIFEST})
    assert reply.status in (400, 414, 431) and not is_there(lar, manifest_path("t0"))


def test_tag_moves(lar):
    """Whoever asks meanwhile sees the one or the other; what it meant before stays by digest."""
    old = put_image(lar, "1", [LAYERS[0]])
    new = put_image(lar, None, [LAYERS[1]])
    for img in (new, old, new):
        put_manifest(lar, "1", img.body)
        check_both_doors(lar, "1", img.body)
    check_both_doors(lar, old.digest, old.body)


@pytest.mark.parametrize("chunk", [1, 7, 4096])
def test_body_in_chunks(lar, chunk):
    put_blob(lar, b"{}")
    body = image_body()
    for reference in ("1", digest_of(body)):
        assert send_manifest(lar, reference, body, chunk=chunk).status == 201
        check_both_doors(lar, reference, body)


@pytest.mark.parametrize("chunk", [0, 50_000])
def test_large(lar, chunk):
    """390 annotations of 10,000 characters, as the conformance suite sends them."""
    put_blob(lar, b"{}")
    body = image_body(annotations={f"test.annotation.{n}": "x" * 10_000 for n in range(390)})
    assert 3_900_000 < len(body) < 4 * MIB
    for reference in (digest_of(body), "large"):
        assert send_manifest(lar, reference, body, chunk=chunk).status == 201
        check_both_doors(lar, reference, body)


@pytest.mark.parametrize("chunk", [0, 100_000])
@pytest.mark.parametrize("reference", ["1", "digest"])
def test_too_large(lar, reference, chunk):
    body = image_body(annotations={"x": "y" * 8 * MIB})
    reference = digest_of(body) if reference == "digest" else reference
    reply = send_manifest(lar, reference, body, chunk=chunk)
    assert (reply.status, reply.code()) == (413, "SIZE_INVALID")
    assert not is_there(lar, manifest_path(reference)) and lar.kept() == set()


BAD_BODIES = {
    "empty": b"", "no json": b"hello", "cut": image_body()[:-1], "array": b"[]", "string": b'"x"',
    "null": b"null", "behind": image_body() + b"x", "NUL": image_body()[:-1] + b"\0}",
    "utf-8": image_body(annotations={"x": "yz"}).replace(b"yz", b"\xff\xfe"),
    "deep": b'{"schemaVersion":2,"mediaType":"%s","x":' % MANIFEST.encode() + b"[" * 5000
            + b"]" * 5000 + b"}",
    "wide": image_body(x=[0] * 200_000),
    "config": image_body().replace(b'"config":{', b'"config":[{').replace(b'},"layers"',
                                                                          b'}],"layers"'),
    "layers": encode({**json.loads(image_body()), "layers": {"a": 1}}),
    "digest": image_body().replace(b"sha256:", b"sha256:zz"),
    "no digest": encode({**json.loads(image_body()), "config": {"mediaType": CONFIG, "size": 2}}),
    "subject": image_body(subject="sha256:" + "a" * 64),
    "mediaType": image_body(mediaType=5), "artifactType": image_body(artifactType=["x"]),
    "schemaVersion": image_body(schemaVersion="2"),
    "negative size": image_body(config={**EMPTY, "size": -1}),
    "size of half a byte": image_body(config={**EMPTY, "size": 2.5}),
    "size in words": image_body(layers=[descriptor(b"", size="two")]),
    "size beyond all numbers": image_body().replace(b'"size":2', b'"size":2' + b"0" * 30),
    "descriptor's mediaType": image_body(layers=[{**descriptor(b""), "mediaType": 5}]),
    "subject's size": image_body(subject={**EMPTY, "size": -2}),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_no_manifest(lar, name):
    body = BAD_BODIES[name]
    put_blob(lar, b"{}")
    for reference in ("1", digest_of(body)):
        reply = send_manifest(lar, reference, body)
        assert (reply.status, reply.code()) == (400, "MANIFEST_INVALID"), name
        assert not is_there(lar, manifest_path(reference))
    assert lar.kept() == {digest_of(b"{}")}


@pytest.mark.parametrize("media_type, body", [
    (INDEX, image_body()), (MANIFEST, index_body()), (DOCKER, image_body()),
    ("text/plain", image_body()), (LAYER, image_body(mediaType=None))],
    ids=["index", "image", "docker", "text", "layer"])
def test_other_media_type(lar, media_type, body):
    reply = send_manifest(lar, "1", body, media_type)
    assert (reply.status, reply.code()) == (400, "MANIFEST_INVALID")
    assert not is_there(lar, manifest_path("1"))


@pytest.mark.parametrize("said, body, kept", [
    (MANIFEST + "; charset=utf-8", image_body(), MANIFEST),
    (None, image_body(), MANIFEST), (None, image_body(mediaType=None), MANIFEST),
    (None, index_body(), INDEX), (None, index_body(mediaType=None), INDEX),
    (MANIFEST, image_body(mediaType=None), MANIFEST), (INDEX, index_body(mediaType=None), INDEX),
    (DOCKER, image_body(mediaType=DOCKER), DOCKER),
    (DOCKER_LIST, index_body(mediaType=DOCKER_LIST), DOCKER_LIST),
    ("APPLICATION/vnd.oci.image.manifest.v1+json", image_body(), MANIFEST),
    ("application/octet-stream", image_body(), MANIFEST),
    ("application/json", index_body(), INDEX)],
    ids=["parameter", "no image", "no image at all", "no index", "no index at all", "image",
         "index", "docker", "docker list", "upper", "octets", "json"])
def test_media_type(lar, said, body, kept):
    """A body without one takes the request's, and the other way round. What clients send that
    know nothing of manifests counts as none."""
    put_blob(lar, b"{}")
    assert send_manifest(lar, "1", body, said).status == 201
    check_both_doors(lar, "1", body, kept)


@pytest.mark.parametrize("digest", [digest_of(b"other"), sha512_of(b"other")],
                         ids=["sha256", "sha512"])
def test_digest_that_it_has_not(lar, digest):
    put_blob(lar, b"{}")
    reply = send_manifest(lar, digest, image_body())
    assert (reply.status, reply.code()) == (400, "DIGEST_INVALID")
    assert not is_there(lar, manifest_path(digest))
    assert not is_there(lar, manifest_path(digest_of(image_body())))


def test_more_white_space_is_another_manifest(lar):
    reply = send_manifest(lar, digest_of(image_body()), image_body() + b"  ")
    assert (reply.status, reply.code()) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("reference", [
    "sha256:baddigeststring", "sha256:", "sha256:" + "A" * 64, "md5:" + "a" * 32,
    "sha256:" + "a" * 65])
def test_digests_that_are_none(lar, reference):
    reply = send_manifest(lar, reference, image_body())
    assert (reply.status, reply.code()) == (400, "DIGEST_INVALID")
    for method in ("GET", "DELETE"):
        reply = lar.get(manifest_path(reference), method=method)
        assert reply.status in (400, 404) and reply.code() in ("DIGEST_INVALID", "MANIFEST_UNKNOWN")


@pytest.mark.parametrize("tag", [".x", "-x", "a" * 129, "a+b", "a%20b", "%C3%A4", "a~b"])
def test_tags_that_are_none(lar, tag):
    reply = send_manifest(lar, tag, image_body())
    assert (reply.status, reply.code()) == (400, "TAG_INVALID")
    assert not is_there(lar, manifest_path(tag))


def test_illegal_tag_is_not_there(lar):
    """The conformance suite asks for it, with a body at the one and without at the other."""
    for method in ("HEAD", "GET"):
        assert lar.get(manifest_path(".INVALID_MANIFEST_NAME"), method=method).status == 404


def custom():
    """Members that nobody knows, everywhere."""
    config = encode({"architecture": "amd64", "org.example": {"deep": [1, 2, {"x": None}]}})
    layers = [descriptor(LAYERS[0], custom={"a": 1}, data="aGVsbG8=", annotations={"a": "b"}),
              descriptor(LAYERS[1], "application/x-nobody", urls=["https://example.com/x"])]
    return config, image_body(config=config, layers=layers, custom=[1.5, True, None], x={"y": "z"})


TAKEN = {
    "no layers": (MANIFEST, image_body(layers=[])),
    "unknown members": (MANIFEST, custom()[1]),
    "artifact": (MANIFEST, image_body(config=EMPTY, layers=[EMPTY], artifactType="application/x")),
    "config type": (MANIFEST, image_body(config_type="application/y")),
    "data": (MANIFEST, image_body(config={**EMPTY, "data": "e30="})),
    "foreign layers": (MANIFEST, image_body(layers=[
        descriptor(b"far", NONDISTRIBUTABLE, urls=["https://example.com/1"]),
        descriptor(b"away", FOREIGN, urls=["https://example.com/2"])])),
    "no children": (INDEX, index_body()),
    "artifact index": (INDEX, index_body(artifactType="application/x", annotations={"a": "b"})),
    "zero-byte layer": (MANIFEST, image_body(layers=[descriptor(b"")])),
    "the same layer twice": (MANIFEST, image_body(layers=[descriptor(LAYERS[0])] * 2)),
}


@pytest.mark.parametrize("name", TAKEN)
def test_taken_as_it_is(lar, name):
    """Nothing is missing that ought to be there, so nothing is warned of."""
    for data in (b"{}", b"", custom()[0], *LAYERS):
        put_blob(lar, data)
    media_type, body = TAKEN[name]
    for reference in (digest_of(body), "1"):
        reply = put_manifest(lar, reference, body, media_type)
        assert "warning" not in reply.headers and "oci-subject" not in reply.headers
        check_both_doors(lar, reference, body, media_type)


def test_nested_index(lar):
    img = put_image(lar, None, [LAYERS[0]])
    inner = index_body([(img.body, MANIFEST)])
    middle = index_body([(inner, INDEX), (img.body, MANIFEST)])
    outer = index_body([(middle, INDEX)], annotations={"x": "y"})
    for body in (inner, middle, outer):
        assert "warning" not in put_manifest(lar, digest_of(body), body, INDEX).headers
    put_manifest(lar, "nested", outer, INDEX)
    check_both_doors(lar, "nested", outer, INDEX)
    check_both_doors(lar, digest_of(inner), inner, INDEX)


def test_index_of_blobs(lar):
    """The older form of BuildKit's cache: layers and config are listed as if they were
    manifests, and are there as blobs."""
    for data in (b"{}", *LAYERS):
        put_blob(lar, data, "cache/app")
    config = "application/vnd.buildkit.cacheconfig.v0"
    body = index_body([(data, LAYER) for data in LAYERS] + [(b"{}", config)])
    reply = put_manifest(lar, "main", body, INDEX, "cache/app")
    assert "warning" not in reply.headers
    check_both_doors(lar, "main", body, INDEX, repo="cache/app")


@pytest.mark.parametrize("pushed, missing, named", [(0, 3, 3), (1, 2, 3), (2, 1, 3)])
def test_sparse_image(lar, pushed, missing, named):
    """What it names and is not here is counted in a warning, and may come later."""
    parts = [b"{}", *LAYERS]
    for data in parts[:pushed]:
        put_blob(lar, data)
    body = image_body(LAYERS)
    for reference in (digest_of(body), "1"):
        reply = put_manifest(lar, reference, body)
        warning = reply.headers["warning"]
        assert warning.startswith('299 - "') and warning.endswith('"')
        assert f"{missing} of the {named} " in warning
    check_both_doors(lar, "1", body)
    for data in parts:
        put_blob(lar, data)
    assert "warning" not in put_manifest(lar, "1", body).headers


def test_sparse_index(lar):
    img = put_image(lar, None, [LAYERS[0]])
    other = image_body([LAYERS[1]])
    body = index_body([(img.body, MANIFEST), (other, MANIFEST)])
    reply = put_manifest(lar, "1", body, INDEX)
    assert "1 of the 2 " in reply.headers["warning"]
    check_both_doors(lar, "1", body, INDEX)
    assert not is_there(lar, manifest_path(digest_of(other)))
    put_blob(lar, LAYERS[1])
    put_manifest(lar, digest_of(other), other)
    assert "warning" not in put_manifest(lar, "1", body, INDEX).headers


def test_what_another_repository_holds_is_missing(lar):
    img = put_image(lar, "1", LAYERS, repo=OTHER)
    reply = put_manifest(lar, "1", img.body)
    assert "3 of the 3 " in reply.headers["warning"]
    for digest in (img.config, *img.layers):
        assert not is_there(lar, blob_path(digest))


def test_blob_is_no_manifest(lar):
    img = put_image(lar, "1", LAYERS)
    assert not is_there(lar, manifest_path(img.layers[0]))
    assert not is_there(lar, manifest_path(img.config))


def test_manifest_is_no_blob(lar):
    img = put_image(lar, "1", LAYERS)
    assert not is_there(lar, blob_path(img.digest))
    put_manifest(lar, "2", img.body)
    reply = lar.get(blob_path(img.digest))
    assert (reply.status, reply.code()) == (404, "BLOB_UNKNOWN")
    assert lar.delete(blob_path(img.digest)).status == 404
    check_manifest(lar.get(manifest_path("1")), img.body)


def test_mirrored_manifest_is_no_blob(registry, larder):
    """Not for a HEAD either, which lends layers to pushers."""
    img = registry.add_image("library/x", "1", [LAYERS[0]])
    lar = larder(upstreams={"docker.io": registry.url})
    lar.get("/v2/library/x/manifests/1")
    assert not is_there(lar, blob_path(img.digest))
    put_manifest(lar, "1", img.body)
    assert not is_there(lar, blob_path(img.digest))


@pytest.mark.parametrize("first", ["manifest", "blob"])
def test_manifest_that_is_pushed_as_a_blob_too(lar, first):
    """Both doors are open then, each with its own type."""
    if first == "blob":
        put_blob(lar, image_body(LAYERS))
    img = put_image(lar, "1", LAYERS)
    put_blob(lar, img.body)
    put_manifest(lar, "1", img.body)
    reply = lar.get(blob_path(img.digest))
    assert reply.body == img.body and reply.headers["content-type"] == "application/octet-stream"
    check_both_doors(lar, img.digest, img.body)


@pytest.mark.parametrize("accept", [None, "*/*", "text/plain", MANIFEST + ", " + INDEX,
                                    DOCKER_LIST + ";q=0.5", INDEX])
def test_what_is_stored_is_served_whatever_is_accepted(lar, accept):
    body = index_body()
    put_manifest(lar, "1", body, INDEX)
    reply = lar.get(manifest_path("1"), {"Accept": accept} if accept else {})
    check_manifest(reply, body, INDEX)


def test_two_lines_of_accept(lar):
    body = put_image(lar, "1").body
    got, _ = lar.raw(f"GET {manifest_path('1')} HTTP/1.1\r\nHost: x\r\nAccept: {INDEX}\r\n"
                     f"Accept: {MANIFEST}\r\nConnection: close\r\n\r\n".encode())
    assert got.startswith(b"HTTP/1.1 200 ") and got.endswith(body)


def test_not_modified(lar):
    img = put_image(lar, "1")
    for reference in ("1", img.digest):
        for field in (f'"{img.digest}"', img.digest):
            reply = lar.get(manifest_path(reference), {"If-None-Match": field})
            assert (reply.status, reply.body) == (304, b"")


def test_survives_a_kill(lar):
    images = []
    for n in range(4):
        images.append(put_image(lar, f"t{n}", [noise(4000, seed=70 + n)]))
        lar.kill()
        lar.start()
        for k, img in enumerate(images):
            check_both_doors(lar, f"t{k}", img.body)
            assert lar.get(blob_path(img.layers[0])).status == 200
    assert lar.get(f"/v2/{REPO}/tags/list").json()["tags"] == ["t0", "t1", "t2", "t3"]


def test_survives_a_stop(lar):
    large = image_body(annotations={"x": "y" * 100_000})
    img = put_image(lar, "1", LAYERS)
    put_manifest(lar, "large", large)
    lar.stop()
    lar.start()
    check_both_doors(lar, "1", img.body)
    check_both_doors(lar, "large", large)
    check_both_doors(lar, img.digest, img.body)
