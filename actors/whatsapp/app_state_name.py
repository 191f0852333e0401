"""Writing app state, which neonize 0.5.2 cannot: it loses the name of the collection.

Its Go side compares the collection with `switch patchInfo.Type { case ….Enum():`, pointers that are
never equal (goneonize/utils/decoder.go, DecodePatchInfo), so every patch goes out for a collection
without a name, which WhatsApp refuses. The one call of whatsmeow's `(*Client).sendAppState` in
neonize's `SendAppState` is redirected, in memory, to a stub that puts the name in, by the way of
`actors.whatsapp.message_id`: only on a thread that has a name waiting, only when none is there.
"""

from __future__ import annotations

import asyncio
import ctypes
import mmap
import platform
import struct
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from queue import LifoQueue

import structlog
from neonize._binder import gocode
from neonize.aioze.client import NewAClient
from neonize.exc import SendAppStateError
from neonize.proto.Neonize_pb2 import MutationInfo, PatchInfo

from actors.whatsapp.go_patching import PAGE, Refused, call_operand, map_near, protect, redirect
from actors.whatsapp.go_symbols import SymbolsNotFound, locate, read_functions
from cluster.domain.errors import NotSupported

__all__ = ["COLLECTIONS", "names_are_kept", "send_app_state"]

log = structlog.get_logger(__name__)

#: Versions of the library whose code was read and tried; others are left alone.
_KNOWN_VERSIONS = {b"0.5.2"}
_CALLER = "main.SendAppState"
_CALLED = "go.mau.fi/whatsmeow.(*Client).sendAppState"

#: WhatsApp's names (whatsmeow, appstate/keys.go).
COLLECTIONS = (
    "critical_block",
    "critical_unblock_low",
    "regular_low",
    "regular_high",
    "regular",
)
#: A slot: the thread's identity (`pthread_self()`, at `fs:0`), address and length of the name.
_SLOT = 32
_SLOTS = 64
#: Where the stub finds `patch.Type` on its caller's stack: behind the return address and the
#: timestamp (three words). `appstate.PatchInfo` is too large for registers (Go's ABIInternal).
_NAME_POINTER, _NAME_LENGTH = 0x20, 0x28


async def send_app_state(
    client: NewAClient, collection: str, mutations: Sequence[MutationInfo]
) -> None:
    """Change `collection`. Raises `SendAppStateError`, or `NotSupported` when the library is not
    the one that this was made for."""
    slots = _installed()
    if slots is None:
        raise NotSupported("this build of the library cannot write settings that devices share")
    patch = PatchInfo(
        # Nanoseconds (time.Unix(0, …)).
        Timestamp=time.time_ns(),
        Type=PatchInfo.WAPatchName.Value(collection.upper()),
        Mutations=list(mutations),
    ).SerializeToString()
    error = await asyncio.to_thread(_send, slots, client.uuid, patch, collection)
    if error:
        raise SendAppStateError(error.decode())


def names_are_kept() -> bool:
    """Whether `send_app_state` works. The first call patches the library: make it before the first
    client connects."""
    return _installed() is not None


class _Slots:
    """Names waiting for their threads, in memory that the stub reads."""

    def __init__(self, address: int, names: dict[str, int]) -> None:
        """`names`: addresses of the collections' names, which stay."""
        self._names = names
        # The lowest free one is taken, so that the stub finds it early.
        self._free: LifoQueue[int] = LifoQueue()
        for index in reversed(range(_SLOTS)):
            self._free.put(address + index * _SLOT)

    def take(self, collection: str) -> int:
        """Make `collection` the name of the calling thread's next patch."""
        slot = self._free.get()
        ctypes.c_uint64.from_address(slot + 8).value = self._names[collection]
        ctypes.c_uint64.from_address(slot + 16).value = len(collection)
        ctypes.c_uint64.from_address(slot).value = threading.get_ident()
        return slot

    def give_back(self, slot: int) -> None:
        ctypes.c_uint64.from_address(slot).value = 0
        self._free.put(slot)


def _send(slots: _Slots, uuid: bytes, patch: bytes, collection: str) -> bytes:
    slot = slots.take(collection)
    try:
        # neonize's `errcheck` copies the returned text and frees it.
        error: bytes = gocode.SendAppState(uuid, patch, len(patch))
        return error
    finally:
        slots.give_back(slot)


_lock = threading.Lock()
_slots: _Slots | None = None
_tried = False


def _installed() -> _Slots | None:
    global _slots, _tried
    with _lock:
        if not _tried:
            _tried = True
            try:
                _slots = _install()
            except (Refused, SymbolsNotFound, OSError) as error:
                log.warning("whatsapp.app_state_not_writable", reason=str(error))
        return _slots


def _install() -> _Slots:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise Refused(f"{sys.platform} on {platform.machine()}, not linux on x86_64")
    if (version := gocode.GetVersion()) not in _KNOWN_VERSIONS:
        raise Refused(f"the library has version {version!r}")
    functions = read_functions(Path(gocode._name), _CALLER, _CALLED)
    caller, called = locate(gocode, functions, _CALLER, _CALLED)
    code = ctypes.string_at(caller.start, caller.end - caller.start)
    operand = caller.start + call_operand(code, caller.start, called.start)
    stub = map_near(operand, 2 * PAGE)
    table = stub + PAGE
    names = {}
    place = table + _SLOTS * _SLOT
    for name in COLLECTIONS:
        ctypes.memmove(place, name.encode(), len(name))
        names[name] = place
        place += 32
    text = stub_code(stub, table=table, original=called.start)
    ctypes.memmove(stub, text, len(text))
    protect(stub, mmap.PROT_READ | mmap.PROT_EXEC)
    redirect(operand, stub)
    return _Slots(table, names)


def stub_code(at: int, *, table: int, original: int) -> bytes:
    """The stub as it runs at address `at`.

    RDX, R12 and R13 carry no argument in Go's ABIInternal and are free at every call; no other
    register is touched, and of the stack only the argument.
    """
    code = b""

    def relative(opcode: bytes, target: int) -> bytes:
        return opcode + struct.pack("<i", target - (at + len(code) + len(opcode) + 4))

    code += b"\x48\x83\x7c\x24" + bytes([_NAME_LENGTH, 0])  # cmp qword [rsp + length], 0
    code += relative(b"\x0f\x85", original)  # jne sendAppState
    code += bytes.fromhex("64 48 8b 14 25 00 00 00 00")  # mov rdx, fs:[0]
    code += relative(b"\x4c\x8d\x25", table)  # lea r12, [table]
    code += b"\x4d\x8d\xac\x24" + struct.pack("<i", _SLOTS * _SLOT)  # lea r13, [r12 + size]
    # next:
    code += bytes.fromhex("49 39 14 24")  # cmp [r12], rdx
    code += bytes.fromhex("74 0e")  # je found
    code += b"\x49\x83\xc4" + bytes([_SLOT])  # add r12, slot
    code += bytes.fromhex("4d 39 ec")  # cmp r12, r13
    code += bytes.fromhex("72 f1")  # jb next
    code += relative(b"\xe9", original)  # jmp sendAppState
    # found:
    code += bytes.fromhex("49 8b 54 24 08")  # mov rdx, [r12 + 8]
    code += b"\x48\x89\x54\x24" + bytes([_NAME_POINTER])  # mov [rsp + pointer], rdx
    code += bytes.fromhex("49 8b 54 24 10")  # mov rdx, [r12 + 16]
    code += b"\x48\x89\x54\x24" + bytes([_NAME_LENGTH])  # mov [rsp + length], rdx
    code += relative(b"\xe9", original)  # jmp sendAppState
    return code
