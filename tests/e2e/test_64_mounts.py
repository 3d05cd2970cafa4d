"""What is here already is not uploaded again: mounts, and base layers that a mirror brought. And
nobody gets by them what he may not read."""
import pytest
from push import (OTHER, REPO, WAYS, begin, blob_path, check_blob, check_manifest, check_put,
                  check_session, image_body, index_body, is_there, manifest_path, put_blob,
                  put_image, put_manifest, uploads, with_query)
from registry import INDEX, MANIFEST, Basic, Registry, digest_of, noise

DATA = noise(400_000, seed=8)
MINE = noise(5000, seed=9)
HUB = "docker.io/library/x"
OPEN = {"address": "0.0.0.0:0", "push": True}


@pytest.fixture
def lar(larder):
    return larder()


@pytest.fixture
def mirror(registry, larder):
    """A server that has mirrored library/x: its layer, configuration and manifest."""
    registry.img = registry.add_image("library/x", "1", [DATA])
    lar = larder(upstreams={"docker.io": registry.url}, config={"cache": {"prefetch": False}})
    pull(lar, registry.img)
    lar.registry = registry
    return lar


def pull(lar, img, name="library/x"):
    assert lar.get(f"/v2/{name}/manifests/1").body == img.body
    landed = lar.counter("flights_landed")
    for digest in (img.config, *img.layers):
        assert lar.get(f"/v2/{name}/blobs/{digest}").status == 200
        landed += 1
    lar.wait_counter("flights_landed", landed)


def mount(lar, digest, source=None, repo=REPO, **more):
    query = {"mount": digest, **({"from": source} if source else {}), **more}
    return lar.send("POST", with_query(uploads(repo), **query))


def refuse(lar, reply, data, repo=REPO):
    """Not mounted: an ordinary session, which works; the blob is not there before."""
    location = check_session(reply, 202, 0, repo)
    assert not is_there(lar, blob_path(digest_of(data), repo))
    reply = lar.send("PUT", with_query(location, digest=digest_of(data)), data)
    check_put(reply, digest_of(data), repo)


@pytest.mark.parametrize("source", [REPO, None])
def test_mount(lar, source):
    put_blob(lar, DATA)
    reply = mount(lar, digest_of(DATA), source, OTHER)
    check_put(reply, digest_of(DATA), OTHER)
    check_blob(lar, DATA, OTHER)
    assert lar.delete(blob_path(digest_of(DATA))).status == 202
    check_blob(lar, DATA, OTHER)
    assert not is_there(lar, blob_path(digest_of(DATA)))


@pytest.mark.parametrize("query", [{"origin": "docker.io"}, {"_state": "x"}])
def test_mount_with_more_in_its_query(lar, query):
    put_blob(lar, DATA)
    check_put(mount(lar, digest_of(DATA), REPO, OTHER, **query), digest_of(DATA), OTHER)


def test_mount_into_the_same_repository(lar):
    put_blob(lar, DATA)
    check_put(mount(lar, digest_of(DATA), REPO), digest_of(DATA))


@pytest.mark.parametrize("source", [REPO, None, "stage/never/seen", "library/x", "Not A Name",
                                    "127.0.0.1:5000/stage/app", "", "../../x"])
def test_mount_of_what_is_nowhere(lar, source):
    refuse(lar, mount(lar, digest_of(DATA), source, OTHER), DATA, OTHER)


def test_mount_of_what_another_repository_has(lar):
    """`from` is what counts, where it is said."""
    put_blob(lar, DATA)
    refuse(lar, mount(lar, digest_of(DATA), "stage/third", OTHER), DATA, OTHER)


def test_mount_of_no_digest(lar):
    for digest in ("sha256:junk", "latest", "sha256:" + "A" * 64):
        reply = mount(lar, digest, REPO, OTHER)
        if reply.status == 202:
            check_session(reply, 202, 0, OTHER)
        else:
            assert (reply.status, reply.code()) == (400, "DIGEST_INVALID")


def test_mount_goes_before_digest(lar):
    put_blob(lar, DATA)
    both = with_query(uploads(OTHER), digest=digest_of(DATA), mount=digest_of(DATA))
    reply = lar.send("POST", with_query(both, **{"from": REPO}))
    check_put(reply, digest_of(DATA), OTHER)


def test_mounted_survives_a_kill(lar):
    put_blob(lar, DATA)
    check_put(mount(lar, digest_of(DATA), REPO, OTHER), digest_of(DATA), OTHER)
    lar.kill()
    lar.start()
    check_blob(lar, DATA, OTHER)


