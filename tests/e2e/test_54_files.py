"""The files that a configuration names: `larder check` looks at them as a server does."""
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from certificates import Authority
from larder import PROGRAM
from test_53_reload import hang_up
from test_82_users import passwd

RUBBISH = "-----BEGIN CERTIFICATE-----\nnothing\n"
NO_FILE, NO_CERTIFICATE = "No such file or directory", "holds no certificate in PEM"
CERTIFICATE, KEY, CA = "listen[1].tls.certificate", "listen[1].tls.key", "listen[1].tls.client_ca"
USERS = "auth.htpasswd"
TRUST = "upstreams.own.example.ca_file"
PASSWORD = "upstreams.own.example.credentials[0].password_file"
DOCKER = "upstreams.own.example.credentials[1].docker_config"

CASES = [  # file, what it holds (None: it is gone), key, reason, what would be right
    ("cert.pem", None, CERTIFICATE, NO_FILE, "right is a certificate in PEM"),
    ("cert.pem", RUBBISH, CERTIFICATE, NO_CERTIFICATE, "right is a certificate in PEM"),
    ("key.pem", None, KEY, NO_FILE, "right is its key in PEM"),
    ("key.pem", RUBBISH, KEY, "holds no private key in PEM", "right is its key"),
    ("cas.pem", None, CA, NO_FILE, "right are certificates of CAs"),
    ("cas.pem", "no certificate\n", CA, NO_CERTIFICATE, "right are certificates of CAs"),
    ("users", None, USERS, NO_FILE, "`larder passwd` writes"),
    ("users", "ann:{SHA}x\n", USERS, "line 1 is not USER:HASH", "`larder passwd` writes"),
    ("own.pem", None, TRUST, NO_FILE, "right are certificates of CAs"),
    ("own.pem", RUBBISH, TRUST, NO_CERTIFICATE, "right are certificates of CAs"),
    ("password", None, PASSWORD, NO_FILE, "name a file that holds the password"),
    ("password", "a\nb\n", PASSWORD, "in one line", "must hold the password alone"),
]
LOGINS = [  # without which a server has everything else to give
    ("config.json", None, DOCKER, NO_FILE, "right is the path of Docker's config.json"),
    ("config.json", "auths", DOCKER, "is not a JSON object", ""),
    ("config.json", '{"auths": {}}', DOCKER, "no credential for own.example", "docker login"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """All of them, as they should be, and the configuration that names them."""
    folder = tmp_path_factory.mktemp("made")
    authority = Authority(folder)
    for source, name in zip(authority.files(), ("cert.pem", "key.pem")):
        shutil.copy(source, folder / name)
    for name in "cas.pem", "own.pem":
        shutil.copy(authority.ca_file, folder / name)
    assert passwd(folder / "users", "ann", "of ann").returncode == 0
    (folder / "password").write_text("hush\n")
    (folder / "password").chmod(0o600)
    (folder / "config.json").write_text(json.dumps(
        {"auths": {"own.example": {"auth": "YW5uOmh1c2g="}}}))
    return folder


@pytest.fixture
def files(made):
    """A copy, which a test may spoil. Its path is short, as a line of an error has an end."""
    with tempfile.TemporaryDirectory() as folder:
        yield shutil.copytree(made, Path(folder) / "f")


def config(files):
    def at(name):
        return str(files / name)

    tls = {"certificate": at("cert.pem"), "key": at("key.pem"), "client_ca": at("cas.pem")}
    credentials = [{"repositories": ["team/**"], "user": "ann", "password_file": at("password")},
                   {"docker_config": at("config.json")}]
    return {"listen": ["127.0.0.1:0", {"address": "127.0.0.1:0", "role": "registry", "tls": tls}],
            "auth": {"htpasswd": at("users")},
            "upstreams": {"own.example": {"ca_file": at("own.pem"), "credentials": credentials}}}


def put(files, name, text):
    """None: it is gone."""
    (files / name).unlink(missing_ok=True)
    if text is not None:
        (files / name).write_text(text)
        (files / name).chmod(0o600)


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False,
                          stdin=subprocess.DEVNULL)


def refused(result, *words):
    """With one line, as what is configured."""
    assert result.returncode == 2 and result.stderr.count("\n") == 1, result
    assert all(word in result.stderr for word in ("larder: ", *words)), result.stderr
    return result.stderr


@pytest.mark.parametrize("name, text, key, reason, right", CASES, ids=range(len(CASES)))
def test_check_and_serve_say_the_same(larder, files, name, text, key, reason, right):
    lar = larder(config=config(files), start=False)
    command = lar.command()
    path = lar.folder / "larder.json"
    result = run(PROGRAM, "check", str(path))
    assert result.returncode == 0 and "larder.json: ok" in result.stdout, result
    put(files, name, text)
    said = refused(run(PROGRAM, "check", str(path)), f"larder.json: {key}: ", reason, right)
    assert refused(run(*command)) == said


@pytest.mark.parametrize("name, text, key, reason, right", LOGINS, ids=range(len(LOGINS)))
def test_logins_may_come_later(larder, files, registry, name, text, key, reason, right):
    put(files, name, text)
    lar = larder(config=config(files), upstreams={"docker.io": registry.url})
    path = str(lar.folder / "larder.json")
    refused(run(PROGRAM, "check", path), f"larder.json: {key}: ", reason, right)
    blob = "/v2/library/a/blobs/" + registry.add_blob("library/a", b"abc")
    assert lar.door(0).get(blob).body == b"abc"


def test_key_of_another_certificate(larder, files):
    lar = larder(config=config(files), start=False)
    command = lar.command()
    shutil.copy(Authority(files, "other").files()[1], files / "key.pem")
    refused(run(*command), "larder.json: " + KEY, "is not the key of the certificate in")


def test_password_that_others_may_read(larder, files):
    lar = larder(config=config(files), start=False)
    command = lar.command()
    (files / "password").chmod(0o644)
    refused(run(*command), "larder.json: " + PASSWORD, "others may read", "chmod o=")


def test_helper_is_not_run(larder, files):
    """It may ask somebody; and what it says may come later."""
    lar = larder(config=config(files), start=False)
    lar.command()
    put(files, "config.json", '{"credsStore": "none-of-that-name"}')
    assert run(PROGRAM, "check", str(lar.folder / "larder.json")).returncode == 0


def test_reload(larder, files, registry):
    lar = larder(config=config(files), upstreams={"docker.io": registry.url})
    blob = "/v2/library/a/blobs/" + registry.add_blob("library/a", b"abc")
    for name, text, key, reason, _ in CASES:
        good = (files / name).read_text()
        put(files, name, text)
        said = hang_up(lar, "config.kept")
        assert f"larder.json: {key}: " in said and reason in said, said
        put(files, name, good)
    assert "config.renewed" not in lar.events
    assert lar.door(0).get(blob).body == b"abc"
    hang_up(lar)


def test_lock_file(tmp_path):
    path = tmp_path / "lock.json"
    said = refused(run(PROGRAM, "check", "--lock", str(path)), str(path), "No such file")
    data = ["--data", str(tmp_path / "data")]
    assert refused(run(PROGRAM, "serve", "--lock", str(path), *data)) == said
    path.write_text("[]")
    said = refused(run(PROGRAM, "check", "--lock", str(path)), str(path))
    assert refused(run(PROGRAM, "serve", "--lock", str(path), *data)) == said
    path.write_text('{"version": 1, "images": []}')
    result = run(PROGRAM, "check", "--lock", str(path))
    assert result.returncode == 0 and "lock.json: 0 images" in result.stdout
