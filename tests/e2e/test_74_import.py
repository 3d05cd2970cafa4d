"""Archives that others made are taken in: each tool's form, each way to go wrong."""
import json
import os
import random
import signal
import subprocess
import tarfile

import pytest
from archives import (DOCKER_MANIFEST, LAYOUT_VERSION, Key, blob_file, blobs_of, bundle,
                      docker_save, entry, folder, index_json, layout, offset_of, tar)
from larder import PROGRAM, VARIANT, fill
from registry import INDEX, LAYER, digest_of, noise
from test_70_commands import Image, good, run

APP = "docker.io/library/app:1"


@pytest.fixture
def lar(larder):
    """A server that could ask nobody."""
    return larder(upstreams={"docker.io": "http://127.0.0.1:1"}, config={"offline": True})


def load(lar, *words, stdin=subprocess.DEVNULL):
    return subprocess.run([PROGRAM, "import", *words, "--config", str(lar.folder / "larder.json"),
                           "--data", lar.data], capture_output=True, text=True, timeout=50,
                          stdin=stdin, check=False)


def check_image(lar, image, repo, reference):
    """All of it is served as docker pulls it."""
    reply = lar.get(f"/v2/{repo}/manifests/{reference}")
    assert (reply.status, reply.body) == (200, image.body)
    assert lar.get(f"/v2/{repo}/manifests/{image.digest}").body == image.body
    for blob in (image.config, *image.layers):
        assert lar.get(f"/v2/{repo}/blobs/{digest_of(blob)}").body == blob


def visible(lar):
    """Everything that a client or an operator can see."""
    return json.loads(good(run(lar, "ls", "--all", "--json")))


def refused(lar, words, *hints, status=1):
    """One line, and nothing visible changed."""
    before = visible(lar)
    result = load(lar, *words)
    assert result.returncode == status and result.stdout == "", result
    lines = result.stderr.strip().split("\n")
    assert len(lines) == 1 and lines[0].startswith("larder: "), result
    for hint in hints:
        assert hint in lines[0], result
    assert visible(lar) == before
    return lines[0]


# --- archives of others --------------------------------------------------------------------------


@pytest.mark.parametrize("running", [True, False])
def test_layout(lar, tmp_path, running):
    image = Image([1, 2])
    path = tar(tmp_path / "x.tar", layout((image, APP)))
    if not running:
        lar.stop()
    text = good(load(lar, path))
    assert text.splitlines()[0] == f"{APP} {image.digest}"
    assert text.splitlines()[1].startswith("1 image, 4 new blobs (")
    if not running:
        lar.start()
    for repo in "app", "library/app", "docker.io/library/app":
        check_image(lar, image, repo, "1")
    text = good(load(lar, path))
    assert text.splitlines()[0] == f"{APP} {image.digest} (was here)"
    assert "1 image (1 as before), 0 new blobs (0 B), 4 blobs that were here" in text


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_formats_of_tar(lar, tmp_path, format_):
    image = Image([1])
    good(load(lar, tar(tmp_path / "x.tar", layout((image, APP)), format=format_)))
    check_image(lar, image, "app", "1")


def test_folder(lar, tmp_path):
    image = Image([1, 2])
    good(load(lar, folder(tmp_path / "layout", layout((image, APP)))))
    check_image(lar, image, "app", "1")


def test_standard_input(lar, tmp_path):
    image = Image([1, 2])
    with open(tar(tmp_path / "x.tar", layout((image, APP))), "rb") as f:
        good(load(lar, "-", stdin=f))
    check_image(lar, image, "app", "1")


