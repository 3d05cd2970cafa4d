"""`larder inventory`: which blobs are here."""
import hashlib
import os
import pty
import stat
import subprocess

import pytest
from larder import PROGRAM
from push import put_image
from registry import digest_of, noise
from test_75_control import ask


def inventory(lar, *flags):
    return subprocess.run([PROGRAM, "inventory", "--data", lar.data, *flags], capture_output=True,
                          timeout=50)


def read(data):
    """Digests of an inventory, whose frame must be right."""
    assert data[:16] == b"\x8bLARDER\n" + bytes([0, 0, 0, 1, 0, 0, 0, 0])
    assert hashlib.sha256(data[:-32]).digest() == data[-32:]
    found, at = [], 16
    while data[at] != 0:
        size, name = {1: (32, "sha256:"), 2: (64, "sha512:")}[data[at]]
        found.append(name + data[at + 1:at + 1 + size].hex())
        at += 1 + size
    assert data[at:at + 9] == b"\0" + len(found).to_bytes(8, "big") and at + 41 == len(data)
    assert found == sorted(found) and len(set(found)) == len(found)
    return set(found)


def test_what_is_here(larder, registry, tmp_path):
    """With a server and without, to standard output and to a file: the same."""
    img = registry.add_image("library/x", "latest", [noise(300_000)])
    lar = larder(upstreams={"docker.io": registry.url})
    empty = inventory(lar)
    assert empty.returncode == 0 and read(empty.stdout) == set()
    for path in ("manifests/latest", "blobs/" + img.layers[0]):
        assert lar.get("/v2/x/" + path).complete
    put_image(lar, "1", [noise(1000, 4)])
    long = "sha512:" + hashlib.sha512(b"long").hexdigest()
    assert ask(lar, "POST", "/v2/-/blobs/uploads/?digest=" + long, b"long")[0].status == 201
    first = inventory(lar)
    assert first.returncode == 0 and first.stderr == b"larder: 6 blobs are here\n"
    assert read(first.stdout) == lar.kept() and {long, img.digest} < lar.kept()
    lar.stop()
    path = tmp_path / "far.inv"
    path.write_bytes(b"what was there before")
    second = inventory(lar, "-o", str(path))
    assert (second.returncode, second.stdout) == (0, b""), second
    assert path.read_bytes() == first.stdout and os.listdir(tmp_path).count("far.inv.part") == 0


def test_one_blob(larder):
    lar = larder()
    assert ask(lar, "POST", "/v2/-/blobs/uploads/?digest=" + digest_of(b"x"), b"x")[0].status == 201
    assert inventory(lar).stderr == b"larder: 1 blob is here\n"


def test_pages(larder):
    """However the digests fall into pages."""
    lar = larder()
    for i in range(5):
        data = b"blob %d" % i
        assert ask(lar, "POST", "/v2/-/blobs/uploads/?digest=" + digest_of(data),
                   data)[0].status == 201
    for n in (1, 2, 5, 6):
        after, found = "", []
        while page := ask(lar, "GET", f"/-/blobs?n={n}&after={after}")[1].decode().split():
            assert len(page) <= n
            found += page
            after = page[-1]
        assert found == sorted(lar.kept())
    for query in ("after=x", "n=x", "after=" + "a" * 2000):
        assert ask(lar, "GET", "/-/blobs?" + query)[0].status == 400


def test_refused(larder, tmp_path):
    lar = larder()
    out = inventory(lar, "-o", str(tmp_path / "none" / "x"))
    assert out.returncode == 1 and b"none/x: No such file or directory" in out.stderr
    main, side = pty.openpty()
    out = subprocess.run([PROGRAM, "inventory", "--data", lar.data], stdout=side,
                         stderr=subprocess.PIPE, timeout=50)
    os.close(side)
    os.close(main)
    assert out.returncode == 2 and b"not for a terminal: -o FILE, or a pipe\n" in out.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a device")
def test_a_device(larder, tmp_path):
    """It is written to, and never replaced by a file."""
    full = tmp_path / "full"
    os.mknod(full, stat.S_IFCHR | 0o666, os.makedev(1, 7))
    out = inventory(larder(), "-o", str(full))
    assert out.returncode == 1 and b"full: No space left on device" in out.stderr
    assert stat.S_ISCHR(full.stat().st_mode)
