"""Settings that devices share, as the library decrypts them: neonize 0.5.2 tells nobody of them.

whatsmeow turns labels and archived chats into events, and neonize's Go side drops them (its switch
over event types, goneonize/main.go). So the one call of `proto.Unmarshal` in whatsmeow's
`(*Processor).decodeMutation` is redirected, in memory, to a stub that copies what is decrypted into
a ring that Python reads, and goes on; by the way of `actors.whatsapp.go_patching`.

A record is a `SyncActionData`, at that point with a valid MAC of its value. It does not say whose
account it belongs to: see `actors.whatsapp.app_state_seen`.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import structlog
from neonize._binder import gocode

from actors.whatsapp.go_patching import PAGE, Refused, call_operand, map_near, protect, redirect
from actors.whatsapp.go_symbols import SymbolsNotFound, locate, read_functions

__all__ = ["Ring", "ring"]

log = structlog.get_logger(__name__)

#: Versions of the library whose code was read and tried; others are left alone.
_KNOWN_VERSIONS = {b"0.5.2"}
_CALLER = "go.mau.fi/whatsmeow/appstate.(*Processor).decodeMutation"
_CALLED = "google.golang.org/protobuf/proto.Unmarshal"

#: Slots (a power of two) of so many bytes: state, length, content. What is longer is left out:
#: labels and archived chats are shorter.
_SLOTS, _SHIFT = 1024, 11
_SLOT = 1 << _SHIFT
_CONTENT = 16
#: In front of the slots: the number of records ever written.
_HEADER = 64
#: Names of actions begin behind field, length and `["` of the index. Only these are copied.
_FIRST_LETTER, _WANTED = 4, b"la"
_SHORTEST = 8


class Ring:
    """Records in the order in which they were decrypted, in memory that the stub writes."""

    def __init__(self, address: int, memory: mmap.mmap | None = None) -> None:
        """`memory`: kept alive with the ring."""
        self._address = address
        self._memory = memory

    @property
    def count(self) -> int:
        """Records ever written; where a reader begins that wants the next one."""
        return ctypes.c_uint64.from_address(self._address).value

    def read(self, after: int) -> Iterator[tuple[int, bytes]]:
        """Records from number `after` on, with the number to go on at. Those that were written over
        before they were read are missing; one that is being written ends it."""
        newest = self.count
        for number in range(max(after, newest - _SLOTS), newest):
            slot = self._address + _HEADER + (number % _SLOTS) * _SLOT
            state = ctypes.c_uint64.from_address(slot)
            if state.value < number + 1:
                return
            length = ctypes.c_uint64.from_address(slot + 8).value
            record = ctypes.string_at(slot + _CONTENT, min(length, _SLOT - _CONTENT))
            if state.value == number + 1:
                yield number + 1, record


_lock = threading.Lock()
_ring: Ring | None = None
_tried = False


def ring() -> Ring | None:
    """The ring of this process; None when the library is not the one that this was made for. The
    first call patches the library: make it before the first client connects."""
    global _ring, _tried
    with _lock:
        if not _tried:
            _tried = True
            try:
                _ring = _install()
            except (Refused, SymbolsNotFound, OSError) as error:
                log.warning("whatsapp.app_state_not_told", reason=str(error))
        return _ring


def _install() -> Ring:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise Refused(f"{sys.platform} on {platform.machine()}, not linux on x86_64")
    if (version := gocode.GetVersion()) not in _KNOWN_VERSIONS:
        raise Refused(f"the library has version {version!r}")
    caller, called = locate(gocode, read_functions(Path(gocode._name)), _CALLER, _CALLED)
    code = ctypes.string_at(caller.start, caller.end - caller.start)
    # Nothing runs this code before the first client connects: the store need not be atomic.
    operand = caller.start + call_operand(code, caller.start, called.start, atomic=False)
    memory = mmap.mmap(-1, _HEADER + _SLOTS * _SLOT)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    stub = map_near(operand, PAGE)
    text = stub_code(stub, ring=address, original=called.start)
    ctypes.memmove(stub, text, len(text))
    protect(stub, mmap.PROT_READ | mmap.PROT_EXEC)
    redirect(operand, stub)
    return Ring(address, memory)


def stub_code(at: int, *, ring: int, original: int) -> bytes:
    """The stub as it runs at address `at`.

    `proto.Unmarshal(b, m)` has its arguments in RAX, RBX, RCX, RDI and RSI (Go's ABIInternal); RDX,
    R8, R9, R12 and R13 are free, no other register is touched, nor the stack.
    """
    code = b""

    def relative(opcode: bytes, target: int) -> bytes:
        return opcode + struct.pack("<i", target - (at + len(code) + len(opcode) + 4))

    code += b"\x48\x83\xfb" + bytes([_SHORTEST])  # cmp rbx, shortest
    code += relative(b"\x0f\x82", original)  # jb Unmarshal
    code += b"\x48\x81\xfb" + struct.pack("<i", _SLOT - _CONTENT)  # cmp rbx, room
    code += relative(b"\x0f\x87", original)  # ja Unmarshal
    code += b"\x8a\x50" + bytes([_FIRST_LETTER])  # mov dl, [rax + first letter]
    code += b"\x80\xfa" + _WANTED[:1]  # cmp dl, 'l'
    code += b"\x74\x09"  # je take
    code += b"\x80\xfa" + _WANTED[1:]  # cmp dl, 'a'
    code += relative(b"\x0f\x85", original)  # jne Unmarshal
    # take:
    code += b"\x49\xbc" + struct.pack("<Q", ring)  # mov r12, ring
    code += bytes.fromhex("ba 01 00 00 00")  # mov edx, 1
    code += bytes.fromhex("f0 49 0f c1 14 24")  # lock xadd [r12], rdx
    code += bytes.fromhex("49 89 d5")  # mov r13, rdx
    code += b"\x49\x81\xe5" + struct.pack("<i", _SLOTS - 1)  # and r13, slots - 1
    code += b"\x49\xc1\xe5" + bytes([_SHIFT])  # shl r13, shift
    code += b"\x4f\x8d\x6c\x2c" + bytes([_HEADER])  # lea r13, [r12 + r13 + header]
    code += bytes.fromhex("49 c7 45 00 00 00 00 00")  # mov qword [r13], 0
    code += bytes.fromhex("49 89 5d 08")  # mov [r13 + 8], rbx
    code += bytes.fromhex("4d 31 c0")  # xor r8, r8
    # next:
    code += bytes.fromhex("46 8a 0c 00")  # mov r9b, [rax + r8]
    code += b"\x47\x88\x4c\x05" + bytes([_CONTENT])  # mov [r13 + r8 + content], r9b
    code += bytes.fromhex("49 ff c0")  # inc r8
    code += bytes.fromhex("49 39 d8")  # cmp r8, rbx
    code += bytes.fromhex("72 ef")  # jb next
    code += bytes.fromhex("48 ff c2")  # inc rdx
    code += bytes.fromhex("49 89 55 00")  # mov [r13], rdx
    return code + relative(b"\xe9", original)  # jmp Unmarshal
