"""What an operator sees: /metrics as Prometheus reads it, /healthz and /readyz."""
import http.client
import json
import os
import re
import socket
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from larder import PROGRAM
from registry import noise


def version():
    said = subprocess.run([PROGRAM, "version"], capture_output=True, text=True, check=True)
    return said.stdout.split()[1]


def control(lar, path, method="GET"):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(os.path.join(lar.data, "control.sock"))
        sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        response = http.client.HTTPResponse(sock, method=method)
        response.begin()
        return response, response.read()


def figures(lar):
    """Every sample by its name and labels."""
    answer = lar.get("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        assert family.documentation and family.name.startswith("larder_")
        for sample in family.samples:
            key = (sample.name, *sorted(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def test_figures_of_a_pull(registry, larder):
    img = registry.add_image("library/x", "latest", [noise(300_000)])
    lar = larder(upstreams={"docker.io": registry.url})
    before = figures(lar)
    for _ in range(3):
        lar.get("/v2/x/manifests/latest")
        lar.get("/v2/x/blobs/" + img.layers[0])
        lar.wait_counter("flights_landed", 1)
        lar.wait(lambda: lar.counter("flights_open") == 0, "what follows is a hit")
    lar.lines(6)
    after = figures(lar)
    gained = {key: after[key] - before[key] for key in after}
    assert gained["larder_responses_total", ("from", "hit")] == 4
    assert gained["larder_responses_total", ("from", "miss")] == 2
    assert gained[("larder_bytes_saved_total",)] == 2 * (len(img.body) + 300_000)
    assert gained["larder_first_byte_seconds_count", ("from", "store"), ("kind", "blob")] == 2
    assert gained["larder_request_seconds_count", ("from", "upstream"), ("kind", "manifest")] == 1
    assert gained["larder_request_seconds_bucket", ("from", "store"), ("kind", "blob"),
                  ("le", "+Inf")] == 2
    assert after["larder_store_blobs", ("class", "layer")] == 1
    assert after["larder_store_blob_bytes", ("class", "layer")] == 300_000
    assert after[("larder_store_held_bytes",)] >= 300_000
    assert after[("larder_store_budget_bytes",)] > after[("larder_store_held_bytes",)]
    assert after[("larder_store_free_bytes",)] > 0
    assert 0 < after[("larder_index_bytes",)] < after[("larder_index_max_bytes",)]
    assert after["larder_build_info", ("version", version())] == 1


def test_every_counter_is_there(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url})
    names = {key[0] for key in figures(lar)}
    for name in lar.counters():
        if not name.startswith("responses_"):
            assert {f"larder_{name}", f"larder_{name}_total"} & names, name


def test_buckets_grow(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url})
    lar.get("/v2/")
    lar.lines(1)
    rows = [(float(dict(key[1:])["le"]), value) for key, value in figures(lar).items()
            if key[0] == "larder_first_byte_seconds_bucket" and ("kind", "other") in key]
    rows.sort()
    assert len(rows) == 20 and rows[-1][1] >= 1
    assert [value for _, value in rows] == sorted(value for _, value in rows)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health(registry, larder, path):
    lar = larder(upstreams={"docker.io": registry.url})
    assert (lar.get(path).status, lar.get(path).body) == (200, b"ok\n")
    assert lar.get(path, method="HEAD").status == 200
    assert lar.get(path, method="POST").status == 405
    assert control(lar, path)[0].status == 200


def test_health_on_a_mirror_that_tells_nothing_else(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url},
                 config={"listen": [{"address": "127.0.0.1:0", "role": "mirror"}]})
    assert lar.get("/healthz").status == 200
    assert lar.get("/metrics").status == 404
    assert control(lar, "/metrics")[0].status == 200


def stats(lar, *args):
    return subprocess.run([PROGRAM, "stats", "--data", lar.data, *args], capture_output=True,
                          text=True, timeout=60, check=False)


def test_stats(registry, larder):
    img = registry.add_image("library/x", "latest", [noise(300_000)])
    lar = larder(upstreams={"docker.io": registry.url})
    lar.get("/v2/x/manifests/latest")
    lar.get("/v2/x/blobs/" + img.layers[0])
    lar.wait_counter("flights_landed", 1)
    said = stats(lar)
    assert said.returncode == 0, said.stderr
    rows = dict(re.split("  +", line.strip(), maxsplit=1) for line in said.stdout.splitlines())
    assert rows["fetched for them"] == "2" and rows["held"].endswith("kB"), rows
    told = stats(lar, "--json")
    assert json.loads(told.stdout)["upstream_blob_gets"] == 1
    lar.stop()
    said = stats(lar)
    assert said.returncode == 1 and "no server runs there" in said.stderr
