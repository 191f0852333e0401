"""`gateway status`."""

from __future__ import annotations

import json
import socket
from typing import Annotated, Any, NoReturn

import typer
from rich.table import Table

from cluster.domain.errors import Unavailable
from ops.cli.console import console, errors
from ops.cli.data_folder import DataOption, present_state
from ops.cli.exit_codes import ExitCode
from ops.cli.http import gateway_api
from ops.local.state import PartState, Phase, State

__all__ = ["session_table", "status"]

_NOT_UP = ExitCode.NOT_UP
_OK, _BAD = "[green]ok[/]", "[red]down[/]"


def status(
    as_json: Annotated[bool, typer.Option("--json", help="JSON for programs.")] = False,
    data: DataOption = None,
) -> None:
    """Show the parts and the sessions. Exit code 3 when the gateway is not up."""
    layout, state = present_state(data)
    if as_json:
        _print_state(state)
    if state is None or not state.alive:
        console.print("not up" if state is None else f"not up: {layout.data}")
        if state is not None and state.error:
            errors.print(f"the last start failed: {state.error}")
        raise typer.Exit(_NOT_UP)
    console.print(_parts(state))
    if state.phase is not Phase.UP:
        raise typer.Exit(_NOT_UP)
    try:
        with gateway_api(state, timeout=10) as api:
            console.print(session_table(api.get("/api/sessions", all=True)))
    except Unavailable as error:
        errors.print(f"sessions: {error.detail}")
        raise typer.Exit(_NOT_UP) from error


def _print_state(state: State | None) -> NoReturn:
    """The same for programs; exits."""
    up = state is not None and state.alive and state.phase is Phase.UP
    facts: dict[str, Any] = {"up": up, "phase": "down", "parts": [], "ready": None, "sessions": []}
    if state is not None and state.alive:
        facts |= {"phase": state.phase.name.lower(), "url": state.url, "error": state.error}
        facts["parts"] = [
            {
                "name": part.name,
                "pid": part.process.pid if part.process else None,
                "port": part.port,
                "healthy": _health(part, state) == _OK,
                "restarts": part.restarts,
            }
            for part in state.parts
        ]
    if up and state is not None:
        try:
            with gateway_api(state, timeout=10) as api:
                facts["ready"] = api.get("/health/ready")
                facts["sessions"] = api.get("/api/sessions", all=True)
        except Unavailable as error:
            up, facts["up"], facts["error"] = False, False, error.detail
    typer.echo(json.dumps(facts, ensure_ascii=False, indent=1))
    raise typer.Exit(ExitCode.OK if up else _NOT_UP)


def _parts(state: State) -> Table:
    table = Table("part", "pid", "health", "port", "restarts", title=f"gateway: {state.phase}")
    table.add_row("host", str(state.host.pid), _OK, "", "")
    for part in state.parts:
        table.add_row(
            part.name,
            str(part.process.pid) if part.process else "–",
            _health(part, state),
            str(part.port or ""),
            str(part.restarts or ""),
        )
    if state.phase is Phase.UP:
        with gateway_api(state, timeout=10) as api:
            answered = api.status_of("/health")
        health = _OK if answered == 200 else _BAD if answered is None else f"[red]{answered}[/]"
        table.add_row("http", "", health, state.url.rpartition(":")[2], "")
    return table


def _health(part: PartState, state: State) -> str:
    # A head is reached where the other machines reach it.
    host = state.ray_address.rpartition(":")[0] if part.node_id is not None else "127.0.0.1"
    if part.process is None or not part.process.alive:
        return _BAD
    return _OK if part.port is None or _answers(host, part.port) else "[red]silent[/]"


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


def session_table(sessions: list[dict[str, object]]) -> Table:
    """Sessions as the API shows them."""
    table = Table("session", "status", "account", "node", "epoch", title="sessions")
    for session in sessions:
        me, own = session.get("me"), session.get("gateway")
        table.add_row(
            str(session["name"]),
            str(session["status"]),
            str(me["id"]) if isinstance(me, dict) else "–",
            str(own["node"] or "–")[:12] if isinstance(own, dict) else "–",
            str(own["epoch"]) if isinstance(own, dict) else "–",
        )
    return table
