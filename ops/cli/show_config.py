"""`gateway config`."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

import typer
from pydantic import SecretStr
from rich.table import Column, Table

from cluster.settings import Settings
from ops.cli.console import console
from ops.cli.run import machine_environment
from ops.config_check import database_findings, findings
from ops.local.user_settings import UserSettings, groups, variable_of

__all__ = ["config"]


class What(StrEnum):
    """What to do with the settings."""

    SHOW = "show"
    CHECK = "check"


def config(
    what: Annotated[
        What, typer.Argument(help="`check`: tell what is missing or weak.")
    ] = What.SHOW,
) -> None:
    """Show every setting, where it comes from and what it is for; secrets are masked.

    Those of the machine's file count where there is one (docs/operations.md, many machines).
    `check` ends with 1 when something must not meet the internet as it is."""
    machine_environment()
    if what is What.CHECK:
        check(Settings())
    else:
        _show()


def check(settings: Settings) -> None:
    """Print what to mend. Exits with 1 when there are errors."""
    found = findings(settings)
    own = UserSettings.read()
    if own.has_database:
        found += asyncio.run(database_findings(settings))
    for one in found:
        colour = "red" if one.level == "error" else "yellow"
        console.print(f"[{colour}]{one.level}[/] [bold]{one.variable}[/] {one.what}")
    errors = sum(one.level == "error" for one in found)
    if errors:
        console.print(f"{errors} to mend before production (FRONT_PRODUCTION=true refuses them)")
        raise typer.Exit(1)
    console.print("[green]✓[/] fit for production")


def _show() -> None:
    table = Table(Column("setting", no_wrap=True), "value", "from", "meaning")
    for group in groups(Settings()):
        for name, field in type(group).model_fields.items():
            table.add_row(
                variable_of(group, name),
                _masked(getattr(group, name)),
                "you" if name in group.model_fields_set else "default",
                field.description or "",
            )
        table.add_section()
    console.print(table)
    console.print(
        "[dim]What is not set here `gateway up` fills in: PostgreSQL, Redis and S3 servers of its "
        "own, HTTP_API_KEY, CHECKPOINT_KEYS.[/]"
    )


def _masked(value: object) -> str:
    secret = isinstance(value, SecretStr)
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    parts = urlsplit(text)
    if not secret and "@" not in parts.netloc:
        return text
    if parts.scheme and parts.hostname:
        # Of a URL only what says where it leads.
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://***@{parts.hostname}{port}{parts.path}"
    return "***" if text else ""
