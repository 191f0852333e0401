"""The commands of `gateway session`, by name."""

from __future__ import annotations

from collections.abc import Callable

import typer

from ops.cli.session import life, pairing, sending, transfer, watching

__all__ = ["sessions"]

sessions = typer.Typer(
    name="session",
    help="Sessions: create, link, send, watch, move. Here, or with --url anywhere.",
    no_args_is_help=True,
)
_COMMANDS: list[Callable[..., None]] = [
    *(life.ls, life.show, life.create, pairing.qr, pairing.code, sending.send),
    *(watching.events, watching.logs, life.start, life.stop, life.restart, life.logout, life.rm),
    transfer.export,
]
for command in _COMMANDS:
    sessions.command()(command)
sessions.command("import")(transfer.bring)
sessions.command("take-back")(transfer.take_back)
