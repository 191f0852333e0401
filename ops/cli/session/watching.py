"""`events` and `logs`: what a session goes through."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.markup import escape

from ops.cli.console import console, tail
from ops.cli.data_folder import present_state
from ops.cli.exit_codes import ExitCode
from ops.cli.http import JsonApi
from ops.cli.session.connection import DataOption, NameArgument, Target, ends, on_a_gateway

__all__ = ["events", "logs"]

_DATA = "data: "
_WIDEST = 160
#: Of each worker's log, the end that is looked through, lines.
_TAIL_LINES = 20_000


@on_a_gateway
def events(
    target: Target,
    session: NameArgument,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on.")] = False,
    kinds: Annotated[
        list[str] | None, typer.Option("--type", help="Names of events, `message` …; repeat it.")
    ] = None,
    after: Annotated[int, typer.Option("--after", min=0, help="Numbered above this.")] = 0,
    limit: Annotated[int, typer.Option("-n", min=1, max=1000, help="The newest so many.")] = 20,
) -> None:
    """Show a session's events; with --json one a line."""
    query = {"events": ",".join(kinds)} if kinds else {}
    with target.connected() as api:
        last = after
        for event in _past(api, session, after, limit, query):
            last = int(event["gateway"]["seq"])
            _print_event(event, as_json=target.as_json)
        while follow:
            # A stream ends after some thousands of events, and with its replica.
            for line in api.lines(f"/api/{session}/events/stream", after=last, **query):
                if line.startswith(_DATA):
                    event = json.loads(line[len(_DATA) :])
                    if "gateway" in event:
                        last = int(event["gateway"]["seq"])
                        _print_event(event, as_json=target.as_json)


def logs(
    session: NameArgument,
    lines: Annotated[int, typer.Option("-n", min=1, help="Lines at most.")] = 100,
    data: DataOption = None,
) -> None:
    """Show what the logs on this machine say of a session, oldest first."""
    layout, state = present_state(data)
    if state is None:
        ends("no gateway was ever up here; remote ones: `session events`", ExitCode.NOT_UP)
    about = re.compile(rf'\bsession"?[=:]\s*[\'"]?{re.escape(session)}\b(?!-)')
    found: list[tuple[str, str]] = []
    for file in (layout.ray / "session_latest" / "logs").glob("worker-*.*"):
        found += [(_time(line), line) for line in tail(file, _TAIL_LINES) if about.search(line)]
    if not found:
        ends(f"the logs say nothing of {session}", ExitCode.NOT_FOUND)
    for _, line in sorted(found, key=lambda one: one[0])[-lines:]:
        typer.echo(line)


def _past(
    api: JsonApi, session: str, after: int, limit: int, query: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """The newest `limit` events above `after`, oldest first."""
    path = f"/api/{session}/events"
    if not after:
        newest = int(api.get(path, limit=1)["newest"])
        after = max(0, newest - limit)
    yield from api.get(path, after=after, limit=limit, **query)["events"]


def _print_event(event: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(event, ensure_ascii=False))
        return
    payload = json.dumps(event["payload"], ensure_ascii=False)
    if len(payload) > _WIDEST:
        payload = payload[: _WIDEST - 1] + "…"
    seq, name = event["gateway"]["seq"], event["event"]
    console.print(f"[dim]{seq:>6}[/] [bold]{escape(name)}[/] {escape(payload)}", soft_wrap=True)


_STAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*")


def _time(line: str) -> str:
    match = _STAMP.search(line)
    return match[0].replace("T", " ") if match else ""
