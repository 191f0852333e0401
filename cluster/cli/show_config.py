"""`gateway config`."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import SecretStr
from rich.table import Column, Table

from cluster.cli.console import console
from cluster.local.own_settings import groups, variable_of
from cluster.settings import Settings

__all__ = ["config"]


def config() -> None:
    """Show every setting, where it comes from and what it is for; secrets are masked."""
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
    if not isinstance(value, SecretStr):
        return str(value)
    text = value.get_secret_value()
    parts = urlsplit(text)
    if parts.scheme and parts.hostname:
        # Of a URL only what tells where it leads.
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://***@{parts.hostname}{port}{parts.path}"
    return "***" if text else ""
