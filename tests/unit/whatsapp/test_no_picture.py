"""An empty picture is none: the stub, and the pinned library, without a server."""

from __future__ import annotations

import ctypes
import mmap
import platform
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
from neonize._binder import gocode

from actors.whatsapp import no_picture
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
            "from actors.whatsapp.no_picture import pictures_can_be_removed as p; print(p(), p())",
        ],
        env={"PYTHONPATH": str(Path(no_picture.__file__).parents[2]), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip().endswith("True True")


def test_only_an_empty_picture_becomes_none() -> None:
    stub = map_near(
        cast(int, ctypes.cast(gocode.SetGroupPhoto, ctypes.c_void_p).value), mmap.PAGESIZE
    )
    original = stub + 128
    ctypes.memmove(original, bytes.fromhex("48 89 f8 c3"), 4)  # mov rax, rdi; ret
    code = no_picture.stub_code(stub, original=original)
    ctypes.memmove(stub, code, len(code))
    protect(stub, mmap.PROT_READ | mmap.PROT_EXEC)
    # C passes its first two arguments where the stub looks for address and length.
    call = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64)(stub)
    assert call(4096, 3) == 4096
    assert call(4096, 0) == 0
