"""Commands on the store, through a running server and without one: the same answers."""
import contextlib
import http.client
import json
import os
import signal
import socket
import struct
import subprocess

import pytest
from larder import PROGRAM
from push import put_manifest
from registry import CONFIG, INDEX, LAYER, MANIFEST, digest_of, noise


def run(lar, *words):
    """The command as an operator gives it: with the server's configuration and data."""
    return subprocess.run([PROGRAM, *words, "--config", str(lar.folder / "larder.json"), "--data",
                           lar.data], capture_output=True, text=True, timeout=50,
                          stdin=subprocess.DEVNULL, check=False)


def good(result):
    assert result.returncode == 0 and result.stderr == "", result
    return result.stdout


def refused(result, *hints, status=1):
    assert result.returncode == status and result.stdout == "", result
    lines = result.stderr.strip().split("\n")
    assert len(lines) == 1 and lines[0].startswith("larder: "), result
    assert all(hint in lines[0] for hint in hints), result
    return lines[0]


def both(lar, *words):
    """What the command prints by the running server; then the server stops, and it must print the
    same without."""
    there = good(run(lar, *words))
    lar.stop()
    assert good(run(lar, *words)) == there
    lar.start()
    return there


def put(server, method, target, body, headers=None):
    server.request(method, target, body, headers or {})
    response = server.getresponse()
    assert response.status == 201, response.read()
    response.read()


class Image:
    """An image whose configuration says what its layers hold; they are compressed by `salt`."""

    def __init__(self, diffs, salt=b"", size=1000, architecture="amd64"):
        self.layers = [noise(size * (n + 1), diff) + salt for n, diff in enumerate(diffs)]
        ids = [digest_of(str(diff).encode()) for diff in diffs]
        self.config = json.dumps({"architecture": architecture, "os": "linux",
                                  "rootfs": {"type": "layers", "diff_ids": ids}}).encode()
        self.manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
                         "config": {"mediaType": CONFIG, "digest": digest_of(self.config),
                                    "size": len(self.config)},
                         "layers": [{"mediaType": LAYER, "digest": digest_of(layer),
                                     "size": len(layer)} for layer in self.layers]}
        self.body = json.dumps(self.manifest).encode()
        self.digest = digest_of(self.body)
        self.bytes = sum(map(len, [self.body, self.config, *self.layers]))

    def upstream(self, registry, repo, tag):
        for blob in (self.config, *self.layers):
            registry.add_blob(repo, blob)
        registry.add_manifest(repo, tag, self.body)
        return self

    def push(self, lar, repo, tag):
        with contextlib.closing(http.client.HTTPConnection(lar.host, timeout=30)) as server:
            for blob in (self.config, *self.layers):
                target = f"/v2/{repo}/blobs/uploads/?digest={digest_of(blob)}"
                put(server, "POST", target, blob)
            put(server, "PUT", f"/v2/{repo}/manifests/{tag}", self.body,
                {"Content-Type": MANIFEST})
        return self

    def pull(self, lar, repo, tag):
        """As clients do: manifest, configuration, layers; until the index knows all of it, which
        it does a moment after the last byte."""
        paths = {f"/v2/{repo}/manifests/{tag}": self.body}
        for blob in (self.config, *self.layers):
            paths[f"/v2/{repo}/blobs/{digest_of(blob)}"] = blob
        for path, body in paths.items():
            assert lar.get(path).body == body
            lar.wait(lambda asked=path: lar.get(asked).source() == "hit", path)
        return self


def mirror(registry, larder, **more):
    """A server that has pulled debian and golang, which extends it."""
    lar = larder(upstreams={"docker.io": registry.url}, **more)
    debian = Image([1]).upstream(registry, "library/debian", "bookworm")
    golang = Image([1, 2, 3], b"anew").upstream(registry, "library/golang", "1.18")
    debian.pull(lar, "library/debian", "bookworm")
    golang.pull(lar, "library/golang", "1.18")
    return lar, debian, golang


