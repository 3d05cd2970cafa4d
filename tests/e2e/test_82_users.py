"""Listeners that ask for a user and a password."""
import base64
import concurrent.futures
import os
import pty
import stat
import subprocess

import pytest
from larder import PROGRAM
from registry import noise

DATA = noise(300_000)
WRONG = "the user is unknown or the password is wrong"


def passwd(path, user, password, **more):
    return subprocess.run([PROGRAM, "passwd", str(path), user], input=password + "\n", text=True,
                          capture_output=True, check=False, timeout=20, **more)


def basic(user, password):
    text = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": "Basic " + text}


@pytest.fixture
def users(tmp_path):
    path = tmp_path / "users"
    for user in "alice", "bob":
        assert passwd(path, user, "secret of " + user).returncode == 0
    return path


@pytest.fixture
def lar(larder, registry, users):
    """By the listener that asks; `whole` is the server."""
    listen = ["127.0.0.1:0", {"address": "127.0.0.1:0", "role": "registry"}]
    whole = larder(config={"listen": listen, "auth": {"htpasswd": str(users)}},
                   upstreams={"docker.io": registry.url})
    door = whole.door(1)
    door.whole = whole
    return door


ALICE = basic("alice", "secret of alice")


def test_challenge(lar, registry):
    path = "/v2/library/x/blobs/" + registry.add_blob("library/x", DATA)
    for asked in "/v2/", path, "/v2/nonsense", "/other":
        reply = lar.get(asked)
        assert (reply.status, reply.code()) == (401, "UNAUTHORIZED")
        assert reply.headers["www-authenticate"].startswith(
            f'Bearer realm="http://{lar.host}/-/token",service="larder"')
    assert lar.send("POST", "/v2/stage/a/blobs/uploads/").status == 401
    assert lar.send("PUT", "/v2/stage/a/manifests/x", DATA).status == 401
    assert lar.send("PUT", "/v2/stage/a/manifests/x", DATA, chunk=10_000).status == 401
    assert registry.requests == []


def test_signed_in(lar, registry):
    path = "/v2/library/x/blobs/" + registry.add_blob("library/x", DATA)
    assert lar.get("/v2/", ALICE).status == 200
    assert lar.get(path, ALICE).body == DATA
    assert lar.get(path, basic("bob", "secret of bob")).body == DATA
    begun = lar.send("POST", "/v2/stage/a/blobs/uploads/", headers=ALICE)
    assert begun.status == 202
    assert lar.send("PATCH", begun.headers["location"], DATA).status == 401
    assert lar.send("PATCH", begun.headers["location"], DATA, ALICE, chunk=5000).status == 202


def test_other_listeners_do_not_ask(lar):
    assert lar.door(0).get("/v2/").status == 200


@pytest.mark.parametrize("user, password", [
    ("alice", "secret of bob"), ("alice", ""), ("alice", "secret of alic"), ("carol", "secret"),
    ("ALICE", "secret of alice"), ("alice", "secret of alice\n"), ("", "secret of alice")])
def test_wrong(lar, user, password):
    assert lar.get("/v2/", ALICE).status == 200  # remembered from here on
    reply = lar.get("/v2/", basic(user, password))
    assert (reply.status, reply.code()) == (401, "UNAUTHORIZED")
    assert lar.get("/v2/", ALICE).status == 200


@pytest.mark.parametrize("field", [
    "Basic", "Basic ", "Basic YWxpY2U", "Basic YWxpY2U=", "Basic ****", "Bearer x",
    "Basic YWxpY2U6c2VjcmV0IG9mIGFsaWNl=", "Basic " + "QUFB" * 3000, "Basic ====",
    "Basic " + base64.b64encode(b"alice:secret of alice\0x").decode(),
    "Basic " + base64.b64encode(b"alice:" + b"x" * 73).decode()])
def test_rubbish(lar, field):
    reply = lar.get("/v2/", {"Authorization": field})
    assert (reply.status, reply.code()) == (401, "UNAUTHORIZED")


def test_guesses_are_limited(lar):
    codes = [lar.get("/v2/", basic("alice", f"guess {i}")).status for i in range(25)]
    assert codes == [401] * 20 + [429] * 5
    reply = lar.get("/v2/", ALICE)
    assert (reply.status, reply.code()) == (429, "TOOMANYREQUESTS")
    assert 0 < int(reply.headers["retry-after"]) <= 61


def test_who_was_good_is_not_kept_out(lar):
    assert lar.get("/v2/", ALICE).status == 200
    for i in range(21):
        lar.get("/v2/", basic("alice", f"guess {i}"))
    assert lar.get("/v2/", ALICE).status == 200


def test_many_at_once(lar):
    with concurrent.futures.ThreadPoolExecutor(15) as pool:
        asked = [pool.submit(lar.get, "/v2/", ALICE) for _ in range(60)]
        assert [one.result().status for one in asked] == [200] * 60


