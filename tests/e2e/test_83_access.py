"""Access rules: who may pull, push and delete where, by user or certificate."""
import copy
import subprocess

import pytest
from certificates import Authority
from push import (begin, blob_path, image_body, manifest_path, put_blob, put_image, put_manifest,
                  uploads, with_query)
from registry import digest_of, noise
from test_53_reload import hang_up, write
from test_81_listeners import ask, connection
from test_82_users import basic, passwd

DATA = noise(300_000)
RULES = [
    {"users": ["release"], "repositories": ["stage/**"], "actions": ["pull", "push", "delete"]},
    {"users": ["ci-*"], "repositories": ["stage/**", "docker.io/library/*"], "actions": ["pull"]},
    {"users": ["ci-main"], "repositories": ["stage/main/**"], "actions": ["push"]},
    {"users": ["other"], "repositories": ["other/**"], "actions": ["pull", "push"]},
]
NAMES = ("release", "ci-fork", "ci-main", "other")
HOSTED = {"stage/**": {}, "other/**": {}}


@pytest.fixture(scope="module")
def users(tmp_path_factory):
    path = tmp_path_factory.mktemp("users") / "users"
    for name in NAMES:
        assert passwd(path, name, "of " + name).returncode == 0
    return path


def config(users, **more):
    return {"listen": [{"address": "127.0.0.1:0", "role": "registry"}], "hosted": HOSTED,
            "auth": {"htpasswd": str(users)}, "access": RULES, **more}


class As:
    """The server as one user asks it."""

    def __init__(self, lar, name):
        self.lar = copy.copy(lar)
        self.says = basic(name, "of " + name)

    def send(self, method, path, body=b"", headers=None, chunk=0):
        return self.lar.send(method, path, body, {**self.says, **(headers or {})}, chunk)

    def get(self, path, headers=None, method="GET"):
        return self.lar.get(path, {**self.says, **(headers or {})}, method)

    def head(self, path):
        return self.get(path, method="HEAD")

    def delete(self, path):
        return self.get(path, method="DELETE")


@pytest.fixture
def lar(larder, registry, users):
    return larder(config=config(users), upstreams={"docker.io": registry.url})


def denied(reply, *words):
    assert (reply.status, reply.code()) == (403, "DENIED"), reply
    assert all(word in reply.message() for word in words), reply
    return True


def test_each_action(lar):
    release, fork, main, other = (As(lar, name) for name in NAMES)
    img = put_image(release, "1", [DATA], repo="stage/app")
    assert all(line.endswith(" user=release") for line in lar.lines(1))
    for reader in release, fork, main:
        assert reader.get(manifest_path("1", "stage/app")).body == img.body
        assert reader.get(blob_path(img.layers[0], "stage/app")).body == DATA
        assert reader.get("/v2/stage/app/tags/list").status == 200
        assert reader.get("/v2/stage/app/referrers/" + img.digest).status == 200
    for path in (manifest_path("1", "stage/app"), blob_path(img.layers[0], "stage/app"),
                 "/v2/stage/app/tags/list", "/v2/stage/app/referrers/" + img.digest):
        denied(other.get(path), "other", "pull", "stage/app")
    assert put_image(main, "1", [DATA], repo="stage/main/app").digest
    assert put_image(other, "1", [b"x"], repo="other/app").digest
    denied(main.delete(manifest_path("1", "stage/main/app")), "ci-main", "delete")
    denied(other.delete(manifest_path("1", "other/app")), "delete")
    assert release.delete(manifest_path("1", "stage/app")).status == 202


