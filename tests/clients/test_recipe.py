"""The recipe of config/ci/: stages and caches that one build pushes, and the next one finds.

Everything is built by a client that has nothing, pushed, and built again by another that has
nothing: then every step comes from Larder, none runs again, and no upstream is asked.
"""
import json
import os
import re

import pytest
import yaml

import clients
from images import diff_ids
from place import TOP
from server import ADDRESS

HERE = os.path.dirname(os.path.abspath(__file__))
CI = os.path.join(TOP, "config/ci")
IMAGE, CACHE = f"{ADDRESS}/stage/app", f"{ADDRESS}/cache/app"
# Folder of the Dockerfile, and its stages.
APPLICATIONS = {
    "go": ["builder", "ci", "dev", "release"],
    "python": ["base", "builder", "ci", "dev", "release"],
}


@pytest.fixture(params=APPLICATIONS)
def application(request):
    """Its name, and the image that it starts from, which is there before the world is."""
    fixture = {"go": "golang_image", "python": "python_image"}[request.param]
    return request.param, request.getfixturevalue(fixture)


def held(larder):
    """All images in hosted repositories, by name."""
    repositories = json.loads(larder.get("/v2/_catalog")[2])["repositories"]
    return {f"{repository}:{tag}": larder.pushed(repository, tag)
            for repository in repositories for tag in larder.tags(repository)}


def check(larder, before, base):
    """After both builds: the images are what they were, so that no step ran again; each layer was
    uploaded once, whatever the repositories, and none of the base."""
    after = held(larder)
    assert {name: image.diff_ids for name, image in after.items()} == {
        name: image.diff_ids for name, image in before.items()}
    finished = larder.counters()["uploads_finished"]
    sent = [digest for method, path, digest, status in larder.writes()
            if method == "PUT" and "/uploads/" in path and status == 201]
    assert len(sent) == finished
    layers = {digest for images in (before, after) for image in images.values()
              for digest in image.layers}
    bases = set(base.blobs) & layers
    assert len(bases) == len(diff_ids(base))
    # The rest are configurations; they have times in them, and no client mounts them.
    assert sorted(digest for digest in sent if digest in layers) == sorted(layers - bases)


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
    name, base = application
    larder = world.serve()
    first = world.client(clients.Docker)
    if first.no_buildkit():
        pytest.skip(first.no_buildkit())
    said = docker_stages(first, name)
    before = held(larder)
    runs = {s[1] for s in steps_of(said) if s[1].startswith("RUN")}
    assert [s for s in steps_of(said) if s[1].startswith("RUN") and not s[2]], said
    assert set(larder.tags("stage/app")) == set(APPLICATIONS[name])
    world.drop(first)

    second = world.client(clients.Docker)
    watch = larder.watch()
    said = docker_stages(second, name)
    watch.asked_nothing()
    assert {s[1] for s in steps_of(said) if s[1].startswith("RUN")} == runs
    assert [s[1] for s in steps_of(said) if not s[2]] == [], said
    for stage in APPLICATIONS[name]:
        second.run("image", "inspect", f"{IMAGE}:{stage}")
    check(larder, before, base)


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
    name, base = application
    larder = world.serve()
    first = world.client(clients.Buildah)
    said = buildah_stages(first, name)
    before = held(larder)
    assert ran(said), said
    assert larder.tags("cache/app")
    assert set(larder.tags("stage/app")) == set(APPLICATIONS[name])
    world.drop(first)

    second = world.client(clients.Buildah)
    watch = larder.watch()
    said = buildah_stages(second, name)
    watch.asked_nothing()
    assert ran(said) == [], said
    check(larder, before, base)


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