def test_parts(lar, tmp_path):
    image = Image([1, 2], size=300_000)
    with open(tar(tmp_path / "x.tar", layout((image, APP))), "rb") as f:
        data = f.read()
    paths = []
    for n, at in enumerate(range(0, len(data), 250_001)):
        paths.append(str(tmp_path / f"x.tar.{n:03}"))
        with open(paths[-1], "wb") as f:
            f.write(data[at:at + 250_001])
    assert len(paths) == 4
    refused(lar, paths[:3], "x.tar.000: ", "breaks off", "x.tar.003 comes next")
    refused(lar, [paths[0], paths[2], paths[1]], "parts are given in order, and ",
            f"x.tar.001 comes before {paths[2]}")
    refused(lar, paths[1:], "x.tar.001: this is no tar archive", "x.tar.000 first")
    refused(lar, [*paths, str(tmp_path / "x.tar.004")], "x.tar.004: No such file or directory",
            status=2)
    os.rename(paths[1], tmp_path / "whole")
    with open(paths[1], "wb") as f:
        f.write(data[250_001:500_000])
    refused(lar, paths, f"{paths[1]} has 249999 bytes, where the first part has 250001")
    os.rename(tmp_path / "whole", paths[1])
    good(load(lar, *paths))
    check_image(lar, image, "app", "1")


def test_several_archives(lar, tmp_path):
    images = [Image([1, n]) for n in (2, 3)]
    paths = [tar(tmp_path / f"{n}.tar", layout((image, f"docker.io/library/x{n}:1")))
             for n, image in enumerate(images)]
    text = good(load(lar, *paths))
    assert "2 images, 7 new blobs" in text and "1 blob that was here" in text
    for n, image in enumerate(images):
        check_image(lar, image, f"x{n}", "1")


def test_several_images(lar, tmp_path):
    """Names as containerd and as skopeo write them, one image by two names, and a referrer."""
    images = [Image([1]), Image([2])]
    files = [*map(blob_file, blobs_of(*images)), LAYOUT_VERSION,
             index_json(entry(images[0], "docker.io/library/a:1", "1"),
                        entry(images[0], ref="ghcr.io/owner/a:2"),
                        entry(images[1], f"docker.io/library/b@{images[1].digest}"))]
    good(load(lar, tar(tmp_path / "x.tar", files)))
    check_image(lar, images[0], "a", "1")
    check_image(lar, images[0], "ghcr.io/owner/a", "2")
    check_image(lar, images[1], "b", images[1].digest)
    assert lar.get("/v2/b/manifests/latest").status == 404


def test_docker_save(lar, tmp_path):
    """The archive has no manifest: one is made, the same each time, and layers lie as they came."""
    image = Image([1, 2])
    image.layers += [image.layers[0], b""]
    path = tar(tmp_path / "x.tar", docker_save(image, "app:1", "app:2"))
    names = [line.replace(" (was here)", "") for line in good(load(lar, path)).splitlines()[:2]]
    assert [name.split(" ")[0] for name in names] == [
        "docker.io/library/app:1", "docker.io/library/app:2"]
    again = good(load(lar, path)).splitlines()
    assert again[:2] == [name + " (was here)" for name in names]
    reply = lar.get("/v2/app/manifests/1")
    assert reply.headers["content-type"] == DOCKER_MANIFEST
    assert lar.get("/v2/app/manifests/2").body == reply.body
    manifest = reply.json()
    assert manifest["config"]["digest"] == digest_of(image.config)
    assert [layer["digest"] for layer in manifest["layers"]] == list(map(digest_of, image.layers))
    for layer in image.layers:
        assert lar.get("/v2/app/blobs/" + digest_of(layer)).body == layer


def test_docker_save_with_layout(lar, tmp_path):
    """As docker save since 25 writes it: a layout, with manifest.json beside."""
    image = Image([1, 2])
    names = json.dumps([{"Config": blob_file(image.config)[0], "RepoTags": ["app:1"],
                         "Layers": [blob_file(layer)[0] for layer in image.layers]}])
    files = [*layout((image, APP)), ("manifest.json", names.encode()), ("repositories", b"{}")]
    good(load(lar, tar(tmp_path / "x.tar", files)))
    check_image(lar, image, "app", "1")


def test_sparse_index(lar, tmp_path):
    """An index of which one platform came is served byte for byte."""
    images = [Image([1]), Image([2], architecture="arm64")]
    index = Image([])
    index.body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        entry(image, platform={"os": "linux", "architecture": architecture})
        for image, architecture in zip(images, ("amd64", "arm64"))]}).encode()
    index.digest = digest_of(index.body)
    root = entry(index, APP)
    root["mediaType"] = INDEX
    files = [*map(blob_file, [*blobs_of(images[0]), index.body]), index_json(root), LAYOUT_VERSION]
    good(load(lar, tar(tmp_path / "x.tar", files)))
    assert lar.get("/v2/app/manifests/1").body == index.body
    check_image(lar, images[0], "app", images[0].digest)
    assert lar.get("/v2/app/manifests/" + images[1].digest).status == 404


