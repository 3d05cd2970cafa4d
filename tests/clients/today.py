"""Today's BuildKit and crane, which Debian 12 does not have; `make test` does not run this.

    PATH=$PATH:WHERE pytest tests/clients/today.py

with buildkitd, buildctl and crane in WHERE, as Go builds them from their public sources.
"""
import json
import os

import pytest

import clients
from server import ADDRESS
from test_go import CONTEXT, STAGES
from test_recipe import steps_of

HUB = "docker.io/library/busybox:1"
OTHER = "ghcr.io/owner/app:1"


class BuildKit(clients.Client):
    """buildkitd by itself, with config/buildkit/buildkitd.toml."""

    name, needs = "buildkit", ("buildkitd", "buildctl", "runc")

    def begin(self):
        self.socket = os.path.join(self.folder, "buildkitd.sock")
        self.start_daemon(
            "buildkitd", "--config", "/etc/buildkit/buildkitd.toml", "--addr",
            "unix://" + self.socket, "--root", os.path.join(self.folder, "root"),
            "--containerd-worker=false", "--oci-worker-net=host")

    def command(self, *args):
        if args == ("version",):
            args = ("debug", "workers")
        return ["buildctl", "--addr", "unix://" + self.socket, *args]

    def build(self, context, *options):
        """Builds into a layout of files, which is returned."""
        out = os.path.join(self.folder, "built")
        self.said = self.place.says(*self.command(
            "build", "--frontend", "dockerfile.v0", "--local", "context=" + context,
            "--local", "dockerfile=" + context, "--opt", "force-network-mode=none",
            "--progress=plain", "--output", f"type=oci,tar=false,dest={out}", *options))
        with open(os.path.join(out, "index.json"), encoding="utf-8") as f:
            return json.load(f)


@pytest.mark.parametrize("image", [HUB, OTHER])
def test_buildkit(world, samples, image):
    """buildkitd.toml serves every registry that it lists; a second buildkitd asks no upstream."""
    folder = os.path.join(world.folder, "context")
    os.makedirs(folder)
    with open(os.path.join(folder, "Dockerfile"), "w", encoding="utf-8") as f:
        f.write(f"FROM {image}\nRUN cat /etc/motd >/built\n")
    larder = world.serve()
    for daemon in "first", "second":
        buildkit = world.client(BuildKit)
        watch = larder.watch()
        assert buildkit.build(folder)["manifests"]
        if daemon == "first":
            watch.fetched(samples[image])
        else:
            watch.asked_nothing()
        world.drop(buildkit)


def test_buildkit_stages(world, golang_image):
    """The Go program's stages, each by a buildkitd that has nothing."""
    larder = world.serve()
    for stage in STAGES:
        buildkit = world.client(BuildKit)
        watch = larder.watch()
        assert buildkit.build(CONTEXT, "--opt", "target=" + stage)["manifests"]
        if stage == "builder":
            watch.fetched(golang_image)
        else:
            watch.asked_nothing()
        world.drop(buildkit)


SHOWN = ("uploads_finished", "upload_bytes", "head_leases", "mounts", "upstream_requests")


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("manifest, oci", [("true", "true"), ("false", "true"),
                                           ("false", "false")])
def test_registry_cache(python_image, world, mode, manifest, oci):
    """A cache that one buildkitd exports serves one that has nothing; again, no layer is sent."""
    larder = world.serve()
    ref = f"ref={ADDRESS}/cache/app:{mode}"
    to = f"type=registry,{ref},mode={mode},image-manifest={manifest},oci-mediatypes={oci}"
    options = ["--opt", "target=release", "--export-cache", to,
               "--import-cache", "type=registry," + ref]
    context = os.path.join(os.path.dirname(CONTEXT), "python")
    images = []
    for daemon in "first", "second":
        buildkit = world.client(BuildKit)
        watch = larder.watch()
        images.append(diff_ids_of(buildkit, buildkit.build(context, *options)))
        took = watch.counted()
        anew = [step for number, step, cached in steps_of(buildkit.said)
                if not cached and f"#{number} sha256:" not in buildkit.said]
        print(daemon, {name: took[name] for name in SHOWN})
        if daemon == "second":
            # Of the last step it fetches the layers, instead of saying that it was cached.
            assert anew == [], buildkit.said
            assert took["upstream_requests"] == took["upload_bytes"] == 0, took
        else:
            assert [step for step in anew if step.startswith("RUN")], buildkit.said
        watch = larder.watch()
        buildkit.build(context, *options)
        watch.uploaded({})
        world.drop(buildkit)
    # A step that had run again would have made another layer.
    assert images[0] == images[1]
    sent = [digest for method, path, digest, status in larder.writes()
            if method == "PUT" and "/uploads/" in path and status == 201]
    assert len(sent) == len(set(sent)) and not set(sent) & set(python_image.blobs)


def diff_ids_of(buildkit, layout):
    """The layers of the image in a layout, unpacked: what a step that ran again would change."""
    def blob(digest):
        path = os.path.join(buildkit.folder, "built/blobs", digest.replace(":", "/"))
        with open(path, encoding="utf-8") as f:
            return json.load(f)
    manifest = blob(layout["manifests"][0]["digest"])
    if "manifests" in manifest:
        manifest = blob(manifest["manifests"][0]["digest"])
    return blob(manifest["config"]["digest"])["rootfs"]["diff_ids"]


class Crane(clients.Client):
    """crane, as ko, kaniko and cosign pull."""

    name, needs = "crane", ("crane",)

    def command(self, *args):
        return ["crane", *args]


@pytest.mark.parametrize("image", [HUB, OTHER])
def test_crane(world, samples, image):
    """crane has no mirrors; it takes images by Larder's own address, and checks each digest."""
    larder = world.serve()
    crane = world.client(Crane)
    pull = ["pull", "--format", "oci", f"{ADDRESS}/{image}"]
    watch = larder.watch()
    crane.run(*pull, os.path.join(crane.folder, "first"))
    took = watch.counted()
    # It takes all platforms.
    assert took["upstream_blob_gets"] == sum(len(c.blobs) for c in samples[image].children), took
    watch = larder.watch()
    crane.run(*pull, os.path.join(crane.folder, "second"))
    watch.asked_nothing()
    said = crane.run("digest", f"{ADDRESS}/{image}")
    assert said.strip() == samples[image].digest
