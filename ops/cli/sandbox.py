"""`gateway sandbox`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ops.cli.data_folder import default_folder
from ops.local.background import environment
from ops.local.layout import ROOT
from ops.local.sandbox import sandbox_command

__all__ = ["sandbox"]


_Port = Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")]


def sandbox(
    data: Annotated[Path | None, typer.Option("--data", help="Its folder.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    proxy_port: _Port = 0,
    websocket_port: _Port = 0,
    media_port: _Port = 0,
    control_port: _Port = 0,
    one_port: _Port = 0,
) -> None:
    """Run the local WhatsApp alone, in the foreground. Prints where it is as JSON, and logs to
    stderr."""
    folder = (data or default_folder(sandbox=True).with_name("sandbox-alone")).resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chdir(ROOT)
    ports = {
        "--proxy-port": proxy_port,
        "--websocket-port": websocket_port,
        "--media-port": media_port,
        "--control-port": control_port,
        "--one-port": one_port,
    }
    given = [text for name, port in ports.items() for text in (name, str(port))]
    command = sandbox_command(folder, "--host", host, *given)
    os.execve(command[0], command, environment())  # noqa: S606
