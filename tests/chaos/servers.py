"""What the gateway needs and the suite owns: stores and sandbox, each behind a cable."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

import psutil

from chaos.network import Cable
from cluster.embedded import EmbeddedPostgres, EmbeddedSeaweed, EmbeddedValkey
from cluster.local.layout import ROOT
from cluster.local.processes import ProcessId, descendants
from cluster.local.sandbox import SandboxAddresses, SandboxPart

__all__ = ["Servers", "Store", "family", "signal_all"]

T = TypeVar("T")


class _Server(Protocol):
    @property
    def pid(self) -> int | None: ...
    def start(self, data_dir: Path, *, port: int | None = None) -> None: ...
    def stop(self) -> None: ...
    def env(self) -> dict[str, str]: ...


def family(pid: int) -> set[int]:
    """A process and everything under it, as of now."""
    root = ProcessId.of(pid)
    return {one.pid for one in descendants(root)} if root else set()


def signal_all(pids: set[int], number: signal.Signals) -> None:
    """Signal processes as close to at once as it gets."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class _Keeper:
    """The one thread that starts servers: they end with the thread that started them."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="servers")

    async def __call__(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


class Store:
    """One embedded server that can be killed, frozen and started again at the same port."""

    def __init__(self, name: str, server: _Server, folder: Path, keeper: _Keeper) -> None:
        self.name = name
        self.cable: Cable | None = None
        self.port = 0
        self._server = server
        self._folder = folder
        self._keeper = keeper

    async def start(self) -> None:
        """Start it and wait until it answers."""
        self._folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        port = self.port or None
        await self._keeper(lambda: self._server.start(self._folder, port=port))
        if not self.port:
            self.port = _port_of(self._server.env())

    async def plug_in(self) -> None:
        """Lay a cable to it."""
        self.cable = Cable(self.name, self.port)
        await self.cable.start()

    async def kill(self) -> None:
        """SIGKILL it and its children; returns when they are gone."""
        pid = self._server.pid
        if pid is not None:
            members = [psutil.Process(one) for one in family(pid)]
            signal_all({one.pid for one in members}, signal.SIGKILL)
            await asyncio.to_thread(psutil.wait_procs, members, 10)
        await self._keeper(self._server.stop)

    async def stop(self) -> None:
        await self._keeper(self._server.stop)

    def freeze(self) -> None:
        if self._server.pid is not None:
            signal_all(family(self._server.pid), signal.SIGSTOP)

    def thaw(self) -> None:
        if self._server.pid is not None:
            signal_all(family(self._server.pid), signal.SIGCONT)

    def direct(self) -> dict[str, str]:
        """Settings that lead to it past the cable."""
        return self._server.env()

    def env(self) -> dict[str, str]:
        """Settings that lead to it, through its cable where it has one."""
        if self.cable is None:
            return self.direct()
        return {
            name: value.replace(f":{self.port}", f":{self.cable.port}")
            for name, value in self._server.env().items()
        }


class Servers:
    """All of them; `env` is what a gateway needs to find them."""

    def __init__(self, folder: Path, *, cables: bool) -> None:
        """`cables`: lay them, for faults of the network. They cost time on every request."""
        self._cables = cables
        keeper = _Keeper()
        self.postgres = Store("postgres", EmbeddedPostgres(), folder / "postgres", keeper)
        self.redis = Store("valkey", EmbeddedValkey(), folder / "valkey", keeper)
        self.objects = Store("seaweed", EmbeddedSeaweed(), folder / "seaweed", keeper)
        (folder / "sandbox").mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sandbox = SandboxPart(folder / "sandbox", lambda _: None)
        self._keeper = keeper
        self.whatsapp: Cable | None = None

    @property
    def stores(self) -> list[Store]:
        return [self.postgres, self.redis, self.objects]

    @property
    def sandbox(self) -> SandboxAddresses:
        return self._sandbox.addresses

    @property
    def store_cables(self) -> list[Cable]:
        return [store.cable for store in self.stores if store.cable is not None]

    async def start(self) -> None:
        # The sandbox is found as a module.
        os.environ["PYTHONPATH"] = os.pathsep.join(
            [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        for store in self.stores:
            await store.start()
        await self._keeper(self._sandbox.start)
        if self._cables:
            for store in self.stores:
                await store.plug_in()
            self.whatsapp = Cable("whatsapp", urlsplit(self.sandbox.proxy_url).port or 0)
            await self.whatsapp.start()

    async def stop(self) -> None:
        await self._keeper(self._sandbox.stop)
        for store in reversed(self.stores):
            await store.stop()
            if store.cable is not None:
                await store.cable.stop()
        if self.whatsapp is not None:
            await self.whatsapp.stop()

    def env(self) -> dict[str, str]:
        """The gateway's settings for them."""
        found = self.sandbox.env()
        if self.whatsapp is not None:
            found["WHATSAPP_PROXY_URL"] = f"http://127.0.0.1:{self.whatsapp.port}"
        for store in self.stores:
            found |= store.env()
        return found


def _port_of(env: dict[str, str]) -> int:
    if "S3_ENDPOINT" in env:
        return int(env["S3_ENDPOINT"].rpartition(":")[2])
    return urlsplit(next(iter(env.values()))).port or 0
