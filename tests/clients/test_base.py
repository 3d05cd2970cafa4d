"""An image on a mirrored base is pushed: not a byte of the base's layers is uploaded.

containerd, and podman and buildah, ask for each layer by HEAD whether the repository has it. docker
asks only where it knows the layer's digest in some registry, as it does of what it pulled; then
once for a layer of any size, and more often for one above 10 MiB. It mounts within one registry
only, as which docker.io's mirror does not count. The base has layers of both sorts.
"""
import os

import pytest

import clients
from images import archive_of, extended, motd
from server import ADDRESS

BASE = "docker.io/library/base:1"
NAME = f"{ADDRESS}/stage/app:1"
DOCKERFILE = "FROM docker.io/library/base:1\nRUN echo built >/built\nCOPY Dockerfile /\n"


def context(world):
    folder = os.path.join(world.folder, "context")
    os.makedirs(folder)
    with open(os.path.join(folder, "Dockerfile"), "w", encoding="utf-8") as f:
        f.write(DOCKERFILE)
    return folder


def not_of(base, there):
    """What of a pushed image is not the base's: its configuration and the layers on top."""
    assert len(set(there.blobs) & set(base.blobs)) == 3
    return {digest: size for digest, size in there.blobs.items() if digest not in base.blobs}


def check(larder, watch, base):
    """That base layers were neither sent nor tried to be, by the counters and by the log."""
    there = larder.pushed("stage/app", "1")
    new = not_of(base, there)
    took = watch.uploaded(new)
    assert took["head_leases"] + took["mounts"] >= 3, took
    sent = [digest for method, path, digest, status in larder.writes()
            if method == "PUT" and "/uploads/" in path]
    assert sorted(sent) == sorted(new)
    return there


@pytest.mark.parametrize("builder", ["buildkit", "classic"])
def test_docker(world, samples, builder):
    """By both of docker's builders, which know of the base what dockerd itself would know."""
    larder = world.serve()
    docker = world.client(clients.Docker)
    if builder == "buildkit" and docker.no_buildkit():
        pytest.skip(docker.no_buildkit())
    docker.build(context(world), "--tag", NAME, buildkit=builder == "buildkit")
    watch = larder.watch()
    docker.run("push", NAME)
    assert len(check(larder, watch, samples[BASE]).diff_ids) == 5


@pytest.mark.parametrize("kind", [clients.Buildah, clients.Podman])
def test_containers(world, samples, kind):
    larder = world.serve()
    client = world.client(kind)
    client.build(context(world), "--tag", NAME)
    watch = larder.watch()
    client.run("push", NAME)
    check(larder, watch, samples[BASE])


def test_containerd(world, samples):
    """ctr does not build: an image that extends what it pulled is given to it as a file."""
    larder = world.serve()
    containerd = world.client(clients.Containerd)
    containerd.pull(BASE)
    image = extended(samples[BASE], motd("app"))
    path = os.path.join(world.folder, "extended.tar")
    archive_of(image, NAME, path)
    containerd.load(path, NAME)
    watch = larder.watch()
    containerd.run("images", "push", "--plain-http", NAME)
    assert check(larder, watch, samples[BASE]).digest == image.digest
