"""The sandbox as a whole: websocket, media, proxy, phones and control API, in one event loop."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox.control import history, subjects
from sandbox.control.api import control_application
from sandbox.crypto import tls
from sandbox.http_server import HttpServer
from sandbox.phone.phones import Phones
from sandbox.server.media_http import media_application
from sandbox.server.proxy import Proxy
from sandbox.server.server import Server

__all__ = ["Endpoints", "Sandbox"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """How to reach a running sandbox."""

    #: what a client uses as its HTTP proxy
    proxy_url: str
    #: the websocket itself, for clients that are told its address
    websocket_url: str
    #: hex of the Noise root key that a client must trust in the place of WhatsApp's
    root_key: str
    #: PEM file for SSL_CERT_FILE of a client's process
    ca_bundle: str
    control_url: str
    control_token: str = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Sandbox:
    """One WhatsApp of one's own. `start` it in the event loop that is to run it."""

    def __init__(self, data_dir: Path, *, keep: bool = True) -> None:
        """`keep`: accounts, queues and media outlive this process, in `data_dir`."""
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._data_dir = data_dir.resolve()
        self.server = Server(self._data_dir if keep else None)
        self.phones = Phones(self.server)
        self._running = contextlib.AsyncExitStack()

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, data_dir: Path | None = None) -> AsyncIterator[Sandbox]:
        """A started sandbox, for tests; without `data_dir` nothing is kept."""
        with contextlib.ExitStack() as stack:
            folder = data_dir or Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="sandbox-"))
            )
            sandbox = cls(folder, keep=data_dir is not None)
            sandbox.endpoints = await sandbox.start()
            try:
                yield sandbox
            finally:
                await sandbox.stop()

    endpoints: Endpoints

    async def start(self, *, proxy_port: int = 0, control_port: int = 0) -> Endpoints:
        """Listen on loopback. Raises OSError when a port is taken."""
        files = tls.prepare(self._data_dir / "tls", now=datetime.now(UTC))
        running = self._running
        websocket_port = await self.server.start(files.server_context())
        running.push_async_callback(self.server.stop)
        media = HttpServer(media_application(self.server.media, self.server.journal), tls=files)
        media_port = await media.start()
        running.push_async_callback(media.stop)
        proxy = Proxy(self.server.journal, websocket_port=websocket_port, media_port=media_port)
        proxy_port = await proxy.start(proxy_port)
        running.push_async_callback(proxy.stop)
        await self.phones.start()
        running.push_async_callback(self.phones.stop)
        token = secrets.token_urlsafe(24)
        application = control_application(self.server, self.phones, token)
        application.include_router(subjects.routes)
        application.include_router(history.routes)
        control = HttpServer(application)
        control_port = await control.start(control_port)
        running.push_async_callback(control.stop)
        self.endpoints = Endpoints(
            proxy_url=f"http://127.0.0.1:{proxy_port}",
            websocket_url=f"wss://127.0.0.1:{websocket_port}/ws/chat",
            root_key=self.server.root.public.hex(),
            ca_bundle=str(files.bundle),
            control_url=f"http://127.0.0.1:{control_port}",
            control_token=token,
        )
        return self.endpoints

    async def stop(self) -> None:
        await self._running.aclose()
