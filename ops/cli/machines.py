"""`gateway machines`: the suite of `tests/machines`, in a process of its own."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from ops.cli.console import fail
from ops.local.layout import ROOT

__all__ = ["machines"]

_TESTS = ROOT / "tests"


def machines(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="See `gateway machines --help`.", metavar="[OPTIONS]"),
    ] = None,
) -> None:
    """Make a cluster of machines out of namespaces (root), break the network between them, and
    count
    what was lost (docs/reliability.md)."""
    if not (_TESTS / "machines").is_dir():
        fail("the suite of machines is part of a checkout, not of the installed packages")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(_TESTS)])
    command = [sys.executable, "-m", "machines", *(arguments or [])]
    os.execv(command[0], command)  # noqa: S606 - signals reach it as if it were this process
