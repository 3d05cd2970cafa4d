"""The real clients, each with a store of its own, configured by the files of config/ as they are.

Every one has pull(), which may be started beside others by start_pull(); load() of an image from a
file, as images.archive_of() writes it; push() of an image that it has, by another name; forget(),
after which it has nothing of an image any more; and motd(), which proves by a file of the image
that it is whole.
"""
import glob
import gzip
import io
import json
import os
import re
import shutil
import tarfile

from images import ARCHITECTURE
from place import TOP, Failed, answers, until

CONFIG = os.path.join(TOP, "config")
# Which of config/ goes where, as the files themselves say.
PUT = {"docker/daemon.json": "docker/daemon.json",
       "containerd/certs.d/_default/hosts.toml": "containerd/certs.d/_default/hosts.toml",
       "buildkit/buildkitd.toml": "buildkit/buildkitd.toml",
       "containers/registries.conf.d/larder.conf": "containers/registries.conf.d/larder.conf"}
# What podman and skopeo want besides, as their packages bring it; a Dockerfile's FROM is Docker's.
BESIDES = {"policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}',
           "registries.conf": 'unqualified-search-registries = ["docker.io"]\n'}


def configure():
    """Puts config/ and nothing else where the clients look; /etc is the place's own."""
    for folder in {target.split("/")[0] for target in PUT.values()}:
        shutil.rmtree(f"/etc/{folder}", ignore_errors=True)
    for source, target in PUT.items():
        os.makedirs(os.path.dirname(os.path.join("/etc", target)), exist_ok=True)
        shutil.copy(os.path.join(CONFIG, source), os.path.join("/etc", target))
    for name, text in BESIDES.items():
        with open(os.path.join("/etc/containers", name), "w", encoding="utf-8") as f:
            f.write(text)


class CannotRun(Exception):
    """Why a client cannot be tried on this machine."""


class Client:
    """What they have in common. `needs` are the programs without which it cannot be tried."""

    name, needs = "", ()
    # Whether it can be told to mirror a registry other than Docker Hub.
    any_registry = True
    daemon = None

    def __init__(self, place, folder):
        missing = [n for n in self.needs if not shutil.which(n, path=place.env["PATH"])]
        if missing:
            raise CannotRun(f"{self.name}: {' and '.join(missing)} is not installed")
        self.place, self.folder = place, folder
        os.makedirs(folder)
        self.log = os.path.join(folder, "log")
        self.begin()

    def begin(self):
        """Starts what has to run."""

    def start_daemon(self, *command):
        """Starts a daemon that listens at `socket`. One that ends by itself cannot run here."""
        self.daemon = self.place.start(command, self.log)
        until(f"{self.name} listens", lambda: self.daemon.child.poll() is not None
              or os.path.exists(self.socket) and answers(self.socket))
        if self.daemon.child.poll() is not None:
            raise CannotRun(f"{self.name}: {self.daemon.said().strip().splitlines()[-1:]}")
        self.run("version")

    def leave(self):
        """Tells it to end, without waiting for that."""
        if self.daemon and self.daemon.child.poll() is None:
            self.daemon.child.terminate()

    def end(self):
        """Ends what runs."""
        if self.daemon:
            self.daemon.stop()

    def command(self, *args):
        raise NotImplementedError

    def pull_args(self, image):
        return ["pull", image]

    def run(self, *args, **how):
        return self.place.run(*self.command(*args), **how)

    def pull(self, image):
        self.run(*self.pull_args(image))

    def load(self, archive, image):
        self.run("load", "--input", archive)

    def push(self, image, name):
        """Pushes an image that is here by another name, which it then has here too."""
        self.run("tag", image, name)
        self.run("push", name)

    def start_pull(self, image):
        return self.place.start(self.command(*self.pull_args(image)), self.log + ".pull")


class Docker(Client):
    """dockerd with the classic store, and its command."""

    name, needs = "docker", ("docker", "dockerd", "containerd", "runc")
    any_registry = False

    def begin(self):
        self.socket = os.path.join(self.folder, "docker.sock")
        self.start_daemon(
            "dockerd", "--data-root", os.path.join(self.folder, "data"),
            "--exec-root", os.path.join(self.folder, "exec"), "--host", "unix://" + self.socket,
            "--pidfile", os.path.join(self.folder, "pid"), "--bridge=none", "--iptables=false")

    def command(self, *args):
        return ["docker", "--host", "unix://" + self.socket, *args]

    def forget(self, image):
        self.run("rmi", image)

    def motd(self, image):
        return self.run("run", "--rm", "--network=none", image, "cat", "/etc/motd")

    def version(self, what="Server"):
        return self.run("version", "--format", "{{.%s.Version}}" % what).strip()

    def no_buildkit(self):
        """Why BuildKit cannot be used, or nothing. From 23 on the command needs a plug-in."""
        if int(self.version("Client").split(".")[0]) < 23:
            return ""
        try:
            self.run("buildx", "version")
            return ""
        except Failed:
            return f"docker {self.version('Client')} builds by BuildKit only with docker-buildx"

    def build(self, context, *args, buildkit=True):
        """Returns what the build said."""
        env = dict(self.place.env, DOCKER_BUILDKIT="1" if buildkit else "0")
        plain = ["--progress=plain"] if buildkit else []
        return self.place.says(
            *self.command("build", "--network=none", *plain, *args, context), env=env)


