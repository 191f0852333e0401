"""Ray's worker processes look for signals four times a second, not a hundred times.

The main thread of each wakes every 10 ms, takes Python's lock and asks whether a signal has come
(Ray, core_worker.cc, `RunTaskExecutionLoop`: "CoreWorker.CheckSignal"). In the eight processes of
an idle gateway that is a third of all processor time, and in busy ones it takes the lock from
others. No setting changes it. The pause is the operand of one instruction: it is changed in this
process's memory, before the loop begins, if that instruction is where it is known to be. Where
anything differs, all stays as it is.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import struct
import sys
from pathlib import Path

import ray._raylet
import structlog

__all__ = ["EVERY_MS", "check_seldom", "pause_in"]

log = structlog.get_logger(__name__)

#: The new pause; it is one byte.
EVERY_MS = 250
_LOOP = "_ZN3ray4core10CoreWorker20RunTaskExecutionLoopEv"
#: Bytes of the loop that are looked at: up to `io_context::run`.
_READ_BYTES = 256
#: `lea rsi, [rip + name]`, and after it, in so many bytes, `mov edx, 10`.
_LOADS, _WITHIN, _PAUSE = b"\x48\x8d\x35", 64, b"\xba\x0a\x00\x00\x00"
_NAME = b"CoreWorker.CheckSignal\0"


def check_seldom() -> bool:
    """Call it before the process takes work. False: all is as it was."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    try:
        library = ctypes.CDLL(ray._raylet.__file__)
        start = ctypes.cast(getattr(library, _LOOP), ctypes.c_void_p).value or 0
        readable = _mapped(ray._raylet.__file__)
        place = pause_in(ctypes.string_at(start, _READ_BYTES), start, readable)
        if place is None:
            log.info("ray.signals_checked_often", reason="its loop is another one")
            return False
        _write(start + place, EVERY_MS)
    except (AttributeError, OSError) as error:
        log.info("ray.signals_checked_often", reason=str(error))
        return False
    return True


def pause_in(code: bytes, start: int, readable: list[tuple[int, int]]) -> int | None:
    """Where in the loop's `code`, which is at `start`, the pause is; None: it is not the loop that
    is known. `readable`: (first, end) of what may be read."""
    place = code.find(_PAUSE)
    loads = code.rfind(_LOADS, max(0, place - _WITHIN), max(0, place))
    if place < 0 or loads < 0 or code.find(_PAUSE, place + 1) >= 0:
        return None
    (distance,) = struct.unpack_from("<i", code, loads + len(_LOADS))
    name = start + loads + len(_LOADS) + 4 + distance
    if not any(first <= name and name + len(_NAME) <= end for first, end in readable):
        return None
    return place + 1 if ctypes.string_at(name, len(_NAME)) == _NAME else None


def _mapped(file: str) -> list[tuple[int, int]]:
    """What of a file is in this process's memory, and may be read."""
    found = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, rights, *rest = line.split(None, 5)
        if rights.startswith("r") and rest[-1] == file:
            first, end = place.split("-")
            found.append((int(first, 16), int(end, 16)))
    return found


def _write(address: int, value: int) -> None:
    """One byte of code, while other threads may run what is beside it."""
    libc = ctypes.CDLL(None, use_errno=True)
    page, size = address & -mmap.PAGESIZE, ctypes.c_size_t(mmap.PAGESIZE)
    runs = mmap.PROT_READ | mmap.PROT_EXEC
    for rights in (runs | mmap.PROT_WRITE, runs):
        if libc.mprotect(ctypes.c_void_p(page), size, rights):
            raise OSError(ctypes.get_errno(), "mprotect")
        if rights & mmap.PROT_WRITE:
            ctypes.c_uint8.from_address(address).value = value
