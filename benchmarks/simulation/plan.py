"""What is simulated: a cluster, its traffic, its timings and what it runs on."""

from __future__ import annotations

from dataclasses import dataclass, field

from cluster.settings import LeaseSettings, PlacementSettings

__all__ = ["Loss", "Plan"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """What dies, all at once, at the beginning of the measured time."""

    #: `node` or `zone`
    what: str
    #: Fraction of the nodes.
    share: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One simulated cluster. Times in seconds, rates per second."""

    sessions: int
    nodes: int
    #: Sessions that share a process: 1 is the isolated form.
    per_process: int
    seed: int = 1
    zones: int = 3

    #: Per session, at the busiest hour: 200 messages sent and 600 received in a day of which a
    #: tenth falls into that hour.
    sends: float = 200 * 0.1 / 3600
    receives: float = 600 * 0.1 / 3600
    #: Receipts per send: delivered and read.
    receipts_per_send: float = 2.0
    #: A busy session's checkpoints are grouped to one in `CHECKPOINT_INTERVAL_SECONDS`; at these
    #: rates every message is one of its own.
    checkpoints_per_message: float = 1.0

    lease: LeaseSettings = field(default_factory=lambda: LeaseSettings(_env_file=None))  # type: ignore[call-arg, unused-ignore]
    placement: PlacementSettings = field(
        default_factory=lambda: PlacementSettings(_env_file=None)  # type: ignore[call-arg, unused-ignore]
    )
    #: Starts a second in the whole cluster; None: as `PLACEMENT_STARTS_PER_SECOND` ships.
    starts_per_second: float | None = None

    #: Processor cores of PostgreSQL, of the S3 server, and of each node.
    postgres_cores: float = 16
    s3_cores: float = 16
    node_cores: float = 8
    #: From the death of a node to its actors being placed again: `benchmarks.false_alarms`.
    detection: float = 2.7
    #: Core-seconds of starting a process (Ray's worker, imports), and of resuming one session in it
    #: (claim, restore, forget, connect, log in), its own share without the stores. Measured by
    #: `gateway bench footprint` (the imports alone take 0.8) and `gateway bench recovery`.
    process_start: float = 1.2
    session_resume: float = 0.04
    #: Actors that Ray's control store creates a second (Ray's release benchmark `many_actors`:
    #: 389/s with 10,000 actors), and nodes and actors it was ever released with.
    actors_per_second: float = 389.0
    ray_nodes: int = 2_000
    ray_actors: int = 10_000

    @property
    def processes(self) -> int:
        """Session processes."""
        return -(-self.sessions // self.per_process)

    @property
    def pace(self) -> float:
        """Starts a second."""
        shipped = self.placement
        return self.starts_per_second or (
            shipped.packed_starts_per_second if self.per_process > 1 else shipped.starts_per_second
        )
