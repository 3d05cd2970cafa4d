"""What a power cut leaves of a data directory, from what forget.c remembers.

    shadow = Shadow(folder, preload)     # what LD_PRELOAD has to say for forget.c
    shadow.begin(data)                   # all that is there now lasts
    lar.env = shadow.env(data)           # the server runs, and is killed
    shadow.cut(data, rng)                # data is what a disk may hold then

Of each folder some of the entries that were not synced are as they were when it last was, the
others as they are now; of each file some of the pages. `rng` chooses; None forgets them all.
"""
import ctypes
import os
import shutil
import struct

PAGE = 4096
EMPTY_PATH = 0x1000
NOFOLLOW = 0x100
INODE_AND_BIRTH = 0x100 | 0x800
LIBC = ctypes.CDLL(None, use_errno=True)


def key_of(path):
    """As forget.c names it: an inode alone would be used again."""
    out = ctypes.create_string_buffer(256)
    done = LIBC.statx(-100, os.fsencode(path), NOFOLLOW, INODE_AND_BIRTH, out)
    assert done == 0, os.strerror(ctypes.get_errno())
    inode = struct.unpack_from("<Q", out, 32)[0]
    seconds, nanoseconds = struct.unpack_from("<qI", out, 80)
    return f"{inode}-{seconds}.{nanoseconds}"


def listing(path):
    return {name: key_of(os.path.join(path, name)) for name in sorted(os.listdir(path))}


class Shadow:
    def __init__(self, folder, preload):
        self.folder, self.preload = str(folder), preload

    def env(self, data):
        return {"LD_PRELOAD": self.preload, "FORGET_SHADOW": self.folder,
                "FORGET_DIR": os.path.realpath(data)}

    def begin(self, data):
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self._keep(data)
        for where, folders, names in os.walk(data):
            for name in folders + names:
                self._keep(os.path.join(where, name))

    def _keep(self, path):
        kept = os.path.join(self.folder, key_of(path))
        if os.path.isdir(path):
            with open(kept, "w", encoding="utf-8") as file:
                file.writelines(f"{key} {name}\n" for name, key in listing(path).items())
        elif os.path.isfile(path):
            shutil.copyfile(path, kept)

    def cut(self, data, rng):
        now = {}  # where each inode is at the moment
        for where, folders, names in os.walk(data):
            now.update((key_of(os.path.join(where, name)), os.path.join(where, name))
                       for name in folders + names)
        after = data + ".after"
        os.mkdir(after)
        self._folder(key_of(data), data, after, now, rng)
        shutil.rmtree(data)
        os.rename(after, data)

    def _folder(self, key, path, out, now, rng):
        """The folder `key`, which is at `path` or nowhere now."""
        lasting, there = {}, listing(path) if path else {}
        kept = os.path.join(self.folder, key)
        if os.path.exists(kept):
            with open(kept, encoding="utf-8") as file:
                lasting = {name: key for key, name in
                           (line.rstrip("\n").split(" ", 1) for line in file)}
        for name in sorted({*lasting, *there}):
            choice = [entry[name] for entry in (lasting, there) if name in entry]
            if name not in lasting or name not in there:
                choice.append(None)
            one = lasting.get(name) if rng is None else rng.choice(choice)
            if one is not None:
                self._entry(one, now.get(one), os.path.join(out, name), now, rng)

    def _entry(self, key, path, out, now, rng):
        kept = os.path.join(self.folder, key)
        if path and os.path.isdir(path):
            os.mkdir(out)
            self._folder(key, path, out, now, rng)
        elif path is None or os.path.isfile(path):
            self._file(kept, path, out, rng)

    @staticmethod
    def _file(kept, path, out, rng):
        def read(name):
            if not name or not os.path.exists(name):
                return b""
            with open(name, "rb") as file:
                return file.read()

        lasting, there = read(kept), read(path)
        if path is None or rng is None:
            there = lasting
        size = len(lasting) if rng is None else rng.choice((len(lasting), len(there)))
        data = bytearray(lasting[:size].ljust(size, b"\0"))
        for at in range(0, min(size, len(there)), PAGE):
            page = there[at:min(at + PAGE, size)]
            if data[at:at + len(page)] != page and rng is not None and rng.random() < 0.5:
                data[at:at + len(page)] = page
        with open(out, "wb") as file:
            file.write(data)
