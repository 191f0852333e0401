"""A bar for what takes its time on the way."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from ops.cli.console import errors

__all__ = ["carrying"]


@contextlib.contextmanager
def carrying(what: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Yields a callback for (bytes so far, bytes in all). On stderr: stdout is for the answer."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=errors,
        transient=True,
        disable=quiet,
    )
    with bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
