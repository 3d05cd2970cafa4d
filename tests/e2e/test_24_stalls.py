"""A disk of ours that stalls says nothing of an upstream: it is neither left nor called late."""
import os

import pytest
from registry import noise

STALL = {"upstream_stall": "2s", "hedge": "60s"}


class Disk:
    """Stalls, by barrier.c, between stall() and go_on()."""

    def __init__(self, folder):
        self.fifo = os.path.join(folder, "barrier")
        self.held = None

    def stall(self):
        os.mkfifo(self.fifo)

    def reached(self):
        """Whether a write waits."""
        try:
            self.held = os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        return True

    def go_on(self):
        if os.path.exists(self.fifo):
            last = os.open(self.fifo, os.O_RDWR)  # lets go on who waits for somebody to open it
            os.unlink(self.fifo)
            os.close(last)
        if self.held is not None:
            os.close(self.held)
            self.held = None


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path)
    yield made
    made.go_on()


def start(larder, disk, barrier, **options):
    lar = larder(start=False, **options)
    lar.env = {"LD_PRELOAD": barrier, "BARRIER": disk.fifo}
    return lar.start()


def test_a_download(registry, second, larder, disk, barrier):
    """Two pieces wait for the disk, and there is no room for more: the other endpoint has no part
    in it. A download from one that stalls itself shows when enough time has gone by."""
    data = noise(20_000)
    digest = [one.add_blob("library/x", data) for one in (registry, second)][0]
    rule = registry.on("GET", digest)
    gates = [rule.hold_after(n) for n in (1000, 2000)]
    other = second.add_blob("library/y", noise(1000))
    second.on("GET", other).hold_after(0)
    upstreams = {"docker.io": {"endpoints": [registry.url, second.url]},
                 "ghcr.io": {"endpoints": [second.url]}}
    lar = start(larder, disk, barrier, config={"upstreams": upstreams}, limits=STALL)
    disk.stall()
    pending = lar.begin("/v2/library/x/blobs/" + digest)
    lar.wait(disk.reached, "the disk stalls")
    gates[0].open()
    assert gates[1].reached()
    lar.begin("/v2/library/y/blobs/" + other + "?ns=ghcr.io")
    lar.wait(lambda: "nothing came for too long" in lar.events, "one that stalls")
    gates[1].open()
    assert registry.seen("GET", digest)[0].ended.wait(10)
    disk.go_on()
    reply = pending.done()
    assert reply.complete and reply.body == data
    assert registry.hits("GET", digest) == 1 and second.hits("GET", digest) == 0
    assert "another source" not in lar.events and "upstream.slow" not in lar.events


def test_a_tag(registry, larder, disk, barrier):
    """The old one is served; the upstream, which has answered, is none that is asked no more."""
    registry.add_image("library/x", "latest", [noise(100)])
    lar = start(larder, disk, barrier, upstreams={"docker.io": registry.url},
                config={"tags": {"ttl": "0s", "stale_while_revalidate": "0s", "patience": "1s"}})
    old = lar.get("/v2/library/x/manifests/latest")
    new = registry.add_image("library/x", "latest", [noise(100, seed=1)])
    disk.stall()
    pending = lar.begin("/v2/library/x/manifests/latest")
    lar.wait(disk.reached, "the disk stalls")
    late = lar.counter("upstream_late")
    assert pending.done().body == old.body
    assert lar.counter("upstream_late") == late
    disk.go_on()
    lar.wait(lambda: lar.get("/v2/library/x/manifests/latest").body == new.body, "the new one")
