"""Rows about what gives way when there is no room: the score of the store, beside LRU."""
import json
import os
import subprocess

import tools
from report import LARDER, Target

LRU = "LRU"
SEEDS = (1, 2, 3)


def row_evict(b):
    """Misses in percent, one figure a seed, for caches of 1, 3 and 10 % of the unique bytes."""
    source = os.path.join(tools.SOURCE, "src")
    program = tools.build("trace", b.directory,
                          [os.path.join(source, "store", "score.c"), "-I" + source, "-lm"])
    misses = {}
    for seed in SEEDS:
        b.check_time()
        said = json.loads(subprocess.run([program, str(seed), str(b.settings.trace_pulls)],
                                         check=True, capture_output=True, text=True).stdout)
        b.report.note(f"trace {seed}: {said['gets']:,} GETs of {said['layers']:,} layers, "
                      f"{100 * said['once']:.0f} % of them asked for once, the top 1 % had "
                      f"{100 * said['top_1_percent']:.0f} % of the GETs")
        for percent in ("1", "3", "10"):
            for label, key in ((LARDER, "larder"), (LRU, "lru")):
                for what, hit in zip(("objects", "bytes"), said[percent][key]):
                    misses.setdefault((percent, what), {}).setdefault(label, []).append(
                        100 * (1 - hit))
    targets = {("3", "objects"): Target("more_max", -2.5, LRU), ("3", "bytes"):
               Target("more_max", 1, LRU)}
    for (percent, what), values in misses.items():
        b.report.add(f"{what} missed, a cache of {percent} % of the unique bytes", "%", values,
                     targets.get((percent, what), Target("", 0, LRU)))


ROWS = {"evict": row_evict}
