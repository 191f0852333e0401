"""What waits for a thread, in memory that a stub reads: how Python gives the library one thing more
in a call that has no place for it.

Python fills a slot on the thread that then calls the library. Go keeps a goroutine that was called
from C on its thread until it returns (`lockOSThread` in `cgocallbackg`, runtime/cgocall.go).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from queue import LifoQueue

from actors.whatsapp.library.machines import Amd64Code, Arm64Code

__all__ = ["ARM64_SLOT", "Slots", "search_amd64", "search_arm64"]

#: Where `search_arm64` leaves the slot's address; it also uses the two registers after it, and the
#: one before.
ARM64_SLOT = 13


class Slots:
    """Slots of one size; the first word of each is the thread that it is for, 0 when it is free."""

    def __init__(
        self, address: int, *, size: int, count: int, thread_key: Callable[[], int]
    ) -> None:
        self._thread_key = thread_key
        # The lowest free one is taken, so that the stub finds it early.
        self._free: LifoQueue[int] = LifoQueue()
        self._free.queue.extend(address + index * size for index in reversed(range(count)))

    def take(self, content: bytes) -> int:
        """Let `content`, which stands behind the first word, wait for the calling thread."""
        slot = self._free.get()
        ctypes.memmove(slot + 8, content, len(content))
        ctypes.c_uint64.from_address(slot).value = self._thread_key()
        return slot

    def give_back(self, slot: int) -> None:
        ctypes.c_uint64.from_address(slot).value = 0
        self._free.put(slot)


def search_amd64(code: Amd64Code, *, table: int, size: int, count: int, otherwise: int) -> None:
    """R12 becomes the calling thread's slot; without one the code goes on at `otherwise`. RDX, R12
    and R13 carry no argument in Go's ABIInternal and are free at every call."""
    code.put("64 48 8b 14 25 00 00 00 00")  # mov rdx, fs:[0]
    code.relative(b"\x4c\x8d\x25", table)  # lea r12, [table]
    code.put(b"\x4d\x8d\xac\x24" + (size * count).to_bytes(4, "little"))  # lea r13, [r12 + all]
    # next:
    code.put("49 39 14 24")  # cmp [r12], rdx
    code.put("74 0e")  # je found
    code.put(b"\x49\x83\xc4" + bytes([size]))  # add r12, size
    code.put("4d 39 ec")  # cmp r12, r13
    code.put("72 f1")  # jb next
    code.relative(b"\xe9", otherwise)  # jmp otherwise
    # found:


def search_arm64(code: Arm64Code, *, table: int, size: int, count: int, otherwise: int) -> None:
    """X13 becomes the calling thread's slot; without one the code goes on at `otherwise`. X12 to
    X16 must be free at the call."""
    thread, slot, end, key = 12, ARM64_SLOT, 14, 15
    code.thread(thread)
    code.constant(slot, table)
    code.constant(end, table + size * count)
    code.label("next")
    code.load(key, slot)
    code.compare(key, thread)
    code.branch_if(code.EQUAL, "found")
    code.add(slot, slot, size)
    code.compare(slot, end)
    code.branch_if(code.LOWER, "next")
    code.jump(otherwise)
    code.label("found")
