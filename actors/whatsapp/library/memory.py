"""Where the loaded library keeps its data."""

from __future__ import annotations

import ctypes
from pathlib import Path

from neonize._binder import gocode

__all__ = ["find", "variables", "writable"]


def variables(*, initialised: bool = False) -> list[tuple[int, int]]:
    """The library's writable segment, and unless only what is `initialised` is wanted also what
    follows it without a file. A library that was only noted (`actors.zygote`) is loaded."""
    gocode.GetVersion()
    found: list[tuple[int, int]] = []
    for start, end, name in _writable():
        follows = not name and not initialised and found and found[-1][1] == start
        if "neonize-" in name or follows:
            found.append((start, end))
    return found


def writable() -> list[tuple[int, int]]:
    """All writable memory of this process, neighbours joined."""
    joined: list[tuple[int, int]] = []
    for start, end, _ in _writable():
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def find(needle: bytes, regions: list[tuple[int, int]]) -> list[int]:
    """The addresses at which it lies."""
    found: list[int] = []
    for start, end in regions:
        data = ctypes.string_at(start, end - start)
        at = data.find(needle)
        while at >= 0:
            found.append(start + at)
            at = data.find(needle, at + 1)
    return found


def _writable() -> list[tuple[int, int, str]]:
    """Start, end, file."""
    found = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split(None, 5)
        if fields[1].startswith("rw"):
            start, end = (int(part, 16) for part in fields[0].split("-"))
            found.append((start, end, fields[5] if len(fields) > 5 else ""))
    return found
