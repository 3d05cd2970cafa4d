"""Many builders and readers at once while retention runs all the time.

    TOGETHER_SECONDS=180 SEED=1 make e2e VARIANT=tsan PYTEST='-k together -s'

Sixteen clients push, push again, mount, delete and pull the same and different layers, manifests
and tags. Each has tags of its own, which nobody else deletes: what was taken under them without a
warning pulls whole at any time. Tags that all share come and go. In the end the index is counted
again from the bytes of the manifests.
"""
import os
import signal
import subprocess
import threading
import time
import traceback

import pytest

from builder import Client, Image, base_layer, fetch_image, rng_of
from larder import PROGRAM, VARIANT
from push import WAYS, blob_path, manifest_path, uploads
from recount import Index
from registry import digest_of, noise

SECONDS = float(os.environ.get("TOGETHER_SECONDS", 8))
SEED = os.environ.get("SEED") or str(int.from_bytes(os.urandom(4), "big"))
CLIENTS = 16
REPOS = ("stage/app", "stage/other", "cache/app")
WILD = "stage/wild"  # where blobs are deleted under the manifests that name them
UP = "library/base"
SHARED_LAYERS = [noise(size, seed=660 + n) for n, size in
                 enumerate((0, 1, 900, 30_000, 90_000, 200_000, 300_000, 700_000))]
FLAPPING = [Image.of([noise(size, seed=680 + n)], b"flap %d" % n) for n, size in
            enumerate((500, 60_000, 300_000))]
TRIES = 30  # of an image whose layers retention takes between their push and the manifest's
GRACE = 2  # seconds, which retention counts whole: what is younger than one is safe
SAFE = 1


