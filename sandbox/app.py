"""The sandbox as a whole: websocket, media, proxy, phones and control API, in one event loop."""

from __future__ import annotations

import contextlib
import secrets
import ssl
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
from sandbox.server.one_port import OnePort
from sandbox.server.proxy import Proxy
from sandbox.server.server import Server

__all__ = ["Endpoints", "Ports", "Sandbox"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """How to reach a running sandbox."""

    #: what a client uses as its HTTP proxy
    proxy_url: str
    #: the websocket itself, for clients that are given its address
    websocket_url: str
    #: the same with attachments and the scanning phone at one address (whatsapp-rust's suite)
    one_port_url: str
    #: hex of the Noise root key that a client must trust in the place of WhatsApp's
    root_key: str
    #: PEM file for SSL_CERT_FILE of a client's process
    ca_bundle: str
    control_url: str
    control_token: str = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where to listen; 0: any free port."""

    proxy: int = 0
    websocket: int = 0
    media: int = 0
    control: int = 0
    everything: int = 0


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

    async def start(self, ports: Ports | None = None, *, host: str = "127.0.0.1") -> Endpoints:
        """Listen at an address of this machine. Raises OSError when a port is taken."""
        ports, server, running = ports or Ports(), self.server, self._running
        # Whoever listens everywhere is reached on loopback, and under names that he knows.
        here = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - not bound
        known = [] if here in tls.HOSTS else [here]
        files = tls.prepare(self._data_dir / "tls", now=datetime.now(UTC), hosts=known)
        websocket = await server.start(files.server_context(), ports.websocket, host=host)
        running.push_async_callback(server.stop)
        application = media_application(server.media, server.journal, self.phones.scan)
        media = HttpServer(application, tls=files)
        media_port = await media.start(ports.media, host=host)
        server.media_hosts.direct = f"{here}:{media_port}"
        running.push_async_callback(media.stop)
        proxy = Proxy(
            server.journal,
            server.media_hosts,
            websocket=(here, websocket),
            media=(here, media_port),
        )
        proxy_port = await proxy.start(ports.proxy, host=host)
        running.push_async_callback(proxy.stop)
        one_port = OnePort(
            server.media_hosts,
            serving=files.server_context(),
            asking=ssl.create_default_context(cafile=str(files.authority)),
            websocket_port=websocket,
            media_port=media_port,
            inner=here,
        )
        everything = await one_port.start(ports.everything, host)
        running.push_async_callback(one_port.stop)
        await self.phones.start()
        running.push_async_callback(self.phones.stop)
        token = secrets.token_urlsafe(24)
        controls = control_application(server, self.phones, token)
        controls.include_router(subjects.routes)
        controls.include_router(history.routes)
        control = HttpServer(controls)
        control_port = await control.start(ports.control, host=host)
        running.push_async_callback(control.stop)
        self.endpoints = Endpoints(
            proxy_url=f"http://{here}:{proxy_port}",
            websocket_url=f"wss://{here}:{websocket}/ws/chat",
            one_port_url=f"wss://{here}:{everything}/ws/chat",
            root_key=self.server.root.public.hex(),
            ca_bundle=str(files.bundle),
            control_url=f"http://{here}:{control_port}",
            control_token=token,
        )
        return self.endpoints

    async def stop(self) -> None:
        await self._running.aclose()
