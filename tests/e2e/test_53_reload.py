"""SIGHUP: the configuration is read again, and nobody who is served notices."""
import itertools
import json
import os
import signal
import threading

from registry import noise

BIG = noise(6_000_000)


def write(lar, **changes):
    lar.config = {**lar.config, **changes}
    (lar.folder / "larder.json").write_text(json.dumps(lar.config))


def hang_up(lar, says="config.renewed"):
    """SIGHUP, and what the server says of it."""
    before = lar.events.count(says)
    os.kill(lar.process.pid, signal.SIGHUP)
    lar.wait(lambda: lar.events.count(says) > before, says)
    line = lar.events.rindex(says)
    lar.wait(lambda: "\n" in lar.events[line:], "the whole line")
    return lar.events[line:].split("\n")[0]


def renew(lar, **changes):
    write(lar, **changes)
    hang_up(lar)


def alone(lar):
    lar.wait(lambda: lar.counter("configurations") == 1, "earlier configurations are gone")


def upstreams(**those):
    return {name.replace("_", "."): {"endpoints": [url]} for name, url in those.items()}


def start(larder, limits=None, **config):
    return larder(config=config, limits={"tls_files": "20ms", **(limits or {})})


def test_upstreams_come_and_go(registry, larder):
    lar = start(larder, upstreams=upstreams(one_example=registry.url))
    one = "/v2/one.example/a/blobs/" + registry.add_blob("a", BIG)
    two = "/v2/two.example/a/blobs/" + registry.add_blob("a", BIG[:1000])
    assert lar.get(two).status == 404
    rule = registry.on("GET", "/blobs/").hold_after(1_000_000)
    under_way = lar.begin(one)
    under_way.read(500_000)
    renew(lar, upstreams=upstreams(two_example=registry.url))
    assert lar.get(one).status == 404
    assert lar.counter("configurations") == 2
    registry.clear_rules()
    assert lar.get(two).body == BIG[:1000]
    rule.open()
    reply = under_way.done()
    assert reply.complete and reply.body == BIG
    alone(lar)


def test_hosted_names(registry, larder):
    lar = start(larder, hosted={"stage/**": {}}, upstreams=upstreams(docker_io=registry.url))
    place = "/v2/own/app/blobs/uploads/"
    assert lar.send("POST", place).status == 403
    renew(lar, hosted={"own/**": {}})
    assert lar.send("POST", place).status == 202
    assert lar.send("POST", "/v2/stage/app/blobs/uploads/").status == 403


def test_an_upload_goes_on(registry, larder):
    lar = start(larder, hosted={"stage/**": {}}, upstreams=upstreams(docker_io=registry.url))
    opened = lar.send("POST", "/v2/stage/a/blobs/uploads/")
    p = lar.begin(opened.headers["location"].removeprefix(lar.url), {"Content-Length": len(BIG)},
                  "PATCH")
    p.push(BIG[:3_000_000])
    lar.wait_counter("upload_bytes", 1_000_000)
    renew(lar, hosted={"own/**": {}})
    p.push(BIG[3_000_000:])
    assert p.done().status == 202


def test_what_is_wrong_changes_nothing(registry, larder):
    lar = start(larder, upstreams=upstreams(docker_io=registry.url))
    path = "/v2/library/a/blobs/" + registry.add_blob("library/a", b"abc")
    (lar.folder / "larder.json").write_text('{"upstreams": {"ghcr.io": {"endpoint": []}}}')
    said = hang_up(lar, "config.kept")
    assert "larder.json" in said and "upstreams.ghcr.io.endpoint" in said
    (lar.folder / "larder.json").write_text('{"upstreams": {')
    assert "line 1" in hang_up(lar, "config.kept")
    (lar.folder / "larder.json").unlink()
    assert "larder.json" in hang_up(lar, "config.kept")
    lost = {"ca_file": str(lar.folder / "none.pem")}
    write(lar, upstreams={"docker.io": {"endpoints": [registry.url], **lost}})
    assert "none.pem" in hang_up(lar, "config.kept")
    assert lar.get(path).body == b"abc"


def test_options_take_effect(registry, larder):
    img = registry.add_image("library/x", "latest", [noise(300_000)])
    lar = start(larder, upstreams=upstreams(docker_io=registry.url), tags={"ttl": "0s"},
                cache={"max_size": "1GB"})
    assert lar.get("/v2/x/manifests/latest").body == img.body
    asked = registry.hits("HEAD", "/manifests/latest")
    assert lar.get("/v2/x/manifests/latest").status == 200
    assert registry.hits("HEAD", "/manifests/latest") == asked + 1
    assert lar.counter("store_budget_bytes") == 1_000_000_000
    renew(lar, tags={"ttl": "1h"}, cache={"max_size": "2GB"})
    assert lar.get("/v2/x/manifests/latest").status == 200
    assert registry.hits("HEAD", "/manifests/latest") == asked + 1
    lar.wait(lambda: lar.counter("store_budget_bytes") == 2_000_000_000, "the new budget")


def test_the_log(registry, larder):
    lar = start(larder, upstreams=upstreams(docker_io=registry.url))
    renew(lar, log={"level": "info", "format": "json"})
    last = lar.events.rstrip("\n").rpartition("\n")[2]
    assert json.loads(last)["event"] == "config.renewed"
    lar.get("/v2/")
    assert json.loads(lar.lines(1)[0])["path"] == "/v2/"


def test_what_has_to_wait_is_named(registry, larder):
    lar = start(larder, upstreams=upstreams(docker_io=registry.url), listen=["127.0.0.1:0"])
    path = "/v2/library/a/blobs/" + registry.add_blob("library/a", b"abc")
    write(lar, workers=1, offline=True, limits={**lar.config["limits"], "first_byte": "7s"},
          listen=[{"address": "127.0.0.1:0", "push": True}])
    said = hang_up(lar, "config.restart")
    assert said.endswith(": listen, workers, limits, offline"), said
    # As long as it is so, and not only the first time.
    assert hang_up(lar, "config.restart").endswith(": listen, workers, limits, offline")
    assert lar.get(path).body == b"abc"


def test_again_and_again_under_load(registry, larder):
    """Hits and misses go on through it, and nothing of the earlier configurations stays."""
    blobs = [noise(200_000, seed) for seed in range(120)]
    paths = ["/v2/library/a/blobs/" + registry.add_blob("library/a", data) for data in blobs]
    lar = start(larder, upstreams=upstreams(docker_io=registry.url), hosted={"stage/**": {}})
    stop, wrong, turns = threading.Event(), [], itertools.count()

    def pull():
        while not stop.is_set():
            n = next(turns)
            at = n % 2 and n % len(paths)
            reply = lar.get(paths[at])
            if reply.status != 200 or reply.body != blobs[at]:
                wrong.append(reply)

    threads = [threading.Thread(target=pull) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(20):
        more = upstreams(other_example=registry.url) if n % 2 else {}
        renew(lar, upstreams={**upstreams(docker_io=registry.url), **more})
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]
    alone(lar)
