"""What clients do to push, in the ways that they do it.

    at = begin(lar)                          # the location of a new session
    digest = put_blob(lar, b"...")           # POST and PUT; `push(lar, how, data)` knows all ways
    image = put_image(lar, "1", [b"..."])    # as registry.Registry.add_image() makes them
    reply = put_manifest(lar, "1", {...})    # by a tag or a digest
"""
import hashlib
import json
import urllib.parse

from registry import CONFIG, INDEX, LAYER, MANIFEST, Image, digest_of

REPO = "stage/app"
OTHER = "stage/other"
EMPTY = {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2,
         "digest": digest_of(b"{}")}


def sha512_of(data):
    return "sha512:" + hashlib.sha512(data).hexdigest()


def blob_path(digest, repo=REPO):
    return f"/v2/{repo}/blobs/{digest}"


def manifest_path(reference, repo=REPO):
    return f"/v2/{repo}/manifests/{reference}"


def uploads(repo=REPO):
    return f"/v2/{repo}/blobs/uploads/"


def with_query(location, **members):
    return location + ("&" if "?" in location else "?") + urllib.parse.urlencode(members)


def check_session(reply, status, n, repo=REPO):
    """What each answer about a session must say of it: n bytes are there."""
    assert reply.status == status and reply.body == b"", reply
    location = reply.headers["location"]
    assert location.startswith(uploads(repo)) and len(location) > len(uploads(repo)) + 15
    assert reply.headers["docker-upload-uuid"] == location[len(uploads(repo)):].split("?")[0]
    assert reply.headers["range"] == f"0-{max(n - 1, 0)}", (reply, n)
    return location


def begin(lar, repo=REPO, query=""):
    """A session; gives its location."""
    return check_session(lar.send("POST", uploads(repo) + query), 202, 0, repo)


def offset(lar, location):
    """How many bytes the session says that it has; 0 may mean one byte."""
    reply = lar.get(location)
    assert reply.status == 204, reply
    last = int(reply.headers["range"].removeprefix("0-"))
    return last + 1 if last else 0


def check_put(reply, digest, repo=REPO):
    """The 201 of a blob."""
    assert reply.status == 201 and reply.body == b"", reply
    assert reply.headers["content-length"] == "0"
    assert reply.headers["location"] == blob_path(digest, repo)
    assert reply.headers["docker-content-digest"] == digest
    return digest


def push(lar, how, data, digest=None, repo=REPO):
    """Pushes the blob in one of the ways below; the last answer."""
    return WAYS[how](lar, data, digest or digest_of(data), repo)


def post_only(lar, data, digest, repo):
    return lar.send("POST", with_query(uploads(repo), digest=digest), data)


def post_only_chunked(lar, data, digest, repo):
    return lar.send("POST", with_query(uploads(repo), digest=digest), data, chunk=100_000)


def post_put(lar, data, digest, repo):
    return lar.send("PUT", with_query(begin(lar, repo), digest=digest), data)


def post_put_chunked(lar, data, digest, repo):
    return lar.send("PUT", with_query(begin(lar, repo), digest=digest), data, chunk=70_000)


def stream(lar, data, digest, repo):
    """As docker does."""
    reply = lar.send("PATCH", begin(lar, repo), data, chunk=65_536)
    return lar.send("PUT", with_query(check_session(reply, 202, len(data), repo), digest=digest))


def patch_length(lar, data, digest, repo):
    """As containers/image does where it knows the size."""
    reply = lar.send("PATCH", begin(lar, repo), data)
    return lar.send("PUT", with_query(check_session(reply, 202, len(data), repo), digest=digest))


def patch_all(lar, location, data, size, repo=REPO):
    """Chunks with Content-Range, each to the location that the one before gave."""
    for at in range(0, len(data), size):
        piece = data[at:at + size]
        reply = lar.send("PATCH", location, piece,
                         {"Content-Range": f"{at}-{at + len(piece) - 1}"})
        location = check_session(reply, 202, at + len(piece), repo)
    return location


def chunked_one(lar, data, digest, repo):
    location = patch_all(lar, begin(lar, repo), data, max(len(data), 1), repo)
    return lar.send("PUT", with_query(location, digest=digest))