# --- names ---------------------------------------------------------------------------------------


def test_image_without_a_name(lar, tmp_path):
    image = Image([1])
    path = tar(tmp_path / "x.tar", layout((image, None)))
    refused(lar, [path], f"the archive's entry index.json, at byte {offset_of(path, 'index.json')}",
            "no image in it has a name; give it one by --name NAME:TAG")
    good(load(lar, path, "--name", "ghcr.io/owner/app:v1"))
    check_image(lar, image, "ghcr.io/owner/app", "v1")


def test_tag_alone(lar, tmp_path):
    image = Image([1])
    files = [*map(blob_file, blobs_of(image)), index_json(entry(image, ref="v7")), LAYOUT_VERSION]
    good(load(lar, tar(tmp_path / "x.tar", files), "--name", "ghcr.io/owner/app"))
    check_image(lar, image, "ghcr.io/owner/app", "v7")


def test_name_for_one_of_several(lar, tmp_path):
    images = [Image([1]), Image([2])]
    path = tar(tmp_path / "x.tar", layout((images[0], APP), (images[1], None)))
    result = load(lar, path)
    assert result.returncode == 0 and f"{images[1].digest} has no name" in result.stderr, result
    good(load(lar, path, "--name", "other:2"))
    check_image(lar, images[1], "other", "2")
    path = tar(tmp_path / "y.tar", layout((images[0], APP), (images[1], "docker.io/library/b:1")))
    refused(lar, [path, "--name", "other:2"], "--name is for one image")


def test_name_of_a_local_build(lar, tmp_path):
    """podman and buildah call localhost what was built there."""
    image = Image([1])
    path = tar(tmp_path / "x.tar", layout((image, "localhost/app:dev")))
    line = refused(lar, [path], "localhost/app:dev", "tag it as stage/app",
                   "--name gives the image another name")
    assert "upstreams" not in line, line
    good(load(lar, path, "--name", "stage/app:dev"))
    check_image(lar, image, "stage/app", "dev")
    path = tar(tmp_path / "y.tar", layout((image, "localhost/stage/other:dev")))
    assert good(load(lar, path)).startswith(f"stage/other:dev {image.digest}\n")
    check_image(lar, image, "stage/other", "dev")


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("names", [["stage/app:dev", "app:1"], ["ghcr.io/owner/app:1"]])
def test_names_with_our_own_host(larder, tmp_path, names, running):
    """As docker save writes what was pulled or pushed by it; where no server runs, the address of
    the configuration counts."""
    lar = larder(upstreams={"docker.io": "http://127.0.0.1:1"}, config={"offline": True})
    host = lar.host if running else "127.0.0.1:5000"
    image = Image([1, 2])
    path = tar(tmp_path / "x.tar", docker_save(image, *(f"{host}/{name}" for name in names)))
    if not running:
        lar.stop()
    told = [line.split(" ")[0] for line in good(load(lar, path)).splitlines()[:-1]]
    assert told == [name.replace("app:1", "docker.io/library/app:1") if name == "app:1" else name
                    for name in names]
    if not running:
        lar.start()
    for name in names:
        repo, tag = name.split(":")
        assert lar.get(f"/v2/{repo}/manifests/{tag}").status == 200
    refused(lar, [tar(tmp_path / "y.tar", docker_save(image, "127.0.0.1:1/stage/app:dev"))],
            '"upstreams": { "127.0.0.1:1": {} }')


def test_unknown_upstream(lar, tmp_path):
    """The line of the configuration that it takes is told."""
    path = tar(tmp_path / "x.tar", layout((Image([1]), "registry.example.org/app:1")))
    line = refused(lar, [path], "registry.example.org")
    assert "upstreams" in line, line


