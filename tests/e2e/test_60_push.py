"""Blobs are pushed: every way that clients know, what is refused, and what is there after."""
import random
import threading

import pytest
from larder import connect, drain
from push import (REPO, WAYS, begin, blob_path, check_blob, check_put, check_session, is_there,
                  offset, push, put_blob, sha512_of, uploads, with_query)
from registry import digest_of, noise

MIB = 1024 * 1024
DATA = noise(300_000, seed=1)
SIZES = {"none": b"", "one": b"x", "json": b"{}", "small": noise(2000, seed=2),
         "large": noise(3 * MIB + 1, seed=3)}
NO_DIGESTS = {
    "none": None, "empty": "", "word": "junk", "no hex": "sha256:", "short": "sha256:" + "a" * 63,
    "long": "sha256:" + "a" * 65, "upper": "sha256:" + "A" * 64, "dash": "sha256-" + "a" * 64,
    "unknown": "md5:" + "a" * 32, "short 512": "sha512:" + "a" * 64, "path": "sha256:../../" + "a",
}


@pytest.fixture
def lar(larder):
    return larder()


def twisted(data):
    """As long, and wrong in its last byte."""
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("how", WAYS)
def test_ways(lar, how, size):
    data = SIZES[size]
    for digest in (digest_of(data), sha512_of(data)):
        assert lar.head(blob_path(digest)).status == 404
        check_put(push(lar, how, data, digest), digest)
        check_blob(lar, data, digest=digest)
        assert lar.delete(blob_path(digest)).status == 202
        assert not is_there(lar, blob_path(digest))
        assert lar.delete(blob_path(digest)).status == 404


@pytest.mark.parametrize("algorithm, digest", [("sha512", sha512_of(DATA)),
                                               ("sha256", digest_of(DATA)),
                                               ("sha512", digest_of(DATA)),
                                               ("sha256", sha512_of(DATA))],
                         ids=["512", "256", "512 ends 256", "256 ends 512"])
@pytest.mark.parametrize("chunk", [0, 4096])
def test_hint_of_the_algorithm(lar, algorithm, digest, chunk):
    """It helps the server to hash while bytes come; what counts is the digest in the end."""
    location = begin(lar, query="?digest-algorithm=" + algorithm)
    reply = lar.send("PATCH", location, DATA, chunk=chunk)
    location = check_session(reply, 202, len(DATA))
    check_put(lar.send("PUT", with_query(location, digest=digest)), digest)
    check_blob(lar, DATA, digest=digest)


