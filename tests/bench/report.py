"""The table: what was measured, against what, and whether it is enough."""
import json
import os
import platform
import statistics
import subprocess
import sys
import time

LARDER = "Larder"
COLUMNS = [LARDER, "nginx static", "nginx proxy_cache", "docker-registry proxy"]
DIRECT = "direct"


class Target:
    """What Larder has to reach.

    kind: "ratio_min", "ratio_max" (Larder's figure by the base's of the same round, median),
    "more_max" (Larder's less the base's), "max" (the figure itself), or "" (only shown).
    """

    def __init__(self, kind="", limit=0.0, base="nginx static"):
        self.kind, self.limit, self.base = kind, limit, base

    def compared(self, values):
        """The figures that are held against the limit, one a round."""
        own, base = values.get(LARDER, []), values.get(self.base, [])
        if self.kind.startswith("ratio") or not self.kind:
            return [a / b for a, b in zip(own, base) if b]
        if self.kind == "more_max":
            return [a - b for a, b in zip(own, base)]
        return own

    def text(self, unit):
        return {"ratio_min": f">= {self.limit:g} x", "ratio_max": f"<= {self.limit:g} x",
                "more_max": f"<= + {self.limit:g} {unit}",
                "max": f"<= {self.limit:g} {unit}".strip(), "": ""}[self.kind]

    def verdict(self, figure, unit):
        if not self.kind:
            return ""
        if figure is None:
            return "not measured"
        if self.kind == "ratio_min":
            missing = (self.limit - figure) / self.limit
        elif self.kind == "ratio_max":
            missing = (figure - self.limit) / self.limit
        else:
            missing = figure - self.limit
        if missing <= 0:
            return "met"
        return f"missed by {100 * missing:.1f} %" if self.kind.startswith("ratio") else \
            f"missed by {missing:.3g} {unit}"


def _number(value):
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 100 else f"{value:.3g}"


def _cell(values):
    return _number(statistics.median(values)) if values else "-"


class Report:
    def __init__(self, directory, machine):
        self.directory, self.machine, self.rows, self.notes = directory, machine, [], []
        os.makedirs(directory, exist_ok=True)

    def say(self, text):
        print(text, flush=True)

    def note(self, text):
        self.notes.append(text)
        self.say("  note: " + text)

    def add(self, measure, unit, values, target=None):
        """values: label -> one figure a round, in the order of the rounds."""
        target = target or Target()
        compared = target.compared(values)
        figure = statistics.median(compared) if compared else None
        row = {"measure": measure, "unit": unit, "values": values, "base": target.base,
               "target": target.text(unit), "figure": figure, "compared": compared,
               "verdict": target.verdict(figure, unit)}
        self.rows.append(row)
        self.say(self._line(row))
        self.write()

    def failed(self, measure, label, why):
        self.rows.append({"measure": measure, "unit": "", "values": {}, "base": "", "target": "",
                          "figure": None, "compared": [], "verdict": f"{label} failed: {why}"})
        self.say(self._line(self.rows[-1]))
        self.write()

    def _line(self, row):
        values = dict(row["values"])
        base = row["base"]
        cells = [_cell(values.get(c)) for c in COLUMNS]
        if base not in COLUMNS and base in values:  # another base shares nginx static's column
            cells[1] = f"{_cell(values[base])} ({base})"
        compared = ""
        if row["compared"] and row["target"][-1:] == "x" or not row["target"] and row["compared"]:
            compared = (f"{row['figure']:.3f} ({min(row['compared']):.3f} .. "
                        f"{max(row['compared']):.3f})")
        elif row["compared"] and "+" in row["target"]:
            compared = f"{row['figure']:+.2f}"
        unit = f", {row['unit']}" if row["unit"] else ""
        return "| " + " | ".join([row["measure"] + unit, *cells, compared, row["target"],
                                  row["verdict"]]) + " |"

    def table(self):
        head = ["measure", *COLUMNS, "Larder to the first of these", "target", "verdict"]
        lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        return "\n".join(lines + [self._line(r) for r in self.rows])

    def write(self):
        with open(os.path.join(self.directory, "table.md"), "w", encoding="utf-8") as f:
            f.write("\n".join(f"{k}: {v}  " for k, v in self.machine.items()))
            f.write("\n\nEach figure is the median of several runs, the servers taking turns; "
                    "ratios are of the runs\nof one turn, their median with the least and the "
                    "greatest. Where another base is named "
                    "in the column of nginx static, it is that one:\ndirect is a download over "
                    "the same link without a cache.\n\n")
            f.write(self.table() + "\n")
            for note in self.notes:
                f.write(f"\n* {note}\n")
        with open(os.path.join(self.directory, "table.json"), "w", encoding="utf-8") as f:
            json.dump({"machine": self.machine, "rows": self.rows, "notes": self.notes}, f,
                      indent=1)


def _first(path, key):
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.startswith(key):
                return line.partition(":")[2].strip()
    return "unknown"


def _output(*argv):
    try:
        done = subprocess.run(argv, check=True, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        return done.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine(source, mode, variant):
    kb = int(_first("/proc/meminfo", "MemTotal").split()[0])
    changed = _output("git", "-C", source, "status", "--porcelain", "-uno")
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": _output("git", "-C", source, "rev-parse", "--short=12", "HEAD") +
                  (" with changes" if changed else ""),
        "build": f"VARIANT={variant}, BENCH={mode}",
        "CPU": f"{_first('/proc/cpuinfo', 'model name')}, {os.cpu_count()} CPUs",
        "memory": f"{kb / 1024 / 1024:.0f} GiB",
        "kernel": platform.release(),
        "compared with": _output("nginx", "-v").replace("nginx version: ", "") + ", " +
                         " ".join(_output("docker-registry", "--version").split()[-2:]),
        "python": sys.version.split()[0],
    }
