"""What every row needs: the sizes of this run, the programs, the servers, the clock."""
import os
import time

import content
import procs
import report
import servers
import tools

MIB = content.MIB


class Settings:
    """Sizes and numbers of turns. `quick` shows that everything works; its figures are rough."""

    def __init__(self, quick):
        self.quick = quick
        self.turns = 3 if quick else 9          # of warm rows
        self.cold_turns = 1 if quick else 5
        self.crowd_turns = 1 if quick else 3
        self.seconds = 1.0 if quick else 3.0    # of a run that counts requests
        self.single_requests = 8 if quick else 24
        self.crowd_requests = 16 if quick else 32
        self.warm_size = 256 * MIB
        self.cold_size = (48 if quick else 192) * MIB
        self.crowd_size = (16 if quick else 64) * MIB
        self.layer_size = 6 * MIB
        self.layers = 8
        self.slow_readers = 1000
        self.slow_size = (64 if quick else 256) * MIB
        self.push_size = (128 if quick else 1024) * MIB
        self.push_turns = 1 if quick else 5
        self.small_blobs = 1000
        self.trace_pulls = 100_000 if quick else 300_000
        self.tiny_blobs = 20_000 if quick else 40_000
        self.carry_size = (256 if quick else 4096) * MIB
        self.carry_turns = 1 if quick else 2
        self.index_size = 100_000 if quick else 1_000_000
        self.budget = 420 if quick else 1800


class OutOfTime(Exception):
    pass


class Bench:
    def __init__(self, directory, settings, classes, result):
        self.directory, self.settings, self.classes, self.report = (directory, settings, classes,
                                                                    result)
        self.end = time.monotonic() + settings.budget
        self.content = content.Content(os.path.join(directory, "content"))
        self.load = tools.Load(tools.build("load", directory, ["-lssl", "-lcrypto"]))
        self.relay_program = tools.build("relay", directory)
        self.running = []
        self.count = 0

    def check_time(self):
        if time.monotonic() > self.end:
            raise OutOfTime()

    def new_directory(self):
        self.count += 1
        return os.path.join(self.directory, "run", str(self.count))

    def keep(self, thing):
        """Remembers what has stop(), so that it is stopped whatever happens."""
        self.running.append(thing)
        return thing

    def drop(self, thing):
        self.running.remove(thing)
        thing.stop()

    def stop_all(self):
        while self.running:
            self.running.pop().stop()

    def start_files(self, cls=servers.NginxFiles):
        return self.keep(cls(self.new_directory(), self.content)).start()

    def start_relay(self, to, rate, round_trip_ms):
        return self.keep(tools.Relay(self.relay_program, to.port, rate, round_trip_ms))

    def start_server(self, cls, upstream_port):
        return self.keep(cls(self.new_directory(), upstream_port)).start()

    def has_larder(self):
        return servers.Larder in self.classes

    def caches(self):
        return [c for c in self.classes if c is not servers.NginxFiles]


def in_turn(things, turn):
    """The same things, each turn beginning with another one."""
    at = turn % len(things)
    return things[at:] + things[:at]


def cpu_per_gb(server, before, size):
    return (server.cpu() - before) / (size / 1e9)


__all__ = ["Bench", "OutOfTime", "Settings", "cpu_per_gb", "in_turn", "procs", "report"]