def test_stages_of_a_mirrored_repository(registry, larder):
    lar, debian, golang = mirror(registry, larder)
    text = both(lar, "stages", "golang")
    lines = text.splitlines()
    assert lines[0].split() == ["debian:bookworm", "1", "kB", "docker.io"]
    assert lines[1].split() == ["└─", "golang:1.18", "+5", "kB", "2", "layers"]
    assert lines[2] == "stored 8.6 kB, as separate images 8.6 kB", text
    answer = json.loads(both(lar, "stages", "docker.io/library/golang", "--json"))
    assert answer["stored"] == answer["separate"] == debian.bytes + golang.bytes
    low, high = answer["images"]
    assert low["names"] == [{"repository": "library/debian", "upstream": "docker.io",
                             "tag": "bookworm", "digest": debian.digest}]
    assert low["parent"] is None and high["parent"] == 0 and high["depth"] == 1
    assert high["platform"] == "linux/amd64" and high["mirrored"]
    assert high["added"] == {"layers": 2, "bytes": sum(map(len, golang.layers[1:]))}
    assert high["all"] == {"layers": 3, "bytes": sum(map(len, golang.layers))}


def team(registry, larder):
    """What the builds of a team leave: stages on a mirrored base, each client compressing anew."""
    lar, *_ = mirror(registry, larder)
    Image([1, 2, 3, 4], b"b").push(lar, "stage/app", "builder")
    Image([1, 2, 3, 4, 5, 6], b"c").push(lar, "stage/app", "ci")
    Image([1, 2, 3, 4, 5, 6, 7], b"c").push(lar, "stage/app", "dev")
    Image([1, 2, 3, 4, 5, 8, 6], b"d").push(lar, "stage/app", "other")
    Image([9]).push(lar, "stage/app", "release")
    Image([9], b"anew").push(lar, "stage/again", "release")
    return lar


def test_stages(registry, larder):
    lar = team(registry, larder)
    text = both(lar, "stages")
    assert [line.rstrip() for line in text.splitlines()] == [
        "debian:bookworm                           1 kB   docker.io",
        "└─ golang:1.18                           +5 kB   2 layers",
        "   └─ stage/app:builder                  +4 kB   1 layer",
        "      ├─ stage/app:ci                   +11 kB   2 layers, 11 kB shared with siblings",
        "      │  └─ stage/app:dev                +7 kB   1 layer",
        "      └─ stage/app:other                +18 kB   3 layers, 12 kB shared with siblings",
        "stage/again:release, stage/app:release    1 kB   from scratch, 1 layer",
        text.splitlines()[-1]]
    answer = json.loads(both(lar, "stages", "--json"))
    assert answer["stored"] < answer["separate"]
    shown = text.splitlines()[-1]
    assert shown.startswith("stored ") and ", as separate images " in shown
    assert len(answer["images"]) == 7 and answer["others"] == answer["absent"] == 0
    assert "release" not in both(lar, "stages", "golang")
    assert both(lar, "stages", "stage/again").splitlines()[0].startswith("stage/again:release")


def test_ls_of_what_was_pushed(registry, larder):
    lar = team(registry, larder)
    text = both(lar, "ls")
    assert "docker.io" not in text and "pushed 20" in text and "used 20" in text
    assert [line.split()[0] for line in text.splitlines()] == [
        "stage/again", "release", "stage/app", "builder", "ci", "dev", "other", "release"]
    assert len(both(lar, "ls", "stage/again").splitlines()) == 2
    assert "docker.io/library/golang" in both(lar, "ls", "--all")