@pytest.mark.parametrize("words, hint", [
    ([], "import needs a file"),
    (["a.tar", "b.tar", "--name", "x:1"], "--name is for one archive"),
    (["a.tar", "--name", "X"], "--name: "),
])
def test_command_line(lar, words, hint):
    result = load(lar, *words)
    assert result.returncode == 2 and hint in result.stderr, result


def test_hosted_tags_move_only_if_told(lar, tmp_path):
    old, new = Image([1]), Image([2])
    old.push(lar, "stage/app", "dev")
    path = tar(tmp_path / "x.tar", layout((new, "stage/app:dev")))
    refused(lar, [path], "stage/app:dev")
    check_image(lar, old, "stage/app", "dev")
    good(load(lar, path, "--replace"))
    check_image(lar, new, "stage/app", "dev")
    good(load(lar, path))


# --- bad input -----------------------------------------------------------------------------------


def bad(files, tmp_path, **options):
    return tar(tmp_path / "bad.tar", files, **options)


def place_of(path, name, nth=0):
    return f"the archive's entry {name}, at byte {offset_of(path, name, nth)}"


def test_wrong_digest(lar, tmp_path):
    image = Image([1, 2])
    files = layout((image, APP))
    name, right = blob_file(image.layers[1])
    wrong = bytes([right[0] ^ 1]) + right[1:]
    path = bad([(n, wrong if n == name else data) for n, data in files], tmp_path)
    refused(lar, [path], place_of(path, name) + ": its bytes are not those that its name tells")
    assert digest_of(wrong) not in lar.kept()
    assert lar.get("/v2/app/manifests/1").status == 404
    good(load(lar, tar(tmp_path / "x.tar", files)))
    check_image(lar, image, "app", "1")


def test_wrong_config_of_docker_save(lar, tmp_path):
    files = docker_save(Image([1]), "app:1")
    path = bad([(files[0][0], b"{}"), *files[1:]], tmp_path)
    refused(lar, [path], place_of(path, files[0][0]))


@pytest.mark.parametrize("leave", [100, 512, 700, 5_000, -600])
def test_truncated(lar, tmp_path, leave):
    path = tar(tmp_path / "x.tar", layout((Image([1, 2]), APP)))
    size = offset_of(path, "oci-layout") + 512 if leave < 0 else leave
    os.truncate(path, size)
    refused(lar, [path], "at byte ")


@pytest.mark.parametrize("name", ["../x", "blobs/../../x", "/etc/x"])
def test_names_that_lead_out(lar, tmp_path, name):
    path = bad([(name, b"x"), *layout((Image([1]), APP))], tmp_path)
    refused(lar, [path], f"the archive's entry {name}, at byte 0: its name")


@pytest.mark.parametrize("name, target", [("index.json", "/etc/passwd"), ("x", "y"),
                                          ("blobs/sha256/" + 64 * "a", "../../index.json"),
                                          ("a/layer.tar", "../../../etc/passwd")])
def test_links(lar, tmp_path, name, target):
    path = bad([(name, target), *layout((Image([1]), APP))], tmp_path)
    refused(lar, [path], f"the archive's entry {name}, at byte 0: a link")


def test_link_in_a_folder(lar, tmp_path):
    files = layout((Image([1]), APP))
    path = folder(tmp_path / "layout", files)
    os.rename(tmp_path / "layout" / "index.json", tmp_path / "index.json")
    os.symlink(tmp_path / "index.json", tmp_path / "layout" / "index.json")
    refused(lar, [path], "the folder's file index.json: a link")


@pytest.mark.parametrize("name", ["index.json", "oci-layout", None])
def test_entries_that_come_twice(lar, tmp_path, name):
    files = layout((Image([1]), APP))
    again = next(f for f in files if f[0] == name or name is None)
    path = bad([*files, again], tmp_path)
    refused(lar, [path], place_of(path, again[0], 1) + ": it came before")


def test_layout_without_an_index(lar, tmp_path):
    files = [f for f in layout((Image([1]), APP)) if f[0] != "index.json"]
    refused(lar, [bad(files, tmp_path)], "an image layout without index.json")
    refused(lar, [bad(files[:-1], tmp_path)], "nothing tells which images are in it")


