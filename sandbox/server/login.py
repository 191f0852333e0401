"""The first stanza of a connection: success, failure, or the way to pairing."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from sandbox.server.connection import Connection
from sandbox.server.directory import jid_of
from sandbox.server.presence import publish_presence
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server

__all__ = ["begin", "left", "remove_device", "stream_error"]

#: `<failure reason=>` (whatsmeow: types/events, ConnectFailureReason)
LOGGED_OUT = 401
CLIENT_OUTDATED = 405


async def begin(server: Server, connection: Connection) -> None:
    """Log a linked device in, or start pairing a new one."""
    payload = connection.payload
    version = _version(payload)
    version_text = ".".join(map(str, version))
    if payload.HasField("devicePairingData"):
        # What a client of WhatsApp's own says of its version twice.
        build = hashlib.md5(version_text.encode(), usedforsecurity=False).digest()
        same = payload.devicePairingData.buildHash == build
        server.journal.note("hello", version=version_text, build_hash="right" if same else "wrong")
    else:
        server.journal.note("hello", version=version_text)
    if server.faults.refuses(version, str(payload.username or ""), int(payload.device)):
        await _refuse(server, connection, CLIENT_OUTDATED)
        return
    if not payload.username:
        if fault := server.faults.fires("refuse_login", "", 0):
            await _refuse(server, connection, fault.code or LOGGED_OUT, fault.expire)
            return
        await server.pairing.offer(connection)
        return
    number, number_of_device = str(payload.username), int(payload.device)
    device = server.directory.device(number, number_of_device)
    if fault := server.faults.fires("refuse_login", number, number_of_device):
        await _refuse(server, connection, fault.code or LOGGED_OUT, fault.expire)
        return
    if device is None or device.noise != connection.noise_public:
        await _refuse(server, connection, LOGGED_OUT)
        return
    connection.number, connection.device = number, number_of_device
    replaced = server.peers.enter(connection)
    server.journal.note("login", device=f"{number}:{number_of_device}")
    if replaced is not None:
        server.journal.note("replaced", device=f"{number}:{number_of_device}")
        server.later(replaced.end(stream_error(conflict="replaced")))
    skew = server.faults.fires("clock_skew", number, number_of_device)
    account = server.directory.account(number)
    await connection.send(
        Node.make(
            "success",
            t=server.now() + int(skew.seconds if skew else 0),
            props="27",
            lid=jid_of(account, device=number_of_device),
            display_name=account.name,
            location="sandbox",
        )
    )


def _version(payload: Any) -> tuple[int, ...]:
    """Of the client, as it says itself."""
    version = payload.userAgent.appVersion
    return version.primary, version.secondary, version.tertiary


async def left(server: Server, connection: Connection) -> None:
    """The connection is gone."""
    was_available = connection.available
    connection.active = connection.available = False
    current = server.peers.leave(connection)
    server.journal.note("logout", device=f"{connection.number}:{connection.device}")
    if current and was_available:
        await publish_presence(server, connection.number)


async def remove_device(server: Server, number: str, device: int) -> bool:
    """Unlink a device, with a notification when it is connected. False when there is none."""
    if not server.directory.unlink(number, device):
        return False
    server.journal.note("unlinked", device=f"{number}:{device}")
    peer = server.peers.get(number, device)
    if peer is not None:
        server.later(peer.end(stream_error(code=LOGGED_OUT, conflict="device_removed")))
    return True


def stream_error(*, code: int | None = None, conflict: str = "") -> Node:
    """The last stanza before the server closes."""
    children = [Node.make("conflict", type=conflict)] if conflict else None
    return Node.make("stream:error", children, code=code)


async def _refuse(server: Server, connection: Connection, reason: int, expire: int = 0) -> None:
    server.journal.note("login refused", device=str(connection.payload.username), reason=reason)
    await connection.end(
        Node.make(
            "failure",
            reason=reason,
            location="sandbox",
            t=server.now(),
            # one of events.TempBanReason
            code=101 if reason == 402 else None,
            expire=expire or (3600 if reason == 402 else None),
        )
    )
