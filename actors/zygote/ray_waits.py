"""Ray's processes wait longer where they wait for nothing.

In each worker, and an idle gateway has eight, threads wake again and again to find that there is
nothing to do:

* the main one, every 10 ms, takes Python's lock and asks whether a signal has come (Ray,
  core_worker.cc, `RunTaskExecutionLoop`: "CoreWorker.CheckSignal")
* one of the core worker's, every 100 ms, looks for lost objects to make anew (its constructor:
  "CoreWorker.RecoverObjects")
* those that wait for what comes by gRPC, three or four of them, look every 250 ms whether the
  process ends; what comes wakes them at once (`PollEventsFromCompletionQueue`, of
  client_call_manager.h and of grpc_server.cc)
* two of gRPC's own wait for a second, sleep for 100 ms, and wait again; what comes, and the end,
  wakes those that wait at once (`CallbackAlternativeCQ`, completion_queue_cc.cc)
* gRPC keeps timers in parts, as many as two for each processor, and in each only those of the next
  second in order; so often it wakes to take what is due in the next, for each part, whether there
  is a timer or not. It has them twice (`RefillHeap` of event_engine/posix_engine/timer.cc, and
  `refill_heap` of iomgr/timer_generic.cc; `kMaxQueueWindowDuration`)

The last three are in the raylet and the control store as well. There only the last is changed: it
puts off nothing. With longer waits of the two before a lost machine's sessions were taken over a
second later.

Together they are a quarter of what an idle gateway takes. No setting changes it. Each is the
operand of an instruction: it is changed in the process's memory, a worker's before Ray's part of it
is made, if that instruction is where it is known to be. Where one differs, that one stays as it is.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import BinaryIO, Protocol

import ray._raylet
import structlog

__all__ = ["WAITS", "Code", "Wait", "wait_longer", "wait_longer_in"]

log = structlog.get_logger(__name__)

#: `mov edx, …`; of a call's arguments it is the period of what is repeated.
_PERIOD = b"\xba"
#: `lea rsi, [rip + name]`, at most so many bytes before that.
_LOADS, _WITHIN = b"\x48\x8d\x35", 64
#: `mov esi, GPR_TIMESPAN`, `mov edi, …`, `call gpr_time_from_millis`.
_SPAN, _MILLIS, _CALL = b"\xbe\x03\x00\x00\x00", b"\xbf", b"\xe8"
#: `comisd xmm1, xmm0`, `ja shortest`; `comisd xmm0, [rip + one]`, `ja longest`, each with an
#: operand of so many bytes. At `longest` is `mov edx, …`.
_SHORTEST, _ONE, _LONGEST = b"\x66\x0f\x2f\xc8\x0f\x87", b"\x66\x0f\x2f\x05", b"\x0f\x87"
_OPERAND = 4


class Code(Protocol):
    """The library's file, or a part of one; offsets are those of its addresses."""

    def find(self, sought: bytes, start: int, end: int, /) -> int: ...
    def __len__(self) -> int: ...
    def __getitem__(self, part: slice, /) -> bytes: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """One pause of Ray's, milliseconds."""

    now: int
    then: int
    #: What is repeated is called so.
    name: str = ""
    #: Timers are in order for so long.
    orders: bool = False
    #: How many places there are.
    places: int = 1

    def found(self, code: Code) -> list[int]:
        """Where the pause is written; empty: this is not the code that is known."""
        look = self._periods if self.name else self._windows if self.orders else self._polls
        places = list(look(code))
        return places if len(places) == self.places else []

    def _periods(self, code: Code) -> Iterator[int]:
        named = next(_all(code, self.name.encode() + b"\0", len(code)), 0)
        # Texts follow what uses them.
        for at in _all(code, _PERIOD + struct.pack("<i", self.now), named):
            start = max(0, at - _WITHIN)
            loads = code[start:at].rfind(_LOADS)
            if loads >= 0 and _target(code, start + loads + len(_LOADS)) == named:
                yield at + len(_PERIOD)

    def _polls(self, code: Code) -> Iterator[int]:
        sought = _SPAN + _MILLIS + struct.pack("<i", self.now) + _CALL
        places = list(_all(code, sought, len(code)))
        # All of them measure time by the same function.
        if len({_target(code, at + len(sought)) for at in places}) == 1:
            yield from (at + len(_SPAN) + len(_MILLIS) for at in places)

    def _windows(self, code: Code) -> Iterator[int]:
        for at in _all(code, _SHORTEST, len(code)):
            one = at + len(_SHORTEST) + _OPERAND
            jump = one + len(_ONE) + _OPERAND
            if not (_has(code, one, _ONE) and _has(code, jump, _LONGEST)):
                continue
            compared, longest = _target(code, one + len(_ONE)), _target(code, jump + len(_LONGEST))
            # Both say how long that is.
            if _has(code, compared, struct.pack("<d", self.now / 1000)) and _has(
                code, longest, _PERIOD + struct.pack("<i", self.now)
            ):
                yield longest + len(_PERIOD)


