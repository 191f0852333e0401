"""Trying what changes the library: in processes of their own, and stubs called from C."""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from neonize._binder import gocode

from actors.whatsapp.library.machines import Machine, this_machine
from actors.whatsapp.library.patching import PAGE, map_near, write_code
from actors.zygote.import_stubs import SESSION_PROCESS

Fresh = Callable[..., str]
#: Maps pages near the library; the first gets pieces of code, by offset.
Pages = Callable[[int, dict[int, bytes]], int]

#: Words before the interpreter's own: how an emulated one starts another.
_EMULATOR = shlex.split(os.environ.get("LIBRARY_TEST_EMULATOR", ""))


@pytest.fixture
def machine() -> Machine:
    """The processor that the tests run on, emulated or not."""
    found = this_machine()
    if found is None:
        pytest.skip("the library is changed on linux alone, on amd64 and arm64")
    return found


@pytest.fixture
def fresh() -> Fresh:
    """What some code prints last in a new process, as one that hosts sessions: a changed library
    stays changed."""

    def run(code: str, *arguments: str, environment: dict[str, str] | None = None) -> str:
        root = str(Path(__file__).parents[4])
        paths = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [*_EMULATOR, sys.executable, "-c", f"import actors\n{code}", *arguments],
            capture_output=True,
            text=True,
            timeout=240 if _EMULATOR else 60,
            check=False,
            env={"PYTHONPATH": paths, "PATH": "/usr/bin:/bin", SESSION_PROCESS: "1"}
            | (environment or {}),
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return (done.stdout.splitlines() or [""])[-1]

    return run


@pytest.fixture
def pages(machine: Machine) -> Pages:
    def mapped(count: int, pieces: dict[int, bytes]) -> int:
        place = cast(int, ctypes.cast(gocode.SendMessage, ctypes.c_void_p).value)
        base = map_near(place, count * PAGE, machine.reach)
        code = b""
        for offset, piece in sorted(pieces.items()):
            code = code.ljust(offset, b"\0") + piece
        write_code(machine, base, code)
        return base

    return mapped
