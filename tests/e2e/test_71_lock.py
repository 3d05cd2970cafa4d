"""Lock files: what was pulled, and a server that holds to it."""
import json
import subprocess

import pytest
from larder import PROGRAM
from registry import digest_of, noise
from test_70_commands import Image


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
