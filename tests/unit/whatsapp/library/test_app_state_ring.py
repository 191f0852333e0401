"""Records that the library decrypts are copied, those that are wanted, whole and in order."""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable

import pytest

from actors.whatsapp.library import app_state_ring
from actors.whatsapp.library.machines import AMD64, Machine
from actors.whatsapp.library.patching import PAGE

Stub = tuple[Callable[[bytes], object], app_state_ring.Ring]


@pytest.fixture
def stub(machine: Machine, pages: Callable[[int, dict[int, bytes]], int]) -> Stub:
    """The stub, to be called with what was decrypted, and its ring."""
    entry, original = 0, 128
    if machine is AMD64:
        code = bytes.fromhex("53 41 54 41 55")  # push rbx; push r12; push r13
        code += bytes.fromhex("48 89 f8 48 89 f3")  # mov rax, rdi; mov rbx, rsi
        code += b"\xe8" + struct.pack("<i", PAGE - (len(code) + 5))  # call stub
        code += bytes.fromhex("41 5d 41 5c 5b c3")
        back = b"\xc3"
    else:
        code = struct.pack("<I", 0x14000000 | PAGE // 4)  # b stub
        back = struct.pack("<I", 0xD65F03C0)
    base = pages(2, {entry: code, original: back})
    ring = app_state_ring.install(machine, base + PAGE, original=base + original)
    call = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_char_p, ctypes.c_size_t)(base)
    return lambda record: call(record, len(record)), ring


def record(text: str, size: int = 0) -> bytes:
    """As a SyncActionData begins: field, length, index."""
    return (b"\x0a\x20[" + b'"' + text.encode()).ljust(size, b".")


def test_labels_and_archived_chats_are_copied_and_nothing_else(stub: Stub) -> None:
    say, ring = stub
    wanted = [record("label_edit", 40), record("archive", 12), record("label_jid", 2032)]
    for one in [*wanted, record("contact", 40), record("l", 7)[:7], record("label", 2033), b""]:
        say(one)
    assert ring.count == 3
    assert list(ring.read(0)) == [(1, wanted[0]), (2, wanted[1]), (3, wanted[2])]
    assert list(ring.read(2)) == [(3, wanted[2])]


def test_old_records_are_written_over(stub: Stub) -> None:
    say, ring = stub
    for number in range(2500):
        say(record(f"label {number}", 30))
    kept = list(ring.read(0))
    assert [number for number, _ in kept] == list(range(1477, 2501))
    assert kept[-1][1].startswith(record("label 2499"))


def test_records_of_many_threads_are_whole(stub: Stub) -> None:
    say, ring = stub

    def one(letter: str) -> None:
        for _ in range(100):
            say(record("l" + letter * 200))

    threads = [threading.Thread(target=one, args=(letter,)) for letter in "ABCDEFGH"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = [text for _, text in ring.read(0)]
    assert len(records) == 800
    assert sorted(records) == sorted(record("l" + letter * 200) for letter in "ABCDEFGH" * 100)
