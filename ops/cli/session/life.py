"""`ls`, `show`, `create`, `start`, `stop`, `restart`, `logout`, `rm`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ops.cli.console import console
from ops.cli.exit_codes import ExitCode
from ops.cli.http import JsonApi
from ops.cli.session.connection import (
    DataOption,
    JsonOption,
    KeyOption,
    NameArgument,
    UrlOption,
    connected,
    ends,
    print_json,
)
from ops.cli.session.pairing import show_until_paired
from ops.cli.status import session_table

__all__ = ["create", "logout", "ls", "restart", "rm", "show", "start", "stop", "stopped"]

WaitOption = Annotated[
    float, typer.Option("--wait", min=0, help="Seconds to wait until it is so; 0: do not.")
]
_POLL_SECONDS = 0.5
_STOP_SECONDS = 60.0


def ls(
    all: Annotated[bool, typer.Option("--all", "-a", help="Stopped ones, too.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data: DataOption = None,
) -> None:
    """List the sessions."""
    with connected(url, key, data, as_json=as_json) as api:
        found = api.get("/api/sessions", all=all)
    if as_json:
        print_json(found)
    else:
        console.print(session_table(found))


def show(
    session: NameArgument,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data: DataOption = None,
) -> None:
    """Show one session."""
    with connected(url, key, data, as_json=as_json) as api:
        found = api.get(f"/api/sessions/{session}")
    _print_session(found, as_json=as_json)


def create(
    session: NameArgument,
    webhook: Annotated[
        list[str] | None, typer.Option("--webhook", help="Address that receives all events.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="JSON file with WAHA's `config`.")
    ] = None,
    start: Annotated[bool, typer.Option(help="Start it at once.")] = True,
    qr: Annotated[bool, typer.Option("--qr", help="Show the QR code until it is scanned.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data: DataOption = None,
) -> None:
    """Create a session."""
    wanted: dict[str, Any] = _read(config, as_json=as_json) if config else {}
    if webhook:
        wanted["webhooks"] = [{"url": one, "events": ["*"]} for one in webhook]
    with connected(url, key, data, as_json=as_json) as api:
        body = {"name": session, "start": start, "config": wanted or None}
        found = api.post("/api/sessions", body)
        if qr and start:
            show_until_paired(api, session, as_json=as_json)
            found = api.get(f"/api/sessions/{session}")
    _print_session(found, as_json=as_json)


def start(
    session: NameArgument,
    wait: WaitOption = 0,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data: DataOption = None,
) -> None:
    """Have a session running. With --wait: until it works, or wants a QR code scanned."""
    with connected(url, key, data, as_json=as_json) as api:
        api.post(f"/api/sessions/{session}/start")
        found = _once(api, session, {"WORKING", "SCAN_QR_CODE"}, wait, as_json=as_json)
    _print_session(found, as_json=as_json)


def stop(
    session: NameArgument,
    wait: WaitOption = 0,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data: DataOption = None,
) -> None:
    """End a session cleanly; its device stays linked."""
    with connected(url, key, data, as_json=as_json) as api:
        api.post(f"/api/sessions/{session}/stop")
        found = _once(api, session, {"STOPPED"}, wait, as_json=as_json)
    _print_session(found, as_json=as_json)


def restart(
    session: NameArgument,
    wait: WaitOption = 0,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data: DataOption = None,
) -> None:
    """Stop a session and start it."""
    with connected(url, key, data, as_json=as_json) as api:
        api.post(f"/api/sessions/{session}/restart")
        found = _once(api, session, {"WORKING", "SCAN_QR_CODE"}, wait, as_json=as_json)
    _print_session(found, as_json=as_json)


def logout(
    session: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data: DataOption = None,
) -> None:
    """Unlink a session's device."""
    if not yes:
        typer.confirm(f"Unlink the device of {session}? It needs a new QR code then", abort=True)
    with connected(url, key, data, as_json=as_json) as api:
        found = api.post(f"/api/sessions/{session}/logout")
    _print_session(found, as_json=as_json)


def rm(
    session: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data: DataOption = None,
) -> None:
    """Unlink a session's device and forget the session with its history."""
    if not yes:
        typer.confirm(f"Delete {session} with its history?", abort=True)
    with connected(url, key, data, as_json=as_json) as api:
        api.delete(f"/api/sessions/{session}")
    if as_json:
        print_json({"name": session, "deleted": True})
    else:
        console.print(f"{session} is deleted")


def stopped(api: JsonApi, session: str, *, as_json: bool) -> None:
    """Wait until nobody owns it any more."""
    deadline = time.monotonic() + _STOP_SECONDS
    while (found := _once(api, session, {"STOPPED"}, _STOP_SECONDS, as_json=as_json))["gateway"][
        "node"
    ]:
        if time.monotonic() > deadline:
            ends(f"{found['name']} did not stop", ExitCode.TIMEOUT, as_json=as_json)
        time.sleep(_POLL_SECONDS)


def _once(
    api: JsonApi, session: str, wanted: set[str], seconds: float, *, as_json: bool
) -> dict[str, Any]:
    """The session once its status is one of those. Exits when it failed, or with TIMEOUT."""
    deadline = time.monotonic() + seconds
    while True:
        found: dict[str, Any] = api.get(f"/api/sessions/{session}")
        if not seconds or found["status"] in wanted:
            return found
        if found["status"] == "FAILED":
            ends(f"{session} failed: {found['gateway']['reason']}", ExitCode.STATE, as_json=as_json)
        if time.monotonic() > deadline:
            text = f"{session} is {found['status']} after {seconds:.0f} s"
            ends(text, ExitCode.TIMEOUT, as_json=as_json)
        time.sleep(_POLL_SECONDS)


def _read(path: Path, *, as_json: bool) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        ends(f"{path}: {error}", ExitCode.USAGE, as_json=as_json)
    if not isinstance(found, dict):
        ends(f"{path} is no JSON object", ExitCode.USAGE, as_json=as_json)
    return found


def _print_session(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
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
    console.print(table)