def chunked_three(lar, data, digest, repo):
    location = patch_all(lar, begin(lar, repo), data, len(data) // 3 + 1, repo)
    return lar.send("PUT", with_query(location, digest=digest))


def chunked_last_in_put(lar, data, digest, repo, chunk=0):
    at = len(data) * 2 // 3
    location = patch_all(lar, begin(lar, repo), data[:at], max(at // 2, 1), repo)
    said = {"Content-Range": f"{at}-{len(data) - 1}"} if data[at:] else {}
    return lar.send("PUT", with_query(location, digest=digest), data[at:], said, chunk=chunk)


def chunked_last_streamed(lar, data, digest, repo):
    return chunked_last_in_put(lar, data, digest, repo, chunk=50_000)


WAYS = {way.__name__: way for way in (
    post_only, post_only_chunked, post_put, post_put_chunked, stream, patch_length, chunked_one,
    chunked_three, chunked_last_in_put, chunked_last_streamed)}


def put_blob(lar, data, repo=REPO, digest=None):
    digest = digest or digest_of(data)
    return check_put(post_put(lar, data, digest, repo), digest, repo)


def descriptor(data, media_type=LAYER, /, **more):
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data), **more}


def image_body(layers=(), config=b"{}", config_type=CONFIG, **members):
    """The bytes of an image manifest. Layers and config are bytes, or descriptors as they are;
    members that are None are left out."""
    def described(what, media_type):
        return what if isinstance(what, dict) else descriptor(what, media_type)

    return encode({"schemaVersion": 2, "mediaType": MANIFEST,
                   "config": described(config, config_type),
                   "layers": [described(layer, LAYER) for layer in layers], **members})


def index_body(children=(), **members):
    """Children are pairs of bytes and media type."""
    body = {"schemaVersion": 2, "mediaType": INDEX, **members,
            "manifests": [descriptor(data, media_type) for data, media_type in children]}
    return encode(body)


def encode(body):
    return json.dumps({name: value for name, value in body.items() if value is not None},
                      separators=(",", ":")).encode()


def send_manifest(lar, reference, body, media_type=MANIFEST, repo=REPO, chunk=0):
    """`media_type` None: the request says none."""
    said = {"Content-Type": media_type} if media_type else {}
    return lar.send("PUT", manifest_path(reference, repo), body, said, chunk=chunk)


def put_manifest(lar, reference, body, media_type=MANIFEST, repo=REPO):
    """The same, and it must be taken; the answer."""
    reply = send_manifest(lar, reference, body, media_type, repo)
    digest = reference if ":" in reference else digest_of(body)
    assert reply.status == 201 and reply.body == b"", reply
    assert reply.headers["content-length"] == "0"
    assert reply.headers["location"] == manifest_path(digest, repo)
    assert reply.headers["docker-content-digest"] == digest
    return reply


def put_image(lar, tag, layers=(), repo=REPO, config=b"{}", **members):
    """Blobs, then the manifest by tag or, where there is none, by digest."""
    for data in (config, *layers):
        put_blob(lar, data, repo)
    body = image_body(layers, config, **members)
    put_manifest(lar, tag or digest_of(body), body, repo=repo)
    return Image(digest_of(body), body, digest_of(config), [digest_of(one) for one in layers])


def check_manifest(reply, body, media_type=MANIFEST, digest=None):
    """The 200 of a manifest, to the byte."""
    assert reply.status == 200 and reply.complete, reply
    assert reply.body == body and reply.headers["content-type"] == media_type
    assert reply.headers["content-length"] == str(len(body))
    assert reply.headers["docker-content-digest"] == (digest or digest_of(body))
    assert reply.headers["etag"] == f'"{digest or digest_of(body)}"'


def check_blob(lar, data, repo=REPO, digest=None):
    """HEAD and GET of what was pushed."""
    digest = digest or digest_of(data)
    for method in ("HEAD", "GET"):
        reply = lar.get(blob_path(digest, repo), method=method)
        assert reply.status == 200 and reply.complete, reply
        assert reply.body == (data if method == "GET" else b"")
        assert reply.headers["content-length"] == str(len(data))
        assert reply.headers["content-type"] == "application/octet-stream"
        assert reply.headers["docker-content-digest"] == digest
        assert reply.headers["etag"] == f'"{digest}"'


def is_there(lar, path):
    """200 or 404 to HEAD and GET alike."""
    statuses = {lar.head(path).status, lar.get(path).status}
    assert statuses in ({200}, {404}), statuses
    return statuses == {200}
