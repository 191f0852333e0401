"""What one operation costs, in processor time of the server that does it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

__all__ = ["Costs"]

_FILE = Path(__file__).with_name("costs.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """Processor milliseconds per operation, by `benchmarks.calibrate` on the real stores."""

    #: PostgreSQL: one renewal of one lease in a statement of its own.
    pg_renew: float
    #: PostgreSQL: one lease of a statement that renews a hundred.
    pg_renew_batched: float
    #: PostgreSQL: a start's admission and claim.
    pg_claim: float
    #: PostgreSQL: a status with its event.
    pg_status: float
    #: PostgreSQL: accepting one send, and marking it sent.
    pg_send: float
    #: PostgreSQL: one received message with its events.
    pg_receive: float
    #: PostgreSQL: one receipt.
    pg_receipt: float
    #: PostgreSQL: committing one checkpoint.
    pg_checkpoint: float
    #: PostgreSQL: one session's row, of those that the supervisor reads in each round.
    pg_reconcile_row: float
    #: The supervisor's process: the same row, read and decoded.
    supervisor_reconcile_row: float
    #: PostgreSQL: bytes of write-ahead log of one send, from accepted to sent.
    wal_send: float
    #: PostgreSQL: bytes of write-ahead log of one renewal.
    wal_renew: float
    #: Redis: one write with a lifetime.
    redis_set: float
    #: S3 server: one object of 8 kB written.
    s3_put: float
    #: S3 server: one object of 64 kB read.
    s3_get: float

    @classmethod
    def read(cls) -> Self:
        """The committed measurement."""
        found = json.loads(_FILE.read_text())
        return cls(**{field.name: float(found[field.name]) for field in fields(cls)})

    def write(self) -> None:
        """Replace the committed measurement."""
        _FILE.write_text(json.dumps(asdict(self), indent=1) + "\n")
