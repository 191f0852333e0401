"""The webhook's other end: notes when each text came."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress

__all__ = ["Receiver"]


class Receiver:
    """Answers 204 on loopback, over connections that stay open."""

    def __init__(self) -> None:
        #: text -> Unix time of its first arrival
        self.heard: dict[str, float] = {}
        self.url = ""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        # Cancelled with the loop at the end of a run.
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
                event = json.loads(await reader.readexactly(length))
                self.heard.setdefault(str(event["payload"].get("body")), time.time())
                writer.write(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
        self._open.discard(writer)
        writer.close()
