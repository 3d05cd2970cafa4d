"""Clients of every kind at once."""
import clients

IMAGE = "docker.io/library/layers:1"
EIGHT = [clients.Docker, clients.Podman, clients.Containerd, clients.Skopeo,
         clients.Docker, clients.Podman, clients.Buildah, clients.Skopeo]


def test_eight_pull_one_cold_image(world, samples):
    """Eight clients start to pull an image that nobody has: each part of it is fetched once."""
    larder = world.serve()
    eight = [world.client(kind) for kind in EIGHT]
    watch = larder.watch()
    for pull in [client.start_pull(IMAGE) for client in eight]:
        pull.done()
    took = watch.fetched(samples[IMAGE])
    assert sorted(world.upstreams["docker.io"].gets("blobs")) == sorted(samples[IMAGE].blobs)
    sizes = sum(len(blob) for blob in samples[IMAGE].blobs.values())
    assert took["bytes_sent"] >= len(eight) * sizes, took
    for client in eight:
        assert client.motd(IMAGE) == "this is layers\n"
