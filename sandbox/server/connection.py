"""One websocket: frames, Noise, stanzas in and out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from sandbox.crypto.keys import KeyPair
from sandbox.crypto.protobuf import DecodeError, wa
from sandbox.server.faults import Fault, Faults
from sandbox.wire import codec, tokens
from sandbox.wire.frames import FrameReader, frame
from sandbox.wire.node import Node
from sandbox.wire.noise import NoiseError, NoiseResponder, Transport

__all__ = ["Connection"]

log = structlog.get_logger(__name__)

#: seconds to the first stanza of a client of the older dictionary
_FAR_AWAY = 0.25
#: how long the client has to close after the last stanza, seconds
_LINGER = 2.0


class Connection:
    """A client's connection; a `Peer` once it has logged in."""

    def __init__(self, socket: ServerConnection, faults: Faults) -> None:
        self.number = ""
        self.device = 0
        self.active = False
        self.available = False
        self.media_host = ""
        self.noise_public = b""
        #: the `ClientPayload` it began with
        self.payload: Any = None
        self._socket = socket
        self._faults = faults
        self._reader = FrameReader()
        self._frames: list[bytes] = []
        self._transport: Transport | None = None
        #: the dictionary that the client announced
        self._words = tokens.CURRENT
        # A queue of its own: a slow device must not hold up whoever sends to it.
        self._outgoing: asyncio.Queue[Node] = asyncio.Queue()
        self._writer: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        #: the freeze that this connection is under
        self._thaw: Fault | None = None

    @property
    def open(self) -> bool:
        return self._socket.state is State.OPEN

    async def handshake(self, static: KeyPair, certificate: bytes) -> None:
        """Noise; raises NoiseError, FrameError or ConnectionClosed."""
        hello = await self._frame()
        responder = NoiseResponder(static, certificate, self._reader.header or b"")
        await self._socket.send(frame(responder.respond(hello)))
        try:
            self.payload = wa.ClientPayload.FromString(responder.finish(await self._frame()))
        except DecodeError as error:
            raise NoiseError("the client payload is malformed") from error
        self.noise_public = responder.client_static
        self._words = tokens.BY_VERSION[(self._reader.header or b"")[-1]]
        self._transport = responder.split()
        self._writer = asyncio.create_task(self._write(self._transport))

    async def stanzas(self) -> AsyncIterator[Node]:
        """Stanzas as they come, until the connection ends."""
        if self._transport is None:
            raise NoiseError("no handshake yet")
        try:
            while True:
                data = await self._frame()
                await self._apply_faults()
                yield codec.decode(codec.unpack(self._transport.decrypt(data)), self._words)
        except ConnectionClosed:
            return

    async def send(self, node: Node) -> None:
        self._outgoing.put_nowait(node)

    def gone(self) -> None:
        """The socket has ended: nothing more is written."""
        if self._writer is not None:
            self._writer.cancel()

    async def end(self, node: Node | None = None) -> None:
        """Send a last stanza; the client closes, or is cut off two seconds later."""
        self.active = False
        if node is not None:
            await self.send(node)
            self._ending = asyncio.create_task(self._cut_off(_LINGER))
        else:
            self._socket.transport.abort()

    async def _write(self, transport: Transport) -> None:
        try:
            if self._words is not tokens.CURRENT:
                # Baileys, whose dictionary it is, derives its keys beside reading and drops what
                # comes in the same moment (`noise.finishInit` is not awaited): WhatsApp is far
                # enough away, loopback is not.
                await asyncio.sleep(_FAR_AWAY)
            while True:
                node = await self._outgoing.get()
                await self._apply_faults()
                data = transport.encrypt(codec.pack(codec.encode(node, self._words)))
                await self._socket.send(frame(data))
        except ConnectionClosed:
            log.debug("sandbox.connection_gone", number=self.number, device=self.device)

    async def _cut_off(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._socket.close()

    async def _apply_faults(self) -> None:
        """Whatever faults are set for this device."""
        if self._faults.fires("drop", self.number, self.device):
            self._socket.transport.abort()
        if fault := self._faults.fires("delay", self.number, self.device):
            await asyncio.sleep(fault.seconds)
        if fault := self._faults.fires("freeze", self.number, self.device):
            self._thaw = fault
        if (fault := self._thaw) is not None:
            # Both directions stand still, whichever of them met the fault.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(fault.seconds or None):
                    await fault.over.wait()
            self._thaw = None

    async def _frame(self) -> bytes:
        while not self._frames:
            data = await self._socket.recv()
            self._frames += self._reader.feed(data if isinstance(data, bytes) else data.encode())
        return self._frames.pop(0)
