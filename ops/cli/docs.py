"""`gateway docs`: the docs site, served or built."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Annotated

import typer

from ops.cli.console import console, fail
from ops.local.layout import ROOT

__all__ = ["docs"]


def docs(
    build: Annotated[
        bool, typer.Option("--build", help="Make the site in ./site and end, in place of serving.")
    ] = False,
    port: Annotated[int, typer.Option(help="Where it is served, on this machine.")] = 8000,
) -> None:
    """Serve the docs site while it is written, or build it. Links that lead nowhere fail."""
    command = [sys.executable, "-m", "mkdocs", "--quiet"]
    if build:
        command += ["build", "--strict"]
    else:
        command += ["serve", "--dev-addr", f"127.0.0.1:{port}"]
        console.print(f"http://127.0.0.1:{port}")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    if code:
        fail(f"mkdocs (exit code {code})")
    if build:
        console.print(f"[green]✓[/] {ROOT / 'site' / 'index.html'}")
