"""The program as a program: arguments, files, signals, one clear line where something is wrong."""
import json
import os
import shutil
import signal
import socket
import subprocess

import pytest
from larder import PROGRAM
from lmdbfile import Tables
from registry import noise


def run(*words, **more):
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=30,
                          stdin=subprocess.DEVNULL, check=False, **more)


def one_line(result, status):
    assert result.returncode == status, result
    lines = result.stderr.strip().split("\n")
    assert len(lines) == 1 and lines[0].startswith("larder: "), result
    return lines[0]


@pytest.mark.parametrize("words", [["--help"], ["help"], ["serve", "--help"], ["check", "-h"],
                                   ["help", "serve"]])
def test_help(words):
    result = run(*words)
    assert result.returncode == 0 and "larder" in result.stdout and result.stderr == ""


def test_version():
    assert run("version").stdout.startswith("larder ")
    assert run("--version").stdout.startswith("larder ")


@pytest.mark.parametrize("words, hint", [
    (["brew"], "brew"),
    (["serve", "--nothing"], "--nothing"),
    (["serve", "--listen"], "--listen"),
    (["serve", "--workers", "many"], "--workers"),
    (["serve", "--tag-ttl", "soon"], "--tag-ttl"),
    (["serve", "--listen", "nowhere"], "nowhere"),
    (["serve", "--upstream", "docker.io"], "docker.io"),
    (["serve", "--hosted", "docker.io/**"], "docker.io"),
    (["serve", "--config", "/nonexistent.json"], "/nonexistent.json"),
])
def test_bad_usage(tmp_path, words, hint):
    data = ["--data", str(tmp_path)] if words[0] == "serve" else []
    assert hint in one_line(run(words[0], *data, *words[1:]), 2)


@pytest.mark.parametrize("words", [
    ["check", "/none"], ["serve", "--config", "/none"], ["ls", "--config", "/none"],
    ["verify", "--config", "/none"], ["stats", "--config", "/none"], ["serve", "--lock", "/none"],
    ["warm", "--lock", "/none"], ["warm", "--file", "/none"], ["warm", "--dockerfile", "/none"],
    ["import", "/none"], ["import", "/none.000", "/none.001"], ["import", "--trust", "/none", "x"],
    ["export", "-o", "x", "--file", "/none"], ["export", "-o", "x", "--sign", "/none", "x"],
], ids=" ".join)
def test_a_file_that_cannot_be_read(tmp_path, words):
    """Whatever it is for: the command line names one that is not there."""
    line = one_line(run(*words, "--data", str(tmp_path / "data"), cwd=tmp_path), 2)
    assert "/none" in line and "No such file or directory" in line


@pytest.mark.parametrize("text, hint", [
    ('{"listen": [', "line 1"),
    ('{"lisen": []}', "lisen"),
    ('{"workers": "two"}', "workers"),
    ('{"upstreams": {"ghcr.io": {"endpoints": ["nope"]}}}', "upstreams.ghcr.io.endpoints[0]"),
    ('{"tags": {"ttl": 5}}', "tags.ttl"),
    ('{"hosted": {"**": {}}}', "**"),
    ('[]', "object"),
    ('{"offline": true, "offline": false}', "offline"),
])
def test_bad_configuration(tmp_path, text, hint):
    path = tmp_path / "bad.json"
    path.write_text(text)
    for command in ["check", str(path)], ["serve", "--config", str(path), "--data", str(tmp_path)]:
        line = one_line(run(*command), 2)
        assert "bad.json" in line and hint in line


def test_check(tmp_path):
    path = tmp_path / "good.json"
    path.write_text(json.dumps({"listen": ["127.0.0.1:0"], "data": str(tmp_path / "data")}))
    result = run("check", str(path))
    assert result.returncode == 0 and "good.json: ok" in result.stdout
    assert not (tmp_path / "data").exists()


def serve(data, *words, address="127.0.0.1:0", **more):
    return run("serve", "--listen", address, "--data", str(data), *words, **more)


def test_directory_in_use(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url})
    line = one_line(serve(lar.data), 1)
    assert lar.data in line and str(lar.process.pid) in line
    assert lar.get("/v2/").status == 200


