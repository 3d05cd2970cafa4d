"""kill -9 at random moments of pushes: what was promised is there, the rest resumes or is gone.

    KILL_ROUNDS=200 SEED=1 make e2e PYTEST='-k kill -s'

Builders push blobs in all dialects, and manifests; the server dies after so many requests, so many
bytes or so many milliseconds, and comes again on the same data. What it had answered with 201 must
then be there and whole; a session must tell an offset at which it can be resumed, or be unknown;
what was on its way must be there whole, or not at all.
"""
import os
import signal
import threading
import time

import pytest

from builder import Client, Gone, Image, base_layer, fetch_image, rng_of, some_bytes
from larder import VARIANT
from push import (WAYS, begin, blob_path, manifest_path, patch_all, sha512_of, uploads,
                  with_query)
from recount import Index
from registry import digest_of, noise

ROUNDS = int(os.environ.get("KILL_ROUNDS", 10 if VARIANT == "release" else 4))
SEED = os.environ.get("SEED") or str(int.from_bytes(os.urandom(4), "big"))
REPOS = ("stage/app", "stage/other", "cache/app")
UP = "library/base"
BUILDERS = 4
CHECK_EVERY = 10  # rounds between two stops at which the index is counted


class Death:
    """When the server is to be killed: after so many answers, bytes or seconds."""

    def __init__(self, rng):
        self.lock = threading.Lock()
        self.now = threading.Event()
        self.answers = self.bytes = 0
        self.seconds = 30.0
        self.kind = rng.choice(("answers", "bytes", "time"))
        if self.kind == "answers":
            self.most = rng.randint(1, 120)
        elif self.kind == "bytes":
            self.most = int(10 ** rng.uniform(3, 7))
        else:
            self.most, self.seconds = 0, 10 ** rng.uniform(-3, -0.2)

    def __str__(self):
        return f"{self.seconds:.4f} s" if self.kind == "time" else f"{self.most} {self.kind}"

    def progress(self, n):
        with self.lock:
            self.answers += n == 0
            self.bytes += n
            if self.kind != "time" and getattr(self, self.kind) >= self.most:
                self.now.set()


class Ledger:
    """What the server has promised, and what it was asked for and did not answer."""

    def __init__(self):
        self.lock = threading.Lock()
        self.blobs = {}      # (repo, digest): size; answered 201
        self.manifests = {}  # (repo, digest): body; answered 201
        self.tags = {}       # (repo, tag): all digests that it may have now
        self.sessions = {}   # (repo, location): (data, digest)
        self.open_blobs = set()      # (repo, digest) that a PUT was sent for
        self.open_manifests = set()  # (repo, reference)
        self.fresh = []      # of `blobs`, promised since it was last looked at

    def promise_blob(self, repo, digest, size):
        with self.lock:
            self.blobs[repo, digest] = size
            self.fresh.append((repo, digest))
            self.open_blobs.discard((repo, digest))

    def tag_sent(self, repo, tag, digest):
        with self.lock:
            self.tags.setdefault((repo, tag), {None}).add(digest)

    def tag_taken(self, repo, tag, digest):
        with self.lock:
            self.tags[repo, tag] = {digest}


class Watched(Client):
    """Writes down what it sends and what it is promised."""

    def __init__(self, lar, ledger, progress=None):
        super().__init__(lar, progress)
        self.ledger = ledger
        self.data, self.digest = b"", ""

    def send(self, method, path, body=b"", headers=None, chunk=0):
        repo = path.removeprefix("/v2/").split("/blobs/")[0]
        if "digest=" in path:
            with self.ledger.lock:
                self.ledger.open_blobs.add((repo, self.digest))
        reply = super().send(method, path, body, headers, chunk)
        assert reply.status < 300, f"{method} {path}: {reply}"
        with self.ledger.lock:
            if method == "POST" and reply.status == 202:
                self.ledger.sessions[repo, reply.headers["location"]] = (self.data, self.digest)
            elif method == "PUT" and "digest=" in path and reply.status == 201:
                self.ledger.sessions.pop((repo, path.split("?")[0]), None)
        if "digest=" in path or "mount=" in path:
            if reply.status == 201:
                self.ledger.promise_blob(repo, self.digest, len(self.data))
        return reply

    def push(self, repo, data, how, digest=None):
        self.data, self.digest = data, digest or digest_of(data)
        reply = WAYS[how](self, data, self.digest, repo)
        assert reply.status == 201, reply

    def leave_open(self, repo, data):
        """A part of it, in chunks that are worth a sync each."""
        self.data, self.digest = data, digest_of(data)
        patch_all(self, begin(self, repo), data[:3_000_000], 1_200_000, repo)

    def mount(self, repo, source, data):
        self.data, self.digest = data, digest_of(data)
        reply = self.send("POST", uploads(repo) + f"?mount={self.digest}&from={source}")
        assert reply.status == 201, reply


