"""All commands together."""

from __future__ import annotations

import typer

from cluster.cli import down, logs, status, up

__all__ = ["application"]

application = typer.Typer(
    name="gateway",
    help="A WhatsApp gateway: each session an actor of a Ray cluster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
for command in (up.up, down.down, status.status, logs.logs):
    application.command()(command)
