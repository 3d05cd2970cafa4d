"""Upload sessions: their offset, who may write, and what becomes of them when somebody goes."""
import http.client
import os
import time

import pytest
from larder import VARIANT
from push import (OTHER, REPO, begin, blob_path, check_blob, check_put, check_session, is_there,
                  offset, patch_all, put_blob, sha512_of, uploads, with_query)
from registry import digest_of, noise

MIB = 1024 * 1024
DATA = noise(3 * MIB + 17, seed=6)
DIGEST = digest_of(DATA)
STREAM = {"Transfer-Encoding": "chunked"}


@pytest.fixture
def lar(larder):
    return larder()


def patch(lar, location, first, last, body=None):
    """A chunk that says that it is the bytes from first to last, both included."""
    return lar.send("PATCH", location, DATA[first:last + 1] if body is None else body,
                    {"Content-Range": f"{first}-{last}"})


def refuse(reply, n, code="BLOB_UPLOAD_INVALID"):
    """416 says where the session stands."""
    assert (reply.status, reply.code()) == (416, code), reply
    assert reply.headers["range"] == f"0-{max(n - 1, 0)}"
    assert reply.headers["location"].startswith(uploads())


def finish(lar, location, at, digest=DIGEST):
    """The rest, in a chunk and a PUT."""
    if at < len(DATA):
        location = check_session(patch(lar, location, at, len(DATA) - 1), 202, len(DATA))
    check_put(lar.send("PUT", with_query(location, digest=digest)), digest)
    check_blob(lar, DATA, digest=digest)


def on_disk(lar):
    """Bytes of uploads that are in files."""
    folder = os.path.join(lar.data, "ingest")
    return sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))


def start_patch(lar, location, n, said=None):
    """A PATCH that has sent n bytes, which are on disk, and has not ended."""
    p = lar.begin(location, said or STREAM, "PATCH")
    for at in range(0, n, 65536):
        piece = DATA[at:min(at + 65536, n)]
        assert p.chunk(piece) if said is None else p.push(piece)
    lar.wait(lambda: on_disk(lar) >= n - 256 * 1024, "what was sent lands")
    return p


def test_status(lar):
    location = begin(lar)
    check_session(lar.get(location), 204, 0)
    for n in (1, 2, 1000, MIB, len(DATA)):
        at = offset(lar, location) if n > 2 else n - 1
        location = check_session(patch(lar, location, at, n - 1), 202, n)
        check_session(lar.get(location), 204, n)
        assert offset(lar, with_query(location, digest=DIGEST)) in (n, 0)
    finish(lar, location, len(DATA))
    reply = lar.get(location)
    assert (reply.status, reply.code()) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_old_locations_still_work(lar):
    """A client may ask by any location that it was given."""
    first = begin(lar)
    patch_all(lar, first, DATA[:MIB], 300_000)
    assert offset(lar, first) == MIB
    finish(lar, first, MIB)


BAD_CHUNKS = [(500_000, 600_000), (0, 99_999), (1, 100_000), (99_999, 200_000), (100_001, 200_000),
              (len(DATA), len(DATA) + 10)]


@pytest.mark.parametrize("first, last", BAD_CHUNKS)
def test_chunk_out_of_order(lar, first, last):
    location = check_session(patch(lar, begin(lar), 0, 99_999), 202, 100_000)
    body = noise(last - first + 1)
    for _ in range(2):
        refuse(patch(lar, location, first, last, body), 100_000)
        assert offset(lar, location) == 100_000
    finish(lar, location, 100_000)


@pytest.mark.parametrize("first, last", BAD_CHUNKS)
def test_last_chunk_out_of_order(lar, first, last):
    """By PUT the range counts too, before anything else, and the session lives on."""
    location = check_session(patch(lar, begin(lar), 0, 99_999), 202, 100_000)
    path = with_query(location, digest=DIGEST)
    reply = lar.send("PUT", path, noise(last - first + 1), {"Content-Range": f"{first}-{last}"})
    refuse(reply, 100_000)
    assert offset(lar, path) == 100_000
    reply = lar.send("PUT", path, DATA[100_000:],
                     {"Content-Range": f"100000-{len(DATA) - 1}"})
    check_put(reply, DIGEST)
    check_blob(lar, DATA)


def test_first_chunk_out_of_order(lar):
    location = begin(lar)
    refuse(patch(lar, location, 1000, 1999), 0)
    reply = lar.send("PUT", with_query(location, digest=DIGEST), DATA[1000:2000],
                     {"Content-Range": "1000-1999"})
    refuse(reply, 0)
    check_session(lar.get(location), 204, 0)
    finish(lar, location, 0)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("said, sent", [((1000, 1999), 999), ((1000, 1999), 1001),
                                        ((1000, 1999), 0), ((1000, 1000), 2)])