def test_layout_of_another_version(lar, tmp_path):
    files = layout((Image([1]), APP))
    path = bad([*files[:-1], ("oci-layout", b'{"imageLayoutVersion":"2.0.0"}')], tmp_path)
    refused(lar, [path], place_of(path, "oci-layout"), "version \"2.0.0\"")


@pytest.mark.parametrize("text, hint", [
    (b"", "index.json"), (b"{", "index.json"), (b'{"schemaVersion":1,"manifests":[]}', "schema 2"),
    (b'{"schemaVersion":2,"manifests":[{"digest":"sha256:1","size":1}]}', "digest"),
    (b'{"schemaVersion":2,"manifests":[]}', "it has no images"),
])
def test_bad_index(lar, tmp_path, text, hint):
    path = bad([*layout((Image([1]), APP))[:-2], ("index.json", text)], tmp_path)
    refused(lar, [path], place_of(path, "index.json"), hint)


@pytest.mark.parametrize("body", [
    b'{"schemaVersion":1,"name":"x","tag":"y","fsLayers":[],"history":[]}',
    b'{"schemaVersion":3}', b"no JSON at all",
])
def test_manifest_of_a_foreign_schema(lar, tmp_path, body):
    image = Image([1])
    image.body, image.digest = body, digest_of(body)
    path = bad(layout((image, APP)), tmp_path)
    refused(lar, [path], place_of(path, blob_file(body)[0]), "app:1")


@pytest.mark.parametrize("which", ["layer", "config", "manifest"])
def test_part_of_an_image_is_missing(lar, tmp_path, which):
    image = Image([1, 2])
    gone = {"layer": image.layers[0], "config": image.config, "manifest": image.body}[which]
    files = [f for f in layout((image, APP)) if f[1] is not gone]
    path = bad(files, tmp_path)
    line = refused(lar, [path], "app:1")
    if which != "manifest":
        assert place_of(path, blob_file(image.body)[0]) in line, line


def test_layer_of_docker_save_is_missing(lar, tmp_path):
    files = docker_save(Image([1]), "app:1")
    path = bad([f for f in files if not f[0].endswith("/layer.tar")], tmp_path)
    refused(lar, [path], place_of(path, "manifest.json"), "/layer.tar, which is not in the archive")


def test_no_archive(lar, tmp_path):
    (tmp_path / "text").write_bytes(noise(5000))
    (tmp_path / "empty").write_bytes(b"")
    refused(lar, [str(tmp_path / "text")], "text: this is no tar archive")
    (tmp_path / "short").write_bytes(b"debian:12\n")
    refused(lar, [str(tmp_path / "short")], "this is no tar archive: it ends at byte 10")
    path = bad([(".dockerenv", b""), ("bin", "usr/bin")], tmp_path)
    refused(lar, [path], "entry bin, at byte ", "`docker export` does not")
    refused(lar, [str(tmp_path / "empty")], "the archive is empty")
    refused(lar, [str(tmp_path / "none")], "none: No such file or directory", status=2)
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz"):
        pass
    refused(lar, [str(tmp_path / "x.tar.gz")], "gzip -dc FILE | larder import -")


def test_huge_entry(lar, tmp_path):
    """Sizes of more than 8 GiB are read as tar has them: here the archive just ends before."""
    name = blob_file(b"", "sha256:" + 64 * "a")[0]
    for format_ in tarfile.GNU_FORMAT, tarfile.PAX_FORMAT:
        path = str(tmp_path / f"{format_}.tar")
        info = tarfile.TarInfo(name)
        info.size = 9 << 30
        with open(path, "wb") as f:
            f.write(info.tobuf(format_) + noise(100_000))
        refused(lar, [path], name, "breaks off")


def test_disk_that_fills(small_disk, larder, tmp_path):
    lar = larder(data=small_disk / "data", config={"cache": {"max_size": "100%", "min_free": 0}})
    image = Image([1, 2, 3], size=1_500_000)
    path = tar(tmp_path / "x.tar", layout((image, APP)))
    fill(small_disk, 4 << 20)
    line = refused(lar, [path], "the archive's entry ", ", at byte ")
    assert any(word in line for word in ("space", "room", "full")), line
    os.unlink(small_disk / "filler")
    good(load(lar, path))
    check_image(lar, image, "app", "1")


