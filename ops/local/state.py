"""What the host publishes about itself: `state.json`, readable by its owner only."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from ops.embedded.process import ProcessId, private_file

__all__ = ["PartState", "Phase", "State"]


class Phase(StrEnum):
    """Where the host is. The starting ones in their order."""

    CLEANING = "seeing that nothing of an earlier run is left"
    STORES = "starting PostgreSQL, Valkey and SeaweedFS"
    MIGRATING = "bringing the database to the newest schema"
    SANDBOX = "starting the sandbox"
    RAY = "starting the Ray nodes"
    HTTP = "starting the HTTP front"
    SUPERVISOR = "starting the supervisor of sessions"
    UP = "up"
    STOPPING = "going down"
    DOWN = "down"
    FAILED = "failed"

    @classmethod
    def starting(cls) -> list[Phase]:
        return list(cls)[: list(cls).index(cls.UP)]


class PartState(BaseModel):
    """One part of the gateway: a store, the sandbox, a Ray node."""

    name: str
    process: ProcessId | None = None
    #: The port others reach it on.
    port: int | None = None
    log: Path | None = None
    #: Times it was restarted because it had ended.
    restarts: int = 0
    #: The process and everything it started, so that a later run can end them.
    family: list[ProcessId] = Field(default_factory=list)
    #: Of a Ray node: Ray's id of it, empty until the cluster has it.
    node_id: str | None = None


class State(BaseModel):
    """The whole state of one host."""

    #: Marks every process of this run: `GATEWAY_LOCAL_RUN` in its environment.
    run: str
    host: ProcessId
    started: datetime = Field(default_factory=lambda: datetime.now(UTC))
    phase: Phase = Phase.CLEANING
    #: Seconds that each phase took.
    seconds: dict[str, float] = Field(default_factory=dict)
    #: Why it failed, for people.
    error: str = ""
    sandboxed: bool = False
    nodes: int = 1
    url: str = ""
    api_key: str = Field("", repr=False)
    dashboard_url: str = ""
    ray_address: str = ""
    sandbox_control_url: str = ""
    sandbox_control_token: str = Field("", repr=False)
    parts: list[PartState] = Field(default_factory=list)

    @property
    def alive(self) -> bool:
        """Whether the host runs, in whatever phase."""
        return self.host.alive

    @property
    def of_many(self) -> bool:
        """Whether the cluster has other machines: Ray listens for them."""
        host = self.ray_address.rpartition(":")[0]
        return host not in ("", "127.0.0.1")

    def write(self, path: Path) -> None:
        """Replace the file in one step."""
        fresh = path.with_suffix(f".{os.getpid()}")
        private_file(fresh, self.model_dump_json(indent=1))
        fresh.replace(path)

    @classmethod
    def read(cls, path: Path) -> State | None:
        """The state, or None where there is none, one of another version, or another user's."""
        try:
            return cls.model_validate_json(path.read_text())
        except (FileNotFoundError, PermissionError, ValidationError):
            return None
