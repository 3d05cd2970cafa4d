"""`larder verify`: what went bad on disk is found while the server serves, and is fetched again."""
import json
import os
import re
import subprocess
import time

import pytest
from larder import PROGRAM
from push import check_manifest, manifest_path, put_blob, put_image
from test_75_control import ask, settle
from recount import Index
from registry import digest_of, noise

REPO = "library/x"
LARGE = noise(1_500_000, seed=76)
SMALL = noise(90_000, seed=77)
DAMAGES = ("missing", "shorter", "longer", "changed")


def path_of(digest, repo=REPO):
    return f"/v2/{repo}/blobs/{digest}"


def file_of(lar, digest):
    algorithm, _, text = digest.partition(":")
    return os.path.join(lar.data, "blobs", algorithm, text[:2], text[2:])


def damage(lar, digest, how):
    name = file_of(lar, digest)
    if how == "missing":
        os.unlink(name)
        return
    os.chmod(name, 0o600)
    with open(name, "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        if how == "shorter":
            file.truncate(size // 2)
        elif how == "longer":
            file.truncate(size + 1)
        else:
            file.seek(size // 2)
            file.write(b"not what was there")


def verify(lar, *words, status=0, env=None):
    """Its lines on standard output."""
    done = subprocess.run([PROGRAM, "verify", *words, "--config", str(lar.folder / "larder.json"),
                           "--data", lar.data], capture_output=True, text=True, timeout=50,
                          stdin=subprocess.DEVNULL, check=False, env={**os.environ, **(env or {})})
    assert done.returncode == status, done
    for n, of in re.findall(r"(\d+) of (\d+) blobs?,", done.stderr):
        assert int(n) <= int(of), done
    return done.stdout.splitlines()


def quarantined(lar):
    return {name.rsplit(".", 1)[0].replace("-", ":")
            for name in os.listdir(os.path.join(lar.data, "quarantine"))}


@pytest.fixture
def lar(registry, larder):
    """The upstream stands in the configuration, so that a command finds it too."""
    return larder(config={"upstreams": {"docker.io": {"endpoints": [registry.url]}},
                          "cache": {"prefetch": False}})


def pull(lar, registry, *blobs):
    img = registry.add_image(REPO, "1", blobs)
    assert lar.get(f"/v2/{REPO}/manifests/1").body == img.body
    for digest, data in zip(img.layers, blobs, strict=True):
        assert lar.get(path_of(digest)).body == data
    lar.wait_counter("flights_landed", len(blobs))
    return img


def test_nothing_is_bad(registry, lar):
    pull(lar, registry, LARGE, SMALL)
    put_image(lar, "1", [SMALL, noise(5000, seed=3)])
    said = verify(lar)
    assert len(said) == 1 and said[0].endswith(": 0 bad")
    assert lar.counter("verified_bytes") > len(LARGE) and lar.counter("verified_bad") == 0
    assert lar.get(path_of(registry.add_blob(REPO, LARGE))).source() == "hit"


@pytest.mark.parametrize("how", DAMAGES)
def test_a_bad_blob_is_taken_out(registry, lar, how):
    img = pull(lar, registry, LARGE, SMALL)
    damage(lar, img.layers[0], how)
    said = verify(lar, status=1)
    assert len(said) == 2 and said[0].startswith(img.layers[0] + ", 1.5 MB: the file ")
    assert said[0].endswith("forgotten; docker.io/library/x has it: it is fetched when it is asked "
                            "for" if how == "missing" else
                            "in quarantine; docker.io/library/x has it: --repair fetches it")
    assert "1 bad" in said[1]
    assert quarantined(lar) == (set() if how == "missing" else {img.layers[0]})
    assert img.layers[0] not in lar.kept()
    assert verify(lar)[-1].endswith(": 0 bad")
    reply = lar.get(path_of(img.layers[0]))
    assert reply.complete and reply.body == LARGE and reply.source() == "miss"
    lar.stop()
    Index(lar.data).check()


@pytest.mark.parametrize("own", [False, True], ids=["server", "alone"])
@pytest.mark.parametrize("how", DAMAGES)
def test_a_bad_blob_is_fetched_again(registry, lar, how, own):
    img = pull(lar, registry, LARGE, SMALL)
    if own:
        lar.stop()
    for digest in img.layers:
        damage(lar, digest, how)
    said = verify(lar, "--repair", "--rate", "500MB")
    assert sorted(line[:71] for line in said[:2]) == sorted(img.layers)
    assert all(line.endswith(": fetched again from docker.io/library/x") for line in said[:2])
    assert "2 bad, of which 0 written anew, 2 fetched again, 0 lost" in said[2]
    if own:
        lar.start()
    for digest, data in zip(img.layers, (LARGE, SMALL), strict=True):
        reply = lar.get(path_of(digest))
        assert reply.body == data and reply.source() in ("hit", "joined")
        assert registry.hits("GET", digest) == 2
    lar.stop()
    Index(lar.data).check()


def test_upstream_is_gone(registry, lar):
    """It says so, and the next run by a registry that is there is not needed: a pull is."""
    img = pull(lar, registry, LARGE)
    damage(lar, img.layers[0], "changed")
    registry.stop()
    said = verify(lar, "--repair", status=1)
    assert "in quarantine; it cannot be fetched: " in said[0]
    assert lar.get(path_of(img.layers[0])).status in (502, 504)
    registry.start_again()


@pytest.mark.parametrize("how", DAMAGES)
def test_what_was_pushed(lar, how):
    """A layer is lost, and taken again; a manifest is whole as long as the index has it."""
    img = put_image(lar, "1", [LARGE])
    damage(lar, img.layers[0], how)
    damage(lar, img.digest, how)
    said = verify(lar, "--repair", status=1)
    layer, manifest = sorted(said[:2], key=lambda line: line.startswith(img.digest))
    assert layer.startswith(img.layers[0]) and layer.endswith(": lost: push it again to stage/app")
    assert manifest.endswith(": written anew from the index")
    assert img.digest in lar.kept()
    check_manifest(lar.get(manifest_path("1")), img.body)
    assert lar.head(path_of(img.layers[0], "stage/app")).status == 404
    put_blob(lar, LARGE)
    assert lar.get(path_of(img.layers[0], "stage/app")).body == LARGE
    assert verify(lar)[-1].endswith(": 0 bad")
    lar.stop()
    index = Index(lar.data)
    index.check()
    index.check_held()


def test_pushed_and_in_a_mirror(registry, lar):
    """Bytes are stored once: what was pushed comes back from an upstream that has them."""
    digest = registry.add_blob(REPO, LARGE)
    assert lar.get(path_of(digest)).body == LARGE
    put_blob(lar, LARGE)
    damage(lar, digest, "changed")
    assert "fetched again from docker.io/library/x" in verify(lar, "--repair")[0]
    lar.wait(lambda: lar.head(path_of(digest, "stage/app")).status == 200, "its record")
    assert lar.get(path_of(digest, "stage/app")).body == LARGE


@pytest.mark.parametrize("own", [False, True], ids=["server", "alone"])
@pytest.mark.parametrize("how", DAMAGES)
def test_a_later_run_fetches_what_an_earlier_one_found(registry, lar, how, own):
    img = pull(lar, registry, LARGE, SMALL)
    if own:
        lar.stop()
    damage(lar, img.layers[0], "changed")
    damage(lar, img.layers[1], how)
    verify(lar, status=1)
    said = verify(lar, "--repair")
    lines = [digest + ", " + size + ": in quarantine: fetched again from docker.io/library/x"
             for digest, size in zip(img.layers, ("1.5 MB", "90 kB"), strict=True)]
    assert sorted(said[:-1]) == sorted(lines[:1] if how == "missing" else lines)
    assert said[-1].endswith(f": 0 bad; {len(said) - 1} of earlier fetched again")
    if own:
        lar.start()
    settle(lar)
    assert len(verify(lar, "--repair")) == 1
    assert lar.get(path_of(img.layers[0])).source() == "hit"
    assert registry.hits("GET", img.layers[0]) == 2
    lar.stop()
    Index(lar.data).check()


@pytest.mark.parametrize("own", [False, True], ids=["server", "alone"])
@pytest.mark.parametrize("how", DAMAGES)
def test_what_is_lost_is_told_until_it_is_there(lar, how, own):
    """All who had it are named."""
    img = put_image(lar, "1", [LARGE])
    put_image(lar, "1", [LARGE], "stage/other")
    if own:
        lar.stop()
    damage(lar, img.layers[0], how)
    push = "push it again to stage/app, stage/other"
    assert verify(lar, status=1)[0].endswith(": lost: " + push)
    for words in ((), ("--repair",)):
        said = verify(lar, *words, status=1)
        assert said[0] == f"{img.layers[0]}, 1.5 MB: missing: {push}"
        assert len(said) == 2 and said[1].endswith(": 0 bad; 1 missing")
    if own:
        lar.start()
    put_blob(lar, LARGE)
    assert verify(lar)[-1].endswith(": 0 bad")
    assert lar.get(path_of(img.layers[0], "stage/other")).body == LARGE


def test_lost_and_in_a_mirror(registry, lar):
    """Where it can be fetched, that is said; and where it cannot any more, it can be pushed."""
    digest = registry.add_blob(REPO, LARGE)
    assert lar.get(path_of(digest)).body == LARGE
    put_blob(lar, LARGE)
    damage(lar, digest, "missing")
    here = "docker.io/library/x has it: --repair fetches it"
    assert verify(lar, status=1)[0].endswith(": forgotten; " + here)
    missing = f"{digest}, 1.5 MB: missing: push it again to stage/app; "
    assert verify(lar, status=1)[0] == missing + here
    registry.stop()
    said = verify(lar, "--repair", status=1)
    assert said[0].startswith(missing + "it cannot be fetched: ")
    registry.start_again()
    said = verify(lar, "--repair")
    assert said[0] == f"{digest}, 1.5 MB: missing: fetched again from docker.io/library/x"
    settle(lar)
    assert lar.get(path_of(digest, "stage/app")).body == LARGE


def test_pages_of_what_is_missing(registry, lar):
    """However the digests fall into pages; what only an upstream has is not among them."""
    img = pull(lar, registry, SMALL)
    lost = put_image(lar, "1", [noise(1000 + i, seed=i) for i in range(5)])
    for digest in (*lost.layers, lost.config, *img.layers):
        damage(lar, digest, "missing")
    verify(lar, status=1)
    for n in (1, 2, 5, 100):
        after, found, end = "", [], False
        while not end:
            page = json.loads(ask(lar, "GET", f"/-/missing?n={n}&after={after}")[1])
            assert len(page["missing"]) <= n
            found += [one["digest"] for one in page["missing"]]
            after, end = page["after"], page["end"]
        assert found == sorted({*lost.layers, lost.config})
    assert ask(lar, "GET", "/-/missing?after=x")[0].status == 400


def test_the_rate_is_kept(lar):
    """2 MB at 4 MB/s: no less than half a second; how long it takes beyond is not said."""
    put_blob(lar, noise(2_000_000, seed=5))
    began = time.monotonic()
    assert verify(lar, "--rate", "4MB")[-1].endswith(": 0 bad")
    assert time.monotonic() - began >= 0.45


def test_a_rate_that_is_none(lar):
    for text in ("fast", "10%", "-1"):
        assert verify(lar, "--rate=" + text, status=2) == []


def test_a_stop_in_the_middle(lar):
    """The server does not wait for a slow verify, and the command says why it ends."""
    put_blob(lar, noise(4_000_000, seed=6))
    with subprocess.Popen([PROGRAM, "verify", "--rate", "100kB", "--config",
                           str(lar.folder / "larder.json"), "--data", lar.data],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as slow:
        lar.wait_counter("verified_bytes", 1)
        lar.stop()
        out, said = slow.communicate(timeout=20)
        assert slow.returncode == 1 and out == "" and said.startswith("larder: ")


@pytest.mark.faults
def test_a_file_that_cannot_be_read(registry, lar):
    img = pull(lar, registry, LARGE)
    lar.stop()
    said = verify(lar, "--repair", env={"FAULT": "scrub.read:1-1000"}, status=0)
    assert all("the file cannot be read" in line for line in said[:-1]) and len(said) == 3
    lar.start()
    for digest in (*img.layers, img.config):
        assert lar.get(path_of(digest)).status == 200


@pytest.mark.faults
def test_what_was_pushed_and_cannot_be_read_just_now(lar):
    """A disk that is gone for a moment is no reason to give up what nobody else has."""
    put_blob(lar, LARGE)
    lar.stop()
    said = verify(lar, "--repair", env={"FAULT": "scrub.read:1-1000"}, status=1)
    assert said[0].endswith("left where it is, as it was pushed to stage/app")
    assert "0 lost" in said[1]
    lar.start()
    assert lar.get(path_of(digest_of(LARGE), "stage/app")).body == LARGE
    assert verify(lar)[-1].endswith(": 0 bad")
