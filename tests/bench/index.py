"""Rows about an index of a million blobs: how soon it answers, and how fast."""
import os
import shutil
import signal
import socket
import subprocess
import time

import procs
import tools
from context import in_turn
from content import REPOSITORY
from report import Target
from servers import Larder

FEW = 1000
CONNECTIONS = 32
START_MS, MEMORY_MB, SHARE = 200, 20, 0.67
PREFIX = f"/v2/{REPOSITORY}/blobs/"


def build_fill(b):
    return tools.build("fill_index", b.directory, tools.larder_flags(b))


def fill(b, count):
    """A Larder, not started, with `count` blobs in its index. Returns it and the list of them."""
    server = b.keep(Larder(b.new_directory(), procs.free_port()))
    names = os.path.join(server.directory, "names")
    with open(names, "wb") as f:
        subprocess.run([build_fill(b), os.path.join(server.directory, "data"), str(count),
                        "docker.io/" + REPOSITORY], check=True, stdout=f)
    return server, names


def ask(port, path):
    """Whether a HEAD is answered with 200; False where nobody listens yet."""
    with socket.socket() as s:
        if s.connect_ex(("127.0.0.1", port)) != 0:
            return False
        s.sendall(f"HEAD {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = s.recv(4096)
        if answer and not answer.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError("the first answer is " + answer.split(b"\r\n")[0].decode())
        return bool(answer)


def first_answer(server, path):
    """Milliseconds from the start of the process to a right answer about a blob."""
    began = time.monotonic()
    server.start(wait=False)
    while not ask(server.port, path):
        if server.process.poll() is not None or time.monotonic() - began > 60:
            raise RuntimeError("the server did not start")
        procs.pause(0.001)
    return 1e3 * (time.monotonic() - began)


def starts(b, server, names):
    """First answers after a clean stop and after kill -9, in milliseconds."""
    with open(names, encoding="ascii") as f:
        path = PREFIX + f.readline().split()[0]
    clean, killed = [], []
    server.port = procs.free_port()
    for _ in range(b.settings.cold_turns):
        b.check_time()
        clean.append(first_answer(server, path))
        server.stop(signal.SIGKILL)
        killed.append(first_answer(server, path))
        server.stop()
    return clean, killed


def head_rates(b, many, few):
    """Requests a second of HEAD with many and with few blobs, and the memory afterwards."""
    rates = {many: [], few: []}
    for server, _ in (many, few):
        server.start()
    for turn in range(b.settings.turns):
        for one in in_turn([many, few], turn):
            b.check_time()
            r = b.load.measure(one[0].port, list=one[1], prefix=PREFIX, method="HEAD",
                               random=True, connections=CONNECTIONS, seconds=b.settings.seconds)
            rates[one].append(r["ok"] / r["seconds"])
    return rates[many], rates[few], many[0].memory()


def index(b):
    if not b.has_larder():
        return
    count = b.settings.index_size
    many, few = fill(b, count), fill(b, FEW)
    clean, killed = starts(b, *many)
    measure = f"{count:,} blobs in the index"
    b.report.add(measure + ": first answer after a clean stop", "ms", {Larder.label: clean},
                 Target("max", START_MS))
    b.report.add(measure + ": first answer after kill -9", "ms", {Larder.label: killed},
                 Target("max", START_MS))
    rate, base, (anon, rss) = head_rates(b, many, few)
    few_label = f"with {FEW:,}"
    b.report.add(measure + f": HEAD of random blobs, {CONNECTIONS} connections (beside: the same "
                 f"with {FEW:,})", "requests/s", {Larder.label: rate, few_label: base},
                 Target("ratio_min", SHARE, few_label))
    b.report.add(measure + ": RssAnon after that", "MB", {Larder.label: [anon * 1024 / 1e6]},
                 Target("max", MEMORY_MB))
    b.report.add(measure + ": VmRSS after that", "MB", {Larder.label: [rss * 1024 / 1e6]})
    shutil.rmtree(many[0].directory, ignore_errors=True)


ROWS = {"index": index}
