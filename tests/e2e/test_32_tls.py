"""TLS towards upstreams: who is believed, and how a body ends."""
import socket
import threading

import pytest
from certificates import Authority
from connectproxy import ConnectProxy
from registry import Registry, digest_of, noise

DATA = noise(1_000_000)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def secure(authority):
    """Makes TLS registries."""
    made = []

    def make(names="IP:127.0.0.1", by=authority, **more):
        made.append(Registry(tls=by.server(names, **more)))
        return made[-1]

    yield make
    for one in made:
        one.clear_rules()
        one.stop()


def start(larder, registry, authority=None, insecure=False, url=None, **more):
    upstream = {"endpoints": [url or registry.url]}
    if authority:
        upstream["ca_file"] = authority.ca_file
    if insecure:
        upstream["insecure"] = True
    return larder(config={"upstreams": {"docker.io": upstream}},
                  limits={"retry_min": "1ms", **more.pop("limits", {})}, **more)


def blob(registry, data=DATA):
    return "/v2/library/x/blobs/" + registry.add_blob("library/x", data)


def test_own_ca(secure, authority, larder):
    registry = secure()
    lar = start(larder, registry, authority)
    reply = lar.get(blob(registry))
    assert reply.complete and reply.body == DATA
    assert lar.counter("upstream_connections") == 1


def test_connection_is_kept(secure, authority, larder):
    registry = secure()
    lar = start(larder, registry, authority, args=["--workers", "1"])
    for seed in range(3):
        assert lar.get(blob(registry, noise(300_000, seed))).status == 200
    assert lar.counter("upstream_connections") == 1


def refused(lar, registry, reason):
    reply = lar.get(blob(registry))
    assert (reply.status, reply.code()) == (502, "UNAVAILABLE")
    lar.wait(lambda: reason in lar.events, reason)
    assert registry.requests == []
    assert lar.kept() == set()


def test_unknown_ca(secure, larder):
    registry = secure()
    refused(start(larder, registry), registry, "certificate")


def test_another_ca(secure, larder, tmp_path):
    registry = secure()
    other = Authority(tmp_path, "other")
    refused(start(larder, registry, other), registry, "certificate")


def test_wrong_name(secure, authority, larder):
    registry = secure("DNS:elsewhere.example")
    refused(start(larder, registry, authority), registry, "127.0.0.1")


def test_expired(secure, authority, larder):
    registry = secure(expired=True)
    refused(start(larder, registry, authority), registry, "expired")


def test_insecure_only_when_said(secure, larder):
    registry = secure("DNS:elsewhere.example")
    lar = start(larder, registry, insecure=True)
    assert lar.get(blob(registry)).body == DATA


def test_plain_registry_behind_https(registry, larder):
    lar = start(larder, registry, url=registry.url.replace("http:", "https:"),
                limits={"tls": "300ms"})
    assert lar.get(blob(registry)).status in (502, 504)
    lar.wait(lambda: "TLS handshake" in lar.events, "a line in the log")


def test_ca_file_that_is_none(registry, larder, tmp_path):
    (tmp_path / "bad.pem").write_text("no certificate")
    lar = larder(start=False, config={"upstreams": {"docker.io": {
        "endpoints": [registry.url], "ca_file": str(tmp_path / "bad.pem")}}})
    with pytest.raises(AssertionError):
        lar.start()
    lar.wait(lambda: "bad.pem" in lar.events, "a line in the log")
    lar.process.wait(10)
    lar.process = None


def test_https_never_goes_on_as_http(secure, authority, larder, registry):
    first = secure()
    path = blob(first)
    first.on(None, "blobs").always().redirect(registry.add_file("/plain", DATA))
    lar = start(larder, first, authority)
    reply = lar.get(path)
    assert (reply.status, reply.code()) == (502, "UNAVAILABLE")
    lar.wait(lambda: "https to http" in lar.events, "a line in the log")
    assert registry.requests == []


def test_redirect_to_storage_over_tls(secure, authority, larder):
    first, storage = secure(), secure()
    path = blob(first)
    first.on("GET", "blobs").redirect(storage.add_file("/signed", DATA))
    lar = start(larder, first, authority)
    reply = lar.get(path)
    assert reply.complete and reply.body == DATA and storage.hits("GET", "/signed") == 1


@pytest.mark.parametrize("chunked", [False, True])
def test_cut_without_close_notify(secure, authority, larder, chunked):
    registry = secure()
    path = blob(registry)
    rule = registry.on("GET", path)
    if chunked:
        rule.chunked()
    rule.drop_after(400_000)
    lar = start(larder, registry, authority)
    reply = lar.get(path)
    assert reply.complete and reply.body == DATA
    assert "range" in registry.seen("GET", path)[-1].headers


def test_body_until_close_needs_close_notify(authority, larder):
    """Without a length only the TLS end proves that the body is whole."""
    context = authority.server()
    listener = socket.create_server(("127.0.0.1", 0))
    body = noise(300_000, 5)

    def serve():
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            try:
                connection = context.wrap_socket(raw, server_side=True)
                while b"\r\n\r\n" not in connection.recv(65536):
                    pass
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + body[:200_000])
                connection.close()
            except OSError:
                raw.close()

    threading.Thread(target=serve, daemon=True).start()
    lar = larder(config={"upstreams": {"docker.io": {
        "endpoints": [f"https://127.0.0.1:{listener.getsockname()[1]}"],
        "ca_file": authority.ca_file}}}, limits={"retry_min": "1ms", "retry_for": "1s"})
    reply = lar.get("/v2/library/x/blobs/" + digest_of(body))
    assert reply.status == 502 or not reply.complete
    listener.close()


@pytest.mark.parametrize("password", ["", "me:p%40ss@"])
def test_through_a_connect_proxy(secure, authority, larder, password):
    registry = secure("DNS:registry.example")
    proxy = ConnectProxy(registry.port)
    env = {"HTTPS_PROXY": f"http://{password}127.0.0.1:{proxy.port}", "NO_PROXY": ""}
    lar = start(larder, registry, authority, url="https://registry.example", env=env)
    assert lar.get(blob(registry)).body == DATA
    assert proxy.asked[0].startswith("CONNECT registry.example:443 HTTP/1.1\r\n")
    assert ("Proxy-Authorization: Basic bWU6cEBzcw==" in proxy.asked[0]) == bool(password)
    assert "p@ss" not in lar.events
    proxy.stop()


def test_proxy_that_refuses(secure, authority, larder):
    registry = secure("DNS:registry.example")
    proxy = ConnectProxy(registry.port, status=407)
    lar = start(larder, registry, authority, url="https://registry.example",
                env={"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}", "NO_PROXY": ""})
    assert lar.get(blob(registry)).status == 502
    lar.wait(lambda: "the proxy wants a user and password" in lar.events, "a line in the log")
    proxy.stop()


def test_no_proxy(secure, authority, larder):
    registry = secure("DNS:registry.example")
    proxy = ConnectProxy(registry.port)
    lar = start(larder, registry, authority, url="https://registry.example",
                limits={"first_byte": "3s"},
                env={"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}", "NO_PROXY": ".example"})
    lar.get(blob(registry))
    assert proxy.asked == []
    proxy.stop()
