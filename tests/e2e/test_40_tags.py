"""Tags: when upstream is asked, what is served when it fails, and manifests as such."""
import hashlib
import json
import threading

import pytest
from registry import INDEX, MANIFEST, digest_of, noise

TAG = "/v2/library/x/manifests/latest"


def image(registry, seed=1):
    return registry.add_image("library/x", "latest", [noise(3000, seed)])


def test_miss_then_hit_without_asking(registry, larder):
    img = image(registry)
    lar = larder(upstreams={"docker.io": registry.url})
    first = lar.get(TAG)
    assert (first.status, first.body, first.source()) == (200, img.body, "miss")
    assert first.headers["docker-content-digest"] == img.digest
    assert first.headers["content-type"] == MANIFEST
    asked = len(registry.requests)
    second = lar.get(TAG)
    assert (second.body, second.source()) == (img.body, "hit")
    by_digest = lar.get("/v2/library/x/manifests/" + img.digest)
    assert (by_digest.body, by_digest.source()) == (img.body, "hit")
    head = lar.head(TAG)
    assert head.headers["content-length"] == str(len(img.body)) and head.body == b""
    assert len(registry.requests) == asked


def test_old_tag_is_confirmed_by_one_head(registry, larder):
    img = image(registry)
    lar = larder(upstreams={"docker.io": registry.url}, args=["--tag-ttl", "0s"])
    lar.get(TAG)
    heads, gets = registry.hits("HEAD", "manifests"), registry.hits("GET", "manifests")
    again = lar.get(TAG)
    assert (again.body, again.source()) == (img.body, "revalidated")
    assert registry.hits("HEAD", "manifests") == heads + 1
    assert registry.hits("GET", "manifests") == gets


def test_moved_tag(registry, larder):
    image(registry)
    lar = larder(upstreams={"docker.io": registry.url}, args=["--tag-ttl", "0s"])
    lar.get(TAG)
    new = image(registry, seed=2)
    head = lar.head(TAG)
    assert head.headers["docker-content-digest"] == new.digest
    assert lar.get(TAG).body == new.body
    assert registry.hits("GET", new.digest) == 1


def test_tag_that_moves_between_head_and_get(registry, larder):
    old = image(registry)
    gate = registry.on("GET", old.digest).hold_headers()
    lar = larder(upstreams={"docker.io": registry.url})
    pending = lar.begin(TAG)
    assert gate.reached()
    registry.forget("library/x", old.digest)
    new = image(registry, seed=2)
    registry.on("GET", old.digest).status(404)
    gate.open()
    reply = pending.done()
    assert reply.status == 200
    # Either is what the tag was at some moment; what counts is that bytes and digest agree.
    assert digest_of(reply.body) == reply.headers["docker-content-digest"]
    assert reply.body in (old.body, new.body)
    assert lar.head(TAG).headers["docker-content-digest"] == digest_of(reply.body)


def test_digest_told_by_head_is_gone(registry, larder):
    old = image(registry)
    registry.on("GET", old.digest).status(404)
    lar = larder(upstreams={"docker.io": registry.url})
    reply = lar.get(TAG)
    assert (reply.status, reply.body) == (200, old.body)
    assert registry.hits("GET", "manifests/latest") == 1


@pytest.mark.parametrize("status", [405, 401, 403])
def test_head_refused(registry, larder, status):
    img = image(registry)
    registry.on("HEAD", "manifests").always().status(status)
    lar = larder(upstreams={"docker.io": registry.url})
    assert lar.get(TAG).body == img.body


def test_no_docker_content_digest(registry, larder):
    img = image(registry)
    registry.on(None, "manifests").always().without("Docker-Content-Digest")
    lar = larder(upstreams={"docker.io": registry.url})
    reply = lar.get(TAG)
    assert (reply.body, reply.headers["docker-content-digest"]) == (img.body, img.digest)


