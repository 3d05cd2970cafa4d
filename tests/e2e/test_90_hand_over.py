"""Another process takes over: no connection is refused, no transfer cut, nothing fetched twice."""
import os
import signal
import socket
import threading

import pytest
from larder import StartFailed
from push import begin, image_body, put_blob, send_manifest, uploads, with_query
from registry import MANIFEST, digest_of, noise

HOSTED = "stage/app"
MB = 1_000_000
BIG = noise(24_000_000, seed=900)  # more than sockets buffer
COLD = noise(6_000_000, seed=901)
PARTS = [noise(3_000_000, seed=902 + i) for i in range(4)]


def start(larder, registry, **more):
    return larder(config={"upstreams": {"docker.io": {"endpoints": [registry.url]}}}, **more)


def successor(larder, lar, env=None, **config):
    """A server that takes the place of `lar`, on the same data and sockets."""
    made = larder(config={**lar.config, **config}, data=lar.data, args=["--take-over"],
                  start=False)
    made.env = env or {}
    made.config["listen"] = [lar.host]
    return made


def ended(lar):
    """It ends by itself, and well."""
    status = lar._over(30)
    lar.ended_well = False  # the index is another's now
    assert status == 0, lar.events[-4000:]


class Visitors(threading.Thread):
    """One connection after the other, each with one question, until told to stop."""

    def __init__(self, lar, path, body):
        super().__init__(daemon=True)
        self.lar, self.path, self.body = lar, path, body
        self.enough = threading.Event()
        self.n, self.wrong = 0, []

    def run(self):
        while not self.enough.is_set():
            try:
                reply = self.lar.get(self.path)
                if reply.status != 200 or reply.body != self.body:
                    self.wrong.append(reply)
            except OSError as error:
                self.wrong.append(error)
            self.n += 1

    def stop(self):
        seen = self.n
        self.lar.wait(lambda: self.n > seen + 5 or self.wrong, "visitors of the new one")
        self.enough.set()
        self.join(20)
        assert not self.wrong, self.wrong[:3]


def half_fetched(lar, registry):
    """A download that upstream holds back, by somebody who waits for the rest."""
    blob = "/v2/library/x/blobs/" + registry.add_blob("library/x", COLD)
    held = registry.on("GET", "/blobs/").hold_after(2_000_000)
    fetching = lar.begin(blob)
    fetching.read(1_000_000)
    return blob, held, fetching


def put_open(lar, method, path, data, first):
    """A request with a body, of which the first bytes are sent."""
    asked = lar.begin(path, {"Content-Length": len(data)}, method)
    asked.push(data[:first])
    return asked


def test_nothing_is_cut(registry, larder):
    lar = start(larder, registry)
    image = registry.add_image("library/x", "1", [BIG])
    manifest = f"/v2/library/x/manifests/{image.digest}"
    big = f"/v2/library/x/blobs/{image.layers[0]}"
    assert lar.get(manifest).body == image.body and lar.get(big).body == BIG
    cold = "/v2/library/x/blobs/" + registry.add_blob("library/x", COLD)
    held = registry.on("GET", cold.rpartition(":")[2]).hold_after(2_000_000)
    visitors = Visitors(lar, manifest, image.body)
    visitors.start()

    warm = lar.begin(big, read=False, rcvbuf=65536)
    fetching = lar.begin(cold)
    fetching.read(1_000_000)
    patched = begin(lar)
    patch = put_open(lar, "PATCH", patched, PARTS[0], 1_000_000)
    done = begin(lar)
    put = put_open(lar, "PUT", with_query(done, digest=digest_of(PARTS[1])), PARTS[1], MB)
    single = put_open(lar, "POST", with_query(uploads(HOSTED), digest=digest_of(PARTS[2])),
                      PARTS[2], 500_000)
    idle = begin(lar)
    assert lar.send("PATCH", idle, PARTS[3][:1_500_000]).status == 202
    lar.wait_counter("upload_bytes", 1_500_000 + 1_000_000)

    new = successor(larder, lar).start()
    assert lar.process.poll() is None, "there are transfers left"
    assert new.send("PATCH", patched, b"x").status in (409, 416), "somebody is at that one"

    held.open()
    assert fetching.done().body == COLD
    patch.push(PARTS[0][1_000_000:])
    assert patch.done().status == 202
    put.push(PARTS[1][MB:])
    assert put.done().status == 201
    single.push(PARTS[2][500_000:])
    assert single.done().status == 201
    warm.go_on()
    assert warm.done().body == BIG
    ended(lar)
    visitors.lar = new
    visitors.stop()

    assert new.send("PUT", with_query(patched, digest=digest_of(PARTS[0]))).status == 201
    assert new.send("PUT", with_query(idle, digest=digest_of(PARTS[3])),
                    PARTS[3][1_500_000:]).status == 201
    for data in PARTS:
        assert new.get(f"/v2/{HOSTED}/blobs/{digest_of(data)}").body == data
    fetched = registry.hits("GET", cold)
    reply = new.get(cold)
    assert reply.body == COLD and reply.source() == "hit"
    assert registry.hits("GET", cold) == fetched == 1
    body = image_body(PARTS)
    put_blob(new, b"{}", HOSTED)
    assert send_manifest(new, "1", body, MANIFEST, HOSTED).status == 201
    new.wait(lambda: "the server before this one has ended" in new.events, "the end of the other")