def test_port_taken(registry, larder, tmp_path):
    lar = larder(upstreams={"docker.io": registry.url})
    line = one_line(serve(tmp_path / "other", address=lar.host), 1)
    assert lar.host in line and "in use" in line


def test_directory_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    assert "file" in one_line(serve(tmp_path / "file"), 1)
    assert (tmp_path / "file").read_text() == "x"


NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another user's place")


def open_to_all(tmp_path):
    for folder in [tmp_path, *tmp_path.parents]:
        if str(folder).startswith("/tmp/") and folder.owner() == "root":
            os.chmod(folder, 0o755)


@as_root
def test_directory_that_cannot_be_written(tmp_path):
    open_to_all(tmp_path)
    line = one_line(serve(tmp_path / "data", **NOBODY), 1)
    assert str(tmp_path) in line


@as_root
@pytest.mark.parametrize("owner, name", [(0, "root"), (54321, "uid 54321")])
def test_whose_directory_it_is(larder, tmp_path, owner, name):
    """Who is another is told as whom to run it, whether the server runs or not."""
    open_to_all(tmp_path)
    lar = larder(data=tmp_path / "data")
    says = f"run it as {name}, whose directory it is"
    for mode in 0o755, 0o700:
        os.chown(lar.data, owner, owner)
        os.chmod(lar.data, mode)
        line = one_line(run("ls", "--data", lar.data, **NOBODY), 1)
        assert f"{lar.data}/control.sock: Permission denied: {says}" in line
        assert line.count("as root") == 1
    os.chmod(lar.data, 0o755)
    lar.stop()
    for result in run("ls", "--data", lar.data, **NOBODY), serve(lar.data, **NOBODY):
        line = one_line(result, 1)
        assert f"{lar.data}/lock: uid 65534 may not write there: {says}" in line


@as_root
def test_directory_that_cannot_be_seen(tmp_path):
    open_to_all(tmp_path)
    (tmp_path / "above" / "data").mkdir(parents=True)
    os.chmod(tmp_path / "above", 0o700)
    line = one_line(run("ls", "--data", str(tmp_path / "above/data"), **NOBODY), 1)
    assert "Permission denied: run it as the user that the server runs as" in line


def refused_untouched(data, *hints):
    """The data directory is refused by one line, twice, and its index is as it was."""
    path = data / "index" / "data.mdb"
    before = path.read_bytes()
    for _ in range(2):
        line = one_line(serve(data), 1)
        assert str(data) in line and all(hint in line for hint in hints), line
    assert path.read_bytes() == before


def test_newer_index(registry, larder, tmp_path):
    lar = larder(upstreams={"docker.io": registry.url}, data=tmp_path / "store")
    lar.stop()
    with Tables(tmp_path / "store" / "index", write=True) as tables:
        tables.put("meta", b"format", b"\1" + (2).to_bytes(8, "little"))
    lar.ended_well = False
    refused_untouched(tmp_path / "store", "format 2", "newer")


@pytest.mark.parametrize("table", ["theirs", "meta", None])
def test_index_of_another_program(tmp_path, table):
    with Tables(tmp_path / "index", write=True) as tables:
        tables.put(table, b"key", b"value")
    refused_untouched(tmp_path, "not Larder's")
    assert os.listdir(tmp_path / "index") and not (tmp_path / "blobs").exists()


def test_index_that_cannot_be_read(tmp_path):
    """It is moved aside, never removed, and the server starts."""
    rubbish = b"not an index of ours" * 1000
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "data.mdb").write_bytes(rubbish)
    result = serve_briefly(tmp_path)
    assert result.returncode == 0 and "index.replaced" in result.stderr, result
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in kept if path.read_bytes() == rubbish], kept


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"),
                    reason="namespaces need root and unshare")
def test_full_disk_at_start(tmp_path):
    script = """mount -t tmpfs -o size=64k none "$1" || exit 77
        dd if=/dev/zero of="$1/filler" bs=4k >/dev/null 2>&1
        "$2" serve --listen 127.0.0.1:0 --data "$1"
        status=$?; ls "$1" | tr '\\n' ' '; exit $status"""
    result = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path),
                             PROGRAM], capture_output=True, text=True, timeout=30, check=False)
    if result.returncode == 77:
        pytest.skip("cannot mount a tmpfs: " + result.stderr)
    assert str(tmp_path) in one_line(result, 1)
    assert "filler" in result.stdout


