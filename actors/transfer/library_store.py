"""A device store of the library (whatsmeow, as neonize uses it): made, and filled from another.

The library makes empty stores only, in a process of its own: of a store that came from elsewhere
nothing is run, neither by the library nor by SQLite. Rows of the tables that the library has are
copied; triggers, views and whatever else that file holds stay behind.
"""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from cluster.domain.errors import Invalid, Unavailable
from cluster.domain.jid import without_agent
from cluster.domain.session import Me

__all__ = ["account_of", "copy_device", "identity_of", "make_empty"]

_SECONDS = 60.0
_DEVICE, _VERSION = "whatsmeow_device", "whatsmeow_version"
#: Ratchets are not brought along (whatsmeow store/sqlstore/upgrades/00-latest-schema.sql): an
#: imported store may be old.
_LEFT = frozenset({_VERSION, "whatsmeow_sessions", "whatsmeow_sender_keys"})
#: Bytes and rows of everything that is copied, and bytes of one value.
_MAX_BYTES, _MAX_ROWS, _MAX_VALUE = 1 << 28, 2_000_000, 1 << 24
_MAX_DEVICES = 10_000
#: As SQLite writes it down itself; `CREATE VIRTUAL TABLE` and views are something else.
_TABLE = re.compile(r"CREATE\s+TABLE\b", re.IGNORECASE)
#: Declared types of the library's tables, and what they hold.
_KINDS: dict[str, tuple[type, ...]] = {
    "BYTEA": (bytes,),
    "TEXT": (str,),
    "UUID": (str, bytes),
    "BIGINT": (int,),
    "INTEGER": (int,),
    "BOOLEAN": (int,),
}
#: `user.agent:device@server`, whatsmeow types/jid.go
_JID = re.compile(r"\d{1,20}(\.\d{1,3})?(:\d{1,5})?@(s\.whatsapp\.net|lid)")
_MAX_NAME = 256
_OPEN = """
import sys
from neonize.client import ClientFactory
ClientFactory.get_all_devices_from_db(sys.argv[1])
"""


#: What the library made of an empty store: one is as the other, and takes it a second.
_made = b""


async def make_empty(store: Path) -> None:
    """Have the library make `store`, with its newest schema and no device. Raises `Unavailable`."""
    global _made
    if not _made:
        await _have_it_made(store)
        _made = await asyncio.to_thread(_image_of, store)
    else:
        await asyncio.to_thread(store.write_bytes, _made)


def _image_of(store: Path) -> bytes:
    with closing(sqlite3.connect(store)) as made:
        return made.serialize()


async def _have_it_made(store: Path) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", _OPEN, str(store)),
        env={name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            code = await child.wait()
    except TimeoutError as error:
        raise Unavailable("the library did not make a device store in time") from error
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if code:
        raise Unavailable("the library made no device store")


def copy_device(source: Path, store: Path, device: str) -> None:
    """Copy one linked device out of `source`, a file of anybody, into the empty `store`. `device`:
    its JID with the device number; empty where there is one only. Raises `Invalid`."""
    try:
        with (
            closing(sqlite3.connect(store, isolation_level=None)) as fresh,
            closing(_opened(source)) as theirs,
        ):
            wanted = _columns(fresh)
            theirs.set_authorizer(_only_rows_of(frozenset(wanted) | {_VERSION}))
            present = _plain_columns(theirs, {*wanted, _VERSION})
            if "jid" not in present.get(_DEVICE, ()):
                raise Invalid("that is no device store of whatsmeow", field="data")
            _check_version(theirs, present, fresh)
            chosen = _chosen(_devices(theirs), device)
            fresh.execute("PRAGMA foreign_keys = ON")
            fresh.execute("BEGIN")
            budget = _Budget()
            # In the order in which the library made them: what is referred to comes first.
            for table, columns in wanted.items():
                both = [name for name in columns if name in present.get(table, ())]
                if both and table not in _LEFT:
                    _copy_table(theirs, fresh, table, {c: columns[c] for c in both}, chosen, budget)
            fresh.execute("COMMIT")
    except sqlite3.Error as error:
        raise Invalid(f"that is no sound device store: {error}", field="data") from error


class _Budget:
    """What may still be copied."""

    def __init__(self) -> None:
        self._rows, self._bytes = _MAX_ROWS, _MAX_BYTES

    def spend(self, row: tuple[Any, ...]) -> None:
        """Raises `Invalid` when it is used up."""
        self._rows -= 1
        self._bytes -= sum(len(one) for one in row if isinstance(one, str | bytes))
        if self._rows < 0 or self._bytes < 0:
            raise Invalid("the device store is too large", field="data")


def _opened(source: Path) -> sqlite3.Connection:
    """For reading, with nothing in it trusted. `immutable`: its journals, if any, stay unread."""
    db = sqlite3.connect(f"{source.as_uri()}?mode=ro&immutable=1", uri=True)
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE)
    db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    db.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1)
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON"):
        db.execute(f"PRAGMA {pragma}")
    return db


def _only_rows_of(tables: frozenset[str]) -> Any:
    """An authorizer: columns of these tables are read, and nothing that is named by a view or a
    trigger; no function is called."""

    def allow(
        action: int, what: str | None, _: str | None, __: str | None, inner: str | None
    ) -> int:
        fine = inner is None and (
            action == sqlite3.SQLITE_SELECT
            or (action == sqlite3.SQLITE_READ and what in tables | {"sqlite_master"})
            or (action == sqlite3.SQLITE_PRAGMA and what == "table_xinfo")
        )
        return sqlite3.SQLITE_OK if fine else sqlite3.SQLITE_DENY

    return allow


