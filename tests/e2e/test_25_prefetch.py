"""The other layers of an image come before they are asked for."""
import pytest

from registry import noise

REPO = "library/x"
MIB = 1 << 20
LAYERS = [noise(400_000 + i, seed=70 + i) for i in range(9)]
# Of these more than a little is to come, unless they are nearly there.
LARGE = [noise(2 * MIB + i, seed=70 + i) for i in range(9)]


def path_of(digest, repo=REPO):
    return f"/v2/{repo}/blobs/{digest}"


def layer_hits(registry, img):
    return [registry.hits("GET", d) for d in img.layers]


@pytest.fixture
def lar(registry, larder):
    return larder(upstreams={"docker.io": registry.url})


def test_the_first_layer_brings_the_others(registry, lar):
    img = registry.add_image(REPO, "1", LAYERS)
    assert lar.get(f"/v2/{REPO}/manifests/1").body == img.body
    assert lar.get(path_of(img.layers[3])).body == LAYERS[3]
    lar.wait_counter("flights_landed", len(LAYERS))
    assert layer_hits(registry, img) == [1] * len(LAYERS)
    assert lar.counter("prefetches_started") == len(LAYERS) - 1
    for digest, data in zip(img.layers, LAYERS):
        reply = lar.get(path_of(digest))
        assert (reply.source(), reply.body) == ("hit", data)
    assert layer_hits(registry, img) == [1] * len(LAYERS)


def test_six_at_a_time(registry, lar):
    img = registry.add_image(REPO, "1", LARGE)
    gates = {d: registry.on("GET", d).hold_after(1000) for d in img.layers}
    assert lar.get(f"/v2/{REPO}/manifests/1").body == img.body
    first = lar.begin(path_of(img.layers[0]))
    assert registry.wait_hits("GET", "/blobs/", 7)
    assert not registry.wait_hits("GET", "/blobs/", 8, timeout=0.3)
    begun = [d for d in img.layers[1:] if registry.hits("GET", d)]
    assert lar.counter("prefetches_started") == 6
    gates[begun[0]].open()
    assert registry.wait_hits("GET", "/blobs/", 8)
    for gate in gates.values():
        gate.open()
    assert first.done().body == LARGE[0]
    lar.wait_counter("flights_landed", len(LARGE))
    assert layer_hits(registry, img) == [1] * len(LARGE)


def test_the_next_is_asked_for_while_one_is_about_to_land(registry, lar):
    """Else the line would be idle until the first byte of the next."""
    img = registry.add_image(REPO, "1", LARGE)
    gates = [registry.on("GET", d).hold_after(2 * MIB - 1000) for d in img.layers]
    assert lar.get(f"/v2/{REPO}/manifests/1").body == img.body
    first = lar.begin(path_of(img.layers[0]))
    assert registry.wait_hits("GET", "/blobs/", len(LARGE))
    assert lar.counter("flights_landed") == 0
    for gate in gates:
        gate.open()
    assert first.done().body == LARGE[0]
    lar.wait_counter("flights_landed", len(LARGE))
    assert layer_hits(registry, img) == [1] * len(LARGE)


def test_the_largest_come_first(registry, lar):
    layers = [noise(2 * MIB + 1000 * n, seed=n) for n in (0, 4, 8, 1, 7, 2, 6, 3, 5)]
    img = registry.add_image(REPO, "1", layers)
    gates = [registry.on("GET", d).hold_after(1000) for d in img.layers]
    assert lar.get(f"/v2/{REPO}/manifests/1").body == img.body
    first = lar.begin(path_of(img.layers[0]))
    assert registry.wait_hits("GET", "/blobs/", 7)
    begun = {d for d in img.layers[1:] if registry.hits("GET", d)}
    by_size = sorted(zip(map(len, layers[1:]), img.layers[1:]), reverse=True)
    assert begun == {d for _, d in by_size[:6]}
    for gate in gates:
        gate.open()
    assert first.done().body == layers[0]
    lar.wait_counter("flights_landed", len(layers))


