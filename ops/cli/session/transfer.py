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
from ops.cli.device_files import kind_of, read_folder, read_store
from ops.cli.exit_codes import ExitCode
from ops.cli.session.connection import NameArgument, Target, on_a_gateway
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


@on_a_gateway
def export(
    target: Target,
    session: NameArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")],
    stop: Annotated[bool, typer.Option("--stop", help="Stop the session first.")] = False,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Write a session's linked device to an encrypted archive. The session must be stopped, and
    does not start here any more: delete it, or `take-back`."""
    if out.exists():
        target.ends(f"{out} exists already", ExitCode.USAGE)
    passphrase = _passphrase(target, passphrase_file, twice=True)
    with target.connected() as api:
        if stop:
            api.post(f"/api/sessions/{session}/stop")
            stopped(target, api, session)
        with carrying(f"exporting {session}", quiet=target.as_json) as moved:
            archive = api.fetch(f"/api/sessions/{session}/export", {"passphrase": passphrase})
            moved(len(archive), len(archive))
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(archive)
        os.fsync(file.fileno())
    target.show(
        {"name": session, "file": str(out), "bytes": len(archive)},
        f"[green]✓[/] {out} ({len(archive):,} bytes); {session} stays stopped here",
    )


@on_a_gateway
def bring(
    target: Target,
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
            passphrase = _passphrase(target, passphrase_file, twice=False)
            body |= {"data": _text(source.read_bytes()), "passphrase": passphrase}
    except Invalid as error:
        target.ends(error.detail, ExitCode.USAGE)
    with (
        target.connected() as api,
        carrying(f"importing {kind.value}", quiet=target.as_json) as moved,
    ):
        found = api.send_large("/api/sessions/import", body, moved)
    target.show(found, f"[green]✓[/] {session} is {found['status']} as {found['me']['id']}")


@on_a_gateway
def take_back(
    target: Target,
    session: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Let an exported session start here again, because no archive of it is used anywhere."""
    if not yes:
        typer.confirm(f"Is it certain that no archive of {session} runs anywhere?", abort=True)
    with target.connected() as api:
        found = api.delete(f"/api/sessions/{session}/export")
    target.show(found, f"{session} may start here again")


def _passphrase(target: Target, file: Path | None, *, twice: bool) -> str:
    if file is not None:
        try:
            return file.read_text().partition("\n")[0]
        except OSError as error:
            target.ends(f"{file}: {error.strerror}", ExitCode.USAGE)
    if given := os.environ.get(_VARIABLE):
        return given
    if not sys.stdin.isatty():
        target.ends(f"no passphrase: set {_VARIABLE} or --passphrase-file", ExitCode.USAGE)
    return str(
        typer.prompt("passphrase of the archive", hide_input=True, confirmation_prompt=twice)
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
