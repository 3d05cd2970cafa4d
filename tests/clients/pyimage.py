"""The image python:3.11-slim: this machine's own Python, the files that it needs, and busybox.

It takes a second to make, and no network.
"""
import os
import re
import sysconfig

from images import BUSYBOX, image_of, layer_of

PROGRAM = "/usr/bin/python3"
# What no small program needs; the tests are most of it.
LEFT_OUT = re.compile(r"/(test|tests|idlelib|lib2to3|ensurepip|distutils|config-[^/]*)(/|$)")
LINKS = ("sh", "cat", "echo", "ls", "cp", "mkdir", "rm")


def read(path):
    with open(path, "rb") as f:
        return f.read()


def libraries(place, programs):
    """The shared libraries that programs and modules want, by the names by which they are found."""
    found = set()
    for said in place.run("ldd", *programs).splitlines():
        found.update(re.findall(r"(/\S+) \(0x", said))
    return {path[1:]: read(path) for path in sorted(found)}


def standard_library():
    top = sysconfig.get_path("stdlib", vars={"installed_base": "/usr"})
    files = {}
    for folder, _, names in os.walk(top):
        if not LEFT_OUT.search(folder) and not folder.endswith("__pycache__"):
            files.update({os.path.join(folder, n)[1:]: read(os.path.join(folder, n)) for n in names
                          if os.path.isfile(os.path.join(folder, n))})
    return files


def image(place):
    program = os.path.realpath(PROGRAM)
    modules = standard_library()
    dynamic = ["/" + path for path in modules if path.endswith(".so")]
    system = layer_of({
        "bin/busybox": read(BUSYBOX), **{f"bin/{name}": "busybox" for name in LINKS},
        **libraries(place, [program, *dynamic]), "etc/passwd": b"root:x:0:0::/:/bin/sh\n",
        "tmp/.keep": b""})
    python = layer_of({program[1:]: read(program), "usr/bin/python3": os.path.basename(program),
                       **modules})
    return image_of([system, python], Cmd=["python3"],
                    Env=["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"])
