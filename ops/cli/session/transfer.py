"""`export`, `import` and `take-back`: sessions between gateways."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.domain.device_source import SourceKind
from cluster.domain.errors import Invalid
from ops.cli.console import console
from ops.cli.device_files import kind_of, read_folder, read_store
from ops.cli.exit_codes import ExitCode
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
from ops.cli.session.life import stopped
from ops.cli.session.progress import carrying

__all__ = ["bring", "export", "take_back"]

#: Environment variable with the passphrase of archives.
_VARIABLE = "GATEWAY_ARCHIVE_PASSPHRASE"

PassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", help=f"Its first line is the passphrase; or {_VARIABLE}, or asked for."
    ),
]


def export(
    session: NameArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")],
    stop: Annotated[bool, typer.Option("--stop", help="Stop the session first.")] = False,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data: DataOption = None,
) -> None:
    """Write a session's linked device to an encrypted archive. The session must be stopped, and
    does not start here any more: delete it, or `take-back`."""
    if out.exists():
        ends(f"{out} exists already", ExitCode.USAGE, as_json=as_json)
    passphrase = _passphrase(passphrase_file, twice=True, as_json=as_json)
    with connected(url, key, data, as_json=as_json) as api:
        if stop:
            api.post(f"/api/sessions/{session}/stop")
            stopped(api, session, as_json=as_json)
        with carrying(f"exporting {session}", quiet=as_json) as moved:
            archive = api.fetch(f"/api/sessions/{session}/export", {"passphrase": passphrase})
            moved(len(archive), len(archive))
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(archive)
        os.fsync(file.fileno())
    if as_json:
        print_json({"name": session, "file": str(out), "bytes": len(archive)})
    else:
        console.print(f"[green]✓[/] {out} ({len(archive):,} bytes); {session} stays stopped here")


def bring(
    session: NameArgument,
    source: Annotated[
        Path,
        typer.Argument(help="An archive, a SQLite store of whatsmeow or neonize, a Baileys folder"),
    ],
    device: Annotated[
        str, typer.Option("--device", help="JID of the device, where a store has several.")
    ] = "",
    start: Annotated[bool, typer.Option(help="Start it at once.")] = True,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data: DataOption = None,
) -> None:
    """Make a session of a device that was linked elsewhere; no QR code is needed. The program it
    comes from must have ended for good: one device, one owner."""
    try:
        kind = kind_of(source)
        body: dict[str, Any] = {"name": session, "source": kind.value, "start": start}
        if kind is SourceKind.BAILEYS:
            body["files"] = read_folder(source)
        elif kind is SourceKind.WHATSMEOW:
            body |= {"data": _text(read_store(source)), "device": device or None}
        else:
            passphrase = _passphrase(passphrase_file, twice=False, as_json=as_json)
            body |= {"data": _text(source.read_bytes()), "passphrase": passphrase}
    except Invalid as error:
        ends(error.detail, ExitCode.USAGE, as_json=as_json)
    with (
        connected(url, key, data, as_json=as_json) as api,
        carrying(f"importing {kind.value}", quiet=as_json) as moved,
    ):
        found = api.send_large("/api/sessions/import", body, moved)
    if as_json:
        print_json(found)
    else:
        console.print(f"[green]✓[/] {session} is {found['status']} as {found['me']['id']}")


def take_back(
    session: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data: DataOption = None,
) -> None:
    """Let an exported session start here again, because no archive of it is used anywhere."""
    if not yes:
        typer.confirm(f"Is it certain that no archive of {session} runs anywhere?", abort=True)
    with connected(url, key, data, as_json=as_json) as api:
        found = api.delete(f"/api/sessions/{session}/export")
    if as_json:
        print_json(found)
    else:
        console.print(f"{session} may start here again")


def _passphrase(file: Path | None, *, twice: bool, as_json: bool) -> str:
    if file is not None:
        try:
            return file.read_text().partition("\n")[0]
        except OSError as error:
            ends(f"{file}: {error.strerror}", ExitCode.USAGE, as_json=as_json)
    if given := os.environ.get(_VARIABLE):
        return given
    if not sys.stdin.isatty():
        ends(
            f"no passphrase: set {_VARIABLE} or --passphrase-file", ExitCode.USAGE, as_json=as_json
        )
    return str(
        typer.prompt("passphrase of the archive", hide_input=True, confirmation_prompt=twice)
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
