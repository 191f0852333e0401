"""What outlives the process: one SQLite file. Rows in, rows out; no rule of the protocol."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Account", "Device", "Queued", "Store"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS accounts (
    number TEXT PRIMARY KEY, lid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, about TEXT NOT NULL,
    identity BLOB NOT NULL, raw_id INTEGER NOT NULL, next_device INTEGER NOT NULL,
    picture_id TEXT NOT NULL, privacy TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS devices (
    number TEXT NOT NULL, device INTEGER NOT NULL, noise BLOB NOT NULL, identity BLOB NOT NULL,
    platform TEXT NOT NULL, linked_at REAL NOT NULL, registration BLOB NOT NULL,
    signed_key_id BLOB NOT NULL, signed_key BLOB NOT NULL, signature BLOB NOT NULL,
    PRIMARY KEY (number, device));
CREATE TABLE IF NOT EXISTS prekeys (
    number TEXT NOT NULL, device INTEGER NOT NULL, key_id BLOB NOT NULL, public BLOB NOT NULL,
    PRIMARY KEY (number, device, key_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS queue (
    position INTEGER PRIMARY KEY AUTOINCREMENT, number TEXT NOT NULL, device INTEGER NOT NULL,
    tag TEXT NOT NULL, stanza_id TEXT NOT NULL, stanza BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS queue_of_device ON queue (number, device, stanza_id);
CREATE TABLE IF NOT EXISTS watchers (
    number TEXT NOT NULL, by_number TEXT NOT NULL, by_device INTEGER NOT NULL,
    by_lid INTEGER NOT NULL, PRIMARY KEY (number, by_number, by_device, by_lid)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL, id TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS collections (
    number TEXT NOT NULL, name TEXT NOT NULL, snapshot BLOB NOT NULL,
    PRIMARY KEY (number, name));
CREATE TABLE IF NOT EXISTS patches (
    number TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, patch BLOB NOT NULL,
    PRIMARY KEY (number, name, version));
CREATE TABLE IF NOT EXISTS signal (
    number TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (number, kind, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, number TEXT NOT NULL, entry TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS inbox_of_phone ON inbox (number, seq);
"""


@dataclass(slots=True)
class Account:
    """One WhatsApp account: a phone, and the devices linked to it."""

    #: digits of the phone number
    number: str
    #: digits of the LID
    lid: str
    #: push name
    name: str
    #: private identity key of the phone, 32 bytes
    identity: bytes = field(repr=False)
    raw_id: int
    about: str = ""
    next_device: int = 1
    #: id of the profile picture; empty: none
    picture_id: str = ""
    privacy: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Device:
    """A device of an account: 0 is the phone."""

    number: str
    device: int
    #: Noise public key, 32 bytes; the phone's is empty, it is in this process
    noise: bytes = field(repr=False)
    #: identity public key, 32 bytes
    identity: bytes = field(repr=False)
    platform: str
    #: Unix time
    linked_at: float
    registration: bytes = b""
    signed_key_id: bytes = b""
    signed_key: bytes = b""
    signature: bytes = b""

    @property
    def has_keys(self) -> bool:
        """Whether others can encrypt for it yet."""
        return bool(self.signed_key)


@dataclass(frozen=True, slots=True)
class Queued:
    """A stanza that its device has not acknowledged yet."""

    position: int
    tag: str
    stanza: bytes