def test_ls_of_what_has_no_tag(registry, larder):
    """Children of an index that has one, and what refers to them, do not count."""
    lar = larder(upstreams={"docker.io": registry.url})
    old = Image([1, 2]).push(lar, "stage/app", "dev")
    new = Image([1, 3]).push(lar, "stage/app", "dev")
    child = Image([4]).push(lar, "stage/app", Image([4]).digest)
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": MANIFEST, "digest": child.digest, "size": len(child.body)}]}).encode()
    put_manifest(lar, "multi", index, INDEX)
    proof = Image([5])
    proof.body = json.dumps({**proof.manifest, "subject": {
        "mediaType": MANIFEST, "digest": child.digest, "size": len(child.body)}}).encode()
    proof.digest = digest_of(proof.body)
    proof.push(lar, "stage/app", proof.digest)
    size = len(old.body) + len(old.config) + len(old.layers[1])  # the first one is shared
    whole, = json.loads(both(lar, "ls", "--json"))["repositories"]
    assert whole["manifests"] == 5 and whole["untagged"] == {"manifests": 1, "bytes": size}
    named, = json.loads(both(lar, "ls", "stage/app", "--json"))["repositories"]
    one, = named["untagged"].pop("list")
    assert named["untagged"] == whole["untagged"]
    assert one["digest"] == old.digest and one["bytes"] == old.bytes and one["since"] <= "2100"
    row = both(lar, "ls").splitlines()[-1].split()
    assert row[:3] == ["without", "a", "tag"] and row[5:7] == ["1", "manifest;"]
    assert row[-5:] == ["`larder", "rm", "stage/app@DIGEST`", "removes", "it"]
    row = both(lar, "ls", "stage/app").splitlines()[-1].split()
    assert row[0] == "since" and row[-1] == old.digest
    good(run(lar, "rm", "stage/app:multi"))
    good(run(lar, "rm", "stage/app@" + old.digest))
    whole, = json.loads(both(lar, "ls", "--json"))["repositories"]
    assert whole["untagged"]["manifests"] == 3
    named, = json.loads(good(run(lar, "ls", "stage/app", "--json")))["repositories"]
    for one in named["untagged"]["list"]:
        good(run(lar, "rm", "stage/app@" + one["digest"]))
    assert "without" not in both(lar, "ls", "stage/app")
    assert lar.get("/v2/stage/app/manifests/dev").body == new.body


def test_rm(registry, larder):
    """Each kind of name once by the server, and once without."""
    lar = team(registry, larder)
    manifest = json.loads(good(run(lar, "ls", "stage/app", "--json")))["repositories"][0]["tags"]
    digest = {tag["tag"]: tag["digest"] for tag in manifest}
    assert good(run(lar, "rm", "stage/app:dev")) == "removed tag stage/app:dev\n"
    assert lar.get("/v2/stage/app/manifests/dev").status == 404
    assert lar.get("/v2/stage/app/manifests/" + digest["dev"]).status == 200
    assert lar.get("/v2/stage/app/manifests/ci").status == 200
    refused(run(lar, "rm", "stage/app:dev"), "stage/app has no tag dev")
    lar.stop()
    assert good(run(lar, "rm", "stage/app@" + digest["ci"])).splitlines() == [
        "removed tag stage/app:ci", "removed manifest stage/app@" + digest["ci"]]
    refused(run(lar, "rm", "stage/app@" + digest["ci"]), "has no manifest", digest["ci"])
    assert json.loads(good(run(lar, "rm", "--json", "stage/app:other"))) == {
        "removed": [{"what": "tag", "repository": "stage/app", "tag": "other"}],
        "tags": 1, "manifests": 0, "blobs": 0}
    lar.start()
    assert lar.get("/v2/stage/app/manifests/ci").status == 404
    result = run(lar, "rm", "stage/again", "stage/none", "stage/app")
    assert result.returncode == 1 and "stage/none" in result.stderr
    assert "removed tag stage/again:release" in result.stdout
    assert "removed tag stage/app:release" in result.stdout
    assert both(lar, "ls") == ""
    assert lar.get("/v2/stage/app/manifests/builder").status == 404
    assert lar.get("/v2/library/golang/manifests/1.18").status == 200


