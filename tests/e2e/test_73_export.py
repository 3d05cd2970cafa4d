"""`larder export`: images in a file that can be carried."""
import collections
import json
import os
import pty
import signal
import subprocess
import tarfile

import pytest
from archives import Key
from larder import PROGRAM
from push import EMPTY, descriptor, encode, image_body, put_blob, put_image, put_manifest
from registry import INDEX, MANIFEST, digest_of, noise
from test_70_commands import refused, run
from test_75_control import ask

DEBIAN = "docker.io/library/debian"
Index = collections.namedtuple("Index", "body digest children")


def export(lar, *words, **options):
    return subprocess.run([PROGRAM, "export", "--config", str(lar.folder / "larder.json"), "--data",
                           lar.data, *map(str, words)], timeout=50, check=False,
                          **{"capture_output": True, "stdin": subprocess.DEVNULL, **options})


def good(result):
    assert result.returncode == 0, result
    return result.stderr.decode()


def to_file(lar, path, *words):
    """Exports, and reads the archive."""
    said = good(export(lar, "-o", path, *words))
    return Bundle(path, said)


class Bundle:
    """An archive or folder, whose form must be right."""

    def __init__(self, path, said=""):
        self.said = said
        if os.path.isdir(path):
            self.files = dict(walk(path))
            names = sorted(self.files, key=order)
        else:
            with tarfile.open(path) as archive:
                names = archive.getnames()
                assert all(one.mtime == 0 and one.isreg() for one in archive)
                self.files = {one.name: archive.extractfile(one).read() for one in archive}
        assert len(names) == len(self.files) and names == sorted(names, key=order)
        self.blobs = {name[6:].replace("/", ":"): data for name, data in self.files.items()
                      if name.startswith("blobs/")}
        for digest, data in self.blobs.items():
            assert digest_of(data) == digest
        self.check_list()
        assert self.files["oci-layout"] == b'{"imageLayoutVersion":"1.0.0"}'
        self.index = json.loads(self.files["index.json"])
        assert (self.index["schemaVersion"], self.index["mediaType"]) == (2, INDEX)
        self.names = {one["annotations"]["io.containerd.image.name"]: one["digest"]
                      for one in self.index["manifests"] if "annotations" in one
                      and "io.containerd.image.name" in one["annotations"]}
        self.docker = json.loads(self.files.get("manifest.json", b"[]"))

    def check_list(self):
        first, *lines = self.files["larder/list"].decode().splitlines()
        assert first == "larder-bundle 1"
        kinds = ["stands-on", "image", "needs", "blob"]
        words = [line.split(" ") for line in lines]
        assert words == sorted(words, key=lambda one: (kinds.index(one[0]), one[1:]))
        assert len(set(lines)) == len(lines)
        self.images = {(name, tag): (digest, int(size), media) for kind, name, tag, digest, size,
                       media in (one for one in words if one[0] == "image")}
        self.needs = {one[1]: int(one[2]) for one in words if one[0] == "needs"}
        self.stands_on = [one[1] for one in words if one[0] == "stands-on"]
        assert {one[1]: int(one[2]) for one in words if one[0] == "blob"} == {
            digest: len(data) for digest, data in self.blobs.items()}


def order(name):
    first = ["larder/list", "larder/list.sig", "oci-layout", "index.json", "manifest.json"]
    return first.index(name) if name in first else len(first), name


def walk(path):
    for folder, _, names in os.walk(path):
        for name in names:
            whole = os.path.join(folder, name)
            with open(whole, "rb") as f:
                yield os.path.relpath(whole, path), f.read()


def here(lar, *digests):
    """Waits until they are recorded, which is a moment behind the last byte."""
    lar.wait(lambda: all(ask(lar, "HEAD", "/v2/-/blobs/" + one)[0].status == 200
                         for one in digests), "the blobs are here")


def pull(lar, img, repo="library/debian", tag="12"):
    for what in ("manifests/" + tag, *("blobs/" + one for one in (img.config, *img.layers))):
        assert lar.get(f"/v2/{repo}/{what}").complete
    here(lar, img.digest, img.config, *img.layers)


def blobs_of(*images):
    return {one for img in images for one in (img.digest, img.config, *img.layers)}


