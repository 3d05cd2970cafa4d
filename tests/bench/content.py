"""What is served: random blobs and one image, as files in the shape of a registry."""
import hashlib
import json
import os
import shutil

MIB = 1024 * 1024
REPOSITORY = "bench/image"
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"


class Blob:
    def __init__(self, digest, size, file):
        self.digest, self.size, self.file = digest, size, file

    @property
    def path(self):
        return f"/v2/{REPOSITORY}/blobs/{self.digest}"


class Image:
    """A manifest with its tag, its config and its layers."""

    def __init__(self, tag, manifest, config, layers):
        self.tag, self.manifest, self.config, self.layers = tag, manifest, config, layers

    @property
    def tag_path(self):
        return f"/v2/{REPOSITORY}/manifests/{self.tag}"

    @property
    def digest_path(self):
        return f"/v2/{REPOSITORY}/manifests/{self.manifest.digest}"


class Content:
    """The tree under `root`. Blobs are made when first asked for, and kept for the next run."""

    def __init__(self, root):
        self.root = root
        self.blob_dir = os.path.join(root, "v2", REPOSITORY, "blobs")
        self.manifest_dir = os.path.join(root, "v2", REPOSITORY, "manifests")
        self.names = os.path.join(root, "names.json")
        self.tags = {}
        os.makedirs(self.blob_dir, exist_ok=True)
        shutil.rmtree(self.manifest_dir, ignore_errors=True)
        os.makedirs(self.manifest_dir)

    def _known(self):
        try:
            with open(self.names, encoding="ascii") as f:
                return json.load(f)
        except FileNotFoundError:
            return {}

    def blob(self, name, size):
        """A blob of `size` random bytes, the same for the same name and size."""
        key, known = f"{name}-{size}", self._known()
        if key in known:
            file = os.path.join(self.blob_dir, known[key])
            if os.path.exists(file) and os.path.getsize(file) == size:
                return Blob(known[key], size, file)
        blob = self._write_random(size)
        known[key] = blob.digest
        with open(self.names, "w", encoding="ascii") as f:
            json.dump(known, f)
        return blob

    def _write_random(self, size):
        temporary = os.path.join(self.blob_dir, "new")
        digest = hashlib.sha256()
        with open(temporary, "wb") as f:
            for at in range(0, size, MIB):
                piece = os.urandom(min(MIB, size - at))
                digest.update(piece)
                f.write(piece)
        return self._take(temporary, "sha256:" + digest.hexdigest(), size)

    def _take(self, temporary, digest, size):
        file = os.path.join(self.blob_dir, digest)
        os.rename(temporary, file)
        return Blob(digest, size, file)

    def _bytes(self, data):
        temporary = os.path.join(self.blob_dir, "new")
        with open(temporary, "wb") as f:
            f.write(data)
        return self._take(temporary, "sha256:" + hashlib.sha256(data).hexdigest(), len(data))

    def image(self, tag, layers, layer_size):
        config = self._bytes(json.dumps({
            "architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": []}, "history": [],
            "x": [tag] * 64}).encode())
        blobs = [self.blob(f"{tag}-layer{i}", layer_size) for i in range(layers)]
        gzip = "application/vnd.docker.image.rootfs.diff.tar.gzip"
        body = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json",
                       "size": config.size, "digest": config.digest},
            "layers": [{"mediaType": gzip, "size": b.size, "digest": b.digest} for b in blobs],
        }, indent=2).encode()
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        for reference in (tag, digest):
            with open(os.path.join(self.manifest_dir, reference), "wb") as f:
                f.write(body)
        self.tags[tag] = digest
        file = os.path.join(self.manifest_dir, digest)
        return Image(tag, Blob(digest, len(body), file), config, blobs)

    def nginx_tags(self):
        """Lines for nginx's map from path to digest."""
        return "\n        ".join(f"/v2/{REPOSITORY}/manifests/{tag} {digest};"
                                 for tag, digest in self.tags.items())