# --- bundles -------------------------------------------------------------------------------------


def refused_unkept(lar, words, *hints):
    """Refused, and not a blob was kept."""
    before = lar.kept()
    line = refused(lar, words, *hints)
    assert lar.kept() == before
    return line


@pytest.mark.parametrize("running", [True, False])
def test_bundle(lar, tmp_path, running):
    one, two = Image([1, 2]), Image([1, 3])
    files = bundle([(one, "docker.io/library/one", "1"), (two, "ghcr.io/owner/two", None),
                    (one, "stage/one", "dev")])
    path = tar(tmp_path / "x.tar", files)
    if not running:
        lar.stop()
    text = good(load(lar, path))
    assert text.splitlines()[:3] == [f"docker.io/library/one:1 {one.digest}",
                                     f"ghcr.io/owner/two {two.digest}",
                                     f"stage/one:dev {one.digest}"]
    assert "3 images, 7 new blobs" in text
    if not running:
        lar.start()
    check_image(lar, one, "one", "1")
    check_image(lar, two, "ghcr.io/owner/two", two.digest)
    check_image(lar, one, "stage/one", "dev")
    assert "0 new blobs (0 B), 7 blobs that were here" in good(load(lar, path))


def test_bundle_in_a_folder(lar, tmp_path):
    """It may hold more than its list tells of, which counts for nothing."""
    image = Image([1, 2])
    path = folder(tmp_path / "x", [*bundle([(image, "docker.io/library/app", "1")]),
                                   blob_file(b"left over")])
    assert "4 new blobs" in good(load(lar, path))
    check_image(lar, image, "app", "1")
    assert digest_of(b"left over") not in lar.kept()
    os.unlink(tmp_path / "x" / blob_file(image.config)[0])
    refused(lar, [path], "1 of the 4 blobs of larder/list is not in it; the first is "
            + digest_of(image.config))


def test_bundle_packed_anew(lar, tmp_path):
    """Blobs may come in any order, behind the list."""
    image = Image([1, 2])
    files = bundle([(image, "docker.io/library/app", "1")])
    good(load(lar, tar(tmp_path / "x.tar", files[:3] + files[:2:-1])))
    check_image(lar, image, "app", "1")


def test_delta(lar, tmp_path):
    base, new = Image([1, 2]), Image([1, 3])
    changed = [new.layers[1], new.config, new.body]
    files = bundle([(new, "docker.io/library/app", "1")], changed, needs=[new.layers[0]],
                   stands_on="sha256:" + 64 * "5")
    path = tar(tmp_path / "delta.tar", files)
    before, kept = visible(lar), lar.kept()
    result = load(lar, path)
    lines = result.stderr.strip().split("\n")
    assert result.returncode == 1 and result.stdout == ""
    assert lines[:-1] == ["missing " + digest_of(new.layers[0])]
    assert "1 of the 1 blob that it needs is not here" in lines[-1]
    assert "made against sha256:5555" in lines[-1]
    assert visible(lar) == before and lar.kept() == kept
    good(load(lar, tar(tmp_path / "base.tar", bundle([(base, "docker.io/library/app", "1")]))))
    assert "3 new blobs" in good(load(lar, path))
    check_image(lar, new, "app", "1")


def test_base_and_delta_at_once(lar, tmp_path):
    base, new = Image([1, 2]), Image([1, 3])
    changed = [new.layers[1], new.config, new.body]
    paths = [tar(tmp_path / "base.tar", bundle([(base, "docker.io/library/app", "1")])),
             tar(tmp_path / "delta.tar", bundle([(new, "docker.io/library/app", "1")], changed,
                                                needs=[new.layers[0]]))]
    good(load(lar, *paths))
    check_image(lar, new, "app", "1")


