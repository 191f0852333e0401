"""Changing the text of the loaded Go library, in memory: once in a process, one call redirected.

The how and the risks: docs/decisions/message-ids.md.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import sys
import threading
from collections.abc import Callable, Container
from pathlib import Path

import structlog
from neonize._binder import gocode

from actors.whatsapp.go_symbols import SymbolsNotFound

__all__ = ["PAGE", "Patch", "Refused", "call_operand", "map_near", "protect", "redirect"]

log = structlog.get_logger(__name__)

PAGE = mmap.PAGESIZE
_REACH = 2**31 - 2**24
_FIXED_NOREPLACE = 0x100000


class Refused(Exception):
    """A precondition of the patch is not met."""


class Patch:
    """A change of the library that is made once in a process, or not at all."""

    def __init__(
        self, make: Callable[[], None], *, versions: Container[bytes], refused: str
    ) -> None:
        """`versions` of the library whose code was read and tried; `refused`: the event that tells
        that the library is left alone."""
        self._make = make
        self._versions = versions
        self._refused = refused
        self._lock = threading.Lock()
        self._made: bool | None = None

    def made(self) -> bool:
        """The first call makes it: before the first client connects."""
        with self._lock:
            if self._made is None:
                try:
                    self._check()
                    self._make()
                    self._made = True
                except (Refused, SymbolsNotFound, OSError) as error:
                    log.warning(self._refused, reason=str(error))
                    self._made = False
            return self._made

    def _check(self) -> None:
        if sys.platform != "linux" or platform.machine() != "x86_64":
            raise Refused(f"{sys.platform} on {platform.machine()}, not linux on x86_64")
        if (version := gocode.GetVersion()) not in self._versions:
            raise Refused(f"the library has version {version!r}")


def call_operand(code: bytes, address: int, target: int, *, atomic: bool = True) -> int:
    """The offset in `code`, which lies at `address`, of the operand of its only `call target`.
    Raises `Refused` unless there is one, and it can be replaced in one store (`atomic`: needed
    unless no thread can be running that code)."""
    found = []
    at = code.find(b"\xe8")
    while 0 <= at <= len(code) - 5:
        if (
            address + at + 5 + int.from_bytes(code[at + 1 : at + 5], "little", signed=True)
            == target
        ):
            found.append(at + 1)
        at = code.find(b"\xe8", at + 1)
    if len(found) != 1:
        raise Refused(f"{len(found)} calls of the function, expected 1")
    if atomic and (address + found[0]) % 8 > 4:
        raise Refused("the call's operand crosses a word's boundary")
    return found[0]


def redirect(operand: int, target: int) -> None:
    """Let the call whose operand lies at address `operand` (see `call_operand`) go to `target`."""
    page = operand & -PAGE
    protect(page, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    # One 4-byte store inside an aligned 8-byte word: a thread that calls now sees old or new.
    ctypes.c_int32.from_address(operand).value = target - (operand + 4)
    protect(page, mmap.PROT_READ | mmap.PROT_EXEC)


_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def map_near(address: int, size: int) -> int:
    """Map `size` writable bytes within the reach of a jump from `address`; they stay for ever."""
    ends = [0]
    gaps = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(part, 16) for part in line.split(" ", 1)[0].split("-"))
        if start - ends[-1] >= size:
            gaps += [ends[-1], start - size]
        ends.append(end)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _FIXED_NOREPLACE
    for place in sorted(gaps, key=lambda gap: abs(gap - address)):
        if abs(place - address) > _REACH:
            break
        if _libc.mmap(place, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0) == place:
            return place
    raise Refused("no free memory near the library")


def protect(page: int, protection: int) -> None:
    if _libc.mprotect(page, PAGE, protection):
        raise OSError(ctypes.get_errno(), "mprotect was refused")
