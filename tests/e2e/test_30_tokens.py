"""Tokens and credentials: every form of challenge, one token for all, nothing told to strangers."""
import pytest
from registry import Basic, Bearer, Registry, noise

TAG = "/v2/library/x/manifests/latest"


def image(registry, size=3000):
    return registry.add_image("library/x", "latest", [noise(size)])


def with_credentials(registry, larder, credentials, **more):
    config = {"upstreams": {"docker.io": {"credentials": credentials,
                                          "endpoints": [registry.url]}}}
    return larder(config=config, **more)


@pytest.mark.parametrize("forms", ["quoted", "unquoted", "several", "lines", "lower"])
def test_anonymous_token(registry, larder, forms):
    img = image(registry)
    registry.auth = Bearer(forms=forms)
    lar = larder(upstreams={"docker.io": registry.url})
    assert lar.get(TAG).body == img.body
    assert lar.get("/v2/library/x/blobs/" + img.layers[0]).status == 200
    assert registry.tokens == 1
    asked = registry.seen("GET", "/token")[0]
    assert "service=registry.test" in asked.query
    assert "scope=repository%3Alibrary%2Fx%3Apull" in asked.query
    assert "authorization" not in asked.headers


def test_fifty_clients_one_token(registry, larder):
    img = image(registry)
    registry.auth = Bearer()
    gate = registry.on("GET", "/token").hold_headers()
    lar = larder(upstreams={"docker.io": registry.url})
    pending = [lar.begin(TAG) for _ in range(50)]
    assert gate.reached()
    lar.wait_counter("asks_joined", 49)
    gate.open()
    assert all(p.done().body == img.body for p in pending)
    assert registry.tokens == 1
    allowed = [x for x in registry.seen(None, "manifests") if "authorization" in x.headers]
    assert sorted(x.method for x in allowed) == ["GET", "HEAD"]


def test_different_blobs_share_the_token(registry, larder):
    registry.auth = Bearer()
    digests = [registry.add_blob("library/x", noise(500_000, i)) for i in range(10)]
    lar = larder(upstreams={"docker.io": registry.url}, args=["--workers", "4"])
    pending = [lar.begin("/v2/library/x/blobs/" + digest) for digest in digests]
    assert all(p.done().complete for p in pending)
    assert registry.tokens == 1


def test_token_that_expires_in_mid_blob(registry, larder):
    data = noise(2_000_000)
    digest = registry.add_blob("library/x", data)
    registry.auth = Bearer()
    gate = registry.on("GET", digest).skip(1).hold_after(700_000)
    lar = larder(upstreams={"docker.io": registry.url})
    pending = lar.begin("/v2/library/x/blobs/" + digest)
    assert gate.reached()
    registry.revoke_tokens()
    registry.on("GET", digest).skip(1)
    for connection in list(registry._connections):
        connection.close()
    registry.stop()
    registry.start_again()
    reply = pending.done()
    assert reply.complete and reply.body == data
    assert registry.tokens == 2
    assert any("range" in x.headers for x in registry.seen("GET", digest))


def test_short_lived_token_is_asked_for_again(registry, larder):
    img = image(registry)
    registry.auth = Bearer()
    lar = larder(upstreams={"docker.io": registry.url}, args=["--tag-ttl", "0s"])
    lar.get(TAG)
    registry.revoke_tokens()
    assert lar.get(TAG).body == img.body
    assert registry.tokens == 2


def test_user_and_password(registry, larder):
    img = image(registry)
    registry.auth = Bearer(user="ann", password="s:ecret")
    lar = with_credentials(registry, larder, {"user": "ann", "password": "s:ecret"})
    assert lar.get(TAG).body == img.body
    asked = registry.seen("GET", "/token")[0]
    assert asked.headers["authorization"] == Basic("ann", "s:ecret").value
    assert "account=ann" in asked.query
    assert "s:ecret" not in lar.events and "s:ecret" not in "".join(lar.access)


