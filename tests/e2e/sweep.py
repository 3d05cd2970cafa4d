"""Makes every call fail that has a fault point (src/base/fault.h), one after the other.

    tests/e2e/sweep.py [--seconds N] [--seed TEXT] [--only PART]     # or `make sweep`

A case is a scenario, a point, how often the point is passed before it fails, and how: once, from
then on, or by a kill. The program runs with that fault; what clients are told is noted; then it
runs without, and what must always hold is looked at: no byte that was sent is wrong, what was
answered 201 is there, a new pull and a new push work, and the index, counted again, is right.

Without --seconds all cases run, in order; with it as many as fit, in an order that the seed gives.
Prints TAP.
"""
import argparse
import glob
import os
import random
import re
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from larder import REPORTS, TOP, Larder, StartFailed, drain  # noqa: E402
from push import image_body, uploads, with_query  # noqa: E402
from recount import Index  # noqa: E402
from registry import MANIFEST, Registry, digest_of, noise  # noqa: E402

UP = "library/x"
HOSTED = "stage/app"
KIB = 1024
LAYERS = [noise(300 * KIB, seed=800), noise(20 * KIB, seed=801)]
OTHERS = [noise(40 * KIB, seed=802)]
PUSHED = [noise(90 * KIB, seed=803), noise(5 * KIB, seed=804)]
PADDING = {"x": "y" * 30_000}
QUICK = {"retry_min": "5ms", "retry_max": "20ms", "retry_for": "2s", "drain": "5s",
         "first_byte": "5s", "upstream_headers": "2s", "upstream_stall": "2s"}
# Where one of these fails, and goes on failing, whoever pulls must not notice.
DISK = ("ingest.", "dir.", "blob.fsync", "index.begin", "index.put", "index.commit", "index.full",
        "backup.")
# What only matters where it kills: a return value that is not looked at.
KILL_ONLY = ("ingest.renamed", "index.committed", "handover.freed", "handover.ready")
# Passages of a point that are tried; beyond the last, it is not reached often enough to matter.
PASSAGES = (1, 2, 3, 4, 5, 6, 8, 11, 15, 21, 30, 45, 70)


def points():
    found = set()
    for path in glob.glob(os.path.join(TOP, "src/*/*.c")):
        with open(path, encoding="utf-8") as file:
            found |= set(re.findall(r'fault_(?:at|errno)\("([a-z.]+)"', file.read()))
    return sorted(found)


