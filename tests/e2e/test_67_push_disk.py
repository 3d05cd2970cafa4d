"""A disk that fills up under a push: a clear answer, nothing half, and on it goes when there is
room again."""
import os

import pytest
from larder import fill
from push import (REPO, begin, blob_path, check_blob, check_put, check_session, image_body,
                  is_there, manifest_path, offset, push, put_blob, put_image, send_manifest,
                  uploads, with_query)
from recount import Index
from registry import digest_of, noise

MIB = 1024 * 1024
DATA = noise(12 * MIB, seed=12)
DIGEST = digest_of(DATA)


@pytest.fixture
def cramped(small_disk, larder):
    lar = larder(data=small_disk / "data", config={"cache": {"max_size": "100%", "min_free": 0}})
    lar.disk = small_disk
    return lar


def full(reply):
    """507, whether before the body or after; or the connection went while the client still sent."""
    assert reply.status == 507 and reply.code(), reply


@pytest.mark.parametrize("how", ["post_only", "post_put", "post_put_chunked"])
def test_whole_blob(cramped, how):
    fill(cramped.disk, 4 * MIB)
    full(push(cramped, how, DATA))
    assert not is_there(cramped, blob_path(DIGEST)) and cramped.kept() == set()
    os.unlink(cramped.disk / "filler")
    check_put(push(cramped, how, DATA), DIGEST)
    check_blob(cramped, DATA)


@pytest.mark.parametrize("chunk", [0, 65536])
def test_session_goes_on_when_there_is_room(cramped, chunk):
    location = check_session(cramped.send("PATCH", begin(cramped), DATA[:MIB]), 202, MIB)
    fill(cramped.disk, 2 * MIB)
    full(cramped.send("PATCH", location, DATA[MIB:], chunk=chunk))
    at = offset(cramped, location)
    assert MIB <= at < len(DATA)
    os.unlink(cramped.disk / "filler")
    reply = cramped.send("PATCH", location, DATA[at:],
                         {"Content-Range": f"{at}-{len(DATA) - 1}"})
    check_session(reply, 202, len(DATA))
    check_put(cramped.send("PUT", with_query(location, digest=DIGEST)), DIGEST)
    check_blob(cramped, DATA)


@pytest.mark.parametrize("how", ["post_only", "post_put_chunked", "stream", "chunked_three"])
def test_small_store(larder, how):
    """A store of a few MB takes what fits, and says why it does not take the rest."""
    lar = larder(config={"cache": {"max_size": "4MB", "min_free": 0}})
    one, two = noise(2_000_000, seed=1), noise(1_900_000, seed=2)
    for data in (one, two):
        check_put(push(lar, how, data), digest_of(data))
    reply = lar.send("POST", with_query(uploads(), digest=digest_of(one)), noise(200_000, seed=3))
    full(reply)
    assert "no room for 200000 bytes: 3900000 are held, and 4000000 may be" in reply.message()
    assert "cache.max_size" in reply.message()
    small = noise(90_000, seed=4)
    check_put(push(lar, how, small), digest_of(small))


def test_fills_up_in_the_middle(cramped):
    location = begin(cramped)
    p = cramped.begin(location, {"Transfer-Encoding": "chunked"}, "PATCH")
    for at in range(0, 4 * MIB, 65536):
        p.chunk(DATA[at:at + 65536])
    cramped.wait(lambda: cramped.counter("upload_bytes") == 4 * MIB, "what was sent lands")
    fill(cramped.disk, MIB)
    for at in range(4 * MIB, len(DATA), 65536):
        if not p.chunk(DATA[at:at + 65536]):
            break
    p.chunk(b"")
    full(p.done())
    os.unlink(cramped.disk / "filler")
    at = offset(cramped, location)
    check_session(cramped.send("PATCH", location, DATA[at:]), 202, len(DATA))
    check_put(cramped.send("PUT", with_query(location, digest=DIGEST)), DIGEST)


def test_no_room_for_the_index(cramped):
    """Neither blob nor manifest nor tag is said to be there unless it is, for good."""
    img = put_image(cramped, "1", [DATA[:1000]])
    fill(cramped.disk, 0)
    body = image_body([DATA[:1000]], annotations={"x": "y" * 50_000})
    taken = []
    for n in range(40):
        reply = send_manifest(cramped, f"t{n}", body[:-1] + b" " * n + b"}")
        assert reply.status in (201, 507), reply
        if reply.status == 201:
            taken.append(f"t{n}")
    small = noise(3000, seed=13)
    reply = push(cramped, "post_only", small)
    assert reply.status in (201, 507), reply
    os.unlink(cramped.disk / "filler")
    cramped.kill()
    cramped.start()
    for tag in ("1", *taken):
        assert is_there(cramped, manifest_path(tag))
    assert is_there(cramped, blob_path(digest_of(small))) or reply.status == 507
    assert set(cramped.get(f"/v2/{REPO}/tags/list").json()["tags"]) >= {"1", *taken}
    assert cramped.get(manifest_path("1")).body == img.body
    put_blob(cramped, DATA)


FAULTS = ["ingest.open", "ingest.allocate", "ingest.write", "ingest.full", "ingest.fsync",
          "ingest.cut", "ingest.rename", "ingest.folder", "dir.make", "dir.fsync", "index.begin",
          "index.put", "index.commit", "index.full", "index.get", "index.read", "file.short"]


@pytest.mark.faults
@pytest.mark.parametrize("crash", [False, True], ids=["on", "crash"])
@pytest.mark.parametrize("first", [1, 3])
@pytest.mark.parametrize("point", FAULTS)
def test_a_disk_that_fails(larder, tmp_path, point, first, crash):
    """What is refused is refused clearly, what was answered 201 stays, and once the disk works,
    the same pushes are taken."""
    fails = tmp_path / "fails"
    lar = larder(config={"cache": {"min_free": 0}},
                 env={"FAULT": f"{point}:{first}-1000000", "FAULT_WHEN": str(fails)})
    before = put_image(lar, "before", [DATA[:1000]])
    fails.touch()
    body = image_body([DATA[:MIB]], config=b"[]", annotations={"x": "y" * 50_000})
    replies = {data: push(lar, "post_only", data) for data in (b"[]", DATA[:MIB])}
    tagged = send_manifest(lar, "after", body)
    for reply in (*replies.values(), tagged):
        assert reply.status == 201 or (reply.status >= 400 and reply.code() and reply.message())
    fails.unlink()
    if crash:
        lar.kill()
        lar.start()
    assert lar.get(manifest_path("before")).body == before.body
    for data, reply in replies.items():
        assert is_there(lar, blob_path(digest_of(data))) or reply.status != 201
    assert is_there(lar, manifest_path("after")) or tagged.status != 201
    for data in (b"[]", DATA[:MIB]):
        put_blob(lar, data)
        check_blob(lar, data)
    assert send_manifest(lar, "after", body).status == 201
    lar.stop()
    Index(lar.data).check()
