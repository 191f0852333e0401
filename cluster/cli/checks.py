"""`gateway test`: everything CI checks, in the order of how soon it answers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from cluster.cli.console import console, fail
from cluster.local.layout import ROOT

__all__ = ["run_checks"]

_PYTHON = sys.executable
_CHECKS = {
    "ruff check": [_PYTHON, "-m", "ruff", "check", "."],
    "ruff format": [_PYTHON, "-m", "ruff", "format", "--check", "."],
    "mypy": [_PYTHON, "-m", "mypy"],
    "bandit": [
        *(_PYTHON, "-m", "bandit", "--quiet", "--configfile", "pyproject.toml", "-ll"),
        *("--recursive", "actors", "api", "cluster", "sandbox", "serve_app.py"),
    ],
    "import-linter": [str(Path(_PYTHON).parent / "lint-imports")],
}


def run_checks(
    arguments: Annotated[list[str] | None, typer.Argument(help="Given to pytest.")] = None,
) -> None:
    """Lint, format, types, import directions, tests; stops at the first that fails."""
    checks = {**_CHECKS, "pytest": [_PYTHON, "-m", "pytest", *(arguments or [])]}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name, command in checks.items():
        console.rule(f"[bold]{name}")
        began = time.monotonic()
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        if code:
            fail(f"{name} (exit code {code})")
        console.print(f"[green]✓[/] {name} [dim]{time.monotonic() - began:.1f} s[/]")
