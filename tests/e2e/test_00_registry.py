"""The scripted upstream itself: what the other tests rest on."""
import base64
import http.client
import json
import socket
import threading
import urllib.request

import pytest

from registry import Basic, Bearer, Registry, digest_of, noise

DATA = noise(300_000, seed=1)


@pytest.fixture
def reg():
    registry = Registry()
    yield registry
    registry.clear_rules()
    registry.stop()


def ask(reg, target, method="GET", headers=None, body=None):
    """Status, headers and body of one answer."""
    client = http.client.HTTPConnection("127.0.0.1", reg.port, timeout=10)
    try:
        client.request(method, target, body=body, headers=headers or {})
        answer = client.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        client.close()


def blob(reg):
    return "/v2/library/x/blobs/" + reg.add_blob("library/x", DATA)


def test_blobs_and_ranges(reg):
    path = blob(reg)
    status, headers, body = ask(reg, path)
    assert (status, body) == (200, DATA)
    assert headers["docker-content-digest"] == digest_of(DATA)
    status, headers, body = ask(reg, path, "HEAD")
    assert (status, headers["content-length"], body) == (200, str(len(DATA)), b"")
    status, headers, body = ask(reg, path, headers={"Range": "bytes=10-19"})
    assert (status, body) == (206, DATA[10:20])
    assert headers["content-range"] == f"bytes 10-19/{len(DATA)}"
    assert ask(reg, path, headers={"Range": "bytes=-5"})[2] == DATA[-5:]
    assert ask(reg, path, headers={"Range": "bytes=299990-"})[2] == DATA[-10:]
    assert ask(reg, path, headers={"Range": "bytes=300000-"})[0] == 416
    assert ask(reg, "/v2/library/y/blobs/" + digest_of(DATA))[0] == 404
    assert reg.hits("GET", digest_of(DATA)) == 6
    assert reg.requests[2].headers["range"] == "bytes=10-19"


def test_images_tags_and_referrers(reg):
    img = reg.add_image("library/x", "1", [b"one", b"two"])
    status, headers, body = ask(reg, "/v2/library/x/manifests/1")
    assert (status, body, headers["docker-content-digest"]) == (200, img.body, img.digest)
    assert ask(reg, f"/v2/library/x/manifests/{img.digest}")[2] == img.body
    assert ask(reg, f"/v2/library/x/blobs/{img.layers[1]}")[2] == b"two"
    other = reg.add_manifest("library/x", "2", b"{}")
    reg.move_tag("library/x", "1", other)
    assert ask(reg, "/v2/library/x/manifests/1")[2] == b"{}"
    status, headers, body = ask(reg, "/v2/library/x/tags/list?n=1")
    assert json.loads(body) == {"name": "library/x", "tags": ["1"]}
    assert headers["link"] == '</v2/library/x/tags/list?n=1&last=1>; rel="next"'
    assert json.loads(ask(reg, "/v2/library/x/tags/list?n=1&last=1")[2])["tags"] == ["2"]
    reg.forget("library/x", "1")
    assert ask(reg, "/v2/library/x/manifests/1")[0] == 404
    reg.add_referrer("library/x", img.digest, {"digest": other})
    body = ask(reg, f"/v2/library/x/referrers/{img.digest}")[2]
    assert json.loads(body)["manifests"] == [{"digest": other}]


def test_rules_are_used_up(reg):
    path = blob(reg)
    rule = reg.on("GET", path).status(503, {"Retry-After": "1"}, b"no").times(2)
    reg.on(None, path).skip(1).status(500)
    assert ask(reg, path, "HEAD")[0] == 200
    status, headers, body = ask(reg, path)
    assert (status, headers["retry-after"], body) == (503, "1", b"no")
    assert ask(reg, path)[0] == 503
    assert ask(reg, path)[0] == 500
    assert ask(reg, path)[0] == 200
    assert rule.called == 2


def test_spoiled_answers(reg):
    path = blob(reg)
    reg.on("GET", path).corrupt(7)
    body = ask(reg, path)[2]
    assert [i for i in range(len(DATA)) if body[i] != DATA[i]] == [7]
    reg.on("GET", path).body(b"other").header("X-A", "b").without("Docker-Content-Digest")
    status, headers, body = ask(reg, path)
    assert body == b"other" and headers["x-a"] == "b" and "docker-content-digest" not in headers
    reg.on("GET", path).chunked(1000)
    status, headers, body = ask(reg, path)
    assert body == DATA and "content-length" not in headers
    reg.on("GET", path).ignore_range()
    assert ask(reg, path, headers={"Range": "bytes=5-9"})[0] == 200
    reg.on("GET", path).wrong_range()
    status, headers, body = ask(reg, path, headers={"Range": "bytes=5-9"})
    assert body == DATA[6:11] and headers["content-range"].startswith("bytes 6-10/")
    reg.on("GET", path).wrong_total(77)
    headers = ask(reg, path, headers={"Range": "bytes=5-9"})[1]
    assert headers["content-range"] == "bytes 5-9/77"
    reg.on("GET", path).redirect("/there")
    status, headers, body = ask(reg, path)
    assert (status, headers["location"]) == (307, "/there")


