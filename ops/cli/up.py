"""`gateway up`."""

from __future__ import annotations

import os
import time
from typing import Annotated

import typer
from rich.panel import Panel
from rich.table import Table

from cluster.domain.errors import GatewayError
from ops.cli.console import console, fail
from ops.cli.data_folder import DataOption, default_folder
from ops.cli.start_up import start_gateway
from ops.local.background import HostOptions, environment, host_command
from ops.local.layout import ROOT, Layout
from ops.local.state import Phase, State

__all__ = ["show_addresses", "up"]

_PORT = 3000


def up(
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="The local WhatsApp in place of the real one.")
    ] = False,
    nodes: Annotated[
        int | None, typer.Option(min=1, max=16, help="Ray nodes; 1, with --sandbox 2.")
    ] = None,
    sessions_per_actor: Annotated[
        int | None,
        typer.Option(
            min=1, max=200, help="Sessions that share a process; PLACEMENT_SESSIONS_PER_ACTOR."
        ),
    ] = None,
    data: DataOption = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay, and log to the terminal.")
    ] = False,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Ray's dashboard and figures too: 300 MB.")
    ] = False,
    show_key: Annotated[bool, typer.Option("--show-key", help="Print the API key.")] = False,
) -> None:
    """Start the whole gateway on this machine; data survives restarts."""
    folder = data or default_folder(sandbox=sandbox)
    options = HostOptions(
        data=folder.resolve(),
        nodes=nodes or (2 if sandbox else 1),
        sandbox=sandbox,
        http_port=_PORT,
        dashboard=dashboard,
    )
    env = environment()
    if sessions_per_actor is not None:
        env["PLACEMENT_SESSIONS_PER_ACTOR"] = str(sessions_per_actor)
    layout = Layout.at(folder)
    present = State.read(layout.state)
    if present is not None and present.alive and present.phase is Phase.UP:
        console.print("[green]already up[/]")
        show_addresses(present, layout, show_key=show_key)
        return
    if foreground:
        os.chdir(ROOT)
        command = host_command(options)
        os.execve(command[0], command, env)  # noqa: S606
    began = time.monotonic()
    try:
        state = start_gateway(options, env)
    except GatewayError as error:
        fail(error.detail, log=layout.log)
    console.print(f"[green]up[/] after {time.monotonic() - began:.1f} s")
    show_addresses(state, layout, show_key=show_key)


def show_addresses(state: State, layout: Layout, *, show_key: bool) -> None:
    """Where everything is."""
    table = Table.grid(padding=(0, 2))
    table.add_row("API", state.url)
    table.add_row("API docs", f"{state.url}/docs")
    key = state.api_key if show_key else f"in {layout.secrets / 'http-api-key'}"
    if not show_key and not (layout.secrets / "http-api-key").exists():
        key = "your HTTP_API_KEY"
    table.add_row("X-Api-Key", key)
    if state.dashboard_url:
        table.add_row("Ray dashboard", state.dashboard_url)
        table.add_row("its token", f"in {layout.secrets / 'ray-token'}")
    if state.sandboxed:
        token = state.sandbox_control_token if show_key else f"in {layout.state}"
        table.add_row("sandbox control", state.sandbox_control_url)
        table.add_row("its bearer token", token)
    table.add_row("data", str(layout.data))
    table.add_row("log", str(layout.log))
    console.print(Panel(table, title="gateway", expand=False))
