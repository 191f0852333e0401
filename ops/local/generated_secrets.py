"""Secrets the gateway makes for itself on first use and keeps in its data folder."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from ops.embedded.process import private_file

__all__ = ["api_key", "checkpoint_keys", "ray_token"]


def api_key(folder: Path) -> str:
    """The admin key for `X-Api-Key`."""
    return _kept(folder / "http-api-key", lambda: secrets.token_urlsafe(24))


def checkpoint_keys(folder: Path) -> str:
    """`id:base64(32 bytes)`: without it the checkpoints cannot be read any more."""
    return _kept(
        folder / "checkpoint-keys", lambda: "k1:" + base64.b64encode(os.urandom(32)).decode()
    )


def ray_token(folder: Path) -> tuple[Path, str]:
    """What the Ray nodes and their clients know each other by: its file, and itself."""
    path = folder / "ray-token"
    return path, _kept(path, lambda: secrets.token_hex(32))


def _kept(path: Path, make: Callable[[], str]) -> str:
    if not path.exists():
        private_file(path, make() + "\n")
    return path.read_text().strip()
