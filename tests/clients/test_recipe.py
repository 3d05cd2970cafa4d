"""The recipe of config/ci/: stages and caches that one build pushes, and the next one finds.

Everything is built by a client that has nothing, pushed, and built again by another that has
nothing: then every step comes from Larder, none runs again, and no upstream is asked.
"""
import os
import re

import pytest
import yaml

import clients
import pyimage
from conftest import log_of, store_of
from place import TOP
from server import ADDRESS
from upstream import Upstream

HERE = os.path.dirname(os.path.abspath(__file__))
CI = os.path.join(TOP, "config/ci")
IMAGE, CACHE = f"{ADDRESS}/stage/app", f"{ADDRESS}/cache/app"
# Bytes: they have times in them, so each build sends them anew. A layer is larger.
CONFIGURATIONS = 20_000
# Folder of the Dockerfile, and its stages.
APPLICATIONS = {
    "go": ["builder", "ci", "dev", "release"],
    "python": ["base", "builder", "ci", "dev", "release"],
}


@pytest.fixture(scope="session")
def python_image(place, samples):
    """docker.io/library/python:3.11-slim, of this machine's own Python."""
    upstream = Upstream(place, "docker.io", store_of(place, "docker.io"),
                        log_of(place.folder, "docker.io", "python"))
    upstream.push("library/python", "3.11-slim", pyimage.image(place))
    upstream.process.stop()


@pytest.fixture(params=APPLICATIONS)
def application(request):
    """Its name; the image that it starts from is there before the world is."""
    request.getfixturevalue({"go": "golang_image", "python": "python_image"}[request.param])
    return request.param


def docker_stages(docker, application):
    """Runs the script; returns what it said."""
    env = dict(docker.place.env, DOCKER_HOST="unix://" + docker.socket, BUILDKIT_PROGRESS="plain",
               BUILD_OPTIONS="--network=none")
    return docker.place.says(os.path.join(CI, "docker-stages.sh"), IMAGE,
                             os.path.join(HERE, application), *APPLICATIONS[application],
                             seconds=600, env=env)


def steps_of(said):
    """The steps that BuildKit went through: number -> what it is, and whether it was cached.

    Numbers begin anew with each build."""
    steps = []
    for line in said.splitlines():
        begun = re.match(r"#(\d+) \[.*\d+/\d+\] ((?:RUN|COPY|WORKDIR) .*)", line)
        if begun:
            steps.append([begun[1], begun[2], False])
        cached = re.match(r"#(\d+) CACHED", line)
        if cached:
            next(s for s in reversed(steps) if s[0] == cached[1])[2] = True
    return steps


def test_docker(application, world):
    larder = world.serve()
    first = world.client(clients.Docker)
    if first.no_buildkit():
        pytest.skip(first.no_buildkit())
    said = docker_stages(first, application)
    assert [s for s in steps_of(said) if s[1].startswith("RUN") and not s[2]], said
    assert set(larder.tags("stage/app")) == set(APPLICATIONS[application])
    world.drop(first)

    second = world.client(clients.Docker)
    watch = larder.watch()
    said = docker_stages(second, application)
    took = watch.asked_nothing()
    assert [s[1] for s in steps_of(said) if not s[2]] == [], said
    assert took["upload_bytes"] < CONFIGURATIONS, took
    for stage in APPLICATIONS[application]:
        second.run("image", "inspect", f"{IMAGE}:{stage}")


def buildah_stages(buildah, application):
    env = dict(buildah.place.env, BUILDAH=" ".join(buildah.command()),
               BUILD_OPTIONS="--isolation=chroot")
    return buildah.place.says(os.path.join(CI, "buildah-stages.sh"), IMAGE, CACHE,
                              os.path.join(HERE, application), *APPLICATIONS[application],
                              seconds=600, env=env)


def ran(said):
    """The RUN steps of buildah that came from no cache. (Of a COPY from another stage that is told
    once that stage is there.)"""
    anew, lines = [], said.splitlines()
    for line, after in zip(lines, lines[1:]):
        begun = re.match(r"(?:\[\d+/\d+\] )?STEP \d+/\d+: (RUN .*)", line)
        if begun and not re.match("--> (Using cache|Cache pulled from remote) ", after):
            anew.append(begun[1])
    return anew


def test_buildah(application, world):
    larder = world.serve()
    first = world.client(clients.Buildah)
    said = buildah_stages(first, application)
    assert ran(said), said
    assert larder.tags("cache/app")
    assert set(larder.tags("stage/app")) == set(APPLICATIONS[application])
    world.drop(first)

    second = world.client(clients.Buildah)
    watch = larder.watch()
    said = buildah_stages(second, application)
    took = watch.asked_nothing()
    assert ran(said) == [], said
    assert took["upload_bytes"] < CONFIGURATIONS, took


@pytest.mark.parametrize("name", ["github-actions.yml", "gitlab-ci.yml"])
def test_jobs(name):
    """They cannot run here; but they are what they should be: YAML, with jobs in it."""
    with open(os.path.join(CI, name), encoding="utf-8") as f:
        text = f.read()
    job = yaml.safe_load(text)
    if name == "gitlab-ci.yml":
        script = job["build-stages"]["script"]
        assert [line.split()[0] for line in script] == ["./docker-stages.sh"]
        assert job["build-stages"]["stage"] in job["stages"]
        return
    steps = job["jobs"]["stages"]["steps"]
    options = next(s["with"] for s in steps if "build-push" in s["uses"])
    assert options["cache-to"].endswith("mode=max") and options["push"] is True
    assert "/cache/app:" in options["cache-from"] and "/stage/app:" in options["tags"]
