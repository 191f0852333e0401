"""Sandbox mode: make the loaded library trust the sandbox's noise root key. Memory only.

whatsmeow checks the server's certificate chain against a fixed public key (`WACertPubKey`,
handshake.go). It lies once in the library's writable data segment; in sandbox mode the sandbox's
own root is written over it, in this process only, before the first connect.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

__all__ = ["SandboxRootRefused", "trust_root"]

_WHATSAPP_ROOT = bytes.fromhex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")


class SandboxRootRefused(RuntimeError):
    """The library's memory is not as expected: its root key was not found exactly once."""


@cache  # Once replaced it stays so, and looking for it is a good part of a session's start.
def trust_root(root_key: bytes) -> None:
    """Replace WhatsApp's root key by `root_key` (32 bytes). Idempotent for the same key.

    Raises `SandboxRootRefused` unless the key to replace is found exactly once.
    """
    if len(root_key) != 32:
        raise SandboxRootRefused("the sandbox's root key must have 32 bytes")
    found = _addresses(_WHATSAPP_ROOT)
    if not found and len(_addresses(root_key)) == 1:
        return
    if len(found) != 1:
        raise SandboxRootRefused(f"WhatsApp's root key was found {len(found)} times, expected 1")
    ctypes.memmove(found[0], root_key, 32)


def _addresses(needle: bytes) -> list[int]:
    found: list[int] = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split(None, 5)
        if len(fields) < 6 or "neonize-" not in fields[5] or "w" not in fields[1]:
            continue
        start, end = (int(part, 16) for part in fields[0].split("-"))
        data = ctypes.string_at(start, end - start)
        offset = data.find(needle)
        while offset >= 0:
            found.append(start + offset)
            offset = data.find(needle, offset + 1)
    return found
