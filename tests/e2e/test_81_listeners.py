"""TLS towards clients: who the server is, who they are, and files that change while it runs."""
import concurrent.futures
import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess

import pytest
from certificates import Authority
from larder import PROGRAM, Reply
from registry import noise

BIG = noise(9_000_000)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("listeners"))


def start(larder, registry, files, client_ca=None, **more):
    tls = {"certificate": str(files[0]), "key": str(files[1])}
    if client_ca:
        tls["client_ca"] = client_ca
    limits = {"tls_files": "20ms", **more.pop("limits", {})}
    listen = [{"address": "127.0.0.1:0", "tls": tls}]
    log = {"level": more.pop("log", "debug")}
    return larder(config={"listen": listen, "log": log}, limits=limits,
                  upstreams={"docker.io": registry.url}, **more)


def connection(lar, context):
    made = http.client.HTTPSConnection("127.0.0.1", lar.port, context=context, timeout=30)
    made.connect()
    return made


def ask(made, path, method="GET", body=None, headers=None):
    made.request(method, path, body, headers or {})
    response = made.getresponse()
    fields = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, fields, response.read(), True)


def serial(lar, context):
    """The number of the certificate that the server shows."""
    made = connection(lar, context)
    number = made.sock.getpeercert()["serialNumber"]
    made.close()
    return number


def blob(registry, data=BIG):
    return "/v2/library/x/blobs/" + registry.add_blob("library/x", data)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_pull(authority, registry, larder, version):
    lar = start(larder, registry, authority.files())
    assert lar.url == f"https://127.0.0.1:{lar.port}"
    assert f'"registry-mirrors": ["{lar.url}"]' in lar.events
    path = blob(registry)
    context = authority.client()
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    made = connection(lar, context)
    assert made.sock.version() == version.replace("_", ".")
    assert made.sock.selected_alpn_protocol() == "http/1.1"
    for source in "miss", "hit", "hit":
        reply = ask(made, path)
        assert (reply.status, reply.source()) == (200, source) and reply.body == BIG
        lar.wait(lambda: lar.counter("flights_open") == 0, "the blob is kept")
    part = ask(made, path, headers={"Range": "bytes=70000-8900000"})
    assert part.status == 206 and part.body == BIG[70000:8900001]
    made.close()
    assert lar.counter("tls_accepted") == 1


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_pull_by_one_that_takes_little_at_a_time(authority, registry, larder, version):
    """What was encrypted at once goes in parts, and the next answer comes behind it."""
    lar = start(larder, registry, authority.files())
    path = blob(registry)
    context = authority.client()
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.connect(("127.0.0.1", lar.port))
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as made:
        for _ in range(2):
            made.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answer = http.client.HTTPResponse(made)
            answer.begin()
            assert answer.read() == BIG
        made.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert made.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_push(authority, registry, larder):
    lar = start(larder, registry, authority.files())
    made = connection(lar, authority.client())
    digest = registry.add_blob("library/x", BIG)
    begun = ask(made, "/v2/stage/a/blobs/uploads/", "POST")
    assert begun.status == 202
    there = begun.headers["location"]
    assert ask(made, there, "PATCH", BIG).status == 202
    assert ask(made, f"{there}{'&' if '?' in there else '?'}digest={digest}", "PUT").status == 201
    assert ask(made, f"/v2/stage/a/blobs/{digest}").body == BIG


def test_many_at_once(authority, registry, larder):
    lar = start(larder, registry, authority.files())
    path = blob(registry)

    def one(_number):
        return ask(connection(lar, authority.client()), path).body == BIG

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        assert all(pool.map(one, range(24)))


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_session_is_taken_up_again(authority, registry, larder, version):
    lar = start(larder, registry, authority.files())
    context = authority.client()
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    first = connection(lar, context)
    assert ask(first, "/v2/").status == 200
    session = first.sock.session
    assert session.has_ticket and not first.sock.session_reused
    with socket.create_connection(("127.0.0.1", lar.port)) as plain:
        with context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as again:
            assert again.session_reused


def test_old_versions_are_refused(authority, registry, larder):
    lar = start(larder, registry, authority.files())
    context = authority.client()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        connection(lar, context)
    lar.wait_counter("tls_refused", 1)


def test_protocol_that_is_not_ours(authority, registry, larder):
    lar = start(larder, registry, authority.files())
    context = authority.client()
    context.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        connection(lar, context)


