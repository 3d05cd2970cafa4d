"""What each client saves is taken in by `larder import`, and pulled from there with no upstream."""
import os

import pytest

import clients
from place import Failed
from server import PROGRAM, Larder

HUB = "docker.io/library/busybox:1"
# For several platforms, from another registry.
OTHER = "ghcr.io/owner/app:1"


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
    said = take_in(world, larder, path)
    assert "1 image, " in said and "busybox:1 sha256:" in said, said
    puller = client if again is kind else world.client(again)
    puller.pull(HUB)
    assert puller.motd(HUB) == "this is busybox\n"
    watch.asked_nothing()


def take_in(world, larder, path, *words):
    return world.place.run(PROGRAM, "import", "--data", larder.data, path, *words)


def test_all_platforms(world, samples, far):
    """The index comes as it is, and is pulled by its digest."""
    world.serve()
    path = os.path.join(world.folder, "saved.tar")
    world.client(clients.Skopeo).run("copy", "--quiet", "--all", "docker://" + OTHER,
                                     f"oci-archive:{path}:{OTHER}")
    larder = far()
    take_in(world, larder, path)
    index = samples[OTHER]
    assert larder.part("ghcr.io/owner/app", "manifests", "1")[2] == index.body
    for child in index.children:
        assert larder.part("ghcr.io/owner/app", "manifests", child.digest)[2] == child.body
        for digest in child.blobs:
            larder.part("ghcr.io/owner/app", "blobs", digest)
    podman = world.client(clients.Podman)
    by_digest = OTHER.rsplit(":", 1)[0] + "@" + index.digest
    podman.pull(by_digest)
    assert podman.motd(by_digest) == "this is app\n"


def test_image_that_was_built_here(world, samples, far):
    """podman calls it localhost/NAME; --name gives it a hosted one, and docker pulls it."""
    world.serve()
    podman = world.client(clients.Podman)
    podman.pull(HUB)
    podman.run("tag", HUB, "localhost/app:dev")
    path = os.path.join(world.folder, "saved.tar")
    podman.run("save", "--output", path, "localhost/app:dev")
    larder = far()
    with pytest.raises(Failed, match="--name gives the image another name"):
        take_in(world, larder, path)
    take_in(world, larder, path, "--name", "stage/app:dev")
    dockerd = world.client(clients.Docker)
    dockerd.pull("127.0.0.1:5000/stage/app:dev")
    assert dockerd.motd("127.0.0.1:5000/stage/app:dev") == "this is busybox\n"
