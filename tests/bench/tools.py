"""The programs in C beside this file: building them, and calling them."""
import json
import os
import shlex
import subprocess

import procs

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
WARNINGS = ["-Wall", "-Wextra"]
MANIFEST_HEADER = ("Accept: application/vnd.docker.distribution.manifest.v2+json, "
                   "application/vnd.oci.image.manifest.v1+json")


def build(name, directory, more=()):
    """Compiles tests/bench/NAME.c where it is newer than its program. Returns the program."""
    source, program = os.path.join(HERE, name + ".c"), os.path.join(directory, name)
    inputs = [source] + [m for m in more if os.path.isfile(m)]
    if (not os.path.exists(program) or
            any(os.path.getmtime(i) > os.path.getmtime(program) for i in inputs)):
        compiler = shlex.split(os.environ.get("CC", "cc"))
        subprocess.run(compiler + ["-std=c11", "-D_GNU_SOURCE", "-O2", "-g", *WARNINGS, source,
                                   *more, "-o", program], check=True)
    return program


def larder_flags(b):
    """What a program that uses parts of Larder itself is compiled with."""
    return ["-I" + os.path.join(SOURCE, "src"),
            os.path.join(os.path.dirname(b.directory), "liblarder.a"),
            *subprocess.check_output(["pkg-config", "--libs", "libevent_core", "openssl", "lmdb",
                                      "jansson"], text=True).split(), "-lcrypt", "-pthread"]


class Relay:
    """One link to a port on this machine."""

    def __init__(self, program, to_port, rate, round_trip_ms):
        self.rate, self.round_trip = rate, round_trip_ms / 1000
        self.process = procs.start(
            [program, "--to", str(to_port), "--rate", str(rate),
             "--delay-ms", str(round_trip_ms / 2)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(procs.read_line(self.process, 5).split()[-1])

    def ideal(self, size):
        """Seconds that a download over a new connection needs at least."""
        return 2 * self.round_trip + size / self.rate

    def figures(self):
        """What was carried since the last call; see relay.c."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(procs.read_line(self.process, 5))

    def stop(self):
        self.process.stdin.close()
        procs.stop(self.process)


class Load:
    """Calls of the load client against one port."""

    def __init__(self, program):
        self.program = program

    def _argv(self, port, options):
        argv = [self.program, "--port", str(port), "--header", MANIFEST_HEADER]
        for name, value in options.items():
            argv.append("--" + name)
            if value is not True:
                argv.append(str(value))
        return argv

    def measure(self, port, **options):
        """Runs to the end. A request that failed makes the whole run fail."""
        result = self.try_measure(port, **options)
        if result["failures"] or result["ok"] != result["requests"] or not result["requests"]:
            raise RuntimeError(f"{result['ok']} of {result['requests']} requests were right, "
                               f"failures {result['failures']}, last bad status "
                               f"{result['last_bad_status']}")
        return result

    def try_measure(self, port, **options):
        process = procs.start(self._argv(port, options), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True)
        text = process.communicate()[0]
        if process.returncode != 0:
            raise RuntimeError(f"load ended with {process.returncode}")
        return json.loads(text)

    def hold(self, port, **options):
        """Starts slow readers: a process whose first line says that all are there."""
        return procs.start(self._argv(port, options), stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, text=True)
