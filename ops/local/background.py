"""Starting the host in the background, and ending it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from cluster.domain.errors import Unavailable
from ops.local.layout import ROOT, Layout
from ops.local.state import Phase, State

__all__ = ["HostOptions", "end", "environment", "host_command", "launch", "wait_until_up"]

#: A log this long is put aside when the host starts.
_LONG_LOG_BYTES = 20_000_000
#: The host bounds every step of its own; this only meets a host that hangs.
_START_SECONDS = 600.0
_END_SECONDS = 240.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class HostOptions:
    """What was asked for on the command line."""

    data: Path
    nodes: int = 1
    sandbox: bool = False
    #: 0: any free one; the user's HTTP_PORT comes first.
    http_port: int = 0
    #: Ray's, with its agents: 300 MB and a twentieth of a core.
    dashboard: bool = False


def host_command(options: HostOptions) -> list[str]:
    """How the host is started. No secrets in it: others can see command lines."""
    return [
        *(sys.executable, "-m", "ops.local.host"),
        *("--data", str(options.data)),
        *("--nodes", str(options.nodes)),
        *("--http-port", str(options.http_port)),
        *(["--sandbox"] if options.sandbox else []),
        *(["--dashboard"] if options.dashboard else []),
    ]


def environment() -> dict[str, str]:
    """The host's environment: modules are found, and `.env` is, wherever it was called from."""
    return {
        "GATEWAY_ENV_FILE": str(ROOT / ".env"),
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }


def launch(options: HostOptions, env: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start the host; it goes on when this process ends."""
    layout = Layout.at(options.data)
    layout.prepare()
    if layout.log.exists() and layout.log.stat().st_size > _LONG_LOG_BYTES:
        layout.log.replace(layout.log.with_suffix(".1.log"))
    with layout.log.open("ab") as output:
        os.fchmod(output.fileno(), 0o600)
        return subprocess.Popen(
            host_command(options),
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_until_up(
    data: Path, host: subprocess.Popen[bytes] | None, on_poll: Callable[[State], None]
) -> State:
    """Wait until the host of `data` is up; `on_poll` gets the state of each poll.
    `host`: the one just launched, if it was. Raises `Unavailable` with the reason."""
    path = Layout.at(data).state
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        ended = host is not None and host.poll() is not None
        state = State.read(path)
        if state is not None and ended and state.alive:
            host = None  # Another was faster: wait for that one.
        if state is not None and (host is None or state.host.pid == host.pid):
            on_poll(state)
            if state.phase is Phase.UP and state.alive:
                return state
            if state.phase is Phase.FAILED:
                raise Unavailable(state.error)
            if not state.alive:
                raise Unavailable("it was stopped while it started")
        elif ended:
            raise Unavailable("the host process ended at once")
        time.sleep(_POLL_SECONDS)
    raise Unavailable(f"it was not up after {_START_SECONDS:.0f} s")


def end(state: State) -> bool:
    """Have the host go down and wait; answers whether it went by itself."""
    process = state.host.find()
    if process is None:
        return True
    with contextlib.suppress(psutil.NoSuchProcess):
        # A host on its way down ignores it.
        process.terminate()
    try:
        process.wait(_END_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(_POLL_SECONDS * 50)
        return False
    return True
