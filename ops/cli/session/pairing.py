"""`qr` and `code`: linking a device from the terminal."""

from __future__ import annotations

import io
import json
import time
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from cluster.domain.errors import Unavailable
from ops.cli.console import console
from ops.cli.exit_codes import ExitCode
from ops.cli.http import JsonApi
from ops.cli.qr_text import qr_text
from ops.cli.session.connection import NameArgument, Target, on_a_gateway, print_json

__all__ = ["code", "qr", "show_until_paired"]

_POLL_SECONDS = 1.0
#: Answers while there is no code (yet): the actor starts, the code changes.
_NOT_YET = {422, 503}

TimeoutOption = Annotated[
    float, typer.Option("--timeout", min=1, help="Seconds to wait for the phone.")
]


@on_a_gateway
def qr(
    target: Target,
    session: NameArgument,
    once: Annotated[bool, typer.Option("--once", help="Print the present code and end.")] = False,
    timeout: TimeoutOption = 180,
) -> None:
    """Show a session's QR code, renewed until a phone has scanned it.

    With --json each code is a line of its own, and the session comes last.
    """
    with target.connected() as api:
        if once:
            shown = api.get(f"/api/{session}/auth/qr", format="raw")
            if target.as_json:
                print_json(shown)
            else:
                console.print(qr_text(shown["value"]), markup=False, soft_wrap=True)
            return
        paired = show_until_paired(target, api, session, timeout=timeout)
    if target.as_json:
        print_json(paired)


@on_a_gateway
def code(
    target: Target,
    session: NameArgument,
    number: Annotated[str, typer.Argument(help="The phone's number, with the country's code.")],
) -> None:
    """Ask for a pairing code to type on the phone (Linked devices, with a phone number)."""
    with target.connected() as api:
        found = api.post(f"/api/{session}/auth/request-code", {"phoneNumber": number})
    target.show(found, f"type on the phone: [bold]{found['code']}[/]")


def show_until_paired(
    target: Target, api: JsonApi, session: str, *, timeout: float = 180
) -> dict[str, Any]:
    """Show the codes as they come until the session works; returns it. Exits with STATE when it
    is stopped or fails, with TIMEOUT when no phone came."""
    deadline = time.monotonic() + timeout
    shown = ""
    # What programs read has nothing but JSON in it, not even a cursor that moves.
    screen = Console(file=io.StringIO()) if target.as_json else console
    with Live(console=screen, auto_refresh=False, transient=True) as live:
        while True:
            found: dict[str, Any] = api.get(f"/api/sessions/{session}")
            status = str(found["status"])
            if status == "WORKING":
                break
            if status in {"FAILED", "STOPPED"}:
                reason = found["gateway"]["reason"] or "start it first"
                target.ends(f"{session} is {status}: {reason}", ExitCode.STATE)
            if time.monotonic() > deadline:
                target.ends(f"no phone scanned it in {timeout:.0f} s", ExitCode.TIMEOUT)
            fresh = _code(api, session) if status == "SCAN_QR_CODE" else ""
            if fresh and fresh != shown:
                shown = fresh
                if target.as_json:
                    typer.echo(json.dumps({"value": fresh}))
            if not target.as_json:
                left = max(0, int(deadline - time.monotonic()))
                live.update(_picture(shown, session, status, left), refresh=True)
            time.sleep(_POLL_SECONDS)
    if not target.as_json:
        me = found.get("me") or {}
        console.print(f"[green]✓[/] {session} is linked to {me.get('id', '?')}")
    return found


def _code(api: JsonApi, session: str) -> str:
    try:
        return str(api.get(f"/api/{session}/auth/qr", format="raw")["value"])
    except Unavailable as error:
        if error.fields.get("status") in _NOT_YET:
            return ""
        raise


def _picture(code: str, session: str, status: str, left: int) -> Group:
    caption = f"{session}: WhatsApp > Linked devices > Link a device ({left} s)"
    if not code:
        return Group(Text(f"{session} is {status} …"))
    return Group(Text(caption), Text(qr_text(code), no_wrap=True))