@pytest.fixture
def cache(registry, larder):
    """A mirrored image debian:12 and a hosted one stage/app:dev on top of its layer."""
    lar = larder(upstreams={"docker.io": registry.url})
    lar.layer = noise(300_000)
    lar.debian = registry.add_image("library/debian", "12", [lar.layer])
    pull(lar, lar.debian)
    lar.app = put_image(lar, "dev", [lar.layer, noise(1000, 2)], config=b'{"os":"linux"}')
    return lar


def test_archive(cache, registry, tmp_path):
    """Two images, with a server and without; nothing is asked upstream."""
    asked = len(registry.requests)
    there = to_file(cache, tmp_path / "there.tar", "debian:12", "stage/app:dev")
    assert set(there.blobs) == blobs_of(cache.debian, cache.app)
    assert there.blobs[cache.debian.digest] == cache.debian.body
    assert there.images == {
        (DEBIAN, "12"): (cache.debian.digest, len(cache.debian.body), MANIFEST),
        ("stage/app", "dev"): (cache.app.digest, len(cache.app.body), MANIFEST)}
    assert there.names == {DEBIAN + ":12": cache.debian.digest,
                           "stage/app:dev": cache.app.digest}
    assert there.index["manifests"][0]["annotations"][
        "org.opencontainers.image.ref.name"] == DEBIAN + ":12"
    assert [(one["RepoTags"], one["Config"], one["Layers"]) for one in there.docker] == [
        ([name], *(["blobs/" + d.replace(":", "/") for d in ds] if isinstance(ds, list)
                   else "blobs/" + ds.replace(":", "/") for ds in (img.config, img.layers)))
        for name, img in ((DEBIAN + ":12", cache.debian), ("stage/app:dev", cache.app))]
    assert there.said == "larder: 2 images, 6 blobs (302 kB)\n" and not there.stands_on
    assert len(registry.requests) == asked
    cache.stop()
    good(export(cache, "-o", tmp_path / "own.tar", "stage/app:dev", "docker.io/debian:12"))
    assert (tmp_path / "own.tar").read_bytes() == (tmp_path / "there.tar").read_bytes()
    cache.start()
    piped = export(cache, "-o", "-", "stage/app:dev", "debian:12", "debian:12")
    good(piped)
    assert piped.stdout == (tmp_path / "there.tar").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["larder0", "own.tar", "there.tar"]


def test_imported_elsewhere(cache, larder, registry, tmp_path):
    """What an import finds in it."""
    good(export(cache, "-o", tmp_path / "x.tar", "debian:12", "stage/app:dev"))
    far = larder(upstreams={"docker.io": "http://127.0.0.1:1"}, args=["--offline"])
    assert run(far, "import", str(tmp_path / "x.tar")).returncode == 0
    for repo, tag, img in (("library/debian", "12", cache.debian), ("stage/app", "dev", cache.app)):
        reply = far.get(f"/v2/{repo}/manifests/{tag}")
        assert (reply.status, reply.body) == (200, img.body)
        assert all(far.get(f"/v2/{repo}/blobs/{one}").complete for one in img.layers)


def test_lists(cache, registry, tmp_path):
    """--file, --lock, and --all: the same images, the same bytes."""
    text = "# what we need\n\n  debian:12 \r\nstage/app:dev"
    (tmp_path / "list").write_text(text)
    good(export(cache, "-o", tmp_path / "a", "--file", tmp_path / "list"))
    good(export(cache, "-o", tmp_path / "b", "--file", "-", input=text.encode(), stdin=None))
    good(export(cache, "-o", tmp_path / "c", "--all"))
    lock = {"version": 1, "images": [
        {"name": DEBIAN, "tag": "12", "digest": cache.debian.digest, "platforms": ["linux/amd64"]},
        {"name": "stage/app", "tag": "dev", "digest": cache.app.digest, "platforms": []}]}
    (tmp_path / "lock").write_text(json.dumps(lock))
    newer = registry.add_image("library/debian", "12", [noise(10)])
    assert newer.digest != cache.debian.digest
    good(export(cache, "-o", tmp_path / "d", "--lock", tmp_path / "lock"))
    assert len({(tmp_path / name).read_bytes() for name in "abcd"}) == 1
    Bundle(tmp_path / "a")