def test_lengths_and_cuts(reg):
    path = blob(reg)
    for rule, whole in ((reg.on("GET", path).length(400_000), 400_000),
                        (reg.on("GET", path).drop_after(1000), 300_000)):
        client = http.client.HTTPConnection("127.0.0.1", reg.port, timeout=10)
        client.request("GET", path)
        with pytest.raises(http.client.IncompleteRead) as broken:
            client.getresponse().read()
        assert len(broken.value.partial) + broken.value.expected == whole
        assert rule.called == 1
    reg.on("GET", path).length(10)
    assert ask(reg, path)[2] == DATA[:10]
    reg.on("GET", path).reset()
    with pytest.raises(ConnectionResetError):
        ask(reg, path)
    reg.on("GET", path).hang_up()
    with pytest.raises(http.client.RemoteDisconnected):
        ask(reg, path)
    reg.on("GET", path).reset_after(1000)
    with pytest.raises(ConnectionResetError):
        ask(reg, path)


def read_exactly(connection, n):
    data = b""
    while len(data) < n:
        piece = connection.recv(n - len(data))
        assert piece, "closed early"
        data += piece
    return data


def test_gates(reg):
    path = blob(reg)
    rule = reg.on("GET", path)
    head, middle = rule.hold_headers(), rule.hold_after(1000)
    with socket.create_connection(("127.0.0.1", reg.port), timeout=10) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert head.reached() and not middle.reached(0)
        head.open()
        assert middle.reached()
        stream = client.makefile("rb")
        while stream.readline() != b"\r\n":
            pass
        assert stream.read(1000) == DATA[:1000]
        assert reg.requests[0].sent == 1000
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1, socket.MSG_PEEK)
        client.settimeout(10)
        middle.open()
        assert reg.wait_sent(reg.requests[0], len(DATA)) or stream.read()
        stream.close()


def test_stop_and_start_again(reg):
    path = blob(reg)
    gate = reg.on("GET", path).hold_after(10)
    failed = threading.Event()

    def broken():
        try:
            ask(reg, path)
        except (http.client.HTTPException, OSError):
            failed.set()
    client = threading.Thread(target=broken)
    client.start()
    assert gate.reached()
    reg.stop()
    client.join(10)
    assert failed.is_set()
    with pytest.raises(ConnectionRefusedError):
        ask(reg, path)
    reg.start_again()
    assert ask(reg, path)[2] == DATA
    assert reg.wait_hits("GET", path, 2) and not reg.wait_hits("GET", path, 3, timeout=0)


def token_of(reg, challenge):
    """Takes a challenge of one scheme in quoted form and gets its token."""
    said = urllib.request.parse_keqv_list(urllib.request.parse_http_list(challenge[7:]))
    path = said["realm"][len(reg.url):]
    status, _, body = ask(reg, f"{path}?service={said['service']}&scope={said['scope']}")
    assert status == 200
    return json.loads(body)["token"]


def test_tokens(reg):
    path = blob(reg)
    reg.auth = Bearer()
    status, headers, _ = ask(reg, path)
    assert status == 401
    token = token_of(reg, headers["www-authenticate"])
    assert ask(reg, path, headers={"Authorization": f"Bearer {token}"})[2] == DATA
    assert ask(reg, path.replace("library/x", "library/y"),
               headers={"Authorization": f"Bearer {token}"})[0] == 401
    reg.revoke_tokens()
    assert ask(reg, path, headers={"Authorization": f"Bearer {token}"})[0] == 401
    assert reg.tokens == 1
    reg.forbid("library/x")
    token = token_of(reg, headers["www-authenticate"])
    assert ask(reg, path, headers={"Authorization": f"Bearer {token}"})[0] == 403


@pytest.mark.parametrize("form, said", [
    ("unquoted", "Bearer realm={}/token,service=registry.test,scope=repository:library/x:pull"),
    ("lower", 'bearer realm="{}/token" , service='),
    ("several", 'Basic realm="a, b=c", Bearer realm="{}/token"'),
    ("lines", 'Bearer realm="{}/token"')])
def test_forms_of_challenges(reg, form, said):
    reg.auth = Bearer(forms=form)
    client = http.client.HTTPConnection("127.0.0.1", reg.port, timeout=10)
    client.request("GET", blob(reg))
    answer = client.getresponse()
    challenges = answer.msg.get_all("www-authenticate")
    client.close()
    assert answer.status == 401 and said.format(reg.url) in challenges[-1]
    assert len(challenges) == (2 if form == "lines" else 1)


def test_credentials(reg):
    reg.auth = Basic("ann", "secret")
    good = {"Authorization": "Basic " + base64.b64encode(b"ann:secret").decode()}
    assert ask(reg, "/v2/")[0] == 401 and ask(reg, "/v2/", headers=good)[0] == 200
    reg.auth = Bearer(user="ann", password="secret")
    assert ask(reg, "/token?scope=x")[0] == 401
    assert ask(reg, "/token?scope=x", headers=good)[0] == 200
    reg.auth = Bearer(identity="refresh")
    assert ask(reg, "/token?scope=x", headers=good)[0] == 401
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, _, body = ask(reg, "/token", "POST", form,
                          "grant_type=refresh_token&refresh_token=refresh&scope=x")
    assert status == 200 and "access_token" in json.loads(body)