@pytest.mark.parametrize("seed", range(4))
def test_chunks_of_all_sizes(lar, seed):
    """Cut anywhere on their way, and with the next request right behind them."""
    data, dice = SIZES["large"], random.Random(seed)
    location, at, body = begin(lar), 0, b""
    while at < len(data):
        piece = data[at:at + dice.choice([1, 2, 30, 31, 32, 33, 500, 32_768, 262_144])]
        body += b"%x%s\r\n%s\r\n" % (len(piece), dice.choice([b"", b"", b";a=b"]), piece)
        at += len(piece)
    path = location[location.index("/v2/"):].encode()
    sent = (b"PATCH %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % path + body +
            b"0\r\n\r\nGET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    with connect(lar) as sock:
        at = 0
        while at < len(sent):
            n = dice.choice([1, 7, 100, 4000, 70_000, 300_000])
            sock.sendall(sent[at:at + n])
            at += n
        got, closed = drain(sock)
    assert closed and got.startswith(b"HTTP/1.1 202 ") and got.count(b"HTTP/1.1 200 ") == 1
    digest = digest_of(data)
    check_put(lar.send("PUT", with_query(location, digest=digest)), digest)
    check_blob(lar, data, digest=digest)


def test_hint_of_no_algorithm(lar):
    reply = lar.send("POST", uploads() + "?digest-algorithm=md5")
    assert (reply.status, reply.code()) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("how", WAYS)
def test_wrong_digest(lar, how, algorithm):
    digest = digest_of(twisted(DATA)) if algorithm == "sha256" else sha512_of(twisted(DATA))
    reply = push(lar, how, DATA, digest)
    assert (reply.status, reply.code()) == (400, "DIGEST_INVALID")
    assert not is_there(lar, blob_path(digest)) and not is_there(lar, blob_path(digest_of(DATA)))
    assert lar.kept() == set()


def test_wrong_digest_ends_the_session(lar):
    location = begin(lar)
    assert lar.send("PATCH", location, DATA).status == 202
    reply = lar.send("PUT", with_query(location, digest=digest_of(b"other")))
    assert (reply.status, reply.code()) == (400, "DIGEST_INVALID")
    reply = lar.get(location)
    assert (reply.status, reply.code()) == (404, "BLOB_UPLOAD_UNKNOWN")
    lar.wait(lambda: lar.ingests() == [], "its file goes")


@pytest.mark.parametrize("name", NO_DIGESTS)
def test_no_digest_leaves_the_session(lar, name):
    location = begin(lar)
    assert lar.send("PATCH", location, DATA).status == 202
    digest = NO_DIGESTS[name]
    path = location if digest is None else with_query(location, digest=digest)
    reply = lar.send("PUT", path)
    assert (reply.status, reply.code()) == (400, "DIGEST_INVALID")
    assert offset(lar, location) == len(DATA)
    check_put(lar.send("PUT", with_query(location, digest=digest_of(DATA))), digest_of(DATA))


@pytest.mark.parametrize("name", [name for name, digest in NO_DIGESTS.items() if digest])
def test_single_post_with_no_digest(lar, name):
    reply = lar.send("POST", with_query(uploads(), digest=NO_DIGESTS[name]), DATA)
    assert (reply.status, reply.code()) == (400, "DIGEST_INVALID")
    lar.wait(lambda: lar.ingests() == [], "no session")


def test_post_opens_a_session(lar):
    reply = lar.send("POST", uploads())
    location = check_session(reply, 202, 0)
    assert reply.headers["docker-distribution-api-version"] == "registry/2.0"
    assert "oci-chunk-min-length" not in reply.headers and reply.headers["content-length"] == "0"
    assert begin(lar) != location
    check_session(lar.get(location), 204, 0)


def test_post_without_the_last_slash(lar):
    check_session(lar.send("POST", uploads().rstrip("/")), 202, 0)


@pytest.mark.parametrize("chunk", [0, 1000])
def test_body_of_a_plain_post_is_dropped(lar, chunk):
    location = check_session(lar.send("POST", uploads(), DATA, chunk=chunk), 202, 0)
    reply = lar.send("PUT", with_query(location, digest=digest_of(b"mine")), b"mine")
    check_put(reply, digest_of(b"mine"))


@pytest.mark.parametrize("query", [
    "?digest={}", "?digest=sha256%3A{1}", "?_state=abc&digest={}", "?digest={}&_state=a%2Fb+c",
    "?_state=&digest=sha256%3A{1}&x"])
def test_queries_that_clients_write(lar, query):
    digest = digest_of(DATA)
    reply = lar.send("PUT", begin(lar) + query.format(digest, digest.split(":")[1]), DATA)
    check_put(reply, digest)
    check_blob(lar, DATA)


def test_content_type_does_not_matter(lar):
    digest = digest_of(DATA)
    for kind in ("application/octet-stream", "application/vnd.oci.image.layer.v1.tar", "", "junk"):
        location = begin(lar)
        assert lar.send("PATCH", location, DATA, {"Content-Type": kind}).status == 202
        reply = lar.send("PUT", with_query(location, digest=digest), b"", {"Content-Type": kind})
        check_put(reply, digest)


def test_the_same_again(lar):
    """What is here already is taken again, and verified again."""
    for repo in (REPO, REPO, "stage/else"):
        for how in WAYS:
            check_put(push(lar, how, DATA, repo=repo), digest_of(DATA), repo)
        reply = push(lar, "stream", twisted(DATA), digest_of(DATA), repo)
        assert (reply.status, reply.code()) == (400, "DIGEST_INVALID")
        check_blob(lar, DATA, repo)
    assert lar.kept() == {digest_of(DATA)}


def test_both_algorithms_find_what_was_pushed_by_each(lar):
    for digest in (digest_of(DATA), sha512_of(DATA)):
        put_blob(lar, DATA, digest=digest)
    for digest in (digest_of(DATA), sha512_of(DATA)):
        check_blob(lar, DATA, digest=digest)
    assert lar.delete(blob_path(sha512_of(DATA))).status == 202
    assert not is_there(lar, blob_path(sha512_of(DATA)))
    check_blob(lar, DATA)


def test_stored_once_and_seen_where_it_was_pushed(lar):
    put_blob(lar, DATA)
    assert not is_there(lar, blob_path(digest_of(DATA), "stage/else"))
    put_blob(lar, DATA, "stage/else")
    assert lar.delete(blob_path(digest_of(DATA))).status == 202
    assert not is_there(lar, blob_path(digest_of(DATA)))
    check_blob(lar, DATA, "stage/else")


def test_names_of_every_form(lar):
    longest = "stage/" + "a" * (255 - len("stage/"))
    for repo in ("stage/a", "stage/a.b/c_d/e__f/g-h/i--j", "stage/blobs/uploads",
                 "stage/manifests/blobs", "stage/v2/tags/list", "cache/0", longest):
        put_blob(lar, DATA, repo)
        check_blob(lar, DATA, repo)


@pytest.mark.parametrize("field, part", [
    ("bytes=500-1499", (500, 1500)), ("bytes=500-", (500, 2000)), ("bytes=-500", (1500, 2000)),
    ("bytes=1900-5000", (1900, 2000)), ("bytes=0-0", (0, 1)), ("bytes=-9999", (0, 2000)),
    ("bytes=500-0", None), ("bytes=5000-10000", None), ("bytes=2000-", None), ("bytes=-0", None)])
def test_ranges(lar, field, part):
    data = SIZES["small"]
    for digest in (digest_of(data), sha512_of(data)):
        put_blob(lar, data, digest=digest)
        reply = lar.get(blob_path(digest), {"Range": field})
        if part is None:
            assert reply.status == 416 and reply.headers["content-range"] == "bytes */2000"
            continue
        assert (reply.status, reply.body) == (206, data[part[0]:part[1]])
        assert reply.headers["content-range"] == f"bytes {part[0]}-{part[1] - 1}/2000"
        assert reply.headers["content-length"] == str(part[1] - part[0])


def test_not_modified(lar):
    digest = put_blob(lar, DATA)
    for field in (f'"{digest}"', digest, f'W/"{digest}"', "*"):
        reply = lar.get(blob_path(digest), {"If-None-Match": field})
        assert (reply.status, reply.body) == (304, b"")


@pytest.mark.parametrize("how", ["post_only", "post_put", "patch_length"])
def test_body_that_ends_early(lar, how):
    """The connection breaks before all of Content-Length was there: it is no blob, not even the
    one that these bytes are."""
    digest = digest_of(DATA)
    location = None if how == "post_only" else begin(lar)
    method, path = {"post_only": ("POST", with_query(uploads(), digest=digest)),
                    "post_put": ("PUT", location and with_query(location, digest=digest)),
                    "patch_length": ("PATCH", location)}[how]
    p = lar.begin(path, {"Content-Length": len(DATA) + 1}, method)
    p.push(DATA)
    p.close()
    if how == "post_only":
        lar.wait(lambda: lar.ingests() == [], "nothing is left of it")
    assert not is_there(lar, blob_path(digest)) and lar.kept() == set()


def ask_with_expect(sock, method, path, body, value="100-continue"):
    """All that the server says to a client that sends its body only once it is told to."""
    sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
                 f"Expect: {value}\r\nConnection: close\r\n\r\n".encode())
    said = b""
    while b"\r\n\r\n" not in said:
        said += sock.recv(65536)
    if said.startswith(b"HTTP/1.1 100 "):
        sock.sendall(body)
    return said + drain(sock)[0]


