"""Devices of other programs, as they lie on a disk, read for an import."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from cluster.domain.device_source import SourceKind
from cluster.domain.errors import Invalid

__all__ = ["kind_of", "read_folder", "read_store"]

_SQLITE = b"SQLite format 3\0"
#: Files of a Baileys folder that are taken over; there may be tens of thousands of others.
_TAKEN = ("creds", "pre-key-", "app-state-sync-key-", "lid-mapping-")


def kind_of(path: Path) -> SourceKind:
    """What `path` is. Raises `Invalid` when there is nothing, or nothing known."""
    if path.is_dir():
        return SourceKind.BAILEYS
    try:
        with path.open("rb") as file:
            start = file.read(len(_SQLITE))
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}") from error
    return SourceKind.WHATSMEOW if start == _SQLITE else SourceKind.ARCHIVE


def read_store(path: Path) -> bytes:
    """One consistent copy of a SQLite file, with what is still in its write-ahead log. The
    program that owns it must have ended: not for the copy's sake, but for the device's."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        try:
            with (
                closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True)) as theirs,
                closing(sqlite3.connect(copy)) as ours,
            ):
                theirs.backup(ours)
                ours.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.DatabaseError as error:
            raise Invalid(f"{path}: {error}") from error
        return copy.read_bytes()


def read_folder(path: Path) -> dict[str, Any]:
    """The files of a Baileys auth folder that matter, parsed. Raises `Invalid`."""
    found: dict[str, Any] = {}
    for file in sorted(path.glob("*.json")):
        if file.name.startswith(_TAKEN):
            try:
                found[file.name] = json.loads(file.read_text())
            except ValueError as error:
                raise Invalid(f"{file} is not JSON") from error
    if "creds.json" not in found:
        raise Invalid(f"{path} has no creds.json: it is no Baileys auth folder")
    return found
