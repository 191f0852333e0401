"""Real PostgreSQL, Valkey and SeaweedFS as child processes, for one machine and for tests."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from ops.embedded.postgres import EmbeddedPostgres
from ops.embedded.seaweed import EmbeddedSeaweed
from ops.embedded.valkey import EmbeddedValkey

__all__ = ["EmbeddedPostgres", "EmbeddedSeaweed", "EmbeddedStores", "EmbeddedValkey"]


class EmbeddedStores:
    """All three on one data folder. Start it from a thread that outlives them (see process.py)."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.postgres = EmbeddedPostgres()
        self.valkey = EmbeddedValkey(sockets=data_dir / "valkey")
        self.seaweed = EmbeddedSeaweed()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start all three; on failure none is left. Raises `Unavailable`."""
        try:
            self.postgres.start(self.data_dir / "postgres")
            self.valkey.start(self.data_dir / "valkey")
            self.seaweed.start(self.data_dir / "seaweed")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self.seaweed.stop()
        self.valkey.stop()
        self.postgres.stop()

    def env(self) -> dict[str, str]:
        """The gateway's settings for all three."""
        return {**self.postgres.env(), **self.valkey.env(), **self.seaweed.env()}

    def healthy(self) -> dict[str, bool]:
        return {
            "postgresql": self.postgres.healthy(),
            "redis": self.valkey.healthy(),
            "s3": self.seaweed.healthy(),
        }
