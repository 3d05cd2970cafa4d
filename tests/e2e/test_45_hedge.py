"""Another endpoint is asked as well where the first says nothing: whichever answers first counts,
and nobody waits for what stalls."""
import pytest
from registry import Bearer, Registry, noise

TAG = "/v2/library/x/manifests/latest"
BLOB = "/v2/library/x/blobs/"


@pytest.fixture
def registries():
    made = [Registry() for _ in range(3)]
    yield made
    for one in made:
        one.clear_rules()
        one.stop()


def start(larder, *registries, limits=None):
    """docker.io at these registries, in this order."""
    return larder(config={"upstreams": {"docker.io": {"endpoints": [x.url for x in registries]}}},
                  limits={"hedge": "50ms", **(limits or {})})


def fill(*registries, n=1):
    """The same image in all; its blobs of some size."""
    layers = [noise(500_000, seed) for seed in range(n)]
    for one in registries:
        img = one.add_image("library/x", "latest", layers)
    return img, layers


def hedges(lar):
    """How many there were, and how many of them answered first."""
    counters = lar.counters()
    return counters["upstream_hedges"], counters["upstream_hedges_won"]


def let_time_pass(larder, registries):
    """Until a request that is sent now was hedged by a server that waits longer: one of `start()`
    has then hedged what it would, be it after eight times its 50 ms, which is the longest."""
    digest = [one.add_blob("library/y", noise(1000)) for one in registries][0]
    registries[0].on("GET", digest).hold_headers()
    lar = start(larder, *registries, limits={"hedge": "500ms"})
    assert lar.get("/v2/library/y/blobs/" + digest).status == 200


@pytest.mark.parametrize("method,path", [
    ("GET", TAG), ("HEAD", TAG), ("GET", BLOB), ("HEAD", BLOB), ("GET", "/v2/library/x/tags/list")])
def test_the_second_answers_while_the_first_is_held(registries, larder, method, path):
    first, second, _ = registries
    img, layers = fill(first, second)
    first.on(None, "").always().hold_headers()
    lar = start(larder, first, second)
    reply = lar.get(path + (img.layers[0] if path == BLOB else ""), method=method)
    assert reply.status == 200 and reply.complete
    if method == "GET" and path != "/v2/library/x/tags/list":
        assert reply.body == (img.body if path == TAG else layers[0])
    assert hedges(lar) == (1, 1)
    assert first.wait_gone(first.requests[0])
    lar.wait(lambda: "upstream.slow " + first.url in lar.events, "a line in the log")
    # It comes behind for a while.
    assert lar.get(BLOB + img.config).status == 200
    assert len(first.requests) == 1


def test_the_loser_is_cut_off_at_once(registries, larder):
    first, second, _ = registries
    img, layers = fill(first, second)
    first.on("GET", img.layers[0]).hold_headers()
    gate = second.on("GET", img.layers[0]).hold_after(300_000)
    lar = start(larder, first, second)
    pending = lar.begin(BLOB + img.layers[0])
    assert gate.reached()
    assert first.wait_gone(first.requests[0])
    gate.open()
    assert pending.done().body == layers[0]
    assert len(second.requests) == 1


def test_however_many_ask(registries, larder):
    first, second, _ = registries
    img, layers = fill(first, second)
    first.on("GET", img.layers[0]).always().hold_headers()
    lar = start(larder, first, second)
    for pending in [lar.begin(BLOB + img.layers[0]) for _ in range(5)]:
        assert pending.done().body == layers[0]
    assert len(first.requests) == len(second.requests) == 1


def test_the_first_may_win(registries, larder):
    first, second, _ = registries
    img, layers = fill(first, second)
    gate = first.on("GET", img.layers[0]).hold_headers()
    second.on("GET", img.layers[0]).hold_headers()
    lar = start(larder, first, second)
    pending = lar.begin(BLOB + img.layers[0])
    assert second.wait_hits("GET", img.layers[0], 1)
    gate.open()
    assert pending.done().body == layers[0]
    assert second.wait_gone(second.requests[0])
    assert hedges(lar) == (1, 0)
    # To be slow once is no reason to come behind.
    assert lar.get(BLOB + img.config).status == 200
    assert first.hits("GET", img.config) == 1


