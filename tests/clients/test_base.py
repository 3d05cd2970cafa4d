"""An image on a mirrored base is pushed: of the base, not a byte is sent.

containerd, podman and buildah ask for each layer whether the repository has it. docker asks where
it knows the layer's digest in some registry, as it does of what it pulled: once for a layer of any
size, more often for one above 10 MiB; and it mounts only within one registry, as which a mirror of
docker.io does not count. The base has layers of both sorts.
"""
import os

import pytest

import clients
from images import archive_of, extended, motd
from server import ADDRESS

BASE = "docker.io/library/base:1"


def context_of(world):
    folder = os.path.join(world.folder, "context")
    os.makedirs(folder)
    with open(os.path.join(folder, "Dockerfile"), "w", encoding="utf-8") as f:
        f.write(f"FROM {BASE}\nRUN echo built >/built\nCOPY Dockerfile /\n")
    return folder


def by_docker(world, base, name):
    docker = world.client(clients.Docker)
    docker.pull(BASE)
    docker.build(context_of(world), "--tag", name, buildkit=False)
    return lambda: docker.run("push", name)


def by_buildkit(world, base, name):
    """It pulls the base itself, for dockerd's store."""
    docker = world.client(clients.Docker)
    if docker.no_buildkit():
        pytest.skip(docker.no_buildkit())
    docker.build(context_of(world), "--tag", name)
    return lambda: docker.run("push", name)


def by_buildah(world, base, name):
    buildah = world.client(clients.Buildah)
    buildah.build(context_of(world), "--tag", name)
    return lambda: buildah.run("push", name)


def by_podman(world, base, name):
    podman = world.client(clients.Podman)
    podman.build(context_of(world), "--tag", name)
    return lambda: podman.run("push", name)


def by_containerd(world, base, name):
    """It builds nothing itself: the image comes from a file, the base from Larder."""
    containerd = world.client(clients.Containerd)
    containerd.pull(BASE)
    path = os.path.join(world.folder, "own.tar")
    archive_of(extended(base, motd("own")), name, path)
    containerd.load(path, name)
    return lambda: containerd.run("images", "push", "--plain-http", name)


@pytest.mark.parametrize("make", [by_docker, by_buildkit, by_buildah, by_podman, by_containerd])
def test_base_is_not_sent(samples, world, make):
    larder = world.serve()
    base = samples[BASE]
    push = make(world, base, f"{ADDRESS}/stage/own:1")
    watch = larder.watch()
    push()
    there = larder.pushed("stage/own", "1")
    own = {digest: size for digest, size in there.blobs.items() if digest not in base.blobs}
    assert len(there.layers - set(own)) == 3
    took = watch.uploaded(own)
    assert took["head_leases"] + took["mounts"] >= 3, took
    sent = [digest for method, path, digest, _ in larder.writes()
            if method == "PUT" and "/uploads/" in path]
    assert sorted(sent) == sorted(own)
