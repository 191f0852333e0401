"""The WhatsApp library: what it keeps on this machine. It is loaded in a process of its own, which
may end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ops.doctor.check import Check, Verdict

__all__ = ["LibraryNotLoaded", "library", "what_holds"]

_SECONDS = 120


class LibraryNotLoaded(Exception):
    """It cannot be loaded here; the text says why."""


def what_holds(root: Path, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """`version`, `machine`, `presents` (WhatsApp Web), `kept` (names) and `smaller` (name → what
    holds instead). `environment` goes before this process's. Raises `LibraryNotLoaded`."""
    wanted = os.environ | {"PYTHONPATH": str(root)} | (environment or {})
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "actors.whatsapp.library"],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            env=wanted,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LibraryNotLoaded(str(error)) from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise LibraryNotLoaded(said[-1])
    return dict(json.loads(done.stdout.splitlines()[-1]))


def library(root: Path) -> Iterator[Check]:
    """One check of the library, one of each promise that it does not keep."""
    try:
        facts = what_holds(root)
    except LibraryNotLoaded as error:
        yield Check(
            group="library",
            name="neonize",
            verdict=Verdict.ERROR,
            found=f"cannot be loaded: {error}",
            remedy="./gateway installs the lock when it changed; machines: docs/promises.md",
        )
        return
    kept, smaller = facts["kept"], facts["smaller"]
    yield Check(
        group="library",
        name="neonize",
        verdict=Verdict.OK,
        found=f"{facts['version']} on {facts['machine']}, as WhatsApp Web {facts['presents']};"
        f" {len(kept)} of {len(kept) + len(smaller)} promises kept",
    )
    for name, instead in smaller.items():
        yield Check(
            group="library",
            name=name,
            verdict=Verdict.WARNING,
            found=f"not kept: {instead}",
            remedy="./gateway library check; machines and versions: docs/promises.md",
        )
