"""A disk that loses bytes while another process takes over: nobody vouches for them."""
import pytest
from larder import Stuck
from push import begin, with_query
from registry import digest_of, noise
from test_90_hand_over import HOSTED, PARTS, ended, put_open, start, successor

CHECKPOINT = 64 << 20  # bytes of an upload between two syncs
FLIGHT_CHECKPOINT = 32 << 20  # of a download

pytestmark = pytest.mark.faults


def is_gone(lar, location):
    lar.wait(lambda: lar.get(location).status == 404, "the end of the session")


@pytest.mark.parametrize("parts", [1, 2], ids=["new", "gone_on_with"])
def test_a_checkpoint_of_an_upload(registry, larder, parts):
    """Its last byte begins a sync, which fails; the next sync would say that all is well."""
    lar = start(larder, registry, env={"FAULT": f"ingest.fsync:{parts}"})
    at = begin(lar)
    data = noise(CHECKPOINT, seed=990)
    whole = data
    if parts > 1:
        assert lar.send("PATCH", at, PARTS[0]).status == 202
        whole = PARTS[0] + data
    put = put_open(lar, "PUT", with_query(at, digest=digest_of(whole)), data, 1_000_000)
    lar.wait_counter("upload_bytes", len(whole) - len(data) + 1_000_000)
    new = successor(larder, lar).start()
    put.push(data[1_000_000:])
    assert put.done().status >= 500
    ended(lar)
    assert f"fault ingest.fsync {parts}\n" in lar.events
    assert new.get(f"/v2/{HOSTED}/blobs/{digest_of(whole)}").status == 404
    is_gone(new, at)


def patch_and_successor(registry, larder, point):
    """A PATCH is under way at a process whose syncs fail, and another one has taken over."""
    lar = start(larder, registry, env={"FAULT": f"{point}:1-1000000"})
    at = begin(lar)
    patch = put_open(lar, "PATCH", at, PARTS[0], 1_000_000)
    lar.wait_counter("upload_bytes", 1_000_000)
    return lar, successor(larder, lar).start(), at, patch


@pytest.mark.parametrize("point", ["ingest.fsync", "ingest.folder"])
def test_the_end_of_a_patch(registry, larder, point):
    """What cannot be synced cannot be gone on with: the client is told so, once."""
    lar, new, at, patch = patch_and_successor(registry, larder, point)
    patch.push(PARTS[0][1_000_000:])
    assert patch.done().status >= 500
    ended(lar)
    assert lar.events.count("cannot be put on disk") == 1
    is_gone(new, at)


@pytest.mark.parametrize("point", ["ingest.fsync", "ingest.folder"])
def test_a_client_that_leaves(registry, larder, tmp_path, point):
    """Until the sync has ended nobody may go on with what it left, and then nobody can."""
    stuck = Stuck(tmp_path, point)
    lar = start(larder, registry, env=stuck.env)
    at = begin(lar)
    patch = put_open(lar, "PATCH", at, PARTS[0], 1_000_000)
    lar.wait_counter("upload_bytes", 1_000_000)
    new = successor(larder, lar).start()
    stuck.begin()
    patch.close()
    stuck.reached(lar)
    assert new.get(at).status == 204 and new.send("PATCH", at, b"x").status in (409, 416)
    stuck.go_on()
    ended(lar)
    is_gone(new, at)


def test_a_checkpoint_of_a_download(registry, larder, tmp_path):
    """The same of a blob that is fetched: who asked has all of it while the sync still takes, and
    as it fails the blob is fetched again."""
    stuck = Stuck(tmp_path, "ingest.fsync")
    lar = start(larder, registry, env=stuck.env)
    data = noise(FLIGHT_CHECKPOINT + (4 << 20), seed=991)
    blob = "/v2/library/x/blobs/" + registry.add_blob("library/x", data)
    held = registry.on("GET", "/blobs/").hold_after(1 << 20)
    fetching = lar.begin(blob)
    fetching.read(1 << 19)
    new = successor(larder, lar).start()
    stuck.begin()
    held.open()
    stuck.reached(lar)
    assert fetching.done().body == data
    assert digest_of(data) not in new.kept()
    stuck.go_on()
    ended(lar)
    assert digest_of(data) not in new.kept()
    reply = new.get(blob)
    assert reply.body == data and reply.source() == "miss"
