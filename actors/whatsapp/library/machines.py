"""What differs between processors: how a call is found and aimed, and how code is written.

arm64: Go passes arguments in R0 to R15, of which those that a call does not use are free, as are
R16 and R17; R26 is a closure's context, R28 the goroutine (Go, abi-internal.md). Stubs there jump
by absolute address, so only a call has to reach them (a `BL`: 128 MiB). The library is compiled
without BTI and PAC: no page of it is guarded, and a stub needs no landing pad.
"""

from __future__ import annotations

import ctypes
import itertools
import platform
import struct
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Protocol

__all__ = ["AMD64", "ARM64", "NOP_ARM64", "Amd64Code", "Arm64Code", "Machine", "this_machine"]

#: `nop` of arm64.
NOP_ARM64 = 0xD503201F


class Machine(Protocol):
    """A processor of the loaded library. A *site* is the address of four bytes that are replaced in
    one store."""

    name: str
    #: Bytes that a call reaches.
    reach: int

    def calls(self, code: bytes, address: int, target: int) -> list[int]:
        """The offsets in `code`, which lies at `address`, of the sites of its calls of `target`."""

    def atomic(self, site: int) -> bool:
        """Whether a thread that runs the code meanwhile sees old or new, nothing between."""

    def aimed(self, site: int, target: int, old: bytes) -> bytes:
        """What makes the call at `site` (it is `old`) one of `target`."""

    def variables(self, code: bytes, address: int) -> list[int]:
        """Addresses of the variables whose value `code`, which lies at `address`, loads."""

    def flush(self, start: int, size: int) -> None:
        """Let the processor see code that was written."""

    def thread_key(self, page: int) -> tuple[bytes, Callable[[], int]]:
        """What stubs know a thread by: code for address `page` (empty: none is needed), and a
        function that gives the calling thread's once that code is there."""


class _Amd64:
    name = "amd64"
    reach = 2**31 - 2**24

    def calls(self, code: bytes, address: int, target: int) -> list[int]:
        found = []
        at = code.find(b"\xe8")
        while 0 <= at <= len(code) - 5:
            if address + at + 5 + _signed(code, at + 1) == target:
                found.append(at + 1)
            at = code.find(b"\xe8", at + 1)
        return found

    def atomic(self, site: int) -> bool:
        return site % 8 <= 4

    def aimed(self, site: int, target: int, old: bytes) -> bytes:
        return struct.pack("<i", target - (site + 4))

    def variables(self, code: bytes, address: int) -> list[int]:
        # mov register, [rip + operand]: REX.W prefix, opcode, ModRM without the register's bits
        return [
            address + at + 7 + _signed(code, at + 3)
            for at in range(len(code) - 7)
            if code[at] in (0x48, 0x4C) and code[at + 1] == 0x8B and code[at + 2] & 0xC7 == 0x05
        ]

    def flush(self, start: int, size: int) -> None:
        pass

    def thread_key(self, page: int) -> tuple[bytes, Callable[[], int]]:
        # `pthread_self()`, which x86-64 keeps at `fs:0`
        return b"", threading.get_ident


class _Arm64:
    name = "arm64"
    reach = 2**27 - 2**20

    def calls(self, code: bytes, address: int, target: int) -> list[int]:
        return [
            at
            for at, word in _words(code)
            if word >> 26 == 0b100101 and address + at + 4 * _sign(word, 26) == target
        ]

    def atomic(self, site: int) -> bool:
        # Replacing `BL` by `BL` is among what may be done to code that runs (Arm ARM, B2.2.5).
        return site % 4 == 0

    def aimed(self, site: int, target: int, old: bytes) -> bytes:
        distance = (target - site) // 4
        if not -(2**25) <= distance < 2**25:
            raise ValueError("out of a call's reach")
        return struct.pack("<I", 0x94000000 | distance & 0x3FFFFFF)

    def variables(self, code: bytes, address: int) -> list[int]:
        # adrp register, page; ldr x, [register, #offset]
        words = _words(code)
        return [
            _page(address + at, word) + (load >> 10 & 0xFFF) * 8
            for (at, word), (_, load) in itertools.pairwise(words)
            if word & 0x9F000000 == 0x90000000
            and load & 0xFFC00000 == 0xF9400000
            and load >> 5 & 31 == word & 31
        ]

    def functions(self, code: bytes, address: int, target: int) -> list[int]:
        """Offsets of `adrp register, page; add register, register, #offset` that make `target`."""
        words = _words(code)
        return [
            at
            for (at, word), (_, add) in itertools.pairwise(words)
            if word & 0x9F000000 == 0x90000000
            and add & 0xFFC00000 == 0x91000000
            and add >> 5 & 31 == word & 31 == add & 31
            and _page(address + at, word) + (add >> 10 & 0xFFF) == target
        ]

    def flush(self, start: int, size: int) -> None:
        # Data cache cleaned, instruction cache invalidated, both to the point of unification.
        clear = _libgcc()["__clear_cache"]  # by name: a class would change it
        clear(ctypes.c_void_p(start), ctypes.c_void_p(start + size))

    def thread_key(self, page: int) -> tuple[bytes, Callable[[], int]]:
        # mrs x0, tpidr_el0; ret. `pthread_self()` is another number here.
        code = struct.pack("<II", 0xD53BD040, 0xD65F03C0)
        return code, ctypes.CFUNCTYPE(ctypes.c_uint64)(page)