def _columns(fresh: sqlite3.Connection) -> dict[str, dict[str, str]]:
    """The library's own tables: types by column, by table."""
    tables = [
        str(row[0])
        for row in fresh.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'whatsmeow\\_%' "
            "ESCAPE '\\' ORDER BY rowid"
        )
    ]
    return {
        table: {
            str(row[1]): str(row[2]).upper()
            for row in fresh.execute(f"PRAGMA table_info({table})")  # of the library
        }
        for table in tables
        if table != _VERSION
    }


def _plain_columns(theirs: sqlite3.Connection, tables: set[str]) -> dict[str, set[str]]:
    """Columns that hold what is stored in them, of those tables that are tables.
    Raises `Invalid` when one of those names is a view or a virtual table."""
    present: dict[str, set[str]] = {}
    for kind, name, sql in theirs.execute("SELECT type, name, sql FROM sqlite_master"):
        if name in tables and kind in {"table", "view"}:
            if kind != "table" or not _TABLE.match(str(sql)):
                raise Invalid(f"{name} of the device store is no ordinary table", field="data")
            present[name] = set()
    for name in present:
        # Hidden: 2 and 3 are computed by an expression of the file's.
        rows = theirs.execute(f"PRAGMA table_xinfo({name})")
        present[name] = {str(row[1]) for row in rows if row[6] == 0}
    return present


def _check_version(
    theirs: sqlite3.Connection, present: dict[str, set[str]], fresh: sqlite3.Connection
) -> None:
    """The library's own rule (go.mau.fi/util/dbutil): a store is readable when the version that
    it is compatible with is not newer than ours."""
    if not {"version", "compat"} <= present.get(_VERSION, set()):
        return
    row = theirs.execute(f"SELECT compat FROM {_VERSION} NOT INDEXED").fetchone()  # noqa: S608
    known = fresh.execute(f"SELECT version FROM {_VERSION}").fetchone()  # noqa: S608
    if row and isinstance(row[0], int) and row[0] > known[0]:
        raise Invalid("the device store is of a newer whatsmeow than this gateway's", field="data")


def _devices(theirs: sqlite3.Connection) -> list[str]:
    found: list[str] = []
    for (jid,) in theirs.execute(f"SELECT jid FROM {_DEVICE} NOT INDEXED"):  # noqa: S608
        found.append(str(jid))
        if len(found) > _MAX_DEVICES:
            raise Invalid("the device store has too many devices", field="data")
    return found


def _copy_table(
    theirs: sqlite3.Connection,
    fresh: sqlite3.Connection,
    table: str,
    columns: dict[str, str],
    chosen: str,
    budget: _Budget,
) -> None:
    """`columns`: types by name, those that both have."""
    names = ", ".join(f'"{name}"' for name in columns)
    owner = next((list(columns).index(c) for c in ("our_jid", "jid") if c in columns), None)
    kinds = [_KINDS.get(kind, (object,)) for kind in columns.values()]

    def rows() -> Iterator[tuple[Any, ...]]:
        for row in theirs.execute(f"SELECT {names} FROM {table} NOT INDEXED"):  # noqa: S608
            budget.spend(row)
            if owner is not None and row[owner] != chosen:
                continue
            for value, kind, name in zip(row, kinds, columns, strict=True):
                if value is not None and not isinstance(value, kind):
                    raise Invalid(f"{table}.{name} of the device store has no such values")
            yield row

    marks = ", ".join("?" * len(columns))
    fresh.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows())  # noqa: S608


def _chosen(present: list[str], device: str) -> str:
    if not present:
        raise Invalid("no device is linked in this store", field="data")
    if device and device not in present:
        raise Invalid(f"there is no device {device} in this store", field="device")
    if not device and len(present) > 1:
        some = ", ".join(present[:10])[:400]
        raise Invalid(f"several devices are in this store: say which of {some}", field="device")
    return device or present[0]


def account_of(store: Path) -> Me:
    """The account behind the one device of `store`. Raises `Invalid` when its keys are not whole
    (a device that never finished pairing)."""
    with closing(sqlite3.connect(store)) as db:
        row = db.execute(
            f"SELECT jid, lid, push_name, noise_key, identity_key, adv_details FROM {_DEVICE}"  # noqa: S608
        ).fetchone()
    if row is None:
        raise Invalid("no device is linked in this store", field="data")
    jid, lid, push_name, noise, identity, details = row
    if not (noise and identity and details):
        raise Invalid("the device in this store was never linked", field="data")
    if not _JID.fullmatch(jid) or not (not lid or _JID.fullmatch(lid)):
        raise Invalid("the device in this store has no JID of WhatsApp's", field="data")
    user, server = without_agent(jid)
    if server != "s.whatsapp.net":
        raise Invalid(f"{jid} is not a device of WhatsApp", field="data")
    lid_user, lid_server = without_agent(lid or "")
    return Me(
        id=f"{user}@c.us",
        push_name=(push_name or "")[:_MAX_NAME],
        lid=f"{lid_user}@{lid_server}" if lid_user else "",
        jid=jid,
    )


def identity_of(store: Path) -> bytes:
    """The private keys by which WhatsApp and its users know the device of `store`: what a forged
    store of the same JID does not have. Empty where no device is linked."""
    with closing(sqlite3.connect(store)) as db:
        row = db.execute(f"SELECT noise_key, identity_key FROM {_DEVICE}").fetchone()  # noqa: S608
    return bytes(row[0]) + bytes(row[1]) if row else b""
