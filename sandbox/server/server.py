"""The server as a whole: what the handlers share, and the life of a connection."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from websockets.asyncio.server import Server as Listener
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request

from sandbox.crypto.certificate import issue_chain
from sandbox.crypto.keys import KeyPair
from sandbox.server import login
from sandbox.server.connection import Connection
from sandbox.server.delivery import Delivery
from sandbox.server.directory import Directory
from sandbox.server.faults import Faults
from sandbox.server.handlers import ROUTER
from sandbox.server.journal import Journal
from sandbox.server.media_hosts import MediaHosts
from sandbox.server.media_store import MediaStore
from sandbox.server.pairing import Pairing
from sandbox.server.peer import Peer, Peers
from sandbox.server.store import Store
from sandbox.wire.codec import CodecError
from sandbox.wire.frames import FrameError
from sandbox.wire.node import Node
from sandbox.wire.noise import NoiseError

if TYPE_CHECKING:
    from sandbox.server.store import Device

__all__ = ["Server"]

log = structlog.get_logger(__name__)

_MAX_FRAME = 32 << 20


class Server:
    """One WhatsApp. Belongs to one event loop."""

    def __init__(self, data_dir: Path | None) -> None:
        """`data_dir`: where everything is kept; None: in memory (media as well)."""
        self.store = Store(data_dir / "sandbox.db" if data_dir else None)
        self.journal = Journal()
        self.faults = Faults()
        self.directory = Directory(self.store)
        self.peers = Peers(self.journal)
        self.delivery = Delivery(self.store, self.peers, self.directory, self.journal)
        self.pairing = Pairing(self)
        self.media_hosts = MediaHosts()
        self.media = MediaStore(data_dir / "media" if data_dir else None)
        #: who asked for whose presence: number -> devices
        self.presence_of: dict[str, set[tuple[str, int]]] = {}
        #: called after a new device logged in for the first time and got what waited for it
        self.on_new_device: list[Callable[[Device], Awaitable[None]]] = []
        #: (number, device) that is away -> chat -> when, and who typed there last
        self.chatstates: dict[tuple[str, int], dict[str, tuple[float, Node]]] = {}
        #: channel -> (number, device) that hears of its counts -> until when, Unix seconds
        self.live_channels: dict[str, dict[tuple[str, int], int]] = {}
        #: those that are being greeted
        self.greeted: set[str] = set()
        self.root = self._key("noise root")
        self._static = self._key("noise static")
        self._certificate = issue_chain(self.root, self._static.public, now=datetime.now(UTC))
        self._listener: Listener | None = None
        self._work: set[asyncio.Task[None]] = set()

    async def start(self, tls: ssl.SSLContext, port: int = 0, *, host: str = "127.0.0.1") -> int:
        """Listen for websockets; returns the port."""
        self._listener = await serve(
            self._serve,
            host,
            port,
            ssl=tls,
            max_size=_MAX_FRAME,
            compression=None,
            # A closing that waits behind unread frames would be seen after the next login.
            max_queue=None,
            ping_interval=None,
            process_request=_without_empty_protocol,
        )
        return int(next(iter(self._listener.sockets)).getsockname()[1])

    async def stop(self) -> None:
        # Whoever waits for a fault's end would wait for ever.
        self.faults.clear()
        if self._listener is not None:
            self._listener.close()
            await self._listener.wait_closed()
        for task in list(self._work):
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        self.store.close()

    @staticmethod
    def now() -> int:
        """Unix time, seconds."""
        return int(time.time())

    def later(self, work: Awaitable[None]) -> None:
        """Do something beside the stanza at hand."""

        async def run() -> None:
            try:
                await work
            except Exception:
                log.exception("sandbox.background_failed")

        task = asyncio.create_task(run())
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def handle(self, peer: Peer, node: Node) -> None:
        """A stanza of a logged-in device: a connection's or a phone's."""
        self.journal.counters[f"stanza {node.tag}"] += 1
        await ROUTER.handle(self, peer, node)

    def _key(self, name: str) -> KeyPair:
        private = self.store.fact(name)
        if private is None:
            private = os.urandom(32)
            self.store.set_fact(name, private)
        return KeyPair.from_private(private)

    async def _serve(self, socket: ServerConnection) -> None:
        connection = Connection(socket, self.faults)
        connection.media_host = self.media_hosts.of(socket.remote_address[1])
        try:
            await connection.handshake(self._static, self._certificate)
            await login.begin(self, connection)
            async for node in connection.stanzas():
                if connection.number:
                    await self.handle(connection, node)
                else:
                    await self.pairing.handle(connection, node)
        except (ConnectionClosed, ConnectionError):
            pass
        except (NoiseError, FrameError, CodecError) as error:
            self.journal.note("protocol error", error=str(error))
            log.warning("sandbox.protocol_error", error=str(error))
        except Exception:
            log.exception("sandbox.connection_failed")
        finally:
            connection.gone()
            self.pairing.forget(connection)
            if connection.number:
                await login.left(self, connection)


def _without_empty_protocol(_: ServerConnection, request: Request) -> None:
    """Some clients send the header without a protocol in it; WhatsApp does not mind."""
    name = "Sec-WebSocket-Protocol"
    if name in request.headers and not any(v.strip() for v in request.headers.get_all(name)):
        del request.headers[name]
