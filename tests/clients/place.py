"""A place of its own for everything that the tests start: only loopback, own mounts and processes.

What runs here cannot go round Larder, because there is no other way out; /etc and /run are copies
that the tests may write, so each client reads its configuration where a user would have put it;
/var/lib/containers is empty; and all that is left over ends with the place, however the tests end.
"""
import contextlib
import ctypes
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
SPACES = [("mnt", CLONE_NEWNS), ("net", CLONE_NEWNET), ("pid", CLONE_NEWPID)]
# Slow is not hung: sanitizers, and machines that do other things besides.
PATIENCE = 120
# The first process: its end ends all others of the place, and its standard input ends with pytest.
INIT = "import signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); sys.stdin.read()"
MOUNTS = """
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir -p "$0/etc" "$0/stores" /var/lib/containers
mount -t tmpfs tmpfs /var/lib/containers
mount -t tmpfs -o mode=755 tmpfs "$0/etc"
mount -t tmpfs -o mode=755 tmpfs "$0/stores"
cp -a /etc/. "$0/etc"
mount --bind "$0/etc" /etc
echo nameserver 127.0.0.1 >/etc/resolv.conf
ip link set lo up
"""

libc = ctypes.CDLL(None, use_errno=True)


def call(function, *args):
    if function(*args) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{function.__name__}: {os.strerror(code)}")


def spaces_of(pid):
    """The namespaces that a process is in, held open."""
    return {flag: os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
            for name, flag in SPACES}


def until(what, condition, seconds=PATIENCE):
    """Looks at `condition` until it is true, and returns what it gave."""
    deadline = time.monotonic() + seconds
    while True:
        got = condition()
        if got:
            return got
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        select.select([], [], [], 0.01)


def answers(address):
    """Whether somebody listens at a TCP port of 127.0.0.1 (a number) or a socket's path."""
    family = socket.AF_INET if isinstance(address, int) else socket.AF_UNIX
    with socket.socket(family) as s:
        return s.connect_ex(("127.0.0.1", address) if isinstance(address, int) else address) == 0


class Failed(AssertionError):
    """A command that ended with an error."""


class Process:
    """A program that goes on beside the test; what it says goes to a file."""

    def __init__(self, command, log, env=None):
        self.command, self.log = command, log
        with open(log, "wb") as out:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                          stderr=subprocess.STDOUT, env=env)

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def ready(self, condition):
        """Waits for `condition`; a program that ends before fails at once."""
        def look():
            assert self.child.poll() is None, (f"{self.command[0]} ended with status "
                                               f"{self.child.returncode}:\n{self.said()[-3000:]}")
            return condition()
        return until(f"{self.command[0]} is ready", look)

    def done(self, seconds=PATIENCE):
        """Waits for its end and returns what it said; anything but status 0 fails."""
        try:
            status = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.stop(signal.SIGKILL)
            status = f"nothing within {seconds} s"
        if status != 0:
            raise Failed(f"{' '.join(self.command)}: {status}\n{self.said()[-3000:]}")
        return self.said()

    def stop(self, how=signal.SIGTERM, seconds=30):
        if self.child.poll() is None:
            self.child.send_signal(how)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        return self.child.returncode


class Place:
    """While it is entered, what is started runs inside; most files are the machine's.

    No thread can be started meanwhile, since a thread may not be in another process's namespace.
    """

    def __init__(self, folder):
        # What clients keep is kept in memory; they write many small files, and sync them.
        self.folder, self.stores = folder, os.path.join(folder, "stores")
        # What programs keep for a user is kept here, and no setting of this user is found. Debian's
        # own are what is tested, before those that come first in some PATH.
        self.env = {"HOME": os.path.join(folder, "home"), "LC_ALL": "C.UTF-8",
                    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin:" + os.environ.get("PATH", ""),
                    "TMPDIR": os.path.join(folder, "tmp")}
        for name in self.env["HOME"], self.env["TMPDIR"]:
            os.makedirs(name)
        self.spaces, self.init, self.started = {}, None, []

    def enter(self):
        self.spaces["outside"] = spaces_of(os.getpid())
        call(libc.unshare, sum(flag for _, flag in SPACES))
        self.init = subprocess.Popen([sys.executable, "-c", INIT], stdin=subprocess.PIPE)
        self.spaces["inside"] = spaces_of(self.init.pid)
        self.run("sh", "-c", MOUNTS, self.folder)

    def go(self, where):
        # Going to other mounts forgets the folder one is in.
        here = os.getcwd()
        for flag, fd in self.spaces[where].items():
            call(libc.setns, fd, flag)
        os.chdir(here)

    @contextlib.contextmanager
    def outside(self):
        """What is started meanwhile runs on the machine itself, for what needs its network."""
        self.go("outside")
        try:
            yield
        finally:
            self.go("inside")

    def gap(self):
        """A network of its own beside that of the place, with loopback and no way out, which lasts
        as long as the place; its name is for within()."""
        name = f"gap{len(self.started)}"
        made = self.start(["unshare", "--net", "sh", "-c",
                           "ip link set lo up && echo up $$ && exec sleep infinity"],
                          os.path.join(self.folder, name + ".log"))
        # The number is that of the place's own processes, whose /proc is seen here.
        pid = made.ready(lambda: re.match(r"up (\d+)\n", made.said()))[1]
        self.spaces[name] = {CLONE_NEWNET: os.open(f"/proc/{pid}/ns/net",
                                                   os.O_RDONLY | os.O_CLOEXEC)}
        return name

    @contextlib.contextmanager
    def within(self, name):
        """What is started meanwhile is in that network."""
        self.go(name)
        try:
            yield
        finally:
            self.go("inside")

    def leave(self):
        if self.init:
            self.init.stdin.close()
            # The first process of a namespace ends when all others were waited for.
            for process in self.started:
                process.child.wait()
            self.init.wait()
        self.go("outside")
        for fd in [fd for spaces in self.spaces.values() for fd in spaces.values()]:
            os.close(fd)

    def run(self, *command, env=None, seconds=PATIENCE, **how):
        """Runs a command to its end; returns its standard output."""
        try:
            got = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                 errors="replace", timeout=seconds, env=env or self.env, **how)
        except subprocess.TimeoutExpired as e:
            raise Failed(f"{' '.join(command)}: nothing within {seconds} s\n{e.stderr}") from e
        if got.returncode != 0:
            raise Failed(f"{' '.join(command)}: {got.returncode}\n{got.stdout[-3000:]}"
                         f"{got.stderr[-3000:]}")
        return got.stdout

    def says(self, *command, **how):
        """The same, returning what it said on standard error too, which is where builds tell."""
        return self.run("sh", "-c", 'exec "$@" 2>&1', "sh", *command, **how)

    def start(self, command, log, env=None):
        self.started.append(Process(command, log, dict(self.env, **(env or {}))))
        return self.started[-1]

    def remove(self, folder):
        """Removes a folder of files, and what is still mounted below it."""
        self.run("sh", "-c", """
            awk -v top="$0/" 'index($2, top) == 1 { print $2 }' /proc/mounts | sort -r |
                xargs -r umount -l
            rm -rf "$0" """, folder)
