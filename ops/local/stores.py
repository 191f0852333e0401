"""The embedded servers that the user did not replace by their own."""

from __future__ import annotations

from pathlib import Path

from cluster.domain.errors import Unavailable
from ops.embedded import EmbeddedPostgres, EmbeddedSeaweed, EmbeddedValkey
from ops.embedded.process import EmbeddedServer, ProcessId, free_ports
from ops.local.apart import apart
from ops.local.layout import Layout
from ops.local.part import Part
from ops.local.processes import descendants
from ops.local.state import PartState
from ops.local.user_settings import UserSettings

__all__ = ["StorePart", "needed_stores"]


class StorePart(Part):
    """One embedded server; it keeps its port for as long as the host lives."""

    def __init__(
        self,
        name: str,
        log_name: str,
        server: EmbeddedServer,
        folder: Path,
        *,
        on_port: bool = True,
    ) -> None:
        self._name = name
        self._server = server
        self._folder = folder
        self._log = folder / log_name
        self._on_port = on_port
        self._port: int | None = None
        self._started = False
        self._restarts = 0

    @property
    def name(self) -> str:
        return self._name

    @property
    def ended(self) -> bool:
        return self._started and self._server.pid is None

    def start(self) -> None:
        self.begin()
        try:
            apart(self.wait)
        except Unavailable:
            self._server.stop()
            raise

    def begin(self) -> None:
        """Start it; from then on its address is known."""
        if self._started:
            self._restarts += 1
        port = (self._port or free_ports(1)[0]) if self._on_port else None
        self._server.begin(self._folder, port=port)
        self._port = port
        self._started = True

    def wait(self) -> None:
        """Wait until it answers. Raises `Unavailable`."""
        self._server.wait()

    def stop(self) -> None:
        self._started = False
        self._server.stop()

    def env(self) -> dict[str, str]:
        """The gateway's settings for it."""
        return self._server.env()

    def report(self) -> PartState:
        process = ProcessId.of(self._server.pid) if self._server.pid else None
        return PartState(
            name=self._name,
            process=process,
            port=self._port,
            log=self._log,
            restarts=self._restarts,
            family=sorted(descendants(process), key=lambda one: one.pid) if process else [],
        )


def needed_stores(own: UserSettings, layout: Layout) -> list[StorePart]:
    """Those to start; the one that takes longest until it answers first, and PostgreSQL, which
    makes its cluster before it can be left alone, last."""
    found = []
    if not own.has_objects:
        found.append(StorePart("seaweed", "weed.log", EmbeddedSeaweed(), layout.store("seaweed")))
    if not own.has_redis:
        valkey, folder = EmbeddedValkey(sockets=layout.valkey), layout.store("valkey")
        found.append(StorePart("valkey", "valkey.log", valkey, folder, on_port=False))
    if not own.has_database:
        layout.check_postgres_can_reach()
        server = EmbeddedPostgres()
        found.append(StorePart("postgres", "postgres.log", server, layout.store("postgres")))
    return found
