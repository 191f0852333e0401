"""A folder for what a benchmark starts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["working_folder"]


@contextmanager
def working_folder() -> Iterator[Path]:
    """Fresh, and removed afterwards. Short, as Ray's sockets may lie under it."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        # As root PostgreSQL runs as another user, who passes through.
        Path(name).chmod(0o711)
        yield Path(name)
