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
