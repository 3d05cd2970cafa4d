"""Commands on a data directory that another process has just now: they wait for their turn."""
import contextlib
import ctypes
import fcntl
import os
import select
import socket
import subprocess

import pytest
from larder import PROGRAM

IN_OPEN = 0x20
WORDS = [["ls"], ["inventory", "-o", "/dev/null"]]
NAMES = ["local", "host"]


class Lock:
    """That of a data directory, in this process's hands; tells when somebody looks at it."""

    def __init__(self, data):
        self.path = os.path.join(data, "lock")
        self.file = os.open(self.path, os.O_RDWR)
        fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        libc = ctypes.CDLL(None, use_errno=True)
        self.events = libc.inotify_init1(os.O_CLOEXEC)
        assert libc.inotify_add_watch(self.events, self.path.encode(), IN_OPEN) >= 0

    def looked(self):
        """Somebody opened it since the last time."""
        assert select.select([self.events], [], [], 20)[0], "nobody looks"
        os.read(self.events, 4096)

    def close(self):
        os.close(self.file)
        os.close(self.events)


@pytest.fixture
def lar(larder):
    """A data directory without a server."""
    made = larder()
    made.stop()
    return made


@pytest.fixture
def lock(lar):
    with contextlib.closing(Lock(lar.data)) as made:
        yield made


def begin(lar, words):
    return subprocess.Popen([PROGRAM, *words, "--data", lar.data], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)


def good(process):
    out, said = process.communicate(timeout=40)
    assert process.returncode == 0 and out == "", (out, said)


@pytest.mark.parametrize("words", WORDS, ids=NAMES)
def test_of_another_command(lar, words):
    """It is waited for, and then the store is opened."""
    lock = Lock(lar.data)
    process = begin(lar, words)
    lock.looked()
    lock.looked()
    lock.close()
    good(process)


def answer(sock, body):
    """The answer to one request; a connection that only looks whether somebody listens has none."""
    while True:
        with sock.accept()[0] as client:
            client.settimeout(20)
            asked = b""
            while data := client.recv(4096):
                asked += data
                if asked.endswith(b"\r\n\r\n"):
                    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
                    client.sendall(head + body)
                    return asked


@pytest.mark.parametrize("words, body", zip(WORDS, (b'{"repositories": []}', b"")), ids=NAMES)
def test_of_a_server_that_comes_up(lar, lock, words, body):
    """It has the directory before it has a control socket: it is asked there all the same."""
    process = begin(lar, words)
    lock.looked()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.bind(os.path.join(lar.data, "control.sock"))
        sock.listen()
        assert answer(sock, body).startswith(b"GET /-/")
        good(process)


def test_of_one_that_stays(lar, lock):
    """In the end that is said."""
    process = begin(lar, ["ls"])
    out, said = process.communicate(timeout=40)
    assert process.returncode == 1 and out == ""
    assert said.startswith(f"larder: {lar.data}: in use by ") and said.count("\n") == 1
    lock.looked()
