"""What upstreams are signed in with: several for one, by repository."""
import json

import pytest
from registry import Basic, Bearer, noise


def image(registry, repo, seed=1):
    return registry.add_image(repo, "latest", [noise(3000, seed)])


def start(registry, larder, credentials, **more):
    return larder(config={"upstreams": {"docker.io": {"credentials": credentials,
                                                      "endpoints": [registry.url]}}}, **more)


def get(lar, repo):
    return lar.get("/v2/%s/manifests/latest" % repo)


def users(registry):
    """Who asked for a token, by the repository that it is for."""
    found = {}
    for asked in registry.seen("GET", "/token"):
        repo = asked.query.split("repository%3A")[1].split("%3A")[0].replace("%2F", "/")
        found[repo] = asked.headers.get("authorization")
    return found


TWO = [{"repositories": ["team/a/**"], "user": "ann", "password": "pw-of-ann"},
       {"repositories": ["team/**"], "user": "bob", "password": "pw-of-bob"}]


def test_first_that_holds_the_repository(registry, larder):
    registry.auth = Bearer()
    images = {repo: image(registry, repo, i)
              for i, repo in enumerate(["team/a/x", "team/b", "library/x"])}
    lar = start(registry, larder, TWO)
    for repo, img in images.items():
        assert get(lar, repo).body == img.body
    assert users(registry) == {"team/a/x": Basic("ann", "pw-of-ann").value,
                               "team/b": Basic("bob", "pw-of-bob").value,
                               "library/x": None}
    assert "pw-of" not in lar.events + "".join(lar.access)


def test_what_one_credential_read_is_no_secret_to_it_alone(registry, larder):
    """A manifest that lists another credential's blob does not open it: upstream is asked."""
    registry.auth = Bearer()
    data = noise(3000, 7)
    first = registry.add_image("team/a/x", "latest", [data])
    registry.add_image("team/b", "latest", [data])
    lar = start(registry, larder, TWO)
    blob = first.layers[0]
    assert get(lar, "team/a/x").status == 200
    assert lar.get("/v2/team/a/x/blobs/" + blob).body == data
    assert get(lar, "team/b").status == 200
    registry.on("HEAD", "team/b/blobs/" + blob).status(404).always()
    registry.on("GET", "team/b/blobs/" + blob).status(404).always()
    assert lar.get("/v2/team/b/blobs/" + blob).status == 404
    assert registry.seen(None, "team/b/blobs/")


# --- secrets that are read: files and helpers ---------------------------------------------------

AUTH = "/v2/team/x/manifests/latest"
FAST = {"credential_retry": "1ms", "helper": "2s"}


def signed(registry, larder, credentials, limits=None, **more):
    """With tags that are always asked for, so that each request shows what it is signed with."""
    config = {"limits": {**FAST, **(limits or {})},
              "upstreams": {"docker.io": {"credentials": credentials,
                                          "endpoints": [registry.url]}}}
    return larder(config=config, args=["--tag-ttl", "0s"], **more)


def secret_file(tmp_path, text):
    path = tmp_path / "password"
    path.write_text(text)
    path.chmod(0o600)
    return path


def helper(tmp_path, monkeypatch, script):
    """docker-credential-test in PATH; says what it was asked for in a file a run."""
    program = tmp_path / "docker-credential-test"
    program.write_text("#!/bin/sh\nserver=$(cat)\necho \"$1 $server\" >> %s/asked\n%s\n"
                       % (tmp_path, script))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) + ":/usr/bin:/bin")
    return tmp_path / "asked"


def answers(tmp_path):
    return "cat %s/answer" % tmp_path


def say(tmp_path, user, secret):
    new = tmp_path / "answer.new"
    new.write_text(json.dumps({"Username": user, "Secret": secret}))
    new.rename(tmp_path / "answer")


def test_password_file_that_changed(registry, larder, tmp_path):
    img = image(registry, "team/x")
    registry.auth = Basic("ann", "first")
    path = secret_file(tmp_path, "first\n")
    lar = signed(registry, larder, {"user": "ann", "password_file": str(path)})
    assert lar.get(AUTH).body == img.body
    registry.auth = Basic("ann", "second")
    secret_file(tmp_path, "second\n")
    assert lar.get(AUTH).headers["x-larder"].startswith(("revalidated", "hit"))
    assert lar.counter("credential_failures") == 0
    path.unlink()
    registry.auth = Basic("ann", "third")
    lar.get(AUTH)
    lar.wait(lambda: "credential.failed" in lar.events and str(path) in lar.events, "its name")
    assert not any(word in lar.events for word in ("first", "second", "third"))


