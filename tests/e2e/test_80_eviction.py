"""A byte budget: what was mirrored gives way, what was pushed or pinned stays."""
import json
import subprocess

from larder import PROGRAM
from push import put_blob
from registry import INDEX, MANIFEST, digest_of, noise

MIB = 1 << 20
NOW = {"evict_young": "1ms"}


def pull(lar, repo, image):
    assert lar.get(f"/v2/{repo}/manifests/1").body == image.body
    for blob in (image.config, *image.layers):
        answer = lar.get(f"/v2/{repo}/blobs/{blob}")
        assert answer.status == 200 and answer.complete, answer
    lar.wait(lambda: lar.counter("flights_open") == 0, "all is recorded")


def many(registry, n):
    """Images of 1 MiB and some bytes each, of repositories of their own."""
    return [(f"library/x{i}", registry.add_image(f"library/x{i}", "1", [noise(MIB, i)]))
            for i in range(n)]


def run(lar, *words):
    return subprocess.run([PROGRAM, *words, "--data", lar.data], capture_output=True, text=True,
                          timeout=60, check=False)


def test_more_than_there_is_room_for(registry, larder):
    """Twice what fits is pulled; each pull is kept, and the budget holds."""
    lar = larder(upstreams={"docker.io": registry.url}, limits=NOW,
                 config={"cache": {"max_size": 10 * MIB}})
    images = many(registry, 20)
    for repo, image in images:
        pull(lar, repo, image)
        assert lar.counters()["store_held_bytes"] <= 10 * MIB
    counted = lar.counters()
    assert counted["evictions"] >= 10 and counted["evicted_bytes"] >= 10 * MIB
    assert counted["flights_passed"] == 0 and counted["store_errors"] == 0
    gets = registry.hits("GET", "/blobs/")
    for repo, image in images:  # those that went are fetched again
        pull(lar, repo, image)
    assert 10 <= registry.hits("GET", "/blobs/") - gets <= 40


def test_blobs_whose_size_no_manifest_told(registry, larder):
    """They make room as others do, though only the answer says how much."""
    lar = larder(upstreams={"docker.io": registry.url}, limits=NOW,
                 config={"cache": {"max_size": 30 * MIB}})
    for seed in range(5):  # two fit, and less than is looked for unasked
        data = noise(12 * MIB, seed)
        reply = lar.get("/v2/library/x/blobs/" + registry.add_blob("library/x", data))
        assert reply.complete and reply.body == data
        lar.wait(lambda: lar.counter("flights_open") == 0, "all is recorded")
        assert digest_of(data) in lar.kept()
    assert lar.counter("evictions") == 3 and lar.counter("flights_passed") == 0


def test_what_may_not_go_is_looked_at_once(registry, larder):
    """Too much is held, and all of it is too young: there is no other run at once, and another."""
    lar = larder(upstreams={"docker.io": registry.url})
    (repo, image), = many(registry, 1)
    pull(lar, repo, image)
    lar.stop()
    lar.config["cache"] = {"max_size": 4096}
    lar.start()
    lar.wait(lambda: "evict.done" in lar.events, "a run of eviction")
    for _ in range(5):
        assert run(lar, "ls").returncode == 0
    lar.stop()
    assert lar.events.count("evict.done") == 1, lar.events[-3000:]


def test_what_is_read_is_read_to_its_end(registry, larder):
    """The file of a reader may go; its bytes stay until it is closed."""
    lar = larder(upstreams={"docker.io": registry.url}, limits=NOW,
                 config={"cache": {"max_size": 16 * MIB}})
    data = noise(8 * MIB, 77)
    first = registry.add_image("library/first", "1", [data])
    pull(lar, "library/first", first)
    slow = lar.begin(f"/v2/library/first/blobs/{first.layers[0]}", read=False, rcvbuf=4096)
    lar.wait_counter("readers_open", 1)
    images = many(registry, 100)
    while first.layers[0] in lar.kept():  # which go is drawn by lot
        pull(lar, *images.pop())
    slow.go_on()
    answer = slow.done()
    assert answer.complete and answer.body == data


