"""FreeBSD's libnv as a peer: a build of it outside of this tree, spoken to by ctypes.

`LIBNV_PREFIX` names the prefix that a portable build of libnv is installed
under (its `lib/` holds libnv.so or libnvp.so).  `Libnv` packs typed pairs and
unpacks bytes, so that tests can compare its bytes and refusals with ours.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

from audiod_protocol.nvlist import NvType, Pair

PREFIX = "LIBNV_PREFIX"


def library() -> Path | None:
    """The peer's shared library, None: there is no peer here."""
    prefix = os.environ.get(PREFIX)
    if not prefix:
        return None
    found = sorted(Path(prefix, "lib").glob("libnv*.so"))
    assert found, f"{PREFIX} is set, but {prefix}/lib has no libnv*.so"
    return found[0]


class Libnv:
    def __init__(self, path: Path) -> None:
        self.lib = lib = ctypes.CDLL(str(path), use_errno=True)
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        lib.nvlist_create.restype = lib.nvlist_pack.restype = lib.nvlist_unpack.restype = pointer
        lib.nvlist_create.argtypes = [ctypes.c_int]
        lib.nvlist_pack.argtypes = [pointer, ctypes.POINTER(size)]
        lib.nvlist_unpack.argtypes = [ctypes.c_char_p, size, ctypes.c_int]
        lib.nvlist_destroy.argtypes = [pointer]
        self.free = ctypes.CDLL(None).free
        self.free.argtypes = [pointer]

    def build(self, pairs: Iterable[Pair], flags: int = 0) -> ctypes.c_void_p:
        """An nvlist_t of these pairs."""
        made = ctypes.c_void_p(self.lib.nvlist_create(flags))
        for name, kind, value in pairs:
            key = name.encode("utf-8", "surrogateescape")
            if kind is NvType.NULL:
                self.lib.nvlist_add_null(made, key)
            elif kind is NvType.BOOL:
                self.lib.nvlist_add_bool(made, key, ctypes.c_bool(value))
            elif kind is NvType.NUMBER:
                self.lib.nvlist_add_number(made, key, ctypes.c_uint64(value))
            elif kind is NvType.STRING:
                self.lib.nvlist_add_string(made, key, value.encode("utf-8", "surrogateescape"))
            elif kind is NvType.BINARY:
                self.lib.nvlist_add_binary(made, key, value, ctypes.c_size_t(len(value)))
            elif kind is NvType.NVLIST:
                child = self.build(value)
                self.lib.nvlist_add_nvlist(made, key, child)
                self.lib.nvlist_destroy(child)
            else:
                self._array(made, key, kind, value)
        return made

    def _array(self, made: ctypes.c_void_p, key: bytes, kind: NvType, value: tuple[object, ...]) -> None:
        count = ctypes.c_size_t(len(value))
        lib = self.lib
        if kind is NvType.BOOL_ARRAY:
            lib.nvlist_add_bool_array(made, key, (ctypes.c_bool * len(value))(*value), count)
        elif kind is NvType.NUMBER_ARRAY:
            lib.nvlist_add_number_array(made, key, (ctypes.c_uint64 * len(value))(*value), count)
        elif kind is NvType.STRING_ARRAY:
            texts = [str(one).encode("utf-8", "surrogateescape") for one in value]
            lib.nvlist_add_string_array(made, key, (ctypes.c_char_p * len(value))(*texts), count)
        else:
            lists = [self.build(one) for one in value]  # type: ignore[arg-type]
            lib.nvlist_add_nvlist_array(
                made, key, (ctypes.c_void_p * len(value))(*(one.value for one in lists)), count
            )
            for one in lists:
                lib.nvlist_destroy(one)

    def packed(self, made: ctypes.c_void_p) -> bytes:
        size = ctypes.c_size_t()
        buf = self.lib.nvlist_pack(made, ctypes.byref(size))
        assert buf, "libnv could not pack it"
        try:
            return ctypes.string_at(buf, size.value)
        finally:
            self.free(buf)

    def pack(self, pairs: Iterable[Pair]) -> bytes:
        made = self.build(pairs)
        try:
            return self.packed(made)
        finally:
            self.lib.nvlist_destroy(made)

    def repack(self, data: bytes, flags: int = 0) -> bytes | None:
        """What libnv makes of these bytes, packed again by it; None: it refuses them."""
        made = self.lib.nvlist_unpack(data, len(data), flags)
        if not made:
            return None
        try:
            return self.packed(ctypes.c_void_p(made))
        finally:
            self.lib.nvlist_destroy(ctypes.c_void_p(made))
