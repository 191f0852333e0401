"""All commands together."""

from __future__ import annotations

from ops.cli.commands import COMMANDS, application_of

__all__ = ["application"]

application = application_of(COMMANDS)