def test_lock_has_no_export(cache, tmp_path):
    """An export is no pull."""
    good(export(cache, "-o", tmp_path / "a", "debian:12", "stage/app:dev"))
    images = json.loads(run(cache, "lock").stdout)["images"]
    assert [one["name"] for one in images] == [DEBIAN]
    assert json.loads(run(cache, "lock", "--client", "unix").stdout)["images"] == []


def add_index(registry, repo, tag, *platforms):
    """An index of an image for each platform."""
    children = [registry.add_image(repo, None, [noise(20_000, n), b"of all"])
                for n, _ in enumerate(platforms)]
    body = encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {**descriptor(child.body, MANIFEST),
         "platform": dict(zip(("os", "architecture", "variant"), platform.split("/")))}
        for child, platform in zip(children, platforms)]})
    return Index(body, registry.add_manifest(repo, tag, body, INDEX), children)


def test_sparse_index(registry, larder, tmp_path):
    """It is carried byte for byte, with those of its images that are here."""
    lar = larder(upstreams={"docker.io": registry.url})
    made = add_index(registry, "library/x", "1", "linux/arm64/v8", "linux/s390x", "linux/amd64")
    assert lar.get("/v2/x/manifests/1").body == made.body
    here(lar, made.digest)
    refused_by(lar, tmp_path, ["x:1"], "docker.io/library/x:1 is not here but for its index",
               "`larder warm docker.io/library/x:1`")
    for child in made.children[:2]:
        pull(lar, child, "library/x", child.digest)
    assert lar.get("/v2/x/manifests/" + made.children[2].digest).complete  # and nothing of it
    here(lar, made.children[2].digest)
    bundle = to_file(lar, tmp_path / "a", "x:1")
    assert bundle.blobs[made.digest] == made.body
    assert set(bundle.blobs) == {made.digest} | blobs_of(*made.children[:2])
    assert f"x:1 goes without {made.children[2].digest}, of which not all" in bundle.said
    assert bundle.docker[0]["Config"].endswith(made.children[0].config[7:])
    assert bundle.names == {"docker.io/library/x:1": made.digest}
    for words in (["--platform", "linux/amd64"], ["--platform", "all"],
                  ["--platform", "linux/arm64,linux/amd64"]):
        refused_by(lar, tmp_path, [*words, "x:1"], "x:1 is not whole here", "is missing",
                   "larder warm")
    refused_by(lar, tmp_path, ["--platform", "linux/ppc64le", "x:1"], "no image for linux/ppc64le")
    bundle = to_file(lar, tmp_path / "b", "--platform", "linux/s390x,linux/arm64", "x:1")
    assert bundle.said == "larder: 1 image, 8 blobs (42 kB)\n"
    assert bundle.docker[0]["Config"].endswith(made.children[1].config[7:])
    bundle = to_file(lar, tmp_path / "c", "--platform", "linux/s390x", "x:1")
    assert set(bundle.blobs) == {made.digest} | blobs_of(made.children[1])


def refused_by(lar, tmp_path, words, *hints, status=1):
    """One line, and no file, whole or in part."""
    before = sorted(os.listdir(tmp_path))
    result = export(lar, "-o", tmp_path / "refused", *words, text=True)
    line = refused(result, *hints, status=status)
    assert sorted(os.listdir(tmp_path)) == before
    return line


def test_not_here(cache, registry, tmp_path):
    refused_by(cache, tmp_path, ["debian:13"], "docker.io/library/debian:13 is not here",
               "`larder warm docker.io/library/debian:13`")
    refused_by(cache, tmp_path, ["stage/app:none"], "stage/app:none is not here")
    refused_by(cache, tmp_path, ["example.org/x"], "example.org")
    refused_by(cache, tmp_path, ["debian:12", "debian@" + digest_of(b"")], "@sha256:e3b0c442")
    img = registry.add_image("library/y", "1", [noise(100, 7), noise(100, 8)])
    pull(cache, img, "library/y", "1")
    path = img.layers[1][7:]
    os.unlink(os.path.join(cache.data, "blobs/sha256", path[:2], path[2:]))
    refused_by(cache, tmp_path, ["debian:12", "y:1"], "docker.io/library/y:1")