def test_length_that_does_not_fit_the_range(lar, method, said, sent):
    location = check_session(patch(lar, begin(lar), 0, 999), 202, 1000)
    path = with_query(location, digest=DIGEST) if method == "PUT" else location
    reply = lar.send(method, path, DATA[1000:1000 + sent],
                     {"Content-Range": f"{said[0]}-{said[1]}"})
    assert (reply.status, reply.code()) == (400, "SIZE_INVALID")
    assert offset(lar, location) == 1000
    finish(lar, location, 1000)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("sent", [1, 999, 1001, 200_000])
def test_chunks_that_do_not_fit_the_range(lar, method, sent):
    """Only its end tells how long the body is. What the session then has, it says, and is right."""
    location = check_session(patch(lar, begin(lar), 0, 999), 202, 1000)
    path = with_query(location, digest=DIGEST) if method == "PUT" else location
    reply = lar.send(method, path, DATA[1000:1000 + sent], {"Content-Range": "1000-1999"},
                     chunk=500)
    assert (reply.status, reply.code()) == (400, "SIZE_INVALID")
    at = offset(lar, location)
    assert 1000 <= at <= 1000 + sent
    finish(lar, location, at)


@pytest.mark.parametrize("field", ["bytes 1000-1999/5000", "bytes=1000-1999", "1000-", "-1999",
                                   "1999-1000", "1000", "1000-1999/5000", "a-b", "+1000-1999", "",
                                   "1000-99999999999999999999", "1000 - 1999", "1000-1999,",
                                   "1000-18446744073709551614", "1000-9223372036854775807",
                                   "1000-1999\r\nContent-Range: 1000-1999"])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_ranges_that_are_none(lar, method, field):
    location = check_session(patch(lar, begin(lar), 0, 999), 202, 1000)
    path = with_query(location, digest=DIGEST) if method == "PUT" else location
    for chunk in (0, 100):
        reply = lar.send(method, path, DATA[1000:2000], {"Content-Range": field}, chunk=chunk)
        assert (reply.status, reply.code()) == (400, "SIZE_INVALID")
        assert offset(lar, location) == 1000
    finish(lar, location, 1000)


def test_both_dialects_in_one_session(lar):
    location = check_session(patch(lar, begin(lar), 0, 999), 202, 1000)
    location = check_session(lar.send("PATCH", location, DATA[1000:5000], chunk=64), 202, 5000)
    location = check_session(lar.send("PATCH", location, DATA[5000:9000]), 202, 9000)
    finish(lar, location, 9000)


def test_empty_patches(lar):
    location = begin(lar)
    check_session(lar.send("PATCH", location), 202, 0)
    check_session(lar.send("PATCH", location, DATA[:1000]), 202, 1000)
    check_session(lar.send("PATCH", location, chunk=10), 202, 1000)
    finish(lar, location, 1000)


def ask_all(lar, location):
    """Every request that a session answers."""
    return [lar.get(location), lar.send("PATCH", location, DATA[:10]),
            patch(lar, location, 0, 9), lar.delete(location),
            lar.send("PUT", with_query(location, digest=digest_of(b"")))]


def test_of_another_repository(lar):
    location = check_session(patch(lar, begin(lar), 0, 999), 202, 1000)
    for repo in (OTHER, "stage", "cache/app", REPO + "/x"):
        for reply in ask_all(lar, location.replace(f"/v2/{REPO}/", f"/v2/{repo}/")):
            if repo != "stage":
                assert (reply.status, reply.code()) == (404, "BLOB_UPLOAD_UNKNOWN"), reply
            assert reply.status in (403, 404, 405)
    finish(lar, location, 1000)
    assert not is_there(lar, blob_path(DIGEST, OTHER))


@pytest.mark.parametrize("name", ["00000000-0000-0000-0000-000000000000", "x", "a" * 300, "..",
                                  "%2e%2e%2f%2e%2e", "a%00b", "=._-"])
def test_that_never_was(lar, name):
    for reply in ask_all(lar, uploads() + name):
        assert reply.status == 404 or (name in ("..", "%2e%2e%2f%2e%2e", "a%00b")
                                       and reply.status == 400), reply
    assert lar.ingests() == []


def test_cancel(lar):
    for n in (0, 1000, MIB):
        location = begin(lar)
        if n:
            assert patch(lar, location, 0, n - 1).status == 202
        reply = lar.delete(location)
        assert (reply.status, reply.body) == (204, b"")
        for reply in ask_all(lar, location):
            assert (reply.status, reply.code()) == (404, "BLOB_UPLOAD_UNKNOWN")
    lar.wait(lambda: lar.ingests() == [], "nothing is left of them")


