"""`gateway sandbox`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from cluster.cli.data_folder import default_folder
from cluster.local.background import environment
from cluster.local.layout import ROOT
from cluster.local.sandbox import sandbox_command

__all__ = ["sandbox"]


def sandbox(
    data: Annotated[Path | None, typer.Option("--data", help="Its folder.")] = None,
) -> None:
    """Run the local WhatsApp alone, in the foreground."""
    folder = (data or default_folder(sandbox=True).with_name("sandbox-alone")).resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chdir(ROOT)
    command = sandbox_command(folder)
    os.execve(command[0], command, environment())  # noqa: S606
