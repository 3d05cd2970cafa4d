"""Images made on the spot: layers of tar and gzip, manifests in Docker's form or the OCI's."""
import gzip
import hashlib
import io
import json
import os
import platform
import random
import tarfile

OCI = {"index": "application/vnd.oci.image.index.v1+json",
       "manifest": "application/vnd.oci.image.manifest.v1+json",
       "config": "application/vnd.oci.image.config.v1+json",
       "layer": "application/vnd.oci.image.layer.v1.tar+gzip"}
DOCKER = {"index": "application/vnd.docker.distribution.manifest.list.v2+json",
          "manifest": "application/vnd.docker.distribution.manifest.v2+json",
          "config": "application/vnd.docker.container.image.v1+json",
          "layer": "application/vnd.docker.image.rootfs.diff.tar.gzip"}
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
FOREIGN = "s390x"
BUSYBOX = "/bin/busybox"


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layer:
    """One layer: its compressed bytes, in memory or in a file, and the digest of the tar in it."""

    def __init__(self, tar=None, packed=None, diff_id=None):
        self.packed = packed if packed is not None else gzip.compress(tar, 1, mtime=0)
        self.diff_id = diff_id or digest_of(tar)
        self.digest, self.size = digest_of(self.packed), len(self.packed)


def layer_of(files):
    """A layer of {path: bytes, or a text, which is where a link points to}."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted({os.path.dirname(p) for p in files} - {""}):
            folder = tarfile.TarInfo(path)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.mode = 0o755
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return Layer(out.getvalue())


class Image:
    """A manifest and all it names. `blobs` are its config and layers, `children` its images."""

    def __init__(self, body, media_type, blobs=(), children=()):
        self.body, self.media_type = body, media_type
        self.digest, self.size = digest_of(body), len(body)
        self.blobs, self.children = dict(blobs), list(children)

    def here(self):
        """The image that a client of this machine takes."""
        return self.children[0] if self.children else self

    def documents(self):
        """How many manifests such a client needs."""
        return 2 if self.children else 1


def image_of(layers, form=OCI, architecture=ARCHITECTURE, **run):
    config = json.dumps({
        "architecture": architecture, "os": "linux", "created": "2020-01-01T00:00:00Z",
        "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], **run},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": "2020-01-01T00:00:00Z", "created_by": "test"} for _ in layers],
    }).encode()
    blobs = {layer.digest: layer.packed for layer in layers}
    blobs[digest_of(config)] = config
    manifest = {
        "schemaVersion": 2, "mediaType": form["manifest"],
        "config": {"mediaType": form["config"], "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": form["layer"], "digest": layer.digest, "size": layer.size}
                   for layer in layers]}
    image = Image(json.dumps(manifest, indent=2).encode(), form["manifest"], blobs)
    image.architecture = architecture
    return image


def config_of(image):
    return json.loads(image.blobs[json.loads(image.body)["config"]["digest"]])


def diff_ids(image):
    return config_of(image)["rootfs"]["diff_ids"]


def extended(image, layer):
    """An image with one more layer."""
    listed = json.loads(image.body)["layers"]
    below = [Layer(packed=image.blobs[each["digest"]], diff_id=diff_id)
             for each, diff_id in zip(listed, diff_ids(image))]
    return image_of(below + [layer])


def index_of(images, form=OCI):
    body = {"schemaVersion": 2, "mediaType": form["index"], "manifests": [
        {"mediaType": image.media_type, "digest": image.digest, "size": image.size,
         "platform": {"os": "linux", "architecture": image.architecture}} for image in images]}
    return Image(json.dumps(body, indent=2).encode(), form["index"], children=images)


def archive_of(image, name, path):
    """Writes an image for one machine as the file that `docker save` makes of it since 25.

    That is an OCI layout and what docker itself reads besides, so every client can load it.
    """
    manifest = json.loads(image.body)
    files = {blob_path(digest): content for digest, content in image.blobs.items()}
    files[blob_path(image.digest)] = image.body
    files["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
    files["index.json"] = json.dumps({
        "schemaVersion": 2, "mediaType": OCI["index"], "manifests": [
            {"mediaType": image.media_type, "digest": image.digest, "size": image.size,
             "annotations": {"io.containerd.image.name": name,
                             "org.opencontainers.image.ref.name": name.rsplit(":", 1)[1]}}],
    }).encode()
    files["manifest.json"] = json.dumps([
        {"Config": blob_path(manifest["config"]["digest"]), "RepoTags": [name],
         "Layers": [blob_path(layer["digest"]) for layer in manifest["layers"]]}]).encode()
    with tarfile.open(path, "w") as tar:
        for member, content in files.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def blob_path(digest):
    return "blobs/" + digest.replace(":", "/")


def busybox_layer():
    with open(BUSYBOX, "rb") as f:
        program = f.read()
    links = {f"bin/{name}": "busybox" for name in ("sh", "cat", "echo", "ls", "cp", "sha256sum")}
    return layer_of({"bin/busybox": program, **links, "etc/passwd": b"root:x:0:0::/:/bin/sh\n"})


def motd(name):
    """A small layer by which a test can tell that it runs this image."""
    return layer_of({"etc/motd": f"this is {name}\n".encode()})


def samples():
    """What the upstreams hold, as {upstream: {repository: {tag: image}}}, but for golang."""
    base = busybox_layer()
    noise = random.Random(2)
    foreign = image_of([motd("another machine's")], DOCKER, FOREIGN)
    # Above 10 MiB, to which docker pays more attention than to smaller ones; see test_base.py.
    large = layer_of({"data/large": noise.randbytes(12 << 20)})
    # Above 256 KiB each, so that they are streamed while they are fetched.
    many = [layer_of({f"data/{i}": noise.randbytes(400 << 10)}) for i in range(8)]
    return {
        "docker.io": {
            "library/busybox": {"1": index_of([image_of([base, motd("busybox")], DOCKER), foreign],
                                              DOCKER)},
            "library/layers": {"1": image_of([base, motd("layers")] + many, DOCKER)},
            "library/base": {"1": image_of([base, large, motd("base")], DOCKER)},
            "someone/plain": {"1": image_of([base, motd("plain")], DOCKER)},
        },
        "ghcr.io": {
            "owner/app": {"1": index_of([image_of([base, motd("app")]),
                                         image_of([motd("another's")], OCI, FOREIGN)])},
            "owner/team/tool": {"2": image_of([base, motd("tool")])},
        },
    }
