"""Our own tokens: sign-in as Docker does it, and those who do not sign in beside those who do."""
import concurrent.futures
import re
import shutil

import pytest
from certificates import Authority
from larder import connect, drain
from push import begin, blob_path, manifest_path, put_image, uploads
from registry import noise
from test_53_reload import hang_up, renew, write
from test_81_listeners import ask, connection
from test_82_users import basic, passwd
from test_83_access import As
from test_90_hand_over import ended, successor

DATA = noise(300_000)
RULES = [
    {"users": ["release"], "repositories": ["**"], "actions": ["pull", "push", "delete"]},
    {"users": ["ci-*"], "repositories": ["stage/**"], "actions": ["pull"]},
    {"anonymous": True, "repositories": ["public/**", "docker.io/library/*"], "actions": ["pull"]},
    {"anonymous": True, "repositories": ["public/inbox"], "actions": ["push"]},
]
HOSTED = {"stage/**": {}, "public/**": {}}
RELEASE = basic("release", "of release")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("users") / "users"
    for name in "release", "ci-fork":
        assert passwd(path, name, "of " + name).returncode == 0
    return path


@pytest.fixture
def users(made, tmp_path):
    """A copy, which a test may change."""
    return shutil.copy(made, tmp_path / "users")


def config(users, **more):
    return {"listen": [{"address": "127.0.0.1:0", "role": "registry"}], "hosted": HOSTED,
            "auth": {"htpasswd": str(users)}, "access": RULES, **more}


@pytest.fixture
def lar(larder, registry, users):
    return larder(config=config(users), upstreams={"docker.io": registry.url})


def token(lar, headers=None, query="service=larder"):
    reply = lar.get("/-/token?" + query, headers)
    assert reply.status == 200, reply
    said = reply.json()
    assert said["token"] == said["access_token"]
    assert reply.headers["cache-control"] == "no-store"
    return said["token"]


def bearer(text):
    return {"Authorization": "Bearer " + text}


class By(As):
    """The server as it is asked with a token: of a user, or of nobody."""

    def __init__(self, lar, name=None):
        super().__init__(lar, name or "")
        self.token = token(lar, basic(name, "of " + name) if name else None)
        self.says = bearer(self.token)


def refused(reply, error=None):
    """By a challenge that names this error, or none."""
    assert (reply.status, reply.code()) == (401, "UNAUTHORIZED"), reply
    said = reply.headers["www-authenticate"]
    assert said.startswith("Bearer realm=\""), said
    assert re.findall(r'error="(.*?)"', said) == ([error] if error else []), said
    return True


# --- challenges -----------------------------------------------------------------------------------

@pytest.mark.parametrize("method, path, scope", [
    ("GET", "/v2/", None), ("GET", "/v2/nonsense", None), ("GET", "/other", None),
    ("GET", "/v2/stage/app/manifests/1", "repository:stage/app:pull"),
    ("HEAD", "/v2/stage/app/manifests/1", "repository:stage/app:pull"),
    ("GET", "/v2/library/x/tags/list", "repository:library/x:pull"),
    ("GET", "/v2/docker.io/x/tags/list?ns=a%22b", None),
    ("GET", "/v2/docker.io/x/tags/list", "repository:docker.io/x:pull"),
    ("GET", "/v2/_catalog?n=5", "registry:catalog:*"),
    ("POST", "/v2/stage/app/blobs/uploads/", "repository:stage/app:pull,push"),
    ("GET", "/v2/stage/app/blobs/uploads/x", "repository:stage/app:pull,push"),
    ("DELETE", "/v2/stage/app/blobs/uploads/x", "repository:stage/app:pull,push"),
    ("PUT", "/v2/stage/app/manifests/1", "repository:stage/app:pull,push"),
    ("DELETE", "/v2/stage/app/manifests/1", "repository:stage/app:delete"),
])
def test_challenge(lar, method, path, scope):
    reply = lar.get(path, method=method)
    assert reply.status == 401 and (method == "HEAD" or reply.code() == "UNAUTHORIZED")
    wanted = f'Bearer realm="http://{lar.host}/-/token",service="larder"'
    assert reply.headers["www-authenticate"] == wanted + (f',scope="{scope}"' if scope else "")
    assert reply.headers["docker-distribution-api-version"] == "registry/2.0"


