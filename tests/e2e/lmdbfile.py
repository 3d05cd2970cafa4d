"""LMDB files, read and written from outside of the program by the library that it uses itself."""
import ctypes
import ctypes.util
import os

READ_ONLY = 0x20000
CREATE = 0x40000
FIRST, NEXT = 0, 8
NOT_FOUND = -30798


class Value(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.c_void_p)]

    @staticmethod
    def of(data):
        return Value(len(data), ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p))

    def bytes(self):
        return ctypes.string_at(self.data, self.size)


def library():
    lib = ctypes.CDLL(ctypes.util.find_library("lmdb") or "liblmdb.so.0")
    lib.mdb_env_open.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint, ctypes.c_uint]
    lib.mdb_env_set_mapsize.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    lib.mdb_txn_begin.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p]
    lib.mdb_dbi_open.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint, ctypes.c_void_p]
    lib.mdb_put.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p,
                            ctypes.c_uint]
    lib.mdb_cursor_open.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p]
    lib.mdb_cursor_get.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
    for name in ("mdb_env_close", "mdb_txn_commit", "mdb_txn_abort", "mdb_cursor_close"):
        getattr(lib, name).argtypes = [ctypes.c_void_p]
    return lib


def check(rc):
    assert rc == 0, f"LMDB says {rc}"


class Tables:
    """The tables of a folder that nobody else has open."""

    def __init__(self, folder, write=False):
        self.lib, self.write = library(), write
        self.env, self.txn = ctypes.c_void_p(), ctypes.c_void_p()
        if write:
            os.makedirs(folder, exist_ok=True)
        check(self.lib.mdb_env_create(ctypes.byref(self.env)))
        check(self.lib.mdb_env_set_maxdbs(self.env, 32))
        if write:
            check(self.lib.mdb_env_set_mapsize(self.env, 1 << 30))
        check(self.lib.mdb_env_open(self.env, os.fsencode(folder), 0 if write else READ_ONLY,
                                    0o644))
        check(self.lib.mdb_txn_begin(self.env, None, 0 if write else READ_ONLY,
                                     ctypes.byref(self.txn)))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.write:
            check(self.lib.mdb_txn_commit(self.txn))
        else:
            self.lib.mdb_txn_abort(self.txn)
        self.lib.mdb_env_close(self.env)

    def _open(self, table):
        dbi = ctypes.c_uint()
        name = None if table is None else table.encode()
        flags = CREATE if self.write and name else 0
        rc = self.lib.mdb_dbi_open(self.txn, name, flags, ctypes.byref(dbi))
        if rc == NOT_FOUND:
            return None
        check(rc)
        return dbi

    def put(self, table, key, value):
        key, value = Value.of(key), Value.of(value)
        check(self.lib.mdb_put(self.txn, self._open(table), ctypes.byref(key),
                               ctypes.byref(value), 0))

    def keys(self, table):
        return [key for key, _ in self.items(table)]

    def items(self, table):
        dbi, cursor, found = self._open(table), ctypes.c_void_p(), []
        if dbi is None:
            return found
        check(self.lib.mdb_cursor_open(self.txn, dbi, ctypes.byref(cursor)))
        key, value, move = Value(), Value(), FIRST
        while self.lib.mdb_cursor_get(cursor, ctypes.byref(key), ctypes.byref(value), move) == 0:
            found.append((key.bytes(), value.bytes()))
            move = NEXT
        self.lib.mdb_cursor_close(cursor)
        return found


def digests(folder, table):
    """The keys of a table that are digests: a byte for the algorithm, then the bytes."""
    names = {33: "sha256", 65: "sha512"}
    with Tables(folder) as tables:
        return {f"{names[len(key)]}:{key[1:].hex()}" for key in tables.keys(table)}
