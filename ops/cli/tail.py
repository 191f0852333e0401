"""`gateway tail`: what happens in all sessions, as it happens."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.markup import escape

from cluster.domain.errors import Unavailable
from ops.cli.console import console, errors
from ops.cli.http import JsonApi
from ops.cli.session.connection import Target, on_a_gateway

__all__ = ["tail"]

_DATA = "data: "
_WIDEST = 120
_PAUSE_SECONDS = 1.0
#: The first that an event's name begins with counts.
_COLOURS = {
    "message.ack": "dim",
    "message.reaction": "magenta",
    "message.waiting": "red",
    "message.change": "red",
    "message": "green",
    "session": "yellow",
    "state": "yellow",
    "group": "blue",
    "call": "cyan",
    "poll": "magenta",
    "event.quarantined": "red",
}


@on_a_gateway
def tail(
    target: Target,
    sessions: Annotated[
        list[str] | None, typer.Option("--session", "-s", help="Only of this one; repeat it.")
    ] = None,
    kinds: Annotated[
        list[str] | None, typer.Option("--type", "-t", help="Names of events; repeat it.")
    ] = None,
    chat: Annotated[
        str | None, typer.Option("--chat", help="Only of chats whose id has this in it.")
    ] = None,
    text: Annotated[
        str | None, typer.Option("--grep", "-g", help="Only events in which this is found.")
    ] = None,
    count: Annotated[int, typer.Option("-n", min=0, help="End after so many; 0: never.")] = 0,
) -> None:
    """Show events of all sessions as they happen; with --json one a line."""
    wanted = frozenset(sessions or ())
    query = {"events": ",".join(kinds)} if kinds else {}
    shown = 0
    with target.connected() as api:
        for event in _live(api, query):
            if wanted and event.get("session") not in wanted:
                continue
            if chat and chat not in _chat(event):
                continue
            line = json.dumps(event, ensure_ascii=False)
            if text and text.casefold() not in line.casefold():
                continue
            if target.as_json:
                typer.echo(line)
            else:
                console.print(_row(event), soft_wrap=True)
            shown += 1
            if count and shown >= count:
                return


def _live(api: JsonApi, query: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Events from now on. A stream ends after some thousands of them, and with its replica."""
    begun = False
    while True:
        try:
            for line in api.lines("/api/events/stream", **query):
                if not begun:
                    errors.print("[dim]what happens from now on; Ctrl-C ends it[/]")
                begun = True
                if line.startswith(_DATA):
                    event = json.loads(line[len(_DATA) :])
                    if isinstance(event, dict) and "event" in event:
                        yield event
        except Unavailable as error:
            if not begun or error.fields.get("status"):
                raise
            errors.print(f"[dim]{escape(error.detail)}; trying again[/]", soft_wrap=True)
        time.sleep(_PAUSE_SECONDS)


def _row(event: dict[str, Any]) -> str:
    name = str(event["event"])
    colour = next((c for start, c in _COLOURS.items() if name.startswith(start)), "white")
    moment = datetime.fromtimestamp(int(event.get("timestamp") or 0) / 1000).astimezone()
    session = _plain(str(event.get("session", "")))
    return (
        f"[dim]{moment:%H:%M:%S}[/] [bold]{escape(session):<12}[/] "
        f"[{colour}]{escape(_plain(name)):<16}[/] {escape(_words(event))}"
    )


def _words(event: dict[str, Any]) -> str:
    """What happened, in a line."""
    payload = event.get("payload")
    if not isinstance(payload, dict):
        return _short(json.dumps(payload, ensure_ascii=False))
    if reaction := payload.get("reaction"):
        return _short(f"{_chat(event)} {reaction.get('text') or '(taken back)'}")
    if "ackName" in payload and "body" not in payload:
        return _short(f"{payload.get('to', '')} {payload['ackName']}")
    if "body" in payload:
        arrow = "→" if payload.get("fromMe") else "←"
        who = payload.get("participant") or ""
        what = payload["body"] or (payload.get("media") or {}).get("mimetype") or ""
        return _short(" ".join(part for part in (arrow, _chat(event), who, what) if part))
    if "status" in payload:
        return _short(str(payload["status"]))
    return _short(json.dumps(payload, ensure_ascii=False))


def _chat(event: dict[str, Any]) -> str:
    payload = event.get("payload")
    if not isinstance(payload, dict):
        return ""
    if "from" in payload or "to" in payload:
        return str(payload.get("to" if payload.get("fromMe") else "from") or "")
    found = payload.get("chatId") or payload.get("chat") or payload.get("id") or ""
    return str(found.get("id", "")) if isinstance(found, dict) else str(found)


def _short(text: str) -> str:
    text = _plain(text)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _plain(text: str) -> str:
    """What strangers write does not move the cursor or colour the screen."""
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text)).strip()
