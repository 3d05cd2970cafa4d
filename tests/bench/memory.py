"""Rows about memory: a thousand clients that take a little and then no more."""
import json
import time

import procs
from cold import Link
from report import Target
from servers import Larder, NginxFiles

TAKE = 16 * 1024
LIMIT_MB = 48
GROWTH = (50_000_000, 40)
SAMPLE = 0.05


class Peak:
    def __init__(self, server):
        self.server, self.anon, self.rss = server, 0, 0

    def sample(self):
        anon, rss = self.server.memory()
        self.anon, self.rss = max(self.anon, anon), max(self.rss, rss)


def hold_readers(b, server, blob, until):
    """Readers that stop; the greatest memory until they are all there and until() is true."""
    s = b.settings
    peak = Peak(server)
    process = b.load.hold(server.port, path=blob.path, length=blob.size,
                          connections=s.slow_readers, slow=TAKE, timeout=60)
    try:
        lines = wait_for_line(process, peak)
        end = time.monotonic() + 60
        while not until() and time.monotonic() < end:
            peak.sample()
            procs.pause(SAMPLE)
        process.stdin.close()
        kept = json.loads(procs.read_line(process, 20))["kept"]
    finally:
        procs.stop(process)
    if lines["held"] != s.slow_readers or kept != s.slow_readers:
        raise RuntimeError(f"{lines['held']} readers began, {kept} were kept, "
                           f"failures {lines['failures']}")
    return peak


def wait_for_line(process, peak):
    while True:
        peak.sample()
        try:
            return json.loads(procs.read_line(process, SAMPLE))
        except RuntimeError:
            if process.poll() is not None:
                raise


def after(seconds):
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def report_memory(b, measure, peaks):
    b.report.add(measure + ": RssAnon", "MB",
                 {l: [p.anon * 1024 / 1e6] for l, p in peaks.items()}, Target("max", LIMIT_MB))
    b.report.add(measure + ": VmRSS", "MB",
                 {l: [p.rss * 1024 / 1e6] for l, p in peaks.items()})


def slow_warm(b):
    blob = b.content.blob("warm", b.settings.slow_size)
    upstream = b.start_files()
    measure = f"{b.settings.slow_readers} slow readers of a warm {blob.size >> 20} MiB blob"
    peaks = {}
    for cls in b.classes:
        b.check_time()
        server = b.start_files() if cls is NginxFiles else b.start_server(cls, upstream.port)
        b.load.measure(server.port, path=blob.path, length=blob.size, expect=blob.file,
                       requests=1)
        try:
            peaks[cls.label] = hold_readers(b, server, blob, after(2))
        except RuntimeError as e:
            b.report.failed(measure, cls.label, e)
        b.drop(server)
    report_memory(b, measure, peaks)


def slow_growing(b):
    """Only Larder serves a blob while it grows; nginx's cache makes all but one client wait."""
    if not b.has_larder():
        return
    blob = b.content.blob("warm", b.settings.slow_size)
    link = Link(b, GROWTH)
    server = b.start_server(Larder, link.relay.port)
    carried = [0]

    def grown():
        carried[0] += link.relay.figures()["down"]["bytes"]
        return carried[0] >= blob.size and settled()

    settled = after(blob.size / GROWTH[0] + 1)
    measure = f"{b.settings.slow_readers} slow readers of a growing {blob.size >> 20} MiB blob"
    peak = hold_readers(b, server, blob, grown)
    if carried[0] < blob.size:
        raise RuntimeError("the blob did not grow to its end")
    report_memory(b, measure, {Larder.label: peak})


ROWS = {"slow-warm": slow_warm, "slow-growing": slow_growing}
