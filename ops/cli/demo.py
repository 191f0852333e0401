"""`gateway demo`: the newcomer's command."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from cluster.domain.errors import GatewayError
from ops.cli.console import console, fail
from ops.cli.conversation import Account, Conversation
from ops.cli.data_folder import DataOption
from ops.cli.down import take_down
from ops.cli.http import gateway_api, sandbox_api
from ops.cli.qr_text import qr_text
from ops.cli.start_up import start_gateway
from ops.cli.up import show_addresses
from ops.local.background import HostOptions, environment
from ops.local.layout import Layout
from ops.local.state import State
from ops.local.user_settings import variables

__all__ = ["demo"]

_ALICE = Account(session="alice", number="4915100000001", name="Alice")
_BOB = Account(session="bob", number="4915100000002", name="Bob")


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running.")] = False,
    nodes: Annotated[int, typer.Option(min=2, max=16, help="Ray nodes.")] = 2,
    data: DataOption = None,
) -> None:
    """Two sessions on two nodes pair by QR code with a local WhatsApp and talk to each other."""
    began = time.monotonic()
    folder = (data or Path(tempfile.mkdtemp(prefix="gateway-demo-"))).resolve()
    layout = Layout.at(folder)
    options = HostOptions(data=folder, nodes=nodes, sandbox=True)
    # No node is lost before it ends.
    replicas = {} if keep else {"HTTP_REPLICAS": "1"}
    try:
        state = start_gateway(options, _environment() | replicas)
        _converse(state)
    except GatewayError as error:
        _end(layout, keep=keep, remove=False)
        fail(f"{error.detail} (everything is in {folder})", log=layout.log)
    except KeyboardInterrupt:
        _end(layout, keep=False, remove=data is None)
        raise
    if keep:
        show_addresses(state, layout, show_key=False)
        console.print(f"end it with: ./gateway down --data {folder}", soft_wrap=True)
    _end(layout, keep=keep, remove=data is None)
    console.print(f"[bold green]the demo worked[/], {time.monotonic() - began:.0f} s in all")


def _environment() -> dict[str, str]:
    """The demo has servers of its own: the user's settings, and `.env`, do not reach it."""
    theirs = variables()
    present = {name: value for name, value in environment().items() if name not in theirs}
    return {**present, "GATEWAY_ENV_FILE": os.devnull}


def _converse(state: State) -> None:
    with gateway_api(state) as gateway, sandbox_api(state) as sandbox:
        talk = Conversation(gateway=gateway, sandbox=sandbox, show_qr=_show_qr)
        for account in (_ALICE, _BOB):
            talk.register(account)
        for account in (_ALICE, _BOB):
            with console.status(f"pairing {account.session}"):
                talk.pair(account)
            console.print(
                f"[green]✓[/] {account.session} is WORKING "
                f"[dim]{talk.participants[-1].pairing_seconds:.1f} s[/]"
            )
        with console.status("talking"):
            talk.send(_ALICE, _BOB, "Hello Bob, this came over HTTP and end-to-end encryption.")
            talk.send(_BOB, _ALICE, "Hello Alice, received and decrypted. Greetings back.")
        names = {part.node_id: part.name for part in state.parts if part.node_id}
        console.print(_sessions(talk, names), _messages(talk))
        talk.check_spread()


def _show_qr(account: Account, code: str) -> None:
    console.print(f"{account.session}: the phone {account.number} scans this")
    console.print(qr_text(code), markup=False, soft_wrap=True)


def _sessions(talk: Conversation, names: dict[str, str]) -> Table:
    table = Table(
        *("session", "status", "node", Column("actor", no_wrap=True), "epoch", "paired in"),
        title="sessions",
    )
    for one in talk.participants:
        table.add_row(
            *(one.account.session, one.status, names.get(one.node, one.node[:8])),
            *(one.actor, str(one.epoch), f"{one.pairing_seconds:.1f} s"),
        )
    return table


def _messages(talk: Conversation) -> Table:
    table = Table(
        *("from", "to", Column("message id", no_wrap=True), "accepted", "received"),
        title="messages: in the recipient's history and on the recipient's phone",
    )
    for one in talk.deliveries:
        table.add_row(
            *(one.sender.session, one.recipient.session, one.message_id.rpartition("_")[2]),
            *(f"{one.accepted_ms:.0f} ms", f"{one.seen_ms:.0f} ms"),
        )
    return table


def _end(layout: Layout, *, keep: bool, remove: bool) -> None:
    state = State.read(layout.state)
    if keep or state is None:
        return
    take_down(layout, state)
    if remove:
        shutil.rmtree(layout.short, ignore_errors=True)
        shutil.rmtree(layout.data, ignore_errors=True)
