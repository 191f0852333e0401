"""The network between the gateway and what it needs: TCP forwarders that can be cut by node.

All nodes of a local gateway share 127.0.0.1 and one environment, so a forwarder distinguishes
them by the process at the other end of a connection (Linux: /proc/net/tcp and /proc/<pid>/fd).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

__all__ = ["Cable"]

_CHUNK = 1 << 16
#: Between polls of whose new connections are.
_POLL_SECONDS = 0.3
_LOOPBACK = "127.0.0.1"

#: The processes that a cut concerns, as of now.
Concerned = Callable[[], set[int]]


class _Way:
    """One direction of a connection. While it is cut, bytes wait here: TCP would repeat them."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._held = bytearray()
        self._cut = self._ended = False

    async def pass_on(self, data: bytes) -> None:
        if self._cut:
            self._held += data
            return
        self._writer.write(data)
        await self._writer.drain()

    def cut(self) -> None:
        self._cut = True

    def mend(self) -> None:
        self._cut = False
        if self._held:
            self._writer.write(bytes(self._held))
            self._held.clear()
        if self._ended:
            self.end()

    def end(self) -> None:
        """The end where its bytes come from has closed: so does the other one, at once, or when
        what waits has gone there."""
        self._ended = True
        if not self._held and self._writer.can_write_eof():
            with contextlib.suppress(OSError, RuntimeError):
                self._writer.write_eof()


class _Link:
    """One connection: a client's and the one to the server in its place."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.port = int(client.get_extra_info("peername")[1])
        self.to_server, self.to_client = _Way(server), _Way(client)

    def cut(self) -> None:
        self.to_server.cut()
        self.to_client.cut()

    def mend(self) -> None:
        self.to_server.mend()
        self.to_client.mend()


class Cable:
    """Forwards a port of its own to a server's on loopback.

    A cut swallows bytes and says nothing, as a broken network does. A connection that its client
    closes during a cut is closed towards the server as well, and what waited is dropped: the
    server counts only connections that somebody still holds.
    """

    def __init__(self, name: str, server_port: int) -> None:
        self.name = name
        self.port = 0
        self._server_port = server_port
        self._listener: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._concerned: Concerned | None = None
        #: Made during a cut, and not known yet by whom.
        self._unknown: list[_Link] = []
        self._sorting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._listener = await asyncio.start_server(self._serve, _LOOPBACK, self.port)
        self.port = int(self._listener.sockets[0].getsockname()[1])

    def lead_to(self, server_port: int) -> None:
        """Connections made from now on end at another server."""
        self._server_port = server_port

    async def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()

    def cut(self, concerned: Concerned) -> None:
        """Cut the connections that these processes have, and will make."""
        self._concerned = concerned
        owned, inodes = _sockets(concerned()), _inodes(self.port)
        for link in self._links:
            if inodes.get(link.port, "") in owned:
                link.cut()
        self._sorting = asyncio.create_task(self._sort_out(), name=f"cable:{self.name}")

    async def _sort_out(self) -> None:
        """Connections made during a cut, several at a time and in a thread: whom it concerns tries
        again and again, and others' bytes must not wait for a scan of all files of all processes.
        """
        while (concerned := self._concerned) is not None:
            if links := self._unknown:
                self._unknown = []
                owned, inodes = await asyncio.to_thread(
                    lambda: (_sockets(concerned()), _inodes(self.port))
                )
                for link in links:
                    if inodes.get(link.port, "") not in owned:
                        link.mend()
            await asyncio.sleep(_POLL_SECONDS)

    def mend(self) -> None:
        self._concerned = None
        self._unknown.clear()
        for link in self._links:
            link.mend()

    async def _serve(
        self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        try:
            from_server, to_server = await asyncio.open_connection(_LOOPBACK, self._server_port)
        except OSError:
            to_client.transport.abort()
            return
        link = _Link(to_client, to_server)
        self._links.add(link)
        if self._concerned is not None:
            link.cut()
            self._unknown.append(link)
        ways = [
            asyncio.create_task(_pump(from_client, link.to_server)),
            asyncio.create_task(_pump(from_server, link.to_client)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            # Whatever the other direction has under way may still arrive.
            await asyncio.wait(ways, timeout=0.2)
        finally:
            self._links.discard(link)
            for way in ways:
                way.cancel()
            to_client.close()
            to_server.close()


async def _pump(reader: asyncio.StreamReader, way: _Way) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            await way.pass_on(data)
    # A successor connects right after its predecessor's death: a server that hears of the death
    # later than of the successor sees two connections where there was one at a time.
    way.end()


def _inodes(server_port: int) -> dict[int, str]:
    """Client's port → inode of its end, of the loopback connections to a port."""
    wanted = f":{server_port:04X}"
    found = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[2].endswith(wanted):
            found[int(fields[1].rpartition(":")[2], 16)] = fields[9]
    return found


def _sockets(pids: set[int]) -> set[str]:
    """Inodes of all sockets that these processes hold."""
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for handle in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    name = str(handle.readlink())
                    if name.startswith("socket:["):
                        found.add(name[8:-1])
    return found
