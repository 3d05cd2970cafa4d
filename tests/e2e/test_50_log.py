"""The access log: one line a request, for people and for programs."""
import json
import re

import pytest
from registry import noise
from test_82_users import passwd

LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) client=(?P<client>\S+) "
    r"method=(?P<method>\S+) status=(?P<status>\d+) from=(?P<source>\S+) "
    r"bytes=(?P<bytes>\d+) repo=(?P<repo>\S+) "
    r"ref=(?P<ref>\S+) digest=(?P<digest>\S+) first_ms=(?P<first>[\d.]+) "
    r"total_ms=(?P<total>[\d.]+) path=(?P<path>\S+) agent=(?P<agent>\S+)"
    r"( ns=(?P<ns>\S+))?( user=(?P<user>\S+))?$")


def test_text(registry, larder):
    img = registry.add_image("library/x", "latest", [noise(300_000)])
    lar = larder(upstreams={"docker.io": registry.url})
    asked = [("GET", "manifests/latest"), ("GET", "manifests/latest"),
             ("GET", "blobs/" + img.layers[0]), ("HEAD", "blobs/" + img.layers[0]),
             ("GET", "manifests/nothing"), ("GET", "")]
    for n, (method, rest) in enumerate(asked, 1):
        lar.get("/v2/x/" + rest if rest else "/v2/", {"User-Agent": 'a test/1 "quoted"'}, method)
        lar.lines(n)  # a client has all of a response before its line is written
    lines = [LINE.match(line) for line in lar.access]
    assert all(lines), lar.access
    assert [(m["method"], m["status"], m["source"]) for m in lines] == [
        ("GET", "200", "miss"), ("GET", "200", "hit"), ("GET", "200", "miss"),
        ("HEAD", "200", "hit"), ("GET", "404", "none"), ("GET", "200", "none")]
    first = lines[0]
    assert (first["client"], first["repo"], first["ref"]) == (
        "127.0.0.1", "docker.io/library/x", "latest")
    assert first["digest"] == img.digest and first["bytes"] == str(len(img.body))
    assert first["agent"] == "a_test/1_?quoted?"
    assert float(first["first"]) <= float(first["total"])
    assert lines[2]["bytes"] == "300000" and lines[3]["bytes"] == "0"


def test_json(registry, larder):
    registry.add_image("library/x", "latest", [noise(1000)])
    lar = larder(upstreams={"docker.io": registry.url}, args=["--log-format", "json"])
    lar.get("/v2/x/manifests/latest", {"User-Agent": 'back\\slash "quote"'})
    record = json.loads(lar.lines(1)[0])
    assert record["agent"] == 'back\\slash "quote"'
    assert (record["status"], record["from"]) == (200, "miss")
    assert record["repo"] == "docker.io/library/x"
    events = [line for line in lar.events.split("\n") if line.startswith("{")]
    assert all(json.loads(line)["event"] for line in events)


def test_no_line_can_be_forged(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url})
    lar.raw(b"GET /v2/%0a%0d2026 HTTP/1.1\r\nHost: x\r\nUser-Agent: a\x1b[31m\xff b\r\n"
            b"Connection: close\r\n\r\n")
    lar.raw(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nUser-Agent: tab\there\r\nConnection: close\r\n\r\n")
    lar.get("/v2/")
    lar.stop()
    assert all(LINE.match(line) for line in lar.access), lar.access


ASKED = [  # path, which registry the log has beside a repository that is not known
    ("/v2/x/manifests/1?ns=nowhere.example", "nowhere.example"),
    ("/v2/x/manifests/1?ns=a%20b%0a%22%5cc", 'a b\n"\\c'),
    ("/v2/x/manifests/1?ns=" + "n" * 300, "n" * 263),
    ("/v2/x/nonsense?n=1&ns=docker.io", "docker.io"),
    ("/v2/x/manifests/1?ns=docker.io", None),  # repo has it
    ("/v2/?ns=", None),
]


@pytest.mark.parametrize("form", ["text", "json"])
def test_which_registry_was_meant(registry, larder, form):
    lar = larder(upstreams={"docker.io": registry.url}, args=["--log-format", form])
    for n, (path, _) in enumerate(ASKED, 1):
        lar.get(path)
        lar.lines(n)
    if form == "json":
        assert [json.loads(line).get("ns") for line in lar.access] == [ns for _, ns in ASKED]
        return
    lines = [LINE.match(line) for line in lar.access]
    assert all(lines), lar.access
    assert [line["ns"] for line in lines] == [
        ns and ns.replace(" ", "_").translate(dict.fromkeys(b'\n"\\', "?")) for _, ns in ASKED]
    assert lines[4]["repo"] == "docker.io/library/x"


def test_which_registry_was_meant_by_one_who_did_not_sign_in(larder, tmp_path):
    assert passwd(tmp_path / "users", "ann", "of ann").returncode == 0
    lar = larder(config={"listen": [{"address": "127.0.0.1:0", "role": "registry"}],
                         "auth": {"htpasswd": str(tmp_path / "users")}})
    assert lar.get("/v2/owner/app/manifests/1?ns=ghcr.io").status == 401
    line = LINE.match(lar.lines(1)[0])
    assert (line["status"], line["repo"], line["ns"]) == ("401", "-", "ghcr.io")


def test_age_and_source_in_the_header(registry, larder):
    img = registry.add_image("library/x", "latest", [noise(1000)])
    lar = larder(upstreams={"docker.io": registry.url})
    reply = lar.get("/v2/x/manifests/latest")
    assert reply.headers["x-larder"] == "miss"
    reply = lar.get("/v2/x/manifests/latest")
    assert re.fullmatch(r"hit(; age=\d+)?", reply.headers["x-larder"])
    assert lar.get("/v2/x/manifests/" + img.digest).source() == "hit"


def test_where_answers_came_from(registry, larder):
    """The header and the log tell the same."""
    img = registry.add_image("library/x", "latest", [noise(400_000)])
    lar = larder(upstreams={"docker.io": registry.url}, args=["--tag-ttl", "0s"],
                 config={"cache": {"prefetch": False}})
    blob = "/v2/x/blobs/" + img.layers[0]
    said = [lar.get("/v2/x/manifests/latest"), lar.get("/v2/x/manifests/latest")]
    gate = registry.on("GET", img.layers[0]).hold_after(200_000)
    first = lar.begin(blob)
    assert gate.reached()
    second = lar.begin(blob)
    lar.wait_counter("flights_joined", 1)
    gate.open()
    said += [first.done(), second.done()]
    lar.wait_counter("flights_landed", 1)
    said.append(lar.get(blob))
    registry.stop()
    said += [lar.get("/v2/x/manifests/latest"), lar.get("/v2/")]
    sources = [reply.source() for reply in said]
    assert sources == ["miss", "revalidated", "miss", "joined", "hit", "stale", "none"]
    found = [LINE.match(line)["source"] for line in lar.lines(len(said))]
    assert sorted(found) == sorted(sources)
    counters = lar.counters()
    assert [counters["responses_" + source] for source in sorted(set(sources) - {"none"})] == [
        1, 1, 2, 1, 1]


def test_counters_add_up(registry, larder):
    registry.add_image("library/x", "latest", [noise(1000)])
    lar = larder(upstreams={"docker.io": registry.url})
    for _ in range(10):
        lar.get("/v2/x/manifests/latest")
    counters = lar.counters()
    assert counters["responses_miss"] == 1 and counters["responses_hit"] == 9
    assert counters["requests"] == 11 and counters["upstream_manifest_gets"] == 1
    assert counters["bytes_sent"] > 0 and counters["flights_open"] == 0
