"""A file that went bad under a running server: noticed when it is served, and fetched again."""
import os

import pytest

from push import image_body, put_blob
from registry import digest_of, noise

REPO = "library/x"
LARGE = noise(1_500_000, seed=27)
SMALL = noise(90_000, seed=28)


def path_of(digest, repo=REPO):
    return f"/v2/{repo}/blobs/{digest}"


def file_of(lar, digest):
    algorithm, _, text = digest.partition(":")
    return os.path.join(lar.data, "blobs", algorithm, text[:2], text[2:])


def damage(lar, digest, how):
    name = file_of(lar, digest)
    if how == "missing":
        os.unlink(name)
        return
    os.chmod(name, 0o600)
    with open(name, "r+b") as file:
        file.truncate(os.fstat(file.fileno()).st_size + (1 if how == "longer" else -100))


@pytest.fixture
def lar(registry, larder):
    return larder(upstreams={"docker.io": registry.url}, config={"cache": {"prefetch": False}})


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("how", ["missing", "shorter", "longer"])
def test_a_blob(registry, lar, how, data):
    digest = registry.add_blob(REPO, data)
    assert lar.get(path_of(digest)).body == data
    lar.wait_counter("flights_landed", 1)
    damage(lar, digest, how)
    reply = lar.get(path_of(digest))
    assert reply.status == 200 and reply.body == data and reply.source() in ("miss", "joined")
    lar.wait_counter("flights_landed", 2)
    assert registry.hits("GET", digest) == 2
    assert lar.get(path_of(digest), {"Range": "bytes=5-9"}).body == data[5:10]


@pytest.mark.parametrize("by", ["tag", "digest"])
@pytest.mark.parametrize("how", ["missing", "shorter", "longer"])
def test_a_manifest(registry, lar, how, by):
    """One that is too large for the index."""
    body = image_body([SMALL], annotations={"x": "y" * 50_000})
    digest = registry.add_manifest(REPO, "1", body)
    path = f"/v2/{REPO}/manifests/{'1' if by == 'tag' else digest}"
    assert lar.get(path).body == body
    damage(lar, digest, how)
    reply = lar.get(path)
    assert reply.status == 200 and reply.body == body, reply
    assert registry.hits("GET", "/manifests/") == 2
    assert lar.get(path).source() == "hit"


@pytest.mark.faults
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("fault", ["blob.open:1-2", "blob.read:1"])
def test_a_blob_that_cannot_be_read(registry, lar, fault, data):
    digest = registry.add_blob(REPO, data)
    assert lar.get(path_of(digest)).body == data
    lar.wait_counter("flights_landed", 1)
    lar.stop()
    lar.env = {"FAULT": fault}
    lar.start()
    reply = lar.get(path_of(digest))
    assert reply.status == 200 and reply.body == data
    lar.wait_counter("flights_landed", 1)
    assert registry.hits("GET", digest) == 2
    assert len(os.listdir(os.path.join(lar.data, "quarantine"))) == 1


@pytest.mark.faults
def test_what_breaks_off_is_fetched_the_next_time(registry, lar):
    """The head is out, so this one is cut; nobody meets the file again."""
    digest = registry.add_blob(REPO, LARGE)
    assert lar.get(path_of(digest)).body == LARGE
    lar.wait_counter("flights_landed", 1)
    lar.stop()
    lar.env = {"FAULT": "blob.read:2"}
    lar.start()
    reply = lar.get(path_of(digest))
    assert not reply.complete
    reply = lar.get(path_of(digest))
    assert reply.status == 200 and reply.body == LARGE and registry.hits("GET", digest) == 2


def test_what_was_pushed(lar):
    """There is nobody to ask; what is served is an error, and after a push the blob."""
    put_blob(lar, LARGE)
    digest = digest_of(LARGE)
    damage(lar, digest, "shorter")
    reply = lar.get(path_of(digest, "stage/app"))
    assert reply.status == 503 and "damaged" in reply.message()
    assert lar.get(path_of(digest, "stage/app")).status == 404
    put_blob(lar, LARGE)
    assert lar.get(path_of(digest, "stage/app")).body == LARGE