def test_expect_continue(lar):
    digest = digest_of(DATA)
    for how, value in ("PUT", "100-continue"), ("POST", "100-Continue"):
        path = with_query(begin(lar) if how == "PUT" else uploads(), digest=digest)
        with connect(lar) as sock:
            said = ask_with_expect(sock, how, path, DATA, value)
        assert said.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 "), said
    check_blob(lar, DATA)


@pytest.mark.parametrize("path, status", [
    ("/v2/library/x/blobs/uploads/?digest=" + digest_of(DATA), b"403"),
    ("/v2/stage/app/blobs/uploads/?digest=junk", b"400")], ids=["name", "digest"])
def test_refused_before_the_body(lar, path, status):
    """A client that asks first is spared sending what would be refused."""
    with connect(lar) as sock:
        said = ask_with_expect(sock, "POST", path, DATA)
    assert said.startswith(b"HTTP/1.1 " + status) and said.count(b"HTTP/1.1 ") == 1, said


def together(n, f):
    """f(0) to f(n - 1), each in a thread of its own; what they gave, and none may fail."""
    given = [None] * n

    def run(i):
        given[i] = f(i)

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    return given


def test_many_push_the_same_at_once(lar):
    ways = list(WAYS)
    replies = together(20, lambda i: push(lar, ways[i % len(ways)], SIZES["large"],
                                          repo=f"stage/r{i % 3}"))
    assert [reply.status for reply in replies] == [201] * 20
    for n in range(3):
        check_blob(lar, SIZES["large"], f"stage/r{n}")
    assert lar.kept() == {digest_of(SIZES["large"])} and lar.ingests() == []


def test_many_push_what_differs(lar):
    blobs = [noise(200_000 + i, seed=100 + i) for i in range(24)]
    ways = list(WAYS)
    replies = together(24, lambda i: push(lar, ways[i % len(ways)], blobs[i]))
    assert [reply.status for reply in replies] == [201] * 24
    for data in blobs:
        check_blob(lar, data)


def test_survives_a_kill(lar):
    """201 says that it is on disk: the next moment the server may be gone."""
    pushed = [noise(5000 + i, seed=50 + i) for i in range(5)] + [SIZES["large"], b""]
    for n, data in enumerate(pushed):
        put_blob(lar, data)
        lar.kill()
        lar.start()
        for one in pushed[:n + 1]:
            check_blob(lar, one)
