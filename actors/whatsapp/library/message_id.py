"""Sending under a message id chosen beforehand, so that every try of a message is the same message.

whatsmeow can do it (`SendRequestExtra.ID`), neonize 0.5.2 does not pass it on: in its Go library
whatsmeow's `SendMessage` always calls `(*Client).GenerateMessageID`. That one call is redirected,
in memory, to a stub: on a thread that has an id waiting it returns that id, on all others it goes
on to the original. The how and the risks: docs/decisions/message-ids.md.
"""

from __future__ import annotations

import asyncio

from neonize._binder import gocode
from neonize.aioze.client import NewAClient
from neonize.exc import SendMessageError
from neonize.proto.Neonize_pb2 import JID, SendMessageReturnFunction, SendResponse
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

from actors.whatsapp.library.machines import AMD64, Amd64Code, Arm64Code, Machine
from actors.whatsapp.library.patching import PAGE, Library, Patch, write_code
from actors.whatsapp.library.slots import ARM64_SLOT, Slots, search_amd64, search_arm64
from cluster.domain.message_id import check_message_id

__all__ = ["PATCH", "SendFailed", "send_with_id"]

_SEND = "go.mau.fi/whatsmeow.(*Client).SendMessage"
_GENERATE = "go.mau.fi/whatsmeow.(*Client).GenerateMessageID"
#: `func gostring(p *byte) string`: a Go string copied from a C string (runtime/string.go).
_GOSTRING = "runtime.gostring"

#: A slot: the thread, then the id, closed by a zero byte.
_SLOT, _SLOTS = 64, 1024


class SendFailed(Exception):
    """The library did not send; the text is its own."""


async def send_with_id(client: NewAClient, to: JID, message: Message, wanted: str) -> SendResponse:
    """Send `message` under the id `wanted`; where the library is not patched, under its own.

    The response's `ID` is the one used. Raises `Invalid` for an id of the wrong form, `SendFailed`
    when the library reports an error.
    """
    # Judged before it was accepted, too; here a longer one would be written over the next slot.
    check_message_id(wanted)
    if (slots := PATCH.made()) is None:
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


def content_of(wanted: str) -> bytes:
    """Of a slot."""
    return wanted.encode("ascii") + b"\0"


def _send(slots: Slots, uuid: bytes, to: bytes, message: bytes, wanted: str) -> bytes:
    # neonize's `errcheck` copies the returned memory and frees it.
    slot = slots.take(content_of(wanted))
    try:
        answer: bytes = gocode.SendMessage(uuid, to, len(to), message, len(message))
        return answer
    finally:
        slots.give_back(slot)


def _make(library: Library) -> Slots:
    send, generate, gostring = library.functions(_SEND, _GENERATE, _GOSTRING)
    site = library.call(send, generate)
    stub = library.near(site, PAGE + _SLOTS * _SLOT)
    slots = install(library.machine, stub, original=generate.start, gostring=gostring.start)
    library.redirect(site, stub)
    return slots


def install(machine: Machine, stub: int, *, original: int, gostring: int) -> Slots:
    """Write the stub into the page at `stub`; its slots are in the 16 after it."""
    table = stub + PAGE
    write = _stub_amd64 if machine is AMD64 else _stub_arm64
    code = write(stub, table, original, gostring)
    key_code, thread_key = machine.thread_key(stub + PAGE // 2)
    write_code(machine, stub, code.ljust(PAGE // 2, b"\0") + key_code)
    return Slots(table, size=_SLOT, count=_SLOTS, thread_key=thread_key)


def _stub_amd64(at: int, table: int, original: int, gostring: int) -> bytes:
    """Arguments and results in RAX, RBX …. No register but those of the search is touched before
    it jumps, and never the stack."""
    code = Amd64Code(at)
    search_amd64(code, table=table, size=_SLOT, count=_SLOTS, otherwise=original)
    # each id serves once
    code.put("49 c7 04 24 00 00 00 00")  # mov qword [r12], 0
    code.put("49 8d 44 24 08")  # lea rax, [r12 + 8]
    code.relative(b"\xe9", gostring)  # jmp runtime.gostring
    return code.bytes


def _stub_arm64(_at: int, table: int, original: int, gostring: int) -> bytes:
    """The only argument is in X0."""
    code = Arm64Code()
    search_arm64(code, table=table, size=_SLOT, count=_SLOTS, otherwise=original)
    # each id serves once
    code.store(31, ARM64_SLOT)
    code.add(0, ARM64_SLOT, 8)
    code.jump(gostring)
    return code.bytes


PATCH = Patch(
    "message_ids",
    _make,
    functions=(_SEND, _GENERATE, _GOSTRING),
    promise="A message goes out under the id that its sender was told; after a crash the same "
    "message is sent again, not a second one.",
    without="WhatsApp knows a message by an id of the library's own, which is translated while the "
    "session's process lives. A send whose answer was lost in a crash becomes a second message; "
    "receipts of messages from before a takeover, and answers to them, are not matched.",
)
