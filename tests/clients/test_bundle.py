"""What `larder export` writes is read by each client, with no registry to ask."""
import json
import os

import pytest

import clients
from images import ARCHITECTURE
from server import PROGRAM

# Of several platforms, of one, both of Docker's media types; and OCI's, from another registry.
HUB, PLAIN, OTHER = ("docker.io/library/busybox:1", "docker.io/library/layers:1",
                     "ghcr.io/owner/app:1")
IMAGES = {HUB: "busybox", PLAIN: "layers", OTHER: "app"}


@pytest.fixture
def bundle(world):
    """All that was fetched, for this machine's platform; nobody can be asked any more."""
    world.serve()
    run(world, "warm", *IMAGES)
    path = os.path.join(world.folder, "bundle.tar")
    run(world, "export", "-o", path, *IMAGES)
    world.larder.stop()
    return path


def run(world, command, *words):
    return world.place.run(PROGRAM, command, "--data", world.larder.data, *words)


@pytest.mark.parametrize("kind", [clients.Docker, clients.Podman, clients.Containerd],
                         ids=["docker", "podman", "containerd"])
def test_all_images_are_loaded(world, bundle, kind):
    client = world.client(kind)
    if kind is clients.Containerd:
        client.run("images", "import", bundle)
    else:
        client.run("load", "--input", bundle)
    for image, name in IMAGES.items():
        assert client.motd(image) == f"this is {name}\n"


def whole(world, bundle, image, samples, source):
    """What skopeo finds there is the image, byte for byte."""
    skopeo = world.client(clients.Skopeo)
    assert skopeo.run("inspect", "--raw", source).encode() == samples[image].body
    told = json.loads(skopeo.run("inspect", source))
    assert told["Architecture"] == ARCHITECTURE
    assert set(told["Layers"]) < set(samples[image].here().blobs)
    skopeo.run("copy", "--quiet", source, "dir:" + skopeo.target(image))
    assert skopeo.motd(image) == f"this is {IMAGES[image]}\n"


def test_skopeo_finds_an_image_by_name(world, samples, bundle):
    whole(world, bundle, OTHER, samples, f"oci-archive:{bundle}:{OTHER}")


@pytest.mark.parametrize("image", [HUB, PLAIN])
def test_skopeo_finds_the_only_image(world, samples, bundle, image):
    """It knows no image of Docker's media types by a name in a layout, but it reads one that is
    alone there; and by a name what docker load reads."""
    alone = bundle + ".alone"
    run(world, "export", "-o", alone, image)
    whole(world, alone, image, samples, "oci-archive:" + alone)
    skopeo = world.client(clients.Skopeo)
    told = json.loads(skopeo.run("inspect", f"docker-archive:{bundle}:{image}"))
    assert told["Architecture"] == ARCHITECTURE


def test_buildah_takes_one_of_several(world, bundle):
    buildah = world.client(clients.Buildah)
    for form, image in ("oci", OTHER), ("docker", HUB), ("docker", PLAIN):
        buildah.run("pull", "--quiet", f"{form}-archive:{bundle}:{image}")
        assert buildah.motd(image) == f"this is {IMAGES[image]}\n"


def test_folder_is_a_layout(world, bundle):
    folder = os.path.join(world.folder, "layout")
    os.mkdir(folder)
    run(world, "export", "-o", folder, *IMAGES)
    podman = world.client(clients.Podman)
    podman.run("pull", "--quiet", f"oci:{folder}:{OTHER}")
    name = podman.run("images", "--format", "{{.Id}}").strip()
    assert podman.motd(name) == f"this is {IMAGES[OTHER]}\n"


def test_bundle_comes_back(world, bundle):
    """An import of it serves the same, and asks nobody."""
    world.serve("--offline")
    run(world, "import", bundle)
    watch = world.larder.watch()
    podman = world.client(clients.Podman)
    for image, name in IMAGES.items():
        podman.pull(image)
        assert podman.motd(image) == f"this is {name}\n"
    watch.asked_nothing()
