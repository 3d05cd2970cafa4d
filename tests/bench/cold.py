"""Rows about what is fetched over a link: one blob, one blob for a crowd, one image."""
import os

import procs
from context import in_turn
from report import DIRECT, LARDER, Target

FAST = (100_000_000, 40)  # bytes a second, milliseconds of a round trip
NARROW = (20_000_000, 40)
TRIES = 3  # of a turn whose link was not what it should be
VOID = "void and repeated: the link missed its rate by more than 3 %"
CROWD = 50
SPREAD_MS = 50
SETTLE = 0.3  # seconds without a byte, after which the upstream has also written its log
PATIENCE = 20  # seconds after which a server that makes the crowd wait has lost


class Link:
    """An upstream behind a relay, and what one run over it was like."""

    def __init__(self, b, speed):
        self.b, self.upstream = b, b.start_files()
        self.relay = b.start_relay(self.upstream, *speed)

    def run(self, cls, call):
        """call(port) with a fresh server of class `cls` before the link; None: direct.

        Returns its result and the GETs that reached the upstream, or None where the relay could
        not keep its rate.
        """
        server = None if cls is None else self.b.start_server(cls, self.relay.port)
        self.upstream.requests()
        try:
            result = call(self.relay.port if server is None else server.port)
        finally:
            if server is not None:
                self.b.drop(server)
        figures = self.relay.figures()["down"]
        self.settle()
        gets = [r for r in self.upstream.requests() if r[0] == "GET"]
        if figures["lost_s"] > 0.03 * figures["busy_s"]:
            return None
        return result, gets

    def settle(self):
        """Waits until nothing travels that the next run would have to share the link with."""
        for _ in range(40):
            procs.pause(SETTLE)
            if self.relay.figures()["down"]["bytes"] == 0:
                return
        raise RuntimeError("the link does not come to rest")

    def turn(self, order, call, ideal):
        """One run of each. Repeated where the relay or, direct, the whole missed by 3 percent."""
        for _ in range(TRIES):
            self.b.check_time()
            results = {cls: self.run(cls, call) for cls in order}
            direct = results[None]
            if None not in results.values() and direct[0]["seconds"] <= 1.03 * ideal:
                return results
            self.b.report.note(VOID +
                               (f" (direct took {direct[0]['seconds']:.3f} s, "
                                f"ideal {ideal:.3f} s)" if direct else ""))
        return None


def label(cls):
    return DIRECT if cls is None else cls.label


def turns(b, link, count, call, ideal):
    """[{class or None for direct: (result, GETs)}], the order changing from turn to turn."""
    for turn in range(count):
        results = link.turn(in_turn([None] + b.caches(), turn), call, ideal)
        if results is not None:
            yield results


def cold(b):
    s = b.settings
    blob = b.content.blob("cold", s.cold_size)
    link = Link(b, FAST)
    times, firsts, heads = {}, {}, {}
    for results in turns(b, link, s.cold_turns,
                         lambda port: b.load.measure(port, path=blob.path, length=blob.size,
                                                     expect=blob.file, requests=1, each=True),
                         link.relay.ideal(blob.size)):
        for cls, (r, _) in results.items():
            head, first, total = r["each"][0]
            times.setdefault(label(cls), []).append(total / 1e3)
            firsts.setdefault(label(cls), []).append(first)
            heads.setdefault(label(cls), []).append(head)
    measure = f"cold {blob.size >> 20} MiB blob, 100 MB/s and 40 ms"
    b.report.add(measure, "s", times, Target("ratio_max", 1.03, DIRECT))
    b.report.add(measure + ": first byte of the body", "ms", firsts,
                 Target("more_max", 5, DIRECT))
    b.report.add(measure + ": head", "ms", heads, Target("more_max", 5, DIRECT))


def crowd_call(b, blob):
    """One client where it is asked for direct, the whole crowd elsewhere."""
    def call(port, clients):
        return b.load.try_measure(port, path=blob.path, length=blob.size, expect=blob.file,
                                  connections=clients, requests=clients, each=True,
                                  timeout=PATIENCE)
    return call


