"""What the gateway needs and the suite owns: stores and sandbox, each behind a cable."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psutil
import psycopg
from stepped_clock import SteppedClock

from chaos.network import Cable
from cluster.domain.errors import Unavailable
from ops.embedded import EmbeddedPostgres, EmbeddedSeaweed, EmbeddedValkey
from ops.embedded.postgres import POSTGRES_UID, postgres_binary
from ops.embedded.process import EmbeddedServer, ProcessId
from ops.local.layout import ROOT
from ops.local.processes import descendants
from ops.local.sandbox import SandboxAddresses, SandboxPart

__all__ = ["NOBODY", "Servers", "Store", "family", "signal_all"]

T = TypeVar("T")
_SYNCHRONOUS_SECONDS = 30.0
#: As whom PostgreSQL's programs run where this one is root.
NOBODY: dict[str, Any] = (
    {"user": POSTGRES_UID, "group": POSTGRES_UID, "extra_groups": []} if os.geteuid() == 0 else {}
)


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

    def __init__(self, name: str, server: EmbeddedServer, folder: Path, keeper: _Keeper) -> None:
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

    @property
    def running(self) -> bool:
        return self._server.pid is not None

    async def stop(self) -> None:
        await self._keeper(self._server.stop)

    async def replaced_by(self, server: EmbeddedServer, folder: Path) -> None:
        """Another server, which runs, takes its place and its cable."""
        self._server, self._folder = server, folder
        self.port = _port_of(server.env())
        if self.cable is not None:
            self.cable.lead_to(self.port)

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


class Standby:
    """A second PostgreSQL that follows the first. Its calls block."""

    def __init__(self, primary: str, folder: Path) -> None:
        """`primary`: its URL."""
        self.server = EmbeddedPostgres()
        self.folder = folder
        self._primary = primary

    def copy(self) -> None:
        """What the primary has, as the beginning."""
        self.folder.mkdir(mode=0o711)
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(urlsplit(self._primary).password or "")
        data = self.folder / "cluster"
        data.mkdir(mode=0o700)
        if NOBODY:
            os.chown(data, POSTGRES_UID, POSTGRES_UID)
        with psycopg.connect(self._primary, autocommit=True) as connection:
            # Of the time when it was a primary itself: nobody stands by it now.
            connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
            connection.execute("SELECT pg_reload_conf()")
        subprocess.run(
            [
                str(postgres_binary("pg_basebackup")),
                *("-d", self._primary, "-D", str(data), "-R", "-X", "stream", "-c", "fast"),
            ],
            check=True,
            capture_output=True,
            timeout=120,
            cwd="/",
            **NOBODY,
        )

    def synchronous(self) -> None:
        """From the return on no commit is acknowledged before it is here."""
        with psycopg.connect(self._primary, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
            deadline = time.monotonic() + _SYNCHRONOUS_SECONDS
            while time.monotonic() < deadline:
                found = connection.execute("SELECT sync_state FROM pg_stat_replication").fetchall()
                if ("sync",) in found:
                    return
                time.sleep(0.1)
        raise Unavailable("the standby does not follow")

    def promote(self) -> None:
        url = self.server.env()["DATABASE_URL"]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT pg_promote(true, 30)")


class Servers:
    """All of them; `env` is what a gateway needs to find them."""

    def __init__(self, folder: Path, *, cables: bool, stepped: bool = False) -> None:
        """`cables`: lay them, for faults of the network. They cost time on every request.
        `stepped`: PostgreSQL's clock can be."""
        self._cables = cables
        self._folder = folder
        self._standbys = 0
        keeper = _Keeper()
        self.clock = SteppedClock(folder) if stepped else None
        self.postgres = Store(
            "postgres",
            EmbeddedPostgres(self.clock.environment if self.clock else None),
            folder / "postgres",
            keeper,
        )
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

    async def standby(self) -> Standby:
        """A synchronous standby of PostgreSQL: what is committed is there, too."""
        self._standbys += 1
        url = self.postgres.direct()["DATABASE_URL"]
        folder = self._folder / f"postgres-standby-{self._standbys}"
        standby = Standby(url, folder)
        await asyncio.to_thread(standby.copy)
        await self._keeper(lambda: standby.server.start(folder))
        await asyncio.to_thread(standby.synchronous)
        return standby

    async def fail_over(self, standby: Standby) -> None:
        """The primary is lost, and the standby takes its place."""
        await self.postgres.kill()
        await asyncio.to_thread(standby.promote)
        await self.postgres.replaced_by(standby.server, standby.folder)

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