@pytest.mark.parametrize("running", [True, False])
def test_names_with_our_own_host(registry, larder, running):
    """As docker has them; where no server runs, the address of the configuration counts."""
    lar, *_ = mirror(registry, larder)
    image = Image([1]).push(lar, "stage/app", "dev")
    image.push(lar, "stage/app", "old")
    port = lar.port if running else 5000
    hosts = [f"127.0.0.1:{port}", f"localhost:{port}"]
    if not running:
        lar.stop()
    for host in hosts:
        assert good(run(lar, "ls", f"{host}/stage/app")) == good(run(lar, "ls", "stage/app"))
        assert good(run(lar, "stages", f"{host}/golang")) == good(run(lar, "stages", "golang"))
        assert "3 changed" in good(run(lar, "pin", f"{host}/stage/app:dev"))
        assert "3 changed" in good(run(lar, "unpin", f"{host}/stage/app@{image.digest}"))
        assert "already here" in run(lar, "warm", f"{host}/golang:1.18").stdout
    assert good(run(lar, "rm", f"{hosts[0]}/stage/app:old")) == "removed tag stage/app:old\n"
    out = str(lar.folder / "out.tar")
    result = run(lar, "export", "-o", out, f"{hosts[0]}/stage/app:dev",
                 f"{hosts[1]}/debian:bookworm")
    assert result.returncode == 0 and result.stderr.startswith("larder: 2 images, "), result
    refused(run(lar, "pin", "127.0.0.1:1/stage/app:dev"), "127.0.0.1:1 is not an upstream")
    if running:
        lar.process.send_signal(signal.SIGHUP)
        lar.wait(lambda: "config.renewed" in lar.events, "the configuration is read again")
        assert good(run(lar, "ls", f"{hosts[0]}/stage/app")) == good(run(lar, "ls", "stage/app"))


@pytest.mark.parametrize("name, hint", [
    ("golang:1.18", "docker.io/library/golang is mirrored"),
    ("docker.io/library/golang", "mirrored"),
    ("stage/app@sha256:12", "digest"),
    ("stage/app:", "tag"),
    ("stage/none", "stage/none"),
])
def test_rm_refused(registry, larder, name, hint):
    lar, *_ = mirror(registry, larder)
    Image([1]).push(lar, "stage/app", "x")
    there = refused(run(lar, "rm", name), hint)
    lar.stop()
    assert refused(run(lar, "rm", name), hint) == there


def test_stages_of_an_index(registry, larder):
    """The image for this machine where it is here, else one that is; no attestation."""
    lar = larder(upstreams={"docker.io": registry.url})
    ours = "arm64" if os.uname().machine == "aarch64" else "amd64"
    image = Image([1, 2], architecture=ours).upstream(registry, "library/x", None)
    other = Image([3], architecture="s390x").upstream(registry, "library/x", None)
    proof = Image([4], architecture="unknown").upstream(registry, "library/x", None)
    entries = [(proof, "unknown", "unknown"), (other, "linux", "s390x"), (image, "linux", ours)]
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": MANIFEST, "digest": one.digest, "size": len(one.body),
         "platform": {"os": system, "architecture": architecture}}
        for one, system, architecture in entries]}).encode()
    registry.add_manifest("library/x", "latest", body, INDEX)
    assert lar.get("/v2/library/x/manifests/latest").body == body
    nothing = json.loads(good(run(lar, "stages", "x", "--json")))
    assert nothing["images"] == [] and nothing["absent"] == 1 and nothing["stored"] == 0
    proof.pull(lar, "library/x", proof.digest)
    other.pull(lar, "library/x", other.digest)
    found = json.loads(good(run(lar, "stages", "x", "--json")))
    assert [one["platform"] for one in found["images"]] == ["linux/s390x"]
    image.pull(lar, "library/x", image.digest)
    found = json.loads(both(lar, "stages", "x", "--json"))
    assert [one["platform"] for one in found["images"]] == ["linux/" + ours]
    assert found["images"][0]["names"][0]["digest"] == digest_of(body)


