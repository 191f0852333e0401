"""Linking a device: by QR code or eight-character code (whatsmeow: pair.go, pair-code.go)."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sandbox.crypto.adv import AdvError, check_device_sign, sign_device
from sandbox.crypto.keys import KeyPair
from sandbox.crypto.linkcode import WRAPPED_SIZE, LinkCode, LinkCodeError
from sandbox.crypto.protobuf import DecodeError, wa
from sandbox.server import notifications
from sandbox.server.connection import Connection
from sandbox.server.directory import jid_of
from sandbox.server.errors import SandboxError
from sandbox.server.login import stream_error
from sandbox.server.store import Account, Device
from sandbox.wire.jid import PN, SERVER_JID, Jid
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server

__all__ = ["Pairing"]

#: codes a connection gets, and how long each of them is good, seconds (whatsmeow: qrchan.go)
_REFS, _FIRST, _NEXT = 6, 60.0, 20.0
_SLACK = 5.0


@dataclass(slots=True, kw_only=True)
class _Offer:
    """One connection that wants to be linked."""

    connection: Connection
    refs: list[str]
    started: float
    #: by code: the client's wrapped key, and what it is to prove it belongs together
    number: str = ""
    wrapped: bytes = b""
    code_ref: bytes = b""
    link: LinkCode | None = None
    linked: tuple[Account, Device] | None = None

    def valid(self, ref: str) -> bool:
        end = _FIRST + _NEXT * self.refs.index(ref)
        return time.monotonic() - self.started <= end + _SLACK


class Pairing:
    """All connections that wait for a phone."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._offers: dict[Connection, _Offer] = {}

    async def offer(self, connection: Connection) -> None:
        """Give a new client its codes."""
        refs = [base64.b64encode(os.urandom(15)).decode().replace("/", "_") for _ in range(_REFS)]
        self._offers[connection] = _Offer(
            connection=connection, refs=refs, started=time.monotonic()
        )
        content = [Node.make("pair-device", [Node.make("ref", ref) for ref in refs])]
        await connection.send(
            Node.make("iq", content, from_=SERVER_JID, type="set", id="pair-device", xmlns="md")
        )

    def forget(self, connection: Connection) -> None:
        """The connection ended."""
        self._offers.pop(connection, None)

    def waits_for_code(self, number: str) -> bool:
        """Whether a client asked for a code for this number."""
        return any(offer.wrapped and offer.number == number for offer in self._offers.values())

    async def handle(self, connection: Connection, node: Node) -> None:
        """A stanza of a client that is not linked yet."""
        offer = self._offers.get(connection)
        if node.tag != "iq" or offer is None:
            return
        if node.get("type") == "result":
            if node.get("id") == "pair-success":
                await self._linked(offer, node)
            return
        register = node.child("link_code_companion_reg")
        reply: list[Node] | None = None
        if register is not None and register.get("stage") == "companion_hello":
            reply = self._hello(offer, register)
        elif register is not None:
            self._server.later(self._finish(offer, register))
        await connection.send(
            Node.make("iq", reply, from_=SERVER_JID, type="result", id=node.get("id"))
        )

    async def scan(self, account: Account, identity: KeyPair, qr: str) -> None:
        """A phone scanned a QR code. Raises `SandboxError` when it is none, or expired."""
        parts = qr.rpartition("#")[2].split(",")
        if len(parts) < 4:
            raise SandboxError("this is not a WhatsApp QR code", status=422)
        offer = next((o for o in self._offers.values() if parts[0] in o.refs), None)
        if offer is None or not offer.valid(parts[0]) or offer.linked is not None:
            raise SandboxError("the QR code expired; scan the newest one", status=410)
        try:
            noise, device_identity, secret = (
                base64.b64decode(part, validate=True) for part in parts[1:4]
            )
        except ValueError:
            raise SandboxError("this is not a WhatsApp QR code", status=422) from None
        if noise != offer.connection.noise_public:
            raise SandboxError("the QR code is not that of the connection", status=409)
        await self._vouch(offer, account, identity, device_identity, secret)

    def push_name(self, qr: str) -> str:
        """What the client behind a QR code calls itself; empty when there is none, or it says
        nothing."""
        ref = qr.rpartition("#")[2].partition(",")[0]
        offer = next((o for o in self._offers.values() if ref in o.refs), None)
        return str(offer.connection.payload.pushName) if offer else ""

    async def enter_code(self, account: Account, identity: KeyPair, code: str) -> None:
        """Somebody typed a code into a phone. Raises `SandboxError` when no client waits for one;
        a wrong code shows itself only when the client answers."""
        offer = next(
            (o for o in self._offers.values() if o.wrapped and o.number == account.number), None
        )
        if offer is None:
            raise SandboxError(f"no device waits for a code of {account.number}", status=409)
        try:
            link = await asyncio.to_thread(LinkCode, identity, code, offer.wrapped)
        except LinkCodeError as error:
            raise SandboxError(str(error), status=422) from error
        offer.link = link
        wrapped = await asyncio.to_thread(link.hello)
        content = Node.make(
            "link_code_companion_reg",
            [
                Node.make("link_code_pairing_ref", offer.code_ref),
                Node.make("link_code_pairing_wrapped_primary_ephemeral_pub", wrapped),
                Node.make("primary_identity_pub", identity.public),
            ],
            stage="primary_hello",
        )
        await offer.connection.send(
            Node.make(
                "notification",
                [content],
                from_=SERVER_JID,
                type="link_code_companion_reg",
                id=notifications.new_id(),
                t=self._server.now(),
            )
        )

    def _hello(self, offer: _Offer, register: Node) -> list[Node]:
        wrapped = register.child("link_code_pairing_wrapped_companion_ephemeral_pub")
        jid = register.jid("jid")
        if wrapped is None or len(wrapped.data) != WRAPPED_SIZE or jid.server != PN:
            return []
        offer.wrapped, offer.number = wrapped.data, jid.user
        offer.code_ref = os.urandom(16)
        self._server.journal.note("link code wanted", number=jid.user)
        return [
            Node.make(
                "link_code_companion_reg",
                [Node.make("link_code_pairing_ref", offer.code_ref)],
                stage="companion_hello",
            )
        ]

    async def _finish(self, offer: _Offer, register: Node) -> None:
        bundle = register.child("link_code_pairing_wrapped_key_bundle")
        identity = register.child("companion_identity_public")
        if offer.link is None or bundle is None or identity is None:
            return
        try:
            secret = await asyncio.to_thread(offer.link.finish, bundle.data, identity.data)
        except LinkCodeError as error:
            # The real phone shows an error, and the client goes on waiting.
            self._server.journal.note("link code wrong", number=offer.number, error=str(error))
            return
        account = self._server.directory.account(offer.number)
        own = KeyPair.from_private(account.identity)
        await self._vouch(offer, account, own, identity.data, secret)

    async def _vouch(
        self, offer: _Offer, account: Account, identity: KeyPair, device: bytes, secret: bytes
    ) -> None:
        connection = offer.connection
        linked = self._server.directory.link(
            account, noise=connection.noise_public, identity=device, platform=_platform(connection)
        )
        offer.linked = (account, linked)
        if _reads_inline(connection):
            self._server.store.set_fact(f"inline {linked.number}:{linked.device}", b"1")
        signed = sign_device(
            identity,
            adv_secret=secret,
            device_identity=device,
            raw_id=account.raw_id,
            key_index=linked.device,
            now=datetime.now(UTC),
        )
        content = Node.make(
            "pair-success",
            [
                Node.make("device-identity", signed),
                Node.make(
                    "device",
                    jid=Jid(account.number, PN, linked.device),
                    lid=jid_of(account, device=linked.device),
                ),
                Node.make("platform", name="android"),
            ],
        )
        await connection.send(
            Node.make(
                "iq",
                [content],
                from_=SERVER_JID,
                type="set",
                id="pair-success",
                xmlns="md",
                t=self._server.now(),
            )
        )

    async def _linked(self, offer: _Offer, answer: Node) -> None:
        """The device signed itself: it exists now, and logs in anew."""
        if offer.linked is None:
            return
        account, device = offer.linked
        sign = answer.child("pair-device-sign")
        identity = sign.child("device-identity") if sign is not None else None
        try:
            check_device_sign(
                identity.data if identity is not None else b"",
                account=KeyPair.from_private(account.identity).public,
                device_identity=device.identity,
            )
        except AdvError as error:
            self._server.journal.note("pairing refused", number=account.number, error=str(error))
            self._server.directory.unlink(account.number, device.device)
            await offer.connection.end(stream_error(code=401))
            return
        self._server.journal.note("paired", device=f"{account.number}:{device.device}")
        await notifications.devices_changed(self._server, account)
        # The client closes and logs in (whatsmeow: connectionevents.go, 515).
        await offer.connection.end(stream_error(code=515))


def _reads_inline(connection: Connection) -> bool:
    """Whether the device takes the first history within the message that announces it."""
    try:
        props = wa.DeviceProps.FromString(connection.payload.devicePairingData.deviceProps)
    except DecodeError:
        return False
    return bool(props.historySyncConfig.inlineInitialPayloadInE2EeMsg)


def _platform(connection: Connection) -> str:
    """The name the device gives itself, shown under linked devices."""
    try:
        props = wa.DeviceProps.FromString(connection.payload.devicePairingData.deviceProps)
    except DecodeError:
        return ""
    return str(props.os)
