"""`gateway lock`: make the lock files anew."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from ops.cli.console import console, fail
from ops.local.layout import ROOT

__all__ = ["lock"]

_RUNTIME, _DEVELOPMENT = "requirements.lock", "requirements-dev.lock"


def lock(
    upgrade: Annotated[bool, typer.Option("--upgrade", help="To the newest versions.")] = False,
) -> None:
    """Resolve pyproject.toml into requirements.lock and requirements-dev.lock (needs uv)."""
    beside = Path(sys.executable).parent / "uv"
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        fail("needs uv on the PATH")
    compile_ = [
        *(uv, "pip", "compile", "pyproject.toml", "--quiet", "--universal", "--generate-hashes"),
        # Neither where it was made nor from where is anybody's business.
        *("--no-header", "--no-annotate", "--no-emit-index-url", "--python-version", "3.11"),
        *(["--upgrade"] if upgrade else []),
    ]
    for arguments in (
        ["-o", _RUNTIME],
        ["--group", "dev", "-c", _RUNTIME, "-o", _DEVELOPMENT],
    ):
        code = subprocess.run([*compile_, *arguments], cwd=ROOT, check=False).returncode
        if code:
            fail(f"uv could not resolve {arguments[-1]}")
        console.print(f"[green]✓[/] {arguments[-1]}")
    for name in (_RUNTIME, _DEVELOPMENT):
        if "://" in (ROOT / name).read_text():
            fail(f"{name} names an address")