def test_stages_of_nothing(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url})
    assert both(lar, "stages") == "stored 0 B, as separate images 0 B\n"


def test_ls(registry, larder):
    lar, debian, golang = mirror(registry, larder)
    assert both(lar, "ls") == ""
    text = both(lar, "ls", "--all")
    assert [line.split()[0] for line in text.splitlines()] == [
        "docker.io/library/debian", "bookworm", "docker.io/library/golang", "1.18"]
    assert debian.digest[:19] in text and golang.digest[:19] in text
    assert both(lar, "ls", "debian") == good(run(lar, "ls", "docker.io/debian"))
    answer = json.loads(both(lar, "ls", "docker.io/library/debian", "--json"))
    one, = answer["repositories"]
    assert one["upstream"] == "docker.io" and one["repository"] == "library/debian"
    assert one["bytes"] == debian.bytes and one["blobs"] == 3 and one["manifests"] == 1
    tag, = one["tags"]
    assert tag["tag"] == "bookworm" and tag["digest"] == debian.digest
    assert tag["bytes"] == debian.bytes and tag["fetched"] <= tag["checked"]


def test_pin_names_what_fetches(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url})
    image = Image([1, 2]).upstream(registry, "library/x", "1")
    assert lar.get("/v2/library/x/manifests/1").body == image.body
    lar.wait(lambda: lar.get("/v2/library/x/manifests/1").source() == "hit", "it is kept")
    refused(run(lar, "pin", "x:1"), "3 of the blobs of x:1 are not here; `larder warm x:1` fetches")
    refused(run(lar, "pin", "x:2"), "library/x:2 is not here; `larder warm x:2` fetches")
    Image([1]).push(lar, "stage/app", "dev")
    assert "warm" not in refused(run(lar, "pin", "stage/app:none"), "stage/app:none is not here")


@pytest.mark.parametrize("words", [["stages"], ["ls"]])
@pytest.mark.parametrize("name, hint", [
    ("stage/none", "stage/none"),
    ("docker.io/library/none", "docker.io/library/none"),
    ("registry.example/x", "registry.example"),
    ("UPPER", "name"),
    ("a" * 2000, "name"),
])
def test_unknown_repository(registry, larder, words, name, hint):
    lar = larder(upstreams={"docker.io": registry.url})
    there = refused(run(lar, *words, name), hint)
    lar.stop()
    assert refused(run(lar, *words, name), hint) == there


def test_long_path(registry, larder, tmp_path):
    """A socket's address holds 107 bytes; the data directory's path may be longer."""
    data = tmp_path / ("long" * 30) / ("longer" * 20)
    data.mkdir(parents=True)
    lar, *_ = mirror(registry, larder, data=data)
    assert len(lar.data) > 230
    before = lar.process.pid
    assert "golang:1.18" in both(lar, "stages", "golang")
    assert lar.process.pid != before


@pytest.mark.parametrize("words, hint", [
    (["stages", "a", "b"], "argument b"),
    (["ls", "a", "b"], "argument b"),
    (["stages", "--all"], "--all"),
    (["ls", "--nothing"], "--nothing"),
    (["ls", "--dry-run"], "--dry-run"),
    (["gc", "x"], "argument x"),
    (["rm"], "needs a name"),
    (["rm", "--all", "x"], "--all"),
    (["ls", "--json=yes"], "--json"),
    (["serve", "--json"], "--json"),
])
def test_bad_usage(registry, larder, words, hint):
    lar = larder(upstreams={"docker.io": registry.url})
    refused(run(lar, *words), hint, status=2)


