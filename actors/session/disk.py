"""Whether a node's disk still takes what its sessions must write."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["nearly_full"]


def nearly_full(folder: Path, least: int) -> bool:
    """True when fewer than `least` bytes are free where `folder` is, or will be: the first
    session of a node makes it."""
    found = os.statvfs(next(place for place in (folder, *folder.parents) if place.exists()))
    return found.f_bavail * found.f_frsize < least