def forget_blobs():
    """Removes what podman, buildah and skopeo remember of where blobs are, which root's share."""
    shutil.rmtree("/var/lib/containers/cache", ignore_errors=True)


class Containers(Client):
    """podman, buildah: one library, one store below the folder."""

    def begin(self):
        forget_blobs()
        # podman refuses a path of more than 50 characters for it.
        self.state = os.path.join("/run", os.path.basename(self.folder))

    def end(self):
        self.place.remove(self.state)

    def store(self):
        return ["--root", os.path.join(self.folder, "root"), "--runroot", self.state]

    def command(self, *args):
        return [self.name, *self.store(), *args]

    def pull_args(self, image):
        return ["pull", "--quiet", image]

    def build(self, context, *args):
        """Returns what the build said."""
        return self.place.says(
            *self.command("build", "--isolation=chroot", "--layers", *args, context))

    def load(self, archive, image):
        self.run("tag", self.run("pull", "--quiet", "oci-archive:" + archive).strip(), image)

    def forget(self, image):
        self.run("rmi", "--force", image)


class Podman(Containers):
    """podman without a daemon, as root."""

    name, needs = "podman", ("podman",)

    def motd(self, image):
        # Not by `run`: podman's runtimes each refuse some layout of control groups.
        mounted = self.run("image", "mount", image).strip()
        try:
            return self.place.run("cat", os.path.join(mounted, "etc/motd"))
        finally:
            self.run("image", "unmount", image)


class Buildah(Containers):
    """buildah, whose pulls and builds go by the same configuration as podman's."""

    name, needs = "buildah", ("buildah",)

    def motd(self, image):
        return self.content(image, "etc/motd")

    def content(self, image, path):
        """Of a file in the image. Not by `run`, which loses what ends at once on a busy machine."""
        container = self.run("from", "--pull-never", image).strip()
        try:
            return self.place.run("cat", os.path.join(self.run("mount", container).strip(), path))
        finally:
            self.run("umount", container)
            self.run("rm", container)


class Skopeo(Client):
    """skopeo copies images into a folder of files."""

    name, needs = "skopeo", ("skopeo",)

    def begin(self):
        forget_blobs()

    def command(self, *args):
        return ["skopeo", *args]

    def target(self, image):
        return os.path.join(self.folder, re.sub(r"\W", "-", image))

    def pull_args(self, image):
        return ["copy", "--quiet", "docker://" + image, "dir:" + self.target(image)]

    def load(self, archive, image):
        self.run("copy", "--quiet", "oci-archive:" + archive, "dir:" + self.target(image))

    def push(self, image, name):
        self.run("copy", "--quiet", "dir:" + self.target(image), "docker://" + name)

    def forget(self, image):
        shutil.rmtree(self.target(image))

    def motd(self, image):
        return motd_of(self.target(image))


def motd_of(folder):
    """etc/motd from the layers of an image that lies in a folder, its digests looked at."""
    with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as f:
        manifest = json.load(f)
    for layer in reversed(manifest["layers"]):
        with open(os.path.join(folder, layer["digest"].split(":")[1]), "rb") as f:
            with tarfile.open(fileobj=io.BytesIO(gzip.decompress(f.read()))) as tar:
                if "etc/motd" in tar.getnames():
                    return tar.extractfile("etc/motd").read().decode()
    raise AssertionError(f"no etc/motd in {folder}: {manifest}")


class Containerd(Client):
    """containerd and ctr, by the hosts.toml that containerd's own documentation has."""

    name, needs = "containerd", ("containerd", "ctr", "runc")

    def begin(self):
        self.socket = os.path.join(self.folder, "containerd.sock")
        settings = os.path.join(self.folder, "config.toml")
        with open(settings, "w", encoding="utf-8") as f:
            f.write('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        self.start_daemon(
            "containerd", "--config", settings, "--root", os.path.join(self.folder, "root"),
            "--state", os.path.join(self.folder, "state"), "--address", self.socket)

    def command(self, *args):
        return ["ctr", "--address", self.socket, *args]

    def pull_args(self, image):
        return ["images", "pull", "--hosts-dir", "/etc/containerd/certs.d", image]

    def load(self, archive, image):
        self.run("images", "import", archive)

    def push(self, image, name):
        # ctr pushes what it has; of an image for many machines it must be told which it has.
        self.run("images", "tag", "--force", image, name)
        self.run("images", "push", "--plain-http", "--platform", "linux/" + ARCHITECTURE, name)

    def forget(self, image):
        # --sync waits until its garbage is collected, so that the next pull finds nothing.
        self.run("images", "remove", "--sync", image)
        until("containerd forgot", lambda: not glob.glob(os.path.join(
            self.folder, "root/io.containerd.content.v1.content/blobs/sha256/*")))

    def motd(self, image):
        mounted = os.path.join(self.folder, "mounted")
        os.makedirs(mounted)
        self.run("images", "mount", image, mounted)
        try:
            return self.place.run("cat", os.path.join(mounted, "etc/motd"))
        finally:
            # What is mounted is kept under the folder's name, for the next image too.
            self.run("images", "unmount", "--rm", mounted)
            os.rmdir(mounted)


ALL = [Docker, Podman, Buildah, Skopeo, Containerd]