def test_a_successor_that_fails(registry, larder):
    """It cannot bind an address: the one before goes on, and loses nothing by it."""
    lar = start(larder, registry)
    blob, held, fetching = half_fetched(lar, registry)
    location = begin(lar)
    put = put_open(lar, "PUT", with_query(location, digest=digest_of(PARTS[1])), PARTS[1], MB)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        new = successor(larder, lar)
        new.config["listen"] = [lar.host, f"127.0.0.1:{taken.getsockname()[1]}"]
        with pytest.raises(StartFailed, match="already in use"):
            new.start()
        new.process.wait(20)
        new.process = None
    lar.wait(lambda: "this one goes on" in lar.events, "the other one's end")
    held.open()
    assert fetching.done().body == COLD
    put.push(PARTS[1][MB:])
    assert put.done().status == 201
    put_blob(lar, PARTS[2], HOSTED)
    assert lar.get(blob).source() == "hit"
    assert successor(larder, lar).start().get(blob).source() == "hit"
    ended(lar)


def test_three_in_a_row(registry, larder):
    """What the first one finishes goes to the last; and the sockets as well."""
    lar = start(larder, registry)
    blob, held, fetching = half_fetched(lar, registry)
    location = begin(lar)
    put = put_open(lar, "PUT", with_query(location, digest=digest_of(PARTS[1])), PARTS[1], MB)
    second = successor(larder, lar).start()
    third = successor(larder, second).start()
    assert third.get("/v2/").status == 200
    assert second.process.poll() is None, "it waits for the first"
    assert third.send("PATCH", location, b"x").status in (409, 416)
    put.push(PARTS[1][MB:])
    assert put.done().status == 201
    held.open()
    assert fetching.done().body == COLD
    ended(lar)
    ended(second)
    assert third.get(blob).source() == "hit" and registry.hits("GET", "/blobs/") == 1
    assert third.get(f"/v2/{HOSTED}/blobs/{digest_of(PARTS[1])}").body == PARTS[1]


def test_killed_on_the_way(registry, larder):
    """The one before is gone with an upload: another goes on with it where it was synced."""
    lar = start(larder, registry)
    location = begin(lar)
    assert lar.send("PATCH", location, PARTS[0][:2_000_000]).status == 202
    patch = put_open(lar, "PATCH", location, PARTS[0][2_000_000:], 500_000)
    lar.wait_counter("upload_bytes", 2_500_000)
    new = successor(larder, lar).start()
    lar.wait(lambda: "has taken over" in lar.events, "it is the new one's")
    lar.kill()
    patch.done()
    new.wait(lambda: "has ended" in new.events, "the end of the other")
    assert new.get(location).headers["range"] == "0-1999999"
    assert new.send("PUT", with_query(location, digest=digest_of(PARTS[0])),
                    PARTS[0][2_000_000:]).status == 201
    assert new.get(f"/v2/{HOSTED}/blobs/{digest_of(PARTS[0])}").body == PARTS[0]


def test_the_successor_is_killed(registry, larder):
    """Transfers go on all the same; what can be kept nowhere is said."""
    lar = start(larder, registry)
    blob, held, fetching = half_fetched(lar, registry)
    location = begin(lar)
    put = put_open(lar, "PUT", with_query(location, digest=digest_of(PARTS[1])), PARTS[1], MB)
    new = successor(larder, lar).start()
    lar.wait(lambda: "has taken over" in lar.events, "it is the new one's")
    new.kill()
    held.open()
    assert fetching.done().body == COLD
    put.push(PARTS[1][MB:])
    assert put.done().status >= 500
    ended(lar)
    assert new.start().get(blob).body == COLD


def test_nobody_is_there(registry, larder):
    lar = start(larder, registry, args=["--take-over"])
    assert lar.get("/v2/").status == 200
    assert "no server runs there" in lar.events


def test_a_cache_that_is_full(registry, larder):
    """An upload under way needs more room than there is, and only the new one can make some."""
    lar = start(larder, registry, limits={"evict_young": "1ms"}, start=False)
    lar.config["cache"] = {"max_size": 40 * MB, "min_free": 0}
    lar.start()
    at, data = begin(lar), BIG[:12 * MB]
    patch = put_open(lar, "PATCH", at, data, 1)
    lar.wait_counter("upload_bytes", 1)
    for seed in range(12):
        blob = registry.add_blob("library/y", noise(3 * MB, seed=950 + seed))
        assert lar.get("/v2/library/y/blobs/" + blob).complete
        lar.wait(lambda: lar.counter("flights_open") == 0, "all is recorded")
    new = successor(larder, lar).start()
    patch.push(data[1:])
    assert patch.done().status == 202
    ended(lar)
    assert new.send("PUT", with_query(at, digest=digest_of(data))).status == 201
    assert new.get(f"/v2/{HOSTED}/blobs/{digest_of(data)}").body == data


