"""Builders: clients that push and pull as real ones do, each over one connection at a time.

    one = Client(lar, progress=None)       # `lar` for push.py: send(), get(), head(), delete()
    one.send("PUT", path, data, chunk=0)   # Gone where the server hangs up, which a kill does

Unlike Larder.send() it keeps its connection, can be used by many threads at once, one client each,
and tells `progress(n)` of each n bytes that it sent and, with n = 0, of each answer.
"""
import http.client
import json
import random

from larder import Reply
from push import blob_path, descriptor, image_body, index_body, manifest_path
from registry import CONFIG, INDEX, LAYER, MANIFEST, digest_of

PIECE = 32 * 1024


class Gone(Exception):
    """The server is not there any more, or was not to the end."""


class Client:
    def __init__(self, lar, progress=None):
        self.host, self.port = "127.0.0.1", lar.port
        self.progress = progress or (lambda n: None)
        self.connection = None
        self.kept = False  # the last request went by a connection of others before it

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def get(self, path, headers=None, method="GET"):
        return self.send(method, path, None, headers)

    def head(self, path, headers=None):
        return self.get(path, headers, "HEAD")

    def delete(self, path, headers=None):
        return self.get(path, headers, "DELETE")

    def send(self, method, path, body=b"", headers=None, chunk=0):
        try:
            return self._ask(method, path, body, headers or {}, chunk)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Gone(f"{method} {path}: {error!r}") from error

    def _ask(self, method, path, body, headers, chunk):
        self.kept = self.connection is not None
        if not self.kept:
            self.connection = http.client.HTTPConnection(self.host, self.port, timeout=120)
            self.connection.connect()
        c = self.connection
        c.putrequest(method, path, skip_accept_encoding=True)
        if chunk:
            c.putheader("Transfer-Encoding", "chunked")
        elif body is not None:
            c.putheader("Content-Length", str(len(body)))
        for name, value in headers.items():
            c.putheader(name, value)
        c.endheaders()
        try:
            self._send_body(c, body or b"", chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have answered before it took all of it
        return self._answer(c)

    def _send_body(self, c, body, chunk):
        for at in range(0, len(body), chunk or PIECE):
            piece = body[at:at + (chunk or PIECE)]
            c.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunk else piece)
            self.progress(len(piece))
        if chunk:
            c.send(b"0\r\n\r\n")

    def _answer(self, c):
        response = c.getresponse()
        data = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
        if response.will_close:
            self.close()
        self.progress(0)
        return Reply(response.status, headers, data, True)


class Image:
    """A manifest to be pushed, with all that it names."""

    def __init__(self, blobs, body, media_type=MANIFEST, children=()):
        self.blobs = blobs  # (digest, data or None where it is pulled), config first
        self.body, self.media_type = body, media_type
        self.digest = digest_of(body)
        self.children = children  # images, of an index

    @staticmethod
    def of(layers, config, **members):
        blobs = [(digest_of(data), data) for data in (config, *layers)]
        return Image(blobs, image_body(layers, config, **members))

    @staticmethod
    def on_base(base, layers, config):
        """`base`: descriptors of layers that come from a mirror."""
        body = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config, CONFIG),
                "layers": [*base, *(descriptor(data) for data in layers)]}
        blobs = [(digest_of(data), data) for data in (config, *layers)]
        blobs += [(one["digest"], None) for one in base]
        return Image(blobs, json.dumps(body).encode())

    @staticmethod
    def index(children):
        body = index_body([(child.body, child.media_type) for child in children])
        return Image([], body, INDEX, children)


def base_layer(digest, size):
    return {"mediaType": LAYER, "digest": digest, "size": size}


SIZES = ((0, 5), (1, 5), (4000, 40), (70_000, 30), (300_000, 15), (6_000_000, 5))


def some_bytes(rng, sizes=SIZES):
    """Random bytes up to one of these sizes, each as often as the number beside it says."""
    most = rng.choices([size for size, _ in sizes], [often for _, often in sizes])[0]
    return rng.randbytes(rng.randint(most // 2, most))


def fetch_image(client, repo, reference):
    """Pulls it whole and checks every byte; None where there is no such image. A child that is
    not there is an error of the test."""
    reply = client.get(manifest_path(reference, repo))
    if reply.status == 404:
        return None
    assert reply.status == 200, reply
    digest = reply.headers["docker-content-digest"]
    assert digest_of(reply.body) == digest
    body = json.loads(reply.body)
    for child in [*([body["config"]] if "config" in body else []), *body.get("layers", [])]:
        got = client.get(blob_path(child["digest"], repo))
        assert got.status == 200, f"{repo}:{reference} {digest} lacks {child['digest']}: {got}"
        assert digest_of(got.body) == child["digest"] and len(got.body) == child["size"]
    for child in body.get("manifests", []):
        assert fetch_image(client, repo, child["digest"]), (repo, reference, child["digest"])
    return digest


def rng_of(seed, *names):
    return random.Random(":".join(map(str, (seed, *names))))
