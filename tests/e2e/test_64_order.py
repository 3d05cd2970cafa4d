"""A 201 is a promise: what it speaks of is on disk before it is said, in the order that a crash
cannot break.

The server runs with order.c loaded before it, which logs what it makes durable and when. A kill
loses nothing that was written, so only the order shows whether a power cut would.
"""
import os

import pytest
from push import (WAYS, blob_path, check_put, image_body, index_body, push, put_manifest,
                  sha512_of, uploads)
from registry import INDEX, MANIFEST, digest_of, noise

REPO = "stage/app"
UP = "library/base"


@pytest.fixture
def lar(registry, larder, tmp_path, interposer):
    """A server whose log of calls goes on over its restarts."""
    log = tmp_path / "order.log"
    made = larder(upstreams={"docker.io": registry.url}, start=False,
                  config={"cache": {"prefetch": False}})
    made.env = {"LD_PRELOAD": interposer, "ORDER_LOG": str(log),
                "ORDER_DIR": os.path.realpath(made.folder)}
    made.order_log = log
    return made.start()


class Order:
    """The log: what happened, as (what, inode, the rest of the line)."""

    def __init__(self, lar):
        self.data = os.path.join(os.path.realpath(lar.folder), "data")
        self.lines = [line.split(" ", 2) for line in lar.order_log.read_text().splitlines()]

    def find(self, what, after=0, before=None, inode=None, path=None):
        """Numbers of the lines that say so, the text being a path below the data directory."""
        path = path and os.path.normpath(os.path.join(self.data, path))
        end = len(self.lines) if before is None else before
        return [n for n, line in enumerate(self.lines)
                if after <= n < end and line[0] == what and inode in (None, line[1])
                and path in (None, line[2])]

    def answers(self, digest):
        return [n for n in self.find("answer")
                if f"|docker-content-digest: {digest}|" in self.lines[n][2].lower()]

    def synced(self, after, before, what, **which):
        """Where the first sync that began after `after` was over."""
        for begun in self.find("syncing", after, before, **which):
            if over := self.find("synced", begun, before, **which):
                return over[0]
        raise AssertionError(f"{what} was not synced between lines {after} and {before}")

    def committed(self, after, before):
        """That a commit of the index began after `after` and was over: pages, sync, meta page."""
        index = "index/data.mdb"
        pages = self.find("written", after, before, path=index)
        assert pages, f"the index wrote nothing between lines {after} and {before}"
        synced = self.synced(pages[0], before, "the index", path=index)
        assert self.find("written-through", synced, before, path=index), "no meta page was synced"


def file_of(digest):
    algorithm, _, text = digest.partition(":")
    return f"blobs/{algorithm}/{text[:2]}/{text[2:]}"


def check_durable(order, digest, answer, was_pulled=False):
    """The file, its name and the folders on the way to it; gives where the last of it was done.
    What was pulled is synced in its place; what is pushed has its bytes on disk first."""
    path = file_of(digest)
    renamed = order.find("renamed", before=answer, path=path)
    assert renamed, f"{digest} was never renamed to its name"
    moved = renamed[-1]
    inode = order.lines[moved][1]
    written = [n for what in ("written", "written-through")
               for n in order.find(what, before=answer, inode=inode)]
    assert max(written, default=0) < moved, "written to after it was renamed"
    begun = max(written, default=0)
    done = [order.synced(begun, answer if was_pulled else moved, digest, inode=inode)]
    folder = os.path.dirname(path)
    done.append(order.synced(moved, answer, folder, path=folder))
    while folder != "..":
        above = os.path.dirname(folder) or (".." if folder == "." else ".")
        for made in order.find("made", before=answer, path=folder):
            done.append(order.synced(made, answer, above, path=above))
        folder = above
    return max(done)


def check_index_is_found(order, answer):
    """LMDB syncs what is in its file, and not the file's name."""
    for path in ("index/data.mdb", "index"):
        made = (order.find("made", path=path) or order.find("written", path=path))[0]
        above = os.path.dirname(path) or "."
        order.synced(made, answer, above, path=above)


def check_promise(lar, digest, answered, pulled=()):
    """The last 201 that named `answered` came after `digest` was safe; after these, too, which
    were pulled and not synced when they were named."""
    order = Order(lar)
    answers = order.answers(answered)
    assert answers, f"no 201 names {answered}"
    safe = [check_durable(order, digest, answers[-1])]
    safe += [check_durable(order, one, answers[-1], was_pulled=True) for one in pulled]
    order.committed(max(safe), answers[-1])
    check_index_is_found(order, answers[-1])


def pull(lar, registry, data, repo=UP):
    """Pulls the blob, which is not synced when this returns: that is done seconds later."""
    digest = registry.add_blob(repo, data)
    landed = lar.counter("flights_landed")
    reply = lar.get(blob_path(digest, repo))
    assert reply.status == 200 and reply.body == data
    lar.wait_counter("flights_landed", landed + 1)
    order = Order(lar)
    renamed = order.find("renamed", path=file_of(digest))
    assert renamed
    assert not order.find("synced", inode=order.lines[renamed[-1]][1]), "synced already"
    return digest


@pytest.mark.parametrize("size", [0, 1, 5000, 3_000_000])
@pytest.mark.parametrize("how", WAYS)
def test_a_blob_is_on_disk_before_its_201(lar, how, size):
    data = noise(size, seed=640)
    digest = digest_of(data)
    check_put(push(lar, how, data), digest)
    check_promise(lar, digest, digest)


