"""Rows about what is carried into another network: an export of many images, and its import."""
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import tarfile
import threading
import time

import procs
from context import in_turn
from report import LARDER, Target
from servers import Larder

BY_HAND = "openssl dgst, cp, sync"
TAR = "tar of the same blobs"
LIMIT_MB = 32
SAMPLE = 0.02
IMAGES, LAYERS = 200, 8
# Every layer begins with bytes of its own; what follows need not differ.
BLOCK = random.Random(4).randbytes(4 << 20)


class Watched:
    """A command with the most anonymous memory that it had."""

    def __init__(self, argv, **how):
        self.rss = 0
        self.began = time.monotonic()
        self.process = procs.start(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, **how)
        watching = threading.Thread(target=self.watch)
        watching.start()
        self.said = self.process.communicate(timeout=600)[0]
        self.seconds = time.monotonic() - self.began
        watching.join()
        if self.process.returncode != 0:
            raise RuntimeError(f"{argv[1]}: {self.process.returncode}: {self.said[-500:]}")

    def watch(self):
        while self.process.poll() is None:
            try:
                with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
                    for line in f:
                        if line.startswith("RssAnon:"):
                            self.rss = max(self.rss, int(line.split()[1]) * 1024)
            except OSError:
                return
            procs.pause(SAMPLE)


class Layout:
    """An image layout as a tar, written as it is made."""

    def __init__(self, path):
        self.tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)
        self.index = []

    def add(self, name, data):
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        self.tar.addfile(entry, io.BytesIO(data))

    def blob(self, data):
        digest = hashlib.sha256(data).hexdigest()
        self.add("blobs/sha256/" + digest, data)
        return {"digest": "sha256:" + digest, "size": len(data)}

    def image(self, number, sizes):
        layers = [self.blob((b"%d %d" % (number, i)).ljust(64) + block(size - 64))
                  for i, size in enumerate(sizes)]
        config = json.dumps({"os": "linux", "architecture": "amd64", "number": number,
                             "rootfs": {"type": "layers",
                                        "diff_ids": [layer["digest"] for layer in layers]}})
        oci = "application/vnd.oci.image."
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": oci + "manifest.v1+json",
            "config": {"mediaType": oci + "config.v1+json", **self.blob(config.encode())},
            "layers": [{"mediaType": oci + "layer.v1.tar", **layer} for layer in layers]})
        self.index.append({"mediaType": oci + "manifest.v1+json", **self.blob(manifest.encode()),
                           "annotations": {"io.containerd.image.name":
                                           f"docker.io/bench/image{number}:1"}})

    def close(self):
        self.add("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        self.add("index.json", json.dumps({"schemaVersion": 2, "manifests": self.index}).encode())
        self.tar.close()


def block(size):
    whole, rest = divmod(size, len(BLOCK))
    return BLOCK * whole + BLOCK[:rest]


def archive(b):
    """An archive of IMAGES images, of `carry_size` bytes in all; made once."""
    path = os.path.join(b.directory, "images.tar")
    if os.path.exists(path):
        return path
    chance = random.Random(7)
    shares = [chance.lognormvariate(0, 1.5) for _ in range(IMAGES * LAYERS)]
    unit = b.settings.carry_size / sum(shares)
    sizes = [max(256, int(share * unit)) for share in shares]
    layout = Layout(path)
    for number in range(IMAGES):
        b.check_time()
        layout.image(number, sizes[number * LAYERS:(number + 1) * LAYERS])
    layout.close()
    return path


def sync(directory):
    subprocess.run(["sync", "-f", directory], check=True)


def by_hand(b, file):
    copy = os.path.join(b.directory, "copy")
    sync(b.directory)
    began = time.monotonic()
    subprocess.run(["openssl", "dgst", "-sha256", file], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cp", file, copy], check=True)
    subprocess.run(["sync", copy], check=True)
    seconds = time.monotonic() - began
    os.unlink(copy)
    return seconds


def take_in(b, file, data):
    sync(b.directory)
    return Watched([Larder.program, "import", "--data", data, file])


def row_import(b):
    file = archive(b)
    seconds, rss = {}, []
    by_hand(b, file)  # now the file is in memory, as far as there is room

    def by_larder():
        data = b.new_directory()
        got = take_in(b, file, data)
        shutil.rmtree(data)
        rss.append(got.rss / 1e6)
        return got.seconds

    for turn in range(b.settings.carry_turns):
        for label, call in in_turn([(BY_HAND, lambda: by_hand(b, file)), (LARDER, by_larder)],
                                   turn):
            b.check_time()
            seconds.setdefault(label, []).append(call())
    measure = f"import of {os.path.getsize(file) >> 20} MiB in {IMAGES} images"
    b.report.add(measure, "s", seconds, Target("ratio_max", 1.25, BY_HAND))
    b.report.add(measure + ": RssAnon", "MB", {LARDER: rss}, Target("max", LIMIT_MB))


def row_export(b):
    data = b.new_directory()
    take_in(b, archive(b), data)
    out = os.path.join(b.directory, "out.tar")
    seconds, rss = {}, []

    def by_tar():
        sync(b.directory)
        began = time.monotonic()
        subprocess.run(["tar", "-cf", out, "-C", data, "blobs"], check=True)
        subprocess.run(["sync", out], check=True)
        return time.monotonic() - began

    def by_larder():
        sync(b.directory)
        got = Watched([Larder.program, "export", "--data", data, "--all", "-o", out])
        rss.append(got.rss / 1e6)
        return got.seconds

    by_tar()
    os.unlink(out)
    for turn in range(b.settings.carry_turns):
        for label, call in in_turn([(TAR, by_tar), (LARDER, by_larder)], turn):
            b.check_time()
            seconds.setdefault(label, []).append(call())
            os.unlink(out)
    measure = f"export of {b.settings.carry_size >> 20} MiB in {IMAGES} images"
    b.report.add(measure, "s", seconds, Target("ratio_max", 1.25, TAR))
    b.report.add(measure + ": RssAnon", "MB", {LARDER: rss}, Target("max", LIMIT_MB))


ROWS = {"import": row_import, "export": row_export}