class Store:
    """All tables. Belongs to one thread. Without fsync: a killed process loses nothing, a power
    cut may, and a sandbox can live with that."""

    def __init__(self, path: Path | None) -> None:
        """`path`: the database file, or None to keep everything in memory."""
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    # -- facts and documents ------------------------------------------------------------------

    def fact(self, name: str) -> bytes | None:
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return bytes(row[0]) if row else None

    def set_fact(self, name: str, value: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def documents(self, kind: str) -> dict[str, Any]:
        rows = self._db.execute("SELECT id, value FROM documents WHERE kind = ?", (kind,))
        return {row[0]: json.loads(row[1]) for row in rows}

    def document(self, kind: str, id: str) -> Any | None:
        row = self._db.execute(
            "SELECT value FROM documents WHERE kind = ? AND id = ?", (kind, id)
        ).fetchone()
        return json.loads(row[0]) if row else None

    def set_document(self, kind: str, id: str, value: Any | None) -> None:
        """Write a document; None removes it."""
        if value is None:
            self._db.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, id))
        else:
            self._db.execute(
                "INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (kind, id, json.dumps(value))
            )

    # -- accounts and devices -----------------------------------------------------------------

    def accounts(self) -> list[Account]:
        rows = self._db.execute(
            "SELECT number, lid, name, identity, raw_id, about, next_device, picture_id, privacy "
            "FROM accounts"
        )
        return [
            Account(
                number=row[0],
                lid=row[1],
                name=row[2],
                identity=row[3],
                raw_id=row[4],
                about=row[5],
                next_device=row[6],
                picture_id=row[7],
                privacy=json.loads(row[8]),
            )
            for row in rows
        ]

    def save_account(self, account: Account) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO accounts (number, lid, name, identity, raw_id, about, "
            "next_device, picture_id, privacy) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                account.number,
                account.lid,
                account.name,
                account.identity,
                account.raw_id,
                account.about,
                account.next_device,
                account.picture_id,
                json.dumps(account.privacy),
            ),
        )

    def devices(self) -> list[Device]:
        rows = self._db.execute(
            "SELECT number, device, noise, identity, platform, linked_at, registration, "
            "signed_key_id, signed_key, signature FROM devices ORDER BY number, device"
        )
        return [Device(*row) for row in rows]

    def save_device(self, device: Device) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO devices VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                device.number,
                device.device,
                device.noise,
                device.identity,
                device.platform,
                device.linked_at,
                device.registration,
                device.signed_key_id,
                device.signed_key,
                device.signature,
            ),
        )

    def delete_device(self, number: str, device: int) -> None:
        for table in ("devices", "prekeys", "queue"):
            self._db.execute(
                f"DELETE FROM {table} WHERE number = ? AND device = ?",  # noqa: S608 - constants
                (number, device),
            )
        self._db.execute(
            "DELETE FROM watchers WHERE by_number = ? AND by_device = ?", (number, device)
        )

    # -- pre-keys ---------------------------------------------------------------------------------

    def add_prekeys(self, number: str, device: int, keys: Iterable[tuple[bytes, bytes]]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO prekeys VALUES (?, ?, ?, ?)",
            [(number, device, key_id, public) for key_id, public in keys],
        )

    def take_prekey(self, number: str, device: int) -> tuple[bytes, bytes] | None:
        """(id, public key) of the next one-time key, which is gone then."""
        row = self._db.execute(
            "DELETE FROM prekeys WHERE number = ?1 AND device = ?2 AND key_id = (SELECT "
            "min(key_id) FROM prekeys WHERE number = ?1 AND device = ?2) RETURNING key_id, public",
            (number, device),
        ).fetchone()
        return (bytes(row[0]), bytes(row[1])) if row else None

    def prekeys(self, number: str, device: int) -> list[tuple[bytes, bytes]]:
        """(id, public key) of the one-time keys that are left."""
        rows = self._db.execute(
            "SELECT key_id, public FROM prekeys WHERE number = ? AND device = ? ORDER BY key_id",
            (number, device),
        )
        return [(bytes(row[0]), bytes(row[1])) for row in rows]

    def count_prekeys(self, number: str, device: int) -> int:
        row = self._db.execute(
            "SELECT count(*) FROM prekeys WHERE number = ? AND device = ?", (number, device)
        ).fetchone()
        return int(row[0])

    def drop_prekeys(self, number: str, device: int, keep: int) -> None:
        """Leave only `keep` one-time keys: running out, without a thousand senders."""
        self._db.execute(
            "DELETE FROM prekeys WHERE number = ?1 AND device = ?2 AND key_id NOT IN (SELECT "
            "key_id FROM prekeys WHERE number = ?1 AND device = ?2 ORDER BY key_id LIMIT ?3)",
            (number, device, keep),
        )

    # -- what waits for a device --------------------------------------------------------------

    def enqueue(self, number: str, device: int, tag: str, stanza_id: str, stanza: bytes) -> int:
        cursor = self._db.execute(
            "INSERT INTO queue (number, device, tag, stanza_id, stanza) VALUES (?, ?, ?, ?, ?)",
            (number, device, tag, stanza_id, stanza),
        )
        return int(cursor.lastrowid or 0)

    def dequeue(self, number: str, device: int, tag: str, ids: Sequence[str]) -> int:
        marks = ",".join("?" * len(ids))
        return self._db.execute(
            f"DELETE FROM queue WHERE number = ? AND device = ? AND tag = ? "  # noqa: S608
            f"AND stanza_id IN ({marks})",
            (number, device, tag, *ids),
        ).rowcount

    def queued(self, number: str, device: int) -> list[Queued]:
        rows = self._db.execute(
            "SELECT position, tag, stanza FROM queue WHERE number = ? AND device = ? "
            "ORDER BY position",
            (number, device),
        )
        return [Queued(*row) for row in rows]

    def queue_lengths(self) -> dict[tuple[str, int], int]:
        rows = self._db.execute("SELECT number, device, count(*) FROM queue GROUP BY 1, 2")
        return {(row[0], row[1]): row[2] for row in rows}

    # -- who has whose device list ------------------------------------------------------------

    def watch(self, number: str, by_number: str, by_device: int, *, by_lid: bool) -> None:
        """A device asked for the device list of an account, by LID or by phone number."""
        self._db.execute(
            "INSERT OR IGNORE INTO watchers VALUES (?, ?, ?, ?)",
            (number, by_number, by_device, by_lid),
        )

    def watchers(self, number: str) -> list[tuple[str, int, bool]]:
        """(number, device, whether it asked by LID)"""
        rows = self._db.execute(
            "SELECT by_number, by_device, by_lid FROM watchers WHERE number = ?", (number,)
        )
        return [(row[0], row[1], bool(row[2])) for row in rows]

    # -- app state ----------------------------------------------------------------------------

    def collection(self, number: str, name: str) -> bytes | None:
        row = self._db.execute(
            "SELECT snapshot FROM collections WHERE number = ? AND name = ?", (number, name)
        ).fetchone()
        return bytes(row[0]) if row else None

    def add_patch(
        self, number: str, name: str, version: int, patch: bytes, snapshot: bytes
    ) -> None:
        self._db.execute("BEGIN")
        self._db.execute("INSERT INTO patches VALUES (?, ?, ?, ?)", (number, name, version, patch))
        self._db.execute(
            "INSERT OR REPLACE INTO collections VALUES (?, ?, ?)", (number, name, snapshot)
        )
        self._db.execute("COMMIT")

    def patches(self, number: str, name: str, after: int) -> list[bytes]:
        rows = self._db.execute(
            "SELECT patch FROM patches WHERE number = ? AND name = ? AND version > ? "
            "ORDER BY version",
            (number, name, after),
        )
        return [bytes(row[0]) for row in rows]

    # -- the phones' own ----------------------------------------------------------------------

    def signal(self, number: str, kind: str, ids: Sequence[str]) -> dict[str, bytes]:
        marks = ",".join("?" * len(ids))
        rows = self._db.execute(
            f"SELECT id, value FROM signal WHERE number = ? AND kind = ? "  # noqa: S608
            f"AND id IN ({marks})",
            (number, kind, *ids),
        )
        return {row[0]: bytes(row[1]) for row in rows}

    def set_signal(self, number: str, kind: str, id: str, value: bytes | None) -> None:
        if value is None:
            self._db.execute(
                "DELETE FROM signal WHERE number = ? AND kind = ? AND id = ?", (number, kind, id)
            )
        else:
            self._db.execute(
                "INSERT OR REPLACE INTO signal VALUES (?, ?, ?, ?)", (number, kind, id, value)
            )

    def add_to_inbox(self, number: str, entry: dict[str, Any]) -> int:
        cursor = self._db.execute(
            "INSERT INTO inbox (number, entry) VALUES (?, ?)", (number, json.dumps(entry))
        )
        return int(cursor.lastrowid or 0)

    def inbox(self, number: str, after: int = 0) -> list[dict[str, Any]]:
        rows = self._db.execute(
            "SELECT seq, entry FROM inbox WHERE number = ? AND seq > ? ORDER BY seq",
            (number, after),
        )
        return [{"seq": row[0], **json.loads(row[1])} for row in rows]