@pytest.mark.parametrize("trouble", ["404", "401", "403", "429", "500", "reset"])
@pytest.mark.parametrize("path", [TAG, BLOB])
def test_a_second_that_fails_ends_nothing(registries, larder, path, trouble):
    first, second, _ = registries
    img, layers = fill(first, second)
    part = "manifests/latest" if path == TAG else img.layers[0]
    gate = first.on(None, part).hold_headers()
    rule = second.on(None, part).always()
    rule.reset() if trouble == "reset" else rule.status(int(trouble))
    lar = start(larder, first, second)
    pending = lar.begin(path + (img.layers[0] if path == BLOB else ""))
    assert second.wait_hits(None, part, 1) and second.requests[0].ended.wait(10)
    gate.open()
    assert pending.done().body == (img.body if path == TAG else layers[0])
    assert first.hits(None, part) == second.hits(None, part) == 1


@pytest.mark.parametrize("trouble", [404, 503])
def test_a_first_that_fails_leaves_the_second(registries, larder, trouble):
    first, second, _ = registries
    img, layers = fill(first, second)
    rule = first.on("GET", img.layers[0]).status(trouble)
    gate = rule.hold_headers()
    other = second.on("GET", img.layers[0]).hold_headers()
    lar = start(larder, first, second)
    pending = lar.begin(BLOB + img.layers[0])
    assert other.reached()
    gate.open()
    assert first.requests[0].ended.wait(10)
    other.open()
    assert pending.done().body == layers[0]
    assert len(first.requests) == len(second.requests) == 1
    assert hedges(lar) == (1, 1)


def test_one_hedge_a_fetch(registries, larder):
    img, layers = fill(*registries)
    rules = [one.on("GET", img.layers[0]).status(503) for one in registries[:2]]
    gates = [rule.hold_headers() for rule in rules]
    lar = start(larder, *registries)
    pending = lar.begin(BLOB + img.layers[0])
    assert gates[0].reached() and gates[1].reached()
    let_time_pass(larder, registries[1:])
    assert registries[2].hits("GET", img.layers[0]) == 0
    for gate in gates:
        gate.open()
    assert pending.done().body == layers[0]
    assert [one.hits("GET", img.layers[0]) for one in registries] == [1, 1, 1]
    assert hedges(lar) == (1, 0)


def test_one_endpoint_is_never_asked_twice(registries, larder):
    img, layers = fill(registries[0])
    gate = registries[0].on("GET", img.layers[0]).hold_headers()
    lar = start(larder, registries[0])
    pending = lar.begin(BLOB + img.layers[0])
    assert gate.reached()
    let_time_pass(larder, registries[1:])
    gate.open()
    assert pending.done().body == layers[0]
    assert len(registries[0].requests) == 1


def test_another_that_is_not_well_is_not_asked(registries, larder):
    first, second, _ = registries
    img, layers = fill(first, second)
    lar = start(larder, first, second)
    first.on("GET", img.config).status(404)
    second.on("GET", img.config).status(503)
    assert lar.get(BLOB + img.config).status == 200  # the second try is the first one's again
    gate = first.on("GET", img.layers[0]).hold_headers()
    pending = lar.begin(BLOB + img.layers[0])
    assert gate.reached()
    let_time_pass(larder, registries[1:])
    assert second.hits("GET", img.layers[0]) == 0
    gate.open()
    assert pending.done().body == layers[0]


@pytest.mark.parametrize("held", ["blobs", "token"])
def test_with_tokens(registries, larder, held):
    """Each endpoint has its own; that the first one's token does not come is a stall as well."""
    first, second, _ = registries
    img, layers = fill(first, second)
    first.auth, second.auth = Bearer(), Bearer()
    first.on("GET", held).always().hold_headers()
    lar = start(larder, first, second)
    assert lar.get(BLOB + img.layers[0]).body == layers[0]
    assert second.tokens == 1
    assert [x.path for x in second.requests] == [BLOB + img.layers[0], "/token",
                                                 BLOB + img.layers[0]]
    assert hedges(lar) == (1, 1)


def test_where_it_redirects(registries, larder):
    first, second, storage = registries
    img, layers = fill(first, second)
    to = storage.add_file("/signed?x=1", layers[0])
    first.on("GET", img.layers[0]).redirect(to)
    held = storage.on("GET", "/signed").hold_headers()
    gate = second.on("GET", img.layers[0]).hold_headers()
    lar = start(larder, first, second)
    pending = lar.begin(BLOB + img.layers[0])
    assert held.reached() and gate.reached()
    gate.open()
    assert pending.done().body == layers[0]
    assert storage.wait_gone(storage.requests[0])
    assert hedges(lar) == (1, 1)