def challenge(lar, head):
    said, _ = lar.raw(f"GET /v2/ {head}\r\nConnection: close\r\n\r\n".encode())
    assert said.startswith(b"HTTP/1.1 401 "), said
    return re.findall(r"(?i)www-authenticate: (.*?)\r\n", said.decode())


@pytest.mark.parametrize("head, realm", [
    ("HTTP/1.1\r\nHost: cache.example", "http://cache.example/-/token"),
    ("HTTP/1.1\r\nHost: [::1]:5000", "http://[::1]:5000/-/token"),
    ("HTTP/1.1\r\nHost: cache.example\r\nX-Forwarded-Proto: https",
     "https://cache.example/-/token"),
    ("HTTP/1.1\r\nHost: cache.example\r\nX-Forwarded-Proto: x\"", "http://cache.example/-/token"),
    ("HTTP/1.1\r\nHost:", None), ("HTTP/1.0", None), ("HTTP/1.1\r\nHost: " + "a" * 263, None)])
def test_the_realm_is_where_the_client_came(lar, head, realm):
    """A client that names no host is asked for a password at once."""
    wanted = f'Bearer realm="{realm}",service="larder"' if realm else \
        'Basic realm="larder", charset="UTF-8"'
    assert challenge(lar, head) == [wanted]


