"""The ways in which a request can name an image, with plain curl, and with Larder's own address."""
import hashlib
import json

import pytest

import clients
from images import DOCKER, OCI
from server import ADDRESS

ACCEPT = ", ".join([OCI["index"], OCI["manifest"], DOCKER["index"], DOCKER["manifest"]])
# How a request goes: what is before /manifests/ or /blobs/, its query, and the image it means.
WAYS = {
    "prefix": ("ghcr.io/v2/owner/app", "", "ghcr.io/owner/app:1"),
    "component": ("v2/ghcr.io/owner/app", "", "ghcr.io/owner/app:1"),
    "ns": ("v2/owner/app", "?ns=ghcr.io", "ghcr.io/owner/app:1"),
    "prefix-and-ns": ("ghcr.io/v2/owner/app", "?ns=ghcr.io", "ghcr.io/owner/app:1"),
    "component-and-ns": ("v2/ghcr.io/owner/app", "?ns=ghcr.io", "ghcr.io/owner/app:1"),
    "deep": ("v2/ghcr.io/owner/team/tool", "", "ghcr.io/owner/team/tool:2"),
    "default": ("v2/library/busybox", "", "docker.io/library/busybox:1"),
    "hub-prefix": ("docker.io/v2/library/busybox", "", "docker.io/library/busybox:1"),
    "hub-short": ("v2/docker.io/busybox", "", "docker.io/library/busybox:1"),
    "hub-ns": ("v2/busybox", "?ns=docker.io", "docker.io/library/busybox:1"),
    "hub-alias": ("v2/library/busybox", "?ns=registry-1.docker.io", "docker.io/library/busybox:1"),
    "hub-user": ("docker.io/v2/someone/plain", "", "docker.io/someone/plain:1"),
}


class Curl(clients.Client):
    """Plain curl; every answer is asked for its status and X-Larder as well."""

    name, needs = "curl", ("curl",)

    def get(self, path, *options):
        said = self.place.run(
            "curl", "--silent", "--show-error", "--header", "Accept: " + ACCEPT, *options,
            "--write-out", "\n%{http_code} %{content_type} %header{x-larder}",
            f"http://{ADDRESS}/{path}")
        body, _, last = said.rpartition("\n")
        status, media_type, how = last.split(" ", 2)
        return int(status), body, media_type, how.split(";")[0]

    def digest(self, path):
        """The digest of what is at a path, which need not be text."""
        out = f"{self.folder}/body"
        self.place.run("curl", "--silent", "--fail", "--output", out, f"http://{ADDRESS}/{path}")
        with open(out, "rb") as f:
            return "sha256:" + hashlib.file_digest(f, "sha256").hexdigest()


@pytest.mark.parametrize("way", WAYS)
def test_curl(world, samples, way):
    """Each way of naming leads to the right upstream, for tags, digests and blobs; then to hits."""
    base, query, image = WAYS[way]
    name, tag = image.split("/")[0], image.rsplit(":", 1)[1]
    wanted = samples[image]
    larder = world.serve()
    curl = world.client(Curl)

    def everything():
        status, body, media_type, how = curl.get(f"{base}/manifests/{tag}{query}")
        assert (status, body, media_type) == (200, wanted.body.decode(), wanted.media_type)
        child = wanted.here()
        assert curl.get(f"{base}/manifests/{child.digest}{query}")[:2] == (200, child.body.decode())
        for digest in child.blobs:
            assert curl.digest(f"{base}/blobs/{digest}{query}") == digest
        return how

    watch = larder.watch()
    assert everything() == "miss"
    watch.fetched(wanted)
    assert set(world.upstreams[name].gets("blobs")) == set(wanted.here().blobs)
    watch = larder.watch()
    assert everything() == "hit"
    watch.asked_nothing()


@pytest.mark.parametrize("path", ["v2/quay.example/owner/app/manifests/1",
                                  "v2/owner/app/manifests/1?ns=quay.example",
                                  "quay.example/v2/owner/app/manifests/1"])
def test_unknown_registry_goes_nowhere(world, path):
    """Upstreams are a closed list: another host's name is 404, and nobody is asked."""
    larder = world.serve()
    status, body, media_type, _ = world.client(Curl).get(path)
    assert status == 404 and media_type == "application/json"
    assert json.loads(body)["errors"][0]["code"] == "NAME_UNKNOWN"
    assert larder.counters()["upstream_requests"] == 0


@pytest.mark.parametrize("kind", [pytest.param(k, id=k.name) for k in clients.ALL])
@pytest.mark.parametrize("image", ["docker.io/library/busybox:1", "ghcr.io/owner/app:1"])
def test_own_address(world, samples, kind, image):
    """An image named by Larder's own address, upstream and all, as `docker pull HOST:5000/...`."""
    larder = world.serve()
    client = world.client(kind)
    watch = larder.watch()
    client.pull(f"{ADDRESS}/{image}")
    watch.fetched(samples[image])
    said = client.motd(f"{ADDRESS}/{image}")
    assert said == f"this is {image.split('/')[-1].split(':')[0]}\n"
