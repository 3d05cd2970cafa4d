"""Every client signs in to a listener that asks who it is, beside those who have not signed in."""
import base64
import json
import os
import re
import subprocess

import pytest

import clients
from images import archive_of, busybox_layer, diff_ids, image_of, motd
from place import Failed
from server import ADDRESS, PROGRAM

HUB = "docker.io/library/busybox:1"
MINE = "registry.example/mine:1"
STAGE, PUBLIC = f"{ADDRESS}/stage/app:1", f"{ADDRESS}/public/app:1"
USER, PASSWORD = "release", "a secret of release"
RULES = [{"users": [USER], "repositories": ["**"], "actions": ["pull", "push", "delete"]},
         {"anonymous": True, "repositories": ["public/**", "docker.io/**"], "actions": ["pull"]}]


@pytest.fixture(scope="session")
def mine(place):
    """A small image that no registry has, and the file that it is loaded from."""
    image = image_of([busybox_layer(), motd("mine")])
    path = os.path.join(place.folder, "signed.tar")
    archive_of(image, MINE, path)
    return image, path


@pytest.fixture
def larder(world):
    users = os.path.join(world.folder, "users")
    subprocess.run([PROGRAM, "passwd", users, USER], input=PASSWORD + "\n", text=True, check=True,
                   capture_output=True)
    config = os.path.join(world.folder, "signed.json")
    with open(config, "w", encoding="utf-8") as f:
        json.dump({"listen": [{"address": ADDRESS, "role": "registry"}],
                   "hosted": {"stage/**": {}, "public/**": {}},
                   "auth": {"htpasswd": users}, "access": RULES}, f)
    larder = world.serve("--config", config, listens=False)
    word = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    larder.says["Authorization"] = "Basic " + word
    return larder


@pytest.fixture
def signed(world):
    """The environment of one whose sign-in is kept, which others do not see."""
    return dict(world.place.env, DOCKER_CONFIG=os.path.join(world.folder, "docker"),
                REGISTRY_AUTH_FILE=os.path.join(world.folder, "auth.json"))


def tokens(larder):
    """How often a token was given to a user, and to nobody; it ends the server, whose log is whole
    only then."""
    larder.stop()
    given = [line for line in larder.process.said().splitlines()
             if " path=/-/token " in line and " status=200 " in line]
    users = [line for line in given if line.endswith(" user=" + USER)]
    return len(users), len(given) - len(users)


def refused(run, *args, **how):
    """It fails, and says that one has to sign in."""
    with pytest.raises(Failed) as failed:
        run(*args, **how)
    assert re.search("unauthorized|denied|401|invalid username/password|authorization failed",
                     str(failed.value)), failed.value


def login(client, env, *more):
    words = ["login", *more, "--username", USER, "--password"]
    refused(client.run, *words, "wrong", ADDRESS, env=env)
    assert "Login Succeeded" in client.run(*words, PASSWORD, ADDRESS, env=env)


def check(larder, image, *names):
    for repository in names:
        assert larder.pushed(repository, "1").diff_ids == diff_ids(image)


def test_docker(world, larder, mine, signed):
    docker = world.client(clients.Docker)
    docker.load(mine[1], MINE)
    for name in STAGE, PUBLIC:
        docker.run("tag", MINE, name)
    refused(docker.run, "push", STAGE)
    login(docker, signed)
    for name in STAGE, PUBLIC:
        docker.run("push", name, env=signed)
    check(larder, mine[0], "stage/app", "public/app")
    docker.run("rmi", STAGE, PUBLIC, MINE)
    docker.pull(PUBLIC)
    docker.forget(PUBLIC)
    refused(docker.pull, STAGE)
    docker.run("pull", STAGE, env=signed)
    docker.pull(HUB)  # dockerd's mirror for the Hub
    docker.run("logout", ADDRESS, env=signed)
    refused(docker.run, "push", STAGE, env=signed)
    users, nobody = tokens(larder)
    assert users >= 4 and nobody >= 3


