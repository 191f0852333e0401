"""What holds because the library is changed: made once in a process, and told to everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from actors.whatsapp.library import (
    app_state_name,
    app_state_ring,
    decrypt_txn,
    message_id,
    no_picture,
    retries_in_turn,
)
from actors.whatsapp.library.patching import Patch

__all__ = ["PATCHES", "Promise", "prepare", "status"]

PATCHES: tuple[Patch[Any], ...] = (
    message_id.PATCH,
    decrypt_txn.PATCH,
    retries_in_turn.PATCH,
    app_state_name.PATCH,
    app_state_ring.PATCH,
    no_picture.PATCH,
)


@dataclass(frozen=True, slots=True)
class Promise:
    """`text`: what holds, the smaller promise when it is not kept; `reason`: why it is not."""

    name: str
    kept: bool
    text: str
    reason: str = ""


def prepare() -> tuple[Promise, ...]:
    """Change the library (some 60 ms, the first time): before the first client connects."""
    return status()


def status() -> tuple[Promise, ...]:
    """What holds in this process; prepares it."""
    return tuple(
        Promise(patch.name, True, patch.promise)
        if patch.made() is not None
        else Promise(patch.name, False, patch.without, patch.reason)
        for patch in PATCHES
    )
