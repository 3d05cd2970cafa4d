"""What each client saves is taken in by `larder import`, and pulled from there with no upstream."""
import os

import pytest

import clients
from server import PROGRAM, Larder

HUB = "docker.io/library/busybox:1"


def docker(client, path):
    client.run("save", "--output", path, HUB)


def podman(form):
    return lambda client, path: client.run("save", "--format", form, "--output", path, HUB)


def buildah(client, path):
    client.run("push", HUB, f"oci-archive:{path}:{HUB}")


def skopeo(form):
    return lambda client, path: client.run("copy", "--quiet", "docker://" + HUB,
                                           f"{form}:{path}:{HUB}")


def containerd(client, path):
    client.run("images", "export", path, HUB)


# Who saves, how, and who pulls it again: skopeo's folders are looked at as registries pack layers,
# and in Docker's archives they are not packed.
CASES = [("docker", clients.Docker, docker, clients.Docker),
         ("docker-containerd", clients.Docker, docker, clients.Containerd),
         ("podman-docker", clients.Podman, podman("docker-archive"), clients.Podman),
         ("podman-oci", clients.Podman, podman("oci-archive"), clients.Podman),
         ("buildah", clients.Buildah, buildah, clients.Buildah),
         ("skopeo-oci", clients.Skopeo, skopeo("oci-archive"), clients.Skopeo),
         ("skopeo-docker", clients.Skopeo, skopeo("docker-archive"), clients.Docker),
         ("containerd", clients.Containerd, containerd, clients.Containerd)]


@pytest.fixture
def far(world):
    """Ends the Larder of the test, and starts one with an empty store that asks nobody."""
    def start():
        world.larder.stop()
        world.folder = os.path.join(world.folder, "far")
        os.makedirs(world.folder)
        world.larder = Larder(world.place, world.folder, world.upstreams.values(), "--offline")
        return world.larder
    folder = world.folder
    yield start
    world.folder = folder


@pytest.mark.parametrize("kind, save, again", [case[1:] for case in CASES],
                         ids=[case[0] for case in CASES])
def test_saved_image_is_taken_in(world, far, kind, save, again):
    world.serve()
    client = world.client(kind)
    client.pull(HUB)
    path = os.path.join(world.folder, "saved.tar")
    save(client, path)
    client.forget(HUB)
    larder = far()
    watch = larder.watch()
    said = world.place.run(PROGRAM, "import", "--data", larder.data, path)
    assert "1 image, " in said and "busybox:1 sha256:" in said, said
    puller = client if again is kind else world.client(again)
    puller.pull(HUB)
    assert puller.motd(HUB) == "this is busybox\n"
    watch.asked_nothing()