class Builder(threading.Thread):
    """Pushes images until the server is gone."""

    def __init__(self, lar, ledger, death, rng, base):
        super().__init__(daemon=True)
        self.client = Watched(lar, ledger, death.progress)
        self.ledger, self.rng, self.base, self.error = ledger, rng, base, None

    def run(self):
        try:
            while True:
                self.push_image(self.rng.choice(REPOS))
                if self.rng.random() < 0.15:
                    self.client.leave_open(self.rng.choice(REPOS), self.rng.randbytes(4_000_000))
        except Gone:
            pass
        except Exception as error:  # whatever it is, the test has to tell it
            self.error = error
        finally:
            self.client.close()

    def push_image(self, repo):
        rng = self.rng
        layers = [some_bytes(rng) for _ in range(rng.randint(0, 3))]
        config = rng.randbytes(200)
        for data in (config, *layers):
            self.client.push(repo, data, rng.choice(list(WAYS)))
            if rng.random() < 0.1:
                self.client.push(repo, data, rng.choice(list(WAYS)), sha512_of(data))
            if rng.random() < 0.2:
                self.client.mount(rng.choice(REPOS), repo, data)
        kind = rng.random()
        if kind < 0.3:
            image = Image.on_base(self.base, layers, config)
            for one in self.base:
                assert self.client.head(blob_path(one["digest"], repo)).status == 200
        elif kind < 0.5:
            image = Image.of(layers, config, subject=base_layer(digest_of(config), 1))
        else:
            image = Image.of(layers, config)
        self.put(repo, image, rng.choice((None, f"tag{rng.randint(0, 5)}")))
        if rng.random() < 0.3:
            self.put(repo, Image.index([image]), f"index{rng.randint(0, 2)}")

    def put(self, repo, image, tag):
        with self.ledger.lock:
            self.ledger.open_manifests.add((repo, image.digest))
        if tag:
            # Builders share tags, so after this it may be what any of them sent last.
            self.ledger.tag_sent(repo, tag, image.digest)
        path = manifest_path(tag or image.digest, repo)
        reply = Client.send(self.client, "PUT", path, image.body,
                            {"Content-Type": image.media_type})
        assert reply.status == 201 and "warning" not in reply.headers, reply
        with self.ledger.lock:
            self.ledger.manifests[repo, image.digest] = image.body
            self.ledger.open_manifests.discard((repo, image.digest))
            if tag:
                self.ledger.tags[repo, tag].discard(None)


def check_blob(client, repo, digest, size=None):
    """It is there and whole, or, where no size is given, it is not there: its size, or None."""
    reply = client.get(blob_path(digest, repo))
    if reply.status == 404:
        assert size is None, f"{repo} {digest} was answered 201 and is gone"
        return None
    assert reply.status == 200, reply
    assert digest in (digest_of(reply.body), sha512_of(reply.body)), f"{repo} {digest} is wrong"
    assert size in (None, len(reply.body))
    return len(reply.body)


def check_promises(client, ledger, rng, everything):
    blobs = list(ledger.blobs) if everything else \
        ledger.fresh + rng.sample(list(ledger.blobs), min(30, len(ledger.blobs)))
    for repo, digest in blobs:
        check_blob(client, repo, digest, ledger.blobs[repo, digest])
    ledger.fresh = []
    manifests = list(ledger.manifests)
    for repo, digest in manifests if everything else rng.sample(manifests, min(40, len(manifests))):
        reply = client.get(manifest_path(digest, repo))
        assert reply.status == 200, f"{repo} {digest} was answered 201 and is gone: {reply}"
        assert reply.body == ledger.manifests[repo, digest]
    for (repo, tag), digests in ledger.tags.items():
        digest = fetch_image(client, repo, tag)
        assert digest in digests, (repo, tag, digest, digests)
        ledger.tags[repo, tag] = {digest}


