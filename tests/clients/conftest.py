"""What the tests with real clients stand on; place.py says where they run."""
import os
import secrets
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import clients  # noqa: E402
import golang  # noqa: E402
import images  # noqa: E402
import pyimage  # noqa: E402
from place import Failed, Place  # noqa: E402
from server import Larder  # noqa: E402
from upstream import PORTS, Upstream  # noqa: E402

# What is built there brings tests of its own.
collect_ignore = ["python"]


def fresh_folder(parent, name):
    """One that nobody else has. podman reads a layout's path as a reference, in which no component
    may have the underscores that mkdtemp() puts anywhere."""
    folder = os.path.join(parent, f"{name}-{secrets.token_hex(6)}")
    os.mkdir(folder, 0o700)
    return folder


@pytest.fixture(scope="session")
def place():
    """The namespaces that everything runs in."""
    if os.geteuid() != 0:
        pytest.skip("only root may make the network namespace")
    folder = fresh_folder(tempfile.gettempdir(), "larder-clients")
    place = Place(folder)
    try:
        place.enter()
    except (OSError, Failed) as e:
        place.leave()
        shutil.rmtree(folder)
        pytest.skip(f"no namespaces on this machine: {e}")
    yield place
    place.leave()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def samples(place):
    """The images that the upstreams hold, pushed to them once."""
    if not shutil.which("docker-registry"):
        pytest.skip("docker-registry is not installed")
    held = images.samples()
    for name, repositories in held.items():
        upstream = Upstream(place, name, store_of(place, name), log_of(place.folder, name, "fill"))
        for repository, tags in repositories.items():
            for tag, image in tags.items():
                upstream.push(repository, tag, image)
        upstream.process.stop()
    return {f"{name}/{repository}:{tag}": image for name, repositories in held.items()
            for repository, tags in repositories.items() for tag, image in tags.items()}


@pytest.fixture(scope="session")
def golang_image(place, samples):
    """docker.io/library/golang:1.18, made by mmdebstrap where no earlier run did."""
    for program in "mmdebstrap", "docker-registry":
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    image = golang.image(place)
    upstream = Upstream(place, "docker.io", store_of(place, "docker.io"),
                        log_of(place.folder, "docker.io", "golang"))
    upstream.push("library/golang", "1.18", image)
    upstream.process.stop()
    return image


@pytest.fixture(scope="session")
def python_image(place, samples):
    """docker.io/library/python:3.11-slim, of this machine's own Python."""
    image = pyimage.image(place)
    upstream = Upstream(place, "docker.io", store_of(place, "docker.io"),
                        log_of(place.folder, "docker.io", "python"))
    upstream.push("library/python", "3.11-slim", image)
    upstream.process.stop()
    return image


def store_of(place, name):
    return os.path.join(place.folder, "upstreams", name)


def log_of(folder, name, what):
    return os.path.join(folder, f"{name}-{what}.log")


class World:
    """Upstreams, one Larder before them, and clients; all of one test."""

    def __init__(self, place, folder):
        self.place, self.folder = place, folder
        self.stores = os.path.join(place.stores, os.path.basename(folder))
        self.upstreams, self.clients, self.larder = {}, [], None
        self.started = 0
        clients.configure()
        for name in PORTS:
            self.upstreams[name] = Upstream(place, name, store_of(place, name),
                                            log_of(folder, name, "log"))

    def serve(self, *options, **how):
        """Larder with an empty store."""
        self.larder = Larder(self.place, self.folder, self.upstreams.values(), *options, **how)
        return self.larder

    def client(self, kind):
        """A client with an empty store; a test that wants one which cannot run here is skipped."""
        folder = os.path.join(self.stores, f"{kind.name}-{self.started}")
        self.started += 1
        try:
            self.clients.append(kind(self.place, folder))
        except clients.CannotRun as e:
            pytest.skip(str(e))
        return self.clients[-1]

    def drop(self, client):
        """Ends a client before the test does, and removes what it keeps."""
        client.end()
        self.clients.remove(client)
        self.place.remove(client.folder)

    def end(self):
        try:
            for client in self.clients:
                client.leave()
            for client in self.clients:
                client.end()
            if self.larder:
                self.larder.stop()
        finally:
            for upstream in self.upstreams.values():
                upstream.kill()
            self.place.remove(self.folder)
            self.place.remove(self.stores)


@pytest.fixture
def world(place, samples, request):
    folder = fresh_folder(place.folder, "test")
    world = World(place, folder)
    yield world
    world.end()