def test_good_ones_that_come_together_are_no_guesses(lar):
    """Though none is remembered yet: what counts is what was wrong."""
    asked = [lar.begin("/v2/", ALICE) for _ in range(60)]
    assert [one.done().status for one in asked] == [200] * 60


def test_clients_that_leave(lar):
    """While their password is looked at."""
    for i in range(10):
        lar.begin("/v2/", basic("alice", f"guess {i}")).reset()
    assert lar.get("/v2/", ALICE).status == 200


def test_no_password_in_the_log(lar):
    lar.get("/v2/", ALICE)
    lar.get("/v2/", basic("alice", "a wrong one"))
    lar.lines(2)
    lar.wait(lambda: "wrong user or password" in lar.whole.events, "it was told")
    said = lar.whole.events + "\n".join(lar.access)
    for secret in "secret of", "a wrong one", ALICE["Authorization"][6:]:
        assert secret not in said


def test_changed_while_it_runs(lar, users):
    carol = basic("carol", "new here")
    assert lar.get("/v2/", ALICE).status == 200
    assert lar.get("/v2/", carol).status == 401
    assert passwd(users, "carol", "new here").returncode == 0
    assert passwd(users, "alice", "another").returncode == 0
    assert lar.get("/v2/", carol).status == 200
    assert lar.get("/v2/", ALICE).status == 401
    assert lar.get("/v2/", basic("alice", "another")).status == 200
    users.write_text("rubbish\n")
    assert lar.get("/v2/", basic("bob", "secret of bob")).status == 200
    lar.wait(lambda: "those known before may still sign in" in lar.whole.events, "it was told")


# --- the file and the command ---------------------------------------------------------------------

@pytest.mark.parametrize("text, reason", [
    ("alice:{SHA}x\n", "line 1"), ("#\n\nalice\n", "line 3"), (":$2b$10$" + "x" * 53, "line 1"),
    ("a:$2b$31$" + "x" * 53, "line 1"), ("a:$2b$03$" + "x" * 53, "line 1"), (None, "No such file")])
def test_bad_file(larder, tmp_path, text, reason):
    path = tmp_path / "users"
    if text is not None:
        path.write_text(text)
    lar = larder(config={"listen": [{"address": "127.0.0.1:0", "role": "registry"}],
                         "auth": {"htpasswd": str(path)}}, start=False)
    run = subprocess.run(lar.command(), capture_output=True, text=True, timeout=20, check=False)
    assert run.returncode == 2 and run.stderr.count("\n") == 1
    assert "larder.json: auth.htpasswd: " in run.stderr and reason in run.stderr


def test_without_a_listener_that_asks(larder, users):
    lar = larder(config={"auth": {"htpasswd": str(users)}}, start=False)
    run = subprocess.run(lar.command(), capture_output=True, text=True, timeout=20, check=False)
    assert run.returncode == 2
    assert 'auth.htpasswd: counts on listeners of role "registry" only' in run.stderr


def test_command(tmp_path):
    path = tmp_path / "users"
    assert passwd(path, "alice", "one").returncode == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    first = path.read_text()
    assert first.startswith("alice:$2b$10$") and len(first) == len("alice:\n") + 60
    path.chmod(0o600)
    path.write_text("# who may\n" + first)
    assert passwd(path, "bob", "two").returncode == 0
    assert passwd(path, "alice", "three").returncode == 0
    lines = path.read_text().splitlines()
    assert [line.partition(":")[0] for line in lines] == ["# who may", "bob", "alice"]
    assert first.strip() not in lines
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["users"]


@pytest.mark.parametrize("user, password, status", [
    ("a:b", "x", 2), ("", "x", 2), ("a b", "x", 2), ("x" * 128, "x", 2), ("#a", "x", 2),
    ("a", "", 1), ("a", "x" * 73, 1), ("a", "x" * 5000, 1)])
def test_command_refuses(tmp_path, user, password, status):
    run = passwd(tmp_path / "users", user, password)
    assert run.returncode == status and run.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_command_cannot_read_the_file(tmp_path):
    run = passwd(tmp_path, "alice", "one")
    assert run.returncode == 2 and run.stderr == f"larder: {tmp_path}: not a regular file\n"
    run = passwd(tmp_path / "none" / "users", "alice", "one")
    assert run.returncode == 1 and "cannot be written: No such file" in run.stderr


def test_terminal_does_not_echo(tmp_path):
    ours, theirs = pty.openpty()
    with subprocess.Popen([PROGRAM, "passwd", str(tmp_path / "users"), "alice"], stdin=theirs,
                          stdout=theirs, stderr=theirs, start_new_session=True) as run:
        os.close(theirs)
        seen = b""
        for prompt in b"Password: ", b"Again: ":
            while prompt not in seen:
                seen += os.read(ours, 1000)
            os.write(ours, b"hidden words\n")
        assert run.wait(20) == 0
    os.close(ours)
    assert b"hidden" not in seen
