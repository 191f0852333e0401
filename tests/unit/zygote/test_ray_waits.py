"""Ray's pauses are changed where they are the ones that are known, and nowhere else."""

from __future__ import annotations

import asyncio
import platform
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import ray
from waiting import until

from actors.zygote.ray_waits import WAITS, Wait, wait_longer_in

_GCS = Path(ray.__file__).resolve().parent / "core/src/ray/gcs/gcs_server"

_CHANGED = """
import ctypes, os, ray._raylet
from pathlib import Path
from actors.zygote import ray_waits as one
file = Path(ray._raylet.__file__)
code, base = file.read_bytes(), one._mapped(file, os.getpid())[0]
assert one.wait_longer() == one.WAITS
for wait in one.WAITS:
    for place in wait.found(code):
        assert ctypes.c_uint32.from_address(base + place).value == wait.then
rights = {line.split()[1] for line in Path("/proc/self/maps").read_text().splitlines()
          if line.endswith(str(file)) and "x" in line.split()[1]}
assert rights == {"r-xp"}, "the code can be written to"
one.wait_longer.cache_clear()
assert one.wait_longer() == (), "there is nothing left to change"
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="Ray's code of other machines")
def test_the_pauses_of_this_ray_are_found_and_changed() -> None:
    subprocess.run([sys.executable, "-c", _CHANGED], check=True, timeout=60)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="Ray's code of other machines")
async def test_those_of_a_server_that_runs_are_changed_once_and_it_goes_on_and_ends(
    tmp_path: Path,
) -> None:
    options = ["--gcs_server_port=0", "--node-ip-address=127.0.0.1", "--config_list=e30="]
    folders = [f"--log_dir={tmp_path}", f"--session-dir={tmp_path}"]
    server = await asyncio.create_subprocess_exec(
        _GCS, *options, *folders, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        # It is begun before its program is mapped.
        maps = Path(f"/proc/{server.pid}/maps")
        await until(lambda: f"{_GCS}\n" in maps.read_text())
        assert wait_longer_in(server.pid) == WAITS[-1:]
        assert wait_longer_in(server.pid) == (), "there is nothing left to change"
        assert server.returncode is None
        server.terminate()
        async with asyncio.timeout(20):
            await server.wait()
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()
    assert wait_longer_in(server.pid) == (), "it is gone"


_REPEATED = WAITS[0]
_NAME = b"CoreWorker.CheckSignal"
_MOVE = b"\xba" + struct.pack("<i", _REPEATED.now)


def _loop(name: bytes, *, pauses: int = 1, near: int = 8) -> bytes:
    """Code that loads the address of `name`, and the pause so many bytes after it."""
    rest = b"\x90" * near + _MOVE * pauses + b"\x90" * 64
    return b"\x90" * 16 + b"\x48\x8d\x35" + struct.pack("<i", len(rest)) + rest + name + b"\0"


def test_what_is_repeated_is_found_by_its_name() -> None:
    (place,) = _REPEATED.found(_loop(_NAME))
    assert place == 16 + 7 + 8 + 1
    for other in (
        _loop(b"CoreWorker.SomethingElse"),
        _loop(_NAME, pauses=0),
        _loop(_NAME, pauses=2),
        _loop(_NAME, near=100),
        _loop(b"Other\0" + _NAME),
        _MOVE + b"\x90" * 99,
        b"",
    ):
        assert _REPEATED.found(other) == []


def _polls(*distances: int, now: int = 250) -> bytes:
    """Code that measures a time as often, by the function that is so far from its beginning."""
    code = b""
    for distance in distances:
        code += b"\xbe\x03\x00\x00\x00\xbf" + struct.pack("<i", now) + b"\xe8"
        code += struct.pack("<i", distance - len(code) - 4) + b"\x90" * 8
    return code


def test_polls_are_found_by_the_function_that_measures_their_time() -> None:
    polls = Wait(now=250, then=2000, places=2)
    assert [struct.unpack_from("<i", _polls(900, 900), at) for at in polls.found(_polls(900, 900))]
    for other in (
        _polls(900),
        _polls(900, 901),
        _polls(900, 900, 900),
        _polls(900, 900, now=251),
        b"",
    ):
        assert polls.found(other) == []


def _window(*, compared: float = 1.0, longest: int = 1000, between: bytes = b"") -> bytes:
    """Code that bounds how long timers are in order for, and what it compares that with."""
    known = b"\x66\x0f\x2f\xc8\x0f\x87" + b"\0" * 4 + between
    rest = b"\x90" * 6 + b"\xba" + struct.pack("<i", longest)
    jump = b"\x0f\x87" + struct.pack("<i", 6)
    compare = b"\x66\x0f\x2f\x05" + struct.pack("<i", len(jump) + len(rest))
    return b"\x90" * 5 + known + compare + jump + rest + struct.pack("<d", compared)


def test_how_long_timers_are_in_order_for_is_found_by_what_it_is_compared_with() -> None:
    ordered = WAITS[-1]
    places = ordered.found(_window() + _window())
    assert places == [5 + 10 + 8 + 6 + 6 + 1, len(_window()) + 5 + 10 + 8 + 6 + 6 + 1]
    for other in (
        _window(),
        _window() * 3,
        _window() + _window(compared=2.0),
        _window() + _window(longest=1001),
        _window() + _window(between=b"\x90"),
        _window() + _window()[:20],
        b"",
    ):
        assert ordered.found(other) == []
