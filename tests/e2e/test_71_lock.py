"""Lock files: what was pulled, and a server that holds to it."""
import contextlib
import http.client
import json
import socket
import subprocess

import pytest
from larder import PROGRAM
from registry import INDEX, MANIFEST, digest_of, noise
from test_70_commands import Image, both, good, refused, run


def lock_file(folder, *images):
    """A lock file of (name, tag, digest)."""
    path = folder / "lock.json"
    path.write_text(json.dumps({"version": 1, "images": [
        {"name": name, **({"tag": tag} if tag else {}), "digest": digest, "platforms": []}
        for name, tag, digest in images]}))
    return path


@pytest.fixture
def moved(registry, larder, tmp_path):
    """A server locked to what library/x:latest was before it moved; `old` and `new` are the images,
    and there is another tag `other`."""
    old = registry.add_image("library/x", "latest", [noise(100_000, 1)])
    new = registry.add_image("library/x", "latest", [noise(100_000, 2)])
    registry.move_tag("library/x", "other", new.digest)
    path = lock_file(tmp_path, ("x", "latest", old.digest),
                     ("docker.io/library/x", "v1", old.digest),
                     ("docker.io/library/y", None, new.digest))
    lar = larder(upstreams={"docker.io": registry.url}, args=["--lock", str(path)])
    lar.old, lar.new, lar.path = old, new, path
    return lar


@pytest.mark.parametrize("name", ["/v2/library/x", "/v2/x", "/v2/docker.io/library/x",
                                  "/docker.io/v2/library/x"])
def test_tag_is_that_of_the_file(moved, registry, name):
    """It is fetched by its digest, and never asked for by tag."""
    reply = moved.head(name + "/manifests/latest")
    assert (reply.status, reply.headers["docker-content-digest"]) == (200, moved.old.digest)
    reply = moved.get(name + "/manifests/latest")
    assert reply.body == moved.old.body
    assert reply.headers["docker-content-digest"] == moved.old.digest
    assert moved.get(name + "/manifests/v1").body == moved.old.body
    for blob in (moved.old.config, *moved.old.layers):
        assert moved.get(f"{name}/blobs/{blob}").complete
    assert registry.hits(None, "manifests/latest") == registry.hits(None, "manifests/v1") == 0
    assert registry.hits("GET", "manifests/" + moved.old.digest) == 1


def test_digests_pass(moved):
    assert moved.get("/v2/library/x/manifests/" + moved.new.digest).body == moved.new.body
    assert moved.get("/v2/library/x/blobs/" + moved.new.layers[0]).complete


@pytest.mark.parametrize("name, tag", [("library/x", "other"), ("library/x", "none"),
                                       ("library/y", "latest"), ("ghcr.io/a/b", "latest")])
def test_other_tags_are_not_there(moved, registry, name, tag):
    path = f"/v2/{name}/manifests/{tag}"
    reply = moved.get(path)
    assert (reply.status, reply.code()) == (404, "MANIFEST_UNKNOWN")
    assert f"{name}:{tag} is not in the lock file" in reply.message()
    assert reply.message().endswith(str(moved.path)[-60:])
    assert moved.head(path).status == 404
    assert registry.requests == []


def test_lists_have_the_tags_of_the_file(moved, registry):
    assert moved.get("/v2/x/tags/list").json() == {"name": "x", "tags": ["latest", "v1"]}
    reply = moved.get("/v2/x/tags/list?n=1")
    assert reply.json()["tags"] == ["latest"] and "last=latest" in reply.headers["link"]
    assert moved.get("/v2/x/tags/list?last=latest").json()["tags"] == ["v1"]
    assert moved.head("/v2/x/tags/list").status == 200
    for name in ("library/y", "library/z"):
        reply = moved.get(f"/v2/{name}/tags/list")
        assert (reply.status, reply.code()) == (404, "NAME_UNKNOWN")
        assert "lock file" in reply.message()
    assert registry.requests == []


def test_long_list(registry, larder, tmp_path):
    names = [f"t{i:05}" for i in range(20_000)]
    path = lock_file(tmp_path, *[("x", name, digest_of(b"")) for name in reversed(names)])
    lar = larder(upstreams={"docker.io": registry.url}, args=["--lock", str(path)])
    assert lar.get("/v2/x/tags/list").json()["tags"] == names


def test_digest_that_upstream_has_no_more(moved, registry):
    registry.forget("library/x", moved.old.digest)
    reply = moved.get("/v2/library/x/manifests/latest")
    assert (reply.status, reply.code()) == (404, "MANIFEST_UNKNOWN")
    assert registry.hits(None, "manifests/latest") == 0


def test_hosted_repositories_are_as_they_were(moved):
    image = Image([1]).push(moved, "stage/app", "dev")
    assert moved.get("/v2/stage/app/manifests/dev").body == image.body
    assert moved.get("/v2/stage/app/tags/list").json()["tags"] == ["dev"]


