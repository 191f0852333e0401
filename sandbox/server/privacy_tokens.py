"""Tokens of trust: who may write to an account first (whatsmeow: tctoken.go).

Real servers refuse first messages of accounts they do not trust with 463, unless a token comes
along: `tctoken`, which the recipient has given, or `cstoken`, made with a salt that the sender's
phone shares with its devices (whatsapp-rust: wacore/src/iq/tctoken.rs). Here an account can be
restricted so, whoever writes.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection
from typing import TYPE_CHECKING

from sandbox.server.directory import jid_of
from sandbox.server.notifications import new_id
from sandbox.server.store import Account
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server

__all__ = [
    "NO_TOKEN",
    "admits",
    "issue",
    "properties",
    "restrict",
    "salt",
    "scenario",
    "set_scenario",
]

#: `<ack error=>` of a message
NO_TOKEN = 463
_TOKENS, _SALT, _SCENARIO = "privacy token", "nct salt", "scenario"
#: What a device asks whether it is to do (config codes; whatsapp-rust: wacore/src/iq/props.rs):
#: send tokens at all, and those made with the salt.
_SENDS_TOKENS, _SENDS_SALTED = 10_518, 24_941


def restrict(server: Server, number: str, *, on: bool) -> None:
    """Have only those write to an account who have a token."""
    flags = scenario(server, number)
    set_scenario(server, number, (flags | {"restricted"}) if on else (flags - {"restricted"}))


def scenario(server: Server, number: str) -> frozenset[str]:
    """What is different with an account: `restricted`, and `tc_enabled=0`, `cs_enabled=0` (a kind
    of token it does not take), `nct_history_delivery=0`, `nct_syncd_delivery=1` (how its devices
    learn its salt), `nct_send_ab=0` (they are not to use it)."""
    found = server.store.document(_SCENARIO, number) or {}
    return frozenset(found.get("flags", ()))


def set_scenario(server: Server, number: str, flags: Collection[str]) -> None:
    kept = {"flags": sorted(flags)} if flags else None
    server.store.set_document(_SCENARIO, number, kept)


def salt(server: Server, number: str) -> bytes:
    """The account's own, for tokens of people who have given it none."""
    found = server.store.document(_SALT, number)
    if found is None:
        found = {"salt": secrets.token_hex(32)}
        server.store.set_document(_SALT, number, found)
    return bytes.fromhex(found["salt"])


def properties(server: Server, number: str) -> list[Node]:
    """What the account's devices are to do about tokens."""
    salted = "nct_send_ab=0" not in scenario(server, number)
    return [
        Node.make("prop", config_code=code, config_value=int(on))
        for code, on in ((_SENDS_TOKENS, True), (_SENDS_SALTED, salted))
    ]


def admits(server: Server, recipient: Account, sender: Account, message: Node) -> bool:
    """Whether a message may come through."""
    flags = scenario(server, recipient.number)
    if recipient is sender or "restricted" not in flags:
        return True
    token = message.child("tctoken")
    if token is not None and "tc_enabled=0" not in flags:
        given = server.store.document(_TOKENS, f"{recipient.number} {sender.number}")
        if given is not None and token.data.hex() == given["token"]:
            return True
    token = message.child("cstoken")
    if token is None or "cs_enabled=0" in flags:
        return False
    made = hmac.new(salt(server, sender.number), str(jid_of(recipient)).encode(), "sha256")
    return hmac.compare_digest(made.digest(), token.data)


async def issue(server: Server, giver: Account, to: Account, at: int) -> None:
    """Give `to` a token for writing to `giver`, and notify all of its devices."""
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
