"""Rows about what is pushed: one large blob, many small ones, and how fast it is pulled then."""
import hashlib
import json
import os
import shutil
import subprocess
import time

import procs
import tools
from context import in_turn
from report import LARDER, Target
from servers import DockerRegistryOwn, Larder, NginxFiles
from warm import check_still_warm, start_warm

BY_HAND = "openssl dgst, cp, sync"
PULLED = "Larder, of a pulled layer"
REPOSITORY = "stage/bench"
SMALL = 4096


def push(b, port, data, digests, size, connections=1, stream=False):
    """Pushes each `size` bytes of the file `data`; how many blobs, in how many seconds."""
    program = tools.build("push", b.directory, ["-pthread"])
    argv = [program, "--port", str(port), "--repository", REPOSITORY, "--data", data,
            "--digests", digests, "--size", str(size), "--connections", str(connections)]
    process = procs.start(argv + ["--stream"] * stream, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True)
    text = process.communicate(timeout=300)[0]
    if process.returncode != 0:
        raise RuntimeError(f"push ended with {process.returncode}")
    return json.loads(text)


def digests_file(b, name, digests):
    file = os.path.join(b.directory, name + ".digests")
    with open(file, "w", encoding="ascii") as f:
        f.writelines(digest + "\n" for digest in digests)
    return file


def settle(b):
    """Nothing that was written before is still on its way to the disk."""
    subprocess.run(["sync", "-f", b.directory], check=True)


def fresh(b, cls, call):
    """call(port) with a server of that class that is empty; its data are gone afterwards."""
    server = b.keep(cls(b.new_directory()).start())
    settle(b)
    try:
        return call(server.port)
    finally:
        b.drop(server)
        shutil.rmtree(server.directory)


def by_hand(b, file):
    """Seconds for what anybody would do who hashes and keeps a file."""
    copy = os.path.join(b.new_directory() + "-copy")
    os.makedirs(os.path.dirname(copy), exist_ok=True)
    settle(b)
    began = time.monotonic()
    subprocess.run(["openssl", "dgst", "-sha256", file], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cp", file, copy], check=True)
    subprocess.run(["sync", copy], check=True)
    seconds = time.monotonic() - began
    os.unlink(copy)
    return seconds


def large_row(b, stream):
    s = b.settings
    blob = b.content.blob("push", s.push_size)
    digests = digests_file(b, "push", [blob.digest])
    seconds = {}

    def one(port):
        return push(b, port, blob.file, digests, blob.size, stream=stream)["seconds"]

    calls = [(BY_HAND, lambda: by_hand(b, blob.file)),
             (LARDER, lambda: fresh(b, Larder, one)),
             (DockerRegistryOwn.label, lambda: fresh(b, DockerRegistryOwn, one))]
    by_hand(b, blob.file)  # now the file is in memory for each of them
    for turn in range(s.push_turns):
        for label, call in in_turn(calls, turn):
            b.check_time()
            seconds.setdefault(label, []).append(call())
    how = "POST, PATCH in chunks, PUT" if stream else "POST, PUT"
    measure = f"push of a {blob.size >> 20} MiB blob, {how}"
    b.report.add(measure, "s", seconds, Target("ratio_max", 1.0, BY_HAND))
    b.report.add(measure, "s", seconds, Target("ratio_max", 0.5, DockerRegistryOwn.label))


def push_large(b):
    large_row(b, False)


def push_stream(b):
    large_row(b, True)


def small_blobs(b, count):
    """`count` times SMALL random bytes in one file, and the file of their digests."""
    file = os.path.join(b.directory, "small.data")
    data = os.urandom(count * SMALL)
    with open(file, "wb") as f:
        f.write(data)
    return file, digests_file(b, "small", (
        "sha256:" + hashlib.sha256(data[at:at + SMALL]).hexdigest()
        for at in range(0, len(data), SMALL)))


def small_row(b, connections):
    s = b.settings
    file, digests = small_blobs(b, s.small_blobs)
    rate = {}

    def one(port):
        r = push(b, port, file, digests, SMALL, connections)
        return r["blobs"] / r["seconds"]

    for turn in range(s.push_turns):
        for cls in in_turn([Larder, DockerRegistryOwn], turn):
            b.check_time()
            rate.setdefault(cls.label, []).append(fresh(b, cls, one))
    measure = f"{s.small_blobs:,} blobs of 4 KiB by POST and PUT, {connections} connection" + \
        ("s" if connections > 1 else "")
    b.report.add(measure, "blobs/s", rate, Target("ratio_min", 2.0, DockerRegistryOwn.label))


def push_small1(b):
    small_row(b, 1)


def push_small16(b):
    small_row(b, 16)


def pushed_row(b, connections, requests):
    """The same bytes, pulled through a mirror in one repository and pushed to another."""
    s = b.settings
    pulled = b.content.blob("warm", s.warm_size)
    pushed = b.content.blob("pushed", s.warm_size)
    upstream, servers = start_warm(b, [(pulled.path, pulled.size, pulled.file)],
                                   [Larder, NginxFiles])
    larder, files = servers
    push(b, larder.port, pushed.file, digests_file(b, "pushed", [pushed.digest]), pushed.size)
    path = f"/v2/{REPOSITORY}/blobs/{pushed.digest}"
    b.load.measure(larder.port, path=path, length=pushed.size, expect=pushed.file, requests=1)
    speed = {}
    runs = [(LARDER, larder, path), (PULLED, larder, pulled.path),
            (NginxFiles.label, files, pushed.path)]
    for turn in range(s.turns):
        for label, server, at in in_turn(runs, turn):
            b.check_time()
            r = b.load.measure(server.port, path=at, length=pushed.size,
                               connections=connections, requests=requests)
            speed.setdefault(label, []).append(r["bytes"] / 1e9 / r["seconds"])
    measure = f"pushed {pushed.size >> 20} MiB layer, {connections} connection" + \
        ("s" if connections > 1 else "")
    check_still_warm(b, upstream, measure)
    b.report.add(measure + ": throughput", "GB/s", speed, Target("ratio_min", 1.0))
    b.report.add(measure + ": throughput", "GB/s", speed, Target("ratio_min", 0.97, PULLED))


def pushed1(b):
    pushed_row(b, 1, b.settings.single_requests)


def pushed16(b):
    pushed_row(b, 16, b.settings.crowd_requests)


ROWS = {"push-large": push_large, "push-stream": push_stream, "push-small1": push_small1,
        "push-small16": push_small16, "pushed1": pushed1, "pushed16": pushed16}
