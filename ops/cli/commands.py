"""Where each command is. A command loads its own module only: all of them take seconds."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import typer

__all__ = ["COMMANDS", "application_of"]

#: What follows belongs to another program, which has options of its own, `--help` too.
_OF_ANOTHER = {
    "add_help_option": False,
    "context_settings": {"ignore_unknown_options": True, "allow_interspersed_args": False},
}
_UNKNOWN_OPTIONS = {"context_settings": {"ignore_unknown_options": True}}
#: Module, name in it, and how it is added.
COMMANDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "demo": ("demo", "demo", {}),
    "up": ("up", "up", {}),
    "down": ("down", "down", {}),
    "status": ("status", "status", {}),
    "doctor": ("doctor", "doctor", {}),
    "logs": ("logs", "logs", {}),
    "sandbox": ("sandbox", "sandbox", {}),
    "tail": ("tail", "tail", {}),
    "send": ("session.sending", "send", {}),
    "node": ("node", "node", {}),
    "nodes": ("drain", "nodes", {}),
    "drain": ("drain", "drain", {}),
    "undrain": ("drain", "undrain", {}),
    "migrate": ("migrate", "migrate", {}),
    "config": ("show_config", "config", {}),
    "version": ("version", "version", {}),
    "lock": ("lock", "lock", {}),
    "audit": ("audit", "audit", {}),
    "docs": ("docs", "docs", {}),
    "dev": ("dev", "dev", {}),
    "run": ("run", "run", {"context_settings": {"allow_interspersed_args": False}}),
    "chaos": ("chaos", "chaos", _OF_ANOTHER),
    "machines": ("machines", "machines", _OF_ANOTHER),
    "bench": ("bench", "bench", _UNKNOWN_OPTIONS),
    "test": ("checks", "run_checks", _UNKNOWN_OPTIONS),
    "session": ("session.commands", "sessions", {}),
    "library": ("library", "library", {}),
    "checkpoints": ("checkpoints", "checkpoints", {}),
}


def application_of(names: Iterable[str]) -> typer.Typer:
    """The command line with these of `COMMANDS`."""
    application = typer.Typer(
        name="gateway",
        help="A WhatsApp gateway: each session an actor of a Ray cluster.",
        no_args_is_help=True,
        pretty_exceptions_show_locals=False,
        # With a callback a lone command keeps its name.
        callback=lambda: None,
    )
    for name in names:
        module, attribute, options = COMMANDS[name]
        found = getattr(import_module(f"ops.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            application.add_typer(found)
        else:
            application.command(name, **options)(found)
    return application
