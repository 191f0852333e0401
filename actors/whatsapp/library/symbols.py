"""Where the functions of a loaded Go library are: its function table read, its text located.

A Go binary carries the names and entries of all its functions in the section `.gopclntab`, stripped
or not. Layout: Go's runtime/symtab.go (`pcHeader`, `functab`) and internal/abi/symtab.go, the same
from Go 1.20 on (magic `0xfffffff1`).
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Function", "SymbolsNotFound", "locate", "read_functions"]

_MAGIC_GO_1_20 = 0xFFFFFFF1
#: magic, two zero bytes, instruction quantum, pointer size, functions, files, text start, and the
#: offsets of function names, compilation units, files, pc tables, function table.
_HEADER = struct.Struct("<IHBBQQQQQQQQ")


#: What cgo names the entry points of exported functions.
_ENTRY = b"_cgoexp_"


class SymbolsNotFound(Exception):
    """The file is no Go library of the expected layout, or is not the one that is loaded."""


@dataclass(frozen=True, slots=True)
class Function:
    """A Go function: `[start, end)`, counted from the start of the library's Go text, or, once
    located, addresses in this process."""

    start: int
    end: int


def read_functions(library: Path, *names: str) -> dict[str, Function]:
    """The functions `names` (without any: all; with them, cgo's entry points as well) of the ELF
    file `library`, by name, counted from the start of its Go text.

    A name that two functions share (one of them a wrapper between Go's two calling conventions) is
    left out. Raises `SymbolsNotFound`.
    """
    try:
        with (
            library.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as elf,
        ):
            wanted = {name.encode() for name in names}
            return _functions(elf, _section(elf, b".gopclntab"), wanted)
    except (OSError, ValueError, struct.error) as error:
        raise SymbolsNotFound(f"no readable Go function table: {error}") from error


def locate(loaded: ctypes.CDLL, functions: dict[str, Function], *names: str) -> list[Function]:
    """The addresses of the functions `names` in the library `loaded`.

    cgo's entry points are in the dynamic symbols as well as in the function table; each gives the
    address of the text. Raises `SymbolsNotFound` when they disagree or a name is missing.
    """
    anchors = {name: f for name, f in functions.items() if name.startswith(_ENTRY.decode())}
    texts = {_address(loaded, name) - f.start for name, f in anchors.items()}
    if len(texts) != 1:
        raise SymbolsNotFound(f"{len(anchors)} entry points give {len(texts)} places of the text")
    text = texts.pop()
    if missing := [name for name in names if name not in functions]:
        raise SymbolsNotFound(f"not in the function table: {', '.join(missing)}")
    return [Function(text + functions[n].start, text + functions[n].end) for n in names]


def _address(loaded: ctypes.CDLL, name: str) -> int:
    try:
        return ctypes.cast(getattr(loaded, name), ctypes.c_void_p).value or 0
    except AttributeError as error:
        raise SymbolsNotFound(f"{name} is not in the loaded library") from error


def _section(elf: mmap.mmap, wanted: bytes) -> int:
    """Where in the file it begins."""
    if elf[:6] != b"\x7fELF\x02\x01":
        raise SymbolsNotFound("no 64-bit little-endian ELF file")
    (headers,) = struct.unpack_from("<Q", elf, 0x28)
    size, count, names_index = struct.unpack_from("<HHH", elf, 0x3A)
    # sh_name, sh_type, sh_flags, sh_addr, sh_offset, sh_size
    sections = [struct.unpack_from("<IIQQQQ", elf, headers + i * size) for i in range(count)]
    names = sections[names_index][4]
    for name, _type, _flags, _address, offset, _size in sections:
        if elf[names + name : names + name + len(wanted) + 1] == wanted + b"\0":
            return int(offset)
    raise SymbolsNotFound(f"no section {wanted.decode()}")


def _functions(elf: mmap.mmap, table: int, wanted: set[bytes]) -> dict[str, Function]:
    magic, _, _, pointer, count, _, _, names, _, _, _, functab = _HEADER.unpack_from(elf, table)
    if magic != _MAGIC_GO_1_20 or pointer != 8:
        raise SymbolsNotFound(f"function table with magic {magic:#x}, {pointer}-byte pointers")
    # pairs (entry, offset of its _func), closed by the end of the text; read one by one and in
    # place: there are tens of thousands, and their copies would stay in this process's memory
    pair = struct.Struct("<III")
    found: dict[str, Function] = {}
    shared = set()
    for i in range(count):
        start, described, end = pair.unpack_from(elf, table + functab + 8 * i)
        (name_offset,) = struct.unpack_from("<i", elf, table + functab + described + 4)
        begin = table + names + name_offset
        name = elf[begin : elf.find(b"\0", begin)]
        if wanted and name not in wanted and not name.startswith(_ENTRY):
            continue
        text = name.decode()
        if text in found:
            shared.add(text)
        found[text] = Function(start, end)
    return {name: function for name, function in found.items() if name not in shared}
