"""larder warm: images are fetched before anybody asks for them."""
import json
import random
import re
import shutil
import subprocess

import pytest
from larder import PROGRAM
from registry import INDEX, MANIFEST, digest_of, noise


def warm(lar, *args, text=None, timeout=100):
    """Runs the command on the data of `lar`, whether it serves or not."""
    config = lar.folder / "warm.json"
    config.write_text(json.dumps({**lar.config, "upstreams": {
        name: {"endpoints": [url]} for name, url in lar.upstreams.items()}}))
    return subprocess.run([PROGRAM, "warm", "--config", str(config), "--data", lar.data, *args],
                          input=text, capture_output=True, text=True, timeout=timeout, check=False)


def add_index(registry, repo, tag, *images):
    """An index of (image, architecture)."""
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": MANIFEST, "digest": image.digest, "size": len(image.body),
         "platform": {"os": "linux", "architecture": arch}} for image, arch in images]}).encode()
    registry.add_manifest(repo, tag, body, INDEX)
    return body


def blob_gets(registry):
    return registry.hits("GET", "/blobs/")


@pytest.fixture(params=["server", "alone"])
def lar(request, registry, larder):
    """A server, or a data directory that nobody serves."""
    options = {"start": False} if request.param == "alone" else {}
    return larder(upstreams={"docker.io": registry.url}, **options)


def check_offline(registry, lar, repo, reference, image):
    """All of it is served when nothing upstream answers."""
    registry.stop()
    if lar.process is None:
        lar.start()
    answer = lar.get(f"/v2/{repo}/manifests/{reference}")
    assert (answer.status, answer.body) == (200, image.body)
    for blob in (image.config, *image.layers):
        answer = lar.get(f"/v2/{repo}/blobs/{blob}")
        assert (answer.status, digest_of(answer.body)) == (200, blob)


def test_an_image(registry, lar):
    img = registry.add_image("library/x", "v1", [noise(3_000_000), noise(200_000, 1), noise(10, 2)])
    said = warm(lar, "x:v1")
    assert said.returncode == 0, said.stderr
    assert "x:v1: fetched 5 of 5 blobs, 3.2 MB" in said.stdout
    assert "1 image warm, 0 failed: 5 blobs fetched (3.2 MB), 0 already here" in said.stdout
    asked = blob_gets(registry)
    said = warm(lar, "docker.io/library/x:v1")
    assert said.returncode == 0
    assert "docker.io/library/x:v1: already here, 5 blobs" in said.stdout
    assert blob_gets(registry) == asked == 4
    check_offline(registry, lar, "library/x", "v1", img)


def test_a_platform(registry, lar):
    amd = registry.add_image("library/m", None, [noise(1000, 1)])
    arm = registry.add_image("library/m", None, [noise(1000, 2)])
    add_index(registry, "library/m", "v1", (amd, "amd64"), (arm, "arm64"))
    assert warm(lar, "--platform", "linux/arm64", "m:v1").returncode == 0
    assert registry.hits("GET", "/blobs/" + arm.layers[0]) == 1
    assert registry.hits("GET", "/blobs/" + amd.layers[0]) == 0
    said = warm(lar, "--platform", "linux/amd64,linux/arm64", "m:v1")
    assert "fetched 3 of 7 blobs" in said.stdout, said
    said = warm(lar, "--platform", "all", "m:v1")
    assert "already here, 7 blobs" in said.stdout, said
    said = warm(lar, "--platform", "linux/s390x", "m:v1")
    assert said.returncode == 1 and "has no image for linux/s390x" in said.stdout


