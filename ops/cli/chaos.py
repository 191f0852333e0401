"""`gateway chaos`: the suite of `tests/chaos`, in a process of its own."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from ops.cli.console import fail
from ops.local.layout import ROOT

__all__ = ["chaos"]

_TESTS = ROOT / "tests"


def chaos(
    arguments: Annotated[
        list[str] | None, typer.Argument(help="See `gateway chaos --help`.", metavar="[OPTIONS]")
    ] = None,
) -> None:
    """Break a gateway of its own on purpose, and count what was lost (docs/reliability.md)."""
    if not (_TESTS / "chaos").is_dir():
        fail("the chaos suite is part of a checkout, not of the installed packages")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(_TESTS)])
    command = [sys.executable, "-m", "chaos", *(arguments or [])]
    os.execv(command[0], command)  # noqa: S606 - signals reach it as if it were this process
