"""An empty picture is none: the stub, without a server."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable

from actors.whatsapp.library import no_picture
from actors.whatsapp.library.machines import AMD64, Machine
from actors.whatsapp.library.patching import PAGE


def test_only_an_empty_picture_becomes_none(
    machine: Machine, pages: Callable[[int, dict[int, bytes]], int]
) -> None:
    entry, original = 0, 128
    if machine is AMD64:
        # C passes its first two arguments where the stub looks for address and length.
        code = b"\xe9" + struct.pack("<i", PAGE - 5)  # jmp stub
        seen = bytes.fromhex("48 89 f8 c3")  # mov rax, rdi; ret
    else:
        # mov x10, x0; mov x11, x1; b stub
        code = struct.pack("<III", 0xAA0003EA, 0xAA0103EB, 0x14000000 | (PAGE - 8) // 4)
        seen = struct.pack("<II", 0xAA0A03E0, 0xD65F03C0)  # mov x0, x10; ret
    base = pages(2, {entry: code, original: seen})
    no_picture.install(machine, base + PAGE, original=base + original)
    call = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64)(base)
    assert call(4096, 3) == 4096
    assert call(4096, 0) == 0