def test_pinned_and_pushed_stay(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url}, limits=NOW,
                 config={"cache": {"max_size": 20 * MIB}})
    images = many(registry, 40)
    pinned, image = images[0]
    pull(lar, pinned, image)
    said = run(lar, "pin", "x0:1")
    assert said.returncode == 0 and "3 blobs" in said.stdout, said
    layer = noise(MIB, 99)
    put_blob(lar, layer, repo="stage/app")
    for repo, other in images[1:]:
        pull(lar, repo, other)
    assert lar.counter("evictions") > 0
    gets = registry.hits("GET", "/blobs/")
    pull(lar, pinned, image)
    assert registry.hits("GET", "/blobs/") == gets
    assert lar.get("/v2/stage/app/blobs/" + digest_of(layer)).body == layer
    said = run(lar, "unpin", "x0:1")
    assert said.returncode == 0, said
    said = run(lar, "pin", "x0:none")
    assert said.returncode == 1 and "x0:none" in said.stderr, said


def test_what_pinned_images_share_stays(registry, larder):
    """One of two pinned images is no longer: what the other one needs stays, all else may go."""
    lar = larder(upstreams={"docker.io": registry.url}, limits=NOW,
                 config={"cache": {"max_size": 20 * MIB}})
    base, own, top = noise(MIB, 201), noise(MIB, 202), noise(MIB, 203)
    left = registry.add_image("library/left", "1", [base, own])
    right = registry.add_image("library/right", "1", [base, top])
    for repo, image in (("library/left", left), ("library/right", right)):
        pull(lar, repo, image)
        assert run(lar, "pin", repo[8:] + ":1").returncode == 0
    assert run(lar, "ls", "--all").stdout.count("  pinned\n") == 2
    assert "; 3 changed" in run(lar, "unpin", "left:1").stdout  # of four: the base stays
    told = run(lar, "ls", "left").stdout + run(lar, "ls", "right").stdout
    assert [line.endswith("  pinned") for line in told.splitlines()] == [False, False, False, True]
    for repo, image in many(registry, 60):
        pull(lar, repo, image)
    assert digest_of(own) not in lar.kept()
    gets = registry.hits("GET", "/blobs/")
    pull(lar, "library/right", right)
    assert registry.hits("GET", "/blobs/") == gets


def test_what_comes_later_to_a_pinned_index_stays(registry, larder):
    """A platform that was pulled after its index was pinned is needed by it as well."""
    lar = larder(upstreams={"docker.io": registry.url}, limits=NOW,
                 config={"cache": {"max_size": 20 * MIB}})
    images = [registry.add_image("library/both", f"p{i}", [noise(MIB, 301 + i)])
              for i in range(2)]
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": MANIFEST, "digest": image.digest, "size": len(image.body),
         "platform": {"os": "linux", "architecture": arch}}
        for image, arch in zip(images, ("amd64", "arm64"))]}).encode()
    registry.add_manifest("library/both", "1", body, INDEX)

    def take(image):
        assert lar.get(f"/v2/library/both/manifests/{image.digest}").body == image.body
        for blob in (image.config, *image.layers):
            assert lar.get(f"/v2/library/both/blobs/{blob}").complete

    assert lar.get("/v2/library/both/manifests/1").body == body
    take(images[0])
    lar.wait(lambda: lar.counter("flights_open") == 0, "all is recorded")
    assert run(lar, "pin", "both:1").returncode == 0
    take(images[1])
    for repo, image in many(registry, 60):
        pull(lar, repo, image)
    for image in images:
        assert image.layers[0] in lar.kept()


def test_offline_nothing_goes(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url}, limits=NOW,
                 config={"cache": {"max_size": 8 * MIB}})
    images = many(registry, 6)
    for repo, image in images:
        pull(lar, repo, image)
    lar.stop()
    lar.config["cache"] = {"max_size": 2 * MIB}
    lar.config["offline"] = True
    lar.start()
    for repo, image in images:
        pull(lar, repo, image)
    assert lar.counter("evictions") == 0


def test_a_smaller_budget_at_the_next_start(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url}, limits=NOW,
                 config={"cache": {"max_size": 20 * MIB}})
    for repo, image in many(registry, 10):
        pull(lar, repo, image)
    lar.stop()
    lar.config["cache"] = {"max_size": 5 * MIB}
    lar.start()
    lar.wait(lambda: lar.counters()["store_held_bytes"] <= 4.5 * MIB, "the rest is gone")
    lar.wait(lambda: "evict.done" in lar.events, "the run is told of")
    assert 5 <= lar.counter("evictions") <= 7
