"""Versions of the library that are known to work, and how each was tried.

A version in no row is left alone: the library then decides what its patches would have decided.
`gateway library check VERSION` tries one, `gateway library use VERSION` takes it for an
installation.
"""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["ACCEPTED", "TRIED", "accepted_here", "how_tried"]

#: Written by `gateway library use` into the virtual environment whose library it replaced.
ACCEPTED = Path(sys.prefix) / "library-accepted"

#: Version of the library → machine → how it was tried.
TRIED: dict[str, dict[str, str]] = {
    "0.5.2": {
        "amd64": "tests of the library, conversations with the sandbox",
        "arm64": "the same under qemu-user (tests/arm64.py)",
    },
}


def accepted_here() -> str:
    """The version that `gateway library use` took for this installation; empty: none."""
    try:
        return ACCEPTED.read_text().strip()
    except OSError:
        return ""


def how_tried(version: str, machine: str) -> str:
    """Empty: not at all."""
    return TRIED.get(version, {}).get(machine, "")