def check_unanswered(client, ledger):
    """There and whole, or not there."""
    for repo, digest in list(ledger.open_blobs):
        size = check_blob(client, repo, digest)
        if size is not None:
            ledger.promise_blob(repo, digest, size)
    for repo, digest in ledger.open_manifests:
        if fetch_image(client, repo, digest):
            ledger.manifests[repo, digest] = client.get(manifest_path(digest, repo)).body
    ledger.open_blobs, ledger.open_manifests = set(), set()


def resume(client, repo, location, data, digest):
    """The session goes on where it says, which is returned, or is unknown: None."""
    reply = client.get(location)
    if reply.status == 404:
        assert reply.code() == "BLOB_UPLOAD_UNKNOWN"
        return None
    assert reply.status == 204, reply
    at = int(reply.headers["range"].removeprefix("0-"))
    at += at > 0
    assert at <= len(data), f"{location} has {at} bytes of {len(data)}"
    for offset in (at, 1):  # 0-0 is none or one
        rest = data[offset:]
        if not rest:
            break
        said = {"Content-Range": f"{offset}-{len(data) - 1}"}
        reply = client.send("PATCH", location, rest, said)
        if reply.status != 416 or offset > 0:
            assert reply.status == 202, reply
            break
    reply = client.send("PUT", with_query(location, digest=digest))
    assert reply.status == 201, f"resumed at {at} of {len(data)}: {reply}"
    check_blob(client, repo, digest, len(data))
    return at


def check_sessions(client, ledger, rng):
    resumed = []
    for (repo, location), (data, digest) in list(ledger.sessions.items()):
        if rng.random() < 0.2:
            continue  # the next round has it
        at = resume(client, repo, location, data, digest)
        if at is not None:
            resumed.append(at)
            ledger.promise_blob(repo, digest, len(data))
        del ledger.sessions[repo, location]
    return resumed


def one_round(lar, ledger, rng, base):
    death = Death(rng)
    builders = [Builder(lar, ledger, death, rng_of(rng.random(), n), base) for n in range(BUILDERS)]
    for builder in builders:
        builder.start()
    death.now.wait(death.seconds)
    lar.kill()
    for builder in builders:
        builder.join(60)
        assert not builder.is_alive()
        if builder.error:
            raise builder.error
    return death


def survey(lar, ledger, rng, everything):
    """After a start: all of the above."""
    client = Client(lar)
    open_sessions = len(ledger.sessions)
    check_promises(client, ledger, rng, everything)
    check_unanswered(client, ledger)
    resumed = check_sessions(client, ledger, rng)
    client.close()
    return open_sessions, resumed


@pytest.fixture
def lar(registry, larder):
    return larder(upstreams={"docker.io": registry.url},
                  config={"hosted": {"stage/**": {}, "cache/**": {"class": "cache"}}})


def pull_base(lar, registry):
    """Descriptors of base layers that were pulled through the mirror."""
    image = registry.add_image(UP, "1", [noise(50_000, seed=650), noise(500_000, seed=651)])
    assert lar.get(f"/v2/{UP}/manifests/1").status == 200
    base = []
    for digest in image.layers:
        reply = lar.get(blob_path(digest, UP))
        assert reply.status == 200 and reply.complete
        base.append(base_layer(digest, len(reply.body)))
    lar.wait_counter("flights_landed", 2)
    return base


def test_kill(registry, lar):
    if ROUNDS > 20:
        signal.alarm(60 * ROUNDS)
    rng = rng_of(SEED, "kill")
    print(f"SEED={SEED} KILL_ROUNDS={ROUNDS}", flush=True)
    ledger, base = Ledger(), pull_base(lar, registry)
    began = time.monotonic()
    for number in range(1, ROUNDS + 1):
        death = one_round(lar, ledger, rng, base)
        lar.start()
        sessions, resumed = survey(lar, ledger, rng, number == ROUNDS)
        print(f"round {number}: {death}; {len(ledger.blobs)} blobs and {len(ledger.manifests)} "
              f"manifests promised, {sessions} sessions left, resumed at {resumed}; "
              f"{time.monotonic() - began:.0f} s", flush=True)
        if number % CHECK_EVERY == 0 or number == ROUNDS:
            lar.stop()
            Index(lar.data).check()
            lar.start()