def test_names_are_checked_first(lar, tmp_path):
    image, old = Image([1]), Image([2])
    path = tar(tmp_path / "x.tar", bundle([(image, "registry.example.org/app", "1")]))
    assert "upstreams" in refused_unkept(lar, [path], "registry.example.org")
    path = tar(tmp_path / "z.tar", bundle([(image, "team/app", "1")]))
    assert '"hosted": {' in refused_unkept(lar, [path], "team/app")
    old.push(lar, "stage/app", "dev")
    path = tar(tmp_path / "y.tar", bundle([(image, "stage/app", "dev")]))
    refused_unkept(lar, [path], "stage/app:dev")
    refused_unkept(lar, [path, "--name", "x:1"], "the images of a bundle have their names")


def test_blob_that_is_not_on_the_list(lar, tmp_path):
    image = Image([1])
    files = bundle([(image, "docker.io/library/app", "1")])
    for extra in (Image([7]).layers[0], b""):
        path = tar(tmp_path / "x.tar", [*files[:3], blob_file(extra), *files[3:]])
        refused_unkept(lar, [path], place_of(path, blob_file(extra)[0]), "not in larder/list")


def test_blob_of_another_size(lar, tmp_path):
    image = Image([1])
    files = bundle([(image, "docker.io/library/app", "1")])
    path = tar(tmp_path / "x.tar", [*files[:3], (files[3][0], files[3][1] + b"x"), *files[4:]])
    refused_unkept(lar, [path], place_of(path, files[3][0]), "and larder/list says")


def test_list_that_comes_late(lar, tmp_path):
    files = bundle([(Image([1]), "docker.io/library/app", "1")])
    path = tar(tmp_path / "x.tar", [files[1], files[0], *files[2:]])
    refused_unkept(lar, [path], place_of(path, "larder/list"), "it must stand at the beginning")


@pytest.mark.parametrize("change, hint", [
    (lambda text: text.replace(b"bundle 1", b"bundle 2"), "version"),
    (lambda text: text[:-1], "larder/list"),
    (lambda text: b"x", "larder/list"),
    (lambda text: text + text.splitlines(True)[-1], "byte"),
])
def test_bad_list(lar, tmp_path, change, hint):
    files = bundle([(Image([1]), "docker.io/library/app", "1")])
    path = tar(tmp_path / "x.tar", [(files[0][0], change(files[0][1])), *files[1:]])
    refused_unkept(lar, [path], place_of(path, "larder/list"), hint)


# --- trust ---------------------------------------------------------------------------------------


def test_signed_bundle(lar, tmp_path):
    image, key, other = Image([1]), Key(tmp_path / "key"), Key(tmp_path / "other")
    path = tar(tmp_path / "x.tar", bundle([(image, "docker.io/library/app", "1")], key=key))
    refused_unkept(lar, [path, "--trust", other.public], "signed by key " + key.name)
    good(load(lar, path, "--trust", other.public, "--trust", key.public))
    check_image(lar, image, "app", "1")
    good(load(lar, path))


def test_unsigned_archives(lar, tmp_path):
    image, key = Image([1]), Key(tmp_path / "key")
    archives = {"bundle.tar": bundle([(image, "docker.io/library/app", "1")]),
                "layout.tar": layout((image, APP)), "docker.tar": docker_save(image, "app:1")}
    for name, files in archives.items():
        path = tar(tmp_path / name, files)
        refused_unkept(lar, [path, "--trust", key.public], "--trust wants a signature")


def test_list_that_was_altered(lar, tmp_path):
    image, key = Image([1]), Key(tmp_path / "key")
    files = bundle([(image, "docker.io/library/app", "1")], key=key)
    altered = files[0][1].replace(b"app 1 ", b"app 2 ")
    path = tar(tmp_path / "x.tar", [(files[0][0], altered), *files[1:]])
    refused_unkept(lar, [path, "--trust", key.public], place_of(path, "larder/list.sig"),
                   "the signature of larder/list is wrong")
    path = tar(tmp_path / "y.tar", [files[0], (files[1][0], b"nonsense"), *files[2:]])
    refused_unkept(lar, [path, "--trust", key.public], "is no signature")


def test_blob_that_was_altered(lar, tmp_path):
    image, key = Image([1]), Key(tmp_path / "key")
    files = bundle([(image, "docker.io/library/app", "1")], key=key)
    name, right = blob_file(image.layers[0])
    wrong = bytes([right[0] ^ 1]) + right[1:]
    path = tar(tmp_path / "x.tar", [(n, wrong if n == name else data) for n, data in files])
    refused(lar, [path, "--trust", key.public], place_of(path, name))
    assert not {digest_of(wrong), digest_of(right)} & lar.kept()


