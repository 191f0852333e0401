"""The collection's name reaches whatsmeow: the pinned library and the stub, without a server."""

from __future__ import annotations

import ctypes
import mmap
import platform
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from neonize._binder import gocode

from actors.whatsapp import app_state_name
from actors.whatsapp.go_patching import map_near, protect

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="the patch is for linux amd64"
)


def test_the_pinned_library_can_be_patched() -> None:
    # Another process: a patched library stays patched.
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from actors.whatsapp.app_state_name import names_are_kept; print(names_are_kept())",
        ],
        env={"PYTHONPATH": str(Path(app_state_name.__file__).parents[2]), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip().endswith("True")


Ask = Callable[[], bytes | None]


@pytest.fixture
def stub() -> tuple[Ask, app_state_name._Slots]:
    """The stub, callable as from neonize's SendAppState: the name that whatsmeow would see."""
    base = map_near(
        cast(int, ctypes.cast(gocode.SendAppState, ctypes.c_void_p).value), 3 * mmap.PAGESIZE
    )
    entry, original, at, table = base, base + 128, base + 256, base + mmap.PAGESIZE
    names = {}
    for index, name in enumerate(app_state_name.COLLECTIONS):
        names[name] = table + mmap.PAGESIZE + index * 32
        ctypes.memmove(names[name], name.encode(), len(name))
    put(original, bytes.fromhex("48 8b 44 24 20 c3"))  # mov rax, [rsp + 0x20]; ret
    put(at, app_state_name.stub_code(at, table=table, original=original))
    code = bytes.fromhex("41 54 41 55 48 83 ec 38")  # push r12; push r13; sub rsp, 56
    code += bytes.fromhex("48 c7 44 24 18 00 00 00 00")  # an empty name: its address …
    code += bytes.fromhex("48 c7 44 24 20 00 00 00 00")  # … and its length
    code += b"\xe8" + struct.pack("<i", at - (entry + len(code) + 5))  # call stub
    code += bytes.fromhex("48 83 c4 38 41 5d 41 5c c3")  # and back
    put(entry, code)
    protect(base, mmap.PROT_READ | mmap.PROT_EXEC)
    return ctypes.CFUNCTYPE(ctypes.c_char_p)(entry), app_state_name._Slots(table, names)


def put(address: int, code: bytes) -> None:
    ctypes.memmove(address, code, len(code))


def test_every_thread_gets_the_name_that_waits_for_it(
    stub: tuple[Ask, app_state_name._Slots],
) -> None:
    ask, slots = stub
    everyone = threading.Barrier(32)
    wrong: list[object] = []

    def one(number: int) -> None:
        everyone.wait()
        for round_ in range(200):
            wanted = app_state_name.COLLECTIONS[(number + round_) % 5]
            slot = slots.take(wanted)
            if (got := ask()) != wanted.encode():
                wrong.append((wanted, got))
            slots.give_back(slot)
            if (got := ask()) is not None:
                wrong.append(("", got))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