def test_several_not_here(cache, tmp_path):
    """All are named, up to 20, and the one command that fetches them."""
    def said(*words):
        result = export(cache, "-o", tmp_path / "refused", *words, text=True)
        assert result.returncode == 1 and result.stdout == "", result
        assert not (tmp_path / "refused").exists()
        return result.stderr.splitlines()

    assert said("debian:13", "debian:12", "ghcr.io/o/x:2", "--platform", "linux/amd64") == [
        "larder: docker.io/library/debian:13 is not here", "larder: ghcr.io/o/x:2 is not here",
        "larder: `larder warm --platform linux/amd64 docker.io/library/debian:13 ghcr.io/o/x:2` "
        "fetches them", "larder: nothing is written: 2 images are missing"]
    lines = said("stage/none:1", "debian:13")
    assert lines[2:] == ["larder: `larder warm docker.io/library/debian:13` fetches those that "
                         "were not pushed here", "larder: nothing is written: 2 images are missing"]
    names = tmp_path / "names"
    names.write_text("".join(f"stage/none:{n}\n" for n in range(30)))
    lines = said("--file", names)
    assert lines[19:] == ["larder: stage/none:19 is not here", "larder: and 10 more",
                          "larder: nothing is written: 30 images are missing"]
    names.write_text("debian:13\n")
    assert said("--file", names) == [f"larder: docker.io/library/debian:13 is not here; "
                                     f"`larder warm --file {names}` fetches it"]


def test_layer_of_another_size(cache, tmp_path):
    """The file is damaged: it is not carried as if it were whole."""
    path = cache.debian.layers[0][7:]
    with open(os.path.join(cache.data, "blobs/sha256", path[:2], path[2:]), "r+b") as f:
        f.truncate(299_999)
        refused_by(cache, tmp_path, ["debian:12"], "has 299999 bytes here", "says 300000")
        f.seek(299_999)
        f.write(cache.layer[-1:])


@pytest.mark.parametrize("words, hint", [
    ([], "export needs images"), (["x", "--split", "1"], "64KiB at least"),
    (["x", "--split", "x"], "--split takes a size"), (["X"], "X"),
    (["x", "--platform", "amd64"], "must be OS/ARCHITECTURE"),
    (["x", "--have", "a", "--since", "b"], "stands on one of them"),
    (["x", "--sign", "/none/key"], "--sign: /none/key"), (["x", "--have", "/none"], "/none"),
    (["x", "--since", "/none"], "/none"), (["--file", "/none"], "/none"),
    (["--lock", "/none"], "/none"), (["x", "--since", os.devnull], "is empty"),
    (["x", "--have", __file__], "this is no inventory")])
def test_command_line(cache, tmp_path, words, hint):
    result = export(cache, "-o", tmp_path / "a", *words, text=True)
    assert result.returncode == 2 and hint in result.stderr, result
    assert result.stderr.count("\n") == 1 and not (tmp_path / "a").exists()
    assert "needs -o" in export(cache, *words, text=True).stderr


def test_not_to_a_terminal(cache):
    main, side = pty.openpty()
    result = export(cache, "-o", "-", "debian:12", stdout=side, stderr=subprocess.PIPE,
                    capture_output=False)
    os.close(side)
    os.close(main)
    assert result.returncode == 2 and b"not for a terminal: -o FILE, or a pipe;" in result.stderr


def test_no_folder_for_it(cache, tmp_path):
    result = export(cache, "-o", tmp_path / "none" / "a", "debian:12", text=True)
    assert result.returncode == 1 and "none/a: No such file" in result.stderr


def test_all_leaves_out_what_is_not_whole(cache, registry, tmp_path):
    img = registry.add_image("library/y", "1", [noise(100, 7)])
    assert cache.get("/v2/y/manifests/1").complete
    here(cache, img.digest)
    old = put_image(cache, "dev", [noise(10, 9)])
    bundle = to_file(cache, tmp_path / "a", "--all")
    assert set(bundle.images) == {(DEBIAN, "12"), ("stage/app", "dev"), ("stage/app", "-")}
    assert bundle.images["stage/app", "-"][0] == cache.app.digest
    assert bundle.images["stage/app", "dev"][0] == old.digest
    assert f"stage/app@{cache.app.digest}" in bundle.names
    assert "left out: docker.io/library/y:1 is not whole here" in bundle.said
    assert bundle.said.endswith("; left out: 1 image\n")