def test_manifest_whose_bytes_are_not_its_digest(registry, larder):
    img = image(registry)
    registry.on("GET", "manifests").always().corrupt(10)
    lar = larder(upstreams={"docker.io": registry.url}, limits={"bad_digest": "10m"})
    reply = lar.get("/v2/library/x/manifests/" + img.digest)
    assert (reply.status, reply.code()) == (502, "UNAVAILABLE")
    gets = registry.hits("GET", "manifests")
    assert lar.get("/v2/library/x/manifests/" + img.digest).status == 502
    assert registry.hits("GET", "manifests") == gets
    assert lar.get(TAG).status == 502
    assert lar.kept() == set()


def test_manifest_that_is_too_large(registry, larder):
    body = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
                       "pad": "x" * (64 << 20)}).encode()
    digest = registry.add_manifest("library/x", "latest", body)
    lar = larder(upstreams={"docker.io": registry.url})
    assert lar.get(TAG).status == 502
    assert lar.get("/v2/library/x/manifests/" + digest).status == 502
    assert lar.kept() == set()


def test_manifest_that_is_none(registry, larder):
    registry.add_manifest("library/x", "latest", b"<html>log in first</html>", "text/html")
    lar = larder(upstreams={"docker.io": registry.url})
    reply = lar.get(TAG)
    assert (reply.status, reply.code()) == (502, "MANIFEST_INVALID")
    assert lar.kept() == set()


def test_gone_tag(registry, larder):
    image(registry)
    lar = larder(upstreams={"docker.io": registry.url}, args=["--tag-ttl", "0s"],
                 limits={"negative": "10m"})
    lar.get(TAG)
    registry.forget("library/x", "latest")
    reply = lar.get(TAG)
    assert (reply.status, reply.code()) == (404, "MANIFEST_UNKNOWN")
    asked = len(registry.requests)
    assert lar.get(TAG).status == 404
    assert len(registry.requests) == asked


def test_unknown_tag_is_remembered_for_a_while(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url}, limits={"negative": "0s"})
    assert lar.get(TAG).status == 404
    img = image(registry)
    assert lar.get(TAG).body == img.body


@pytest.mark.parametrize("trouble", ["refused", "503", "429", "hang"])
def test_old_answer_where_upstream_fails(registry, larder, trouble):
    img = image(registry)
    lar = larder(upstreams={"docker.io": registry.url}, args=["--tag-ttl", "0s"],
                 config={"tags": {"patience": "200ms"}})
    lar.get(TAG)
    if trouble == "refused":
        registry.stop()
    elif trouble == "hang":
        registry.on(None, "").always().hold_headers()
    else:
        registry.on(None, "").always().status(int(trouble))
    reply = lar.get(TAG)
    assert (reply.status, reply.body, reply.source()) == (200, img.body, "stale")


def test_patience_ends_the_wait_and_the_look_goes_on(registry, larder):
    image(registry)
    lar = larder(upstreams={"docker.io": registry.url},
                 config={"tags": {"ttl": "0s", "patience": "100ms"}})
    old = lar.get(TAG)
    new = image(registry, seed=2)
    gate = registry.on("HEAD", "manifests").hold_headers()
    reply = lar.get(TAG)
    assert (reply.body, reply.source()) == (old.body, "stale")
    assert gate.reached()
    gets = registry.hits("GET", "manifests")
    gate.open()
    assert registry.wait_hits("GET", "manifests", gets + 1)  # nobody had to ask again
    lar.wait(lambda: lar.get(TAG).body == new.body, "the new manifest is served")


def test_old_answer_ends_after_stale_if_error(registry, larder):
    image(registry)
    lar = larder(upstreams={"docker.io": registry.url}, limits={"first_byte": "5s"},
                 config={"tags": {"ttl": "0s", "patience": "100ms", "stale_if_error": "0s"}})
    lar.get(TAG)
    registry.stop()
    reply = lar.get(TAG)
    assert (reply.status, reply.code()) == (502, "UNAVAILABLE")


def test_refusal_is_not_hidden_by_the_old_answer(registry, larder):
    image(registry)
    lar = larder(upstreams={"docker.io": registry.url}, args=["--tag-ttl", "0s"])
    lar.get(TAG)
    registry.forbid("library/x")
    assert lar.get(TAG).status == 404


def test_cold_cache_and_upstream_gone(registry, larder):
    image(registry)
    registry.stop()
    lar = larder(upstreams={"docker.io": registry.url}, limits={"first_byte": "5s"})
    reply = lar.get(TAG)
    assert (reply.status, reply.code()) == (502, "UNAVAILABLE")


