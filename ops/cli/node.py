"""`gateway node`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from cluster.domain.errors import GatewayError
from cluster.settings import PlacementSettings, Settings
from cluster.telemetry.configure import configure_telemetry
from ops.cli.console import console, fail
from ops.local.background import end
from ops.local.layout import SERVICE, Layout
from ops.local.machine import Machine, NodeOptions
from ops.local.node_settings import MACHINE_SETTINGS, problems, take_settings
from ops.local.ray_node import GCS_PORT
from ops.local.state import Phase, State

__all__ = ["node"]

_START_SECONDS = 300.0


class _Stop(BaseException):
    """SIGTERM or SIGINT came."""


def node(
    head: Annotated[bool, typer.Option("--head", help="Begin a cluster.")] = False,
    join: Annotated[
        str, typer.Option(metavar="HEAD", help="Join the one of this head: its name or address.")
    ] = "",
    settings: Annotated[
        Path | None, typer.Option(help=f"Settings file; {MACHINE_SETTINGS} where there is one.")
    ] = None,
    name: Annotated[str, typer.Option(help="Of this node; the machine's name.")] = "",
    address: Annotated[
        str, typer.Option(help="Of this machine in the cluster; the one that leads there.")
    ] = "",
    slots: Annotated[
        int | None,
        typer.Option(
            min=0, help="Sessions it takes; PLACEMENT_SESSION_SLOTS_PER_NODE, the head none."
        ),
    ] = None,
    data: Annotated[
        Path, typer.Option(help="Data folder; the same path on all machines.")
    ] = SERVICE,
    drain: Annotated[
        float, typer.Option(min=0, help="Seconds to hand sessions over when it is stopped.")
    ] = 240.0,
    autoscaling_config: Annotated[
        Path | None, typer.Option(help="Of Ray's cluster launcher, on the head.")
    ] = None,
    port: Annotated[int, typer.Option(help="Of the head's control store.")] = GCS_PORT,
    check: Annotated[bool, typer.Option("--check", help="Look at the settings only.")] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Go on in the background; an earlier one ends first.")
    ] = False,
) -> None:
    """Run this machine's node of a cluster of many, until SIGTERM: the same for systemd, the
    cluster launcher, containers and by hand."""
    if head == bool(join):
        fail("either --head, or --join HEAD")
    try:
        take_settings(settings)
        reach = _with_port(join, port) if join else ""
        host = address or _own_address(reach)
        wrong = problems(os.environ, own_machine=not host.startswith("127."))
    except GatewayError as error:
        fail(error.detail)
    if wrong:
        for one in wrong:
            console.print(f"[red]✗[/] {one}", highlight=False)
        fail(f"{len(wrong)} to mend in the settings: docs/operations.md, many machines")
    if check:
        console.print("[green]✓[/] the settings are fit for a node")
        return
    if detach:
        _detach(data)
        return
    if slots is None:
        slots = 0 if head else PlacementSettings().session_slots_per_node
    options = NodeOptions(
        data=data.resolve(),
        name=name or socket.gethostname(),
        host=host,
        join=reach,
        port=port if head else 0,
        slots=slots,
        autoscaling=autoscaling_config.expanduser() if autoscaling_config else None,
        drain_seconds=drain,
    )
    raise typer.Exit(_run(options))


def _run(options: NodeOptions) -> int:
    """Returns the exit code."""
    configure_telemetry(Settings(), "node")
    os.umask(0o077)
    try:
        machine = Machine(options)
    except GatewayError as error:
        fail(error.detail)
    _on_signals(_raise_stop)
    try:
        machine.run()
    except _Stop:
        code = 0
    except GatewayError as error:
        console.print(f"[red]✗[/] {error.detail}")
        code = 1
    finally:
        _on_signals(signal.SIG_IGN)
        machine.stop()
    return code


def _with_port(join: str, port: int) -> str:
    return join if ":" in join else f"{join}:{port}"


def _own_address(reach: str) -> str:
    """By which this machine reaches the head, or, on the head, others."""
    host, _, port = (reach or "192.0.2.1:9").rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing: it asks for the route.
            probe.connect((host, int(port)))
        except OSError as error:
            fail(f"no way to {host}: {error.strerror or error}; or say --address")
        return str(probe.getsockname()[0])


def _detach(data: Path) -> None:
    """The same command in the background."""
    layout = Layout.at(data)
    present = State.read(layout.state)
    if present is not None and present.alive:
        with console.status("an earlier node goes down"):
            end(present)
    layout.prepare()
    arguments = [one for one in sys.argv[1:] if one != "--detach"]
    with layout.log.open("ab") as output:
        os.fchmod(output.fileno(), 0o600)
        child = subprocess.Popen(
            [sys.executable, "-m", "ops.cli", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        state = State.read(layout.state)
        if state is not None and state.host.pid == child.pid and state.phase is Phase.UP:
            console.print("[green]up[/]")
            return
        if child.poll() is not None:
            break
        time.sleep(0.2)
    fail(f"the node is not up; see {layout.log}")


def _raise_stop(number: int, frame: FrameType | None) -> None:
    _on_signals(signal.SIG_IGN)
    raise _Stop


def _on_signals(handler: signal.Handlers | signal._HANDLER) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, handler)
