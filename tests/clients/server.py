"""Larder itself, started in the place, and what it counts."""
import hashlib
import http.client
import json
import os
import re
import signal
import socket

from images import DOCKER, OCI
from place import TOP, until

# The address that everything in config/ names.
ADDRESS = "127.0.0.1:5000"
PROGRAM = os.path.abspath(os.environ.get("LARDER", os.path.join(TOP, "build/release/larder")))
# Whatever asks an upstream counts here.
ASKED = ("upstream_requests", "upstream_manifest_heads", "upstream_manifest_gets",
         "upstream_blob_heads", "upstream_blob_gets", "upstream_bytes")
ACCEPT = ", ".join([OCI["index"], OCI["manifest"], DOCKER["index"], DOCKER["manifest"]])
# What an access log line has of a request that changes something.
WRITE = re.compile(r" method=(POST|PUT|PATCH|DELETE) status=(\d+) .* digest=(\S+) .* path=(\S+) ")
# Set for the sanitizers by tests/run.py.
KEPT_ENV = ("ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")


class ControlConnection(http.client.HTTPConnection):
    """HTTP over the control socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def kept_env():
    return {name: os.environ[name] for name in KEPT_ENV if name in os.environ}


class Larder:
    """A server with an empty store, or that of its folder, before the upstreams that are given. The
    words of `before` come before its command. It listens at ADDRESS, which `listens` leaves to its
    configuration; `says` are header fields of all that the test asks it."""

    def __init__(self, place, folder, upstreams, *options, before=(), env=(), listens=True):
        self.data = os.path.join(folder, "data")
        self.says = {"Accept": ACCEPT}
        command = [PROGRAM, "serve", "--data", self.data]
        if listens:
            command += ["--listen", ADDRESS]
        for upstream in upstreams:
            command += ["--upstream", f"{upstream.name}={upstream.url()}"]
        self.process = place.start([*before, *command, *options],
                                   os.path.join(folder, "larder.log"),
                                   {**kept_env(), **dict(env)})
        self.process.ready(lambda: f"listening on http://{ADDRESS}" in self.process.said())

    def stop(self):
        """Ends it as an operator does. A sanitizer that found something makes the status wrong."""
        status = self.process.stop(signal.SIGTERM, 60)
        assert status == 0, f"larder ended with status {status}:\n{self.process.said()[-5000:]}"

    def counters(self):
        connection = ControlConnection(os.path.join(self.data, "control.sock"))
        connection.request("GET", "/-/counters")
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        assert answer.status == 200, f"/-/counters: {answer.status} {text[:200]}"
        return json.loads(text)

    def get(self, path):
        """Status, header fields and body of what is at a path of its address."""
        connection = http.client.HTTPConnection(*ADDRESS.split(":"), timeout=60)
        connection.request("GET", path, headers=self.says)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.headers, body

    def tags(self, repository):
        status, _, body = self.get(f"/v2/{repository}/tags/list")
        assert status == 200, f"tags of {repository}: {status} {body[:200]}"
        return json.loads(body)["tags"]

    def part(self, repository, kind, reference):
        """A manifest or blob of a repository, its digest looked at; digest, type and body."""
        status, fields, body = self.get(f"/v2/{repository}/{kind}/{reference}")
        assert status == 200, f"{repository} {reference}: {status} {body[:200]}"
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        assert fields["Docker-Content-Digest"] == digest
        assert digest == reference or ":" not in reference
        return digest, fields["Content-Type"], body

    def pushed(self, repository, reference):
        """An image as it lies here, all of it fetched."""
        return Pushed(self, repository, reference)

    def writes(self):
        """Ends it, and returns what clients wrote or tried to, as (method, path, digest, status).

        The access log is whole only then."""
        self.stop()
        return [(method, path, digest, int(status))
                for method, status, digest, path in WRITE.findall(self.process.said())]

    def settled(self):
        """The counters when nothing is under way any more, so that two looks can be compared."""
        def quiet():
            now = self.counters()
            return now["flights_open"] == now["readers_open"] == 0 and now
        return until("all transfers ended", quiet)

    def watch(self):
        return Watch(self)


class Pushed:
    """An image in a repository: `parts` is digest -> size of all it consists of, each fetched."""

    def __init__(self, larder, repository, reference):
        self.digest, self.media_type, body = larder.part(repository, "manifests", reference)
        self.parts, self.blobs, self.diff_ids = {self.digest: len(body)}, {}, []
        self.layers = set()
        manifest = json.loads(body)
        self.children = [Pushed(larder, repository, child["digest"])
                         for child in manifest.get("manifests", [])]
        for child in self.children:
            self.parts.update(child.parts)
        for blob in [manifest["config"], *manifest["layers"]] if "config" in manifest else []:
            _, _, content = larder.part(repository, "blobs", blob["digest"])
            assert len(content) == blob["size"]
            self.blobs[blob["digest"]] = len(content)
            if blob is manifest["config"]:
                self.diff_ids = json.loads(content)["rootfs"]["diff_ids"]
            else:
                self.layers.add(blob["digest"])
        self.parts.update(self.blobs)


class Watch:
    """What was counted since it began, by name."""

    def __init__(self, larder):
        self.larder = larder
        self.before = larder.settled()

    def counted(self):
        now = self.larder.settled()
        return {name: now[name] - self.before.get(name, 0) for name in now}

    def fetched(self, image):
        """Asserts that a cold image was fetched: each part of it once, and nothing else."""
        took = self.counted()
        assert took["upstream_blob_gets"] == len(image.here().blobs), took
        assert took["upstream_manifest_gets"] == image.documents(), took
        assert took["upstream_manifest_heads"] <= 1, took
        assert took["responses_miss"] > 0, took
        assert took["upstream_errors"] == took["flights_failed"] == 0, took
        return took

    def asked_nothing(self):
        """Asserts that everything came from the store and no upstream heard of it."""
        took = self.counted()
        assert {name: took[name] for name in ASKED} == dict.fromkeys(ASKED, 0), took
        assert took["responses_hit"] > 0, took
        assert took["responses_miss"] == took["responses_passed"] == 0, took
        return took

    def uploaded(self, blobs):
        """Asserts that exactly these blobs were uploaded, of {digest: size}, each of them once."""
        took = self.counted()
        assert took["uploads_finished"] == len(blobs), (took, blobs)
        assert took["upload_bytes"] == sum(blobs.values()), (took, blobs)
        return took

    def looked_again(self):
        """Asserts that it asked whether the tag still stands, and fetched nothing."""
        took = self.counted()
        assert took["upstream_manifest_heads"] == took["upstream_requests"] == 1, took
        assert took["upstream_manifest_gets"] == took["upstream_blob_gets"] == 0, took
        assert took["responses_revalidated"] == 1, took
        return took