def test_an_untrusted_branch_reads_and_never_writes(lar):
    release, fork = As(lar, "release"), As(lar, "ci-fork")
    img = put_image(release, "1", [DATA], repo="stage/app")
    location = begin(release, "stage/app")
    for method, path in (
            ("POST", uploads("stage/app")),
            ("POST", uploads("stage/app") + f"?mount={img.layers[0]}"),
            ("POST", uploads("stage/new")), ("PATCH", location), ("PUT", location),
            ("GET", location), ("DELETE", location), ("PUT", manifest_path("1", "stage/app")),
            ("DELETE", manifest_path("1", "stage/app")),
            ("DELETE", manifest_path(img.digest, "stage/app")),
            ("DELETE", blob_path(img.layers[0], "stage/app"))):
        reply = fork.get(path) if method == "GET" else fork.send(method, path, b"abc")
        denied(reply, "ci-fork")
    assert fork.get(manifest_path("1", "stage/app")).body == img.body
    assert release.get(location).status == 204


def test_nobody_and_strangers(lar):
    put_image(As(lar, "release"), "1", [DATA], repo="stage/app")
    for headers in {}, basic("nobody", "x"), basic("release", "x"):
        reply = lar.get(manifest_path("1", "stage/app"), headers)
        assert reply.status == 401 and "www-authenticate" in reply.headers


def test_upstreams(lar, registry):
    path = "/v2/library/x/blobs/" + registry.add_blob("library/x", DATA)
    deep = "/v2/corp/app/blobs/" + registry.add_blob("corp/app", DATA)
    assert As(lar, "ci-fork").get(path).body == DATA
    denied(As(lar, "ci-fork").get(deep), "docker.io/corp/app")
    denied(As(lar, "release").get(path), "docker.io/library/x")
    assert len(registry.requests) == 1


def test_catalog_names_what_may_be_read(lar):
    release, other = As(lar, "release"), As(lar, "other")
    put_image(release, "1", [DATA], repo="stage/app")
    put_image(other, "1", [DATA], repo="other/app")
    assert release.get("/v2/_catalog").json()["repositories"] == ["stage/app"]
    assert other.get("/v2/_catalog").json()["repositories"] == ["other/app"]
    assert As(lar, "ci-fork").get("/v2/_catalog?n=1").json()["repositories"] == ["stage/app"]


def test_nothing_is_mounted_or_taken_from_where_one_may_not_read(lar, registry):
    release, other = As(lar, "release"), As(lar, "other")
    digest = put_blob(release, DATA, repo="stage/app")
    for query in f"?mount={digest}&from=stage/app", f"?mount={digest}":
        assert other.send("POST", uploads("other/app") + query).status == 202
    assert other.head(blob_path(digest, "other/app")).status == 404
    base = noise(100_000, 1)
    path = "/v2/library/x/blobs/" + registry.add_blob("library/x", base)
    layer = path.rpartition("/")[2]
    assert As(lar, "ci-main").get(path).status == 200
    lar.wait(lambda: lar.counter("flights_open") == 0, "it is kept")
    assert other.head(blob_path(layer, "other/app")).status == 404  # it may not read the base
    assert As(lar, "ci-main").head(blob_path(layer, "stage/main/app")).status == 200
    put_manifest(other, "1", image_body([base]), repo="other/app")
    assert other.get(blob_path(layer, "other/app")).status == 404


def test_an_upload_is_its_users(larder, registry, users):
    rules = [{"users": ["*"], "repositories": ["stage/**"], "actions": ["pull", "push"]}]
    lar = larder(config=config(users, access=rules), upstreams={"docker.io": registry.url})
    mine, theirs = As(lar, "release"), As(lar, "other")
    location = begin(mine, "stage/app")
    assert mine.send("PATCH", location, DATA).status == 202
    for method in "PATCH", "PUT", "DELETE":
        reply = theirs.send(method, with_query(location, digest=digest_of(DATA)), b"x")
        assert (reply.status, reply.code()) == (404, "BLOB_UPLOAD_UNKNOWN"), reply
    assert theirs.get(location).status == 404
    lar.stop()
    lar.start()
    mine, theirs = As(lar, "release"), As(lar, "other")
    assert theirs.get(location).status == 404
    assert mine.get(location).headers["range"] == f"0-{len(DATA) - 1}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("access"))