def test_leases_go_over(registry, larder):
    """Who was told that a base layer is here need not upload it: the new one keeps that."""
    lar = start(larder, registry)
    image = registry.add_image("library/x", "1", [COLD])
    lar.get("/v2/library/x/manifests/" + image.digest)
    lar.get("/v2/library/x/blobs/" + image.layers[0])
    lar.wait(lambda: lar.counter("flights_open") == 0, "all is recorded")
    assert lar.head(f"/v2/{HOSTED}/blobs/{image.layers[0]}").status == 200
    new = successor(larder, lar, cache={"max_size": 3 * len(COLD), "min_free": 0},
                    limits={"evict_young": "1ms"}).start()
    ended(lar)
    for seed in range(8):
        other = registry.add_blob("library/y", noise(len(COLD), seed=920 + seed))
        assert new.get("/v2/library/y/blobs/" + other).complete
        new.wait(lambda: new.counter("flights_open") == 0, "all is recorded")
    assert new.counter("evictions") > 0 and image.layers[0] in new.kept()
    put_blob(new, b"{}", HOSTED)
    assert send_manifest(new, "1", image_body([COLD]), MANIFEST, HOSTED).status == 201
    assert new.get(f"/v2/{HOSTED}/blobs/{image.layers[0]}").body == COLD


def pid_of(lar):
    with open(os.path.join(lar.data, "lock"), encoding="ascii") as file:
        return int(file.read())


def test_sigusr2(registry, larder):
    """The program starts itself anew; a service manager learns which process to watch."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(20)
        manager.bind(f"\0larder-{os.getpid()}")
        lar = start(larder, registry, env={"NOTIFY_SOCKET": f"@larder-{os.getpid()}"})
        before = pid_of(lar)
        said = ""
        os.kill(before, signal.SIGUSR2)
        while "MAINPID=" not in said:
            said += manager.recv(200).decode()
        assert lar.process.wait(20) == 0
        after = pid_of(lar)
        assert after != before and f"MAINPID={after}" in said
        assert lar.get("/v2/").status == 200
        os.kill(after, signal.SIGTERM)
        lar.wait(lambda: "serve.stopped" in lar.events[lar.events.rindex("version"):], "its end")
    for thread in lar._threads:
        thread.join(20)
    lar.process = None


class Crowd:
    """Clients that pull and push, each request by a connection of its own."""

    def __init__(self, lar, registry):
        self.lar, self.registry = lar, registry
        self.enough = threading.Event()
        self.wrong, self.pushed, self.n = [], [], 0
        acts = (self.push_whole, self.push_in_parts, self.pull)
        self.threads = [threading.Thread(target=self.run, args=(i, act), daemon=True)
                        for i, act in enumerate(acts)]
        for thread in self.threads:
            thread.start()

    def run(self, number, act):
        seed = 1000 * (number + 1)
        while not self.enough.is_set():
            seed += 1
            try:
                act(noise(400_000, seed=seed))
            except (AssertionError, OSError) as error:
                self.wrong.append(error)
            self.n += 1

    def push_whole(self, data):
        reply = self.lar.send("POST", with_query(uploads(HOSTED), digest=digest_of(data)), data)
        assert reply.status == 201, reply
        self.pushed.append(digest_of(data))

    def push_in_parts(self, data):
        location = begin(self.lar)
        half = len(data) // 2
        reply = self.lar.send("PATCH", location, data[:half])
        assert reply.status == 202, reply
        reply = self.lar.send("PUT", with_query(location, digest=digest_of(data)), data[half:])
        assert reply.status == 201, reply
        self.pushed.append(digest_of(data))

    def pull(self, data):
        reply = self.lar.get("/v2/library/z/blobs/" + self.registry.add_blob("library/z", data))
        assert reply.status == 200 and reply.body == data, reply

    def stop(self):
        self.enough.set()
        for thread in self.threads:
            thread.join(30)


def test_under_load(registry, larder):
    """Five times in a row, while clients come and go: none is refused, nothing that was pushed is
    missing."""
    lar = start(larder, registry)
    crowd = Crowd(lar, registry)
    for _ in range(5):
        seen = crowd.n
        lar.wait(lambda n=seen: crowd.n > n + 20 or crowd.wrong, "clients are busy")
        new = successor(larder, lar).start()
        ended(lar)
        lar = crowd.lar = new
    crowd.stop()
    assert not crowd.wrong, crowd.wrong[:3]
    for digest in crowd.pushed:
        assert lar.head(f"/v2/{HOSTED}/blobs/{digest}").status == 200