class World:
    """An upstream, and data directories as they are before a scenario."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.registry = Registry()
        self.image = self.registry.add_image(UP, "1", LAYERS)
        body = image_body(OTHERS, annotations=PADDING)
        self.registry.add_blob(UP, b"{}")
        for data in OTHERS:
            self.registry.add_blob(UP, data)
        self.large = (self.registry.add_manifest(UP, "2", body), body)
        self.right = {digest_of(data): data for data in (*LAYERS, *OTHERS, *PUSHED, b"{}")}
        self.right[self.image.config] = self.registry.blobs[UP, self.image.config]
        self.n = 0
        self.filled = self.folder / "filled"
        lar = self.larder(self.filled).start()
        pull(lar, self, Notes())
        push(lar, self, Notes())
        lar.stop()

    def larder(self, folder):
        folder.mkdir(exist_ok=True)
        return Larder(folder, start=False, limits=QUICK, config={
            "upstreams": {"docker.io": {"endpoints": [self.registry.url]}},
            "cache": {"prefetch": False, "min_free": 0}})

    def fresh(self, filled):
        """A server that has not started, whose data directory is empty or filled."""
        self.n += 1
        folder = self.folder / f"case{self.n}"
        if filled:
            shutil.copytree(self.filled / "data", folder / "data",
                            ignore=shutil.ignore_patterns("control.sock"))
        return self.larder(folder)


class Notes:
    """What clients were told."""

    def __init__(self, spoilt=False):
        self.spoilt = spoilt  # files may be
        self.failed = []  # pulls that did not give all of it
        self.blobs = set()  # pushed, and answered 201
        self.tags = {}
        self.tried = {}  # tag -> what was sent after that: whether it took effect, nobody said

    def add(self, later):
        """What clients were told after that."""
        self.blobs |= later.blobs
        self.tags.update(later.tags)
        for tag in later.tags:
            self.tried.pop(tag, None)
        for tag, bodies in later.tried.items():
            self.tried[tag] = self.tried.get(tag, []) + bodies


def file_of(lar, digest):
    algorithm, _, text = digest.partition(":")
    return os.path.join(lar.data, "blobs", algorithm, text[:2], text[2:])


def ask(lar, notes, path, right):
    """One GET: what comes is right. Of a file that a power cut spoilt, and that is found out as it
    is sent, no client gets all: the connection breaks off before the last 64 KiB."""
    try:
        reply = lar.get(path, timeout=30)
    except OSError as error:
        notes.failed.append((path, error))
        return
    if reply.status != 200 or not reply.complete:
        notes.failed.append((path, reply))
    if reply.status == 200:
        spoilt = not reply.complete and len(reply.body) <= len(right) - 64 * KIB and notes.spoilt
        assert right.startswith(reply.body) or spoilt, f"{path}: wrong bytes"
        assert not reply.complete or reply.body == right, f"{path}: not all bytes"


def pull(lar, world, notes):
    """Two images with all that they name, one with a manifest that has a file of its own."""
    for reference, body in (("1", world.image.body), ("2", world.large[1])):
        ask(lar, notes, f"/v2/{UP}/manifests/{reference}", body)
    for digest in (world.image.config, *world.image.layers, *map(digest_of, OTHERS)):
        ask(lar, notes, f"/v2/{UP}/blobs/{digest}", world.right[digest])


def taken(lar, method, path, body=b"", headers=None):
    """The reply to a write, or None where there is none: then nothing was promised."""
    try:
        reply = lar.send(method, path, body, headers)
    except OSError:
        return None
    if reply.status is not None and reply.status >= 400 and reply.complete:
        assert reply.code() and reply.message(), f"{method} {path}: {reply}"
    return reply if reply.status in (201, 202) else None


def push(lar, world, notes, salt=b""):
    """An image, its second layer in two pieces."""
    del world
    first, second = (data + salt for data in PUSHED)
    for data in (b"{}", first):
        if taken(lar, "POST", with_query(uploads(HOSTED), digest=digest_of(data)), data):
            notes.blobs.add((digest_of(data), data))
    session = taken(lar, "POST", uploads(HOSTED))
    if session:
        half = len(second) // 2
        location = session.headers["location"]
        more = taken(lar, "PATCH", location, second[:half])
        location = more.headers["location"] if more else location
        if more and taken(lar, "PUT", with_query(location, digest=digest_of(second)),
                          second[half:]):
            notes.blobs.add((digest_of(second), second))
    for tag, extra in (("small", {}), ("large", {"annotations": PADDING})):
        body = image_body([first, second], **extra)
        notes.tried.setdefault(tag, []).append(body)
        if taken(lar, "PUT", f"/v2/{HOSTED}/manifests/{tag}", body, {"Content-Type": MANIFEST}):
            notes.tags[tag] = notes.tried.pop(tag)[-1]


def verify(lar, world, notes):
    """Some of what was pulled is damaged: it is found, or met."""
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(30)
            sock.connect(os.path.join(lar.data, "control.sock"))
            sock.sendall(b"POST /-/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
                         b"Connection: close\r\n\r\n")
            drain(sock)
    except OSError as error:
        notes.failed.append(("verify", error))
    pull(lar, world, notes)


def replace(lar, world, notes):
    """Another process takes over, or fails to, between the halves of an upload; both meet the
    fault, and what clients ask then is answered by whichever has the sockets."""
    blob = noise(70 * KIB, seed=805)
    half = len(blob) // 2
    session = taken(lar, "POST", uploads(HOSTED))
    put = None
    if session:
        location = with_query(session.headers["location"], digest=digest_of(blob))
        put = lar.begin(location, {"Content-Length": len(blob)}, "PUT")
        put.push(blob[:half])
    (lar.folder / "next").mkdir()
    new = Larder(lar.folder / "next", start=False, limits=QUICK, data=lar.data, env=lar.env,
                 args=["--take-over"], config={**lar.config, "listen": [lar.host]})
    try:
        new.start()
    except StartFailed:
        pass  # the one before goes on, unless it was killed
    if put and put.push(blob[half:]) and put.done().status == 201:
        notes.blobs.add((digest_of(blob), blob))
    pull(lar, world, notes)
    push(lar, world, notes)
    if new.process.poll() is None:
        new.process.terminate()
    status = new._over(60)
    lar.events += new.events
    assert status in (0, 1, 2, -9), f"status {status}"


class Scenario:
    """What is done, and in which state: pushed, there is what was pulled and pushed before; killed,
    the server before was; damaged, files are; unkept, there is no room for what is pulled."""

    def __init__(self, act, *state):
        self.act, self.state = act, state

    def __contains__(self, word):
        return word in self.state

    def begin(self, world):
        """A server that is about to start."""
        lar = world.fresh("filled" in self)
        if "unkept" in self:
            lar.config["cache"]["max_size"] = 4096
        if "killed" in self:
            lar.start()
            lar.kill()
        if "damaged" in self:
            for digest in (world.image.layers[0], world.large[0]):
                os.truncate(file_of(lar, digest), 100)
        return lar


SCENARIOS = {
    "cold": Scenario(pull), "warm": Scenario(pull, "filled"), "push": Scenario(push),
    "again": Scenario(push, "filled"), "restart": Scenario(pull, "filled", "killed"),
    "unkept": Scenario(pull, "unkept"), "damaged": Scenario(pull, "filled", "damaged"),
    "verify": Scenario(verify, "filled", "damaged"), "replaced": Scenario(replace, "filled")}


class Case:
    """One run."""

    def __init__(self, world, scenario, point, n, how):
        self.world, self.scenario, self.point, self.n, self.how = world, scenario, point, n, how

    def __str__(self):
        return f"{self.scenario}: {self.fault()}"

    def fault(self):
        return {"once": f"{self.point}:{self.n}", "on": f"{self.point}:{self.n}-1000000",
                "kill": f"{self.point}:{self.n}:kill"}[self.how]

    def run(self):
        """Whether the point was passed so often."""
        scenario = SCENARIOS[self.scenario]
        lar = scenario.begin(self.world)
        notes = Notes()
        if "filled" in scenario:
            put_images(notes)
        try:
            fired = self.armed(lar, scenario.act, notes)
            self.check(lar, notes)
        finally:
            if lar.process:
                lar.kill()
        shutil.rmtree(lar.folder)
        return fired

    def armed(self, lar, act, notes):
        began = len(lar.events)
        allowed = (0, 1)
        lar.env = {"FAULT": self.fault()}
        try:
            lar.start()
            (knock if self.is_deaf() else act)(lar, self.world, notes)
        except StartFailed:
            assert self.how == "kill" or "larder: " in lar.events[began:], "no reason why"
            allowed = (0, 1, 2)
        if lar.process.poll() is None:
            lar.process.terminate()
        status = lar._over(60)
        events = lar.events[began:]
        for word in REPORTS:
            assert word not in events, events[-6000:]
        fired = f"fault {self.point} {self.n}\n" in events
        assert status in allowed or (self.how == "kill" and status == -9), f"status {status}"
        if self.is_disk(act):
            assert not notes.failed, f"a pull failed: {notes.failed}\n{events[-3000:]}"
        return fired

    def is_deaf(self):
        return (self.point, self.how) == ("listen.accept", "on")

    def is_disk(self, act):
        """Whether who pulls must not notice. A damaged manifest and an index that takes no change
        are too much at once."""
        damaged = "damaged" in SCENARIOS[self.scenario]
        return (self.how != "kill" and act is pull and self.point.startswith(DISK)
                and not (damaged and self.point.startswith("index.")))

    def check(self, lar, notes):
        """Without the fault it is as if nothing had been."""
        lar.env = {}
        lar.config["cache"].pop("max_size", None)
        lar.start()
        for digest, data in notes.blobs:
            assert lar.get(f"/v2/{HOSTED}/blobs/{digest}").body == data, "a pushed blob is lost"
        for tag, body in notes.tags.items():
            assert lar.get(f"/v2/{HOSTED}/manifests/{tag}").body == body, "a pushed image is lost"
        after = Notes()
        pull(lar, self.world, after)
        assert not after.failed, f"a later pull failed: {after.failed}"
        push(lar, self.world, after, salt=b"later")
        assert len(after.blobs) == 3 and len(after.tags) == 2, "a later push failed"
        lar.stop()
        lar.finish()
        Index(lar.data).check()


def knock(lar, world, notes):
    """From some connection on none is accepted: the server says so, and those behind it wait."""
    path = f"/v2/{UP}/blobs/{world.image.config}"
    while "accept.full" not in lar.events and len(notes.failed) < 100:
        asked = lar.begin(path)
        if not asked.ended.wait(0.2):
            notes.failed.append((path, "not accepted"))


def put_images(notes):
    """What the filled data directory holds that was pushed."""
    notes.blobs |= {(digest_of(data), data) for data in (b"{}", *PUSHED)}
    notes.tags = {"small": image_body(PUSHED), "large": image_body(PUSHED, annotations=PADDING)}


def lines(world):
    """Cases that differ in the passage alone, in the order of passages: behind the first that is
    not reached come no others."""
    for point in points():
        for how in ("kill",) if point in KILL_ONLY else ("once", "on", "kill"):
            for scenario in SCENARIOS:
                yield [Case(world, scenario, point, n, how) for n in PASSAGES]


class Results:
    def __init__(self, out):
        self.out, self.n, self.failed, self.fired = out, 0, 0, 0

    def run(self, case):
        """Whether the next passage is worth a try."""
        self.n += 1
        try:
            fired = case.run()
        except Exception as error:  # whatever it is, the others are to run
            self.failed += 1
            print(f"not ok {self.n} - {case}", file=self.out)
            print("# " + str(error)[-4000:].replace("\n", "\n# "), file=self.out, flush=True)
            return True
        self.fired += fired
        print(f"ok {self.n} - {case}{'' if fired else ' (not reached)'}", file=self.out, flush=True)
        return fired


def sweep(out, seconds=None, seed="", only=""):
    """Gives the results."""
    results = Results(out)
    with tempfile.TemporaryDirectory() as folder:
        world = World(folder)
        left = [line for line in lines(world) if only in f"{line[0]}"]
        began = time.monotonic()
        if seconds is None:
            for line in left:
                for case in line:
                    if not results.run(case):
                        break
        else:
            chance = random.Random(seed)
            while time.monotonic() - began < seconds:
                line = chance.choice(left)
                results.run(chance.choice(line[:3]))
        world.registry.stop()
    print(f"1..{results.n}", file=out)
    print(f"# {results.fired} of {results.n} cases reached their point, {results.failed} failed",
          file=out, flush=True)
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--seed", default="")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    sys.exit(1 if sweep(sys.stdout, args.seconds, args.seed, args.only).failed else 0)


if __name__ == "__main__":
    main()
