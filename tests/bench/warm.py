"""Rows about what is already there: one large blob, and one manifest by tag and by digest; and the
same over TLS, of those servers that speak it here."""
import collections

from context import cpu_per_gb, in_turn, procs
from report import Target
from servers import Larder, LarderTLS, NginxBufferedLog, NginxFiles, NginxFilesTLS

OVER_TLS = {Larder: LarderTLS, NginxFiles: NginxFilesTLS}


def start_warm(b, paths, classes):
    """Starts every server and has it fetch and keep `paths` [(path, size, file)].

    Twice, with a pause: docker-registry keeps a blob only some time after it was sent.
    """
    upstream = b.start_files()
    servers = [b.start_files(c) if issubclass(c, NginxFiles) else b.start_server(c, upstream.port)
               for c in classes]
    for _ in range(2):
        for server in servers:
            for path, size, file in paths:
                b.load.measure(server.port, path=path, length=size, expect=file, requests=1,
                               **server.dialect)
        procs.pause(0.5)
    upstream.requests()
    return upstream, servers


def check_still_warm(b, upstream, measure):
    """Whoever asked the upstream meanwhile was not warm after all; docker-registry never is."""
    asked = collections.Counter(r[4] for r in upstream.requests())
    if any(agent.startswith("larder") for agent in asked):
        raise RuntimeError(f"{measure}: Larder asked its upstream")
    for agent, times in asked.items():
        b.report.note(f"{measure}: {times} requests reached the upstream of the caches from a "
                      f"client named '{agent}'")


def over_tls(classes):
    return [OVER_TLS[c] for c in classes if c in OVER_TLS]


def blob_row(b, connections, requests, tls=False):
    s = b.settings
    blob = b.content.blob("warm", s.warm_size)
    measure = f"warm {blob.size >> 20} MiB blob, {connections} connection" + \
        ("s" if connections > 1 else "") + (", TLS" if tls else "")
    upstream, servers = start_warm(b, [(blob.path, blob.size, blob.file)],
                                   over_tls(b.classes) if tls else b.classes)
    speed, cost = {}, {}
    for turn in range(s.turns):
        for server in in_turn(servers, turn):
            b.check_time()
            before = server.cpu()
            r = b.load.measure(server.port, path=blob.path, length=blob.size,
                               connections=connections, requests=requests, **server.dialect)
            speed.setdefault(server.label, []).append(r["bytes"] / 1e9 / r["seconds"])
            cost.setdefault(server.label, []).append(cpu_per_gb(server, before, r["bytes"]))
    check_still_warm(b, upstream, measure)
    b.report.add(measure + ": throughput", "GB/s", speed, Target("ratio_min", 1.0))
    b.report.add(measure + ": CPU of the server", "s/GB", cost,
                 Target("" if tls else "ratio_max", 1.0))


def warm1(b):
    blob_row(b, 1, b.settings.single_requests)


def warm16(b):
    blob_row(b, 16, b.settings.crowd_requests)


def warm1_tls(b):
    blob_row(b, 1, b.settings.single_requests, tls=True)


def warm16_tls(b):
    blob_row(b, 16, b.settings.crowd_requests, tls=True)


def manifest_row(b, by_tag, tls=False):
    s = b.settings
    image = b.content.image("bench", s.layers, s.layer_size)
    m = image.manifest
    path = image.tag_path if by_tag else image.digest_path
    measure = f"warm manifest by {'tag' if by_tag else 'digest'}, 32 connections" + \
        (", TLS" if tls else "")
    upstream, servers = start_warm(b, [(path, m.size, m.file)],
                                   over_tls(b.classes) if tls else b.classes + [NginxBufferedLog])
    rate, cost = {}, {}
    for turn in range(s.turns):
        for server in in_turn(servers, turn):
            b.check_time()
            before = server.cpu()
            r = b.load.measure(server.port, path=path, length=m.size, connections=32,
                               seconds=s.seconds, **server.dialect)
            rate.setdefault(server.label, []).append(r["ok"] / r["seconds"])
            cost.setdefault(server.label, []).append(1e6 * (server.cpu() - before) / r["ok"])
    check_still_warm(b, upstream, measure)
    b.report.add(measure, "requests/s", rate, Target("ratio_min", 1.0))
    b.report.add(measure + ": CPU of the server", "us/request", cost)
    if not tls:
        b.report.add(measure + ", beside nginx with its log in a buffer", "requests/s", rate,
                     Target("", 0, NginxBufferedLog.label))


def manifest_tag(b):
    manifest_row(b, True)


def manifest_digest(b):
    manifest_row(b, False)


def manifest_tls(b):
    manifest_row(b, False, tls=True)


ROWS = {"warm1": warm1, "warm16": warm16, "manifest-tag": manifest_tag,
        "manifest-digest": manifest_digest, "warm1-tls": warm1_tls, "warm16-tls": warm16_tls,
        "manifest-tls": manifest_tls}
