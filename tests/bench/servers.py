"""The servers that are compared, each with known worker counts and an access log in a file."""
import os
import re
import shutil
import signal
import subprocess

import procs
import tools

WORKERS = len(os.sched_getaffinity(0))


def fill_template(name, file, values):
    with open(os.path.join(tools.HERE, name), encoding="utf-8") as f:
        text = f.read()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    with open(file, "w", encoding="utf-8") as f:
        f.write(text)


class Server:
    """A server process on a port of its own; `directory` holds all that it writes."""

    label = ""

    def __init__(self, directory, upstream_port=None):
        self.directory, self.upstream_port = directory, upstream_port
        self.port, self.process = None, None
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)

    def argv(self):
        raise NotImplementedError

    def start(self, wait=True):
        self.port = self.port or procs.free_port()
        with open(os.path.join(self.directory, "stdout"), "ab") as out, \
                open(os.path.join(self.directory, "stderr"), "ab") as err:
            self.process = procs.start(self.argv(), stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=err)
        if wait:
            procs.wait_for_port(self.port, self.process)
        return self

    def stop(self, how=signal.SIGTERM):
        if self.process is not None:
            procs.stop(self.process, how)
            self.process = None

    def pids(self):
        return procs.family(self.process.pid)

    def cpu(self):
        return procs.cpu_seconds(self.pids())

    def memory(self):
        return procs.memory_kb(self.pids())


class Nginx(Server):
    template = ""

    def values(self):
        return {}

    def argv(self):
        file = os.path.join(self.directory, "nginx.conf")
        fill_template(self.template, file, {
            "DIR": self.directory, "PORT": self.port, "WORKERS": WORKERS,
            "USER": "user root;" if os.geteuid() == 0 else "", **self.values()})
        return ["nginx", "-e", os.path.join(self.directory, "error.log"), "-c", file]


class NginxFiles(Nginx):
    """nginx static, and the upstream of the others."""

    label = "nginx static"
    template = "nginx-files.conf"
    log_options = ""

    def __init__(self, directory, content):
        super().__init__(directory)
        self.content = content
        self.log_offset = 0

    def values(self):
        return {"ROOT": self.content.root, "TAGS": self.content.nginx_tags(),
                "LOG_OPTIONS": self.log_options}

    def requests(self):
        """(method, path, status, bytes, agent) of what was asked since the last call."""
        found = []
        with open(os.path.join(self.directory, "access.log"), encoding="utf-8") as f:
            f.seek(self.log_offset)
            for line in f:
                m = re.search(r'"([A-Z]+) (\S+) [^"]*" (\d+) (\d+) "([^"]*)"', line)
                found.append((m[1], m[2], int(m[3]), int(m[4]), m[5]))
            self.log_offset = f.tell()
        return found


class NginxBufferedLog(NginxFiles):
    """As nginx static, but its access log is written in pieces, as Larder's is."""

    label = "nginx static, log in a buffer"
    log_options = "buffer=32k flush=1s"


class NginxCache(Nginx):
    label = "nginx proxy_cache"
    template = "nginx-cache.conf"

    def values(self):
        return {"UPSTREAM": self.upstream_port}


class DockerRegistry(Server):
    label = "docker-registry proxy"
    template = "docker-registry.yml"

    def argv(self):
        file = os.path.join(self.directory, "config.yml")
        fill_template(self.template, file, {
            "DIR": self.directory, "PORT": self.port, "UPSTREAM": self.upstream_port})
        return ["docker-registry", "serve", file]


class DockerRegistryOwn(DockerRegistry):
    """As above, but of its own instead of a proxy: it takes pushes."""

    label = "docker-registry"
    template = "docker-registry-own.yml"


class Larder(Server):
    label = "Larder"
    program = None  # set once by `run`

    def argv(self):
        argv = [self.program, "serve", "--listen", f"127.0.0.1:{self.port}",
                "--data", os.path.join(self.directory, "data"),
                "--workers", str(WORKERS), "--tag-ttl", "1h"]
        if self.upstream_port is not None:
            argv += ["--upstream", f"docker.io=http://127.0.0.1:{self.upstream_port}"]
        return argv
