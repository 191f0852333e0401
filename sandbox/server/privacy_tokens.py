"""Tokens of trust: whom an account has given one may write to it (whatsmeow: tctoken.go).

Real servers refuse first messages of accounts they do not trust with 463 unless a token comes
along; here an account can be restricted so, whoever writes.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from sandbox.server.directory import jid_of
from sandbox.server.notifications import new_id
from sandbox.server.store import Account
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server

__all__ = ["NO_TOKEN", "admits", "issue", "restrict"]

#: `<ack error=>` of a message
NO_TOKEN = 463
_TOKENS, _RESTRICTED = "privacy token", "restricted"


def restrict(server: Server, number: str, *, on: bool) -> None:
    """Have only those write to an account whom it has given a token."""
    server.store.set_document(_RESTRICTED, number, {} if on else None)


def admits(server: Server, recipient: Account, sender: Account, message: Node) -> bool:
    """Whether a message may come through."""
    if recipient is sender or server.store.document(_RESTRICTED, recipient.number) is None:
        return True
    given = server.store.document(_TOKENS, f"{recipient.number} {sender.number}")
    token = message.child("tctoken")
    return given is not None and token is not None and token.data.hex() == given["token"]


async def issue(server: Server, giver: Account, to: Account, at: int) -> None:
    """Give `to` a token for writing to `giver`, and tell all of its devices."""
    token = secrets.token_bytes(32)
    kept = {"token": token.hex(), "at": at}
    server.store.set_document(_TOKENS, f"{giver.number} {to.number}", kept)
    lids = server.directory.lids(giver.number, to.number)
    node = Node.make(
        "notification",
        [Node.make("tokens", [Node.make("token", token, type="trusted_contact", t=at)])],
        from_=jid_of(giver, lid=lids),
        sender_lid=jid_of(giver) if lids else None,
        type="privacy_token",
        id=new_id(),
        t=server.now(),
    )
    await server.delivery.to_account(to.number, node)