def test_certificates(authority, larder, registry):
    cert, key = authority.files()
    listen = [{"address": "127.0.0.1:0", "role": "registry",
               "tls": {"certificate": str(cert), "key": str(key),
                       "client_ca": str(authority.ca_file)}}]
    rules = [{"certificates": ["builder-*"], "repositories": ["**"], "actions": ["pull", "push"]},
             {"certificates": ["reader"], "repositories": ["**"], "actions": ["pull"]}]
    lar = larder(config={"listen": listen, "hosted": HOSTED, "access": rules},
                 upstreams={"docker.io": registry.url})
    path = "/v2/library/x/blobs/" + registry.add_blob("library/x", DATA)

    def by(subject):
        return connection(lar, authority.client(authority.files(subject=subject)))

    for subject, pull, push in ("builder-1", 200, 202), ("reader", 200, 403), ("guest", 403, 403):
        made = by(subject)
        assert ask(made, "/v2/").status == 200
        assert ask(made, path).status == pull, subject
        assert ask(made, uploads("stage/app"), "POST").status == push, subject


def start_with(larder, registry, **changes):
    lar = larder(config=changes, upstreams={"docker.io": registry.url}, start=False)
    return subprocess.run(lar.command(), capture_output=True, text=True, timeout=20, check=False,
                          stdin=subprocess.DEVNULL)


RULE = {"users": ["a"], "repositories": ["**"], "actions": ["pull"]}


@pytest.mark.parametrize("changes, says", [
    ({"listen": ["127.0.0.1:0"]}, "listen[0]: has role \"all\""),
    ({"listen": [{"address": "127.0.0.1:0", "role": "mirror"}]}, "access: counts on listeners"),
    ({"auth": {}}, "access[0]: names users, and nobody can sign in"),
    ({"access": [{**RULE, "users": [], "certificates": ["x"]}]}, "access[0]: names certificates"),
    ({"access": [{**RULE, "users": []}]}, "access[0]: names nobody"),
    ({"access": [{**RULE, "anonymous": True}]}, "access[0]: names users or certificates beside"),
    ({"access": [{**RULE, "anonymous": "yes"}]}, "access[0].anonymous: "),
    ({"access": [{**RULE, "users": [], "anonymous": False}]}, "access[0]: names nobody"),
    ({"access": [{**RULE, "repositories": []}]}, "access[0]: names no repositories"),
    ({"access": [{**RULE, "repositories": ["/x"]}]}, "access[0].repositories[0]: \"/x\""),
    ({"access": [{**RULE, "actions": []}]}, "access[0]: allows nothing"),
    ({"access": [{**RULE, "actions": ["write"]}]}, "access[0].actions[0]: "),
    ({"access": [{**RULE, "names": []}]}, "access[0].names: "),
    ({"access": {}}, "access: "),
])
def test_what_cannot_be_meant(larder, registry, users, changes, says):
    run = start_with(larder, registry, **config(users, **changes))
    assert run.returncode == 2 and says in run.stderr, run.stderr


def test_reload(lar, users):
    fork = As(lar, "ci-fork")
    put_image(As(lar, "release"), "1", [DATA], repo="stage/app")
    assert fork.get(manifest_path("1", "stage/app")).status == 200
    write(lar, access=RULES[:1])
    hang_up(lar)
    denied(fork.get(manifest_path("1", "stage/app")), "ci-fork")
    write(lar, access=[])
    hang_up(lar)
    denied(As(lar, "release").get(manifest_path("1", "stage/app")), "release")


def test_rules_do_not_come_with_listeners_that_are_not_there(larder, registry, users):
    """What listens goes on as it was until the next start: rules that count on other listeners
    would seem to close what stays open."""
    lar = larder(config={"listen": ["127.0.0.1:0"], "hosted": HOSTED},
                 upstreams={"docker.io": registry.url})
    write(lar, **{**config(users), "auth": {"htpasswd": str(users)}, "access": []})
    del lar.config["access"]
    write(lar)
    hang_up(lar)  # these listeners wait for the next start; rules that follow do so too
    write(lar, **config(users))
    assert "\"listen\" changed" in hang_up(lar, "config.kept")
    assert lar.send("POST", uploads("stage/app")).status == 202
