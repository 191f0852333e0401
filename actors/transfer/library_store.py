"""A device store of the library (whatsmeow, as neonize uses it): made, upgraded, checked.

The library itself does the first two, in a process of its own: opening a store brings it to its
newest schema, and refuses one of a newer library.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from cluster.domain.errors import Invalid, Unavailable
from cluster.domain.session import Me

__all__ = ["account_of", "bring_up_to_date", "keep_only"]

_SECONDS = 60.0
_DEVICE = "whatsmeow_device"
_OPEN = """
import sys
from neonize.client import ClientFactory
ClientFactory.get_all_devices_from_db(sys.argv[1])
"""


async def bring_up_to_date(store: Path) -> None:
    """Have the library open `store`: an empty one gets its tables, an old one the newest schema.
    Raises `Invalid` when it does not take the file, `Unavailable` when it does not answer."""
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
        raise Unavailable("the library did not open the device store in time") from error
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if code:
        raise Invalid("the library does not take this device store", field="data")


def keep_only(store: Path, device: str) -> None:
    """Leave one linked device in `store` and remove the others. `device`: its JID with the device
    number; empty where there is one only. Raises `Invalid`."""
    try:
        with closing(sqlite3.connect(store, isolation_level=None)) as db:
            if db.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                raise Invalid("the device store is damaged", field="data")
            tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
            if _DEVICE not in tables:
                raise Invalid("that is no device store of whatsmeow", field="data")
            present = [str(row[0]) for row in db.execute(f"SELECT jid FROM {_DEVICE}")]  # noqa: S608
            chosen = _chosen(present, device)
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("BEGIN")
            db.execute(f"DELETE FROM {_DEVICE} WHERE jid <> ?", (chosen,))  # noqa: S608
            for table in sorted(t for t in tables if t.startswith("whatsmeow_")):
                columns = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
                for column in {"our_jid", "jid"} & columns:
                    # Tables without a foreign key keep theirs otherwise.
                    db.execute(f"DELETE FROM {table} WHERE {column} <> ?", (chosen,))  # noqa: S608
            db.execute("COMMIT")
            db.execute("PRAGMA journal_mode = DELETE")
            db.execute("VACUUM")
    except sqlite3.DatabaseError as error:
        raise Invalid(f"that is no device store: {error}", field="data") from error


def _chosen(present: list[str], device: str) -> str:
    if not present:
        raise Invalid("no device is linked in this store", field="data")
    if device and device not in present:
        raise Invalid(f"there is no device {device} in this store", field="device")
    if not device and len(present) > 1:
        raise Invalid(f"several devices are in this store: say which of {present}", field="device")
    return device or present[0]


def account_of(store: Path) -> Me:
    """The account behind the one device of `store`. Raises `Invalid` when its keys are not whole
    (a device that never finished pairing)."""
    with closing(sqlite3.connect(store)) as db:
        row = db.execute(
            f"SELECT jid, lid, push_name, noise_key, identity_key, adv_details FROM {_DEVICE}"  # noqa: S608
        ).fetchone()
    jid, lid, push_name, noise, identity, details = row
    if not (noise and identity and details and "@" in jid):
        raise Invalid("the device in this store was never linked", field="data")
    user, server = _bare(jid)
    if server != "s.whatsapp.net":
        raise Invalid(f"{jid} is not a device of WhatsApp", field="data")
    lid_user, lid_server = _bare(lid or "")
    return Me(
        id=f"{user}@c.us",
        push_name=push_name or "",
        lid=f"{lid_user}@{lid_server}" if lid_user else "",
        jid=jid,
    )


def _bare(jid: str) -> tuple[str, str]:
    """User and server of a JID, without agent and device."""
    user, _, server = jid.partition("@")
    return user.partition(":")[0].partition(".")[0], server