class Builder(threading.Thread):
    """Does one thing after another until it is told to stop. Its own tags: {(repo, tag): digest}"""

    def __init__(self, lar, number, base, stop):
        super().__init__(daemon=True)
        self.lar, self.client, self.number, self.base, self.stop = (lar, Client(lar), number, base,
                                                                    stop)
        self.rng = rng_of(SEED, "together", number)
        self.own, self.done, self.warned, self.error = {}, {}, 0, None
        self.oldest = 0.0  # when the first blob of the image under way was asked for
        self.actions = {self.push_own: 8, self.push_late: 1, self.check_own: 8, self.drop_own: 1,
                        self.push_shared: 6, self.pull_shared: 8, self.delete_shared: 3,
                        self.push_again: 3, self.mount: 4, self.wild: 4, self.referrer: 2,
                        self.cancel: 2, self.flap: 6}

    def run(self):
        try:
            while not self.stop.is_set():
                action = self.rng.choices(list(self.actions), list(self.actions.values()))[0]
                action()
                self.done[action.__name__] = self.done.get(action.__name__, 0) + 1
        except Exception:  # whatever it is, the test has to tell it
            self.error = traceback.format_exc()
            self.stop.set()
        finally:
            self.client.close()

    # --- pushing ---------------------------------------------------------------------------------

    def layers(self):
        rng = self.rng
        shared = rng.sample(SHARED_LAYERS, rng.randint(0, 3))
        return shared + [rng.randbytes(rng.choice((10, 5000, 120_000)))
                         for _ in range(rng.randint(0, 2))]

    def image(self):
        rng = self.rng
        config = rng.randbytes(100) if rng.random() < 0.5 else b"the same config"
        if rng.random() < 0.3:
            return Image.on_base(self.base, self.layers(), config)
        return Image.of(self.layers(), config)

    def put_blobs(self, repo, image):
        """As builders do: ask first, and push what is missing. Some do not ask."""
        asks = self.rng.random() < 0.3
        self.oldest = time.monotonic()
        for digest, data in image.blobs:
            if asks or data is None:
                reply = self.client.head(blob_path(digest, repo))
                assert reply.status in (200, 404), reply
                if reply.status == 200:
                    continue
                assert data is not None, f"a base layer is not offered: {reply}"
            how = self.rng.choice(list(WAYS))
            reply = WAYS[how](self.client, data, digest, repo)
            assert reply.status == 201, (how, reply)

    def put(self, repo, image, reference):
        reply = self.client.send("PUT", manifest_path(reference, repo), image.body,
                                 {"Content-Type": image.media_type})
        assert reply.status == 201, reply
        if "warning" in reply.headers and repo != WILD:
            self.warned += 1
            age = time.monotonic() - self.oldest if repo in REPOS else 0
            assert age > SAFE, f"gone within {age:.3f} s: {reply}"
        return "warning" not in reply.headers

    def push_whole(self, repo, image, reference):
        """Until all that it names was there when it was taken."""
        for _ in range(TRIES):
            begun = time.monotonic()
            for child in image.children:
                self.put_blobs(repo, child)
                self.put(repo, child, child.digest)
            self.put_blobs(repo, image)
            self.oldest = begun
            if self.put(repo, image, reference):
                return
        raise AssertionError(f"{repo}:{reference}: never whole in {TRIES} tries")

    def push_own(self):
        repo = self.rng.choice(REPOS)
        tag = f"own-{self.number}-{self.rng.randint(0, 2)}"
        image = self.image()
        self.push_whole(repo, image, tag)
        self.own[repo, tag] = image
        assert fetch_image(self.client, repo, tag) == image.digest

    def push_late(self):
        """The manifest comes about when retention takes the blobs that nothing names yet."""
        repo, tag, image = self.rng.choice(REPOS), f"own-{self.number}-late", self.image()
        self.put_blobs(repo, image)
        self.stop.wait(self.rng.uniform(GRACE / 2, 2 * GRACE))
        if not self.put(repo, image, tag):
            self.push_whole(repo, image, tag)
        self.own[repo, tag] = image
        assert fetch_image(self.client, repo, tag) == image.digest

    def check_own(self):
        """What was pushed under an own tag stays, whatever the others do."""
        if self.own:
            repo, tag = self.rng.choice(list(self.own))
            assert fetch_image(self.client, repo, tag) == self.own[repo, tag].digest

    def push_again(self):
        """The tag stays, its image goes to it once more, or becomes part of an index."""
        if self.own:
            (repo, tag), image = self.rng.choice(list(self.own.items()))
            if self.rng.random() < 0.5 and not image.children:
                image = Image.index([image])
            self.push_whole(repo, image, tag)
            self.own[repo, tag] = image

    def drop_own(self):
        if self.own:
            repo, tag = self.rng.choice(list(self.own))
            del self.own[repo, tag]
            assert self.client.delete(manifest_path(tag, repo)).status == 202
            assert self.client.get(manifest_path(tag, repo)).status == 404

    # --- what all share --------------------------------------------------------------------------

    def shared(self):
        return self.rng.choice(REPOS), f"shared{self.rng.randint(0, 4)}"

    def push_shared(self):
        repo, tag = self.shared()
        image = self.image()
        self.put_blobs(repo, image)
        self.put(repo, image, tag)

    def pull_shared(self):
        """It may be gone, now or while it is pulled; what comes is right."""
        repo, tag = self.shared()
        reply = self.client.get(manifest_path(tag, repo))
        assert reply.status in (200, 404), reply
        if reply.status == 200:
            assert digest_of(reply.body) == reply.headers["docker-content-digest"]
            for one in reply.json().get("layers", []):
                got = self.client.get(blob_path(one["digest"], repo))
                assert got.status in (200, 404), got
                assert got.status == 404 or digest_of(got.body) == one["digest"]

    def delete_shared(self):
        """A tag. A digest may be somebody's own as well, as configurations are the same."""
        repo, tag = self.shared()
        assert self.client.delete(manifest_path(tag, repo)).status in (202, 404)

    def mount(self):
        data = self.rng.choice(SHARED_LAYERS)
        digest, source = digest_of(data), self.rng.choice((*REPOS, WILD))
        path = uploads(self.rng.choice((*REPOS, WILD))) + f"?mount={digest}&from={source}"
        reply = self.client.send("POST", path)
        assert reply.status in (201, 202), reply
        if reply.status == 202:
            assert self.client.delete(reply.headers["location"]).status == 204

    def wild(self):
        """Where anything is deleted: manifests by digest, and blobs that manifests name."""
        image = self.image()
        self.put_blobs(WILD, image)
        self.put(WILD, image, self.rng.choice(("a", "b", image.digest)))
        if self.rng.random() < 0.5:
            assert self.client.delete(manifest_path(image.digest, WILD)).status in (202, 404)
        for digest, _ in image.blobs:
            if self.rng.random() < 0.5:
                assert self.client.delete(blob_path(digest, WILD)).status in (202, 404)

    def flap(self):
        """All do this with the same few blobs, each in a repository of its own: bytes are removed
        with the last that has them, while the next one pushes them."""
        repo = f"stage/flap-{self.number}"
        image = self.rng.choice(FLAPPING)
        for digest, data in image.blobs:
            how = self.rng.choice(list(WAYS))
            assert WAYS[how](self.client, data, digest, repo).status == 201
            assert self.client.get(blob_path(digest, repo)).body == data
        assert self.put(repo, image, image.digest)
        assert fetch_image(self.client, repo, image.digest) == image.digest
        paths = [blob_path(digest, repo) for digest, _ in image.blobs]
        for path in [manifest_path(image.digest, repo), *paths]:
            assert self.client.delete(path).status == 202
            assert self.client.get(path).status == 404

    def referrer(self):
        """To an own image: it is listed for as long as that is there."""
        if self.own:
            (repo, tag), subject = self.rng.choice(list(self.own.items()))
            media = subject.media_type
            image = Image.of([], b"{}", artifactType="application/vnd.test", subject={
                "mediaType": media, "digest": subject.digest, "size": len(subject.body)})
            self.push_whole(repo, image, image.digest)
            reply = self.client.get(f"/v2/{repo}/referrers/{subject.digest}")
            assert reply.status == 200, reply
            assert image.digest in [one["digest"] for one in reply.json()["manifests"]], reply

    def cancel(self):
        reply = self.client.send("POST", uploads(self.rng.choice(REPOS)))
        assert reply.status == 202, reply
        location = reply.headers["location"]
        assert self.client.send("PATCH", location, self.rng.randbytes(50_000)).status == 202
        if self.rng.random() < 0.5:
            assert self.client.delete(location).status == 204
            assert self.client.get(location).status == 404


