"""`ls`, `show`, `create`, `start`, `stop`, `restart`, `logout`, `rm`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ops.cli.exit_codes import ExitCode
from ops.cli.http import JsonApi
from ops.cli.session.connection import NameArgument, Target, on_a_gateway
from ops.cli.session.pairing import show_until_paired
from ops.cli.status import session_table

__all__ = ["create", "logout", "ls", "restart", "rm", "show", "start", "stop", "stopped"]

WaitOption = Annotated[
    float, typer.Option("--wait", min=0, help="Seconds to wait until it is so; 0: do not.")
]
_POLL_SECONDS = 0.5
_STOP_SECONDS = 60.0


@on_a_gateway
def ls(
    target: Target,
    all: Annotated[bool, typer.Option("--all", "-a", help="Stopped ones, too.")] = False,
) -> None:
    """List the sessions."""
    with target.connected() as api:
        found = api.get("/api/sessions", all=all)
    target.show(found, session_table(found))


@on_a_gateway
def show(
    target: Target,
    session: NameArgument,
) -> None:
    """Show one session."""
    with target.connected() as api:
        found = api.get(f"/api/sessions/{session}")
    target.show(found, _described(found))


@on_a_gateway
def create(
    target: Target,
    session: NameArgument,
    webhook: Annotated[
        list[str] | None, typer.Option("--webhook", help="Address that receives all events.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="JSON file with WAHA's `config`.")
    ] = None,
    start: Annotated[bool, typer.Option(help="Start it at once.")] = True,
    qr: Annotated[bool, typer.Option("--qr", help="Show the QR code until it is scanned.")] = False,
) -> None:
    """Create a session."""
    wanted: dict[str, Any] = _read(target, config) if config else {}
    if webhook:
        wanted["webhooks"] = [{"url": one, "events": ["*"]} for one in webhook]
    with target.connected() as api:
        body = {"name": session, "start": start, "config": wanted or None}
        found = api.post("/api/sessions", body)
        if qr and start:
            show_until_paired(target, api, session)
            found = api.get(f"/api/sessions/{session}")
    target.show(found, _described(found))


@on_a_gateway
def start(
    target: Target,
    session: NameArgument,
    wait: WaitOption = 0,
) -> None:
    """Have a session running. With --wait: until it works, or wants a QR code scanned."""
    with target.connected() as api:
        api.post(f"/api/sessions/{session}/start")
        found = _once(target, api, session, {"WORKING", "SCAN_QR_CODE"}, wait)
    target.show(found, _described(found))


@on_a_gateway
def stop(
    target: Target,
    session: NameArgument,
    wait: WaitOption = 0,
) -> None:
    """End a session cleanly; its device stays linked."""
    with target.connected() as api:
        api.post(f"/api/sessions/{session}/stop")
        found = _once(target, api, session, {"STOPPED"}, wait)
    target.show(found, _described(found))


@on_a_gateway
def restart(
    target: Target,
    session: NameArgument,
    wait: WaitOption = 0,
) -> None:
    """Stop a session and start it."""
    with target.connected() as api:
        api.post(f"/api/sessions/{session}/restart")
        found = _once(target, api, session, {"WORKING", "SCAN_QR_CODE"}, wait)
    target.show(found, _described(found))


@on_a_gateway
def logout(
    target: Target,
    session: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Unlink a session's device."""
    if not yes:
        typer.confirm(f"Unlink the device of {session}? It needs a new QR code then", abort=True)
    with target.connected() as api:
        found = api.post(f"/api/sessions/{session}/logout")
    target.show(found, _described(found))


@on_a_gateway
def rm(
    target: Target,
    session: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Unlink a session's device and forget the session with its history."""
    if not yes:
        typer.confirm(f"Delete {session} with its history?", abort=True)
    with target.connected() as api:
        api.delete(f"/api/sessions/{session}")
    target.show({"name": session, "deleted": True}, f"{session} is deleted")


def stopped(target: Target, api: JsonApi, session: str) -> None:
    """Wait until nobody owns it any more."""
    deadline = time.monotonic() + _STOP_SECONDS
    while True:
        found = _once(target, api, session, {"STOPPED"}, _STOP_SECONDS)
        if not found["gateway"]["node"]:
            return
        if time.monotonic() > deadline:
            target.ends(f"{found['name']} did not stop", ExitCode.TIMEOUT)
        time.sleep(_POLL_SECONDS)


def _once(
    target: Target, api: JsonApi, session: str, wanted: set[str], seconds: float
) -> dict[str, Any]:
    """The session once its status is one of those. Exits when it failed, or with TIMEOUT."""
    deadline = time.monotonic() + seconds
    while True:
        found: dict[str, Any] = api.get(f"/api/sessions/{session}")
        if not seconds or found["status"] in wanted:
            return found
        if found["status"] == "FAILED":
            target.ends(f"{session} failed: {found['gateway']['reason']}", ExitCode.STATE)
        if time.monotonic() > deadline:
            text = f"{session} is {found['status']} after {seconds:.0f} s"
            target.ends(text, ExitCode.TIMEOUT)
        time.sleep(_POLL_SECONDS)


def _read(target: Target, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        target.ends(f"{path}: {error}", ExitCode.USAGE)
    if not isinstance(found, dict):
        target.ends(f"{path} is no JSON object", ExitCode.USAGE)
    return found


def _described(found: dict[str, Any]) -> Table:
    me, own = found.get("me") or {}, found["gateway"]
    table = Table.grid(padding=(0, 2))
    for name, value in (
        ("session", found["name"]),
        ("status", found["status"]),
        ("reason", own["reason"]),
        ("account", me.get("id")),
        ("name", me.get("pushName")),
        ("device", me.get("jid")),
        ("node", own["node"]),
        ("epoch", own["epoch"]),
        ("desired", own["desired"]),
        ("exported", own.get("exportedAt")),
        ("created", own["createdAt"]),
    ):
        if value not in (None, ""):
            table.add_row(f"[dim]{name}[/]", str(value))
    return table