def test_all_in_pages(larder):
    """However the images fall into pages, each comes once."""
    lar = larder()
    for repo, tag in (("stage/a", "1"), ("stage/a", "2"), ("stage/a", None), ("stage/b", None),
                      ("stage/b", "x")):
        put_image(lar, tag, [f"{repo} {tag}".encode()], repo)
    whole = ask(lar, "GET", "/-/images")[1].decode().splitlines()
    assert len(whole) == 2 + 3 + 1 + 2 and len(set(whole)) == len(whole)
    for n in (1, 2, 3, 7, 8, 9):
        after, found = "", []
        while True:
            page = ask(lar, "GET", f"/-/images?n={n}&after={after.replace(' ', '+')}")[1]
            page = page.decode().splitlines()
            if not page:
                break
            assert len(page) <= n
            found += page
            after = page[-1]
        assert found == whole
    assert ask(lar, "GET", "/-/images?after=x")[0].status == 400


def test_referrers(larder, tmp_path):
    """Signatures by tag and artifacts by subject are images of the bundle; without --referrers they
    stay."""
    lar = larder()
    img = put_image(lar, "1", [b"layer"])
    put_blob(lar, b"{}")
    sbom = image_body(config=EMPTY, layers=[EMPTY], artifactType="application/spdx+json",
                      subject=descriptor(img.body, MANIFEST))
    put_manifest(lar, digest_of(sbom), sbom)
    signature = put_image(lar, img.digest.replace(":", "-") + ".sig", [b"signature"], config=b"[]")
    plain = to_file(lar, tmp_path / "a", "stage/app:1")
    assert set(plain.blobs) == blobs_of(img)
    whole = to_file(lar, tmp_path / "b", "--referrers", "stage/app:1")
    assert set(whole.blobs) == blobs_of(img, signature) | {digest_of(sbom), digest_of(b"{}")}
    assert {tag: digest for (_, tag), (digest, _, _) in whole.images.items()} == {
        "1": img.digest, "-": digest_of(sbom),
        img.digest.replace(":", "-") + ".sig": signature.digest}
    subjects = {one["digest"]: one["annotations"].get("io.containerd.manifest.subject")
                for one in whole.index["manifests"]}
    assert subjects[digest_of(sbom)] == img.digest
    assert [one["RepoTags"] for one in whole.docker] == [["stage/app:1"]]
    again = to_file(lar, tmp_path / "c", "--all")
    assert set(again.blobs) == blobs_of(img, signature)


def test_all_of_it_comes_back(larder, registry, tmp_path):
    """A sparse index, signatures by tag, artifacts by subject, images by digest: an import of the
    bundle and an export of that give the same bundle."""
    lar = larder(upstreams={"docker.io": registry.url})
    made = add_index(registry, "library/x", "1", "linux/arm64/v8", "linux/s390x")
    assert lar.get("/v2/x/manifests/1").complete
    pull(lar, made.children[0], "library/x", made.children[0].digest)
    img = put_image(lar, "1", [b"layer"])
    put_blob(lar, b"{}")
    sbom = image_body(config=EMPTY, layers=[EMPTY], artifactType="application/spdx+json",
                      subject=descriptor(img.body, MANIFEST))
    put_manifest(lar, digest_of(sbom), sbom)
    put_image(lar, img.digest.replace(":", "-") + ".sig", [b"signature"], config=b"[]")
    alone = put_image(lar, None, [b"by digest"], "stage/alone")
    words = ["--referrers", "x:1", "stage/app:1", "stage/alone@" + alone.digest]
    first = to_file(lar, tmp_path / "a", *words)
    far = larder(upstreams={"docker.io": "http://127.0.0.1:1"}, args=["--offline"])
    result = run(far, "import", str(tmp_path / "a"))
    assert result.returncode == 0, result
    assert far.get("/v2/x/manifests/1").body == made.body
    assert [one["digest"] for one in far.get(
        f"/v2/stage/app/referrers/{img.digest}").json()["manifests"]] == [digest_of(sbom)]
    again = to_file(far, tmp_path / "b", *words)
    assert again.files == first.files and len(first.images) == 5
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_split(cache, tmp_path):
    """Parts that are the file when put together; a smaller one leaves no parts of it."""
    good(export(cache, "-o", tmp_path / "a", "debian:12"))
    for size, n in (("64KiB", 5), ("100kB", 4), ("1GB", 1)):
        good(export(cache, "-o", tmp_path / "p", "--split", size, "debian:12"))
        names = sorted(name for name in os.listdir(tmp_path) if name.startswith("p"))
        assert names == [f"p.{i:03}" for i in range(n)]
        parts = [(tmp_path / name).read_bytes() for name in names]
        assert b"".join(parts) == (tmp_path / "a").read_bytes()
        assert len({len(part) for part in parts[:-1]}) <= 1
    refused(export(cache, "-o", "-", "--split", "1GB", "debian:12", text=True), "for a file",
            status=2)


