"""The index counted again: what its tables say must be what the manifests' own bytes say.

    found = Index(data_directory)      # of a server that is stopped
    found.check()                      # both directions of each relation, references, sums, files
    found.check_held()                 # and no byte that nobody holds

How records are written is known to src/store/record.c; here it is read from outside a second time.
"""
import hashlib
import json
import os
import struct

from lmdbfile import Tables
from registry import CONFIG, INDEX, MANIFEST

ALGORITHMS = {1: ("sha256", 32), 2: ("sha512", 64)}
CHILD_MANIFEST, CHILD_CONFIG, CHILD_LAYER, CHILD_BLOB, CHILD_REFERRER = range(5)
MIRRORED, HOSTED = 1, 2
TAG, WAY_BACK = 1, 4
CLASS_MANIFEST = 1
PUSHED = 3
PINNED, SYNCED = 1, 2
HASHED = 0xff
MANIFESTS = (MANIFEST, INDEX, "application/vnd.docker.distribution.manifest.v2+json",
             "application/vnd.docker.distribution.manifest.list.v2+json")


class Fields:
    """Takes fields off the front of a key or a value."""

    def __init__(self, data, versioned=True):
        self.data = data
        if versioned:
            version = self.take("B")
            assert version == 1, f"a record of version {version}"

    def take(self, form):
        size = struct.calcsize("<" + form)
        value = struct.unpack("<" + form, self.data[:size])[0]
        self.data = self.data[size:]
        return value

    def big(self):
        value = int.from_bytes(self.data[:8], "big")
        self.data = self.data[8:]
        return value

    def digest(self):
        name, size = ALGORITHMS[self.data[0]]
        text = f"{name}:{self.data[1:1 + size].hex()}"
        self.data = self.data[1 + size:]
        return text

    def text(self):
        size = self.take("H")
        text, self.data = self.data[:size].decode(), self.data[size:]
        return text


def read_tag(key, value):
    """(repository, kind, reference) and the digest."""
    k, v = Fields(key, versioned=False), Fields(value)
    repo, kind = k.big(), k.take("B")
    digest = v.digest()
    v.take("Q"), v.take("Q")
    for _ in range(v.take("B")):
        v.digest(), v.take("Q"), v.take("Q")
    reference = v.text()
    if k.data[:1] != bytes([HASHED]):
        reference = k.data.decode()
    return (repo, kind, reference), digest


