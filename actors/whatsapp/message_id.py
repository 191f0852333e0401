"""Sending under a message id chosen beforehand, so that every try of a message is the same message.

whatsmeow can do it (`SendRequestExtra.ID`), neonize 0.5.2 does not pass it on: in its Go library
whatsmeow's `SendMessage` always calls `(*Client).GenerateMessageID`. That one call is redirected,
in memory, to a stub: on a thread that has an id waiting it returns that id, on all others it goes
on to the original. The how and the risks: docs/decisions/message-ids.md.
"""

from __future__ import annotations

import asyncio
import ctypes
import mmap
import platform
import struct
import sys
import threading
from pathlib import Path
from queue import LifoQueue

import structlog
from neonize._binder import gocode
from neonize.aioze.client import NewAClient
from neonize.exc import SendMessageError
from neonize.proto.Neonize_pb2 import JID, SendMessageReturnFunction, SendResponse
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

from actors.whatsapp.go_patching import PAGE as _PAGE
from actors.whatsapp.go_patching import Refused as _Refused
from actors.whatsapp.go_patching import call_operand, redirect
from actors.whatsapp.go_patching import map_near as _map_near
from actors.whatsapp.go_patching import protect as _protect
from actors.whatsapp.go_symbols import SymbolsNotFound, locate, read_functions
from cluster.domain.message_id import check_message_id, new_message_id

__all__ = ["SendFailed", "ids_are_ours", "new_message_id", "send_with_id"]

log = structlog.get_logger(__name__)

#: Versions of the library whose code was read and tried; others are left alone.
_KNOWN_VERSIONS = {b"0.5.2"}
_SEND = "go.mau.fi/whatsmeow.(*Client).SendMessage"
_GENERATE = "go.mau.fi/whatsmeow.(*Client).GenerateMessageID"
#: `func gostring(p *byte) string`: a Go string copied from a C string (runtime/string.go).
_GOSTRING = "runtime.gostring"

_SLOT = 64
_SLOTS = 1024


class SendFailed(Exception):
    """The library did not send; the text is its own."""


async def send_with_id(client: NewAClient, to: JID, message: Message, wanted: str) -> SendResponse:
    """Send `message` under the id `wanted`; when `ids_are_ours()` is false, under the library's.

    The response's `ID` is the one used. Raises `Invalid` for an id of the wrong form, `SendFailed`
    when the library reports an error.
    """
    check_message_id(wanted)
    if (slots := _installed()) is None:
        try:
            return await client.send_message(to, message)
        except SendMessageError as error:
            raise SendFailed(str(error)) from error
    answer = SendMessageReturnFunction.FromString(
        await asyncio.to_thread(
            _send, slots, client.uuid, to.SerializeToString(), message.SerializeToString(), wanted
        )
    )
    if answer.Error:
        raise SendFailed(answer.Error)
    return answer.SendResponse


def ids_are_ours() -> bool:
    """Whether `send_with_id` decides the id. The first call patches the library (some 40 ms): make
    it before the first client connects."""
    return _installed() is not None


class _Slots:
    """Ids waiting for their threads, in memory that the stub reads.

    A slot is 64 bytes: the thread's identity (`pthread_self()`, which x86-64 keeps at `fs:0`), then
    the id, closed by a zero byte.
    """

    def __init__(self, address: int) -> None:
        # The lowest free one is taken, so that the stub finds it early.
        self._free: LifoQueue[int] = LifoQueue()
        for index in reversed(range(_SLOTS)):
            self._free.put(address + index * _SLOT)

    def take(self, wanted: str) -> int:
        """Make `wanted` the id of the calling thread's next message."""
        slot = self._free.get()
        text = wanted.encode("ascii") + b"\0"
        ctypes.memmove(slot + 8, text, len(text))
        ctypes.c_uint64.from_address(slot).value = threading.get_ident()
        return slot

    def give_back(self, slot: int) -> None:
        ctypes.c_uint64.from_address(slot).value = 0
        self._free.put(slot)


def _send(slots: _Slots, uuid: bytes, to: bytes, message: bytes, wanted: str) -> bytes:
    # neonize's `errcheck` copies the returned memory and frees it.
    slot = slots.take(wanted)
    try:
        answer: bytes = gocode.SendMessage(uuid, to, len(to), message, len(message))
        return answer
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
            except (_Refused, SymbolsNotFound, OSError) as error:
                log.warning("whatsapp.message_ids_not_ours", reason=str(error))
        return _slots


def _install() -> _Slots:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise _Refused(f"{sys.platform} on {platform.machine()}, not linux on x86_64")
    if (version := gocode.GetVersion()) not in _KNOWN_VERSIONS:
        raise _Refused(f"the library has version {version!r}")
    names = (_SEND, _GENERATE, _GOSTRING)
    send, generate, gostring = locate(gocode, read_functions(Path(gocode._name), *names), *names)
    code = ctypes.string_at(send.start, send.end - send.start)
    operand = send.start + call_operand(code, send.start, generate.start)
    stub = _map_near(operand, _PAGE + _SLOTS * _SLOT)
    table = stub + _PAGE
    text = stub_code(stub, table=table, original=generate.start, gostring=gostring.start)
    ctypes.memmove(stub, text, len(text))
    _protect(stub, mmap.PROT_READ | mmap.PROT_EXEC)
    redirect(operand, stub)
    return _Slots(table)


def stub_code(at: int, *, table: int, original: int, gostring: int) -> bytes:
    """The stub as it runs at address `at`.

    Go's ABIInternal: arguments and results in RAX, RBX …; RDX, R12 and R13 carry none and are free
    at every call. The stub touches no other register before it jumps, and never the stack.
    """
    code = b""

    def relative(opcode: bytes, target: int) -> bytes:
        return opcode + struct.pack("<i", target - (at + len(code) + len(opcode) + 4))

    code += bytes.fromhex("64 48 8b 14 25 00 00 00 00")  # mov rdx, fs:[0]
    code += relative(b"\x4c\x8d\x25", table)  # lea r12, [table]
    code += b"\x4d\x8d\xac\x24" + struct.pack("<i", _SLOTS * _SLOT)  # lea r13, [r12 + size]
    # next:
    code += bytes.fromhex("49 39 14 24")  # cmp [r12], rdx
    code += bytes.fromhex("74 0e")  # je found
    code += bytes.fromhex("49 83 c4 40")  # add r12, 64
    code += bytes.fromhex("4d 39 ec")  # cmp r12, r13
    code += bytes.fromhex("72 f1")  # jb next
    code += relative(b"\xe9", original)  # jmp GenerateMessageID
    # found: each id serves once
    code += bytes.fromhex("49 c7 04 24 00 00 00 00")  # mov qword [r12], 0
    code += bytes.fromhex("49 8d 44 24 08")  # lea rax, [r12 + 8]
    code += relative(b"\xe9", gostring)  # jmp runtime.gostring
    return code
