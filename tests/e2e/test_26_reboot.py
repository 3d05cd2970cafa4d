"""What a crash leaves: unsynced bytes are believed within a boot, and hashed after it."""
import os
import shlex

import pytest

from registry import noise

REPO = "library/x"
BLOB = noise(1_500_000, seed=50)
SMALL = noise(90_000, seed=51)


def path_of(digest, repo=REPO):
    return f"/v2/{repo}/blobs/{digest}"


@pytest.fixture
def lar(registry, larder):
    return larder(upstreams={"docker.io": registry.url})


def file_of(lar, digest):
    algorithm, _, text = digest.partition(":")
    return os.path.join(lar.data, "blobs", algorithm, text[:2], text[2:])


@pytest.mark.parametrize("data", [SMALL, BLOB], ids=len)
def test_a_blob_that_was_not_synced_is_believed_within_the_boot(registry, lar, data):
    digest = registry.add_blob(REPO, data)
    assert lar.get(path_of(digest)).body == data
    lar.wait_counter("flights_landed", 1)
    lar.kill()
    lar.start()
    for _ in range(2):
        reply = lar.get(path_of(digest))
        assert (reply.status, reply.source()) == (200, "hit") and reply.body == data
    assert lar.counter("verified_again") == 0 and registry.hits(None, digest) == 1


def after_a_reboot(lar, folder, boot="11111111222233334444555555555555"):
    """Starts it again where the kernel's boot id is another one."""
    if os.geteuid() != 0:
        pytest.skip("only root may give a process another boot id")
    other = folder / "boot_id"
    other.write_text(boot + "\n")
    # What is to be loaded before the program is for nobody else on the way to it.
    loaded = lar.env.pop("LD_PRELOAD", None)
    env = f"env LD_PRELOAD={shlex.quote(loaded)}" if loaded else ""
    script = f'mount --bind "{other}" /proc/sys/kernel/random/boot_id && exec {env} "$@"'
    plain = lar.command
    lar.command = lambda: ["unshare", "--mount", "sh", "-c", script, "sh", *plain()]
    lar.start()


@pytest.mark.parametrize("data", [SMALL, BLOB], ids=len)
def test_a_blob_that_was_not_synced_is_verified_after_a_reboot(registry, lar, tmp_path, data):
    digest = registry.add_blob(REPO, data)
    assert lar.get(path_of(digest)).body == data
    lar.wait_counter("flights_landed", 1)
    lar.kill()
    after_a_reboot(lar, tmp_path)
    commits = lar.counter("index_commits")
    reply = lar.get(path_of(digest))
    assert reply.complete and reply.body == data
    lar.wait_counter("verified_again", 1)
    lar.wait_counter("index_commits", commits + 1, timeout=5)
    assert lar.get(path_of(digest)).source() == "hit"
    assert lar.get(path_of(digest), {"Range": "bytes=5-9"}).body == data[5:10]
    assert lar.counter("verified_again") == 1
    assert registry.hits(None, digest) == 1


@pytest.mark.parametrize("data", [SMALL, BLOB], ids=len)
@pytest.mark.parametrize("damage", ["changed", "shorter", "gone"])
def test_a_blob_that_a_crash_damaged(registry, lar, tmp_path, data, damage):
    digest = registry.add_blob(REPO, data)
    assert lar.get(path_of(digest)).body == data
    lar.wait_counter("flights_landed", 1)
    lar.kill()
    name = file_of(lar, digest)
    os.chmod(name, 0o600)
    if damage == "gone":
        os.unlink(name)
    else:
        with open(name, "r+b") as file:
            if damage == "shorter":
                file.truncate(len(data) // 2)
            else:
                file.seek(len(data) // 2)
                file.write(b"not what was there")
    after_a_reboot(lar, tmp_path)
    replies = [lar.get(path_of(digest)) for _ in range(2)]
    for reply in replies[:-1]:
        assert (reply.complete and reply.body == data) or len(reply.body) <= len(data) - 65536
    assert replies[-1].complete and replies[-1].body == data
    lar.wait_counter("flights_landed", 1)
    assert lar.kept() == {digest}
    assert registry.hits("GET", digest) == 2


CACHED = {"Cache-Control": "only-if-cached"}


def test_only_if_cached_verifies_and_asks_nobody(registry, larder, tmp_path):
    """Neither for the other layers of the image, nor for what turns out to be damaged."""
    img = registry.add_image(REPO, "1", [BLOB, SMALL, noise(80_000, seed=52)])
    lar = larder(upstreams={"docker.io": registry.url}, config={"cache": {"prefetch": False}})
    lar.get(f"/v2/{REPO}/manifests/1")
    for n, digest in enumerate(img.layers[:2]):
        lar.get(path_of(digest))
        lar.wait_counter("flights_landed", n + 1)
    lar.kill()
    with open(file_of(lar, img.layers[1]), "r+b") as file:
        file.write(b"x")
    lar.config = {}
    asked = len(registry.requests)
    after_a_reboot(lar, tmp_path)
    assert lar.get(f"/v2/{REPO}/manifests/{img.digest}", CACHED).body == img.body
    assert lar.get(path_of(img.layers[0]), CACHED).body == BLOB
    reply = lar.get(path_of(img.layers[1]), CACHED)
    assert reply.status == 404 and reply.code() == "BLOB_UNKNOWN", reply
    lar.stop()
    assert len(registry.requests) == asked
