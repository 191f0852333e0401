"""Writing app state, which neonize 0.5.2 cannot: it loses the name of the collection.

Its Go side compares the collection with `switch patchInfo.Type { case ….Enum():`, pointers that are
never equal (goneonize/utils/decoder.go, DecodePatchInfo), so every patch goes out for a collection
without a name, which WhatsApp refuses. The one call of whatsmeow's `(*Client).sendAppState` in
neonize's `SendAppState` is redirected, in memory, to a stub that puts the name in: only on a thread
that has a name waiting, only when none is there. Docs: docs/decisions/app-state.md.
"""

from __future__ import annotations

import asyncio
import ctypes
import struct
import time
from collections.abc import Sequence

from neonize._binder import gocode
from neonize.aioze.client import NewAClient
from neonize.exc import SendAppStateError
from neonize.proto.Neonize_pb2 import MutationInfo, PatchInfo

from actors.whatsapp.library.machines import AMD64, Amd64Code, Arm64Code, Machine
from actors.whatsapp.library.patching import PAGE, Library, Patch, write_code
from actors.whatsapp.library.slots import ARM64_SLOT, Slots, search_amd64, search_arm64
from cluster.domain.errors import NotSupported

__all__ = ["COLLECTIONS", "PATCH", "send_app_state"]

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
#: A slot: the thread, address and length of the name.
_SLOT, _SLOTS = 32, 64
_NAME = 32
#: Where amd64's stub finds `patch.Type` on its caller's stack: behind the return address and the
#: timestamp (three words). `appstate.PatchInfo` is too large for its registers (Go's ABIInternal).
_NAME_POINTER, _NAME_LENGTH = 0x20, 0x28


class Names:
    """Names waiting for their threads."""

    def __init__(self, slots: Slots, names: dict[str, int]) -> None:
        """`names`: addresses of the collections' names, which stay."""
        self._slots = slots
        self._names = names

    def take(self, collection: str) -> int:
        """Make `collection` the name of the calling thread's next patch."""
        return self._slots.take(struct.pack("<QQ", self._names[collection], len(collection)))

    def give_back(self, slot: int) -> None:
        self._slots.give_back(slot)


async def send_app_state(
    client: NewAClient, collection: str, mutations: Sequence[MutationInfo]
) -> None:
    """Change `collection`. Raises `SendAppStateError`, or `NotSupported` when the library is not
    the one that this was made for."""
    names = PATCH.made()
    if names is None:
        raise NotSupported("this build of the library cannot write settings that devices share")
    patch = PatchInfo(
        # Nanoseconds (time.Unix(0, …)).
        Timestamp=time.time_ns(),
        Type=PatchInfo.WAPatchName.Value(collection.upper()),
        Mutations=list(mutations),
    ).SerializeToString()
    error = await asyncio.to_thread(_send, names, client.uuid, patch, collection)
    if error:
        raise SendAppStateError(error.decode())


def _send(names: Names, uuid: bytes, patch: bytes, collection: str) -> bytes:
    slot = names.take(collection)
    try:
        # neonize's `errcheck` copies the returned text and frees it.
        error: bytes = gocode.SendAppState(uuid, patch, len(patch))
        return error
    finally:
        names.give_back(slot)


def _make(library: Library) -> Names:
    caller, called = library.functions(_CALLER, _CALLED)
    site = library.call(caller, called)
    stub = library.near(site, 2 * PAGE)
    names = install(library.machine, stub, original=called.start)
    library.redirect(site, stub)
    return names


def install(machine: Machine, stub: int, *, original: int) -> Names:
    """Write the stub into the page at `stub`; slots and names are in the one after it."""
    table = stub + PAGE
    names = {}
    for index, name in enumerate(COLLECTIONS):
        names[name] = table + _SLOT * _SLOTS + index * _NAME
        ctypes.memmove(names[name], name.encode(), len(name))
    write = _stub_amd64 if machine is AMD64 else _stub_arm64
    code = write(stub, table, original)
    key_code, thread_key = machine.thread_key(stub + PAGE // 2)
    write_code(machine, stub, code.ljust(PAGE // 2, b"\0") + key_code)
    return Names(Slots(table, size=_SLOT, count=_SLOTS, thread_key=thread_key), names)


def _stub_amd64(at: int, table: int, original: int) -> bytes:
    """Of the stack only the argument is touched, and no register but those of the search."""
    code = Amd64Code(at)
    code.put(b"\x48\x83\x7c\x24" + bytes([_NAME_LENGTH, 0]))  # cmp qword [rsp + length], 0
    code.relative(b"\x0f\x85", original)  # jne sendAppState
    search_amd64(code, table=table, size=_SLOT, count=_SLOTS, otherwise=original)
    code.put("49 8b 54 24 08")  # mov rdx, [r12 + 8]
    code.put(b"\x48\x89\x54\x24" + bytes([_NAME_POINTER]))  # mov [rsp + pointer], rdx
    code.put("49 8b 54 24 10")  # mov rdx, [r12 + 16]
    code.put(b"\x48\x89\x54\x24" + bytes([_NAME_LENGTH]))  # mov [rsp + length], rdx
    code.relative(b"\xe9", original)  # jmp sendAppState
    return code.bytes


def _stub_arm64(_at: int, table: int, original: int) -> bytes:
    """The name is in X6 and X7: behind the client, the context and the timestamp. The arguments end
    with X11."""
    code = Arm64Code()
    code.branch_if_not_zero(7, "go on")
    search_arm64(code, table=table, size=_SLOT, count=_SLOTS, otherwise=original)
    code.load(6, ARM64_SLOT, 8)
    code.load(7, ARM64_SLOT, 16)
    code.label("go on")
    code.jump(original)
    return code.bytes


PATCH = Patch(
    "app_state_written",
    _make,
    functions=(_CALLER, _CALLED),
    promise="Labels, address-book entries, archived and starred chats can be set.",
    without="Requests that set them are answered 501.",
)
