"""The goroutine that becomes a call is found, and only it; the pinned library takes the patch."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from actors.whatsapp import retries_in_turn
from actors.whatsapp.go_patching import Refused

_AT, _STARTED = 0x1000, 0x3000
_STORED = bytes.fromhex("48 89 70 28")
_NOP = b"\x90"


def _closure(at: int, function: int) -> bytes:
    """`lea rcx, [rip + …]` as it lies at address `at`."""
    return bytes.fromhex("48 8d 0d") + (function - at - 7).to_bytes(4, "little", signed=True)


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="the patch is for linux amd64"
)
def test_the_pinned_library_can_be_patched() -> None:
    # Another process: a patched library stays patched.
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from actors.whatsapp.retries_in_turn import retries_in_turn as r; print(r(), r())",
        ],
        env={"PYTHONPATH": str(Path(retries_in_turn.__file__).parents[2]), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip().endswith("True True")


def test_the_start_of_the_goroutine_is_found() -> None:
    other = _closure(_AT, 0x2000) + _STORED + b"\xe8" + bytes(4)
    mine = _closure(_AT + len(other), _STARTED) + _NOP * 9 + _STORED + b"\xe8" + b"\x01\x02\x03\x04"
    code = other + mine + _NOP * 8
    at = retries_in_turn.go_operand(code, _AT, _STARTED)
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
        retries_in_turn.go_operand(code, _AT, _STARTED)
