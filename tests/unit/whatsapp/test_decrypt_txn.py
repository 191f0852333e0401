"""The comparison that is patched is found, and only it; the pinned library takes the patch."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from actors.whatsapp import decrypt_txn
from actors.whatsapp.go_patching import Refused

_COMPARE = bytes.fromhex("80 b9 a9 00 00 00 00")  # cmp byte [rcx + 0xa9], 0
_SHORT, _NEAR = bytes.fromhex("74 64"), bytes.fromhex("0f 84 9b 02 00 00")


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="the patch is for linux amd64"
)
def test_the_pinned_library_can_be_patched() -> None:
    # Another process: a patched library stays patched.
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from actors.whatsapp.decrypt_txn import decryption_is_one_transaction as d;"
            "print(d(), d())",
        ],
        env={"PYTHONPATH": str(Path(decrypt_txn.__file__).parents[2]), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip().endswith("True True")


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
