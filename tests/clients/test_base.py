"""An image on a mirrored base is pushed: of the base, not a byte is sent."""
import os
import random

import pytest

import clients
from conftest import log_of, store_of
from images import BUSYBOX, archive_of, image_of, layer_of, motd
from server import ADDRESS
from upstream import Upstream

BASE = "docker.io/library/base:1"
# Docker 20.10 asks whether a layer is there already only where it has more than 10 MiB.
LARGE = 11 << 20
# What an image of our own adds: a small layer and a configuration.
OWN = 20_000


def large_layer(seed, **files):
    return layer_of({f"data/{seed}": random.Random(seed).randbytes(LARGE), **files})


@pytest.fixture(scope="session")
def base(place, samples):
    """The base image: two large layers."""
    with open(BUSYBOX, "rb") as f:
        busybox = f.read()
    layers = [large_layer(1, **{"bin/busybox": busybox, "bin/sh": "busybox",
                                "bin/cat": "busybox"}), large_layer(2)]
    upstream = Upstream(place, "docker.io", store_of(place, "docker.io"),
                        log_of(place.folder, "docker.io", "base"))
    upstream.push("library/base", "1", image_of(layers))
    upstream.process.stop()
    return layers


def context_of(world):
    folder = os.path.join(world.folder, "context")
    os.makedirs(folder)
    for name, text in ("Dockerfile", f"FROM {BASE}\nCOPY own /own\n"), ("own", "this is own\n"):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.write(text)
    return folder


def by_docker(world, layers, name):
    docker = world.client(clients.Docker)
    docker.pull(BASE)
    docker.build(context_of(world), "--tag", name, buildkit=False)
    return lambda: docker.run("push", name)


def by_buildah(world, layers, name):
    buildah = world.client(clients.Buildah)
    buildah.build(context_of(world), "--tag", name)
    return lambda: buildah.run("push", name)


def by_containerd(world, layers, name):
    """It builds nothing itself: the image comes from a file, the base from Larder."""
    containerd = world.client(clients.Containerd)
    containerd.pull(BASE)
    path = os.path.join(world.folder, "own.tar")
    archive_of(image_of([*layers, motd("own")]), name, path)
    containerd.load(path, name)
    return lambda: containerd.run("images", "push", "--plain-http", name)


@pytest.mark.parametrize("make", [by_docker, by_buildah, by_containerd])
def test_base_is_not_sent(base, world, make):
    larder = world.serve()
    push = make(world, base, f"{ADDRESS}/stage/own:1")
    watch = larder.watch()
    push()
    took = watch.counted()
    there = larder.pushed("stage/own", "1")
    assert len(there.blobs) == 4, there.blobs
    assert {layer.digest for layer in base} < set(there.blobs)
    assert took["upload_bytes"] < OWN, took
    assert took["uploads_finished"] == 2, took
    assert took["head_leases"] + took["mounts"] >= 2, took
    assert sum(there.blobs.values()) > 2 * LARGE

