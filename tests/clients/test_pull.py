"""Every client pulls through Larder: cold, warm, after the tag's time, and without any upstream."""
import json
import os

import pytest

import clients
from place import Failed

HUB = "docker.io/library/busybox:1"
# Another registry, in two shapes of name; single and for several platforms.
OTHER = "ghcr.io/owner/app:1"
DEEP = "ghcr.io/owner/team/tool:2"
CASES = [pytest.param(kind, image, id=f"{kind.name}-{image.split('/')[0]}")
         for kind in clients.ALL for image in (HUB, OTHER) if image == HUB or kind.any_registry]
KINDS = [pytest.param(kind, id=kind.name) for kind in clients.ALL]


def text_of(image):
    return f"this is {image.split('/')[-1].split(':')[0]}\n"


@pytest.mark.parametrize("kind, image", CASES)
def test_second_pull_asks_nobody(world, samples, kind, image):
    """A cold pull fetches each part once; the next, within the tag's time, makes no request."""
    larder = world.serve()
    client = world.client(kind)
    watch = larder.watch()
    client.pull(image)
    took = watch.fetched(samples[image])
    name, other = image.split("/")[0], "ghcr.io" if image == HUB else "docker.io"
    # The counters say what the registry itself saw.
    asked = world.upstreams[name].requests()
    assert len(asked) == took["upstream_requests"]
    assert sorted(world.upstreams[name].gets("blobs")) == sorted(samples[image].here().blobs)
    assert world.upstreams[other].requests() == []
    assert client.motd(image) == text_of(image)

    client.forget(image)
    watch = larder.watch()
    client.pull(image)
    watch.asked_nothing()
    assert world.upstreams[name].requests() == asked
    assert client.motd(image) == text_of(image)


@pytest.mark.parametrize("kind", KINDS)
def test_old_tag_is_looked_up_once(world, samples, kind):
    """After the tag's time Larder asks whether it still stands, and fetches nothing again."""
    larder = world.serve("--tag-ttl", "0s")
    client = world.client(kind)
    client.pull(HUB)
    client.forget(HUB)
    watch = larder.watch()
    client.pull(HUB)
    watch.looked_again()
    assert client.motd(HUB) == text_of(HUB)


@pytest.mark.parametrize("kind", KINDS)
def test_warm_pull_needs_no_upstream(world, samples, kind):
    """With the registry killed a warm image is pulled, old tag or not."""
    larder = world.serve("--tag-ttl", "0s")
    client = world.client(kind)
    client.pull(HUB)
    client.forget(HUB)
    world.upstreams["docker.io"].kill()
    watch = larder.watch()
    client.pull(HUB)
    took = watch.counted()
    assert took["responses_stale"] > 0 and took["responses_hit"] > 0, took
    assert took["upstream_bytes"] == took["responses_miss"] == 0, took
    assert client.motd(HUB) == text_of(HUB)


def test_dead_upstream_costs_no_wait(world, samples):
    """Where an upstream refuses connections the old answer serves at once, and tries go on."""
    config = os.path.join(world.folder, "patient.json")
    with open(config, "w", encoding="utf-8") as f:
        json.dump({"tags": {"ttl": "0s", "patience": "10m"},
                   "limits": {"retry_min": "1m", "retry_max": "2m", "first_byte": "10m"}}, f)
    larder = world.serve("--config", config)
    client = world.client(clients.Skopeo)
    client.pull(HUB)
    client.forget(HUB)
    world.upstreams["docker.io"].kill()
    watch = larder.watch()
    client.run(*client.pull_args(HUB), seconds=30)
    assert watch.counted()["responses_stale"] == 1


@pytest.mark.parametrize("kind", [k for k in KINDS if k.values[0].any_registry])
def test_layer_of_another_upstream_is_shared(world, samples, kind):
    """Bytes are kept once: a layer that came for one upstream's image serves the other's."""
    larder = world.serve()
    client = world.client(kind)
    client.pull(HUB)
    shared = set(samples[HUB].here().blobs) & set(samples[DEEP].here().blobs)
    assert shared
    client.forget(HUB)
    watch = larder.watch()
    client.pull(DEEP)
    took = watch.counted()
    assert took["upstream_blob_gets"] == len(samples[DEEP].here().blobs) - len(shared), took
    assert not shared & set(world.upstreams["ghcr.io"].gets("blobs"))
    assert client.motd(DEEP) == text_of(DEEP)


@pytest.mark.parametrize("kind", KINDS)
def test_pull_by_digest(world, samples, kind):
    """A digest never goes stale: the second pull makes no request, whatever the tags' time."""
    larder = world.serve("--tag-ttl", "0s")
    client = world.client(kind)
    image = f"docker.io/library/busybox@{samples[HUB].digest}"
    watch = larder.watch()
    client.pull(image)
    watch.fetched(samples[HUB])
    client.forget(image)
    watch = larder.watch()
    client.pull(image)
    watch.asked_nothing()


@pytest.mark.parametrize("kind", KINDS)
def test_missing_image_is_an_error(world, samples, kind):
    """What upstream does not have is refused, and no client finds it elsewhere."""
    larder = world.serve()
    client = world.client(kind)
    watch = larder.watch()
    with pytest.raises(Failed):
        client.pull("docker.io/library/busybox:none")
    took = watch.counted()
    assert took["upstream_requests"] > 0, took
    assert took["upstream_blob_gets"] == took["responses_hit"] == 0, took


@pytest.mark.parametrize("kind", KINDS)
def test_no_way_round(world, samples, kind):
    """Without Larder no client finds anything, so what they find with it they have from it."""
    client = world.client(kind)
    for image in {HUB, OTHER if kind.any_registry else HUB}:
        with pytest.raises(Failed):
            client.pull(image)
    assert [upstream.requests() for upstream in world.upstreams.values()] == [[], []]