def test_a_blob_of_another_algorithm(lar):
    data = noise(100_000, seed=641)
    digest = sha512_of(data)
    for how in ("post_put", "stream", "post_only"):
        check_put(push(lar, how, data, digest, repo=f"stage/{how.replace('_', '-')}"), digest,
                  f"stage/{how.replace('_', '-')}")
        check_promise(lar, digest, digest)


def test_blobs_whose_folder_is_there_already(lar):
    """The second blob of a folder finds it; its own entry has to be synced all the same."""
    first = noise(100, seed=642)
    folder = file_of(digest_of(first))[:-62]
    others = (noise(100, seed=seed) for seed in range(10_000, 20_000))
    second = next(one for one in others if file_of(digest_of(one)).startswith(folder))
    for data in (first, second):
        check_put(push(lar, "post_put", data), digest_of(data))
        check_promise(lar, digest_of(data), digest_of(data))


def test_a_blob_pushed_again(lar):
    data = noise(50_000, seed=643)
    for how in ("stream", "post_put", "post_only"):
        check_put(push(lar, how, data), digest_of(data))
        check_promise(lar, digest_of(data), digest_of(data))


def test_a_mount_from_another_repository(lar):
    data = noise(50_000, seed=644)
    digest = digest_of(data)
    check_put(push(lar, "post_put", data, repo="stage/one"), digest, "stage/one")
    reply = lar.send("POST", uploads("stage/two") + f"?mount={digest}&from=stage/one")
    check_put(reply, digest, "stage/two")
    order = Order(lar)
    before, answer = order.answers(digest)[-2:]
    check_durable(order, digest, answer)
    order.committed(before, answer)


def test_a_pushed_blob_that_was_pulled_before(registry, lar):
    data = noise(300_000, seed=645)
    digest = pull(lar, registry, data)
    check_put(push(lar, "stream", data), digest)
    order = Order(lar)
    answer = order.answers(digest)[-1]
    order.committed(check_durable(order, digest, answer, was_pulled=True), answer)


def test_a_mount_of_what_was_only_pulled(registry, lar):
    digest = pull(lar, registry, noise(300_000, seed=646))
    reply = lar.send("POST", uploads(REPO) + f"?mount={digest}&from={UP}")
    check_put(reply, digest)
    order = Order(lar)
    answer = order.answers(digest)[-1]
    order.committed(check_durable(order, digest, answer, was_pulled=True), answer)


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_a_manifest_on_pulled_base_layers(registry, lar, by):
    """The builder asks for the base layers by HEAD and uploads only its own."""
    base = [noise(120_000, seed=647), noise(700_000, seed=648)]
    image = registry.add_image(UP, "1", base)
    assert lar.get(f"/v2/{UP}/manifests/1").status == 200
    pulled = [pull(lar, registry, data) for data in base]
    own, config = noise(40_000, seed=649), b'{"os":"linux"}'
    for data in (own, config):
        check_put(push(lar, "stream", data), digest_of(data))
    for digest in pulled:
        assert lar.head(blob_path(digest, REPO)).status == 200
    body = image_body([*base, own], config)
    reply = put_manifest(lar, "1" if by == "tag" else digest_of(body), body)
    assert "warning" not in reply.headers, reply
    check_promise(lar, digest_of(body), digest_of(body), pulled)
    assert image.layers == pulled


def test_an_index_and_its_children(lar):
    children = []
    for n in (1, 2):
        layer, config = noise(1000, seed=6500 + n), b'{"n":%d}' % n
        for data in (layer, config):
            check_put(push(lar, "post_put", data), digest_of(data))
        body = image_body([layer], config)
        put_manifest(lar, digest_of(body), body)
        check_promise(lar, digest_of(body), digest_of(body))
        children.append((body, MANIFEST))
    body = index_body(children)
    put_manifest(lar, "all", body, INDEX)
    check_promise(lar, digest_of(body), digest_of(body))


def test_a_large_manifest(lar):
    """One that is not copied into the index, and that is read in another thread."""
    layers = [noise(10, seed=n) for n in range(2000)]
    body = image_body(layers, annotations={"x": "y" * 100_000})
    assert len(body) > 300_000
    put_manifest(lar, "large", body)
    check_promise(lar, digest_of(body), digest_of(body))


def test_a_manifest_pushed_again_under_another_tag(lar):
    body = image_body([], b"{}")
    for tag in ("one", "two"):
        put_manifest(lar, tag, body)
    order = Order(lar)
    first, second = order.answers(digest_of(body))
    check_durable(order, digest_of(body), second)
    order.committed(first, second)


def test_folders_that_a_killed_server_made(registry, lar):
    """A pull made the folder and nobody synced its name; the next server pushes there."""
    first = noise(100_000, seed=651)
    folder = file_of(pull(lar, registry, first))[:-62]
    lar.kill()
    lar.start()
    others = (noise(100, seed=seed) for seed in range(30_000, 40_000))
    second = next(one for one in others if file_of(digest_of(one)).startswith(folder))
    check_put(push(lar, "post_put", second), digest_of(second))
    check_promise(lar, digest_of(second), digest_of(second))


def test_the_log_sees_what_it_must(registry, lar):
    """Of a pull, that it is renamed and committed without being synced: the log would tell."""
    digest = pull(lar, registry, noise(100_000, seed=652))
    order = Order(lar)
    moved = order.find("renamed", path=file_of(digest))[-1]
    assert order.find("written", before=moved, inode=order.lines[moved][1])
    order.committed(moved, len(order.lines))
    check_index_is_found(order, moved)
    with pytest.raises(AssertionError, match="was not synced"):
        check_durable(order, digest, len(order.lines), was_pulled=True)
