"""Everything at once, for long: pulls, pushes, deletes, evictions, scrubs, upstreams that fail, and
every few seconds a kill, or another process that takes over.

    tests/e2e/soak.py [--seconds N] [--seed TEXT]     # or `make soak`

What a client gets whole must be right; what was pushed and answered 201 is there until it is
deleted, whatever was killed since; an error says that upstream failed, and nothing else. A
hand-over cuts no transfer, refuses no connection, and the process before ends. In the end the index
is counted again from the bytes of the manifests; and of a process that took over memory and
descriptors are looked at twice, with work in between, and once more after some hand-overs: they
stay as they are.
"""
import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from builder import Client, Gone, Image, fetch_image, rng_of  # noqa: E402
from larder import PROGRAM, REPORTS, VARIANT, Larder, StartFailed  # noqa: E402
from push import WAYS, begin, blob_path, manifest_path, put_image, with_query  # noqa: E402
from recount import Index  # noqa: E402
from registry import Registry, digest_of, noise  # noqa: E402

MIB = 1 << 20
BUDGET = 90 * MIB
SIZES = (1000, 40_000, 200_000, 400_000, MIB)
LIMITS = {"retry_min": "5ms", "retry_max": "50ms", "retry_for": "3s", "first_byte": "5s",
          "upstream_headers": "1s", "upstream_stall": "1s", "bad_digest": "500ms",
          "breaker": "1s", "breaker_pause": "200ms", "evict_young": "500ms",
          "retain_grace": "10s", "retain_every": "1s"}
PULLERS, PUSHERS = 4, 2
TAGS = 5  # of each pusher
BIG = noise(8 * MIB, seed=4999)  # more than sockets buffer
KEPT = "stage/kept"  # has it
# Of the whole time: with kills; then without them until memory is looked at first.
KILLING, WARMING = 0.7, 0.1
MEMORY_SLACK = 8 * MIB
DESCRIPTOR_SLACK = 8
HAND_OVERS = 4  # in a row, at the end
# What may be answered while upstream fails.
TROUBLE = {429, 500, 502, 503, 504}


class Wrong(Exception):
    """What must not be."""


class World:
    """An upstream with more images than the server may keep, and the server."""

    def __init__(self, folder, seed):
        self.seed = seed
        self.folder = Path(folder)
        self.registry = Registry()
        self.images = []  # (repository, image, {digest: bytes})
        for n in range(80):
            repo = f"library/r{n}"
            layers = [noise(size + n, seed=5000 + 10 * n + k) for k, size in enumerate(SIZES)]
            image = self.registry.add_image(repo, "latest", layers)
            self.images.append((repo, image, dict(zip(image.layers, layers))))
        self.larder = Larder(self.folder, start=False, limits=LIMITS,
                             upstreams={"docker.io": self.registry.url},
                             config={"cache": {"max_size": BUDGET, "min_free": 0},
                                     "tags": {"ttl": "1s", "patience": "500ms"},
                                     "hosted": {"stage/**": {"untagged_after": "2s"}}})
        self.lock = threading.Lock()
        self.up = threading.Event()   # the server runs
        self.go = threading.Event()   # workers work
        self.stop = threading.Event()
        self.kills = 0
        self.breaks = 0  # odd while a kill is under way
        self.hand_overs = 0
        self.idle = threading.Condition()
        self.waiting = 0
        self.wrong = []
        self.counts = {}

    def count(self, what, n=1):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + n

    def fail(self, text):
        with self.lock:
            self.wrong.append(text)
        self.stop.set()

    def start(self):
        """A scrub that found no server works on the data itself, and has to end first."""
        for _ in range(300):
            try:
                self.larder.start()
                break
            except StartFailed as error:
                if "one server a data directory" not in str(error):
                    raise
                self.stop.wait(0.1)
        else:
            raise Wrong("a scrub holds the data directory")
        self.up.set()

    def kill(self):
        self.up.clear()
        self.kills += 1
        self.breaks += 1
        self.larder.kill()
        self.start()
        self.breaks += 1

    def successor(self):
        """Of the same data and sockets, in a folder of its own for its configuration."""
        self.hand_overs += 1
        old = self.larder
        folder = self.folder / f"larder{self.hand_overs}"
        folder.mkdir()
        return Larder(folder, start=False, upstreams=old.upstreams, args=["--take-over"],
                      config={**old.config, "listen": [old.host]}, data=old.data)

    def hand_over(self):
        """With transfers under way; the process before has ended then."""
        old, new = self.larder, self.successor()
        transfers = Transfers(old)
        try:
            new.start()
        except StartFailed as error:
            raise Wrong(f"nobody took over:\n{error}{old.events[-2000:]}") from error
        new.args = []  # a start after a kill takes nothing over
        self.larder = new
        transfers.finish(new)
        try:
            status = old._over(100)
        except subprocess.TimeoutExpired as error:
            raise Wrong(f"the process before does not end:\n{old.events[-2000:]}") from error
        if status != 0 or any(word in old.events for word in REPORTS):
            raise Wrong(f"the process before ended with {status}:\n{old.events[-6000:]}")

    # --- pauses ----------------------------------------------------------------------------------

    def checkpoint(self, client):
        """Workers come here between two actions; false: it is over."""
        if not self.go.is_set():
            client.close()
            with self.idle:
                self.waiting += 1
                self.idle.notify_all()
            while not self.go.wait(0.1) and not self.stop.is_set():
                pass
            with self.idle:
                self.waiting -= 1
        return not self.stop.is_set()

    def pause(self, workers):
        self.go.clear()
        with self.idle:
            if not self.idle.wait_for(lambda: self.waiting == workers or self.stop.is_set(), 100):
                raise Wrong("somebody waits for an answer that does not come")