@pytest.mark.parametrize("text", [b"", b"no key"])
def test_key_that_is_none(lar, tmp_path, text):
    (tmp_path / "key").write_bytes(text)
    result = load(lar, "x.tar", "--trust", str(tmp_path / "key"))
    assert result.returncode == 2 and "--trust: " in result.stderr, result


# --- broken off ----------------------------------------------------------------------------------


def test_goes_on_where_it_was(lar, tmp_path):
    """It is killed while it waits for more of the archive; what it took stays."""
    image = Image([1, 2, 3], size=200_000)
    path = tar(tmp_path / "x.tar", layout((image, APP)))
    with open(path, "rb") as f:
        data = f.read()
    half = sorted(offset_of(path, blob_file(blob)[0]) for blob in blobs_of(image))[3] + 1000
    with subprocess.Popen([PROGRAM, "import", "-", "--data", lar.data], stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL) as process:
        process.stdin.write(data[:half])
        process.stdin.flush()
        lar.wait_counter("blobs_stored", 3)
        process.send_signal(signal.SIGKILL)
    assert lar.get("/v2/app/manifests/1").status == 404
    text = good(load(lar, path))
    assert "2 new blobs" in text and "3 blobs that were here" in text
    check_image(lar, image, "app", "1")


@pytest.mark.parametrize("running", [True, False])
def test_killed_at_random_moments(lar, tmp_path, running):
    """At 20 places of the archive, with the server or as one; what is visible is always whole."""
    images = [Image([1, n], size=100_000) for n in range(2, 12)]
    path = tar(tmp_path / "x.tar", layout(*((image, f"docker.io/library/x:{n}")
                                            for n, image in enumerate(images))))
    with open(path, "rb") as f:
        data = f.read()
    if not running:
        lar.stop()
    chance = random.Random(74)
    for _ in range(20):
        with subprocess.Popen([PROGRAM, "import", "-", "--data", lar.data], stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL) as process:
            process.stdin.write(data[:chance.randrange(len(data))])
            process.stdin.flush()
            process.kill()
        if running:
            check_whole_or_unknown(lar, images)
    text = good(load(lar, path))
    assert "10 images" in text and " 0 blobs that were here" not in text
    if not running:
        lar.start()
    for n, image in enumerate(images):
        check_image(lar, image, "x", str(n))


def check_whole_or_unknown(lar, images):
    for n, image in enumerate(images):
        if lar.get(f"/v2/x/manifests/{n}").status != 404:
            check_image(lar, image, "x", str(n))


# --- memory --------------------------------------------------------------------------------------


@pytest.mark.skipif(VARIANT != "release", reason="sanitizers keep what is freed")
def test_memory_does_not_grow_with_the_archive(lar, tmp_path):
    """Neither with an index of many entries nor with a large blob; the engine is the command's."""
    image = Image([1])
    image.layers = [noise(60_000_000)]
    image.manifest["layers"] = [{"mediaType": LAYER, "digest": digest_of(image.layers[0]),
                                 "size": len(image.layers[0])}]
    image.body = json.dumps(image.manifest).encode()
    image.digest = digest_of(image.body)
    entries = [entry(image, f"docker.io/library/x:{n}") for n in range(1000)]
    entries += [{**entry(image), "annotations": {"unknown": "x" * 40_000}, "digest": image.digest}
                for n in range(1000)]
    path = tar(tmp_path / "x.tar", [*map(blob_file, blobs_of(image)), index_json(*entries),
                                    LAYOUT_VERSION])
    lar.stop()
    peak = 0
    with subprocess.Popen([PROGRAM, "import", path, "--data", lar.data], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, anonymous(process.pid))
    assert process.returncode == 0 and 0 < peak < 32 << 20, peak


def anonymous(pid):
    """Bytes of memory that are the process's own; 0 when it has ended."""
    with open(f"/proc/{pid}/status") as file:
        return next((int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon")), 0)
