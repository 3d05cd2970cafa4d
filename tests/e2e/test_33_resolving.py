"""Names of upstreams: two kinds of address, and a resolver that comes and goes."""
import os
import shutil
import socket
import subprocess
import sys

import pytest

HERE = os.path.abspath(__file__)
CAN = os.geteuid() == 0 and shutil.which("unshare")


def in_namespace(case):
    """Runs one case of this file in network and mount namespaces of its own."""
    result = subprocess.run(["unshare", "--net", "--mount", sys.executable, HERE, case],
                            capture_output=True, text=True, timeout=55, check=False,
                            stdin=subprocess.DEVNULL)
    if result.returncode == 77:
        pytest.skip(result.stdout.strip())
    assert result.returncode == 0, result.stdout + result.stderr


pytestmark = pytest.mark.skipif(not CAN, reason="namespaces need root and unshare")


def test_dead_ipv6_and_live_ipv4():
    in_namespace("dead_ipv6")


def test_name_that_resolves_later():
    in_namespace("later")


def test_known_address_serves_while_names_are_gone():
    in_namespace("names_gone")


# --- inside the namespaces --------------------------------------------------------------------


def hosts(text):
    with open("/etc/hosts", "w", encoding="ascii") as file:
        file.write(text)


def enter():
    """Loopback with an IPv6 address that nobody answers at, and an /etc of its own."""
    for words in (["ip", "link", "set", "lo", "up"],
                  ["ip", "-6", "route", "add", "blackhole", "2001:db8::/32"],
                  ["mount", "--make-rprivate", "/"],
                  ["mount", "-t", "tmpfs", "none", "/mnt"]):
        if subprocess.run(words, check=False, capture_output=True).returncode != 0:
            print("cannot set up namespaces: " + " ".join(words))
            sys.exit(77)
    for name, text in ("hosts", "127.0.0.1 localhost\n"), ("resolv.conf", "nameserver 127.0.0.1\n"):
        path = "/mnt/" + name
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        subprocess.run(["mount", "--bind", path, "/etc/" + name], check=True)


def pull(lar, digest):
    return lar.get("/v2/library/x/blobs/" + digest)


def main(case):
    import pathlib
    import tempfile
    from larder import Larder
    from registry import Registry, noise
    enter()
    reg = Registry()
    data = noise(400_000)
    digest = reg.add_blob("library/x", data)
    other = reg.add_blob("library/x", noise(400_000, 2))
    fast = {"names_fresh": "0s", "connect": "2s", "retry_min": "1ms", "first_byte": "10s"}
    with tempfile.TemporaryDirectory() as folder:
        lar = Larder(pathlib.Path(folder), limits=fast,
                     upstreams={"docker.io": f"http://registry.test:{reg.port}"})
        if case == "dead_ipv6":
            hosts("2001:db8::1 registry.test\n127.0.0.1 registry.test\n")
            assert pull(lar, digest).body == data
        elif case == "later":
            reply = pull(lar, digest)
            assert reply.status in (502, 504) and "registry.test" in lar.events, reply
            hosts("127.0.0.1 registry.test\n")
            # A lookup from before may still be under way, and whoever asks shares its answer.
            lar.wait(lambda: pull(lar, digest).body == data, "the name resolves")
        else:
            hosts("127.0.0.1 registry.test\n")
            assert pull(lar, digest).body == data
            hosts("127.0.0.1 localhost\n")
            # Kept connections would hide that the name is gone.
            reg.stop()
            reg.start_again()
            assert pull(lar, other).complete
        lar.finish()
    reg.stop()


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(HERE))
    socket.setdefaulttimeout(30)
    main(sys.argv[1])
