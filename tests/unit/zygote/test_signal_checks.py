"""Ray's loop is changed where it is the one that is known, and nowhere else."""

from __future__ import annotations

import ctypes
import platform
import struct
import subprocess
import sys

import pytest

from actors.zygote.signal_checks import EVERY_MS, pause_in

_CHANGED = """
import ctypes, ray._raylet
from actors.zygote import signal_checks as one
assert one.check_seldom()
loop = getattr(ctypes.CDLL(ray._raylet.__file__), one._LOOP)
code = ctypes.string_at(ctypes.cast(loop, ctypes.c_void_p).value, one._READ_BYTES)
assert code.count(bytes([0xBA, one.EVERY_MS, 0, 0, 0])) == 1 and one._PAUSE not in code
assert not one.check_seldom(), "there is nothing left to change"
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="Ray's code of other machines")
def test_the_pause_of_this_ray_is_found_and_changed() -> None:
    assert EVERY_MS < 256
    subprocess.run([sys.executable, "-c", _CHANGED], check=True, timeout=60)


def _loop(name: bytes, pauses: int = 1, near: int = 8) -> tuple[bytes, int, list[tuple[int, int]]]:
    """Code that loads the address of `name`, and the pause so many bytes after it."""
    text = ctypes.create_string_buffer(name)
    at = ctypes.addressof(text)
    _kept.append(text)
    start = at - 4096
    code = b"\x90" * 16 + b"\x48\x8d\x35" + struct.pack("<i", at - start - 23) + b"\x90" * near
    return code + b"\xba\x0a\x00\x00\x00" * pauses + b"\x90" * 64, start, [(at, at + len(name) + 1)]


_kept: list[object] = []
_NAME = b"CoreWorker.CheckSignal"


def test_only_the_loop_that_is_known_is_changed() -> None:
    assert pause_in(*_loop(_NAME)) == 16 + 7 + 8 + 1
    for other in (
        _loop(b"CoreWorker.SomethingElse"),
        _loop(_NAME, pauses=0),
        _loop(_NAME, pauses=2),
        _loop(_NAME, near=100),
        (b"\xba\x0a\x00\x00\x00" * 1 + b"\x90" * 99, 4096, []),
        (b"", 4096, []),
    ):
        assert pause_in(*other) is None
    code, start, _ = _loop(_NAME)
    assert pause_in(code, start, []) is None, "what may not be read is not read"
