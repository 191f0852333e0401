"""Commands of ours that run to their end: migrate, deploy, remove."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from cluster.domain.errors import Unavailable
from ops.local.layout import ROOT

__all__ = ["run_module"]

log = structlog.get_logger(__name__)


def run_module(module: str, *arguments: str, timeout: float, output: Path) -> None:
    """Run `python -m module` and wait; what it says goes to `output`.
    Raises `Unavailable` when it fails or takes longer."""
    command: Sequence[str] = [sys.executable, "-m", module, *arguments]
    began = time.monotonic()
    with output.open("ab") as sink:
        try:
            subprocess.run(
                command,
                check=True,
                timeout=timeout,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                # Ctrl-C of a host in the foreground is the host's to handle.
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"{module} took longer than {timeout:.0f} s; see {output}") from error
        except subprocess.CalledProcessError as error:
            raise Unavailable(f"{module} failed; see {output}") from error
    log.info("local.step", module=module, seconds=round(time.monotonic() - began, 1))
