"""Rows about what gives way when there is no room: the store's own eviction, beside LRU."""
import json
import os
import shutil
import subprocess
import tempfile

import procs
import tools
from report import LARDER, Target

LRU = "LRU"
SEEDS = (1, 2, 3)
# Shares of the unique bytes, in percent, and at which seeds; there is a target for the first.
SHARES = {"3": SEEDS, "1": SEEDS[:1], "10": SEEDS[:1]}
# What the store sees of the world: a clock that the history moves, and a disk that has room.
WRAPPED = ("clock_mono_ms", "clock_wall_s", "boot_random", "fstatvfs")


def build_give_way(b):
    trace = os.path.join(tools.HERE, "trace.c")
    flags = [trace, *tools.larder_flags(b), "-lm", *(f"-Wl,--wrap={name}" for name in WRAPPED)]
    return tools.build("give_way", b.directory, flags)


class Replay:
    """One history, begun; the store lies in memory where that can be, as it writes a lot."""

    def __init__(self, b, program, seed):
        memory = "/dev/shm"
        self.seed = seed
        self.shares = [share for share, seeds in SHARES.items() if seed in seeds]
        self.directory = tempfile.mkdtemp(
            prefix="larder-bench-", dir=memory if os.access(memory, os.W_OK) else b.directory)
        self.process = procs.start([program, self.directory, str(seed),
                                    str(b.settings.trace_pulls), *self.shares],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def result(self):
        text = self.process.communicate()[0]
        if self.process.returncode != 0:
            raise RuntimeError(f"give_way ended with {self.process.returncode}")
        return json.loads(text)

    def stop(self):
        procs.stop(self.process)
        shutil.rmtree(self.directory, ignore_errors=True)


def row_evict(b):
    """Misses in percent, one figure a seed. Nothing here is timed: the seeds run side by side."""
    program = build_give_way(b)
    misses = {(share, what): {} for share in SHARES for what in ("objects", "bytes")}
    for replay in [b.keep(Replay(b, program, seed)) for seed in SEEDS]:
        said, seed, shares = replay.result(), replay.seed, replay.shares
        b.drop(replay)
        b.report.note(f"trace {seed}: {said['gets']:,} GETs of {said['layers']:,} layers, "
                      f"{100 * said['once']:.0f} % of them asked for once, the top 1 % had "
                      f"{100 * said['top_1_percent']:.0f} % of the GETs")
        for share in shares:
            for label, key in ((LARDER, "larder"), (LRU, "lru")):
                for what, hit in zip(("objects", "bytes"), said[share][key]):
                    misses[share, what].setdefault(label, []).append(100 * (1 - hit))
    targets = {("3", "objects"): Target("more_max", -2.5, LRU), ("3", "bytes"):
               Target("more_max", 1, LRU)}
    for (share, what), values in misses.items():
        b.report.add(f"{what} missed, a cache of {share} % of the unique bytes", "%", values,
                     targets.get((share, what), Target("", 0, LRU)))


ROWS = {"evict": row_evict}
