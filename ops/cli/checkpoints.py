"""`gateway checkpoints`: what there is of a session's device store, and what is believed of it."""

from __future__ import annotations

import re
from typing import Annotated

import typer
from rich.table import Table

from cluster.stores import Stores
from cluster.stores.checkpoints import CheckpointRow
from ops.cli.console import console, fail
from ops.cli.data_folder import DataOption
from ops.cli.local_stores import with_stores
from ops.cli.session.connection import JsonOption, print_json

__all__ = ["checkpoints"]

checkpoints = typer.Typer(
    name="checkpoints",
    help="Checkpoints of a session's device store, and which were found damaged.",
    no_args_is_help=True,
)

_Session = Annotated[str, typer.Argument(help="Name of the session.")]
_Tenant = Annotated[str, typer.Option(help="Whose session.")]
_CHECKPOINT = re.compile(r"(\d{1,18})/(\d{1,18})")


@checkpoints.command("list")
def list_them(
    session: _Session,
    tenant: _Tenant = "default",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show them, newest first. A restore takes the newest whole one; damaged ones come last."""
    rows = with_stores(data, lambda stores: _rows(stores, tenant, session))
    if as_json:
        print_json(
            [
                {
                    "checkpoint": _name(row),
                    "kind": row.kind,
                    "base": row.base_seq,
                    "bytes": row.size,
                    "key": row.key_id,
                    "createdAt": row.created_at.isoformat(),
                    "damaged": row.bad,
                    "object": row.object_key,
                }
                for row in rows
            ]
        )
        return
    table = Table("checkpoint", "kind", "on base", "bytes", "key", "made", "state")
    for row in rows:
        table.add_row(
            _name(row),
            row.kind,
            str(row.base_seq),
            str(row.size),
            row.key_id,
            f"{row.created_at:%Y-%m-%d %H:%M:%S}",
            "[red]damaged[/]" if row.bad else "ok",
        )
    console.print(table)


@checkpoints.command()
def unmark(
    session: _Session,
    checkpoint: Annotated[
        str | None, typer.Argument(help="Epoch and number, as `list` shows them: 12/3.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All of the session's that are marked.")
    ] = False,
    tenant: _Tenant = "default",
    data: DataOption = None,
) -> None:
    """Take the mark of damage off, once its cause is mended: the next restore tries it in its turn.

    One that is damaged all the same is marked again then. Exit code 1: there is no such checkpoint.
    """
    chosen = _CHECKPOINT.fullmatch(checkpoint or "")
    if everything is (checkpoint is not None) or (checkpoint and chosen is None):
        raise typer.BadParameter("name one checkpoint as EPOCH/NUMBER, or say --all")
    wanted = (int(chosen[1]), int(chosen[2])) if chosen else None

    async def work(stores: Stores) -> tuple[int, int]:
        """(checkpoints meant, marks taken off)"""
        rows = await _rows(stores, tenant, session)
        meant = [r for r in rows if wanted is None or (r.epoch, r.seq) == wanted]
        changed = [
            await stores.checkpoints.set_bad(r.session_id, (r.epoch, r.seq), bad=False, epoch=None)
            for r in meant
            if r.bad
        ]
        return len(meant), sum(changed)

    meant, changed = with_stores(data, work)
    if wanted is not None and not meant:
        fail(f"{session} has no checkpoint {checkpoint}")
    console.print(f"{changed} marks of damage taken off" if changed else "none was marked")


async def _rows(stores: Stores, tenant: str, session: str) -> list[CheckpointRow]:
    record = await stores.sessions.get(tenant, session)
    return await stores.checkpoints.rows(record.id)


def _name(row: CheckpointRow) -> str:
    return f"{row.epoch}/{row.seq}"
