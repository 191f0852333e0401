"""Everything at one address, as the suite of whatsapp-rust expects it: the websocket, attachments,
and the phone that scans."""

from __future__ import annotations

import asyncio
import ssl

import structlog

from sandbox.server.media_hosts import MediaHosts
from sandbox.server.pipes import join

__all__ = ["OnePort"]

log = structlog.get_logger(__name__)

_HEAD_SECONDS = 30.0


class OnePort:
    """Ends TLS, looks at the head of the first request, and pipes to the server that it is for."""

    def __init__(
        self,
        hosts: MediaHosts,
        *,
        serving: ssl.SSLContext,
        asking: ssl.SSLContext,
        websocket_port: int,
        media_port: int,
        inner: str,
    ) -> None:
        """`asking`: trusts the servers behind it, which listen at the address `inner`."""
        self._hosts = hosts
        self._serving = serving
        self._asking = asking
        self._ports = (websocket_port, media_port)
        self._inner = inner
        self._own = ""
        self._server: asyncio.Server | None = None
        self._work: set[asyncio.Task[None]] = set()

    async def start(self, port: int, host: str) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(self._serve, host, port, ssl=self._serving)
        port = int(self._server.sockets[0].getsockname()[1])
        self._own = f"{self._inner}:{port}"
        return port

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._work):
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._work.add(task)
            task.add_done_callback(self._work.discard)
        try:
            await self._pipe(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as e:
            log.debug("sandbox.connection_ended", error=repr(e))
        finally:
            writer.close()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        upgraded = any(n.startswith(b"upgrade:") and b"websocket" in n for n in lines)
        port = self._ports[0] if upgraded else self._ports[1]
        far = await asyncio.open_connection(
            self._inner, port, ssl=self._asking, server_hostname="localhost"
        )
        source = far[1].get_extra_info("sockname")[1]
        self._hosts.came(source, self._own)
        try:
            far[1].write(head)
            await join((reader, writer), far)
        finally:
            self._hosts.left(source)
            far[1].close()
