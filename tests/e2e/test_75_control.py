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
