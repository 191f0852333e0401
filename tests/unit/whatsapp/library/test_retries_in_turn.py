"""The goroutine that becomes a call is found, and only it; the stub calls it."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable

import pytest

from actors.whatsapp.library import retries_in_turn
from actors.whatsapp.library.machines import AMD64, Machine
from actors.whatsapp.library.patching import Refused

_AT, _STARTED = 0x1000, 0x3000
_STORED = bytes.fromhex("48 89 70 28")
_NOP = b"\x90"


def _closure(at: int, function: int) -> bytes:
    """`lea rcx, [rip + …]` as it lies at address `at`."""
    return bytes.fromhex("48 8d 0d") + (function - at - 7).to_bytes(4, "little", signed=True)


def test_the_start_of_the_goroutine_is_found() -> None:
    other = _closure(_AT, 0x2000) + _STORED + b"\xe8" + bytes(4)
    mine = _closure(_AT + len(other), _STARTED) + _NOP * 9 + _STORED + b"\xe8" + b"\x01\x02\x03\x04"
    code = other + mine + _NOP * 8
    at = retries_in_turn.start_amd64(code, _AT, _STARTED)
    assert code[at : at + 4] == b"\x01\x02\x03\x04"


@pytest.mark.parametrize(
    "code",
    [
        _NOP * 40,
        _closure(_AT, 0x2000) + _STORED + b"\xe8" + bytes(8),  # another goroutine
        _closure(_AT, _STARTED) + _NOP * 20,  # never started
        _closure(_AT, _STARTED) + _NOP * 400 + _STORED + b"\xe8" + bytes(8),  # somewhere else
        _closure(_AT, _STARTED) + _closure(_AT + 7, _STARTED) + _STORED + b"\xe8" + bytes(8),
    ],
)
def test_anything_else_is_refused(code: bytes) -> None:
    with pytest.raises(Refused):
        retries_in_turn.start_amd64(code, _AT, _STARTED)


_ADRP, _ADD = 0xB0000006, 0x910C00C6  # adrp x6, the page after; add x6, x6, #0x300
_STP, _BL, _WORD = 0xA9021003, 0x94000010, 0xD503201F  # stp x3, x4, [x0, #32]


def test_the_start_of_the_goroutine_is_found_on_arm64() -> None:
    code = struct.pack("<7I", _WORD, _ADRP, _ADD, _WORD, _STP, _BL, _WORD)
    assert retries_in_turn.start_arm64(code, 0x7000, 0x8300) == 20


@pytest.mark.parametrize(
    "words",
    [
        [_WORD] * 9,
        [_ADRP, _ADD + (4 << 10), _STP, _BL, _WORD],  # another goroutine
        [_ADRP, _ADD, _WORD, _BL, _WORD],  # no store
        [_ADRP, _ADD, *[_WORD] * 60, _STP, _BL, _WORD],  # somewhere else
        [_ADRP, _ADD, _ADRP, _ADD, _STP, _BL, _WORD],
    ],
)
def test_anything_else_is_refused_on_arm64(words: list[int]) -> None:
    with pytest.raises(Refused):
        retries_in_turn.start_arm64(struct.pack(f"<{len(words)}I", *words), 0x7000, 0x8300)


def test_the_stub_runs_the_closure_at_once(
    machine: Machine, pages: Callable[[int, dict[int, bytes]], int]
) -> None:
    entry, stub, function = 0, 64, 128
    if machine is AMD64:
        code = bytes.fromhex("48 89 f8") + b"\xe8" + struct.pack("<i", stub - 8) + b"\xc3"
        body = bytes.fromhex("48 8b 42 08 c3")  # mov rax, [rdx + 8]; ret
    else:
        # stp x26, x30, [sp, #-16]!; bl stub; ldp x26, x30, [sp], #16; ret
        code = struct.pack("<4I", 0xA9BF7BFA, 0x94000000 | (stub - 4) // 4, 0xA8C17BFA, 0xD65F03C0)
        body = struct.pack("<II", 0xF9400740, 0xD65F03C0)  # ldr x0, [x26, #8]; ret
    base = pages(1, {entry: code, stub: retries_in_turn.STUBS[machine.name], function: body})
    closure = (ctypes.c_uint64 * 2)(base + function, 4711)
    call = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)(base + entry)
    assert call(ctypes.addressof(closure)) == 4711
