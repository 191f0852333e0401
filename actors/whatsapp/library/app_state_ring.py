"""Settings that devices share, as the library decrypts them: neonize 0.5.2 has no events of them.

whatsmeow turns labels and archived chats into events, and neonize's Go side drops them (its switch
over event types, goneonize/main.go). So the one call of `proto.Unmarshal` in whatsmeow's
`(*Processor).decodeMutation` is redirected, in memory, to a stub that copies what is decrypted into
a ring that Python reads, and goes on. Docs: docs/decisions/app-state.md.

A record is a `SyncActionData`, at that point with a valid MAC of its value. It does not say whose
account it belongs to: see `actors.whatsapp.app_state_seen`.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Iterator

from actors.whatsapp.library.machines import AMD64, Amd64Code, Arm64Code, Machine
from actors.whatsapp.library.patching import PAGE, Library, Patch, write_code

__all__ = ["PATCH", "Ring"]

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


def _make(library: Library) -> Ring:
    caller, called = library.functions(_CALLER, _CALLED)
    # Nothing runs this code before the first client connects: the store need not be atomic.
    site = library.call(caller, called, atomic=False)
    stub = library.near(site, PAGE)
    ring = install(library.machine, stub, original=called.start)
    library.redirect(site, stub)
    return ring


def install(machine: Machine, stub: int, *, original: int) -> Ring:
    """Write the stub into the page at `stub`."""
    memory = mmap.mmap(-1, _HEADER + _SLOTS * _SLOT)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    write = _stub_amd64 if machine is AMD64 else _stub_arm64
    write_code(machine, stub, write(stub, address, original))
    return Ring(address, memory)


def _stub_amd64(at: int, ring: int, original: int) -> bytes:
    """`proto.Unmarshal(b, m)` has its arguments in RAX, RBX, RCX, RDI and RSI (Go's ABIInternal);
    RDX, R8, R9, R12 and R13 are free, no other register is touched, nor the stack."""
    code = Amd64Code(at)
    code.put(b"\x48\x83\xfb" + bytes([_SHORTEST]))  # cmp rbx, shortest
    code.relative(b"\x0f\x82", original)  # jb Unmarshal
    code.put(b"\x48\x81\xfb" + struct.pack("<i", _SLOT - _CONTENT))  # cmp rbx, room
    code.relative(b"\x0f\x87", original)  # ja Unmarshal
    code.put(b"\x8a\x50" + bytes([_FIRST_LETTER]))  # mov dl, [rax + first letter]
    code.put(b"\x80\xfa" + _WANTED[:1])  # cmp dl, 'l'
    code.put(b"\x74\x09")  # je take
    code.put(b"\x80\xfa" + _WANTED[1:])  # cmp dl, 'a'
    code.relative(b"\x0f\x85", original)  # jne Unmarshal
    # take:
    code.put(b"\x49\xbc" + struct.pack("<Q", ring))  # mov r12, ring
    code.put("ba 01 00 00 00")  # mov edx, 1
    code.put("f0 49 0f c1 14 24")  # lock xadd [r12], rdx
    code.put("49 89 d5")  # mov r13, rdx
    code.put(b"\x49\x81\xe5" + struct.pack("<i", _SLOTS - 1))  # and r13, slots - 1
    code.put(b"\x49\xc1\xe5" + bytes([_SHIFT]))  # shl r13, shift
    code.put(b"\x4f\x8d\x6c\x2c" + bytes([_HEADER]))  # lea r13, [r12 + r13 + header]
    code.put("49 c7 45 00 00 00 00 00")  # mov qword [r13], 0
    code.put("49 89 5d 08")  # mov [r13 + 8], rbx
    code.put("4d 31 c0")  # xor r8, r8
    # next:
    code.put("46 8a 0c 00")  # mov r9b, [rax + r8]
    code.put(b"\x47\x88\x4c\x05" + bytes([_CONTENT]))  # mov [r13 + r8 + content], r9b
    code.put("49 ff c0")  # inc r8
    code.put("49 39 d8")  # cmp r8, rbx
    code.put("72 ef")  # jb next
    code.put("48 ff c2")  # inc rdx
    code.put("49 89 55 00")  # mov [r13], rdx
    code.relative(b"\xe9", original)  # jmp Unmarshal
    return code.bytes


def _stub_arm64(_at: int, ring: int, original: int) -> bytes:
    """`proto.Unmarshal(b, m)` has its arguments in X0 to X4; X5 to X16 are free."""
    code = Arm64Code()
    data, size, letter, counter, number, following, done, slot, content, at = (
        0, 1, 5, 6, 7, 8, 9, 10, 11, 12,
    )  # fmt: skip
    code.compare_number(size, _SHORTEST)
    code.branch_if(code.LOWER, "go on")
    code.compare_number(size, _SLOT - _CONTENT)
    code.branch_if(code.HIGHER, "go on")
    code.put(0x39400000 | _FIRST_LETTER << 10 | data << 5 | letter)  # ldrb letter, [data, #first]
    code.compare_number(letter, _WANTED[0])
    code.branch_if(code.EQUAL, "take")
    code.compare_number(letter, _WANTED[1])
    code.branch_if(code.NOT_EQUAL, "go on")
    code.label("take")
    code.constant(counter, ring)
    code.label("again")
    code.put(0xC85F7C00 | counter << 5 | number)  # ldxr number, [counter]
    code.add(following, number, 1)
    code.put(0xC8007C00 | done << 16 | counter << 5 | following)  # stxr done, following, [counter]
    code.branch_if_not_zero(done, "again")
    code.put(0x92402400 | number << 5 | slot)  # and slot, number, #1023
    code.put(0x8B000000 | slot << 16 | _SHIFT << 10 | counter << 5 | slot)  # add slot, counter, …
    code.add(slot, slot, _HEADER)
    code.store(31, slot)
    code.put(0xD5033BBF)  # dmb ish: unfinished before it is changed
    code.store(size, slot, 8)
    code.add(content, slot, _CONTENT)
    code.move(at, 31)
    code.label("next")
    code.put(0x38606800 | at << 16 | data << 5 | done)  # ldrb done, [data, at]
    code.put(0x38206800 | at << 16 | content << 5 | done)  # strb done, [content, at]
    code.add(at, at, 1)
    code.compare(at, size)
    code.branch_if(code.LOWER, "next")
    code.put(0xC89FFC00 | slot << 5 | following)  # stlr following, [slot]
    code.label("go on")
    code.jump(original)
    return code.bytes


PATCH = Patch(
    "app_state_told",
    _make,
    functions=(_CALLER, _CALLED),
    promise="Labels and archived chats that other devices set are told.",
    without="Labels and archived chats are those that this gateway set itself.",
)
