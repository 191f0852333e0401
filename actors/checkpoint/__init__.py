"""Checkpoints of a device store: a base and deltas of changed pages, sealed, in the object store.

PostgreSQL says which checkpoints exist (`cluster.stores.checkpoints`); S3 only holds bytes.
See docs/decisions/checkpoints.md.
"""

from __future__ import annotations

from actors.checkpoint.checkpointer import Checkpointer
from actors.checkpoint.forget import forget_sessions
from actors.checkpoint.restore import RestoreReport, restore
from actors.checkpoint.sealer import Sealer, SealError

__all__ = ["Checkpointer", "RestoreReport", "SealError", "Sealer", "forget_sessions", "restore"]