def serve_briefly(data):
    process = subprocess.Popen([PROGRAM, "serve", "--listen", "127.0.0.1:0", "--data", str(data)],
                               stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    text = ""
    for line in process.stderr:
        text += line
        if "control socket" in line:
            process.terminate()
    process.wait(20)
    return subprocess.CompletedProcess([], process.returncode, "", text)


def test_what_it_says_at_start(registry, larder):
    lar = larder(upstreams={"docker.io": registry.url})
    for word in (lar.data, "docker.io", "ghcr.io", "registry-mirrors", lar.url):
        assert word in lar.events


ASKS = {"address": "127.0.0.1:0", "role": "registry"}


@pytest.mark.parametrize("listen, users, says", [
    (["127.0.0.1:0"], False, 'registry-mirrors": ["http://127.0.0.1:{0}"]'),
    (["0.0.0.0:0"], False, 'registry-mirrors": ["http://HOST:{0}"]'),
    (["[::]:0"], False, 'registry-mirrors": ["http://HOST:{0}"]'),
    (["0.0.0.0:0", "127.0.0.1:0"], False, 'registry-mirrors": ["http://127.0.0.1:{1}"]'),
    (["127.0.0.1:0", "127.0.0.1:0"], False, 'registry-mirrors": ["http://127.0.0.1:{0}"]'),
    ([ASKS], False, 'registry-mirrors": ["http://127.0.0.1:{0}"]'),
    ([ASKS, {"address": "0.0.0.0:0", "role": "mirror"}], True,
     'registry-mirrors": ["http://HOST:{1}"]'),
    ([{"address": "127.0.0.1:0", "role": "admin"}, ASKS], True, "docker login 127.0.0.1:{1}"),
    ([{**ASKS, "address": "0.0.0.0:0"}], True, "docker login HOST:{0}"),
])
def test_where_it_points_docker(larder, tmp_path, listen, users, says):
    config = {"listen": listen}
    if users:
        (tmp_path / "users").write_text("")
        config["auth"] = {"htpasswd": str(tmp_path / "users")}
    lar = larder(config=config)
    lines = [line for line in lar.events.split("\n") if "for Docker" in line]
    assert len(lines) == 1 and says.format(*(port for _, port in lar.doors)) in lines[0], lines


def test_drains_and_a_second_signal_stops(registry, larder):
    data = noise(3_000_000)
    digest = registry.add_blob("library/x", data)
    gate = registry.on("GET", digest).hold_after(1_000_000)
    lar = larder(upstreams={"docker.io": registry.url})
    pending = lar.begin("/v2/library/x/blobs/" + digest)
    pending.read(900_000)
    lar.process.send_signal(signal.SIGTERM)
    lar.wait(lambda: "stopping" in lar.events, "the drain begins")
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", lar.port), timeout=5)
    gate.open()
    assert pending.done().body == data
    assert lar._over(30) == 0

    lar.start()
    other = registry.add_blob("library/x", noise(3_000_000, 2))
    registry.on("GET", other).hold_after(1_000_000)
    pending = lar.begin("/v2/library/x/blobs/" + other)
    pending.read(900_000)
    lar.process.send_signal(signal.SIGTERM)
    lar.wait(lambda: lar.events.count("stopping") == 2, "the drain begins")
    lar.process.send_signal(signal.SIGTERM)
    assert lar._over(30) == 0
    assert not pending.done().complete


def test_restart_keeps_what_was_fetched(registry, larder):
    img = registry.add_image("library/x", "latest", [noise(400_000)])
    lar = larder(upstreams={"docker.io": registry.url})
    lar.get("/v2/library/x/manifests/latest")
    lar.get("/v2/library/x/blobs/" + img.layers[0])
    lar.stop()
    asked = len(registry.requests)
    lar.start()
    assert lar.get("/v2/library/x/manifests/latest").source() == "hit"
    assert lar.get("/v2/library/x/blobs/" + img.layers[0]).source() == "hit"
    assert len(registry.requests) == asked