def crowd_turn(link, order, call, ideal):
    """As Link.turn, but direct is one client and the others are the crowd."""
    for _ in range(TRIES):
        direct = link.turn([None], lambda port: call(port, 1), ideal)
        if direct is None:
            return None
        results = {cls: link.run(cls, lambda port: call(port, CROWD)) for cls in order}
        if None not in results.values():
            return {None: direct[None], **results}
        link.b.report.note(VOID)
    return None


def crowd_measure(b, blob, cls, results, into):
    result, gets = results
    into["gets"].setdefault(label(cls), []).append(len([g for g in gets if g[1] == blob.path]))
    if result["failures"] or result["ok"] != result["requests"]:
        b.report.note(f"crowd: {label(cls)}: {result['ok']} of {result['requests']} clients were "
                      f"done after {result['seconds']:.1f} s, failures {result['failures']}")
        if cls is not None and cls.label == LARDER:
            raise RuntimeError("not every client got the blob")
    firsts = [first for _, first, _ in result["each"]]
    into["time"].setdefault(label(cls), []).append(result["seconds"])
    into["spread"].setdefault(label(cls), []).append(min(max(firsts), PATIENCE * 1e3) -
                                                     min(firsts))


def crowd(b):
    s = b.settings
    blob = b.content.blob("crowd", s.crowd_size)
    link = Link(b, NARROW)
    into = {"time": {}, "spread": {}, "gets": {}}
    for turn in range(s.crowd_turns):
        b.check_time()
        results = crowd_turn(link, in_turn(b.caches(), turn), crowd_call(b, blob),
                             link.relay.ideal(blob.size))
        for cls, result in (results or {}).items():
            crowd_measure(b, blob, cls, result, into)
    measure = f"{CROWD} clients, one cold {blob.size >> 20} MiB blob, 20 MB/s and 40 ms"
    into["spread"].pop(DIRECT, None)
    b.report.add(measure + ": GETs upstream", "", into["gets"], Target("max", 1))
    b.report.add(measure + ": all done", "s", into["time"], Target("ratio_max", 1.1, DIRECT))
    b.report.add(measure + ": last first byte after the first", "ms", into["spread"],
                 Target("max", SPREAD_MS))


def image_list(b, image):
    file = os.path.join(b.directory, "image.list")
    with open(file, "w", encoding="ascii") as f:
        f.write(f"{image.tag_path} {image.manifest.size} {image.manifest.file}\n")
        for blob in [image.config] + image.layers:
            f.write(f"{blob.path} {blob.size} {blob.file}\n")
    return file


def image(b):
    s = b.settings
    img = b.content.image("bench", s.layers, s.layer_size)
    names = image_list(b, img)
    link = Link(b, FAST)
    size = sum(l.size for l in img.layers)
    # One connection: its handshake, and a round trip for each of the ten that are asked for.
    ideal = link.relay.ideal(size) + (1 + len(img.layers)) * link.relay.round_trip
    layers, whole = {}, {}
    for results in turns(b, link, s.cold_turns,
                         lambda port: b.load.measure(port, list=names, each=True,
                                                     requests=2 + len(img.layers)), ideal):
        for cls, (r, _) in results.items():
            layers.setdefault(label(cls), []).append(sum(t for _, _, t in r["each"][2:]) / 1e3)
            whole.setdefault(label(cls), []).append(r["seconds"])
    measure = f"cold image of {s.layers} layers of {s.layer_size >> 20} MiB, 100 MB/s and 40 ms"
    b.report.add(measure + ": layers one after another", "s", layers,
                 Target("ratio_max", 0.7, DIRECT))
    b.report.add(measure + ": with manifest by tag and config", "s", whole, Target("", 0, DIRECT))


ROWS = {"cold": cold, "crowd": crowd, "image": image}
