"""Sandbox mode: make the loaded library trust the sandbox's noise root key. Memory only.

whatsmeow checks the server's certificate chain against a fixed public key (`WACertPubKey`,
handshake.go). It lies once in the library's writable data segment; in sandbox mode the sandbox's
own root is written over it, in this process only, before the first connect.
"""

from __future__ import annotations

import ctypes
from functools import cache

from actors.whatsapp.library.memory import find, variables

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
    found = find(_WHATSAPP_ROOT, variables(initialised=True))
    if not found and len(find(root_key, variables(initialised=True))) == 1:
        return
    if len(found) != 1:
        raise SandboxRootRefused(f"WhatsApp's root key was found {len(found)} times, expected 1")
    ctypes.memmove(found[0], root_key, 32)
