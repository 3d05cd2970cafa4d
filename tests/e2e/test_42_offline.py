"""Offline: what is here is served whatever its age, and nobody is ever asked."""
import json
import os
import re

import pytest
from push import digest_of, put_blob
from registry import MANIFEST, noise


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


def test_tags_that_are_here_are_told(registry, larder):
    """The nearest names first, and only those whose manifest is here."""
    tags = ["12.4-slim", "latest", "12.6", *(f"old-{i}" for i in range(20))]
    for tag in (*tags, "12.5-gone"):
        registry.add_image("library/x", tag, [tag.encode()])
    lar = larder(upstreams={"docker.io": registry.url}, args=["--tag-ttl", "0s"])
    for tag in tags:
        lar.get("/v2/library/x/manifests/" + tag)
    asked = len(registry.requests)
    cached = {"Cache-Control": "only-if-cached"}
    reply = lar.get("/v2/x/manifests/12.5-slim", cached)
    assert (reply.status, reply.code()) == (404, "MANIFEST_UNKNOWN")
    assert reply.message().endswith("and only what is cached was asked for; tags that are here: "
                                    "12.4-slim, 12.6, latest, old-0, old-1, old-10, old-11, "
                                    "old-12 and 15 more")
    lar.stop()
    lar.args.append("--offline")
    lar.start()
    for name in ("/v2/x", "/v2/library/x", "/v2/docker.io/x", "/docker.io/v2/x"):
        reply = lar.get(name + "/manifests/12.5-slim")
        assert (reply.status, reply.code()) == (404, "MANIFEST_UNKNOWN")
        assert reply.message().startswith(
            "docker.io/library/x:12.5-slim is not here, and this cache is offline; tags that are "
            "here: 12.4-slim, 12.6, latest, old-0")
    assert lar.get("/v2/x/manifests/ol-7").message().count("here: old-7, ") == 1
    assert lar.head("/v2/x/manifests/12.5-slim").status == 404
    reply = lar.get("/v2/library/nothing/manifests/1")
    assert reply.message() == ("docker.io/library/nothing:1 is not here, nothing of that "
                               "repository is, and this cache is offline")
    assert lar.get("/v2/x/tags/list").json()["tags"] == sorted(tags)
    reply = lar.get("/v2/x/tags/list?n=2&last=12.4-slim&ns=docker.io")
    assert reply.json() == {"name": "x", "tags": ["12.6", "latest"]}
    assert "last=latest&n=2&ns=docker.io>" in reply.headers["link"]
    assert len(registry.requests) == asked


def test_long_names_leave_room(registry, larder):
    """What an error's text has no room for is left out whole."""
    repo = "/".join(["r" * 60] * 4)
    tags = [letter * 128 for letter in "abc"]
    for tag in tags:
        registry.add_image(repo, tag, [b"x"])
    lar = larder(upstreams={"docker.io": registry.url})
    for tag in tags:
        assert lar.get(f"/v2/{repo}/manifests/{tag}").status == 200
    reply = lar.get(f"/v2/{repo}/manifests/{'b' * 127}", {"Cache-Control": "only-if-cached"})
    assert reply.status == 404 and "only what is cached" in reply.message()
    assert "b" * 41 not in reply.message() or "b" * 128 in reply.message()


def test_a_repository_without_tags(registry, larder):
    img = registry.add_image("library/x", "latest", [b"x"])
    lar = larder(upstreams={"docker.io": registry.url})
    lar.get("/v2/x/manifests/" + img.digest)
    reply = lar.get("/v2/x/manifests/1", {"Cache-Control": "only-if-cached"})
    assert reply.status == 404 and "no other tag of it is" in reply.message()
    assert lar.get("/v2/x/tags/list", {"Cache-Control": "only-if-cached"}).json()["tags"] == []


def test_referrers_that_are_here_are_listed(registry, larder):
    img = registry.add_image("library/x", "latest", [b"x"])
    signature = json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/x-signature",
        "config": {"mediaType": "application/x-signature", "size": 0, "digest": digest_of(b"")},
        "layers": [], "subject": {"mediaType": MANIFEST, "size": len(img.body),
                                  "digest": img.digest}}).encode()
    digest = registry.add_manifest("library/x", "signed", signature)
    lar = larder(upstreams={"docker.io": registry.url}, args=["--tag-ttl", "0s"])
    lar.get("/v2/x/manifests/latest")
    path = "/v2/x/referrers/" + img.digest
    cached = {"Cache-Control": "only-if-cached"}
    assert lar.get(path, cached).json()["manifests"] == []
    assert lar.get("/v2/x/manifests/signed").status == 200
    found = lar.get(path, cached).json()["manifests"]
    assert [(one["digest"], one["artifactType"]) for one in found] == [
        (digest, "application/x-signature")]
    assert lar.get("/v2/y/referrers/" + img.digest, cached).code() == "NAME_UNKNOWN"


