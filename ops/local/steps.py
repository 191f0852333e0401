"""Commands of ours that run to their end: migrate, deploy, remove."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import structlog

from cluster.domain.errors import Unavailable
from ops.local.layout import ROOT

__all__ = ["Step", "run_module"]

log = structlog.get_logger(__name__)


class Step:
    """The `main` of a module in a process of its own, which loads the module at once and waits for
    `run` or `begin`. It ends with this process, and with `abandon`."""

    def __init__(self, module: str, *arguments: str, output: Path, nice: int = 0) -> None:
        """`output`: where what it says goes. `nice`: how much it yields to others."""
        self._module = module
        self._output = output
        self._began = 0.0
        with output.open("ab") as sink:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ops.local.prepared", str(nice), module, *arguments],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=sink,
                stderr=subprocess.STDOUT,
                # Ctrl-C of a host in the foreground is the host's to handle.
                start_new_session=True,
            )

    def run(self, *, timeout: float) -> None:
        """Let it run, and wait. Raises as `wait` does."""
        self.begin()
        self.wait(timeout=timeout)

    def begin(self) -> None:
        """Let it run; `wait` says how that went."""
        self._began = time.monotonic()
        assert self._process.stdin is not None  # noqa: S101 - a pipe
        # It may have failed to load, which `wait` says.
        with contextlib.suppress(BrokenPipeError), self._process.stdin as line:
            line.write(b"run\n")

    def wait(self, *, timeout: float) -> None:
        """Wait until it has run. Raises `Unavailable` when it fails or takes longer than `timeout`
        seconds."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            self.abandon()
            raise Unavailable(
                f"{self._module} took longer than {timeout:.0f} s; see {self._output}"
            ) from error
        if self._process.returncode:
            raise Unavailable(f"{self._module} failed; see {self._output}")
        seconds = round(time.monotonic() - self._began, 1)
        log.info("local.step", module=self._module, seconds=seconds)

    def abandon(self) -> None:
        """End it, if it has not ended."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def run_module(module: str, *arguments: str, timeout: float, output: Path) -> None:
    """Run the `main` of a module and wait; what it says goes to `output`.
    Raises `Unavailable` when it fails or takes longer than `timeout` seconds."""
    Step(module, *arguments, output=output).run(timeout=timeout)
