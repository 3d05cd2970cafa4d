"""The control socket as a registry, for commands that move whole images."""
import http.client
import json
import os
import socket

from push import digest_of
from registry import noise


def ask(lar, method, path, body=None, headers=None):
    """One request over the control socket; gives the response and its body."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(50)
        sock.connect(os.path.join(lar.data, "control.sock"))
        head = {"Host": "larder", "Connection": "close", **(headers or {})}
        if body is not None:
            head["Content-Length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        sock.sendall(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + (body or b""))
        response = http.client.HTTPResponse(sock, method=method)
        response.begin()
        return response, response.read()


def settle(lar):
    """The record of a blob follows its last byte."""
    lar.wait(lambda: lar.counter("flights_open") == 0, "all is recorded")


def code(body):
    return json.loads(body)["errors"][0]["code"]


CACHED = {"Cache-Control": "no-transform, Only-If-Cached"}


def test_images_are_read_and_fetched(registry, larder):
    img = registry.add_image("library/x", "latest", [noise(300_000)])
    lar = larder(upstreams={"docker.io": registry.url})
    response, body = ask(lar, "GET", "/v2/x/manifests/latest")
    assert (response.status, body) == (200, img.body)
    assert response.headers["X-Larder"].startswith("miss")
    response, body = ask(lar, "GET", "/v2/docker.io/x/blobs/" + img.layers[0])
    assert response.status == 200 and digest_of(body) == img.layers[0]
    assert ask(lar, "GET", "/-/counters")[0].status == 200
    assert ask(lar, "GET", "/metrics")[0].status == 200


def test_only_if_cached_asks_nobody(registry, larder):
    img = registry.add_image("library/x", "latest", [noise(300_000)])
    lar = larder(upstreams={"docker.io": registry.url}, args=["--tag-ttl", "0s"])
    for path, want in ((f"/v2/x/blobs/{img.layers[0]}", "BLOB_UNKNOWN"),
                       ("/v2/x/manifests/latest", "MANIFEST_UNKNOWN"),
                       (f"/v2/x/manifests/{img.digest}", "MANIFEST_UNKNOWN"),
                       ("/v2/x/tags/list", "NAME_UNKNOWN")):
        for answer in (lar.get(path, CACHED), None):
            if answer is None:
                response, body = ask(lar, "GET", path, headers=CACHED)
                assert (response.status, code(body)) == (404, want), path
            else:
                assert (answer.status, answer.code()) == (404, want), path
                assert answer.message().endswith("only what is cached was asked for")
    assert registry.requests == []
    lar.get("/v2/x/manifests/latest")
    lar.get("/v2/x/blobs/" + img.layers[0])
    lar.wait_counter("flights_landed", 1)
    settle(lar)
    asked = len(registry.requests)
    answer = lar.get("/v2/x/manifests/latest", CACHED)
    assert (answer.status, answer.body, answer.source()) == (200, img.body, "hit")
    assert lar.get(f"/v2/x/manifests/{img.digest}", CACHED).status == 200
    assert lar.get("/v2/x/blobs/" + img.layers[0], CACHED).body == noise(300_000)
    assert len(registry.requests) == asked


def test_the_operators_doors_are_its_own(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url})
    assert lar.get("/-/counters").status == 404
    assert ask(lar, "GET", "/-/nothing")[0].status == 404
    assert ask(lar, "GET", "/nothing")[0].status == 404


def test_the_store_itself(registry, larder):
    """The name - is every blob that is here, on the control socket alone."""
    img = registry.add_image("library/x", "latest", [noise(300_000)])
    lar = larder(upstreams={"docker.io": registry.url})
    lar.get("/v2/x/manifests/latest")
    lar.get("/v2/x/blobs/" + img.layers[0])
    lar.wait_counter("flights_landed", 1)
    for digest, body in ((img.layers[0], noise(300_000)), (img.digest, img.body)):
        response, got = ask(lar, "GET", "/v2/-/blobs/" + digest)
        assert (response.status, got) == (200, body)
        assert ask(lar, "HEAD", "/v2/-/blobs/" + digest)[0].headers["Content-Length"] == str(
            len(body))
        assert lar.get("/v2/-/blobs/" + digest).status == 400
    response, body = ask(lar, "GET", "/v2/-/blobs/" + digest_of(b"nothing"))
    assert (response.status, code(body)) == (404, "BLOB_UNKNOWN")
    for path in ("/v2/-/manifests/latest", "/v2/-/tags/list", "/v2/docker.io/-/blobs/" + img.digest,
                 "/v2/-/blobs/" + img.digest + "?ns=docker.io"):
        assert ask(lar, "GET", path)[0].status == 400, path
    assert ask(lar, "DELETE", "/v2/-/blobs/" + img.digest)[0].status == 404
    assert ask(lar, "GET", "/v2/-/blobs/" + img.digest)[0].status == 200


def test_a_blob_of_no_repository(registry, larder):
    data = noise(2_000_000, seed=5)
    digest = digest_of(data)
    lar = larder(upstreams={"docker.io": registry.url})
    uploads = "/v2/-/blobs/uploads/"
    response, body = ask(lar, "POST", f"{uploads}?digest={digest_of(b'other')}", data)
    assert (response.status, code(body)) == (400, "DIGEST_INVALID")
    assert ask(lar, "GET", "/v2/-/blobs/" + digest)[0].status == 404
    response, body = ask(lar, "POST", f"{uploads}?digest={digest}", data)
    assert response.status == 201, body
    assert response.headers["Location"].endswith("/v2/-/blobs/" + digest)
    assert ask(lar, "GET", "/v2/-/blobs/" + digest)[1] == data
    assert lar.get("/v2/stage/app/blobs/" + digest).status == 404
    assert lar.get("/v2/x/blobs/" + digest).status == 404
    lar.stop()
    lar.start()
    assert ask(lar, "GET", "/v2/-/blobs/" + digest)[1] == data


def test_a_blob_of_no_repository_in_pieces(registry, larder):
    data = noise(2_000_000, seed=6)
    digest = digest_of(data)
    lar = larder(upstreams={"docker.io": registry.url})
    location = ask(lar, "POST", "/v2/-/blobs/uploads/", b"")[0].headers["Location"]
    path = location[location.index("/v2/"):]
    assert ask(lar, "PATCH", path, data[:1_500_000])[0].status == 202
    assert ask(lar, "GET", path)[0].headers["Range"] == "0-1499999"
    assert lar.get(path).status in (400, 404)
    assert lar.get(path.replace("/-/", "/stage/app/")).status == 404
    assert ask(lar, "PUT", f"{path}?digest={digest}", data[1_500_000:])[0].status == 201
    assert ask(lar, "GET", "/v2/-/blobs/" + digest)[1] == data
    location = ask(lar, "POST", "/v2/-/blobs/uploads/", b"")[0].headers["Location"]
    path = location[location.index("/v2/"):]
    assert ask(lar, "DELETE", path)[0].status == 204
    assert ask(lar, "GET", path)[0].status == 404


# --- images whose bytes are here ------------------------------------------------------------------

def store(lar, *bodies):
    for body in bodies:
        response, said = ask(lar, "POST", "/v2/-/blobs/uploads/?digest=" + digest_of(body), body)
        assert response.status == 201, said


def place(lar, name, digest, *tags, **more):
    response, body = ask(lar, "POST", "/-/place", json.dumps(
        {"name": name, "digest": digest, "tags": tags, **more}).encode())
    return response.status, json.loads(body)


def image(n, layers=2):
    """Bytes of an image: its manifest, its configuration, its layers."""
    blobs = [noise(1000 + i, seed=100 * n + i) for i in range(layers)]
    config = json.dumps({"os": "linux", "architecture": "amd64", "n": n, "rootfs": {
        "type": "layers", "diff_ids": [digest_of(blob) for blob in blobs]}}).encode()
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                   "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": digest_of(blob), "size": len(blob)} for blob in blobs]}).encode()
    return manifest, config, blobs


def index_of(*manifests):
    return json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json",
                       "digest": digest_of(body), "size": len(body),
                       "platform": {"os": "linux", "architecture": arch}}
                      for body, arch in manifests]}).encode()


def missing(answer):
    return answer["errors"][0]["detail"]["missing"]


def test_have(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url})
    here, gone = [noise(500, seed=n) for n in (1, 2)], digest_of(b"gone")
    store(lar, *here)
    body = "".join(f"{digest_of(b)}\n" for b in here) + gone + "\n"
    response, said = ask(lar, "POST", "/-/have", body.encode())
    assert (response.status, json.loads(said)) == (200, {"here": 2, "missing": [gone]})
    assert json.loads(ask(lar, "POST", "/-/have", b"")[1]) == {"here": 0, "missing": []}
    assert json.loads(ask(lar, "POST", "/-/have", gone.encode())[1])["missing"] == [gone]
    response, said = ask(lar, "POST", "/-/have", (gone + "\nnone\n").encode())
    assert (response.status, code(said)) == (400, "DIGEST_INVALID")
    assert ask(lar, "POST", "/-/have", (gone + "\n").encode() * 10001)[0].status == 413
    assert ask(lar, "POST", "/-/have", b"x" * (3 << 20))[0].status == 413
    assert ask(lar, "GET", "/-/have")[0].status == 405


def test_place_under_a_mirrored_name(registry, larder):
    """It serves as if upstream had answered, and goes on doing so when nothing answers."""
    manifest, config, layers = image(1)
    lar = larder(upstreams={"docker.io": registry.url})
    registry.stop()
    store(lar, manifest, config, *layers)
    name = "docker.io/library/tool"
    assert place(lar, name, digest_of(manifest), "1.0", dry_run=True) == (
        200, {"name": name, "blobs": 4, "bytes": sum(map(len, (manifest, config, *layers))),
              "changed": False})
    assert lar.get("/v2/tool/manifests/" + digest_of(manifest)).status != 200
    status, said = place(lar, name, digest_of(manifest), "1.0", "latest")
    assert (status, said["blobs"], said["changed"]) == (200, 4, True)
    for restart in (False, True):
        if restart:
            lar.stop()
            lar.start()
        for tag in ("1.0", "latest"):
            answer = lar.get("/v2/tool/manifests/" + tag)
            assert (answer.status, answer.body) == (200, manifest)
            assert answer.headers["content-type"] == "application/vnd.oci.image.manifest.v1+json"
        for blob in (config, *layers):
            assert lar.get("/v2/library/tool/blobs/" + digest_of(blob)).body == blob
    assert lar.get("/v2/other/blobs/" + digest_of(config)).status != 200
    assert place(lar, name, digest_of(manifest), "1.0")[1]["changed"] is False


def test_place_under_a_hosted_name(registry, larder):
    first, second = image(1), image(2)
    lar = larder(upstreams={"docker.io": registry.url})
    for manifest, config, layers in (first, second):
        store(lar, manifest, config, *layers)
    assert place(lar, "stage/app", digest_of(first[0]), "dev")[0] == 200
    assert lar.get("/v2/stage/app/manifests/dev").body == first[0]
    assert lar.get("/v2/stage/app/blobs/" + digest_of(first[2][0])).body == first[2][0]
    for dry_run in (True, False):
        status, said = place(lar, "stage/app", digest_of(second[0]), "new", "dev", dry_run=dry_run)
        assert (status, said["errors"][0]["code"]) == (403, "DENIED")
        assert f"stage/app:dev is {digest_of(first[0])} here" in said["errors"][0]["message"]
    assert lar.get("/v2/stage/app/manifests/dev").body == first[0]
    assert lar.get("/v2/stage/app/manifests/new").status == 404
    assert lar.get("/v2/stage/app/manifests/" + digest_of(second[0])).status == 404
    assert place(lar, "stage/app", digest_of(second[0]), "new", "dev", replace=True)[0] == 200
    assert lar.get("/v2/stage/app/manifests/dev").body == second[0]


def test_place_an_index_of_which_some_is_here(registry, larder):
    amd, arm = image(1), image(2)
    index = index_of((amd[0], "amd64"), (arm[0], "arm64"))
    lar = larder(upstreams={"docker.io": registry.url})
    for name in ("stage/multi", "docker.io/team/multi"):
        store(lar, index)
        status, said = place(lar, name, digest_of(index), "x")
        assert (status, said["errors"][0]["code"]) == (404, "BLOB_UNKNOWN")
        store(lar, amd[0], amd[1], amd[2][0])
        status, said = place(lar, name, digest_of(index), "x")
        assert (status, missing(said)) == (404, [digest_of(amd[2][1])])
        assert lar.get(f"/v2/{name}/manifests/{digest_of(amd[0])}").status == 404
        store(lar, amd[2][1])
        status, said = place(lar, name, digest_of(index), "x")
        assert (status, said["blobs"]) == (200, 5)
        assert lar.get(f"/v2/{name}/manifests/x").body == index
        assert lar.get(f"/v2/{name}/manifests/{digest_of(amd[0])}").body == amd[0]
        assert lar.get(f"/v2/{name}/blobs/{digest_of(amd[2][1])}").body == amd[2][1]
        assert lar.get(f"/v2/{name}/manifests/{digest_of(arm[0])}").status == 404
        amd, arm = image(3), image(4)
        index = index_of((amd[0], "amd64"), (arm[0], "arm64"))


def test_place_what_cannot_be(registry, larder):
    manifest, config, layers = image(1)
    lar = larder(upstreams={"docker.io": registry.url})
    absent = digest_of(b"absent")
    status, said = place(lar, "docker.io/library/x", absent, "1")
    assert (status, said["errors"][0]["code"], missing(said)) == (404, "MANIFEST_UNKNOWN", [absent])
    store(lar, manifest, config, *layers, b"no manifest")
    digest = digest_of(manifest)
    for name, want, text in (
            ("reg.example.com/x", "NAME_UNKNOWN", '"upstreams": { "reg.example.com": {} }'),
            ("tools/x", "NAME_UNKNOWN", '"hosted": { "tools/x": {} }'),
            ("Docker.io/Upper", "NAME_INVALID", ""), (7, "NAME_INVALID", "")):
        status, said = place(lar, name, digest, "1")
        error = said["errors"][0]
        assert status in (400, 404) and error["code"] == want and text in error["message"], said
    assert place(lar, "stage/x", digest, "not a tag")[1]["errors"][0]["code"] == "TAG_INVALID"
    assert place(lar, "stage/x", "sha256:1", "1")[1]["errors"][0]["code"] == "DIGEST_INVALID"
    status, said = place(lar, "stage/x", digest_of(b"no manifest"), "1")
    assert (status, said["errors"][0]["code"]) == (400, "MANIFEST_INVALID")
    for body in (b"", b"{", b"[]", b"1"):
        assert ask(lar, "POST", "/-/place", body)[0].status == 400, body
    assert ask(lar, "POST", "/-/place", b" " * 70000)[0].status == 413
    assert json.loads(ask(lar, "GET", "/-/ls?all=1")[1]) == {"repositories": []}


def test_a_client_that_leaves_in_the_middle_of_a_body(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url})
    for _ in range(8):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(os.path.join(lar.data, "control.sock"))
            sock.sendall(b"POST /-/have HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nsha2")
    lar.wait(lambda: ask(lar, "POST", "/-/have", b"")[0].status == 200, "room for commands")


def test_pin(registry, larder):
    manifest, config, layers = image(1)
    lar = larder(upstreams={"docker.io": registry.url})
    store(lar, manifest, config, *layers)
    assert place(lar, "docker.io/library/tool", digest_of(manifest), "1")[0] == 200
    for what, changed in (("pin", 4), ("pin", 0), ("unpin", 4), ("unpin", 0)):
        response, said = ask(lar, "POST", f"/-/{what}?repository=tool:1", b"")
        assert (response.status, json.loads(said)["changed"]) == (200, changed)
    assert ask(lar, "POST", "/-/pin?repository=tool:2", b"")[0].status == 404
    assert ask(lar, "POST", "/-/pin?repository=other:2", b"")[0].status == 404
