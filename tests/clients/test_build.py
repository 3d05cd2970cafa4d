"""Small builds on mirrored base images, by Docker's two builders and by buildah."""
import os

import pytest

import clients

CONTEXTS = {
    "docker.io": ("docker.io/library/busybox:1", "FROM busybox:1\n"),
    "ghcr.io": ("ghcr.io/owner/app:1", "FROM ghcr.io/owner/app:1\n"),
}
RUN = "RUN cat /etc/motd >/built && echo built >>/built\nCMD cat /built\n"


def context(world, name):
    image, first = CONTEXTS[name]
    folder = os.path.join(world.folder, "context")
    os.makedirs(folder)
    with open(os.path.join(folder, "Dockerfile"), "w", encoding="utf-8") as f:
        f.write(first + RUN)
    return image, folder


@pytest.mark.parametrize("builder", ["buildkit", "classic"])
def test_docker(world, samples, builder):
    """docker build takes its base through registry-mirrors; a second daemon asks no upstream."""
    image, folder = context(world, "docker.io")
    larder = world.serve()
    for daemon in "first", "second":
        docker = world.client(clients.Docker)
        if builder == "buildkit" and docker.no_buildkit():
            pytest.skip(docker.no_buildkit())
        watch = larder.watch()
        docker.build(folder, "--tag", "built", buildkit=builder == "buildkit")
        if daemon == "first":
            watch.fetched(samples[image])
        else:
            watch.asked_nothing()
        assert docker.run("run", "--rm", "--network=none", "built") == "this is busybox\nbuilt\n"


@pytest.mark.parametrize("name", CONTEXTS)
def test_buildah(world, samples, name):
    """buildah build takes its base through registries.conf, from any registry."""
    image, folder = context(world, name)
    larder = world.serve()
    for store in "first", "second":
        buildah = world.client(clients.Buildah)
        watch = larder.watch()
        said = buildah.build(folder, "--tag", "built")
        if store == "first":
            watch.fetched(samples[image])
        else:
            watch.asked_nothing()
        assert "COMMIT built" in said
        assert buildah.content("localhost/built", "built").endswith("built\n")
