"""Applies the numbered SQL files of `cluster/stores/sql`, each once, by yoyo."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from yoyo import get_backend, read_migrations

from cluster.domain.errors import Unavailable
from cluster.settings import StoreSettings

__all__ = ["migrate"]

#: Any number that no other program locks in this database.
_LOCK = 0x6761746577617900
_FOLDER = Path(__file__).parent / "sql"


def migrate(database_url: str) -> int:
    """Bring the database to the newest schema; returns how many migrations were applied.

    Several processes may call it at once: one works, under an advisory lock that ends with its
    connection, and the others wait. Raises `Unavailable` when PostgreSQL is unreachable.
    """
    parts = urlsplit(database_url)
    try:
        with psycopg.connect(database_url, autocommit=True, connect_timeout=10) as guard:
            guard.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            return _apply(urlunsplit(parts._replace(scheme="postgresql+psycopg")))
    except psycopg.OperationalError as error:
        raise Unavailable("PostgreSQL is unreachable", retry_after=2) from error


def _apply(yoyo_url: str) -> int:
    backend = get_backend(yoyo_url)
    try:
        # Under the advisory lock nobody else migrates: a lock row is of a process that died.
        backend.break_lock()
        migrations = read_migrations(str(_FOLDER))
        with backend.lock():
            pending = backend.to_apply(migrations)
            backend.apply_migrations(pending)
            return len(pending)
    finally:
        backend.connection.close()


if __name__ == "__main__":
    migrate(StoreSettings().database_url.get_secret_value())