def test_what_a_client_asks_for_meanwhile_is_joined(registry, lar):
    img = registry.add_image(REPO, "1", LAYERS[:3])
    gate = registry.on("GET", img.layers[2]).hold_after(100_000)
    assert lar.get(f"/v2/{REPO}/manifests/1").body == img.body
    assert lar.get(path_of(img.layers[0])).body == LAYERS[0]
    assert gate.reached()
    pending = lar.begin(path_of(img.layers[2]))
    assert pending.head().source() == "joined"
    gate.open()
    assert pending.done().body == LAYERS[2]
    assert registry.hits("GET", img.layers[2]) == 1


def test_what_starts_nothing(registry, lar):
    """Manifests, configs, HEADs, and layers whose manifest nobody asked for."""
    img = registry.add_image(REPO, "1", LAYERS[:3])
    assert lar.get(path_of(img.layers[0])).body == LAYERS[0]
    assert lar.get(f"/v2/{REPO}/manifests/1").body == img.body
    assert lar.head(f"/v2/{REPO}/manifests/{img.digest}").status == 200
    assert lar.head(path_of(img.layers[1])).status == 200
    assert lar.get(path_of(img.config)).status == 200
    assert lar.counter("prefetches_started") == 0
    assert layer_hits(registry, img) == [1, 0, 0]


def test_none_where_it_is_switched_off(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url}, config={"cache": {"prefetch": False}})
    img = registry.add_image(REPO, "1", LAYERS[:3])
    assert lar.get(f"/v2/{REPO}/manifests/1").body == img.body
    assert lar.get(path_of(img.layers[0])).body == LAYERS[0]
    lar.wait_counter("flights_landed", 1)
    assert lar.counter("prefetches_started") == 0 and layer_hits(registry, img) == [1, 0, 0]


def test_layers_that_are_here_are_left_alone(registry, lar):
    img = registry.add_image(REPO, "1", LAYERS[:3])
    assert lar.get(f"/v2/{REPO}/manifests/1").body == img.body
    assert lar.get(path_of(img.layers[0])).body == LAYERS[0]
    lar.wait_counter("flights_landed", 3)
    other = registry.add_image(REPO, "2", LAYERS[1:5])
    assert lar.get(f"/v2/{REPO}/manifests/2").body == other.body
    assert lar.get(path_of(other.layers[3])).body == LAYERS[4]
    lar.wait_counter("flights_landed", 5)
    assert layer_hits(registry, other) == [1, 1, 1, 1]
    assert lar.counter("prefetches_started") == 3


def test_a_layer_that_cannot_be_had_stops_nothing(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url},
                 limits={"retry_min": "5ms", "retry_max": "20ms"})
    img = registry.add_image(REPO, "1", LAYERS)
    registry.on("GET", img.layers[1]).status(404).always()
    registry.on("GET", img.layers[2]).corrupt(0).always()
    registry.on("GET", img.layers[4]).reset().always()
    assert lar.get(f"/v2/{REPO}/manifests/1").body == img.body
    assert lar.get(path_of(img.layers[0])).body == LAYERS[0]
    lar.wait_counter("flights_landed", len(LAYERS) - 3)
    # Who joins one before its end is cut short instead.
    lar.wait(lambda: lar.counter("flights_open") == 0, "all flights have ended")
    assert lar.get(path_of(img.layers[2])).status == 502
    registry.clear_rules()
    assert lar.get(path_of(img.layers[1])).body == LAYERS[1]


def test_a_client_that_leaves_does_not_stop_it(registry, lar):
    img = registry.add_image(REPO, "1", LAYERS[:4])
    gates = [registry.on("GET", d).hold_after(1000) for d in img.layers]
    assert lar.get(f"/v2/{REPO}/manifests/1").body == img.body
    pending = lar.begin(path_of(img.layers[0]))
    assert all(gate.reached() for gate in gates)
    pending.reset()
    for gate in gates:
        gate.open()
    lar.wait_counter("flights_landed", 4)
    assert layer_hits(registry, img) == [1] * 4
