"""What upstreams are signed in with: several for one, by repository."""
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
