"""Certificates made on the spot by the openssl command: a CA, and servers that it vouches for."""
import itertools
import os
import ssl
import subprocess

SERIAL = itertools.count()


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Authority:
    """A CA in a folder; `ca_file` is its certificate."""

    def __init__(self, folder, name="ca"):
        self.folder, self.name = str(folder), name
        self.ca_file = self._path(name + ".pem")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", self._path(name + ".key"), "-out", self.ca_file, "-days", "2",
                "-subj", f"/CN={name}")

    def _path(self, name):
        return os.path.join(self.folder, name)

    def files(self, names="IP:127.0.0.1", expired=False, subject="server"):
        """Paths of a new certificate for these names, and of its key."""
        stem = self._path(f"{self.name}-{next(SERIAL)}")
        with open(stem + ".ext", "w", encoding="ascii") as file:
            file.write(f"subjectAltName={names}\n")
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", stem + ".key", "-out", stem + ".csr", "-subj", f"/CN={subject}")
        when = ["-days", "-1"] if expired else ["-days", "1"]
        openssl("x509", "-req", "-in", stem + ".csr", "-CA", self.ca_file,
                "-CAkey", self._path(self.name + ".key"), "-CAcreateserial",
                "-extfile", stem + ".ext", "-out", stem + ".pem", *when)
        return stem + ".pem", stem + ".key"

    def server(self, names="IP:127.0.0.1", expired=False):
        """An SSLContext for a server with a certificate for these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.files(names, expired))
        return context

    def client(self, certificate=None):
        """An SSLContext for a client that believes this CA, with a certificate of its own."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if certificate:
            context.load_cert_chain(*certificate)
        return context