def test_cancel_after_a_restart(lar):
    """Its file goes too, though nobody has opened it since."""
    location = check_session(patch(lar, begin(lar), 0, MIB), 202, MIB + 1)
    lar.stop()
    lar.start()
    assert lar.delete(location).status == 204
    lar.wait(lambda: lar.ingests() == [], "its file goes")


@pytest.mark.parametrize("first", [MIB, 2 * MIB])
def test_two_writers(lar, first):
    """The second is refused while the first writes, and the first is not disturbed."""
    location = begin(lar)
    p = start_patch(lar, location, first)
    for reply in (lar.send("PATCH", location, b"mine"), lar.send("PATCH", location, b"x", chunk=1),
                  lar.send("PUT", with_query(location, digest=digest_of(b"mine")), b"mine"),
                  lar.send("PUT", with_query(location, digest=digest_of(b"")))):
        assert (reply.status, reply.code()) == (416, "BLOB_UPLOAD_INVALID"), reply
    reply = lar.get(location)
    assert reply.status == 204 and reply.headers["range"].startswith("0-")
    p.chunk(DATA[first:])
    p.chunk(b"")
    finish(lar, check_session(p.done(), 202, len(DATA)), len(DATA))


def test_cancel_while_somebody_writes(lar):
    """One of the two wins; what is left is either a session that works, or nothing."""
    location = begin(lar)
    p = start_patch(lar, location, MIB)
    reply = lar.delete(location)
    p.chunk(b"")
    if reply.status == 204:
        p.close()
        lar.wait(lambda: lar.ingests() == [], "its file goes")
        assert lar.get(location).status == 404
    else:
        assert reply.status == 416 and p.done().status == 202
        finish(lar, location, MIB)


def resume(lar, location):
    """As a client does that lost its connection: asks where to go on until it may."""
    for _ in range(2000):
        at = offset(lar, location)
        reply = patch(lar, location, at, len(DATA) - 1)
        if reply.status == 202:
            return at
        assert reply.status == 416, reply
    raise AssertionError("never let in again")


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("said", [None, {"Content-Length": len(DATA)},
                                  {"Content-Length": len(DATA),
                                   "Content-Range": f"0-{len(DATA) - 1}"}],
                         ids=["stream", "length", "range"])
def test_client_goes_away(lar, said, end):
    """Status tells what landed, and the upload goes on there."""
    location = begin(lar)
    p = start_patch(lar, location, 2 * MIB, said)
    landed = on_disk(lar)
    p.close() if end == "close" else p.reset()
    at = resume(lar, location)
    assert landed - 65536 <= at <= 2 * MIB and at > 0
    check_put(lar.send("PUT", with_query(location, digest=DIGEST)), DIGEST)
    check_blob(lar, DATA)


def test_client_goes_away_in_a_put(lar):
    location = check_session(patch(lar, begin(lar), 0, MIB - 1), 202, MIB)
    p = lar.begin(with_query(location, digest=DIGEST), {"Content-Length": len(DATA) - MIB}, "PUT")
    p.push(DATA[MIB:2 * MIB])
    lar.wait(lambda: on_disk(lar) > MIB, "some of it lands")
    p.reset()
    assert resume(lar, location) >= MIB
    check_put(lar.send("PUT", with_query(location, digest=DIGEST)), DIGEST)
    check_blob(lar, DATA)


def test_client_that_stalls(larder):
    """It is cut off, and its session stays."""
    lar = larder(limits={"client_progress": "300ms"})
    location = begin(lar)
    p = start_patch(lar, location, MIB)
    assert p.ended.wait(20)
    assert resume(lar, location) > 0
    check_put(lar.send("PUT", with_query(location, digest=DIGEST)), DIGEST)


def test_one_connection_for_all(lar):
    """Ten blobs, each by four requests, on one connection that is never closed in between."""
    connection = http.client.HTTPConnection("127.0.0.1", lar.port, timeout=20)

    def ask(method, path, body=None, headers=None):
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        response.read()
        return response

    for n in range(10):
        data = noise(100_000 + n, seed=200 + n)
        location = ask("POST", uploads()).headers["Location"]
        assert ask("PATCH", location, data[:5000]).status == 202
        assert ask("PATCH", location, iter([data[5000:9000], data[9000:]])).status == 202
        response = ask("PUT", with_query(location, digest=digest_of(data)))
        assert response.status == 201
        connection_kept = connection.sock
        assert ask("HEAD", blob_path(digest_of(data))).status == 200
        assert connection.sock is connection_kept
    connection.close()