def test_stale_while_revalidate(registry, larder):
    old = image(registry)
    lar = larder(upstreams={"docker.io": registry.url},
                 config={"tags": {"ttl": "0s", "stale_while_revalidate": "1h"}})
    lar.get(TAG)
    new = image(registry, seed=2)
    reply = lar.get(TAG)
    assert (reply.body, reply.source()) == (old.body, "stale")
    lar.wait(lambda: lar.get(TAG).body == new.body, "the new manifest is served")


def test_fifty_clients_on_a_cold_tag(registry, larder):
    img = image(registry)
    gate = registry.on("HEAD", "manifests").hold_headers()
    lar = larder(upstreams={"docker.io": registry.url})
    pending = [lar.begin(TAG) for _ in range(50)]
    assert gate.reached()
    lar.wait_counter("asks_joined", 49)
    gate.open()
    assert all(p.done().body == img.body for p in pending)
    assert registry.hits("HEAD", "manifests") == 1
    assert registry.hits("GET", "manifests") == 1


def test_index_and_its_children(registry, larder):
    img = image(registry)
    child = {"mediaType": MANIFEST, "digest": img.digest, "size": len(img.body),
             "platform": {"os": "linux", "architecture": "amd64"}}
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}).encode()
    registry.add_manifest("library/x", "all", body, INDEX)
    lar = larder(upstreams={"docker.io": registry.url})
    reply = lar.get("/v2/library/x/manifests/all")
    assert (reply.body, reply.headers["content-type"]) == (body, INDEX)
    assert registry.hits("GET", img.digest) == 0
    assert lar.get("/v2/library/x/manifests/" + img.digest).body == img.body


def test_large_manifest_from_a_file(registry, larder):
    body = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
                       "config": {"mediaType": "x/y", "digest": digest_of(b"c"), "size": 1},
                       "annotations": {str(i): "x" * 1000 for i in range(300)}}).encode()
    digest = registry.add_manifest("library/x", "latest", body)
    lar = larder(upstreams={"docker.io": registry.url})
    for _ in range(2):
        reply = lar.get(TAG)
        assert (reply.body, reply.headers["content-type"]) == (body, MANIFEST)
    head = lar.head("/v2/library/x/manifests/" + digest)
    assert head.headers["content-length"] == str(len(body))


@pytest.mark.parametrize("form", ['"{}"', "{}", 'W/"{}"', '"other", "{}"', "*"])
def test_not_modified(registry, larder, form):
    img = image(registry)
    lar = larder(upstreams={"docker.io": registry.url})
    lar.get(TAG)
    reply = lar.get(TAG, {"If-None-Match": form.format(img.digest)})
    assert (reply.status, reply.body) == (304, b"")
    assert lar.get(TAG, {"If-None-Match": '"other"'}).status == 200


def test_sha512(registry, larder):
    img = image(registry)
    digest = "sha512:" + hashlib.sha512(img.body).hexdigest()
    registry.manifests["library/x", digest] = (img.body, MANIFEST)
    registry.on(None, digest).always().header("Docker-Content-Digest", digest).without(
        "Docker-Content-Digest")
    lar = larder(upstreams={"docker.io": registry.url})
    for _ in range(2):
        reply = lar.get("/v2/library/x/manifests/" + digest)
        assert (reply.body, reply.headers["docker-content-digest"]) == (img.body, digest)


def test_many_at_once_after_the_time_to_live(registry, larder):
    img = image(registry)
    lar = larder(upstreams={"docker.io": registry.url}, args=["--tag-ttl", "0s"])
    lar.get(TAG)
    gate = registry.on("HEAD", "manifests").hold_headers()
    replies = []
    threads = [threading.Thread(target=lambda: replies.append(lar.get(TAG))) for _ in range(20)]
    for thread in threads:
        thread.start()
    assert gate.reached()
    lar.wait_counter("asks_joined", 19)
    gate.open()
    for thread in threads:
        thread.join()
    assert {reply.body for reply in replies} == {img.body}
    assert registry.hits("HEAD", "manifests") == 2
