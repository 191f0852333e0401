"""The HTTP proxy that clients are pointed at: `CONNECT web.whatsapp.com:443` ends here."""

from __future__ import annotations

import asyncio

import structlog

from sandbox.server.journal import Journal
from sandbox.server.media_hosts import MEDIA_HOST, MediaHosts
from sandbox.server.pipes import join

__all__ = ["Proxy"]

log = structlog.get_logger(__name__)

Address = tuple[str, int]
_WEBSOCKET_HOSTS = {"web.whatsapp.com", "g.whatsapp.net"}


class Proxy:
    """Pipes every tunnel to the websocket server or to the media server; nowhere else."""

    def __init__(
        self, journal: Journal, hosts: MediaHosts, *, websocket: Address, media: Address
    ) -> None:
        self._journal = journal
        self._hosts = hosts
        self._servers = (websocket, media)
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0, *, host: str = "127.0.0.1") -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(self._serve, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for pipe in list(self._pipes):
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._pipes.add(task)
            task.add_done_callback(self._pipes.discard)
        try:
            await self._tunnel(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            log.debug("sandbox.tunnel_ended", error=repr(error))
        finally:
            writer.close()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, _, rest = head.partition(" ")
        host = rest.partition(" ")[0].rpartition(":")[0].lower()
        if method != "CONNECT" or not host:
            writer.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        self._journal.counters[f"tunnel {host}"] += 1
        server = self._servers[0] if host in _WEBSOCKET_HOSTS else self._servers[1]
        far_reader, far_writer = await asyncio.open_connection(*server)
        source = far_writer.get_extra_info("sockname")[1]
        self._hosts.came(source, MEDIA_HOST)
        try:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
            await join((reader, writer), (far_reader, far_writer))
        finally:
            self._hosts.left(source)
            far_writer.close()
