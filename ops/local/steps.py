"""Commands of ours that run to their end: migrate, deploy, remove."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

import structlog

from actors.zygote.program import ForkedProgram, NoZygote
from cluster.domain.errors import Unavailable
from ops.local.layout import ROOT

__all__ = ["Step", "run_module"]

log = structlog.get_logger(__name__)

_PREPARED = "ops.local.prepared"


class _Program(Protocol):
    """`subprocess.Popen`, or a fork that does the same."""

    def wait(self, timeout: float) -> int: ...

    def kill(self) -> None: ...


class Step:
    """The `main` of a module in a process of its own, which loads the module at once and waits for
    `run` or `begin`. It ends with this process, and with `cancel`."""

    def __init__(
        self, module: str, *arguments: str, output: Path, nice: int = 0, node: Path | None = None
    ) -> None:
        """`output`: where what it says goes. `nice`: how much it yields to others. `node`: data
        folder of one whose zygote has loaded it and forks it (`ForkedProgram`)."""
        self._module = module
        self._output = output
        self._arguments = (str(nice), module, *arguments)
        self._began = 0.0
        self._word = -1
        self._program = self._load(node)

    def run(self, *, timeout: float) -> None:
        """Let it run, and wait. Raises as `wait` does."""
        self.begin()
        self.wait(timeout=timeout)

    def begin(self) -> None:
        """Let it run; `wait` says how that went."""
        self._began = time.monotonic()
        # It may have failed to load, which `wait` says.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._word, b"run\n")
        self._close()

    def wait(self, *, timeout: float) -> None:
        """Wait until it has run. Raises `Unavailable` when it fails or takes longer than `timeout`
        seconds."""
        try:
            code = self._code(timeout)
        except subprocess.TimeoutExpired as error:
            self.cancel()
            raise Unavailable(
                f"{self._module} took longer than {timeout:.0f} s; see {self._output}"
            ) from error
        if code:
            raise Unavailable(f"{self._module} failed; see {self._output}")
        seconds = round(time.monotonic() - self._began, 1)
        log.info("local.step", module=self._module, seconds=seconds)

    def cancel(self) -> None:
        """End it, if it has not ended."""
        # One that has no word yet ends without.
        self._close()
        self._program.kill()
        if isinstance(self._program, subprocess.Popen):
            self._program.wait()

    def _code(self, timeout: float) -> int:
        try:
            return self._program.wait(timeout)
        except NoZygote as reason:
            self._say(reason)
            self._program = self._load(None)
            self.begin()
            return self._program.wait(timeout)

    def _load(self, node: Path | None) -> _Program:
        self._close()
        there, self._word = os.pipe()
        try:
            with self._output.open("ab") as sink:
                if node is not None:
                    try:
                        return ForkedProgram(
                            node,
                            *(_PREPARED, *self._arguments),
                            folder=ROOT,
                            stdin=there,
                            output=sink.fileno(),
                        )
                    except NoZygote as reason:
                        self._say(reason)
                return subprocess.Popen(
                    [sys.executable, "-m", _PREPARED, *self._arguments],
                    cwd=ROOT,
                    stdin=there,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    # Ctrl-C of a host in the foreground is the host's to handle.
                    start_new_session=True,
                )
        finally:
            os.close(there)

    def _say(self, reason: NoZygote) -> None:
        log.warning("local.not_forked", module=self._module, reason=str(reason))

    def _close(self) -> None:
        if self._word >= 0:
            os.close(self._word)
            self._word = -1


def run_module(
    module: str, *arguments: str, timeout: float, output: Path, node: Path | None = None
) -> None:
    """Run the `main` of a module and wait; `output` and `node` as for a `Step`.
    Raises `Unavailable` when it fails or takes longer than `timeout` seconds."""
    Step(module, *arguments, output=output, node=node).run(timeout=timeout)