def test_signed(cache, tmp_path):
    """The signature is OpenSSL's."""
    key = Key(tmp_path / "key")
    bundle = to_file(cache, tmp_path / "a", "--sign", key.private, "debian:12")
    assert bundle.files["larder/list.sig"] == key.sign(bundle.files["larder/list"])
    plain = to_file(cache, tmp_path / "b", "debian:12")
    assert {**plain.files, "larder/list.sig": key.sign(plain.files["larder/list"])} == bundle.files
    refused_by(cache, tmp_path, ["--sign", key.public, "debian:12"], "signing takes the private",
               status=2)


def test_delta(cache, larder, registry, tmp_path):
    """Only what the other side lacks, by its inventory or by the bundle before."""
    good(export(cache, "-o", tmp_path / "base", "debian:12", "stage/app:dev"))
    far = larder(upstreams={"docker.io": registry.url})
    assert run(far, "import", str(tmp_path / "base")).returncode == 0
    assert run(far, "inventory", "-o", str(tmp_path / "inv")).returncode == 0
    new = put_image(cache, "dev", [cache.layer, noise(5000, 3)], config=b'{"os":"linux"}')
    with tarfile.open(tmp_path / "base") as archive:
        listed = archive.extractfile("larder/list").read()
    for words, stands_on in ((["--have", tmp_path / "inv"], (tmp_path / "inv").read_bytes()),
                             (["--since", tmp_path / "base"], listed)):
        delta = to_file(cache, tmp_path / "delta", *words, "debian:12", "stage/app:dev")
        assert set(delta.blobs) == {new.digest, new.layers[1]}
        assert set(delta.needs) == {cache.debian.digest, cache.debian.layers[0], new.config}
        assert delta.stands_on == [digest_of(stands_on)]
        assert set(delta.images) == {(DEBIAN, "12"), ("stage/app", "dev")}
        assert delta.names == {"stage/app:dev": new.digest} and delta.docker == []
        assert os.path.getsize(tmp_path / "delta") < 5000 + len(new.body) + 64 * 1024
        assert delta.said == "larder: 2 images, 2 blobs (5.6 kB), without what the other side has\n"
    good(export(cache, "-o", tmp_path / "p", "--split", "64KiB", "debian:12", "stage/app:dev"))
    third = to_file(cache, tmp_path / "third", "--since", tmp_path / "p.000", "stage/app:dev")
    assert third.blobs == {}
    fourth = to_file(cache, tmp_path / "fourth", "--since", tmp_path / "delta", "debian:12")
    assert fourth.blobs == {} and set(fourth.needs) == {cache.debian.digest}
    newer = put_image(cache, "x", [cache.layer, noise(700, 4)], "stage/other")
    fifth = to_file(cache, tmp_path / "fifth", "--since", tmp_path / "fourth", "debian:12",
                    "stage/other:x")
    assert set(fifth.blobs) == {newer.digest, newer.config, newer.layers[1]}
    assert set(fifth.needs) == {cache.debian.digest, cache.debian.layers[0]}
    assert run(far, "import", "--replace", str(tmp_path / "delta")).returncode == 0
    assert run(far, "import", str(tmp_path / "fifth")).returncode == 0
    assert far.get("/v2/stage/other/blobs/" + cache.debian.layers[0]).complete
    assert far.get("/v2/stage/app/manifests/dev").status == 200


