"""Forgetting ratchets: what a store that may be stale must do before it connects."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

__all__ = ["forget_sessions"]

#: Pairwise sessions and sender keys (whatsmeow store/sqlstore/upgrades). Identities and pre-keys
#: stay: peers renegotiate from them.
_RATCHETS = ("whatsmeow_sessions", "whatsmeow_sender_keys")


def forget_sessions(database: Path) -> int:
    """Delete every ratchet of a store that nothing has open; returns how many there were.

    A ratchet used twice loses messages silently: peers ignore old counters (whatsmeow
    message.go, ErrOldCounter).
    """
    deleted = 0
    with closing(sqlite3.connect(database, isolation_level=None)) as store:
        known = {row[0] for row in store.execute("SELECT name FROM sqlite_master")}
        store.execute("BEGIN IMMEDIATE")
        for table in _RATCHETS:
            if table in known:
                deleted += store.execute(f"DELETE FROM {table}").rowcount  # noqa: S608 - constants
        store.execute("COMMIT")
    return deleted