AMD64 = _Amd64()
ARM64 = _Arm64()


def this_machine() -> Machine | None:
    """None: a system that none of this was made for."""
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return None
    known: dict[str, Machine] = {"x86_64": AMD64, "aarch64": ARM64}
    return known.get(platform.machine())


class Amd64Code:
    """Code as it runs at address `at`, written piece by piece."""

    def __init__(self, at: int) -> None:
        self._at = at
        self.bytes = b""

    def put(self, code: bytes | str) -> None:
        """`code`: or its hexadecimal digits."""
        self.bytes += bytes.fromhex(code) if isinstance(code, str) else code

    def relative(self, opcode: bytes, target: int) -> None:
        """`opcode` and the distance from behind it to `target`."""
        end = self._at + len(self.bytes) + len(opcode) + 4
        self.bytes += opcode + struct.pack("<i", target - end)


class Arm64Code:
    """Code of arm64, written instruction by instruction; it may lie anywhere."""

    EQUAL, NOT_EQUAL, LOWER, HIGHER = 0, 1, 3, 8

    def __init__(self) -> None:
        self._words: list[int] = []
        self._labels: dict[str, int] = {}
        self._forward: list[tuple[int, str]] = []
        self._constants: list[tuple[int, int]] = []

    def put(self, *words: int) -> None:
        self._words += words

    def label(self, name: str) -> None:
        self._labels[name] = len(self._words)

    def branch_if(self, condition: int, label: str) -> None:
        self._to(0x54000000 | condition, label)

    def branch_if_not_zero(self, register: int, label: str) -> None:
        self._to(0xB5000000 | register, label)

    def constant(self, register: int, value: int) -> None:
        """ldr register, =value"""
        self._constants.append((len(self._words), value))
        self.put(0x58000000 | register)

    def jump(self, target: int) -> None:
        """To an address anywhere, by way of x16."""
        self.constant(16, target)
        self.put(0xD61F0000 | 16 << 5)

    def load(self, register: int, base: int, offset: int = 0) -> None:
        self.put(0xF9400000 | offset // 8 << 10 | base << 5 | register)

    def store(self, register: int, base: int, offset: int = 0) -> None:
        """Register 31: zero."""
        self.put(0xF9000000 | offset // 8 << 10 | base << 5 | register)

    def add(self, register: int, base: int, number: int) -> None:
        self.put(0x91000000 | number << 10 | base << 5 | register)

    def compare(self, register: int, other: int) -> None:
        self.put(0xEB00001F | other << 16 | register << 5)

    def compare_number(self, register: int, number: int) -> None:
        self.put(0xF100001F | number << 10 | register << 5)

    def move(self, register: int, other: int) -> None:
        """Register 31: zero."""
        self.put(0xAA0003E0 | other << 16 | register)

    def thread(self, register: int) -> None:
        """mrs register, tpidr_el0"""
        self.put(0xD53BD040 | register)

    @property
    def bytes(self) -> bytes:
        words = list(self._words)
        if len(words) % 2 and self._constants:
            words.append(NOP_ARM64)
        for at, label in self._forward:
            words[at] |= (self._labels[label] - at & 0x7FFFF) << 5
        for index, (at, _) in enumerate(self._constants):
            words[at] |= (len(words) + 2 * index - at & 0x7FFFF) << 5
        constants = [value for _, value in self._constants]
        return struct.pack(f"<{len(words)}I{len(constants)}Q", *words, *constants)

    def _to(self, word: int, label: str) -> None:
        self._forward.append((len(self._words), label))
        self.put(word)


@cache
def _libgcc() -> ctypes.CDLL:
    return ctypes.CDLL("libgcc_s.so.1")


def _words(code: bytes) -> list[tuple[int, int]]:
    """Instructions of arm64 with their offsets."""
    whole = len(code) // 4
    return list(zip(range(0, 4 * whole, 4), struct.unpack_from(f"<{whole}I", code), strict=True))


def _page(address: int, adrp: int) -> int:
    return (address & -4096) + 4096 * _sign((adrp >> 5 & 0x7FFFF) << 2 | adrp >> 29 & 3, 21)


def _sign(word: int, bits: int) -> int:
    number = word & (1 << bits) - 1
    return number - (1 << bits) if number >> bits - 1 else number


def _signed(code: bytes, at: int) -> int:
    return int.from_bytes(code[at : at + 4], "little", signed=True)