class Index:
    """All tables of a data directory, as sets and dictionaries."""

    def __init__(self, data):
        self.data = data
        with Tables(os.path.join(data, "index")) as tables:
            self.repos = {}  # id: (kind, name)
            for key, value in tables.items("repos"):
                if key[0] == 0:
                    v = Fields(value)
                    number, kind = v.take("Q"), v.take("B")
                    self.repos[number] = (kind, v.text())
            self.blobs = {}  # digest: (class, flags, size)
            for key, value in tables.items("blobs"):
                v = Fields(value)
                self.blobs[Fields(key, False).digest()] = (v.take("B"), v.take("B"), v.take("Q"))
            self.members = {}  # (repo, digest): (proof, kind, size)
            for key, value in tables.items("members"):
                k, v = Fields(key, False), Fields(value)
                self.members[k.big(), k.digest()] = (v.take("B"), v.take("B"), v.take("Q"))
            self.holders = set()
            for key in tables.keys("holders"):
                k = Fields(key, False)
                digest = k.digest()
                self.holders.add((k.big(), digest))
            self.tags = dict(read_tag(key, value) for key, value in tables.items("tags"))
            self.refs = {}  # (parent, child): (kind, size)
            for key, value in tables.items("refs"):
                k, v = Fields(key, False), Fields(value)
                self.refs[k.digest(), k.digest()] = (v.take("B"), v.take("Q"))
            self.parents = set()
            for key in tables.keys("parents"):
                k = Fields(key, False)
                child = k.digest()
                self.parents.add((k.digest(), child))
            self.totals = self.read_totals(dict(tables.items("meta"))[b"totals"])

    @staticmethod
    def read_totals(value):
        v = Fields(value)
        return [(v.take("Q"), v.take("Q")) for _ in range(v.take("B"))]

    def file_of(self, digest):
        algorithm, _, text = digest.partition(":")
        return os.path.join(self.data, "blobs", algorithm, text[:2], text[2:])

    def hosted(self):
        return {number for number, (kind, _) in self.repos.items() if kind == HOSTED}

    # --- what must hold --------------------------------------------------------------------------

    def check(self):
        assert set(self.members) == self.holders, set(self.members) ^ self.holders
        assert set(self.refs) == self.parents, set(self.refs) ^ self.parents
        self.check_tags()
        self.check_members()
        self.check_refs()
        self.check_totals()

    def check_tags(self):
        """Each tag of a hosted repository is found by its digest, which is a manifest there."""
        hosted = self.hosted()
        there = {(repo, reference, digest) for (repo, kind, reference), digest in self.tags.items()
                 if kind == TAG and repo in hosted}
        back = {(repo, reference.split(" ", 1)[1], digest)
                for (repo, kind, reference), digest in self.tags.items() if kind == WAY_BACK}
        assert there == back, there ^ back
        for (repo, kind, reference), digest in self.tags.items():
            if kind == WAY_BACK:
                assert reference.split(" ", 1)[0] == digest, (reference, digest)
        for repo, tag, digest in there:
            member = self.members.get((repo, digest))
            assert member and member[1] == CHILD_MANIFEST, (self.repos[repo], tag, digest, member)

    def check_members(self):
        """What a hosted repository has is here, of the size that it says, and on disk for good."""
        hosted = self.hosted()
        for (repo, digest), (proof, _, size) in self.members.items():
            assert repo in self.repos, (repo, digest)
            if repo not in hosted:
                continue
            name = (self.repos[repo][1], digest)
            assert proof == PUSHED, (name, proof)
            assert digest in self.blobs, f"{name} is not here"
            _, flags, here = self.blobs[digest]
            assert here == size == os.path.getsize(self.file_of(digest)), (name, here, size)
            assert flags & SYNCED, f"{name} is not synced"

    def check_refs(self):
        """References are those that the bodies of the manifests that are here give, no more."""
        expected = {}
        for digest, (kind, _, _) in self.blobs.items():
            if kind == CLASS_MANIFEST:
                expected.update(self.refs_of(digest))
        less = {pair: value for pair, value in expected.items() if self.refs.get(pair) != value}
        more = {pair: value for pair, value in self.refs.items() if pair not in expected}
        assert not less, f"{len(less)} references are missing or wrong: {list(less.items())[:4]}"
        assert not more, f"{len(more)} references have no manifest: {list(more.items())[:4]}"

    def refs_of(self, digest):
        with open(self.file_of(digest), "rb") as file:
            data = file.read()
        algorithm, _, text = digest.partition(":")
        assert hashlib.new(algorithm, data).hexdigest() == text, digest
        body = json.loads(data)
        found = {}
        if "config" in body:
            found[digest, body["config"]["digest"]] = (CHILD_CONFIG, body["config"]["size"])
        for child in body.get("layers", []):
            found[digest, child["digest"]] = (CHILD_LAYER, child["size"])
        for child in body.get("manifests", []):
            kind = CHILD_MANIFEST if child["mediaType"] in MANIFESTS else \
                CHILD_CONFIG if child["mediaType"] == CONFIG else CHILD_BLOB
            found[digest, child["digest"]] = (kind, child["size"])
        if "subject" in body:
            found[body["subject"]["digest"], digest] = (CHILD_REFERRER, len(data))
        return found

    def check_totals(self):
        counted = [[0, 0] for _ in self.totals]
        for kind, _, size in self.blobs.values():
            counted[kind][0] += size
            counted[kind][1] += 1
        assert [tuple(pair) for pair in counted] == self.totals, (counted, self.totals)

    def check_held(self):
        """Nothing is left that no repository has; pins aside."""
        held = {digest for _, digest in self.members}
        left = {digest for digest, (_, flags, _) in self.blobs.items()
                if digest not in held and not flags & PINNED}
        assert not left, f"{len(left)} blobs are held by nobody: {sorted(left)[:4]}"