@pytest.mark.parametrize("host", ['a"b', "a b", "a\\b", "a,b\"", "a\tb"])
def test_no_host_breaks_out_of_the_challenge(lar, host):
    said, _ = lar.raw(f"GET /v2/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert said.startswith(b"HTTP/1.1 400 ")


def test_by_tls(larder, users, tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.files()
    tls = {"certificate": str(cert), "key": str(key)}
    lar = larder(config=config(users, listen=[
        {"address": "127.0.0.1:0", "role": "registry", "tls": tls}]))
    made = connection(lar, authority.client())
    reply = ask(made, "/v2/")
    assert reply.status == 401
    assert f'realm="https://{lar.host}/-/token"' in reply.headers["www-authenticate"]


# --- sign-in --------------------------------------------------------------------------------------

def test_login(lar):
    """As `docker login` does it."""
    reply = lar.get("/-/token?account=release&client_id=docker&offline_token=true&service=larder",
                    RELEASE)
    assert reply.status == 200 and reply.headers["content-type"] == "application/json"
    said = reply.json()
    assert set(said) == {"token", "access_token", "expires_in"} and said["expires_in"] == 270
    assert lar.get("/v2/", bearer(said["token"])).status == 200
    assert lar.get("/v2/", {"Authorization": "bearer  " + said["token"]}).status == 200
    assert lar.get("/v2/", RELEASE).status == 200  # a password goes on to count by itself
    assert all(line.endswith(" user=release") for line in lar.lines(4))


def test_a_token_is_its_user(lar):
    """What that one may is what the rules say, whatever the token was asked for."""
    release, fork = By(lar, "release"), By(lar, "ci-fork")
    img = put_image(release, "1", [DATA], repo="stage/app")
    assert fork.get(manifest_path("1", "stage/app")).body == img.body
    fork.says = bearer(token(lar, basic("ci-fork", "of ci-fork"),
                             "scope=repository:stage/app:pull,push&account=release"))
    reply = fork.send("POST", uploads("stage/app"))
    assert (reply.status, reply.code()) == (403, "DENIED") and "ci-fork" in reply.message()
    assert release.delete(manifest_path("1", "stage/app")).status == 202


def test_an_upload_is_of_the_user_by_password_and_token(lar):
    location = begin(By(lar, "release"), "stage/app")
    assert As(lar, "release").send("PATCH", location, DATA).status == 202
    assert By(lar, "release").get(location).headers["range"] == f"0-{len(DATA) - 1}"


@pytest.mark.parametrize("headers", [
    basic("release", "wrong"), basic("nobody", "of release"), basic("", ""), bearer("x"),
    {"Authorization": "Basic ****"}, {"Authorization": ""}])
def test_wrong_password(lar, headers):
    reply = lar.get("/-/token?service=larder", headers)
    assert (reply.status, reply.code()) == (401, "UNAUTHORIZED")
    assert reply.headers["www-authenticate"] == 'Basic realm="larder", charset="UTF-8"'


def test_a_token_gives_no_other(lar):
    assert lar.get("/-/token", bearer(token(lar, RELEASE))).status == 401


@pytest.mark.parametrize("method", ["PUT", "HEAD", "DELETE"])
def test_by_get_and_post_alone(lar, method):
    reply = lar.send(method, "/-/token", b"" if method == "HEAD" else FORM, RELEASE)
    assert reply.status == 404 and "www-authenticate" not in reply.headers


# As containerd asks, which knows that a user is there.
FORM = (b"client_id=containerd-client&grant_type=password&password=of+release&scope=repository%3A"
        b"stage%2Fapp%3Apull&service=larder&username=release")


@pytest.mark.parametrize("form, chunk", [
    (FORM, 0), (FORM, 7), (b"grant_type=password&username=%72elease&password=of%20release", 0),
    (FORM + b"&scope=" + b"x" * 16_000, 0)], ids=["whole", "chunks", "encoded", "long"])
def test_by_form(lar, form, chunk):
    reply = lar.send("POST", "/-/token", form, chunk=chunk)
    assert reply.status == 200 and reply.headers["cache-control"] == "no-store"
    said = reply.json()
    assert set(said) == {"token", "access_token", "expires_in"}
    assert lar.get("/v2/", bearer(said["access_token"])).status == 200
    assert lar.lines(2)[1].endswith(" user=release")


@pytest.mark.parametrize("form, status", [
    (b"", 400), (b"grant_type=refresh_token&refresh_token=x&service=larder", 400),
    (b"grant_type=passwords&username=release&password=of+release", 400),
    (b"grant_type=password&username=release&password=wrong", 401),
    (b"grant_type=password&username=nobody&password=of+release", 401),
    (b"grant_type=password&username=release", 401), (b"grant_type=password&password=x", 401),
    (b"grant_type=password&username=release%00&password=of+release", 401),
    (b"grant_type=password&username=release&password=" + b"x" * 100, 401),
    (FORM + b"&scope=" + b"x" * 17_000, 413)], ids=range(10))
def test_forms_that_are_refused(lar, form, status):
    reply = lar.send("POST", "/-/token", form, RELEASE)  # what Basic says does not count
    assert reply.status == status, reply
    assert reply.code() == {400: "UNSUPPORTED", 401: "UNAUTHORIZED", 413: "SIZE_INVALID"}[status]
    assert ("www-authenticate" in reply.headers) == (status == 401)
    assert status != 400 or "unsupported_grant_type" in reply.message()


def test_a_form_that_does_not_come(larder, registry, users):
    lar = larder(config=config(users), limits={"client_headers": "100ms"},
                 upstreams={"docker.io": registry.url})
    slow = lar.begin("/-/token", {"Content-Length": 100}, "POST")
    slow.push(FORM[:50])
    assert slow.done().status == 400
    gone = lar.begin("/-/token", {"Content-Length": 100}, "POST")
    gone.push(FORM[:50])
    gone.reset()
    assert lar.send("POST", "/-/token", FORM).status == 200


def test_guesses_by_forms_are_limited(lar):
    assert lar.send("POST", "/-/token", FORM).status == 200
    wrong = FORM.replace(b"of+release", b"guess")
    statuses = [lar.send("POST", "/-/token", wrong).status for _ in range(22)]
    assert statuses == [401] * 20 + [429] * 2
    assert lar.get("/v2/", basic("release", "a guess")).status == 429
    assert lar.send("POST", "/-/token", FORM).status == 200  # remembered


def test_guesses_are_limited(lar):
    """Together with those at other paths. Those in the eight threads of the pool count late."""
    assert By(lar, "ci-fork").get("/v2/").status == 200
    good = By(lar, "release")
    asked = [lar.begin("/-/token" if i % 2 else "/v2/", basic("release", f"guess {i}"))
             for i in range(35)]
    replies = [one.done() for one in asked]
    statuses = [reply.status for reply in replies]
    assert set(statuses) == {401, 429} and 20 <= statuses.count(401) < 20 + 8
    for reply in replies:
        if reply.status == 429:
            assert reply.code() == "TOOMANYREQUESTS"
            assert 0 < int(reply.headers["retry-after"]) <= 61
    assert By(lar, "release").token and good.get("/v2/").status == 200  # remembered
    assert By(lar).get("/v2/").status == 200


def test_many_at_once(lar):
    with concurrent.futures.ThreadPoolExecutor(15) as pool:
        asked = [pool.submit(token, lar, RELEASE) for _ in range(60)]
        for one in asked:
            assert lar.get("/v2/", bearer(one.result())).status == 200


def test_clients_that_leave(lar):
    """While their password is looked at."""
    for i in range(10):
        lar.begin("/-/token", basic("release", f"guess {i}")).reset()
    assert By(lar, "release").get("/v2/").status == 200


def test_no_secret_in_the_log(larder, registry, users):
    lar = larder(config=config(users, log={"level": "debug"}),
                 upstreams={"docker.io": registry.url})
    given = token(lar, RELEASE)
    lar.get("/v2/", bearer(given))
    lar.get("/v2/", bearer(given[:-1] + "x"))
    lar.get("/-/token", basic("release", "a wrong one"))
    lar.send("POST", "/-/token", FORM)
    lar.lines(5)
    lar.wait(lambda: "wrong user or password" in lar.events, "it was told")
    said = lar.events + "\n".join(lar.access)
    for secret in given, "of release", "of+release", "a wrong one", RELEASE["Authorization"][6:]:
        assert secret not in said


# --- nobody ---------------------------------------------------------------------------------------

def test_anonymous_beside_users(lar, registry):
    base = "/v2/library/x/blobs/" + registry.add_blob("library/x", DATA)
    corp = "/v2/corp/x/blobs/" + registry.add_blob("corp/x", DATA[:1000])
    release, nobody, fork = By(lar, "release"), By(lar), By(lar, "ci-fork")
    mine = put_image(release, "1", [DATA[:5000]], repo="stage/app")
    open_to_all = put_image(release, "1", [DATA[:7000]], repo="public/app")
    assert nobody.get("/v2/").status == 200
    for reader in nobody, fork:
        assert reader.get(manifest_path("1", "public/app")).body == open_to_all.body
        assert reader.get(blob_path(open_to_all.layers[0], "public/app")).body == DATA[:7000]
        assert reader.get(base).body == DATA
    for path in manifest_path("1", "stage/app"), blob_path(mine.layers[0], "stage/app"), corp:
        assert refused(nobody.get(path), "insufficient_scope")
    for method, path in (("PUT", manifest_path("1", "public/app")),
                         ("POST", uploads("public/app")), ("POST", uploads("stage/app"))):
        assert refused(nobody.send(method, path), "insufficient_scope")
    assert refused(nobody.delete(manifest_path("1", "public/app")), "insufficient_scope")
    assert nobody.get("/v2/_catalog").json()["repositories"] == ["public/app"]
    assert fork.get("/v2/_catalog").json()["repositories"] == ["public/app", "stage/app"]
    assert refused(lar.get(manifest_path("1", "public/app")))  # a token is wanted all the same
    assert not any(" user=" in line for line in lar.access if "/public/app/blobs/" in line
                   and " method=GET" in line and "fork" not in line)


def test_an_upload_of_nobody(lar):
    nobody, release = By(lar), By(lar, "release")
    location = begin(nobody, "public/inbox")
    reply = release.send("PATCH", location, DATA)
    assert (reply.status, reply.code()) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert By(lar).send("PATCH", location, DATA).status == 202
    theirs = begin(release, "public/inbox")
    assert nobody.send("PATCH", theirs, DATA).status == 404


@pytest.mark.parametrize("rules", [RULES[:2], [], None])
def test_no_token_for_nobody_where_rules_have_none(larder, users, rules):
    asked = config(users, access=rules)
    if rules is None:
        del asked["access"]
    lar = larder(config=asked)
    reply = lar.get("/-/token?service=larder&scope=repository:stage/app:pull")
    assert (reply.status, reply.code()) == (401, "UNAUTHORIZED")
    assert By(lar, "release").get("/v2/").status == 200


def test_anonymous_without_users(larder, registry):
    """Then nobody is asked anything."""
    lar = larder(config={"listen": [{"address": "127.0.0.1:0", "role": "registry"}],
                         "hosted": HOSTED, "access": RULES[2:]},
                 upstreams={"docker.io": registry.url})
    base = "/v2/library/x/blobs/" + registry.add_blob("library/x", DATA)
    assert lar.get("/v2/").status == 200
    assert lar.get(base).body == DATA
    reply = lar.get(manifest_path("1", "stage/app"))
    assert (reply.status, reply.code()) == (403, "DENIED")
    assert lar.get("/-/token").status == 404


def test_other_listeners_have_no_tokens(larder, users):
    lar = larder(config=config(users, listen=[
        {"address": "127.0.0.1:0", "role": "registry"},
        {"address": "127.0.0.1:0", "role": "mirror"}, {"address": "127.0.0.1:0", "role": "admin"}]))
    given = token(lar.door(0), RELEASE)
    for number in 1, 2:
        assert lar.door(number).get("/-/token", RELEASE).status == 404
    assert lar.door(0).get("/v2/", bearer(given)).status == 200


# --- wrong tokens ---------------------------------------------------------------------------------

def test_forged(lar, larder, users):
    """Whatever is changed in a token ends it, and so does the key of another server."""
    good = By(lar, "release").token
    assert lar.get("/v2/", bearer(good)).status == 200
    name = "release".encode().hex()
    assert good[16:16 + len(name)] == name
    spoilt = [good[:i] + ("0" if good[i] != "0" else "1") + good[i + 1:]
              for i in range(0, len(good), 7)]
    spoilt += [good[:-2], good + "00", good[2:], "", "0" * len(good), good.upper(),
               good[:16] + "ci-fork".encode().hex() + good[16 + len(name):],  # of the same length
               good[:16] + good[16 + len(name):],                             # of nobody
               "f" * 16 + good[16:],                                          # for ever
               By(lar).token[:16] + name + By(lar).token[16:],
               token(larder(config=config(users)), RELEASE), "ü" * 40, "a" * 2000, "%00", "a b"]
    for text in spoilt:
        assert text != good and refused(lar.get("/v2/", bearer(text)), "invalid_token"), text
    assert lar.get("/v2/", bearer(good)).status == 200


def test_a_token_ends(larder, registry, users):
    lar = larder(config=config(users), limits={"token": "300ms"},
                 upstreams={"docker.io": registry.url})
    short = lar.get("/-/token", RELEASE).json()
    assert short["expires_in"] == 1
    lar.wait(lambda: lar.get("/v2/", bearer(short["token"])).status == 401, "its time is over")
    assert refused(lar.get("/v2/", bearer(short["token"])), "invalid_token")
    assert token(lar, RELEASE) != short["token"]


def test_a_body_that_began_in_time_is_taken(larder, registry, users):
    lar = larder(config=config(users), limits={"token": "3s"},
                 upstreams={"docker.io": registry.url})
    location = begin(As(lar, "release"), "stage/app")
    while not lar.counter("upload_bytes"):  # again, should it end before it is heard
        given = token(lar, RELEASE)
        under_way = lar.begin(location, {**bearer(given), "Transfer-Encoding": "chunked"}, "PATCH")
        under_way.chunk(DATA[:1000])
        lar.wait(lambda p=under_way: lar.counter("upload_bytes") or p.headed.is_set(), "heard")
    lar.wait(lambda: lar.get("/v2/", bearer(given)).status == 401, "its time is over")
    under_way.chunk(DATA[1000:])
    under_way.chunk(b"")
    assert under_way.done().status == 202


def test_another_password_ends_tokens(lar, users):
    """The file is looked at when a token is asked for, whoever asks."""
    old, fork = By(lar, "release"), By(lar, "ci-fork")
    assert passwd(users, "release", "another").returncode == 0
    assert lar.get("/-/token", RELEASE).status == 401  # though it was remembered
    assert refused(old.get("/v2/"), "invalid_token")
    assert fork.get("/v2/").status == 200
    assert lar.get("/v2/", bearer(token(lar, basic("release", "another")))).status == 200
    users.write_text("".join(line for line in users.read_text().splitlines(True)
                             if not line.startswith("ci-fork:")))
    token(lar, basic("release", "another"))
    assert refused(fork.get("/v2/"), "invalid_token")


# --- longer than one configuration, and one process -----------------------------------------------

def test_reload(lar, users):
    release, nobody = By(lar, "release"), By(lar)
    img = put_image(release, "1", [DATA], repo="public/app")
    renew(lar, access=RULES[:3])
    assert release.get(manifest_path("1", "public/app")).body == img.body
    assert nobody.get(manifest_path("1", "public/app")).body == img.body
    assert refused(nobody.send("POST", uploads("public/inbox")), "insufficient_scope")
    renew(lar, access=RULES[:2])
    assert refused(nobody.get("/v2/"), "invalid_token")
    del lar.config["access"]
    renew(lar)  # nobody is asked what they may; but everybody who they are
    assert refused(nobody.get(manifest_path("1", "public/app")), "invalid_token")
    assert release.get(manifest_path("1", "public/app")).body == img.body
    assert passwd(users, "release", "another").returncode == 0
    write(lar)
    hang_up(lar)
    assert refused(release.get("/v2/"), "invalid_token")


def test_restart_ends_tokens(lar):
    release, nobody = By(lar, "release"), By(lar)
    lar.stop()
    lar.start()
    for one in release, nobody:
        assert refused(lar.get("/v2/", one.says), "invalid_token")
    assert By(lar, "release").get("/v2/").status == 200


def test_hand_over_keeps_tokens(lar, larder):
    release, nobody = By(lar, "release"), By(lar)
    location = begin(release, "stage/app")
    new = successor(larder, lar, listen=[])
    new.config["listen"] = [{"address": lar.host, "role": "registry"}]
    new.start()
    ended(lar)
    assert new.send("PATCH", location, DATA, release.says).status == 202
    assert new.get("/v2/", nobody.says).status == 200


def test_pipelined(lar):
    """One connection may come as several: each request says for itself who asks."""
    given = token(lar, RELEASE)
    with connect(lar) as sock:
        for field in f"Authorization: Bearer {given}\r\n", "", "Connection: close\r\n":
            sock.sendall(f"GET /v2/ HTTP/1.1\r\nHost: x\r\n{field}\r\n".encode())
        said, closed = drain(sock)
    assert closed and re.findall(rb"HTTP/1.1 (\d+)", said) == [b"200", b"401", b"401"]