class Transfers:
    """A download and an upload that begin by one process, and end after another took over."""

    def __init__(self, lar):
        self.data = BIG[:MIB]
        self.download = lar.begin(blob_path(digest_of(BIG), KEPT), read=False, rcvbuf=65536)
        self.session = begin(lar, KEPT)
        self.upload = lar.begin(self.session, {"Content-Length": len(self.data)}, "PATCH")
        self.upload.push(self.data[:MIB // 2])

    def finish(self, lar):
        self.upload.push(self.data[MIB // 2:])
        reply = self.upload.done()
        if reply.status != 202:
            raise Wrong(f"an upload under way was cut: {reply}")
        reply = lar.send("PUT", with_query(self.session, digest=digest_of(self.data)))
        if reply.status != 201:
            raise Wrong(f"an upload cannot be gone on with: {reply}")
        self.download.go_on()
        reply = self.download.done()
        if reply.status != 200 or reply.body != BIG:
            raise Wrong(f"a download under way was cut: {reply}")


class Patient(Client):
    """Keeps its connection now and then; and asks again where the server is being replaced."""

    def __init__(self, world, rng):
        super().__init__(world.larder)
        self.world, self.rng = world, rng

    def send(self, *what, **more):
        while True:
            reply = super().send(*what, **more)
            if self.rng.random() < 0.5:
                self.close()
            if reply.status != 503 or b"being replaced" not in reply.body:
                return reply
            self.world.count("asked again")


class Worker(threading.Thread):
    """Does one thing after another, with a client of its own."""

    def __init__(self, world, number):
        super().__init__(daemon=True)
        self.world = world
        self.rng = rng_of(world.seed, type(self).__name__, number)
        self.number = number
        self.client = None
        self.breaks = None

    def fresh(self):
        """A connection to the server that runs now."""
        if self.client:
            self.client.close()
        while not self.world.up.wait(0.1) and not self.world.stop.is_set():
            pass
        self.client = Patient(self.world, self.rng)

    def cut(self, gone):
        """Only a kill does that, but for a kept connection that ends as it is used again."""
        killed = self.breaks % 2 == 1 or self.breaks != self.world.breaks
        if not killed and self.is_wrong(gone):
            raise Wrong(f"cut, and nobody was killed: {gone}") from gone
        self.world.count("cut")
        self.fresh()

    def is_wrong(self, gone):
        """Upstream's trouble cuts downloads, too."""
        return isinstance(gone.__cause__, ConnectionRefusedError)

    def run(self):
        try:
            self.fresh()
            while self.world.checkpoint(self.client):
                try:
                    self.breaks = self.world.breaks
                    self.act()
                except Gone as gone:
                    self.cut(gone)
        except Exception:  # whatever it is, it has to be told
            self.world.fail(traceback.format_exc())
        finally:
            if self.client:
                self.client.close()


class Puller(Worker):
    def act(self):
        repo, image, layers = self.rng.choice(self.world.images)
        if self.rng.random() < 0.3:
            reference = self.rng.choice(("latest", image.digest))
            self.check(self.client.get(manifest_path(reference, repo)), 200, image.body)
            return
        digest = self.rng.choice(image.layers)
        data = layers[digest]
        if self.rng.random() < 0.2:
            first = self.rng.randrange(len(data))
            last = self.rng.randrange(first, len(data))
            reply = self.client.get(blob_path(digest, repo), {"Range": f"bytes={first}-{last}"})
            self.check(reply, 206, data[first:last + 1])
            return
        self.check(self.client.get(blob_path(digest, repo)), 200, data)

    def check(self, reply, status, body):
        if reply.status == status:
            if reply.body != body:
                raise Wrong(f"{len(reply.body)} bytes that are not the {len(body)} asked for")
            self.world.count("pulled")
        elif reply.status in TROUBLE:
            self.world.count("refused")
        else:
            raise Wrong(f"not an answer to this: {reply}")


class Pusher(Worker):
    """Its tags are its own: whatever it was answered must be so."""

    def __init__(self, world, number):
        super().__init__(world, number)
        self.repo = f"stage/s{number}"
        self.tags = {}  # tag: digests that it may have, None for none

    def is_wrong(self, gone):
        return not self.client.kept

    def act(self):
        # What is replaced stays for a while: more than this would not fit into the budget.
        self.world.stop.wait(self.rng.uniform(0.02, 0.2))
        self.rng.choices((self.push, self.check, self.drop), (5, 5, 1))[0]()

    def push(self):
        tag = f"t{self.rng.randrange(TAGS)}"
        layers = [self.rng.randbytes(self.rng.choice((100, 30_000, 300_000)))
                  for _ in range(self.rng.randint(1, 3))]
        image = Image.of(layers, self.rng.randbytes(50))
        began = time.monotonic()
        for digest, data in image.blobs:
            reply = WAYS[self.rng.choice(list(WAYS))](self.client, data, digest, self.repo)
            self.expect(reply, 201)
        self.tags[tag] = self.tags.get(tag, {None}) | {image.digest}
        reply = self.client.send("PUT", manifest_path(tag, self.repo), image.body,
                                 {"Content-Type": image.media_type})
        self.expect(reply, 201)
        if "warning" in reply.headers:
            raise Wrong(f"gone within {time.monotonic() - began:.1f} s: {reply}")
        self.tags[tag] = {image.digest}
        self.world.count("pushed")

    def check(self):
        for tag in self.rng.sample(sorted(self.tags), min(1, len(self.tags))):
            self.check_tag(tag)

    def check_tag(self, tag):
        found = fetch_image(self.client, self.repo, tag)
        if found not in self.tags[tag]:
            raise Wrong(f"{self.repo}:{tag} is {found}, not one of {self.tags[tag]}")
        self.tags[tag] = {found}
        self.world.count("checked")

    def drop(self):
        for tag in self.rng.sample(sorted(self.tags), min(1, len(self.tags))):
            right = {404 if one is None else 202 for one in self.tags[tag]}
            self.tags[tag] = self.tags[tag] | {None}
            reply = self.client.delete(manifest_path(tag, self.repo))
            if reply.status not in right:
                raise Wrong(f"{tag} cannot be deleted: {reply}")
            self.tags[tag] = {None}
            self.world.count("deleted")

    def expect(self, reply, status):
        if reply.status != status:
            raise Wrong(f"{status} is right: {reply}")


class Trouble(Worker):
    """The upstream's: for a while at a time, and well in between."""

    def act(self):
        world = self.world
        rule = world.registry.on("GET", self.rng.choice(("/blobs/", "/manifests/", "/r1"))).always()
        self.rng.choice((lambda: rule.status(503), lambda: rule.status(429), rule.reset,
                         rule.hold_headers, lambda: rule.drop_after(150_000),
                         lambda: rule.corrupt(700), lambda: rule.hold_after(100_000)))()
        world.count("troubles")
        world.stop.wait(self.rng.uniform(0.1, 1.2))
        world.registry.clear_rules()
        world.stop.wait(self.rng.uniform(0.5, 2))


class Scrubber(Worker):
    def act(self):
        self.world.stop.wait(self.rng.uniform(1, 4))
        kills, lar = self.world.kills, self.world.larder
        run = subprocess.run([PROGRAM, "verify", "--config", str(lar.folder / "larder.json"),
                              "--data", lar.data, "--rate", "50MB"], capture_output=True, text=True,
                             check=False, timeout=100)
        if kills == self.world.kills and self.world.up.is_set():
            if run.returncode != 0:
                raise Wrong(f"verify: {run.returncode}\n{run.stdout[-1000:]}{run.stderr[-1000:]}")
            self.world.count("scrubs")


def memory(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon"))


class Soak:
    def __init__(self, folder, seconds, seed, out):
        self.world, self.seconds, self.out = World(folder, seed), seconds, out
        self.pushers = [Pusher(self.world, n) for n in range(PUSHERS)]
        self.workers = [*(Puller(self.world, n) for n in range(PULLERS)), *self.pushers,
                        Trouble(self.world, 0), Scrubber(self.world, 0)]
        self.rng = rng_of(seed, "kills")
        self.told = self.began = time.monotonic()
        self.n = self.failed = 0

    def say(self, text):
        print(text, file=self.out, flush=True)

    def progress(self, often=60):
        if time.monotonic() - self.told < often:
            return
        self.told = time.monotonic()
        with self.world.lock:
            done = ", ".join(f"{n} {what}" for what, n in sorted(self.world.counts.items()))
        self.say(f"# {self.told - self.began:4.0f} s: {self.world.kills} kills, "
                 f"{self.world.hand_overs} hand-overs, {done}")

    def let_run(self, seconds, kill=False):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.world.stop.is_set():
            left = end - time.monotonic()
            self.world.stop.wait(min(left, self.rng.uniform(1, 5) if kill else 1))
            if kill and time.monotonic() < end and not self.world.stop.is_set():
                self.rng.choice((self.world.kill, self.world.hand_over))()
            self.progress()

    def look(self):
        """Memory and descriptors, once nothing is under way."""
        world = self.world
        world.registry.clear_rules()
        world.pause(len(self.workers))
        found = self.measure()
        world.go.set()
        return found

    def measure(self):
        lar = self.world.larder
        lar.wait(lambda: lar.counter("connections_open") <= 1 and
                 lar.counter("flights_open") == 0, "quiet", 60)
        return memory(lar.process), len(os.listdir(f"/proc/{lar.process.pid}/fd"))

    def result(self, good, text):
        self.n += 1
        self.failed += not good
        self.say(f"{'ok' if good else 'not ok'} {self.n} - {text}")

    def run(self):
        world = self.world
        world.start()
        put_image(world.larder, "1", [BIG], KEPT)
        world.go.set()
        for worker in self.workers:
            worker.start()
        try:
            self.let_run(KILLING * self.seconds, kill=True)
            world.hand_over()
            self.let_run(WARMING * self.seconds)
            before = self.look()
            self.let_run((1 - KILLING - WARMING) * self.seconds)
            if not world.wrong:
                self.end(before, self.look())
        except Exception:  # told with what the workers found
            world.fail(traceback.format_exc())
        finally:
            world.stop.set()
            world.registry.clear_rules()
            for worker in self.workers:
                worker.join(100)
            if world.larder.process:
                world.larder.process.send_signal(signal.SIGKILL)
            world.registry.stop()
        for text in world.wrong:
            self.say("".join(f"# {line}\n" for line in text.splitlines())[:-1])
        if world.wrong:
            self.say("".join(f"# {x}\n" for x in world.larder.events.splitlines()[-40:]))
        self.result(not world.wrong, "what was answered was right, and what was promised was kept")
        self.progress(0)
        return self

    def compare(self, when, before, after):
        if VARIANT == "release":
            self.result(after[0] <= before[0] + MEMORY_SLACK,
                        f"memory: {before[0] >> 10} KiB, and {after[0] >> 10} KiB {when}")
        self.result(after[1] <= before[1] + DESCRIPTOR_SLACK,
                    f"descriptors: {before[1]}, and {after[1]} {when}")

    def end(self, before, after):
        world = self.world
        world.stop.set()
        for worker in self.workers:
            worker.join(100)
            if worker.is_alive():
                raise Wrong("somebody waits for an answer that does not come")
        self.compare("with work in between", before, after)
        world.hand_over()
        before = self.measure()
        for _ in range(HAND_OVERS):
            world.hand_over()
        self.compare(f"{HAND_OVERS} processes later", before, self.measure())
        world.larder.stop()
        Index(world.larder.data).check()
        world.larder.kept()
        self.result(True, "the index is what the manifests say, the files are what their names say")
        world.larder.start()
        for pusher in self.pushers:
            pusher.client = Client(world.larder)
            for tag in pusher.tags:
                pusher.check_tag(tag)
            pusher.client.close()
        world.larder.stop()
        reported = [word for word in REPORTS if word in world.larder.events]
        self.result(not reported, "no sanitizer reported anything")
        least = ("pulled", "pushed", "checked", "scrubs", "troubles")
        self.result(all(world.counts.get(name) for name in least), "all of it was done")


def soak(out, seconds, seed):
    with tempfile.TemporaryDirectory() as folder:
        print(f"# seed {seed}, {seconds:g} s, {VARIANT}", file=out, flush=True)
        return Soak(folder, seconds, seed, out).run()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20 * 60)
    parser.add_argument("--seed", default=str(random.SystemRandom().getrandbits(32)))
    args = parser.parse_args()
    done = soak(sys.stdout, args.seconds, args.seed)
    print(f"{done.n - done.failed} passed, {done.failed} failed, 0 skipped")
    sys.exit(1 if done.failed else 0)


if __name__ == "__main__":
    main()