@pytest.mark.parametrize("text, hint", [
    ("", "line 1: must be JSON"),
    ('{"version": 1,\n"images": [\n{"name": }]}', "line 3: must be JSON"),
    ('{"version": 2, "images": []}', "version: must be 1"),
    ('{"version": 1, "images": [{"name": "a", "tag": "1", "digest": "sha256:1"}]}',
     "images[0].digest: must be a digest"),
    ('{"version": 1, "images": [{"name": "a", "tags": "1"}]}', "images[0]: unknown key \"tags\""),
    (None, "No such file"),
])
def test_bad_file(tmp_path, text, hint):
    path = tmp_path / "lock.json"
    if text is not None:
        path.write_text(text)
    result = subprocess.run([PROGRAM, "serve", "--data", tmp_path / "data", "--lock", path],
                            capture_output=True, text=True, timeout=50, check=False)
    assert result.returncode == 2 and result.stdout == "", result
    lines = result.stderr.strip().split("\n")
    assert len(lines) == 1 and str(path) in lines[0] and hint in lines[0], result
    assert not (tmp_path / "data").exists()


# --- what was pulled -----------------------------------------------------------------------------


class Multi:
    """An index of an image for each platform, in library/NAME."""

    def __init__(self, registry, name, tag, seed, platforms=("linux/amd64", "linux/arm64/v8")):
        self.repo, self.tag, self.images, entries = "library/" + name, tag, {}, []
        for n, platform in enumerate(platforms):
            image = Image([seed, seed + n + 1]).upstream(registry, self.repo, None)
            words = dict(zip(("os", "architecture", "variant"), platform.split("/")))
            self.images[platform] = image
            entries.append({"mediaType": MANIFEST, "digest": image.digest, "platform": words,
                            "size": len(image.body)})
        self.body = json.dumps({"schemaVersion": 2, "mediaType": INDEX,
                                "manifests": entries}).encode()
        self.digest = registry.add_manifest(self.repo, tag, self.body, INDEX)

    def entry(self, *platforms, tag=None):
        return {"name": "docker.io/" + self.repo, "tag": tag or self.tag, "digest": self.digest,
                "platforms": list(platforms)}


def ask(lar, method, repo, reference, source="127.0.0.1"):
    connection = http.client.HTTPConnection(lar.host, timeout=30, source_address=(source, 0))
    with contextlib.closing(connection):
        connection.request(method, f"/v2/{repo}/manifests/{reference}")
        reply = connection.getresponse()
        reply.read()
        assert reply.status == 200
        return reply.headers["Docker-Content-Digest"]


def docker(lar, multi, platform, **more):
    """As dockerd and containerd do: what the tag means, the index, the manifest in it."""
    digest = ask(lar, "HEAD", multi.repo, multi.tag, **more)
    ask(lar, "GET", multi.repo, digest, **more)
    ask(lar, "GET", multi.repo, multi.images[platform].digest, **more)


def podman(lar, multi, platform, **more):
    """As podman and skopeo do: the tag, the manifest in it."""
    ask(lar, "GET", multi.repo, multi.tag, **more)
    ask(lar, "GET", multi.repo, multi.images[platform].digest, **more)


def images(text):
    file = json.loads(text)
    assert file["version"] == 1
    return file["images"]


@pytest.fixture
def pulled(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url}, args=["--tag-ttl", "0s"])
    lar.golang = Multi(registry, "golang", "1.18", 10)
    lar.debian = Multi(registry, "debian", "bookworm", 20)
    return lar


def test_lock_of_nothing(pulled):
    assert good(run(pulled, "lock")) == '{\n  "version": 1,\n  "images": []\n}\n'


def test_lock(pulled, registry):
    """Tags with the platforms that were pulled, an image a line, sorted; the same again."""
    docker(pulled, pulled.golang, "linux/arm64/v8")
    podman(pulled, pulled.golang, "linux/amd64")
    podman(pulled, pulled.debian, "linux/amd64")
    ask(pulled, "HEAD", "library/debian", pulled.debian.images["linux/arm64/v8"].digest)
    single = Image([1, 2]).upstream(registry, "library/single", "1")
    ask(pulled, "GET", "single", "1")
    config = "/v2/single/blobs/" + digest_of(single.config)
    pulled.wait(lambda: pulled.get(config).source() == "hit", "the configuration is here")
    pushed = Image([3]).push(pulled, "stage/app", "dev")
    ask(pulled, "GET", "stage/app", "dev")
    pushed_entry = {"name": "stage/app", "tag": "dev", "digest": pushed.digest,
                    "platforms": ["linux/amd64"]}
    text = good(run(pulled, "lock"))
    assert images(text) == [
        pulled.debian.entry("linux/amd64"), pulled.golang.entry("linux/amd64", "linux/arm64/v8"),
        {"name": "docker.io/library/single", "tag": "1", "digest": single.digest,
         "platforms": ["linux/amd64"]}, pushed_entry]
    assert len(text.splitlines()) == len(images(text)) + 5
    docker(pulled, pulled.golang, "linux/amd64")
    assert both(pulled, "lock") == text
    assert good(run(pulled, "lock", "--json")) == text


