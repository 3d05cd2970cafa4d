"""Where nothing can be pushed: mirrored names, listeners that take no pushes, web pages."""
import socket

import pytest
from push import (REPO, begin, blob_path, image_body, is_there, manifest_path, put_blob,
                  put_image, put_manifest, send_manifest, uploads, with_query)
from registry import MANIFEST, digest_of

DATA = b"a layer"
DIGEST = digest_of(DATA)


@pytest.fixture
def lar(registry, larder):
    registry.img = registry.add_image("library/x", "1", [DATA])
    made = larder(upstreams={"docker.io": registry.url, "ghcr.io": registry.url})
    made.registry = registry
    return made


def writes(lar, name, query="", headers=None, prefix=""):
    """One of each kind of write, but deletes."""
    top = f"{prefix}/v2/{name}"
    return [
        lar.send("POST", f"{top}/blobs/uploads/{query}", headers=headers),
        lar.send("POST", with_query(f"{top}/blobs/uploads/{query}", digest=DIGEST), DATA, headers),
        lar.send("POST", with_query(f"{top}/blobs/uploads/{query}", mount=DIGEST), b"", headers),
        lar.send("PATCH", f"{top}/blobs/uploads/abc{query}", DATA, headers),
        lar.send("PATCH", f"{top}/blobs/uploads/abc{query}", DATA, headers, chunk=2),
        lar.send("PUT", with_query(f"{top}/blobs/uploads/abc{query}", digest=DIGEST), DATA,
                 headers),
        lar.send("PUT", f"{top}/manifests/1{query}", image_body(),
                 {"Content-Type": MANIFEST, **(headers or {})}),
    ]


def deletes(lar, name, query="", headers=None, prefix=""):
    return [lar.delete(f"{prefix}/v2/{name}/{what}{query}", headers)
            for what in ("manifests/1", f"manifests/{DIGEST}", f"blobs/{DIGEST}")]


NAMES = [("library/x", "", ""), ("x", "", ""), ("team/app", "", ""), ("ghcr.io/owner/app", "", ""),
         ("docker.io/stage/app", "", ""), ("stage/app", "?ns=docker.io", ""),
         ("stage/app", "?ns=ghcr.io", ""), ("stage/app", "", "/docker.io"), ("stage", "", ""),
         ("stages/app", "", ""), ("ghcr.io/stage/app", "", "")]


@pytest.mark.parametrize("name, query, prefix", NAMES)
def test_names_that_take_no_pushes(lar, name, query, prefix):
    """The answer says which do."""
    for reply in writes(lar, name, query, prefix=prefix):
        assert (reply.status, reply.code()) == (403, "DENIED"), reply
        assert "stage/**" in reply.message() and "cache/**" in reply.message()
    for reply in deletes(lar, name, query, prefix=prefix):
        assert (reply.status, reply.code()) == (405, "UNSUPPORTED"), reply
    assert lar.registry.requests == [] and lar.kept() == set() and lar.ingests() == []


def test_patterns_are_those_of_the_configuration(larder):
    lar = larder(config={"hosted": {"ours/*": {}, "theirs/app": {"class": "cache"}}})
    for name in ("ours/a", "theirs/app"):
        put_image(lar, "1", [DATA], repo=name)
        assert is_there(lar, blob_path(DIGEST, name))
    for name in ("ours/a/b", "theirs/other", "stage/app"):
        for reply in writes(lar, name):
            assert (reply.status, reply.code()) == (403, "DENIED")
            assert "ours/*" in reply.message() and "theirs/app" in reply.message()
            assert "stage/**" not in reply.message()


def test_nothing_is_hosted(larder):
    lar = larder(config={"hosted": {}})
    for reply in writes(lar, REPO):
        assert (reply.status, reply.code()) == (403, "DENIED")


@pytest.mark.parametrize("name, status", [
    ("Stage/App", 400), ("stage/App", 400), ("stage/a___b", 400), ("stage/a..b", 400),
    ("stage/-a", 400), ("stage/a-", 400), ("stage//a", 400), ("stage/a._b", 400),
    ("stage/a%20b", 400), ("stage/" + "a" * 300, 400), ("stage/a%2fb", 400), ("stage/%C3%A4", 400)])
def test_names_that_are_none(lar, name, status):
    for reply in writes(lar, name) + deletes(lar, name):
        assert (reply.status, reply.code()) == (status, "NAME_INVALID"), reply
    assert lar.registry.requests == [] and lar.kept() == set() and lar.ingests() == []


@pytest.mark.parametrize("name", ["evil.example/stage/app", "localhost/stage/app",
                                  "127.0.0.1:5000/stage/app"])
def test_hosts_that_are_none(lar, name):
    for reply in writes(lar, name):
        assert (reply.status, reply.code()) == (404, "NAME_UNKNOWN"), reply


def test_prefix_that_is_none(lar):
    for reply in writes(lar, REPO, prefix="/stage") + writes(lar, REPO, prefix="/evil.example"):
        assert reply.status == 404, reply


def test_namespace_that_is_the_host(lar):
    """`ns` that says what `Host` says counts as absent."""
    query = f"?ns={lar.host}"
    reply = lar.send("POST", uploads() + query)
    assert reply.status == 202
    reply = lar.send("PATCH", reply.headers["location"], DATA)
    assert reply.status == 202
    reply = lar.send("PUT", with_query(reply.headers["location"], digest=DIGEST, ns=lar.host))
    assert reply.status == 201 and lar.get(reply.headers["location"]).body == DATA
    reply = lar.send("PUT", manifest_path("1") + query, image_body(), {"Content-Type": MANIFEST})
    assert reply.status == 201 and lar.get(reply.headers["location"]).body == image_body()
    assert is_there(lar, blob_path(DIGEST)) and lar.head(blob_path(DIGEST) + query).status == 200


