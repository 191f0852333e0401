"""Retry receipts answered one after the other, which neonize 0.5.2 does not ask for.

A device that cannot decrypt asks for the message again. whatsmeow answers each such receipt in a
goroutine of its own (receipt.go, `go cli.tryHandleRetryReceipt`), and each reads a Signal session,
encrypts with it and writes it back without a lock. A device that forgot its sessions asks for many
messages at once: two answers use the same counter, and one of them is ignored without a word.
whatsmeow has a semaphore for it (`SetMaxParallelRetryReceiptHandling`); neonize has no way to it.

So the one `go` statement is made a call, in memory: its `call runtime.newproc` goes to a stub that
jumps into the function which newproc was to start. Go passes that function's closure in RAX (X0 on
arm64), and a closure finds itself in RDX (X26; Go's internal ABI, "Closures"). Receipts are handled
in the order in which they arrived, before what arrived after them; answers to the library's own
questions do not wait in that line (client.go, `handleFrame`).
"""

from __future__ import annotations

import struct

from actors.whatsapp.library.machines import AMD64, ARM64
from actors.whatsapp.library.patching import PAGE, Library, Patch, Refused, write_code

__all__ = ["PATCH", "STUBS", "start_amd64", "start_arm64"]

_CALLER = "go.mau.fi/whatsmeow.(*Client).handleReceipt"
#: What the compiler makes of `go` statements: one of them is
#: `go cli.tryHandleRetryReceipt(ctx, receipt, node)`.
_STARTED = tuple(f"{_CALLER}.gowrap{number}" for number in range(1, 8))
_HANDLER = "go.mau.fi/whatsmeow.(*Client).tryHandleRetryReceipt"
STUBS = {
    "amd64": bytes.fromhex("48 89 c2 ff 22"),  # mov rdx, rax; jmp [rdx]
    # mov x26, x0; ldr x16, [x0]; br x16
    "arm64": struct.pack("<III", 0xAA0003FA, 0xF9400010, 0xD61F0200),
}
#: amd64: the last captured variable is stored, then newproc is called: mov [rax + 40], rsi; call
_STORED = bytes.fromhex("48 89 70 28 e8")
#: amd64: lea rcx, [rip + operand]
_LEA = bytes.fromhex("48 8d 0d")
#: The closure is filled in within so many bytes.
_NEAR = 160


def retries_in_turn() -> bool:
    return bool(PATCH.made())


def _make(library: Library) -> bool:
    caller, handler = library.functions(_CALLER, _HANDLER)
    handling = [
        started
        for started in library.known(*_STARTED)
        if library.machine.calls(library.text(started), started.start, handler.start)
    ]
    if len(handling) != 1:
        raise Refused(f"{len(handling)} goroutines handle retry receipts, expected 1")
    started = handling[0]
    start = start_amd64 if library.machine is AMD64 else start_arm64
    site = caller.start + start(library.text(caller), caller.start, started.start)
    # Nothing runs this code before the first client connects: the store need not be atomic.
    stub = library.near(site, PAGE)
    write_code(library.machine, stub, STUBS[library.machine.name])
    library.redirect(site, stub)
    return True


def start_amd64(code: bytes, address: int, started: int) -> int:
    """The offset in `code`, which lies at `address`, of the operand of the call that starts the
    function at `started` as a goroutine. Raises `Refused` unless there is one such place."""
    closures = [
        at for at in _all(code, _LEA) if address + at + 7 + _signed(code, at + 3) == started
    ]
    if len(closures) != 1:
        raise Refused(f"{len(closures)} closures of the goroutine, expected 1")
    stored = code.find(_STORED, closures[0], closures[0] + _NEAR)
    if stored < 0:
        raise Refused("no start of the goroutine where it was expected")
    return stored + len(_STORED)


def start_arm64(code: bytes, address: int, started: int) -> int:
    """The same for arm64: the offset of the call."""
    closures = ARM64.functions(code, address, started)
    if len(closures) != 1:
        raise Refused(f"{len(closures)} closures of the goroutine, expected 1")
    for at in range(closures[0], min(closures[0] + _NEAR, len(code) - 8), 4):
        store, call = struct.unpack_from("<II", code, at)
        # the last captured variables are stored: stp …, …, [x0, #32]; then newproc is called
        if store & 0xFFFF83E0 == 0xA9020000 and call >> 26 == 0b100101:
            return at + 4
    raise Refused("no start of the goroutine where it was expected")


def _all(code: bytes, wanted: bytes) -> list[int]:
    """Where `wanted` is, with room for an operand after it."""
    found, at = [], code.find(wanted)
    while 0 <= at <= len(code) - len(wanted) - 4:
        found.append(at)
        at = code.find(wanted, at + 1)
    return found


def _signed(code: bytes, at: int) -> int:
    return int.from_bytes(code[at : at + 4], "little", signed=True)


PATCH = Patch(
    "retries_in_turn",
    _make,
    functions=(_CALLER, *_STARTED, _HANDLER),
    promise="A device that forgot its keys and asks for many messages again gets all of them.",
    without="A few of many messages that a device asks for again at once may stay unreadable "
    "there; the account's phone and its other devices have them.",
)
