"""Processes: starting them so that none outlives us, and what they use of CPU and memory."""
import ctypes
import os
import random
import select
import signal
import socket
import subprocess
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def start(argv, **options):
    # preexec_fn is safe here: this program starts processes from its only thread.
    return subprocess.Popen(argv, preexec_fn=die_with_parent, **options)


def stop(process, how=signal.SIGTERM, patience=15):
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


def free_port():
    """A port that nobody has, below those that the kernel gives to others while we start."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def pause(seconds):
    threading.Event().wait(seconds)


def wait_for_port(port, process, patience=20):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with {process.returncode} at start")
        with socket.socket() as s:
            answered = s.connect_ex(("127.0.0.1", port)) == 0
        pause(0.005)
        if answered and process.poll() is None:  # else it was somebody else's port
            return
    raise RuntimeError(f"{process.args[0]} does not listen")


def read_line(process, patience):
    """A line of the process's output, or RuntimeError."""
    if not select.select([process.stdout], [], [], patience)[0]:
        raise RuntimeError(f"{process.args[0]} says nothing")
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args[0]} ended with {process.wait()}")
    return line


def _stat(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        return f.read().rpartition(")")[2].split()


def family(pid):
    """The process and its descendants."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parents.setdefault(int(_stat(name)[1]), []).append(int(name))
            except (OSError, IndexError):
                pass
    found, look = [], [pid]
    while look:
        p = look.pop()
        found.append(p)
        look += parents.get(p, [])
    return found


def cpu_seconds(pids, with_reaped=False):
    """User plus system time of these processes, all threads, from /proc/PID/stat."""
    ticks = 0
    for pid in pids:
        try:
            fields = _stat(pid)
        except OSError:
            continue
        ticks += sum(int(f) for f in fields[11:15 if with_reaped else 13])
    return ticks / TICK


def memory_kb(pids):
    """(RssAnon, VmRSS) of these processes together."""
    totals = {"RssAnon": 0, "VmRSS": 0}
    for pid in pids:
        try:
            with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
                for line in f:
                    name, _, value = line.partition(":")
                    if name in totals:
                        totals[name] += int(value.split()[0])
        except OSError:
            continue
    return totals["RssAnon"], totals["VmRSS"]


class MachineLoad:
    """How much CPU others used while we measured, as a share of all CPUs."""

    def __init__(self):
        self.begin = self._read()

    @staticmethod
    def _read():
        with open("/proc/stat", encoding="ascii") as f:
            v = [int(x) for x in f.readline().split()[1:9]]
        busy = (sum(v) - v[3] - v[4]) / TICK  # all but idle and waiting for the disk
        return busy, cpu_seconds(family(os.getpid()), with_reaped=True), time.monotonic()

    def others(self):
        end = self._read()
        busy, own, elapsed = (e - b for e, b in zip(end, self.begin))
        return max(0.0, busy - own) / (elapsed * os.cpu_count())
