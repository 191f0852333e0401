"""What is patched is found, and only it."""

from __future__ import annotations

import struct
from typing import Any, cast

import pytest

from actors.whatsapp.library import decrypt_txn
from actors.whatsapp.library.machines import AMD64, ARM64, Machine
from actors.whatsapp.library.patching import Library, Refused
from actors.whatsapp.library.symbols import Function

_COMPARE = bytes.fromhex("80 b9 a9 00 00 00 00")  # cmp byte [rcx + 0xa9], 0
_SHORT, _NEAR = bytes.fromhex("74 64"), bytes.fromhex("0f 84 9b 02 00 00")
_OTHER = bytes.fromhex("80 b9 a8 00 00 00 00") + _SHORT

_LOAD = 0x3942A422  # ldrb w2, [x1, #169]
_TBZ, _CBZ, _NOP = 0x360002A2, 0x340002A2, 0xD503201F  # … w2


@pytest.mark.parametrize("jump", [_SHORT, _NEAR])
def test_compared_bytes_are_found(jump: bytes) -> None:
    code = b"\x90" * 5 + _COMPARE + jump + _OTHER
    found = decrypt_txn.comparisons(code)
    assert found == {0xA9: [5 + len(_COMPARE) - 1], 0xA8: [5 + 2 * len(_COMPARE) + len(jump) - 1]}


@pytest.mark.parametrize(
    "code",
    [
        b"\x90" * 40,
        _COMPARE + b"\x90\x90",  # no jump
        bytes.fromhex("80 bc a9 00 00 00 00") + _SHORT,  # a SIB byte follows
    ],
)
def test_other_comparisons_are_not(code: bytes) -> None:
    assert decrypt_txn.comparisons(code) == {}


@pytest.mark.parametrize("test", [_TBZ, _CBZ])
def test_branches_on_a_byte_are_found(test: int) -> None:
    code = struct.pack("<4I", _NOP, _LOAD, test, _NOP)
    assert decrypt_txn.branches(code) == {0xA9: [8]}


@pytest.mark.parametrize(
    "words",
    [
        [_NOP] * 4,
        [_LOAD, _NOP],
        [_LOAD, _TBZ + 1],  # another register
        [_LOAD, _TBZ | 1 << 19],  # another bit
    ],
)
def test_other_branches_are_not(words: list[int]) -> None:
    assert decrypt_txn.branches(struct.pack(f"<{len(words)}I", *words)) == {}


class TwoFunctions:
    """Stands for a library whose two functions have such code."""

    def __init__(self, machine: Machine, *codes: bytes) -> None:
        self.machine = machine
        self._codes = codes

    def functions(self, *_names: str) -> list[Function]:
        return [Function(1000 * index, 0) for index in range(2)]

    def text(self, function: Function) -> bytes:
        return self._codes[function.start // 1000]


def field(machine: Machine, *codes: bytes) -> tuple[int, list[int]]:
    return decrypt_txn._field(cast(Library, cast(Any, TwoFunctions(machine, *codes))))


def test_the_field_is_the_one_byte_that_both_test() -> None:
    one = _COMPARE + _SHORT
    assert field(AMD64, _OTHER + one, one) == (0xA9, [len(_OTHER) + 6, 1006])
    words = struct.pack("<2I", _LOAD, _TBZ)
    assert field(ARM64, words, words) == (0xA9, [4, 1004])


@pytest.mark.parametrize(
    "codes",
    [
        (_COMPARE + _SHORT, _OTHER),
        (_COMPARE + _SHORT + _OTHER, _COMPARE + _SHORT + _OTHER),
        ((_COMPARE + _SHORT) * 2, _COMPARE + _SHORT),
    ],
    ids=["none in common", "two in common", "twice"],
)
def test_anything_else_is_refused(codes: tuple[bytes, bytes]) -> None:
    with pytest.raises(Refused):
        field(AMD64, *codes)