def test_folder(cache, tmp_path):
    """What is whole there is not written again; what is not, is."""
    folder = tmp_path / "folder"
    folder.mkdir()
    bundle = to_file(cache, folder, "debian:12", "stage/app:dev")
    good(export(cache, "-o", tmp_path / "a", "debian:12", "stage/app:dev"))
    assert bundle.files == Bundle(tmp_path / "a").files
    layer = folder / "blobs/sha256" / cache.debian.layers[0][7:]
    kept = layer.stat().st_ino
    cut = folder / "blobs/sha256" / cache.debian.digest[7:]
    cut.write_bytes(b"short")
    (folder / "index.json").unlink()
    key = Key(tmp_path / "key")
    again = to_file(cache, folder, "--sign", key.private, "debian:12", "stage/app:dev")
    assert again.files.pop("larder/list.sig") and again.files == bundle.files
    assert layer.stat().st_ino == kept and "5 of them there already" in again.said
    good(export(cache, "-o", folder, "debian:12"))
    assert not (folder / "larder/list.sig").exists()
    assert list(json.loads((folder / "index.json").read_bytes())["manifests"])[0][
        "digest"] == cache.debian.digest


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may hide the files")
def test_over_the_socket(cache, tmp_path):
    """Where the files of the store may not be opened, the server gives their bytes."""
    good(export(cache, "-o", tmp_path / "a", "debian:12"))
    blobs = os.path.join(cache.data, "blobs")
    command = [PROGRAM, "export", "-o", "b", "--data", cache.data, "debian:12"]
    hidden = f"mount -t tmpfs none {blobs} && exec " + " ".join(command)
    result = subprocess.run(["unshare", "-m", "sh", "-c", hidden], cwd=tmp_path, timeout=50,
                            capture_output=True, check=False)
    assert result.returncode == 0, result
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()


def test_killed(cache, tmp_path):
    """At any moment: a file is there whole, or not at all; a folder is gone on with."""
    good(export(cache, "-o", tmp_path / "a", "debian:12", "stage/app:dev"))
    folder = tmp_path / "folder"
    folder.mkdir()
    killed = 0
    calls = "write,copy_file_range,fdatasync,rename,sendto,openat"
    for after in (1, 2, 3, 4, 5, 7, 9, 12, 15, 18, 22, 26, 30, 35):
        for path in (folder, tmp_path / "b"):
            with subprocess.Popen(
                    ["strace", "-f", "-o", os.devnull, "-e",
                     f"inject={calls}:signal=KILL:when={after}", PROGRAM, "export", "--data",
                     cache.data, "-o", str(path), "debian:12", "stage/app:dev"],
                    stderr=subprocess.DEVNULL) as process:
                killed += process.wait(30) == -signal.SIGKILL
        assert not (tmp_path / "b").exists() or Bundle(tmp_path / "b").images
        if (folder / "index.json").exists():
            Bundle(folder)
    assert killed >= 15
    bundle = to_file(cache, folder, "debian:12", "stage/app:dev")
    assert not [name for name in bundle.files if name.endswith(".part")]
    assert bundle.files == Bundle(tmp_path / "a").files


def test_disk_that_fills(small_disk, cache, tmp_path):
    for i in range(6):
        put_image(cache, str(i), [noise(10_000_000, 20 + i)], "stage/big")
    path = small_disk / "a"
    result = export(cache, "-o", path, *(f"stage/big:{i}" for i in range(6)), text=True)
    assert result.returncode == 1 and "No space left" in result.stderr, result
    assert result.stderr.count("\n") == 1 and os.listdir(small_disk) == []
    with open("/dev/full", "wb") as nowhere:
        full = export(cache, "-o", "-", "debian:12", stdout=nowhere, stderr=subprocess.PIPE,
                      capture_output=False)
    assert full.returncode == 1 and b"standard output: No space left" in full.stderr
