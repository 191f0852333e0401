"""The terminal, and how a command ends on it."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape

__all__ = ["console", "errors", "fail", "tail"]

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def fail(reason: str, *, log: Path | None = None) -> NoReturn:
    """Say why, show the end of the log, exit with 1."""
    if log is not None and (lines := tail(log, 20)):
        errors.print(f"[dim]── last lines of {escape(str(log))}[/]")
        for line in lines:
            errors.print(escape(line), style="dim", soft_wrap=True)
    errors.print(f"[bold red]failed:[/] {escape(reason)}", soft_wrap=True)
    raise typer.Exit(1)


def tail(path: Path, count: int) -> list[str]:
    """The last lines of a text file; none where there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - count * 500))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
