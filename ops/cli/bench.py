"""`gateway bench`."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Annotated

import typer

from ops.cli.console import fail
from ops.local.layout import ROOT

__all__ = ["bench"]


def bench(
    name: Annotated[str, typer.Argument(help="Which: a module of benchmarks/.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="Given to it.")] = None,
) -> None:
    """Run a benchmark; figures are printed as JSON."""
    known = sorted(p.stem for p in (ROOT / "benchmarks").glob("*.py") if p.stem != "__init__")
    if name not in known:
        fail(f"no benchmark {name}; there are: {', '.join(known)}")
    command = [sys.executable, "-m", f"benchmarks.{name}", *(arguments or [])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GATEWAY_ENV_FILE": os.devnull}
    raise typer.Exit(subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode)
