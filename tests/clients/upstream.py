"""Debian's docker-registry as the registries that Larder mirrors."""
import http.client
import json
import os
import re
import signal

from place import answers

PORTS = {"docker.io": 5001, "ghcr.io": 5002}
# What it writes of each request: ... "GET /v2/library/x/blobs/sha256:... HTTP/1.1" 200 ...
REQUEST = re.compile(r'"([A-Z]+) (/v2/\S*) HTTP/[\d.]+" (\d+)')


class Upstream:
    """One registry that runs; several may do so one after another over one folder."""

    def __init__(self, place, name, folder, log):
        self.name, self.port = name, PORTS[name]
        os.makedirs(folder, exist_ok=True)
        settings = log + ".yml"
        with open(settings, "w", encoding="utf-8") as f:
            json.dump({"version": "0.1", "log": {"level": "warn"},
                       "storage": {"filesystem": {"rootdirectory": folder}},
                       "http": {"addr": f"127.0.0.1:{self.port}"}}, f)
        self.process = place.start(["docker-registry", "serve", settings], log)
        self.process.ready(lambda: answers(self.port))

    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def kill(self):
        self.process.stop(signal.SIGKILL)

    def requests(self):
        """All that it was asked so far, as (method, path without query, status)."""
        return [(method, path.split("?")[0], int(status))
                for method, path, status in REQUEST.findall(self.process.said())]

    def gets(self, kind):
        """What was fetched of a kind, `blobs` or `manifests`: the last part of each path."""
        return [path.rsplit("/", 1)[1] for method, path, status in self.requests()
                if method == "GET" and f"/{kind}/" in path and status in (200, 206)]

    def push(self, repository, tag, image):
        """Puts an image there as it is, byte for byte, its children first."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        for child in image.children:
            self.push(repository, child.digest, child)
        for digest, content in image.blobs.items():
            start = exchange(connection, "POST", f"/v2/{repository}/blobs/uploads/", 202)
            where = start.headers["Location"]
            where += ("&" if "?" in where else "?") + "digest=" + digest
            if isinstance(content, bytes):
                exchange(connection, "PUT", where, 201, content)
            else:
                with open(content, "rb") as f:
                    exchange(connection, "PUT", where, 201, f, os.path.getsize(content))
        exchange(connection, "PUT", f"/v2/{repository}/manifests/{tag}", 201, image.body,
                 media_type=image.media_type)
        connection.close()


def exchange(connection, method, url, expected, body=b"", length=None, media_type=None):
    connection.request(method, url, body, {
        "Content-Length": str(len(body) if length is None else length),
        "Content-Type": media_type or "application/octet-stream"})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == expected, f"{method} {url}: {answer.status} {text[:500]}"
    return answer
