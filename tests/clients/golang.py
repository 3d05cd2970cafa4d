"""The image golang:1.18: Debian with its own Go, as mmdebstrap makes it.

That takes most of a minute and the network, so it is kept from run to run in build/cache, or below
$XDG_CACHE_HOME, for as long as what is said here is the same.
"""
import gzip
import hashlib
import json
import os
import shutil
import tarfile

from images import Image, Layer, digest_of, image_of
from place import PATIENCE, TOP

# What neither a build nor a test nor a vet of a program without C needs is most of it.
LEFT_OUT = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*",
            "/usr/lib/*/gconv/*", "/usr/lib/go-*/pkg/*/cmd/*",
            "/usr/share/go-*/test/*", "/usr/share/go-*/api/*",
            "/usr/share/go-*/src/cmd/*", "/usr/share/go-*/src/*_test.go",
            "/usr/share/go-*/src/*/testdata/*", "/usr/share/go-*/src/*.syso"]
LEFT_OUT += [f"/usr/lib/go-*/pkg/tool/*/{tool}" for tool in
             ("addr2line", "api", "cgo", "cover", "dist", "doc", "fix", "nm", "objdump", "pprof",
              "trace")]
MADE = ["mmdebstrap", "--quiet", "--variant=essential", "--include=usr-is-merged,golang-go",
        "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
        *[f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT], "bookworm"]
# Two layers, as the official image has several: the system, and Go in it.
GO = ("./usr/lib/go", "./usr/share/go", "./usr/bin/go")


def folder():
    base = os.environ.get("XDG_CACHE_HOME")
    base = os.path.join(base, "larder-tests") if base else os.path.join(TOP, "build/cache")
    with open(__file__, "rb") as f:
        recipe = hashlib.sha256(f.read()).hexdigest()[:16]
    return os.path.join(base, "golang-" + recipe)


def split(rootfs, into):
    """Packs the tar of a root into two layers; returns them as files of `into`."""
    packed = [os.path.join(into, name) for name in ("system", "go")]
    with tarfile.open(rootfs) as whole:
        files = [gzip.GzipFile(path, "wb", 1, mtime=0) for path in packed]
        tars = [tarfile.open(fileobj=f, mode="w|", format=tarfile.PAX_FORMAT) for f in files]
        for entry in whole:
            if not entry.name.startswith("./dev/"):
                tars[entry.name.startswith(GO)].addfile(
                    entry, whole.extractfile(entry) if entry.isreg() else None)
        for closing in tars + files:
            closing.close()
    return packed


def file_digest(path, opener=open):
    with opener(path, "rb") as f:
        return "sha256:" + hashlib.file_digest(f, "sha256").hexdigest()


def build(place, where):
    """Makes the image below `where`: blobs by digest, and `image.json`."""
    unfinished = where + ".new"
    shutil.rmtree(unfinished, ignore_errors=True)
    os.makedirs(unfinished)
    rootfs = os.path.join(place.env["TMPDIR"], "golang.tar")
    with place.outside():
        place.run(*MADE, rootfs, seconds=5 * PATIENCE, env=os.environ)
    layers, names = [], {}
    for path in split(rootfs, unfinished):
        layer = Layer(packed=b"", diff_id=file_digest(path, gzip.open))
        layer.digest, layer.size = file_digest(path), os.path.getsize(path)
        names[layer.digest] = os.path.basename(path)
        layers.append(layer)
    os.unlink(rootfs)
    image = image_of(layers, Cmd=["bash"], WorkingDir="/go",
                     Env=["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                          "GOPATH=/go"])
    config = next(d for d in image.blobs if d not in names)
    with open(os.path.join(unfinished, "image.json"), "w", encoding="utf-8") as f:
        json.dump({"manifest": image.body.decode(), "type": image.media_type, "files": names,
                   "config": image.blobs[config].decode()}, f)
    os.rename(unfinished, where)


def image(place):
    """The image, made where it is not kept."""
    where = folder()
    if not os.path.exists(where):
        build(place, where)
    with open(os.path.join(where, "image.json"), encoding="utf-8") as f:
        kept = json.load(f)
    blobs = {digest: os.path.join(where, name) for digest, name in kept["files"].items()}
    config = kept["config"].encode()
    return Image(kept["manifest"].encode(), kept["type"], {digest_of(config): config, **blobs})
