"""Retry receipts answered one after the other, which neonize 0.5.2 does not ask for.

A device that cannot decrypt asks for the message again. whatsmeow answers each such receipt in a
goroutine of its own (receipt.go, `go cli.tryHandleRetryReceipt`), and each reads a Signal session,
encrypts with it and writes it back without a lock. A device that forgot its sessions asks for many
messages at once: two answers use the same counter, and one of them is ignored without a word.
whatsmeow has a semaphore for it (`SetMaxParallelRetryReceiptHandling`); neonize has no way to it.

So the one `go` statement is made a call, in memory: its `call runtime.newproc` goes to a stub that
jumps into the function which newproc was to start. Go passes that function's closure in RAX, and a
closure finds itself in RDX (Go's internal ABI, "Closures"). Receipts are handled in the order in
which they arrived, before what arrived after them; answers to the library's own questions do not
wait in that line (client.go, `handleFrame`).
"""

from __future__ import annotations

import ctypes
import mmap
from pathlib import Path

from neonize._binder import gocode

from actors.whatsapp.go_patching import PAGE, Patch, Refused, map_near, protect, redirect
from actors.whatsapp.go_symbols import Function, locate, read_functions

__all__ = ["go_operand", "retries_in_turn"]

#: Versions of the library whose code was read and tried; others are left alone.
_KNOWN_VERSIONS = {b"0.5.2"}
_CALLER = "go.mau.fi/whatsmeow.(*Client).handleReceipt"
#: What the compiler makes of `go cli.tryHandleRetryReceipt(ctx, receipt, node)`.
_STARTED = f"{_CALLER}.gowrap3"
_HANDLER = "go.mau.fi/whatsmeow.(*Client).tryHandleRetryReceipt"
#: mov rdx, rax; jmp [rdx]
_STUB = bytes.fromhex("48 89 c2 ff 22")
#: The last captured variable is stored, then newproc is called: mov [rax + 40], rsi; call
_STORED = bytes.fromhex("48 89 70 28 e8")
#: lea rcx, [rip + operand]
_LEA = bytes.fromhex("48 8d 0d")
#: The closure is filled in within so many bytes.
_NEAR = 160


def retries_in_turn() -> bool:
    """The first call patches the library: make it before the first client connects."""
    return _patch.made()


def _install() -> None:
    names = (_CALLER, _STARTED, _HANDLER)
    caller, started, handler = locate(gocode, read_functions(Path(gocode._name), *names), *names)
    if not _calls(_text(started), started.start, handler.start):
        raise Refused("the goroutine does not handle a retry receipt")
    operand = caller.start + go_operand(_text(caller), caller.start, started.start)
    if operand % 8 > 4:
        raise Refused("the call's operand crosses a word's boundary")
    stub = map_near(operand, PAGE)
    ctypes.memmove(stub, _STUB, len(_STUB))
    protect(stub, mmap.PROT_READ | mmap.PROT_EXEC)
    redirect(operand, stub)


_patch = Patch(_install, versions=_KNOWN_VERSIONS, refused="whatsapp.retries_not_in_turn")


def go_operand(code: bytes, address: int, started: int) -> int:
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


def _calls(code: bytes, address: int, target: int) -> bool:
    return any(address + at + 5 + _signed(code, at + 1) == target for at in _all(code, b"\xe8"))


def _all(code: bytes, wanted: bytes) -> list[int]:
    """Where `wanted` is, with room for an operand after it."""
    found, at = [], code.find(wanted)
    while 0 <= at <= len(code) - len(wanted) - 4:
        found.append(at)
        at = code.find(wanted, at + 1)
    return found


def _signed(code: bytes, at: int) -> int:
    return int.from_bytes(code[at : at + 4], "little", signed=True)


def _text(function: Function) -> bytes:
    return ctypes.string_at(function.start, function.end - function.start)
