"""The collection's name reaches whatsmeow: the stub, without a server."""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable

import pytest

from actors.whatsapp.library import app_state_name
from actors.whatsapp.library.machines import AMD64, Machine
from actors.whatsapp.library.patching import PAGE

Ask = Callable[..., bytes | None]
Stub = tuple[Ask, app_state_name.Names]


@pytest.fixture
def stub(machine: Machine, pages: Callable[[int, dict[int, bytes]], int]) -> Stub:
    """The stub, callable as from neonize's SendAppState, with the address and the length of the
    name as they come: the name that whatsmeow would see."""
    entry, original = 0, 128
    if machine is AMD64:
        code = bytes.fromhex("41 54 41 55 48 83 ec 38")  # push r12; push r13; sub rsp, 56
        code += bytes.fromhex("48 89 7c 24 18 48 89 74 24 20")  # the name's address and length
        code += b"\xe8" + struct.pack("<i", PAGE - (entry + len(code) + 5))  # call stub
        code += bytes.fromhex("48 83 c4 38 41 5d 41 5c c3")  # and back
        seen = bytes.fromhex("48 8b 44 24 20 c3")  # mov rax, [rsp + 0x20]; ret
    else:
        # mov x6, x0; mov x7, x1; b stub
        code = struct.pack("<III", 0xAA0003E6, 0xAA0103E7, 0x14000000 | (PAGE - 8) // 4)
        seen = struct.pack("<II", 0xAA0603E0, 0xD65F03C0)  # mov x0, x6; ret
    base = pages(3, {entry: code, original: seen})
    names = app_state_name.install(machine, base + PAGE, original=base + original)
    return ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)(base), names


def test_every_thread_gets_the_name_that_waits_for_it(stub: Stub) -> None:
    ask, names = stub
    everyone = threading.Barrier(32)
    wrong: list[object] = []

    def one(number: int) -> None:
        everyone.wait()
        for round_ in range(200):
            wanted = app_state_name.COLLECTIONS[(number + round_) % 5]
            slot = names.take(wanted)
            if (got := ask(None, 0)) != wanted.encode():
                wrong.append((wanted, got))
            names.give_back(slot)
            if (got := ask(None, 0)) is not None:
                wrong.append(("", got))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_name_that_is_there_stays(stub: Stub) -> None:
    ask, names = stub
    slot = names.take("regular")
    assert ask(b"critical_block", 14) == b"critical_block"
    names.give_back(slot)