def test_what_fails_does_not_stop_the_rest(registry, lar):
    registry.add_image("library/a", "1", [noise(1000, 1)])
    broken = registry.add_image("library/b", "1", [noise(700_000, 2)])
    registry.add_image("library/c", "1", [noise(1000, 3)])
    registry.on("GET", "/blobs/" + broken.layers[0]).always().corrupt(600_000)
    said = warm(lar, "a:1", "b:1", "nothing:1", "reg.example.com/x:1", "c:1")
    assert said.returncode == 1
    lines = said.stdout.splitlines()
    assert any(line.startswith("a:1: fetched 3 of 3") for line in lines), lines
    assert any(line.startswith("c:1: fetched 3 of 3") for line in lines), lines
    assert any(re.match(r"b:1: failed: sha256:\w+: ", line) for line in lines), lines
    assert any(line.startswith("nothing:1: failed: ") for line in lines), lines
    assert any(line.startswith("reg.example.com/x:1: failed: reg.example.com is not an upstream")
               for line in lines), lines
    assert lines[-1].startswith("2 images warm, 3 failed: ")


def test_a_list(registry, lar, tmp_path):
    one = registry.add_image("library/one", "1", [noise(1000, 1)])
    registry.add_image("team/two", "latest", [noise(1000, 2)])
    text = f"# what we build on\n\n  one@{one.digest}   # by digest\r\nteam/two\n"
    path = tmp_path / "list"
    path.write_text(text)
    said = warm(lar, "--file", str(path))
    assert said.returncode == 0 and "2 images warm" in said.stdout, said
    said = warm(lar, "--file", "-", text=text)
    assert said.returncode == 0 and "0 blobs fetched" in said.stdout, said
    path.write_text("one:1\none:-1\n")
    said = warm(lar, "--file", str(path))
    assert said.returncode == 2 and f"{path}: line 2: " in said.stderr, said


def test_a_dockerfile(registry, lar, tmp_path):
    for name, tag in (("library/golang", "1.18"), ("library/debian", "12"), ("tools/x", "v2")):
        registry.add_image(name, tag, [noise(1000, len(name))])
    path = tmp_path / "Dockerfile"
    path.write_text("ARG V=1.18\nFROM --platform=$BUILDPLATFORM golang:${V} AS builder\n"
                    "FROM debian:12 AS release\nCOPY --from=builder /a /b\n"
                    "COPY --from=tools/x:v2 /a /c\nFROM release AS dev\nFROM scratch\n")
    said = warm(lar, "--dockerfile", str(path))
    assert said.returncode == 0 and said.stdout.splitlines()[-1].startswith("3 images warm"), said
    path.write_text("FROM alpine\nFROM $NONE\n")
    said = warm(lar, "--dockerfile", str(path))
    assert said.returncode == 2 and f"{path}: line 2: FROM an image" in said.stderr


def test_a_lock_file(registry, lar, tmp_path):
    old = registry.add_image("library/x", "v1", [noise(1000, 1)])
    registry.add_image("library/x", "v1", [noise(1000, 2)])
    path = tmp_path / "lock.json"
    path.write_text(json.dumps({"version": 1, "images": [
        {"name": "docker.io/library/x", "tag": "v1", "digest": old.digest,
         "platforms": ["linux/amd64"]}]}))
    said = warm(lar, "--lock", str(path))
    assert said.returncode == 0 and "fetched 3 of 3" in said.stdout, said
    assert registry.hits("GET", "/blobs/" + old.layers[0]) == 1


def test_referrers(registry, lar):
    img = registry.add_image("library/x", "v1", [noise(1000, 1)])
    sbom = registry.add_image("library/x", None, [noise(1000, 2)])
    registry.add_referrer("library/x", img.digest, {
        "mediaType": MANIFEST, "digest": sbom.digest, "size": len(sbom.body),
        "artifactType": "application/spdx+json"})
    tag = img.digest.replace(":", "-") + ".sig"
    signature = registry.add_image("library/x", tag, [noise(1000, 3)])
    said = warm(lar, "x:v1")
    assert said.returncode == 0 and "3 of 3" in said.stdout
    said = warm(lar, "--referrers", "x:v1")
    assert said.returncode == 0 and "fetched 6 of 9" in said.stdout, said
    for image in (sbom, signature):
        assert registry.hits("GET", "/blobs/" + image.layers[0]) == 1


