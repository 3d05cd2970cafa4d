"""What outlives the process: blobs, tags, and the part of a download that had come."""
import pytest

from registry import noise

REPO = "library/x"
MIB = 1024 * 1024
BLOB = noise(1_500_000, seed=50)
SMALL = noise(90_000, seed=51)
LARGE = noise(37 * MIB + 3, seed=52)


def path_of(digest, repo=REPO):
    return f"/v2/{repo}/blobs/{digest}"


@pytest.fixture
def lar(registry, larder):
    return larder(upstreams={"docker.io": registry.url}, limits={"drain": "200ms"})


def stop(lar):
    lar.stop()


def kill(lar):
    lar.kill()


def test_the_cache_stays(registry, lar):
    img = registry.add_image(REPO, "1", [SMALL, BLOB])
    paths = [f"/v2/{REPO}/manifests/1"] + [path_of(d) for d in [img.config, *img.layers]]
    before = [lar.get(path).body for path in paths]
    assert before[0] == img.body and before[2:] == [SMALL, BLOB]
    lar.wait_counter("flights_landed", 3)
    asked = len(registry.requests)
    for _ in range(2):
        lar.stop()
        lar.start()
        for path, body in zip(paths, before):
            reply = lar.get(path)
            assert (reply.status, reply.source()) == (200, "hit") and reply.body == body
            assert lar.head(path).headers["content-length"] == str(len(body))
    assert len(registry.requests) == asked


@pytest.mark.parametrize("end", [stop, kill])
def test_a_download_goes_on_where_it_was(registry, lar, end):
    """What was synced and noted of it, that is: the first 32 MiB."""
    digest = registry.add_blob(REPO, LARGE)
    gate = registry.on("GET", digest).hold_after(34 * MIB)
    commits = lar.counter("index_commits")
    pending = lar.begin(path_of(digest))
    assert gate.reached()
    lar.wait_counter("index_commits", commits + 1)
    end(lar)
    reply = pending.done()
    assert not reply.complete and reply.body == LARGE[:len(reply.body)]
    lar.start()
    assert len(lar.ingests()) == 1
    reply = lar.get(path_of(digest))
    assert reply.complete and reply.body == LARGE
    asked = registry.seen("GET", digest)[1].headers["range"]
    start = int(asked.removeprefix("bytes=").removesuffix("-"))
    assert 32 * MIB <= start <= 34 * MIB, asked
    lar.wait_counter("flights_landed", 1)
    assert lar.ingests() == []


def test_a_download_that_had_just_begun(registry, lar):
    """Nothing was noted of it yet: it starts over, and its file does not stay behind."""
    digest = registry.add_blob(REPO, BLOB)
    gate = registry.on("GET", digest).hold_after(300_000)
    pending = lar.begin(path_of(digest))
    assert gate.reached() and pending.read(300_000)
    lar.kill()
    pending.done()
    lar.start()
    reply = lar.get(path_of(digest))
    assert reply.complete and reply.body == BLOB
    lar.wait_counter("flights_landed", 1)
    assert lar.ingests() == []
