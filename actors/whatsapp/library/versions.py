"""Versions of the library that are known to work, and how each was tried.

A version in no row is left alone: the library then decides what its patches would have decided.
`gateway library check VERSION` tries one, `gateway library use VERSION` takes it for an
installation.
"""

from __future__ import annotations

__all__ = ["TRIED", "how_tried"]

_EMULATED = "unit tests and a conversation with the sandbox under qemu-user (`library emulate`)"

#: Version of the library → machine → how it was tried.
TRIED: dict[str, dict[str, str]] = {
    "0.5.2": {
        "amd64": "the whole test and chaos suites",
        "arm64": _EMULATED,
    },
}


def how_tried(version: str, machine: str) -> str:
    """Empty: not at all."""
    return TRIED.get(version, {}).get(machine, "")