#: In whatever speaks gRPC.
_ORDERED = Wait(orders=True, now=1000, then=60_000, places=2)
#: A process that is asked to end by a signal may take as long as the first more, one that ends by
#: itself as long as the third.
WAITS = (
    Wait(name="CoreWorker.CheckSignal", now=10, then=1000),
    Wait(name="CoreWorker.RecoverObjects", now=100, then=5000),
    Wait(now=250, then=2000, places=2),
    Wait(now=1000, then=60_000),
    _ORDERED,
)


@cache
def wait_longer() -> tuple[Wait, ...]:
    """Call it before Ray's worker is made; forks need not again. Returns which pauses are longer
    now. Takes a tenth of a second."""
    return _change(os.getpid(), Path(ray._raylet.__file__), WAITS, _write)


def wait_longer_in(pid: int) -> tuple[Wait, ...]:
    """The same in a server of Ray's that runs: the last one."""
    try:
        with Path(f"/proc/{pid}/mem").open("r+b", buffering=0) as memory:
            program = Path(f"/proc/{pid}/exe").readlink()
            return _change(pid, program, (_ORDERED,), partial(_write_into, memory))
    except OSError as error:
        log.info("ray.waits_stay", reason=str(error))
        return ()


def _change(
    pid: int, file: Path, waits: tuple[Wait, ...], write: Callable[[int, int, int], None]
) -> tuple[Wait, ...]:
    """Those of the waits in the code of `file`, as that process has it, that are longer now."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return ()
    changed: list[Wait] = []
    try:
        base, last = _mapped(file, pid)
        # Not what is mapped already: what is read of that would count as this process's memory.
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as code:
            for wait in waits:
                places = wait.found(code)
                if places and all(base + at + 4 <= last for at in places):
                    for at in places:
                        write(base + at, wait.now, wait.then)
                    changed.append(wait)
    except (OSError, ValueError, struct.error) as error:
        log.info("ray.waits_stay", reason=str(error))
    else:
        if len(changed) < len(waits):
            log.info("ray.waits_stay", changed=[(wait.name, wait.now) for wait in changed])
    return tuple(changed)


def _all(code: Code, sought: bytes, end: int) -> Iterator[int]:
    at = code.find(sought, 0, end)
    while at >= 0:
        yield at
        at = code.find(sought, at + 1, end)


def _has(code: Code, at: int, sought: bytes) -> bool:
    return code[at : at + len(sought)] == sought


def _target(code: Code, at: int) -> int:
    """What an operand at the end of its instruction leads to."""
    (distance,) = struct.unpack("<i", code[at : at + 4])
    return int(at + 4 + distance)


def _mapped(file: Path, pid: int) -> tuple[int, int]:
    """(first, end) of the memory that the file's code is in. Raises `ValueError`."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        place, rights, offset, *rest = line.split(None, 5)
        if "x" in rights and int(offset, 16) == 0 and rest[-1] == str(file):
            first, end = place.split("-")
            return int(first, 16), int(end, 16)
    raise ValueError("its library is mapped in another way")


def _write_into(memory: BinaryIO, address: int, now: int, then: int) -> None:
    """The same in another process's memory. While it is written, byte by byte it may be, it is of
    some length between 0.8 and 61 s."""
    memory.seek(address)
    if memory.read(4) != struct.pack("<i", now):
        raise ValueError("its program was changed")
    memory.seek(address)
    memory.write(struct.pack("<i", then))


def _write(address: int, now: int, then: int) -> None:
    """The operand of an instruction, while other threads may run what is beside it."""
    operand = ctypes.c_uint32.from_address(address)
    if operand.value != now:
        raise ValueError("its library was changed")
    libc = ctypes.CDLL(None, use_errno=True)
    page = address & -mmap.PAGESIZE
    size = ctypes.c_size_t(address + ctypes.sizeof(operand) - page)
    runs = mmap.PROT_READ | mmap.PROT_EXEC
    for rights in (runs | mmap.PROT_WRITE, runs):
        if libc.mprotect(ctypes.c_void_p(page), size, rights):
            raise OSError(ctypes.get_errno(), "mprotect")
        if rights & mmap.PROT_WRITE:
            operand.value = then
