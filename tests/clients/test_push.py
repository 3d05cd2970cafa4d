"""Every client pushes to a repository of Larder's own, and another one pulls that back."""
import json
import os
import random

import pytest

import clients
from images import archive_of, busybox_layer, diff_ids, image_of, layer_of, motd
from place import Failed
from server import ADDRESS

HUB = "docker.io/library/busybox:1"
# For two machines, in the OCI's form, which the layouts keep as it is.
OTHER = "ghcr.io/owner/app:1"
MINE = "registry.example/mine:1"
KINDS = [pytest.param(kind, id=kind.name) for kind in clients.ALL]


@pytest.fixture(scope="session")
def mine(place):
    """An image that no registry has, and the file that it is loaded from."""
    large = layer_of({"data/mine": random.Random(3).randbytes(12 << 20)})
    image = image_of([busybox_layer(), large, motd("mine")])
    path = os.path.join(place.folder, "mine.tar")
    archive_of(image, MINE, path)
    return image, path


@pytest.mark.parametrize("kind", KINDS)
def test_push_and_pull(world, mine, kind):
    """What was pushed is whole, is listed, and is pulled by a client that has nothing."""
    image, archive = mine
    larder = world.serve()
    name = f"{ADDRESS}/stage/app:{kind.name}"
    first = world.client(kind)
    first.load(archive, MINE)
    watch = larder.watch()
    first.push(MINE, name)
    there = larder.pushed("stage/app", kind.name)
    # Some compress layers anew, to other digests; what is in them is the same.
    assert there.diff_ids == diff_ids(image)
    watch.uploaded(there.blobs)
    assert larder.tags("stage/app") == [kind.name]
    watch = larder.watch()
    first.push(MINE, name)
    watch.uploaded({})

    second = world.client(kind)
    watch = larder.watch()
    second.pull(name)
    watch.asked_nothing()
    assert second.motd(name) == "this is mine\n"
    by_digest = f"{ADDRESS}/stage/app@{there.digest}"
    second.forget(name)
    second.pull(by_digest)

    # To another repository layers are mounted. A configuration is no layer, and sent by some.
    watch = larder.watch()
    second.push(by_digest, f"{ADDRESS}/stage/other:1")
    assert larder.pushed("stage/other", "1").diff_ids == diff_ids(image)
    took = watch.counted()
    assert took["mounts"] >= 3, took
    assert took["upload_bytes"] <= min(there.blobs.values()) + 1000, took
    assert larder.get("/v2/_catalog")[2] == b'{"repositories":["stage/app","stage/other"]}'
    assert world.upstreams["docker.io"].requests() == []


def test_index(world, samples):
    """skopeo copies an index with all its images, byte for byte; what is mirrored is not sent."""
    larder = world.serve()
    skopeo = world.client(clients.Skopeo)
    skopeo.run("copy", "--all", "docker://" + HUB, f"dir:{skopeo.folder}/all")
    watch = larder.watch()
    skopeo.run("copy", "--all", "docker://" + HUB, f"docker://{ADDRESS}/stage/app:all")
    there = larder.pushed("stage/app", "all")
    assert there.digest == samples[HUB].digest
    assert [child.digest for child in there.children] == [c.digest for c in samples[HUB].children]
    watch.uploaded({})

    watch.asked_nothing()
    skopeo.pull(f"{ADDRESS}/stage/app:all")
    assert skopeo.motd(f"{ADDRESS}/stage/app:all") == "this is busybox\n"
    told = json.loads(skopeo.run("inspect", f"docker://{ADDRESS}/stage/app:all"))
    assert (told["Digest"], told["RepoTags"]) == (there.digest, ["all"])
    assert set(told["Layers"]) < set(samples[HUB].here().blobs)
    raw = skopeo.run("inspect", "--raw", f"docker://{ADDRESS}/stage/app:all")
    assert raw == samples[HUB].body.decode()