def test_build(world, larder, mine, signed):
    """BuildKit has the client's command fetch tokens."""
    docker = world.client(clients.Docker)
    if docker.no_buildkit():
        pytest.skip(docker.no_buildkit())
    docker.load(mine[1], MINE)
    docker.run("tag", MINE, STAGE)
    login(docker, signed)
    docker.run("push", STAGE, env=signed)
    docker.run("rmi", STAGE, MINE)
    context = os.path.join(world.folder, "context")
    os.makedirs(context)
    with open(os.path.join(context, "Dockerfile"), "w", encoding="utf-8") as f:
        f.write(f"FROM {STAGE}\nRUN cat /etc/motd >/motd\n")
    words = docker.command("build", "--network=none", "--tag", f"{ADDRESS}/stage/built:1", context)
    refused(world.place.says, *words, env=dict(world.place.env, DOCKER_BUILDKIT="1"))
    world.place.says(*words, env=dict(signed, DOCKER_BUILDKIT="1"))
    docker.run("push", f"{ADDRESS}/stage/built:1", env=signed)
    assert larder.pushed("stage/built", "1").diff_ids[:2] == diff_ids(mine[0])


@pytest.mark.parametrize("kind", [clients.Podman, clients.Buildah], ids=lambda kind: kind.name)
def test_containers(kind, world, larder, mine, signed):
    client = world.client(kind)
    client.load(mine[1], MINE)
    for name in STAGE, PUBLIC:
        client.run("tag", MINE, name)
    refused(client.run, "push", STAGE)
    login(client, signed, "--tls-verify=false")
    for name in STAGE, PUBLIC:
        client.run("push", name, env=signed)
    check(larder, mine[0], "stage/app", "public/app")
    client.run("rmi", "--force", STAGE, PUBLIC, MINE)
    client.pull(PUBLIC)
    refused(client.pull, STAGE)
    client.run(*client.pull_args(STAGE), env=signed)
    client.pull(HUB)
    users, nobody = tokens(larder)
    assert users >= 4 and nobody >= 3


def test_skopeo(world, larder, mine):
    skopeo = world.client(clients.Skopeo)
    skopeo.load(mine[1], MINE)
    creds = f"{USER}:{PASSWORD}"
    refused(skopeo.push, MINE, STAGE)
    for name in STAGE, PUBLIC:
        skopeo.run("copy", "--dest-creds", creds, "dir:" + skopeo.target(MINE), "docker://" + name)
    check(larder, mine[0], "stage/app", "public/app")
    skopeo.pull(PUBLIC)
    refused(skopeo.pull, STAGE)
    refused(skopeo.run, "inspect", "--creds", USER + ":wrong", "docker://" + STAGE)
    skopeo.run("inspect", "--creds", creds, "docker://" + STAGE)
    assert json.loads(skopeo.run("list-tags", f"docker://{ADDRESS}/public/app"))["Tags"] == ["1"]
    refused(skopeo.run, "delete", "docker://" + PUBLIC)
    skopeo.run("delete", "--creds", creds, "docker://" + PUBLIC)
    users, nobody = tokens(larder)
    assert users >= 4 and nobody >= 3


def test_containerd(world, larder, samples):
    """It also uploads no layer that it may read here, though others read some without a user."""
    containerd = world.client(clients.Containerd)
    creds = ["--user", f"{USER}:{PASSWORD}"]
    containerd.pull(HUB)
    push = ["images", "push", "--plain-http", "--platform", "linux/" + clients.ARCHITECTURE]
    watch = larder.watch()
    for name in STAGE, PUBLIC:
        containerd.run("images", "tag", HUB, name)
        refused(containerd.run, *push, name)
        containerd.run(*push, *creds, name)
    watch.uploaded({})
    check(larder, samples[HUB].here(), "stage/app", "public/app")
    for name in HUB, STAGE, PUBLIC:
        containerd.run("images", "remove", "--sync", name)
    containerd.pull(PUBLIC)
    refused(containerd.pull, STAGE)
    containerd.run(*containerd.pull_args(STAGE), *creds)
    users, nobody = tokens(larder)
    assert users >= 3 and nobody >= 3
    posts = [line for line in larder.process.said().splitlines()
             if " path=/-/token " in line and " method=POST " in line]
    assert posts and all(" status=200 " in line for line in posts)