def test_origin(lar):
    """A web page must not push, nor delete; it may read what anybody reads."""
    img = put_image(lar, "1", [DATA])
    location = begin(lar)
    for origin in ("http://evil.example", "null", "http://" + lar.host, ""):
        said = {"Origin": origin}
        for reply in writes(lar, REPO, headers=said) + deletes(lar, REPO, headers=said):
            assert (reply.status, reply.code()) == (403, "DENIED"), reply
        assert lar.delete(location, said).status == 403
        assert lar.send("PATCH", location, DATA, said).status == 403
        assert lar.get(manifest_path("1"), said).body == img.body
    assert is_there(lar, manifest_path("1")) and is_there(lar, blob_path(img.layers[0]))
    assert lar.get(location).headers["range"] == "0-0"


@pytest.fixture
def doors(registry, larder):
    """0 is loopback's, 1 another without pushes, 2 another with them."""
    img = registry.add_image("library/x", "1", [DATA])
    lar = larder(upstreams={"docker.io": registry.url}, config={"listen": [
        "127.0.0.1:0", {"address": "0.0.0.0:0"}, {"address": "0.0.0.0:0", "push": True}]})
    lar.img = img
    return lar


def test_listeners(doors):
    """Elsewhere than on loopback a push needs the listener's word; pulls do not."""
    for number in (0, 2):
        door = doors.door(number)
        img = put_image(door, f"t{number}", [DATA])
        assert door.delete(manifest_path(f"t{number}")).status == 202
        put_manifest(door, "1", img.body)
    closed = doors.door(1)
    for reply in writes(closed, REPO) + deletes(closed, REPO):
        assert (reply.status, reply.code()) == (403, "DENIED"), reply
        assert "push" in reply.message()
    assert closed.get(manifest_path("1")).body == img.body
    assert closed.get(blob_path(DIGEST)).body == DATA
    assert closed.get(f"/v2/{REPO}/tags/list").json()["tags"] == ["1"]
    assert closed.get("/v2/library/x/manifests/1").body == doors.img.body


def test_session_by_a_listener_without_pushes(doors):
    location = begin(doors.door(0))
    closed = doors.door(1)
    assert closed.send("PATCH", location, DATA).status == 403
    assert closed.send("PUT", with_query(location, digest=DIGEST), DATA).status == 403
    assert closed.delete(location).status == 403
    assert doors.door(0).get(location).status == 204


def test_head_lends_base_layers_to_pushers_only(doors):
    """Who cannot push has no use for the answer."""
    here = doors.door(0)
    here.get("/v2/library/x/manifests/1")
    here.get(f"/v2/library/x/blobs/{DIGEST}")
    here.wait_counter("flights_landed", 1)
    assert here.head(blob_path(DIGEST)).status == 200
    assert doors.door(2).head(blob_path(DIGEST)).status == 200
    assert doors.door(1).head(blob_path(DIGEST)).status == 404


def test_mirror_role(registry, larder):
    """It knows no hosted names at all."""
    lar = larder(upstreams={"docker.io": registry.url}, config={"listen": [
        "127.0.0.1:0", {"address": "127.0.0.1:0", "role": "mirror"}]})
    here, mirror = lar.door(0), lar.door(1)
    put_image(here, "1", [DATA])
    for reply in writes(mirror, REPO):
        assert (reply.status, reply.code()) == (403, "DENIED"), reply
        says = f'the listener {mirror.host} has role "mirror", which takes no pushes'
        assert says in reply.message()
    for reply in deletes(mirror, REPO):
        assert reply.status == 405
    assert mirror.get(manifest_path("1")).status == 404
    assert mirror.get(blob_path(DIGEST)).status == 404


def test_unix_socket(larder, tmp_path):
    """Whoever can open it may push."""
    path = str(tmp_path / "larder.sock")
    larder(config={"listen": ["127.0.0.1:0", "unix:" + path]})
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(path)
        sock.sendall(f"POST {with_query(uploads(), digest=DIGEST)} HTTP/1.1\r\nHost: x\r\n"
                     f"Content-Length: {len(DATA)}\r\n\r\n".encode() + DATA)
        assert sock.recv(4096).startswith(b"HTTP/1.1 201 ")


@pytest.mark.parametrize("method, path", [
    ("POST", manifest_path("1")), ("PATCH", manifest_path("1")), ("PUT", blob_path(DIGEST)),
    ("POST", blob_path(DIGEST)), ("PUT", f"/v2/{REPO}/tags/list"), ("DELETE", "/v2/_catalog"),
    ("DELETE", f"/v2/{REPO}/tags/list"), ("PUT", f"/v2/{REPO}/referrers/{DIGEST}"),
    ("PUT", uploads()), ("PATCH", uploads()), ("DELETE", uploads()), ("POST", "/v2/")])
def test_methods_that_mean_nothing_there(lar, method, path):
    put_blob(lar, DATA)
    reply = lar.send(method, path, b"x")
    assert (reply.status, reply.code()) == (405, "UNSUPPORTED"), reply
    assert is_there(lar, blob_path(DIGEST))


def test_get_of_the_uploads_themselves(lar):
    assert lar.get(uploads()).status in (404, 405)


def test_offline_takes_pushes(larder):
    """Only upstreams are out of reach then."""
    lar = larder(args=["--offline"])
    img = put_image(lar, "1", [DATA])
    assert lar.get(manifest_path("1")).body == img.body
    assert send_manifest(lar, "2", img.body).status == 201
