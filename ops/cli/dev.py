"""`gateway dev`."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Annotated

import typer

from ops.cli.console import console, fail
from ops.cli.data_folder import DataOption, present_state
from ops.cli.run import gateway_environment
from ops.local.layout import ROOT

__all__ = ["dev"]

#: Sources whose change makes the front anew.
_WATCHED = ("api", "client", "cluster")


def dev(
    port: Annotated[int, typer.Option(help="Where the front of the working tree listens.")] = 3001,
    data: DataOption = None,
) -> None:
    """Serve the HTTP front and the console from the working tree, again after each change, over the
    gateway that is up: ./gateway up --sandbox, then ./gateway dev.

    Sessions, their actors and the stores stay those of the running gateway.
    """
    _, state = present_state(data)
    if state is None or not state.alive:
        fail("no gateway is up: ./gateway up --sandbox")
    environment = gateway_environment(state) | {"PYTHONPATH": str(ROOT)}
    # Callers come directly.
    environment["RAY_SERVE_ENABLE_HA_PROXY"] = "0"
    console.print(f"[green]✓[/] http://127.0.0.1:{port} over {state.url}", soft_wrap=True)
    command = [sys.executable, "-m", "uvicorn", "serve_app:build", "--factory", "--reload"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    for folder in _WATCHED:
        command += ["--reload-dir", str(ROOT / folder)]
    try:
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    except KeyboardInterrupt:
        code = 0
    raise typer.Exit(code and os.EX_SOFTWARE)