def test_lock_by_digest(pulled, registry):
    """What no tag meant has none; an index that somebody asked for stands for its entries."""
    golang, debian = pulled.golang, pulled.debian
    ask(pulled, "GET", "library/golang", golang.digest)
    ask(pulled, "GET", "library/golang", golang.images["linux/amd64"].digest)
    # The index is only known, not asked for, by the one who wants the other.
    ask(pulled, "GET", "library/debian", debian.images["linux/arm64/v8"].digest)
    assert images(good(run(pulled, "lock"))) == [
        {"name": "docker.io/library/debian",
         "digest": debian.images["linux/arm64/v8"].digest, "platforms": []},
        {"name": "docker.io/library/golang", "digest": golang.digest,
         "platforms": ["linux/amd64"]}]


def test_lock_of_a_tag_that_moved(pulled, registry):
    """What it meant last; nothing is left of what it meant before."""
    docker(pulled, pulled.golang, "linux/amd64")
    newer = Multi(registry, "golang", "1.18", 30)
    docker(pulled, newer, "linux/arm64/v8")
    assert images(both(pulled, "lock")) == [newer.entry("linux/arm64/v8")]


def test_lock_by_client_and_time(pulled):
    docker(pulled, pulled.golang, "linux/amd64", source="127.0.0.2")
    docker(pulled, pulled.debian, "linux/amd64", source="127.0.0.3")
    entries = [pulled.debian.entry("linux/amd64"), pulled.golang.entry("linux/amd64")]
    for words, expected in [
            ((), entries), (("--client", "127.0.0.3"), entries[:1]),
            (("--client", "127.0.0.2", "--since", "1h"), entries[1:]),
            (("--client", "unix"), []), (("--since", "24h"), entries),
            (("--since", "2026-01-01T00:00:00+01:00"), entries),
            (("--since", "2026-01-01"), entries), (("--since", "2999-01-01"), []),
            (("--since", "2999-01-01T00:00:00Z"), [])]:
        assert images(both(pulled, "lock", *words)) == expected, words


@pytest.mark.parametrize("words, hint", [
    (("--since", "yesterday"), "--since: \"yesterday\" must be a duration"),
    (("--since", "2026-02-30T00:00:00Z"), "--since"),
    (("--since", "2026-02-30"), "a day such as 2026-01-31"), (("--since", "2026-1-031"), "--since"),
    (("--client", "somebody"), "--client: \"somebody\" must be an IP address"),
    (("--client", "127.0.0.1:80"), "--client"),
    (("golang",), "does not take the argument golang"),
])
def test_bad_flags(pulled, words, hint):
    refused(run(pulled, "lock", *words), hint, status=2)


@pytest.mark.parametrize("query", ["since=x", "since=-1", "since=" + "9" * 20,
                                   "client=" + "x" * 64])
def test_control_socket_refuses_what_is_no_time(pulled, query):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(pulled.data + "/control.sock")
        sock.sendall(f"GET /-/lock?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        response = http.client.HTTPResponse(sock)
        response.begin()
        assert response.status == 400 and "seconds since 1970" in response.read().decode()


def test_build_of_last_month(pulled, registry, tmp_path):
    """Lock, let the upstream move on, and hold to the lock: with the upstream, and without it."""
    golang, debian = pulled.golang, pulled.debian
    docker(pulled, golang, "linux/amd64")
    podman(pulled, debian, "linux/amd64")
    path = tmp_path / "lock.json"
    path.write_text(good(run(pulled, "lock")))
    newer = Multi(registry, "golang", "1.18", 30)
    assert ask(pulled, "HEAD", "library/golang", "1.18") == newer.digest
    pulled.stop()
    pulled.args += ["--lock", str(path)]
    pulled.start()
    asked = len(registry.requests)
    docker(pulled, golang, "linux/amd64")
    assert ask(pulled, "HEAD", "library/golang", "1.18") == golang.digest
    assert len(registry.requests) == asked
    docker(pulled, golang, "linux/arm64/v8")  # by digest, and it was not here
    registry.stop()
    docker(pulled, golang, "linux/arm64/v8")
    podman(pulled, debian, "linux/amd64")
    assert pulled.get("/v2/debian/manifests/12").status == 404
    assert "tags are those of " + str(path) in pulled.events
    # Locked builds lock to the same.
    assert images(good(run(pulled, "lock", "--since", "1h"))) == [
        debian.entry("linux/amd64"), golang.entry("linux/amd64", "linux/arm64/v8")]