@pytest.mark.parametrize("source", ["library/x", "docker.io/library/x", "x", None])
def test_mount_from_a_mirrored_repository(mirror, source):
    digest = mirror.registry.img.layers[0]
    asked = len(mirror.registry.requests)
    check_put(mount(mirror, digest, source), digest)
    check_blob(mirror, DATA)
    assert len(mirror.registry.requests) == asked
    mirror.kill()
    mirror.start()
    check_blob(mirror, DATA)


def test_mount_of_what_the_mirror_has_not_fetched(registry, larder):
    """That the manifest names it is not enough: the bytes are not here."""
    img = registry.add_image("library/x", "1", [DATA])
    lar = larder(upstreams={"docker.io": registry.url}, config={"cache": {"prefetch": False}})
    lar.get("/v2/library/x/manifests/1")
    for source in ("library/x", None):
        check_session(mount(lar, img.layers[0], source), 202, 0)
    assert registry.hits("GET", "blobs") == 0


def test_base_layer_is_there_before_it_is_pushed(mirror):
    """HEAD says so to whoever pushes; GET says it once a manifest has named it."""
    layer, path = mirror.registry.img.layers[0], blob_path(mirror.registry.img.layers[0])
    reply = mirror.head(path)
    assert reply.status == 200 and reply.headers["content-length"] == str(len(DATA))
    assert reply.headers["docker-content-digest"] == layer
    assert mirror.get(path).status == 404
    put_blob(mirror, b"{}")
    put_blob(mirror, MINE)
    reply = put_manifest(mirror, "1", image_body([DATA, MINE]))
    assert "warning" not in reply.headers
    asked = len(mirror.registry.requests)
    check_blob(mirror, DATA)
    assert mirror.get(blob_path(layer, OTHER)).status == 404
    mirror.kill()
    mirror.start()
    check_blob(mirror, DATA)
    assert len(mirror.registry.requests) == asked


def test_base_layer_stays_when_the_mirror_forgets(mirror):
    """It is the repository's own from then on, whatever upstream says."""
    put_blob(mirror, b"{}")
    put_manifest(mirror, "1", image_body([DATA]))
    mirror.registry.forget("library/x", mirror.registry.img.layers[0])
    mirror.registry.stop()
    mirror.stop()
    mirror.start()
    check_blob(mirror, DATA)
    mirror.registry.start_again()


def test_mirrored_child_keeps_its_type(registry, larder):
    """Whatever an index calls it: what it is served as is what the upstream served it as."""
    img = registry.add_image("library/x", "1", [b"x"])
    lar = larder(upstreams={"docker.io": registry.url})
    lar.get("/v2/library/x/manifests/1")
    body = index_body([(img.body, INDEX)])
    put_manifest(lar, "all", body, INDEX)
    check_manifest(lar.get(manifest_path(img.digest)), img.body, MANIFEST)


def test_head_of_what_the_mirror_does_not_hold(mirror):
    digest = mirror.registry.add_blob("library/x", MINE)
    asked = len(mirror.registry.requests)
    assert mirror.head(blob_path(digest)).status == 404
    assert len(mirror.registry.requests) == asked


def test_head_of_a_layer_that_was_not_fetched(registry, larder):
    """What HEAD promises, the manifest keeps: the layer is not said to be here while it is not."""
    img = registry.add_image("library/x", "1", [DATA])
    lar = larder(upstreams={"docker.io": registry.url}, config={"cache": {"prefetch": False}})
    lar.get("/v2/library/x/manifests/1")
    assert lar.head(blob_path(img.layers[0])).status == 404
    put_blob(lar, b"{}")
    reply = put_manifest(lar, "1", image_body([DATA]))
    assert "1 of the 2 " in reply.headers["warning"]
    assert lar.get(blob_path(img.layers[0])).status == 404
    assert registry.hits(None, "blobs") == 0


def test_what_is_only_hosted_elsewhere_is_not_offered(lar):
    """HEAD looks into mirrors only; hosted repositories keep to themselves."""
    put_blob(lar, DATA)
    assert lar.head(blob_path(digest_of(DATA), OTHER)).status == 404


@pytest.mark.parametrize("how", WAYS)
def test_pushing_it_all_the_same(mirror, how):
    """A client that does not ask first; the mirror's own copy stays as it was."""
    reply = WAYS[how](mirror, DATA, digest_of(DATA), REPO)
    check_put(reply, digest_of(DATA))
    check_blob(mirror, DATA)
    assert mirror.get(f"/v2/library/x/blobs/{digest_of(DATA)}").source() == "hit"
    assert mirror.delete(blob_path(digest_of(DATA))).status == 202
    assert mirror.get(f"/v2/library/x/blobs/{digest_of(DATA)}").body == DATA


