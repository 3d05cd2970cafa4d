"""Two networks: one has the registries, the other has no way out. What is warmed and exported in
the first is imported in the second, where builds and pulls run as they would anywhere."""
import os
import re

import pytest

import clients
from images import OCI
from place import until
from server import PROGRAM, Larder, kept_env

HERE = os.path.dirname(os.path.abspath(__file__))
HUB = ["docker.io/library/golang:1.18", "docker.io/library/python:3.11-slim",
       "docker.io/library/busybox:1"]
APP = "ghcr.io/owner/app:1"
STAGES = {"go": ["builder", "release", "ci", "dev"],
          "python": ["base", "builder", "release", "ci", "dev"]}
# Calls by which a program opens a way to somebody else; a leak checker cannot work beside a tracer.
# The program stays the child, so that it is what gets the signal and gives the status.
TRACE = ["strace", "-DD", "--follow-forks", "--quiet=attach,personality",
         "--trace=connect,sendto,sendmsg,sendmmsg"]
NO_LEAKS = {"ASAN_OPTIONS": "detect_leaks=0"}


def command(place, data, *words, **env):
    return place.run(PROGRAM, *words, "--data", data, env={**place.env, **kept_env(), **env},
                     seconds=600)


@pytest.fixture
def far(world, golang_image, python_image):
    """The far side: a network without a way out, a data directory with what came in one file, and a
    server that is traced. Nothing of the near side runs any more."""
    place, bundle = world.place, os.path.join(world.folder, "bundle.tar")
    larder = world.serve()
    command(place, larder.data, "warm", "--platform", "all", *HUB, APP)
    command(place, larder.data, "export", "--platform", "all", "-o", bundle, *HUB, APP)
    larder.stop()
    world.larder = None
    for upstream in world.upstreams.values():
        upstream.kill()
    folder = os.path.join(world.folder, "far")
    os.makedirs(folder)
    trace = os.path.join(folder, "calls")
    gap = place.gap()
    with place.within(gap):
        said = command(place, os.path.join(folder, "data"), "import", bundle)
        assert "4 images" in said, said
        world.larder = Larder(place, folder, [], "--offline", env=NO_LEAKS,
                              before=[*TRACE, "--output", trace])
        world.larder.trace = trace
        yield world.larder


def traced(path):
    """The calls, once the program has ended and the tracer told of it."""
    with open(path, encoding="utf-8", errors="replace") as f:
        calls = f.read().splitlines()
    return calls if calls and calls[-1].endswith("+++ exited with 0 +++") else None


def check_silence(larder):
    """Nobody outside was called: sockets of this machine's own file system alone."""
    watch = larder.counters()
    assert watch["upstream_connections"] == watch["upstream_requests"] == 0
    assert watch["upstream_tokens"] == watch["asks_started"] == 0
    larder.stop()
    for call in until("the tracer has written all", lambda: traced(larder.trace)):
        if re.search(r"\bconnect\(", call):
            assert "sa_family=AF_UNIX" in call, call
        # Answers go out on connections that clients made, which name no address.
        assert not re.search(r"\bsend(to|msg|mmsg)\(.*sa_family=AF_INET", call), call


@pytest.mark.parametrize("language", STAGES)
def test_docker_builds_every_stage(world, far, language):
    docker = world.client(clients.Docker)
    for stage in STAGES[language]:
        docker.build(os.path.join(HERE, language), "--target", stage, "--tag", stage)
    check_silence(far)


def test_pulls_by_digest_and_by_tag(world, far, samples):
    index = samples[APP]
    assert index.media_type == OCI["index"]
    podman = world.client(clients.Podman)
    name = f"ghcr.io/owner/app@{index.digest}"
    podman.pull(name)
    assert podman.motd(name) == "this is app\n"
    containerd = world.client(clients.Containerd)
    containerd.pull(APP)
    assert containerd.motd(APP) == "this is app\n"
    # What is not there is told, with what is near it.
    status, _, body = far.get("/v2/ghcr.io/owner/app/manifests/2")
    assert status == 404 and b"offline" in body, body
    check_silence(far)
