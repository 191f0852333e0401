"""What holds because the library is changed: made once in a process, and published."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

import structlog
from neonize._binder import gocode

from actors.whatsapp.library import (
    acknowledged_last,
    app_state_name,
    app_state_ring,
    client_version,
    decrypt_txn,
    message_id,
    no_picture,
    retries_in_turn,
)
from actors.whatsapp.library.patching import Patch
from cluster.settings import Settings

__all__ = ["PATCHES", "Promise", "facts", "prepare", "status"]

log = structlog.get_logger(__name__)

PATCHES: tuple[Patch[Any], ...] = (
    message_id.PATCH,
    decrypt_txn.PATCH,
    acknowledged_last.PATCH,
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
    version = _client_version(Settings.current().whatsapp.client_version)
    return (version, *_of_patches()) if version else _of_patches()


def _of_patches() -> tuple[Promise, ...]:
    return tuple(
        Promise(patch.name, True, patch.promise)
        if patch.made() is not None
        else Promise(patch.name, False, patch.without, patch.reason)
        for patch in PATCHES
    )


def facts() -> dict[str, Any]:
    """For the cluster: `version`, `machine`, `kept` (names) and `smaller` (name → what
    holds instead, and why)."""
    found = status()
    return {
        "version": gocode.GetVersion().decode(),
        "machine": f"{sys.platform}/{platform.machine()}",
        "kept": [one.name for one in found if one.kept],
        "smaller": {one.name: f"{one.text} ({one.reason})" for one in found if not one.kept},
    }


@cache
def _client_version(wanted: str) -> Promise | None:
    """None: no version is wanted, and the library's own is presented."""
    if not wanted:
        return None
    name = "client_version"
    try:
        client_version.present(wanted)
    except client_version.ClientVersionRefused as error:
        log.error("whatsapp.client_version_not_set", wanted=wanted, reason=str(error))
        return Promise(name, False, "The library presents its own version.", str(error))
    return Promise(name, True, f"The library presents version {wanted}.")
