"""Commands that are under way when another process takes over end as they would have."""
import contextlib
import io
import re
import subprocess
import tarfile
import threading

from archives import layout, tar
from larder import PROGRAM
from registry import noise
from test_70_commands import Image
from test_74_import import check_image
from test_76_verify import damage
from test_90_hand_over import ended, start, successor

NAME = "docker.io/library/app:1"
MB = 1_000_000


class Command:
    """Runs in the background; what it says is read as it comes."""

    def __init__(self, lar, *words):
        self.process = subprocess.Popen(
            [PROGRAM, *words, "--config", str(lar.folder / "larder.json"), "--data", lar.data],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.out, self.said, self.changed = b"", b"", threading.Condition()
        self.threads = [threading.Thread(target=self._take, args=(name,), daemon=True)
                        for name in ("out", "said")]
        self.threads[1].start()

    def _take(self, name):
        pipe = self.process.stdout if name == "out" else self.process.stderr
        while piece := pipe.read1(65536):
            with self.changed:
                setattr(self, name, getattr(self, name) + piece)
                self.changed.notify_all()

    def give(self, data):
        """More of its standard input, if it still listens."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(data)
            self.process.stdin.flush()

    def says(self, pattern):
        """Waits until there is such a line on standard error."""
        with self.changed:
            assert self.changed.wait_for(lambda: re.search(pattern, self.said), 40), self.said

    def done(self):
        """Standard output, once it has ended well."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.threads[0].start()
        status = self.process.wait(50)
        for thread in self.threads:
            thread.join(10)
        assert status == 0, (self.said, self.out[-2000:])
        return self.out


def test_import(registry, larder, tmp_path):
    """Blobs on their way go on by the one before, the others and the names by the new one."""
    lar = start(larder, registry)
    image = Image([1, 2, 3], size=2 * MB)
    with open(tar(tmp_path / "x.tar", layout((image, NAME))), "rb") as file:
        whole = file.read()
    command = Command(lar, "import", "-")
    command.give(whole[:3 * MB])
    lar.wait_counter("upload_bytes", MB)
    new = successor(larder, lar).start()
    command.give(whole[3 * MB:])
    assert NAME.encode() in command.done()
    ended(lar)
    check_image(new, image, "library/app", "1")


def test_export(registry, larder):
    lar = start(larder, registry)
    image = Image([1, 2, 3], size=2 * MB).upstream(registry, "library/app", "1")
    check_image(lar, image, "library/app", "1")
    lar.wait(lambda: lar.counter("flights_open") == 0, "all is recorded")
    command = Command(lar, "export", "-o", "-", NAME)
    command.out = command.process.stdout.read(1)  # the rest waits in a pipe
    new = successor(larder, lar).start()
    ended(lar)
    with tarfile.open(fileobj=io.BytesIO(command.done())) as archive:
        names = archive.getnames()
    assert len([name for name in names if name.startswith("blobs/sha256/")]) >= 5
    check_image(new, image, "library/app", "1")


def test_verify(registry, larder):
    """It goes on where it was; what was found bad before is fetched again by the new one."""
    lar = start(larder, registry)
    blobs = [noise(400_000, seed=930 + n) for n in range(4)]
    digests = sorted(registry.add_blob("library/x", data) for data in blobs)
    for digest in digests:
        assert lar.get(f"/v2/library/x/blobs/{digest}").complete
    lar.wait(lambda: lar.counter("flights_open") == 0, "all is recorded")
    for digest in digests[0], digests[3]:
        damage(lar, digest, "changed")
    command = Command(lar, "verify", "--repair", "--rate", "800kB")
    command.says(rb"\d of \d blobs")
    new = successor(larder, lar).start()
    out = command.done()
    ended(lar)
    assert b"verified 4 blobs" in out and out.count(b"fetched again from docker.io/library/x") == 2
    assert set(digests) <= new.kept()


def test_a_page_that_takes_long(registry, larder):
    """Nobody is kept waiting until a large blob is read: that begins anew."""
    lar = start(larder, registry, limits={"hand_over": "100s"})
    data = noise(4 * MB, seed=940)
    digest = registry.add_blob("library/x", data)
    assert lar.get("/v2/library/x/blobs/" + digest).body == data
    lar.wait(lambda: lar.counter("flights_open") == 0, "all is recorded")
    command = Command(lar, "verify", "--rate", "40kB")
    lar.wait_counter("verified_bytes", 1)
    new = successor(larder, lar).start()
    ended(lar)
    new.wait_counter("verified_bytes", 1)
    command.process.kill()
    command.process.wait(10)
