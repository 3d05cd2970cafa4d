"""Archives of images, as tools write them, made by Python's tarfile."""
import base64
import hashlib
import io
import json
import os
import subprocess
import tarfile

from registry import INDEX, MANIFEST, digest_of

LAYOUT_VERSION = ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def blob_file(data, digest=None):
    """Name and bytes of a blob in a layout."""
    return "blobs/" + (digest or digest_of(data)).replace(":", "/"), data


def entry(image, name=None, ref=None, **more):
    notes = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": ref}
    notes = {key: text for key, text in notes.items() if text}
    return {"mediaType": MANIFEST, "digest": image.digest, "size": len(image.body),
            **({"annotations": notes} if notes else {}), **more}


def index_json(*entries):
    text = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    return "index.json", text.encode()


def blobs_of(*images):
    """The blobs of images, each once, in the order of digests."""
    found = {digest_of(blob): blob for image in images
             for blob in (image.body, image.config, *image.layers)}
    return [found[digest] for digest in sorted(found)]


def layout(*images):
    """The files of a layout; images are (image, name)."""
    blobs = blobs_of(*(image for image, _ in images))
    return [*map(blob_file, blobs),
            index_json(*(entry(image, name) for image, name in images)), LAYOUT_VERSION]


def docker_save(image, *tags):
    """As docker save of 20.10 writes it: the digests of layers stand nowhere, and a layer that was
    there before is a link."""
    config = digest_of(image.config)[7:] + ".json"
    files, names, seen = [(config, image.config)], [], {}
    for n, layer in enumerate(image.layers):
        names.append(f"{n:064x}/layer.tar")
        files += [(f"{n:064x}/VERSION", b"1.0"), (f"{n:064x}/json", b"{}")]
        if layer in seen:
            files.append((names[-1], "../" + seen[layer]))
        else:
            files.append((names[-1], layer))
            seen[layer] = names[-1]
    listed = json.dumps([{"Config": config, "RepoTags": list(tags) or None, "Layers": names}])
    return [*files, ("manifest.json", listed.encode()), ("repositories", b"{}")]


def list_text(images, blobs, needs=(), stands_on=None):
    """larder/list; images are (image, name, tag or None), blobs and needs are bytes."""
    lines = ["larder-bundle 1"]
    lines += [f"stands-on {stands_on}"] if stands_on else []
    lines += sorted(f"image {name} {tag or '-'} {image.digest} {len(image.body)} {MANIFEST}"
                    for image, name, tag in images)
    for word, datas in ("needs", needs), ("blob", blobs):
        lines += sorted(f"{word} {digest_of(data)} {len(data)}" for data in datas)
    return "".join(line + "\n" for line in lines).encode()


def bundle(images, blobs=None, needs=(), key=None, **more):
    """The files of a bundle; images are (image, name, tag or None). Signed where a key is given."""
    if blobs is None:
        blobs = blobs_of(*(image for image, _, _ in images))
    text = list_text(images, blobs, needs, **more)
    signature = [("larder/list.sig", key.sign(text))] if key else []
    return [("larder/list", text), *signature, LAYOUT_VERSION,
            index_json(*(entry(image, f"{name}:{tag}") for image, name, tag in images)),
            *map(blob_file, blobs)]


class Key:
    """A pair of keys, made and used by OpenSSL's command."""

    def __init__(self, path):
        self.private, self.public = f"{path}.pem", f"{path}.pub"
        openssl("genpkey", "-algorithm", "ed25519", "-out", self.private)
        openssl("pkey", "-in", self.private, "-pubout", "-out", self.public)
        der = openssl("pkey", "-in", self.private, "-pubout", "-outform", "DER")
        self.name = hashlib.sha256(der).hexdigest()[:16]

    def sign(self, text):
        """larder/list.sig of a list."""
        said = self.private + ".said"
        with open(said, "wb") as f:
            f.write(b"larder bundle list 1\n" + hashlib.sha512(text).digest())
        signature = openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.private, "-in", said)
        return b"ed25519 %s %s\n" % (self.name.encode(), base64.b64encode(signature))


def openssl(*words):
    return subprocess.run(["openssl", *words], check=True, capture_output=True).stdout


def tar(path, files, **options):
    """Writes the files; content that is a string is where a symbolic link leads. Returns path."""
    with tarfile.open(path, "w", **options) as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return str(path)


def folder(path, files):
    for name, content in files:
        whole = os.path.join(path, name)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, "wb") as f:
            f.write(content)
    return str(path)


def offset_of(path, name, nth=0):
    """Where the header of the entry is, the nth of that name."""
    with tarfile.open(path) as archive:
        return [member.offset for member in archive if member.name == name][nth]
