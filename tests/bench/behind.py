"""Rows about what goes on behind the answers: eviction, the scrub and retention, and what they cost
those who are served meanwhile."""
import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import time

import procs
from content import MIB, REPOSITORY
from context import in_turn
from index import build_fill
from report import LARDER, Target
from servers import Larder

HOSTED_IMAGES = 200
CONNECTIONS = 32
BLOB_CONNECTIONS = 4
LINK = 20e6  # bytes/s of what arrives cold
COLD_SIZE, OLD_SIZE, TINY_SIZE = MIB, MIB // 16, 4096
PROBE = 0.2  # seconds
BEGIN_SHARE = 0.948  # of the budget; eviction begins at 0.95, and ends at 0.9
LEAST, WORST_P99 = 0.95, 1.5
OCI = "application/vnd.oci.image."
# Once a second until SIGTERM; what fails ends it.
LOOP = """trap 'kill $!; exit 0' TERM
while :; do "$@" >/dev/null & wait $! || exit 1; sleep 1 & wait $!; done"""


class Filled(Larder):
    """Larder with a copy of a data directory, and a limit on what it may hold (None: none)."""

    def __init__(self, directory, upstream_port, template=None, max_size=None):
        super().__init__(directory, upstream_port)
        self.data = os.path.join(directory, "data")
        self.control = os.path.join(self.data, "control.sock")
        self.settings = {"hosted": {"stage/**": {"keep_tags": 10 * HOSTED_IMAGES}},
                         "cache": {"max_size": f"{max_size}B" if max_size else "100%",
                                   "min_free": "0B"}}
        if template is not None:
            shutil.copytree(template, self.data, copy_function=copy,
                            ignore=shutil.ignore_patterns("lock", "control.sock"))

    def start(self, wait=True):
        super().start(wait)
        while not os.path.exists(self.control):  # it comes after the port
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.program} ended at start")
            procs.pause(0.005)
        return self

    def counters(self):
        """What GET /metrics says, by name."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.control)
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            text = b"".join(iter(lambda: s.recv(65536), b"")).decode()
        return {m[1]: int(m[2]) for m in re.finditer(r"^larder_(\w+) (\d+)\r?$", text, re.M)}

    def command(self, *words):
        return [self.program, *words, "--data", self.data]


def copy(source, target):
    """Blobs are never changed, so that links will do."""
    if os.sep + "blobs" + os.sep in source:
        os.link(source, target)
    else:
        shutil.copyfile(source, target)


def push_images(port, count):
    """Small images with a config and a layer each, under tags of one hosted repository."""
    line = http.client.HTTPConnection("127.0.0.1", port)

    def send(method, path, body, content_type="application/octet-stream"):
        line.request(method, path, body, {"Content-Type": content_type})
        answer = line.getresponse()
        answer.read()
        if answer.status != 201:
            raise RuntimeError(f"{method} {path} is answered with {answer.status}")

    def blob(data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        send("POST", f"/v2/stage/app/blobs/uploads/?digest={digest}", data)
        return {"digest": digest, "size": len(data)}

    for number in range(count):
        layer = blob(b"layer %d" % number)
        config = blob(json.dumps({"os": "linux", "number": number}).encode())
        manifest = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
                    "config": {"mediaType": OCI + "config.v1+json", **config},
                    "layers": [{"mediaType": OCI + "layer.v1.tar", **layer}]}
        send("PUT", f"/v2/stage/app/manifests/{number}", json.dumps(manifest).encode(),
             manifest["mediaType"])
    line.close()


class Scene:
    """A data directory to begin with, which nobody has open: `count` blobs of `size` bytes that
    came yesterday, hosted images, a warm blob and a warm manifest."""

    def __init__(self, b, count, size):
        s = b.settings
        self.bench = b
        self.blob = b.content.blob("warm", s.warm_size)
        image = b.content.image("bench", s.layers, s.layer_size)
        self.manifest, self.manifest_path = image.manifest, image.digest_path
        self.upstream = b.start_files()
        self.link = b.start_relay(self.upstream, LINK, 1)
        server = b.keep(Filled(b.new_directory(), self.upstream.port))
        subprocess.run([build_fill(b), server.data, str(count), "docker.io/" + REPOSITORY,
                        str(size)], check=True, stdout=subprocess.DEVNULL)
        server.start()
        push_images(server.port, HOSTED_IMAGES)
        self.ask_manifest(server, requests=1)
        self.ask_blob(server, requests=1)
        self.held = server.counters()["store_held_bytes"]
        b.drop(server)
        self.template = server.data
        self.upstream.requests()

    def start(self, max_size=None):
        """A server on a copy."""
        return self.bench.keep(Filled(self.bench.new_directory(), self.link.port, self.template,
                                      max_size)).start()

    def end(self, server):
        """Fails where what was measured had not been warm."""
        self.bench.drop(server)
        shutil.rmtree(server.directory)
        asked = {r[1] for r in self.upstream.requests()}
        if asked & {self.blob.path, self.manifest_path}:
            raise RuntimeError("Larder asked its upstream for what was warm")

    def ask_manifest(self, server, **how):
        return self.bench.load.measure(server.port, path=self.manifest_path,
                                       length=self.manifest.size, **how)

    def ask_blob(self, server, **how):
        return self.bench.load.measure(server.port, path=self.blob.path, length=self.blob.size,
                                       **how)


# --- the slowest answers while others give way -------------------------------------------------

STILL, EVICTING = "no eviction", "evicting"


def await_evicting(server):
    while server.counters()["evictions_total"] == 0:
        procs.pause(0.01)


def evicting_window(scene, limit, count, seconds):
    """For how long a run may ask, so that eviction has more to do than there is time for."""
    server = scene.start(limit)
    await_evicting(server)
    scene.ask_manifest(server, connections=CONNECTIONS, seconds=PROBE)
    share = server.counters()["evictions_total"] / count
    scene.end(server)
    return min(seconds, PROBE * 0.4 / share)


def measure_evicting(scene, server, limit, seconds):
    """Eviction has begun, and does not end before."""
    await_evicting(server)
    before = server.counters()["evictions_total"]
    r = scene.ask_manifest(server, connections=CONNECTIONS, seconds=seconds)
    after = server.counters()
    if after["evictions_total"] == before or after["store_held_bytes"] < limit:
        raise RuntimeError("eviction was not under way all the time")
    return r, (after["evictions_total"] - before) / r["seconds"]


def evict_p99(b):
    if not b.has_larder():
        return
    s = b.settings
    scene = Scene(b, s.tiny_blobs, TINY_SIZE)
    limit = scene.blob.size + s.tiny_blobs * TINY_SIZE // 20
    window = evicting_window(scene, limit, s.tiny_blobs, s.seconds / 2)
    p99, rate, evictions = {}, {}, []
    for turn in range(s.turns):
        for state in in_turn([STILL, EVICTING], turn):
            b.check_time()
            server = scene.start(limit if state == EVICTING else None)
            if state == EVICTING:
                r, speed = measure_evicting(scene, server, limit, window)
                evictions.append(speed)
            else:
                r = scene.ask_manifest(server, connections=CONNECTIONS, seconds=window)
            label = LARDER if state == EVICTING else state
            p99.setdefault(label, []).append(r["total_ms"]["p99"])
            rate.setdefault(label, []).append(r["ok"] / r["seconds"])
            scene.end(server)
    measure = f"warm manifest by digest, {CONNECTIONS} connections, while blobs give way"
    b.report.note(f"{measure}: {statistics.median(evictions):,.0f} blobs of {TINY_SIZE} bytes a "
                  f"second, as many as can, in runs of {window:.2f} s")
    b.report.add(measure + ": p99", "ms", p99, Target("ratio_max", WORST_P99, STILL))
    b.report.add(measure, "requests/s", rate, Target("", 0, STILL))


# --- what goes on behind -----------------------------------------------------------------------

class Arrivals:
    """Cold blobs that clients ask Larder for, as fast as a link lets them come."""

    def __init__(self, b, server, blobs):
        names = os.path.join(server.directory, "cold")
        with open(names, "w", encoding="ascii") as f:
            f.writelines(f"{blob.path} {blob.size}\n" for blob in blobs)
        self.process = b.load.hold(server.port, list=names, connections=4, requests=len(blobs))

    def stop(self):
        procs.stop(self.process)


class Looping:
    """A command, once a second."""

    def __init__(self, argv):
        self.process = procs.start(["sh", "-c", LOOP, "sh", *argv], stdin=subprocess.DEVNULL)

    def stop(self):
        procs.stop(self.process)


def check_running(works):
    for work in works:
        if work.process.poll() is not None:
            raise RuntimeError(f"{work.process.args} ended while others were measured beside it")


QUIET, WORKING = "nothing behind", "scrub, retention"
ARRIVING, FULL = "downloads alone", "downloads, eviction, scrub, retention"
STATES = (QUIET, WORKING, ARRIVING, FULL)
COMMANDS = (("verify",), ("gc",))


def measure_state(b, scene, cold, state):
    """GB/s, requests/s and evictions/s."""
    s = b.settings
    server = scene.start(int(scene.held / BEGIN_SHARE) if state == FULL else None)
    works = []
    if state in (ARRIVING, FULL):
        works.append(b.keep(Arrivals(b, server, cold)))
    if state in (WORKING, FULL):
        works += [b.keep(Looping(server.command(*command))) for command in COMMANDS]
    while state == FULL and server.counters()["evictions_total"] == 0:
        check_running(works)
        procs.pause(0.01)
    began, before = time.monotonic(), server.counters()
    manifests = scene.ask_manifest(server, connections=CONNECTIONS, seconds=s.seconds)
    blobs = scene.ask_blob(server, connections=BLOB_CONNECTIONS, seconds=s.seconds)
    passed, after = time.monotonic() - began, server.counters()
    check_running(works)
    for work in works:
        b.drop(work)
    if state == FULL and after["evictions_total"] == before["evictions_total"]:
        raise RuntimeError("nothing gave way")
    scene.end(server)
    return {"GB/s": blobs["bytes"] / 1e9 / blobs["seconds"],
            "requests/s": manifests["ok"] / manifests["seconds"],
            "evictions": (after["evictions_total"] - before["evictions_total"]) / passed,
            "verified": (after["verified_bytes_total"] - before["verified_bytes_total"]) / passed}


def background(b):
    if not b.has_larder():
        return
    s = b.settings
    n_cold = int(8 * s.seconds * LINK / COLD_SIZE)
    cold = [b.content.blob(f"cold{n}", COLD_SIZE) for n in range(n_cold)]
    scene = Scene(b, (n_cold + 40) * COLD_SIZE // OLD_SIZE, OLD_SIZE)
    got = {state: [] for state in STATES}
    for turn in range(s.cold_turns):
        for state in in_turn(list(STATES), turn):
            b.check_time()
            got[state].append(measure_state(b, scene, cold, state))
    for state, base in ((WORKING, QUIET), (FULL, ARRIVING)):
        report_state(b, scene, state, base, got)


def report_state(b, scene, state, base, got):
    verified, evicted = (statistics.median(g[what] for g in got[state])
                         for what in ("verified", "evictions"))
    b.report.note(f"{state}: {verified / 1e6:.0f} MB/s were hashed again, {evicted:,.0f} blobs a "
                  "second gave way")
    for what, unit in (
            (f"warm {scene.blob.size >> 20} MiB blob, {BLOB_CONNECTIONS} connections", "GB/s"),
            (f"warm manifest by digest, {CONNECTIONS} connections", "requests/s")):
        b.report.add(f"{what}, beside {state}", unit, {LARDER: [g[unit] for g in got[state]],
                                                       base: [g[unit] for g in got[base]]},
                     Target("ratio_min", LEAST, base))


ROWS = {"evict-p99": evict_p99, "background": background}
