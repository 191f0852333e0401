"""What is patched is found, and only it."""

from __future__ import annotations

import struct

import pytest

from actors.whatsapp.library import decrypt_txn
from actors.whatsapp.library.patching import Refused

_COMPARE = bytes.fromhex("80 b9 a9 00 00 00 00")  # cmp byte [rcx + 0xa9], 0
_SHORT, _NEAR = bytes.fromhex("74 64"), bytes.fromhex("0f 84 9b 02 00 00")


@pytest.mark.parametrize("jump", [_SHORT, _NEAR])
def test_the_compared_value_is_found(jump: bytes) -> None:
    code = b"\x90" * 5 + _COMPARE + jump + b"\x90"
    at = decrypt_txn.comparison(code, 0xA9)
    assert code[at] == 0
    assert at == 5 + len(_COMPARE) - 1


@pytest.mark.parametrize(
    "code",
    [
        b"\x90" * 40,
        _COMPARE + b"\x90\x90",  # no jump
        bytes.fromhex("80 b9 a8 00 00 00 00") + _SHORT,  # another field
        bytes.fromhex("80 bc a9 00 00 00 00") + _SHORT,  # a SIB byte follows
        (_COMPARE + _SHORT) * 2,
    ],
)
def test_anything_else_is_refused(code: bytes) -> None:
    with pytest.raises(Refused):
        decrypt_txn.comparison(code, 0xA9)


_LOAD = 0x3942A422  # ldrb w2, [x1, #169]
_TBZ, _CBZ, _NOP = 0x360002A2, 0x340002A2, 0xD503201F  # … w2


@pytest.mark.parametrize("test", [_TBZ, _CBZ])
def test_the_branch_is_found(test: int) -> None:
    code = struct.pack("<4I", _NOP, _LOAD, test, _NOP)
    assert decrypt_txn.branch(code, 0xA9) == 8


@pytest.mark.parametrize(
    "words",
    [
        [_NOP] * 4,
        [_LOAD, _NOP],
        [_LOAD, _TBZ + 1],  # another register
        [_LOAD, _TBZ | 1 << 19],  # another bit
        [_LOAD + (1 << 10), _TBZ],  # another field
        [_LOAD, _TBZ, _LOAD, _CBZ],
    ],
)
def test_any_other_branch_is_refused(words: list[int]) -> None:
    with pytest.raises(Refused):
        decrypt_txn.branch(struct.pack(f"<{len(words)}I", *words), 0xA9)
