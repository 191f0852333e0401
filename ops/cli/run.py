"""`gateway run`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import psutil
import typer

from cluster.domain.errors import GatewayError
from ops.cli.console import fail
from ops.cli.data_folder import DataOption, present_state
from ops.local.node_settings import take_settings
from ops.local.state import State

__all__ = ["gateway_environment", "machine_environment", "run"]


def run(
    command: Annotated[list[str], typer.Argument(help="The program and its arguments.")],
    data: DataOption = None,
) -> None:
    """Run a program with the settings of the gateway that is up: `cluster.connect()` finds it.

    For example: ./gateway run -- python my_program.py
    """
    _, state = present_state(data)
    if state is None or not state.alive:
        fail("no gateway is up")
    os.environ.update(gateway_environment(state))
    try:
        os.execvp(command[0], command)  # noqa: S606 - what the user asked for
    except OSError as error:
        fail(f"{command[0]}: {error.strerror}")


def machine_environment() -> None:
    """Take the machine's settings into the environment, or say what is wrong with their file."""
    try:
        take_settings()
    except GatewayError as error:
        fail(error.detail)


def gateway_environment(state: State) -> dict[str, str]:
    """What the gateway's own programs have: no file holds all of it, their environment does."""
    nodes = (part.process for part in state.parts if part.node_id is not None)
    alive = next((process for process in nodes if process is not None and process.alive), None)
    if alive is None:
        fail("the gateway's Ray node does not run")
    found = psutil.Process(alive.pid).environ()
    # `python` is the one that has the gateway's packages.
    found["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return found