@pytest.fixture
def lar(registry, larder):
    untagged = {"untagged_after": f"{GRACE}s"}
    return larder(upstreams={"docker.io": registry.url},
                  limits={"retain_grace": f"{GRACE}s", "retain_every": "100ms"},
                  config={"hosted": {"stage/**": untagged,
                                     "cache/**": {"class": "cache", **untagged}}})


def pull_base(lar, registry):
    image = registry.add_image(UP, "1", [noise(60_000, seed=670), noise(600_000, seed=671)])
    assert lar.get(f"/v2/{UP}/manifests/1").status == 200
    base = []
    for digest in image.layers:
        reply = lar.get(blob_path(digest, UP))
        assert reply.status == 200 and reply.complete
        base.append(base_layer(digest, len(reply.body)))
    lar.wait_counter("flights_landed", 2)
    return base


def check_retention_ran(lar):
    counters = lar.counters()
    for name in ("retain_manifests", "retain_blobs", "retain_bytes"):
        assert counters[name] > 0, f"{name}: retention found nothing to do"
    return {name: n for name, n in counters.items() if name.startswith("retain")}


def run_retention(lar):
    """Without a server, and so without its leases."""
    subprocess.run([PROGRAM, "gc", "--config", str(lar.folder / "larder.json"), "--data", lar.data],
                   check=True, stdout=subprocess.DEVNULL, timeout=50)


def test_together(registry, lar):
    if SECONDS > 20:
        signal.alarm(int(60 + 3 * SECONDS))
    print(f"SEED={SEED} TOGETHER_SECONDS={SECONDS:g} {VARIANT}", flush=True)
    base, stop = pull_base(lar, registry), threading.Event()
    builders = [Builder(lar, n, base, stop) for n in range(CLIENTS)]
    began = time.monotonic()
    for builder in builders:
        builder.start()
    stop.wait(SECONDS)
    stop.set()
    for builder in builders:
        builder.join(100)
        assert not builder.is_alive()
    errors = [builder.error for builder in builders if builder.error]
    assert not errors, f"{len(errors)} of {CLIENTS} failed:\n" + "\n".join(errors[:3])
    done = {}
    for builder in builders:
        for name, times in builder.done.items():
            done[name] = done.get(name, 0) + times
    warned = sum(builder.warned for builder in builders)
    print(f"{sum(done.values())} actions in {time.monotonic() - began:.1f} s, "
          f"{warned} warnings outside of {WILD}: {done}", flush=True)
    print(check_retention_ran(lar), flush=True)
    client = Client(lar)
    kept = {}
    for builder in builders:
        for (repo, tag), image in builder.own.items():
            assert fetch_image(client, repo, tag) == image.digest
            kept[repo, tag] = image
    client.close()
    lar.stop()
    Index(lar.data).check()
    run_retention(lar)
    found = Index(lar.data)
    found.check()
    found.check_held()
    lar.start()
    client = Client(lar)
    for (repo, tag), image in kept.items():
        assert fetch_image(client, repo, tag) == image.digest
    client.close()