# --- nothing goes out ----------------------------------------------------------------------------

OUTWARD = re.compile(r"(connect|sendto|sendmsg|sendmmsg)\(.*sa_family=AF_INET"
                     r"|socket\(AF_(INET|NETLINK)|resolv\.conf|nsswitch\.conf|etc/hosts|nscd")


def traced(lar, log):
    """The server runs under strace from its first instruction on; strace is a child of it."""
    plain = lar.command
    lar.command = lambda: ["strace", "-D", "-f", "-qq", "-o", str(log), "-s", "200",
                           "-e", "trace=network,openat", *plain()]
    lar.env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"


def outward(log):
    """What it did to reach others, or to learn where they are. It opens a socket for each address
    that it listens at before it binds it; that one is left out."""
    found = [line for line in log.read_text(errors="replace").splitlines() if OUTWARD.search(line)]
    listened = sum("bind(" in line and "AF_INET" in line
                   for line in log.read_text(errors="replace").splitlines())
    sockets = [line for line in found if "socket(AF_INET" in line]
    return [line for line in found if line not in sockets], len(sockets) - listened


def test_nothing_goes_out(registry, larder, tmp_path):
    """The names of the upstreams have no address: whoever asked for one would be seen."""
    img = registry.add_image("library/x", "latest", [noise(400_000), b"second"])
    port = registry.url.rsplit(":", 1)[1]
    lar = larder(upstreams={"docker.io": f"http://localhost:{port}", "ghcr.io": "https://ghcr.io"},
                 config={"cache": {"prefetch": False}}, args=["--tag-ttl", "0s"], start=False)
    online, offline = tmp_path / "online", tmp_path / "offline"
    plain = lar.command
    traced(lar, online)
    lar.start()
    lar.get("/v2/x/manifests/latest")
    for digest in (img.config, img.layers[0]):
        lar.get("/v2/x/blobs/" + digest)
    lar.stop()
    calls, sockets = outward(online)
    assert any("connect(" in line for line in calls) and sockets > 0, "the trace sees nothing"

    lar.upstreams["docker.io"] = "https://registry.upstream.invalid"
    lar.args.append("--offline")
    lar.command = plain
    traced(lar, offline)
    lar.start()
    asked = len(registry.requests)
    unknown = "sha256:" + "0" * 64
    for name in ("/v2/x", "/v2/library/x", "/v2/docker.io/library/x", "/docker.io/v2/x"):
        for query in ("", "?ns=docker.io", "?ns=registry-1.docker.io"):
            assert lar.get(f"{name}/manifests/latest{query}").body == img.body
            assert lar.get(f"{name}/manifests/{img.digest}{query}").body == img.body
            assert lar.get(f"{name}/blobs/{img.layers[0]}{query}").complete
            assert lar.head(f"{name}/manifests/latest{query}").status == 200
            assert lar.get(f"{name}/manifests/no{query}").status == 404
            assert lar.get(f"{name}/manifests/{unknown}{query}").status == 404
            assert lar.head(f"{name}/blobs/{img.layers[1]}{query}").status == 404
            assert lar.get(f"{name}/blobs/{unknown}{query}", {"Range": "bytes=5-9"}).status == 404
            assert lar.get(f"{name}/tags/list{query}").status == 200
            assert lar.get(f"{name}/referrers/{img.digest}{query}").status == 200
    assert lar.get("/v2/ghcr.io/a/b/manifests/1").status == 404
    assert lar.get("/v2/a/b/blobs/" + unknown).status == 404
    assert lar.get("/v2/a/b/tags/list").status == 404
    assert lar.get("/v2/a/b/referrers/" + unknown).status == 404
    put_blob(lar, b"pushed", "stage/app")
    for digest, status in ((img.layers[0], 200), (img.layers[1], 404), (unknown, 404)):
        assert lar.head("/v2/stage/app/blobs/" + digest).status == status
        mount = f"/v2/stage/app/blobs/uploads/?mount={digest}&from=docker.io/library/x"
        assert lar.send("POST", mount).status == (201 if status == 200 else 202)
    lar.stop()
    assert outward(offline) == ([], 0)
    assert len(registry.requests) == asked