def test_the_rest_of_a_blob(registries, larder):
    img, layers = fill(*registries)
    registries[0].on("GET", img.layers[0]).always().drop_after(300_000)
    registries[1].on("GET", img.layers[0]).always().hold_headers()
    lar = start(larder, *registries)
    reply = lar.get(BLOB + img.layers[0])
    assert reply.complete and reply.body == layers[0]
    assert [one.seen("GET", img.layers[0])[-1].headers.get("range") for one in registries] == [
        None, "bytes=300000-", "bytes=300000-"]
    assert registries[0].hits("GET", img.layers[0]) == 1
    assert lar.counter("upstream_hedges_won") == 1


def test_a_body_that_stalls_goes_on_elsewhere(registries, larder):
    """It is not hedged: what is missing is asked of an endpoint that did not stall."""
    first, second, _ = registries
    img, layers = fill(first, second)
    first.on("GET", img.layers[0]).always().hold_after(300_000)
    lar = start(larder, first, second, limits={"upstream_stall": "500ms", "hedge": "60s"})
    reply = lar.get(BLOB + img.layers[0])
    assert reply.complete and reply.body == layers[0]
    assert first.hits("GET", img.layers[0]) == 1
    assert second.seen("GET", img.layers[0])[0].headers["range"].startswith("bytes=")
    assert hedges(lar) == (0, 0)


def many(lar, registries, n=20):
    """So many blobs are asked for, which the first holds and the second as well, where it is asked
    for them; the gate of the second's answers, and of the first's."""
    img, layers = fill(*registries, n=n)
    gates = [one.on("GET", "/v2/library/x/blobs/").always().hold_headers() for one in registries]
    pending = [lar.begin(BLOB + digest) for digest in img.layers]
    assert registries[0].wait_hits("GET", "/blobs/", n)
    lar.wait_counter("upstream_hedges", 8)
    return gates, list(zip(pending, layers))


def test_hedges_in_vain_are_few(registries, larder):
    """Eight, and one for ten fetches."""
    first, second, third = registries
    lar = start(larder, first, second)
    gates, pending = many(lar, [first, second])
    let_time_pass(larder, [third, second])
    assert second.wait_hits("GET", "/library/x/blobs/", 8)
    assert second.hits("GET", "/library/x/blobs/") <= 10
    gates[0].open()
    for one, layer in pending:
        assert one.done().body == layer
    sent, won = hedges(lar)
    assert sent <= 10 and won == 0


def test_hedges_that_win_cost_nothing(registries, larder):
    first, second, _ = registries
    lar = start(larder, first, second, limits={"upstream_headers": "60s"})
    gates, pending = many(lar, [first, second])
    gates[1].open()
    for one, layer in pending:
        assert one.done().body == layer
    # Where the first stalls all are helped in the end.
    assert hedges(lar) == (20, 20)


def test_what_is_rationed_is_asked_for_once(registries, larder):
    first, second, _ = registries
    img, layers = fill(first, second)
    first.on("HEAD", TAG).header("ratelimit-limit", "100;w=21600") \
        .header("ratelimit-remaining", "3;w=21600")
    gate = first.on("GET", "/manifests/").hold_headers()
    first.on("GET", "/blobs/").always().hold_headers()
    second.on("HEAD", TAG).hold_headers()
    lar = start(larder, first, second)
    pending = lar.begin(TAG)
    assert gate.reached()
    assert lar.get(BLOB + img.layers[0]).body == layers[0]  # not counted by the Hub, so hedged
    gate.open()
    assert pending.done().body == img.body
    assert second.hits("GET", "/manifests/") == 0


def test_a_stop_while_two_are_asked(registries, larder):
    first, second, _ = registries
    img, _ = fill(first, second)
    gates = [one.on(None, "").always().hold_headers() for one in (first, second)]
    lar = start(larder, first, second, limits={"drain": "50ms"})
    pending = [lar.begin(TAG), lar.begin(BLOB + img.layers[0])]
    assert all(gate.reached() for gate in gates)
    lar.stop()
    for one in pending:
        one.close()