@pytest.mark.parametrize("algorithm", [digest_of, sha512_of], ids=["sha256", "sha512"])
@pytest.mark.parametrize("at", [0, 1, 65, 2 * MIB + 5, len(DATA)])
def test_restart(lar, at, algorithm):
    """A clean stop keeps the session to the last byte, again and again."""
    location = begin(lar, query="?digest-algorithm=" + algorithm(b"").split(":")[0])
    if at:
        assert patch(lar, location, 0, at - 1).status == 202
    for _ in range(2):
        lar.stop()
        lar.start()
        check_session(lar.get(location), 204, at)
    finish(lar, location, at, algorithm(DATA))
    assert lar.ingests() == []


@pytest.mark.parametrize("at", [1000, 2 * MIB + 5, len(DATA)])
def test_kill(lar, at):
    """What a session has after a kill, it says; or it is gone, and the client begins anew."""
    location = check_session(patch(lar, begin(lar), 0, at - 1), 202, at)
    lar.kill()
    lar.start()
    reply = lar.get(location)
    assert reply.status in (204, 404)
    if reply.status == 204:
        last = int(reply.headers["range"].removeprefix("0-"))
        assert last < at
        finish(lar, location, last + 1 if last else 0)
    else:
        assert reply.code() == "BLOB_UPLOAD_UNKNOWN"
        put_blob(lar, DATA)
    check_blob(lar, DATA)
    lar.wait(lambda: lar.ingests() == [], "nothing is left of it")


def test_stop_while_somebody_writes(larder):
    """The stop waits for the client as long as it does for others; what landed is there after."""
    lar = larder(limits={"drain": "300ms"})
    location = begin(lar)
    p = start_patch(lar, location, MIB)
    lar.stop()
    assert p.ended.wait(20)
    lar.start()
    at = offset(lar, location)
    assert 0 < at <= MIB
    finish(lar, location, at)


def test_kill_while_somebody_writes(lar):
    location = begin(lar)
    start_patch(lar, location, 2 * MIB)
    lar.kill()
    lar.start()
    reply = lar.get(location)
    if reply.status == 204:
        finish(lar, location, offset(lar, location))
    else:
        assert (reply.status, reply.code()) == (404, "BLOB_UPLOAD_UNKNOWN")
    put_blob(lar, DATA)
    lar.wait(lambda: lar.ingests() == [], "nothing is left of it")


def test_idle_session_expires(larder):
    lar = larder(limits={"upload_idle": "300ms"})
    locations = [begin(lar), check_session(patch(lar, begin(lar), 0, MIB), 202, MIB + 1)]
    lar.wait(lambda: lar.ingests() == [], "their files go")
    for location in locations:
        lar.wait(lambda at=location: lar.get(at).status == 404, "they go")
        for reply in ask_all(lar, location):
            assert (reply.status, reply.code()) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_session_in_use_does_not_expire(larder):
    lar = larder(limits={"upload_idle": "1s"})
    location = begin(lar)
    end = time.monotonic() + 2.5
    at = 0
    while time.monotonic() < end:
        assert patch(lar, location, at, at + 9).status == 202
        at += 10
    finish(lar, location, at)


def test_session_that_expired_while_nobody_served(larder):
    lar = larder(limits={"upload_idle": "200ms"})
    location = check_session(patch(lar, begin(lar), 0, MIB), 202, MIB + 1)
    lar.stop()
    lar.start()
    lar.wait(lambda: lar.get(location).status == 404, "it goes")
    lar.wait(lambda: lar.ingests() == [], "its file goes")


def test_many_sessions(lar):
    """Each has its own offset; they end in another order than they began."""
    locations = [begin(lar) for _ in range(150)]
    assert len(set(locations)) == 150
    for n, location in enumerate(locations):
        assert patch(lar, location, 0, n).status == 202
    for n in reversed(range(150)):
        assert offset(lar, locations[n]) in (n + 1, 0)
        if n % 3:
            assert lar.delete(locations[n]).status == 204
        else:
            digest = digest_of(DATA[:n + 1])
            check_put(lar.send("PUT", with_query(locations[n], digest=digest)), digest)
    lar.wait(lambda: lar.ingests() == [], "nothing is left")
    assert len(lar.kept()) == 50


def peak(lar):
    """The most memory that the server ever had, in bytes."""
    with open(f"/proc/{lar.process.pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


@pytest.mark.skipif(VARIANT != "release", reason="sanitizers keep what is freed")
@pytest.mark.parametrize("chunk", [0, 4 * MIB], ids=["length", "chunks"])
def test_memory_does_not_grow_with_the_blob(lar, chunk):
    data = noise(8 * MIB, seed=9) * 12
    put_blob(lar, data[:MIB])
    before = peak(lar)
    location = begin(lar)
    assert lar.send("PATCH", location, data, chunk=chunk).status == 202
    check_put(lar.send("PUT", with_query(location, digest=digest_of(data))), digest_of(data))
    assert peak(lar) - before < 24 * MIB
