"""`gateway logs`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ops.cli.console import fail, tail
from ops.cli.data_folder import DataOption, present_state
from ops.local.layout import SERVICE

__all__ = ["logs"]

_POLL_SECONDS = 0.3


def logs(
    part: Annotated[
        str, typer.Argument(help="gateway, postgres, valkey, seaweed, sandbox, node-1, actors …")
    ] = "gateway",
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on.")] = False,
    lines: Annotated[int, typer.Option("-n", min=1, help="Lines to begin with.")] = 50,
    data: DataOption = None,
) -> None:
    """Show the log of a part; `actors` shows those of all Ray workers."""
    layout, state = present_state(data)
    files = {"gateway": [layout.log]}
    files["actors"] = sorted((layout.ray / "session_latest" / "logs").glob("worker-*.*"))
    for one in state.parts if state else ():
        if one.log:
            files[one.name] = [one.log]
    if part not in files:
        fail(f"no part {part}; there are {', '.join(sorted(files))}")
    if layout.data == SERVICE and part == "gateway" and not tail(layout.log, 1):
        fail("systemd has it: journalctl -u 'gateway*'")
    positions = {}
    for path in files[part]:
        _show(path, part, tail(path, lines))
        positions[path] = path.stat().st_size if path.exists() else 0
    while follow:
        for path, position in positions.items():
            positions[path] = _show_new(path, part, position)
        time.sleep(_POLL_SECONDS)


def _show_new(path: Path, part: str, position: int) -> int:
    if not path.exists() or path.stat().st_size == position:
        return position
    with path.open("rb") as file:
        file.seek(position if path.stat().st_size > position else 0)
        _show(path, part, file.read().decode(errors="replace").splitlines())
        return file.tell()


def _show(path: Path, part: str, lines: list[str]) -> None:
    prefix = f"{path.name}: " if part == "actors" else ""
    for line in lines:
        typer.echo(prefix + line)