def test_wrong_password(registry, larder):
    image(registry)
    registry.auth = Bearer(user="ann", password="right")
    lar = with_credentials(registry, larder, {"user": "ann", "password": "wr0ng"})
    reply = lar.get(TAG)
    assert reply.status == 404 and "docker.io" in reply.message()
    assert "wr0ng" not in lar.events + str(reply)


def test_basic(registry, larder):
    img = image(registry)
    registry.auth = Basic("ann", "secret")
    lar = with_credentials(registry, larder, {"user": "ann", "password": "secret"})
    assert lar.get(TAG).body == img.body
    assert lar.get("/v2/library/x/blobs/" + img.layers[0]).status == 200


@pytest.mark.parametrize("auth", [Basic("ann", "hush-hush"),
                                  Bearer(user="ann", password="hush-hush")], ids=["basic", "token"])
def test_no_log_tells_a_secret(registry, larder, auth):
    """Not even at the finest level, and not where upstream breaks or refuses."""
    img = image(registry)
    registry.auth = auth
    lar = with_credentials(registry, larder, {"user": "ann", "password": "hush-hush"},
                           args=["--log-level", "debug"], limits={"retry_min": "1ms"})
    assert lar.get(TAG).status == 200
    registry.on("GET", img.layers[0]).reset()
    assert lar.get("/v2/library/x/blobs/" + img.layers[0]).status == 200
    registry.auth = Basic("ann", "another")
    assert lar.get("/v2/library/x/manifests/other").status == 404
    lar.stop()
    for secret in "hush-hush", Basic("ann", "hush-hush").value[6:], "token-1":
        assert secret not in lar.events + "".join(lar.access)


def test_identity_token_by_post(registry, larder):
    img = image(registry)
    registry.auth = Bearer(identity="refresh-me")
    lar = with_credentials(registry, larder, {"identity_token": "refresh-me"})
    assert lar.get(TAG).body == img.body
    asked = registry.seen("POST", "/token")[0]
    assert b"grant_type=refresh_token" in asked.body
    assert "authorization" not in asked.headers
    assert "refresh-me" not in lar.events


def test_no_credential_where_one_is_wanted(registry, larder):
    image(registry)
    registry.auth = Basic("ann", "secret")
    lar = larder(upstreams={"docker.io": registry.url})
    reply = lar.get(TAG)
    assert reply.status == 404 and "www-authenticate" not in reply.headers


def test_realm_of_a_stranger_is_not_asked(registry, larder):
    image(registry)
    stranger = Registry(host="127.0.0.2")
    stranger.auth = Bearer()
    registry.auth = Bearer(realm=stranger.url + "/token", user="ann", password="secret")
    lar = with_credentials(registry, larder, {"user": "ann", "password": "secret"})
    reply = lar.get(TAG)
    assert reply.status == 404 and "trusted_realms" in reply.message()
    assert stranger.requests == []
    stranger.stop()


def test_trusted_realm(registry, larder):
    img = image(registry)
    realm = Registry(host="127.0.0.2")
    realm.auth = registry.auth = Bearer(realm=realm.url + "/token")
    registry._valid = realm._valid
    lar = larder(config={"upstreams": {"docker.io": {"endpoints": [registry.url],
                                                     "trusted_realms": ["127.0.0.2"]}}})
    assert lar.get(TAG).body == img.body
    assert realm.tokens == 1
    realm.stop()


def test_token_server_that_fails(registry, larder):
    image(registry)
    registry.auth = Bearer()
    registry.on("GET", "/token").always().status(503)
    lar = larder(upstreams={"docker.io": registry.url})
    assert lar.get(TAG).status == 502
    registry.clear_rules()
    assert lar.get(TAG).status == 200


@pytest.mark.parametrize("body", [b"", b"{}", b'{"token": 7}', b'{"token": "a\\nb"}', b"[" * 5000])
def test_token_answers_that_are_none(registry, larder, body):
    image(registry)
    registry.auth = Bearer()
    registry.on("GET", "/token").always().status(200, {"Content-Type": "application/json"}, body)
    lar = larder(upstreams={"docker.io": registry.url}, limits={"retry_min": "1ms"})
    assert lar.get(TAG).status in (404, 502)