def test_plain_http_is_no_handshake(authority, registry, larder):
    lar = start(larder, registry, authority.files())
    got, closed = lar.raw(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert closed and b"HTTP/1.1 200" not in got
    lar.wait_counter("tls_refused", 1)
    assert ask(connection(lar, authority.client()), "/v2/").status == 200


def test_handshake_that_stalls(authority, registry, larder):
    lar = start(larder, registry, authority.files(), limits={"tls": "100ms"})
    for begun in b"", b"\x16\x03\x01\x02\x00\x01\x00":
        got, closed = lar.raw(begun, timeout=20)
        assert closed and got == b""
    lar.wait(lambda: lar.counter("connections_open") == 1, "only the one that asks is open")


def test_slow_handshake(authority, registry, larder):
    """A byte at a time in both directions."""
    lar = start(larder, registry, authority.files())
    context = authority.client()
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(into, out, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", lar.port)) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        done = False
        while not done:
            try:
                tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            for byte in out.read():
                plain.sendall(bytes([byte]))
            if not done:
                into.write(plain.recv(1))
    assert tls.version() == "TLSv1.3"


def test_cut_in_a_record(authority, registry, larder):
    """A client that goes in the middle of a body does the others no harm."""
    lar = start(larder, registry, authority.files())
    path = blob(registry)
    assert ask(connection(lar, authority.client()), path).body == BIG
    made = connection(lar, authority.client())
    made.request("GET", path)
    assert made.getresponse().read(100_000) == BIG[:100_000]
    plain = made.sock.detach()
    os.close(plain)
    assert ask(connection(lar, authority.client()), path).body == BIG
    lar.wait(lambda: lar.counter("readers_open") == 0, "no body is under way")


# --- certificates of clients ---------------------------------------------------------------------

def refused(lar, context):
    """TLS 1.3 tells a client that it is not wanted only with the first answer."""
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        ask(connection(lar, context), "/v2/")


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_client_certificates(authority, registry, larder, tmp_path, version):
    lar = start(larder, registry, authority.files(), client_ca=authority.ca_file)
    other = Authority(tmp_path, "other")
    cases = (None, other.files(subject="alice"), authority.files(subject="bob", expired=True))
    for certificate in cases:
        context = authority.client(certificate)
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        refused(lar, context)
    lar.wait_counter("tls_refused", len(cases))
    assert lar.counter("tls_accepted") == 0 and lar.access == []
    context = authority.client(authority.files(subject="alice"))
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    assert ask(connection(lar, context), "/v2/").status == 200


# --- what the log says of clients that get no further ---------------------------------------------

def spoken(data):
    return lambda lar, authority, folder: lar.raw(data)


def distrustful(lar, authority, folder):
    refused(lar, Authority(folder, "other").client())


def nameless(lar, authority, folder):
    refused(lar, authority.client())


def stranger(lar, authority, folder):
    refused(lar, authority.client(Authority(folder, "other").files(subject="alice")))


@pytest.mark.parametrize("client, says", [
    (spoken(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"), "the client speaks plain HTTP"),
    (spoken(b"\0" * 200), "the client does not speak TLS"),
    (spoken(b"\x16\x03\x01\x02\x00\x01\x00"), "it did not end in time (limits.tls)"),
    (distrustful, "the client refuses our certificate (unknown CA)"),
    (nameless, "the client has no certificate (client_ca)"),
    (stranger, "the client's certificate is refused (client_ca): "),
])
def test_failed_handshake_is_told(authority, registry, larder, tmp_path, client, says):
    lar = start(larder, registry, authority.files(), authority.ca_file, log="info",
                limits={"tls": "100ms" if "in time" in says else "30s"})
    client(lar, authority, tmp_path)
    told = f" info client.tls 127.0.0.1 at {lar.host}: TLS handshake: {says}"
    lar.wait(lambda: told in lar.events, told)
    assert lar.counter("tls_refused") == 1


def test_who_only_looks_whether_somebody_listens_is_not_told(authority, registry, larder):
    lar = start(larder, registry, authority.files(), log="info")
    with socket.create_connection(("127.0.0.1", lar.port)):
        lar.wait_counter("connections_accepted", 2)  # and the one that asks
    lar.wait_counter("tls_refused", 1)
    lar.stop()
    assert "client.tls" not in lar.events


def test_tls_where_there_is_none(authority, registry, larder):
    lar = larder(upstreams={"docker.io": registry.url})
    with pytest.raises(ssl.SSLError):
        connection(lar, authority.client())
    told = f"info client.tls 127.0.0.1 at {lar.host}: the client speaks TLS, and this listener has"
    lar.wait(lambda: told in lar.events, told)
    assert lar.counter("requests_bad") == 1


# --- files that change ---------------------------------------------------------------------------

def put(files, at):
    """As those do that renew certificates: a new file in the place of the old one."""
    for source, name in zip(files, ("cert.pem", "key.pem")):
        shutil.copy(source, at / "new")
        os.rename(at / "new", at / name)
    return at / "cert.pem", at / "key.pem"


@pytest.mark.parametrize("by_signal", [False, True])
def test_renewed_while_it_runs(authority, registry, larder, tmp_path, by_signal):
    files = put(authority.files(), tmp_path)
    lar = start(larder, registry, files,
                limits={"tls_files": "1h" if by_signal else "20ms"})
    context = authority.client()
    path = blob(registry)
    before = serial(lar, context)
    kept = connection(lar, context)
    kept.request("GET", path)
    under_way = kept.getresponse()
    head = under_way.read(1000)
    put(authority.files(), tmp_path)
    if by_signal:
        os.kill(lar.process.pid, signal.SIGHUP)
    lar.wait(lambda: serial(lar, context) != before, "another certificate")
    lar.wait(lambda: "certificate and key read again" in lar.events, "a line in the log")
    assert head + under_way.read() == BIG
    assert ask(kept, "/v2/").status == 200


def test_renewed_with_rubbish(authority, registry, larder, tmp_path):
    files = put(authority.files(), tmp_path)
    lar = start(larder, registry, files)
    context = authority.client()
    before = serial(lar, context)
    other = authority.files()
    shutil.copy(other[0], tmp_path / "cert.pem")
    lar.wait(lambda: "is not the key of the certificate" in lar.events, "it was noticed")
    assert serial(lar, context) == before
    shutil.copy(other[1], tmp_path / "key.pem")
    lar.wait(lambda: serial(lar, context) != before, "another certificate")
    (tmp_path / "cert.pem").unlink()
    lar.wait(lambda: lar.events.count("those before stay in use") == 2, "it was noticed")
    assert lar.events.count("is not the key of the certificate") == 1
    assert ask(connection(lar, context), "/v2/").status == 200


# --- bad input -----------------------------------------------------------------------------------

def rubbish(folder):
    path = folder / "rubbish.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\nnothing\n")
    return str(path)


@pytest.mark.parametrize("which, reason", [
    ("missing", "No such file"), ("certificate", "holds no certificate in PEM"),
    ("key", "holds no private key in PEM"), ("other", "is not the key of the certificate in"),
    ("locked", "without a password"), ("client_ca", "holds no certificate in PEM")])
def test_bad_files(authority, registry, larder, tmp_path, which, reason):
    cert, key = authority.files()
    ca = authority.ca_file
    if which == "missing":
        key = str(tmp_path / "none")
    elif which == "certificate":
        cert = rubbish(tmp_path)
    elif which == "key":
        key = rubbish(tmp_path)
    elif which == "other":
        key = authority.files()[1]
    elif which == "locked":
        plain, key = key, str(tmp_path / "locked")
        subprocess.run(["openssl", "ec", "-in", plain, "-aes128", "-passout", "pass:x",
                        "-out", key], check=True, capture_output=True)
    else:
        ca = rubbish(tmp_path)
    lar = start(larder, registry, (cert, key), client_ca=ca, start=False)
    run = subprocess.run(lar.command(), capture_output=True, text=True, timeout=20, check=False,
                         stdin=subprocess.DEVNULL)
    assert run.returncode == 2
    assert "larder.json: listen[0].tls." in run.stderr and reason in run.stderr
    assert run.stderr.count("\n") == 1


def test_check_says_so(authority, tmp_path):
    cert, key = authority.files()
    path = tmp_path / "c.json"
    path.write_text('{"listen": [{"address": "127.0.0.1:5000", "tls": '
                    f'{{"certificate": "{cert}", "key": "{key}", "client_ca": "{cert}"}}}}]}}')
    run = subprocess.run([PROGRAM, "check", str(path)], capture_output=True, text=True, check=False)
    assert run.returncode == 0
    assert "127.0.0.1:5000, TLS, clients need a certificate" in run.stdout