def test_docker_config(registry, larder, tmp_path):
    img = image(registry, "team/x")
    registry.auth = Basic("ann", "hush")
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"auths": {"https://index.docker.io/v1/":
                                          {"auth": Basic("ann", "hush").value[6:]}}}))
    lar = signed(registry, larder, {"docker_config": str(path)})
    assert lar.get(AUTH).body == img.body


def test_docker_config_names_a_helper(registry, larder, tmp_path, monkeypatch):
    img = image(registry, "team/x")
    registry.auth = Basic("ann", "hush")
    say(tmp_path, "ann", "hush")
    asked = helper(tmp_path, monkeypatch, answers(tmp_path))
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"auths": {}, "credsStore": "test"}))
    lar = signed(registry, larder, {"docker_config": str(path)})
    assert lar.get(AUTH).body == img.body
    assert asked.read_text() == "get https://index.docker.io/v1/\n"


def test_helper_is_asked_once_and_again_after_401(registry, larder, tmp_path, monkeypatch):
    img = image(registry, "team/x")
    registry.auth = Basic("AWS", "old")
    say(tmp_path, "AWS", "old")
    asked = helper(tmp_path, monkeypatch, answers(tmp_path))
    lar = signed(registry, larder, {"helper": "test", "server": "ecr.example"})
    for _ in range(3):
        assert lar.get(AUTH).body == img.body
    assert asked.read_text() == "get ecr.example\n"
    registry.auth = Basic("AWS", "new")
    say(tmp_path, "AWS", "new")
    assert lar.get(AUTH).body == img.body
    assert asked.read_text() == "get ecr.example\n" * 2


def test_refresh_before_it_expires(registry, larder, tmp_path, monkeypatch):
    """Behind those who ask: no request waits, and none is refused."""
    image(registry, "team/x")
    registry.auth = Basic("AWS", "same")
    say(tmp_path, "AWS", "same")
    helper(tmp_path, monkeypatch, answers(tmp_path))
    lar = signed(registry, larder, {"helper": "test"}, {"credential_fresh": "1ms"})
    assert lar.get(AUTH).status == 200
    assert lar.get(AUTH).status == 200
    lar.wait_counter("helper_runs", 2)
    assert not [x for x in registry.seen(None, "manifests")[1:] if "authorization" not in x.headers]


def test_identity_token_of_a_helper(registry, larder, tmp_path, monkeypatch):
    img = image(registry, "team/x")
    registry.auth = Bearer(identity="refresh-me")
    say(tmp_path, "<token>", "refresh-me")
    helper(tmp_path, monkeypatch, answers(tmp_path))
    lar = signed(registry, larder, {"helper": "test"})
    assert lar.get(AUTH).body == img.body
    assert registry.seen("POST", "/token")


@pytest.mark.parametrize("script, cause", [
    ("echo hush; exit 1", "status 1"), ("echo hush", "not JSON"),
    ("while :; do echo hush-hush-hush; done", "without end"), ("sleep 100", "in time"),
    ("kill -9 $$", "signal 9")], ids=["fails", "rubbish", "endless", "hangs", "dies"])
def test_helper_in_trouble(registry, larder, tmp_path, monkeypatch, script, cause):
    image(registry, "team/x")
    registry.auth = Basic("ann", "x")
    helper(tmp_path, monkeypatch, script)
    lar = signed(registry, larder, {"helper": "test"}, {"helper": "1s", "credential_retry": "5m"})
    reply = lar.get(AUTH)
    assert reply.status >= 500 and "the log says why" in reply.message()
    assert lar.get(AUTH).status >= 500
    assert lar.counter("helper_runs") == 1
    lar.wait(lambda: "docker-credential-test" in lar.events and cause in lar.events, cause)
    assert "hush" not in lar.events + str(reply)


def test_helper_that_is_not_there(registry, larder):
    image(registry, "team/x")
    lar = signed(registry, larder, {"helper": "nobody-has-this"})
    assert lar.get(AUTH).status >= 500
    lar.wait(lambda: "must be in PATH" in lar.events, "what would be right")