@pytest.fixture
def private(registry, larder):
    """Reads docker.io with a credential of its own; a second listener is not loopback's. What is
    private has been read by the first."""
    registry.auth = Basic("ann", "secret")
    registry.img = registry.add_image("team/private", "1", [DATA])
    lar = larder(config={
        "listen": ["127.0.0.1:0", OPEN], "cache": {"prefetch": False},
        "upstreams": {"docker.io": {"endpoints": [registry.url],
                                    "credentials": {"user": "ann", "password": "secret"}}}})
    lar = lar.door(0)
    pull(lar, registry.img, "team/private")
    lar.registry = registry
    return lar


def test_private_layer_is_not_had_by_naming_it(private):
    """Whoever may push, and may not read the mirror: neither HEAD nor mount nor a manifest that
    lists the digest gives him the layer."""
    there, layer = private.door(1), private.registry.img.layers[0]
    assert there.get(f"/v2/team/private/blobs/{layer}").status == 403
    assert there.head(blob_path(layer)).status == 404
    for source in ("team/private", "docker.io/team/private", None):
        check_session(mount(there, layer, source), 202, 0)
    put_blob(there, b"{}")
    reply = put_manifest(there, "1", image_body([DATA]))
    assert "1 of the 2 " in reply.headers["warning"]
    for door in (there, private):
        assert door.get(blob_path(layer)).status == 404
        assert door.get(manifest_path("1")).status == 200
    assert there.head(blob_path(layer)).status == 404


def test_private_layer_for_whoever_may_read_it(private):
    """The same by the loopback listener."""
    layer = private.registry.img.layers[0]
    assert private.head(blob_path(layer)).status == 200
    check_put(mount(private, layer, "team/private"), layer)
    check_blob(private, DATA)
    put_blob(private, b"{}", OTHER)
    put_manifest(private, "1", image_body([DATA]), repo=OTHER)
    check_blob(private, DATA, OTHER)


def test_layer_of_a_public_mirror_by_the_other_listener(registry, larder):
    img = registry.add_image("library/x", "1", [DATA])
    lar = larder(upstreams={"docker.io": registry.url},
                 config={"listen": ["127.0.0.1:0", OPEN], "cache": {"prefetch": False}})
    here, there = lar.door(0), lar.door(1)
    pull(here, img)
    assert there.head(blob_path(img.layers[0])).status == 200
    put_blob(there, b"{}")
    put_manifest(there, "1", image_body([DATA]))
    check_blob(there, DATA)


def test_layer_of_a_stranger_that_listed_it(registry, larder):
    """A public mirror whose manifest lists a private digest has not got it either."""
    registry.auth = Basic("ann", "secret")
    secret = registry.add_image("team/private", "1", [DATA])
    stranger = Registry()
    body = image_body([DATA], config=b"{}")
    stranger.add_blob("a/b", b"{}")
    stranger.add_manifest("a/b", "1", body, MANIFEST)
    lar = larder(config={
        "listen": ["127.0.0.1:0", OPEN], "cache": {"prefetch": False}, "upstreams": {
            "docker.io": {"endpoints": [registry.url],
                          "credentials": {"user": "ann", "password": "secret"}},
            "ghcr.io": {"endpoints": [stranger.url]}}})
    here, there = lar.door(0), lar.door(1)
    pull(here, secret, "team/private")
    assert there.get("/v2/ghcr.io/a/b/manifests/1").body == body
    assert there.head(blob_path(secret.layers[0])).status == 404
    put_manifest(there, "1", body)
    assert there.get(blob_path(secret.layers[0])).status == 404
    stranger.stop()


def test_build_that_pushes_to_many_names_uploads_once(mirror):
    """A base layer and one of its own, to three repositories: only the own one is ever sent."""
    put_image(mirror, "1", [MINE])
    for repo in (REPO, OTHER, "cache/app"):
        assert mirror.head(blob_path(mirror.registry.img.layers[0], repo)).status == 200
        for data in (b"{}", MINE):
            assert mount(mirror, digest_of(data), REPO, repo).status == 201
        reply = put_manifest(mirror, "all", image_body([DATA, MINE]), repo=repo)
        assert "warning" not in reply.headers
        for data in (DATA, MINE):
            check_blob(mirror, data, repo)


def test_session_of_a_refused_mount_is_like_any_other(lar):
    location = check_session(mount(lar, digest_of(DATA), OTHER), 202, 0)
    assert location != begin(lar)
    check_session(lar.send("PATCH", location, DATA, chunk=1000), 202, len(DATA))
    check_put(lar.send("PUT", with_query(location, digest=digest_of(DATA))), digest_of(DATA))
