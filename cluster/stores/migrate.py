"""Applies the numbered SQL files of `cluster/stores/sql`, each once, by yoyo."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from yoyo import get_backend, read_migrations

__all__ = ["migrate"]

_FOLDER = Path(__file__).parent / "sql"


def migrate(database_url: str) -> int:
    """Bring the database to the newest schema; returns how many migrations were applied.

    Several processes may call it at once: yoyo holds a lock row while it works.
    """
    parts = urlsplit(database_url)
    backend = get_backend(urlunsplit(parts._replace(scheme="postgresql+psycopg")))
    try:
        migrations = read_migrations(str(_FOLDER))
        with backend.lock():
            pending = backend.to_apply(migrations)
            backend.apply_migrations(pending)
            return len(pending)
    finally:
        backend.connection.close()
