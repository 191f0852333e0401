"""Processes of this node that are ready for a session and have none, as files by process id."""

from __future__ import annotations

import os
from pathlib import Path

from actors.process_identity import holder_id, is_dead
from cluster.settings import Settings

__all__ = ["announce", "preloads", "spares", "taken"]


def preloads() -> bool:
    """Whether Ray has processes load `actors.hosts.preload` before they take work."""
    # Ray reads its settings by their lower-case names.
    modules = os.environ.get("RAY_preload_python_modules", "")  # noqa: SIM112
    return "actors.hosts.preload" in modules.split(",")


def announce() -> None:
    """This process is ready."""
    folder = _folder(Settings.current().data_dir)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / str(os.getpid())).write_text(holder_id())


def taken() -> None:
    """This process has its session."""
    (_folder(Settings.current().data_dir) / str(os.getpid())).unlink(missing_ok=True)


def spares(root: Path) -> int:
    """How many there are on the node with this data folder."""
    count = 0
    try:
        files = list(_folder(root).iterdir())
    except FileNotFoundError:
        return 0
    for file in files:
        try:
            holder = file.read_text()
        except FileNotFoundError:
            continue
        if holder and is_dead(holder):
            file.unlink(missing_ok=True)
        else:
            count += 1
    return count


def _folder(root: Path) -> Path:
    return root / "spares"
