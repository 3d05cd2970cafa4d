"""The servers that are compared, each with known worker counts and an access log in a file."""
import json
import os
import re
import shutil
import signal
import subprocess

import procs
import tools

WORKERS = len(os.sched_getaffinity(0))
CIPHER = "TLS_AES_128_GCM_SHA256"


def fill_template(name, file, values):
    with open(os.path.join(tools.HERE, name), encoding="utf-8") as f:
        text = f.read()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    with open(file, "w", encoding="utf-8") as f:
        f.write(text)


def key_pair(server):
    """Files of the certificate that all have, and of its key; made once."""
    stem = os.path.join(os.path.dirname(os.path.dirname(server.directory)), "server")
    if not os.path.exists(stem + ".pem"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", stem + ".key", "-out",
                        stem + ".pem", "-days", "3650", "-subj", "/CN=bench"], check=True,
                       stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return stem + ".pem", stem + ".key"


class Server:
    """A server process on a port of its own; `directory` holds all that it writes."""

    label = ""
    dialect = {}  # options for the client

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
    listen_as = ""

    def __init__(self, directory, content):
        super().__init__(directory)
        self.content = content
        self.log_offset = 0

    def values(self):
        return {"ROOT": self.content.root, "TAGS": self.content.nginx_tags(),
                "LOG_OPTIONS": self.log_options, "LISTEN_AS": self.listen_as, "TLS": ""}

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


class NginxFilesTLS(NginxFiles):
    """As nginx static, over TLS; in the kernel where that can do it."""

    dialect = {"tls": CIPHER}
    listen_as = " ssl"

    def values(self):
        certificate, key = key_pair(self)
        return {**super().values(), "TLS": f"""
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.3;
        ssl_conf_command Ciphersuites {CIPHER};
        ssl_conf_command Options KTLS;"""}


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
    settings = {}   # of the configuration, besides the flags

    def argv(self):
        argv = [self.program, "serve", "--data", os.path.join(self.directory, "data"),
                "--workers", str(WORKERS), "--tag-ttl", "1h"]
        if "listen" not in self.settings:
            argv += ["--listen", f"127.0.0.1:{self.port}"]
        if self.settings:
            file = os.path.join(self.directory, "larder.json")
            with open(file, "w", encoding="utf-8") as f:
                json.dump(self.settings, f)
            argv += ["--config", file]
        if self.upstream_port is not None:
            argv += ["--upstream", f"docker.io=http://127.0.0.1:{self.upstream_port}"]
        return argv


class LarderTLS(Larder):
    """The same over TLS, with the certificate that nginx has."""

    dialect = {"tls": CIPHER}

    def argv(self):
        certificate, key = key_pair(self)
        self.settings = {"listen": [{"address": f"127.0.0.1:{self.port}",
                                     "tls": {"certificate": certificate, "key": key}}]}
        return super().argv()
