#!/usr/bin/env python3
"""make bench: Larder beside nginx static, nginx proxy_cache and docker-registry, as ratios.

    tests/bench/bench.py [--servers NAME,NAME] [ROW]...

Rows are named warm1 warm16 manifest-tag manifest-digest warm1-tls warm16-tls manifest-tls cold
crowd image slow-warm slow-growing index push-large push-stream push-small1 push-small16 pushed1
pushed16 import export evict
evict-p99 background;
without any, all are run.
Environment: B, the build directory; VARIANT; LARDER, the program; ROWS, as the arguments;
BENCH=quick for a look that takes some minutes (smaller sizes, fewer turns: its figures prove
nothing), else full, half an hour at most. --servers names those that take part: larder, static,
cache, registry.

The table is printed as it grows, and written to B/bench/table.md and table.json.
"""
import argparse
import os
import shutil
import signal
import sys

sys.dont_write_bytecode = True

import behind  # noqa: E402
import carrying  # noqa: E402
import cold  # noqa: E402
import context  # noqa: E402
import giving_way  # noqa: E402
import index  # noqa: E402
import memory  # noqa: E402
import procs  # noqa: E402
import pushing  # noqa: E402
import report  # noqa: E402
import selfcheck  # noqa: E402
import servers  # noqa: E402
import tools  # noqa: E402
import warm  # noqa: E402

ROWS = {**warm.ROWS, **cold.ROWS, **memory.ROWS, **index.ROWS,
        **pushing.ROWS, **carrying.ROWS, **giving_way.ROWS,
        **behind.ROWS}
SERVERS = {"larder": servers.Larder, "static": servers.NginxFiles, "cache": servers.NginxCache,
           "registry": servers.DockerRegistry}


def chosen_servers(names, build):
    classes = [SERVERS[name] for name in names.split(",")]
    servers.Larder.program = os.environ.get("LARDER", os.path.join(build, "larder"))
    if servers.Larder in classes and not os.path.exists(servers.Larder.program):
        sys.exit(f"{servers.Larder.program}: build it first, or leave it out with --servers")
    if shutil.which("nginx") is None:
        sys.exit("nginx is not installed; it is the upstream of every row")
    if servers.DockerRegistry in classes and shutil.which("docker-registry") is None:
        sys.exit("docker-registry is not installed; leave it out with --servers")
    return classes


def run_row(b, name):
    """Returns whether the row could be measured."""
    load = procs.MachineLoad()
    b.report.say(f"# {name}")
    try:
        b.check_time()
        ROWS[name](b)
    except context.OutOfTime:
        b.report.failed(name, "bench", "out of time")
        return False
    except (RuntimeError, OSError) as e:
        b.report.failed(name, "bench", e)
        return False
    finally:
        b.stop_all()
        shutil.rmtree(os.path.join(b.directory, "run"), ignore_errors=True)
    others = load.others()
    if others > 0.05:
        b.report.note(f"{name}: others used {100 * others:.0f} % of the CPUs meanwhile")
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW")
    parser.add_argument("--servers", default=",".join(SERVERS), metavar="NAMES")
    args = parser.parse_args()
    args.rows = args.rows or os.environ.get("ROWS", "").split()
    for name in args.rows:
        if name not in ROWS:
            parser.error(f"there is no row {name}; rows are {' '.join(ROWS)}")
    if not set(args.servers.split(",")) <= set(SERVERS):
        parser.error(f"servers are {' '.join(SERVERS)}")
    variant = os.environ.get("VARIANT", "release")
    build = os.environ.get("B", os.path.join(tools.SOURCE, "build", variant))
    mode = os.environ.get("BENCH", "full")
    classes = chosen_servers(args.servers, build)
    directory = os.path.abspath(os.path.join(build, "bench"))
    os.makedirs(directory, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    b = context.Bench(directory, context.Settings(mode == "quick"), classes,
                    report.Report(directory, report.machine(tools.SOURCE, mode, variant)))
    selfcheck.check(b.load, os.path.join(directory, "selfcheck"))
    measured = [run_row(b, name) for name in args.rows or ROWS]
    print(f"\n{b.report.table()}\n\nwritten to {os.path.join(directory, 'table.md')}")
    return 0 if all(measured) else 1


if __name__ == "__main__":
    sys.exit(main())
