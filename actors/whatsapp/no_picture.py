"""Removing a picture, which neonize 0.5.2 cannot: it has no way to say "none".

whatsmeow's `(*Client).SetGroupPhoto` removes the picture when it is given no bytes at all (nil);
neonize makes an empty, but present, picture of an empty argument, which WhatsApp refuses as no
image. The calls in neonize's `SetGroupPhoto` and `SetProfilePhoto` are redirected, in memory, to a
stub that hands on nil for an empty picture, by the way of `actors.whatsapp.go_patching`.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from pathlib import Path

from neonize._binder import gocode

from actors.whatsapp.go_patching import (
    PAGE,
    Patch,
    call_operand,
    map_near,
    protect,
    redirect,
)
from actors.whatsapp.go_symbols import locate, read_functions

__all__ = ["pictures_can_be_removed"]

#: Versions of the library whose code was read and tried; others are left alone.
_KNOWN_VERSIONS = {b"0.5.2"}
_CALLERS = ("main.SetGroupPhoto", "main.SetProfilePhoto")
_CALLED = "go.mau.fi/whatsmeow.(*Client).SetGroupPhoto"


def pictures_can_be_removed() -> bool:
    """The first call patches the library: make it before the first client connects."""
    return _patch.made()


def _install() -> None:
    names = (_CALLED, *_CALLERS)
    called, *callers = locate(gocode, read_functions(Path(gocode._name), *names), *names)
    operands = [
        caller.start
        + call_operand(
            ctypes.string_at(caller.start, caller.end - caller.start), caller.start, called.start
        )
        for caller in callers
    ]
    stub = map_near(operands[0], PAGE)
    text = stub_code(stub, original=called.start)
    ctypes.memmove(stub, text, len(text))
    protect(stub, mmap.PROT_READ | mmap.PROT_EXEC)
    for operand in operands:
        redirect(operand, stub)


_patch = Patch(_install, versions=_KNOWN_VERSIONS, refused="whatsapp.pictures_not_removable")


def stub_code(at: int, *, original: int) -> bytes:
    """The stub as it runs at address `at`: the picture's address and length are in RDI and RSI
    (Go's ABIInternal; the receiver, the context and, on the stack, the JID come before)."""
    code = bytes.fromhex("48 85 f6")  # test rsi, rsi
    code += b"\x0f\x85" + struct.pack("<i", original - (at + len(code) + 6))  # jne SetGroupPhoto
    code += bytes.fromhex("31 ff")  # xor edi, edi
    return code + b"\xe9" + struct.pack("<i", original - (at + len(code) + 5))  # jmp SetGroupPhoto
