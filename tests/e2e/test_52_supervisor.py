"""What a service manager hands over, and what it is told."""
import os
import socket
import subprocess
import threading

import pytest

from larder import PROGRAM

# LISTEN_PID must be that of the program, which only the process itself knows.
EXEC = 'LISTEN_PID=$$ exec "$@"'


class Manager:
    """Holds a socket, starts the program with it, and listens to what it says."""

    def __init__(self, folder, family=socket.AF_INET, address=("127.0.0.1", 0)):
        self.data = folder / "data"
        self.socket = socket.socket(family)
        self.socket.bind(address)
        self.socket.listen(16)
        self.address = self.socket.getsockname()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(folder / "notify"))
        self.notify.settimeout(30)
        self.process = None

    def start(self, listen):
        env = {**os.environ, "LISTEN_FDS": "1", "NOTIFY_SOCKET": self.notify.getsockname()}
        command = ["sh", "-c", EXEC, "sh", PROGRAM, "serve", "--data", str(self.data),
                   "--listen", listen, "--offline"]
        self.process = subprocess.Popen(command, env=env, close_fds=False,
                                        preexec_fn=lambda: os.dup2(self.socket.fileno(), 3),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        return self

    def told(self):
        return self.notify.recv(1000).decode()

    def connect(self):
        sock = socket.socket(self.socket.family)
        sock.settimeout(30)
        sock.connect(self.address)
        return sock

    def stop(self):
        self.process.terminate()
        assert self.told() == "STOPPING=1"
        said = self.process.communicate(timeout=60)[1]
        assert self.process.returncode == 0, said
        return said

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self.socket.close()
        self.notify.close()


@pytest.fixture
def manager(tmp_path):
    made = []

    def make(**more):
        made.append(Manager(tmp_path, **more))
        return made[-1]

    yield make
    for one in made:
        one.end()


def ping(sock):
    sock.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = b""
    while piece := sock.recv(65536):
        answer += piece
    return answer.split(b"\r\n")[0]


def test_a_client_that_came_before_the_program(manager):
    m = manager()
    early = m.connect()
    m.start("127.0.0.1:%d" % m.address[1])
    assert m.told() == "READY=1"
    assert ping(early) == b"HTTP/1.1 200 OK"
    m.stop()


def test_nobody_is_refused_across_a_restart(manager):
    m = manager()
    listen = "127.0.0.1:%d" % m.address[1]
    m.start(listen)
    assert m.told() == "READY=1"
    assert ping(m.connect()) == b"HTTP/1.1 200 OK"
    m.stop()
    between = m.connect()
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(ping(between)))
    waiting.start()
    m.start(listen)
    assert m.told() == "READY=1"
    waiting.join(30)
    assert answers == [b"HTTP/1.1 200 OK"]
    m.stop()


def test_a_unix_socket_stays_the_managers(manager, tmp_path):
    path = str(tmp_path / "sock")
    m = manager(family=socket.AF_UNIX, address=path)
    m.start("unix:" + path)
    assert m.told() == "READY=1"
    assert ping(m.connect()) == b"HTTP/1.1 200 OK"
    m.stop()
    assert os.path.exists(path)


def test_a_socket_that_nobody_asked_for(manager):
    m = manager()
    m.start("127.0.0.1:0")
    said = m.process.communicate(timeout=60)[1]
    assert m.process.returncode == 1
    assert f"a socket at 127.0.0.1:{m.address[1]}; add that address to `listen`" in said


def test_what_is_no_listening_socket(manager, tmp_path):
    m = manager()
    m.socket.close()
    m.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    m.start("127.0.0.1:0")
    said = m.process.communicate(timeout=60)[1]
    assert m.process.returncode == 1 and "descriptor 3 is no listening stream socket" in said
