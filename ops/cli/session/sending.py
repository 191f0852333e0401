"""`send`: a text, or a file, from the terminal."""

from __future__ import annotations

import base64
import mimetypes
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.cli.exit_codes import ExitCode
from ops.cli.session.connection import NameArgument, Target, on_a_gateway
from ops.cli.session.progress import carrying

__all__ = ["send"]

_BY_KIND = {"image": "/api/sendImage", "video": "/api/sendVideo"}


@on_a_gateway
def send(
    target: Target,
    session: NameArgument,
    chat: Annotated[str, typer.Argument(help="`…@c.us`, `…@g.us`, or a phone number.")],
    text: Annotated[
        str | None, typer.Argument(help="The text, or a file's caption; `-`: from stdin.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A file to send.")] = None,
    reply_to: Annotated[str | None, typer.Option("--reply-to", help="Id of a message.")] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option("--idempotency-key", help="The same key again is the same message."),
    ] = None,
) -> None:
    """Send a text or a file. Exit code 0: it is durable, and sent or about to be."""
    if text == "-":
        text = sys.stdin.read()
    if not text and file is None:
        target.ends("nothing to send: give a text or --file", ExitCode.USAGE)
    body: dict[str, Any] = {"session": session, "chatId": _chat(chat), "reply_to": reply_to}
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    with target.connected() as api:
        if file is None:
            sent = api.post("/api/sendText", body | {"text": text}, headers=headers)
        else:
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            try:
                content = base64.b64encode(file.read_bytes()).decode()
            except OSError as error:
                target.ends(f"{file}: {error.strerror}", ExitCode.USAGE)
            upload = {"mimetype": kind, "filename": file.name, "data": content}
            path = _BY_KIND.get(kind.partition("/")[0], "/api/sendFile")
            with carrying(f"sending {file.name}", quiet=target.as_json) as moved:
                sent = api.send_large(
                    path, body | {"file": upload, "caption": text}, moved, headers=headers
                )
    target.show(sent, f"[green]✓[/] {sent['id']}")


def _chat(text: str) -> str:
    """A plain number is a person."""
    number = text.lstrip("+").replace(" ", "")
    return f"{number}@c.us" if number.isdigit() else text