def test_pin(registry, larder):
    registry.add_image("library/x", "v1", [noise(1000, 1)])
    lar = larder(upstreams={"docker.io": registry.url})
    assert warm(lar, "--pin", "x:v1").returncode == 0
    said = warm(lar, "--pin", "x:none")
    assert said.returncode == 1


def test_no_room(registry, larder):
    registry.add_image("library/x", "v1", [noise(3_000_000, 1), noise(100, 2)])
    lar = larder(upstreams={"docker.io": registry.url}, config={"cache": {"max_size": 1_000_000}})
    said = warm(lar, "x:v1")
    assert said.returncode == 1
    assert "x:v1: failed: 1 of its blobs was fetched and not kept" in said.stdout, said


def test_usage(lar, tmp_path):
    for args, text in (((), "no image is named"), (("x:-tag",), "-tag"),
                       (("x@sha256:12",), "digest"), (("--platform", "amd64", "x"), "--platform"),
                       (("--file", str(tmp_path / "none")), "none"),
                       (("--tag-ttl", "5m", "x"), "takes no flag --tag-ttl")):
        said = warm(lar, *args)
        assert said.returncode == 2 and text in said.stderr, (args, said)


def test_killed_and_gone_on(registry, larder):
    """What was fetched stays, what was under way goes on where it was."""
    img = registry.add_image("library/x", "v1", [noise(1_000_000, n) for n in range(3)])
    lar = larder(upstreams={"docker.io": registry.url}, start=False)
    gate = registry.on("GET", "/blobs/" + img.layers[2]).hold_after(500_000)
    config = lar.folder / "warm.json"
    config.write_text(json.dumps({"upstreams": {"docker.io": {"endpoints": [registry.url]}}}))
    process = subprocess.Popen([PROGRAM, "warm", "--config", str(config), "--data", lar.data,
                                "x:v1"], stdout=subprocess.PIPE, text=True)
    gate.reached()
    process.kill()
    process.communicate()
    gate.open()
    said = warm(lar, "x:v1")
    assert said.returncode == 0, said
    assert warm(lar, "x:v1").stdout.splitlines()[-1].startswith(
        "1 image warm, 0 failed: 0 blobs fetched (0 B), 5 already here")
    check_offline(registry, lar, "library/x", "v1", img)


@pytest.mark.parametrize("running", [True, False], ids=["server", "alone"])
def test_killed_at_random_moments(registry, larder, running):
    """Whatever was under way: the next run completes, and nothing wrong was ever kept."""
    chance = random.Random(72)
    images = [registry.add_image(f"library/x{i}", "v1", [noise(400_000, 10 * i + n)
                                                         for n in range(3)]) for i in range(4)]
    names = [f"x{i}:v1" for i in range(4)]
    lar = larder(upstreams={"docker.io": registry.url}, **({} if running else {"start": False}))
    config = lar.folder / "warm.json"
    config.write_text(json.dumps({"upstreams": {"docker.io": {"endpoints": [registry.url]}}}))
    cut = 0
    for turn in range(20):
        if turn % 5 == 4 and not running:
            shutil.rmtree(lar.data)  # from the beginning again
        process = subprocess.Popen([PROGRAM, "warm", "--config", str(config), "--data", lar.data,
                                    *names], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(chance.uniform(0.002, 0.12))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            cut += 1
        lar.kept()
    said = warm(lar, *names)
    assert said.returncode == 0, said
    assert cut > 0
    registry.stop()
    if not running:
        lar.start()
    for i, image in enumerate(images):
        assert lar.get(f"/v2/x{i}/manifests/v1").body == image.body
        for blob in (image.config, *image.layers):
            assert digest_of(lar.get(f"/v2/x{i}/blobs/{blob}").body) == blob
