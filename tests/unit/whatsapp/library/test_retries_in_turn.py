"""The goroutine that becomes a call is found, and only it, as is the lock of sends; the stub calls
it with that lock."""

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
_LOCK, _OTHER = 0x1D8, 0x240


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


def test_the_stub_goes_on_with_the_lock_and_the_closure(
    machine: Machine, pages: Callable[[int, dict[int, bytes]], int]
) -> None:
    stub, methods = 64, 4711
    if machine is AMD64:
        # push rbx; mov rax, rdi; call stub; pop rbx; ret
        entry = bytes.fromhex("53 48 89 f8") + b"\xe8" + struct.pack("<i", stub - 9) + b"\x5b\xc3"
        # mov [rcx + 16], rbx; mov [rcx + 24], rax; ret
        body = bytes.fromhex("48 89 59 10 48 89 41 18 c3")
    else:
        # str x30, [sp, #-16]!; bl stub; ldr x30, [sp], #16; ret
        call = 0x94000000 | (stub - 4) // 4
        entry = struct.pack("<4I", 0xF81F0FFE, call, 0xF84107FE, 0xD65F03C0)
        # str x1, [x2, #16]; str x0, [x2, #24]; ret
        body = struct.pack("<3I", 0xF9000841, 0xF9000C40, 0xD65F03C0)
    with_lock = pages(1, {0: body})
    code = retries_in_turn.code(machine.name, methods, _LOCK, with_lock)
    client = 1 << 40
    closure = (ctypes.c_uint64 * 4)(0, client, 0, 0)
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(pages(1, {0: entry, stub: code}))
    run(ctypes.addressof(closure))
    assert list(closure) == [0, client, client + _LOCK, methods]


def _sends_amd64(deferred: int, unlocks: int) -> bytes:
    """Two locks are taken; the one at `unlocks` is given back by the function at `deferred`."""
    takes = b"".join(
        bytes.fromhex("f0 0f b1 be") + struct.pack("<i", lock) for lock in (_LOCK, _OTHER)
    )
    returns = bytes.fromhex("48 8d 15") + struct.pack("<i", deferred - _AT - len(takes) - 7)
    return takes + returns + bytes.fromhex("48 81 c2") + struct.pack("<i", unlocks) + _NOP * 80


def test_the_lock_of_sends_is_found() -> None:
    assert retries_in_turn.locked_amd64(_sends_amd64(_STARTED, _LOCK), _AT, [_STARTED]) == _LOCK


@pytest.mark.parametrize(
    "code",
    [
        _sends_amd64(_STARTED + 64, _LOCK),  # another function is called when it returns
        _sends_amd64(_STARTED, _LOCK + 8),  # no lock is given back
        _NOP * 80,
    ],
)
def test_anything_else_is_no_lock(code: bytes) -> None:
    with pytest.raises(Refused):
        retries_in_turn.locked_amd64(code, _AT, [_STARTED])


def _sends_arm64(unlocks: int) -> list[int]:
    """add x4, x3, #lock; adrp x27; casal w27, w5, [x4]; the same with another; then the lock at
    `unlocks` beside the function that gives it back."""
    taken = [
        word
        for lock in (_LOCK, _OTHER)
        for word in (0x91000064 | lock << 10, 0xB000001B, 0x88FBFC85, *[_WORD] * 8)
    ]
    return [*taken, 0x91000063 | unlocks << 10, _ADRP, _ADD, *[_WORD] * 8]


def test_the_lock_of_sends_is_found_on_arm64() -> None:
    words = _sends_arm64(_LOCK)
    code = struct.pack(f"<{len(words)}I", *words)
    assert retries_in_turn.locked_arm64(code, 0x7000, [0x8300]) == _LOCK


@pytest.mark.parametrize("words", [_sends_arm64(_LOCK + 8), _sends_arm64(_LOCK)[:20], [_WORD] * 9])
def test_anything_else_is_no_lock_on_arm64(words: list[int]) -> None:
    with pytest.raises(Refused):
        retries_in_turn.locked_arm64(struct.pack(f"<{len(words)}I", *words), 0x7000, [0x8300])