@pytest.mark.parametrize("layout", ["dir", "oci", "oci-archive", "docker-archive"])
def test_layout(world, samples, layout):
    """Images come from files and go to files, whole indexes where the files can hold them."""
    larder = world.serve()
    skopeo = world.client(clients.Skopeo)
    all_of_it = [] if layout == "docker-archive" else ["--all"]
    files = f"{layout}:{skopeo.folder}/files" + {"dir": ""}.get(layout, ":app:1")
    skopeo.run("copy", *all_of_it, "docker://" + OTHER, files)
    watch = larder.watch()
    skopeo.run("copy", *all_of_it, files, f"docker://{ADDRESS}/stage/app:files")
    there = larder.pushed("stage/app", "files")
    if all_of_it:
        assert there.digest == samples[OTHER].digest
        assert len(there.children) == 2
        watch.uploaded({})
    else:
        assert there.diff_ids == diff_ids(samples[OTHER].here())

    watch = larder.watch()
    back = f"{layout}:{skopeo.folder}/back" + {"dir": ""}.get(layout, ":app:1")
    skopeo.run("copy", *all_of_it, f"docker://{ADDRESS}/stage/app:files", back)
    skopeo.run("copy", *all_of_it, back, f"docker://{ADDRESS}/stage/app:back")
    if all_of_it:
        assert larder.pushed("stage/app", "back").digest == there.digest
    watch.uploaded({})


def test_delete(world, samples):
    """skopeo delete takes the tag away; others stay, and the image is gone where nobody has it."""
    larder = world.serve()
    skopeo = world.client(clients.Skopeo)
    for tag, image in ("a", HUB), ("b", OTHER):
        skopeo.run("copy", "docker://" + image, f"docker://{ADDRESS}/stage/app:{tag}")
    listed = json.loads(skopeo.run("list-tags", f"docker://{ADDRESS}/stage/app"))
    assert listed["Tags"] == ["a", "b"]
    skopeo.run("delete", f"docker://{ADDRESS}/stage/app:a")
    assert larder.tags("stage/app") == ["b"]
    with pytest.raises(Failed):
        skopeo.pull(f"{ADDRESS}/stage/app:a")
    skopeo.pull(f"{ADDRESS}/stage/app:b")
    with pytest.raises(Failed):
        skopeo.run("delete", f"docker://{ADDRESS}/docker.io/library/busybox:1")
    skopeo.pull(HUB)


def podman_list(world, samples):
    podman = world.client(clients.Podman)
    podman.run("manifest", "create", "--all", "list", "docker://" + OTHER)
    podman.run("manifest", "push", "--all", "list", f"docker://{ADDRESS}/stage/app:list")


def containerd_list(world, samples):
    containerd = world.client(clients.Containerd)
    containerd.run(*containerd.pull_args(OTHER), "--all-platforms")
    containerd.run("images", "tag", OTHER, f"{ADDRESS}/stage/app:list")
    containerd.run("images", "push", "--plain-http", f"{ADDRESS}/stage/app:list")


def docker_list(world, samples):
    docker = world.client(clients.Docker)
    names = [f"{ADDRESS}/ghcr.io/owner/app@{child.digest}" for child in samples[OTHER].children]
    for number, name in enumerate(names):
        docker.pull(name)
        docker.push(name, f"{ADDRESS}/stage/app:{number}")
    docker.run("manifest", "create", "--insecure", f"{ADDRESS}/stage/app:list",
               *[f"{ADDRESS}/stage/app:{number}" for number in range(len(names))])
    docker.run("manifest", "push", f"{ADDRESS}/stage/app:list")


@pytest.mark.parametrize("push", [podman_list, containerd_list, docker_list])
def test_list(world, samples, push):
    """An image for several machines, put together and pushed by other clients than skopeo."""
    larder = world.serve()
    skopeo = world.client(clients.Skopeo)
    skopeo.run("copy", "--all", "docker://" + OTHER, f"dir:{skopeo.folder}/all")
    watch = larder.watch()
    push(world, samples)
    there = larder.pushed("stage/app", "list")
    assert [c.diff_ids for c in there.children] == [diff_ids(c) for c in samples[OTHER].children]
    watch.uploaded({})
    skopeo.pull(f"{ADDRESS}/stage/app:list")
    assert skopeo.motd(f"{ADDRESS}/stage/app:list") == "this is app\n"


@pytest.mark.parametrize("kind", KINDS)
def test_no_push_elsewhere(world, mine, kind):
    """Names that are no pattern of `hosted` take no pushes, and the client says which do."""
    larder = world.serve()
    client = world.client(kind)
    client.load(mine[1], MINE)
    for name in f"{ADDRESS}/ghcr.io/owner/app:1", f"{ADDRESS}/elsewhere/app:1":
        with pytest.raises(Failed) as failed:
            client.push(MINE, name)
        said = str(failed.value)
        # ctr tells nothing but the status.
        assert "Names that do: stage/**, cache/**" in said or "403 Forbidden" in said
    took = larder.counters()
    assert took["uploads_started"] == took["manifests_pushed"] == 0, took
    asked = world.upstreams["ghcr.io"].requests() + world.upstreams["docker.io"].requests()
    assert {method for method, _, _ in asked} <= {"HEAD"}
