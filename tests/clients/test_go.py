"""A Go program in a Dockerfile of several stages, each built by Docker from an empty daemon."""
import os

import pytest

import clients

CONTEXT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "go")
IMAGE = "docker.io/library/golang:1.18"
# What runs in the result to show that the stage is what it should be, and what that says.
STAGES = {"builder": (["go", "run", ".", "builder"], "hello builder"),
          "release": (["release"], "hello release"),
          "ci": (["go", "test", "."], "ok"),
          "dev": ([], "hello")}


@pytest.mark.parametrize("builder", ["buildkit", "classic"])
def test_stages(world, golang_image, builder):
    """The base image is fetched once for all stages, each built by a daemon that has nothing."""
    larder = world.serve()
    for stage, (command, says) in STAGES.items():
        docker = world.client(clients.Docker)
        if builder == "buildkit" and docker.no_buildkit():
            pytest.skip(docker.no_buildkit())
        watch = larder.watch()
        docker.build(CONTEXT, "--target", stage, "--tag", stage, buildkit=builder == "buildkit")
        if stage == "builder":
            watch.fetched(golang_image)
        else:
            watch.asked_nothing()
        assert docker.run("run", "--rm", "--network=none", stage, *command).startswith(says)
        world.drop(docker)
    assert sorted(world.upstreams["docker.io"].gets("blobs")) == sorted(golang_image.blobs)