@pytest.mark.parametrize("command", ["stages", "ls", "rm", "gc"])
def test_help(command):
    for words in ([command, "--help"], ["help", command]):
        result = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=30,
                                check=False)
        assert result.returncode == 0 and result.stdout.startswith(f"usage: larder {command} ")
        assert "--json" in result.stdout and "--data DIR" in result.stdout


@pytest.mark.parametrize("words", [["stages"], ["ls"], ["rm", "stage/app"], ["gc"], ["verify"],
                                   ["inventory"], ["export", "-o", "/dev/null", "x"]],
                         ids=lambda words: words[0])
def test_no_data_directory(tmp_path, words):
    """A command makes none."""
    for data in (tmp_path / "none", tmp_path):
        result = subprocess.run([PROGRAM, *words, "--data", str(data)],
                                capture_output=True, text=True, timeout=30, check=False)
        refused(result, f"larder: {data}: no data of Larder's is there: ")
    assert os.listdir(tmp_path) == []


def test_no_permission_is_no_usage(tmp_path):
    """The configuration is wrong: status 2, whatever the command."""
    path = tmp_path / "bad.json"
    path.write_text('{"lisen": []}')
    result = subprocess.run([PROGRAM, "ls", "--config", str(path)], capture_output=True, text=True,
                            timeout=30, check=False)
    refused(result, "lisen", status=2)


def test_killed_server(registry, larder):
    """Its socket is still there, and nobody listens."""
    lar, *_ = mirror(registry, larder)
    there = good(run(lar, "stages", "golang"))
    lar.kill()
    assert os.path.exists(os.path.join(lar.data, "control.sock"))
    assert good(run(lar, "stages", "golang")) == there


def ask(lar, path, method="GET", headers=()):
    """Straight to the control socket: the status and the body."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(os.path.join(lar.data, "control.sock"))
        lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", *headers]
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        response = http.client.HTTPResponse(sock, method=method)
        response.begin()
        return response.status, json.loads(response.read())


def test_control_socket(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url})
    assert ask(lar, "/-/ls") == (200, {"repositories": []})
    for path, status in (("/-/stages?repository=none%2Fat%2Fall", 404),
                         ("/-/ls?repository=a%00b", 400), ("/-/ls?repository=" + "a" * 3000, 400),
                         ("/-/nothing", 404), ("/-/", 404), ("/nothing", 404)):
        assert ask(lar, path)[0] == status, path
    assert ask(lar, "/-/ls", "POST", ["Content-Length: 0"])[0] == 405
    Image([1]).push(lar, "stage/app", "x")
    remove = "/-/rm?repository=stage%2Fapp"
    assert ask(lar, remove)[0] == 405
    assert ask(lar, remove, "POST", ["Content-Length: 0", "Origin: http://evil.example"])[0] == 403
    assert ask(lar, remove + "%00", "POST", ["Content-Length: 0"])[0] == 400
    assert ask(lar, remove, "POST", ["Content-Length: 0"])[1]["tags"] == 1


def test_listener_of_role_admin(registry, larder):
    """What the control socket has, a listener of that role has too; and nothing else."""
    lar = larder(upstreams={"docker.io": registry.url},
                 config={"listen": [{"address": "127.0.0.1:0", "role": "admin"}]})
    assert lar.get("/-/ls").json() == {"repositories": []}
    assert lar.get("/-/counters").status == 200
    assert lar.get("/-/rm?repository=stage%2Fnone", method="POST").status == 404
    assert lar.get("/v2/").status == 404
    assert f"listening on http://{lar.host}, commands only" in lar.events


def test_client_that_leaves(registry, larder):
    """The command goes on without it, and the server lives."""
    lar, *_ = mirror(registry, larder)
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(os.path.join(lar.data, "control.sock"))
            sock.sendall(b"GET /-/stages?repository=golang HTTP/1.1\r\nHost: x\r\n\r\n")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    lar.wait(lambda: ask(lar, "/-/stages?repository=golang")[0] == 200, "the commands end")
