"""Damaged checkpoints: the newest delta of each session of a node altered or gone."""

from __future__ import annotations

import asyncio
import io
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from minio import Minio

from chaos.faults.processes import kill_node
from chaos.people import Person
from chaos.scene import Fault, Scene, Strike
from chaos.servers import signal_all

__all__ = ["CHECKPOINT_FAULTS"]

_NEWEST_DELTAS = """
SELECT object_key FROM (
  SELECT DISTINCT ON (c.session_id) c.object_key, c.kind FROM checkpoints c
  JOIN sessions s ON s.id = c.session_id
  WHERE s.name = ANY(%s) AND NOT c.bad
  ORDER BY c.session_id, c.epoch DESC, c.seq DESC
) AS newest
WHERE kind = 'delta'
"""
#: What the restore says of a checkpoint that it passes over.
_SAYS_SO = "checkpoint.not_whole"
_TIME = re.compile(r'"timestamp": "([^"]+)"')

_Harm = Callable[[Minio, str, str], None]


def _alter(store: Minio, bucket: str, key: str) -> None:
    answer = store.get_object(bucket, key)
    try:
        data = bytearray(answer.read())
    finally:
        answer.close()
        answer.release_conn()
    data[len(data) // 2] ^= 0xFF
    store.put_object(bucket, key, io.BytesIO(bytes(data)), len(data))


def _remove(store: Minio, bucket: str, key: str) -> None:
    store.remove_object(bucket, key)


def _harmed(harm: _Harm) -> Callable[[Scene], AbstractAsyncContextManager[Strike]]:
    @asynccontextmanager
    async def strike(scene: Scene) -> AsyncIterator[Strike]:
        logs = scene.gateway.layout.ray / "session_latest" / "logs"
        began = datetime.now(UTC).isoformat()
        keys: list[str] = []

        async def harmed(name: str, people: list[Person]) -> None:
            # Stopped, so that no owner writes a newer one, or deletes these, before it is killed.
            signal_all(scene.gateway.members(name), signal.SIGSTOP)
            keys.extend(await asyncio.to_thread(_harm_newest, scene, people, harm))

        async with kill_node(scene, before=harmed) as killed:
            killed.what += f"; {len(keys)} deltas harmed"
            yield killed
        # Sends are accepted before anybody has restored anything; the node is back by now.
        logged = _mentions(logs, began)
        if logged < len(keys):
            killed.remarks.append(
                f"{len(keys)} deltas were harmed, the logs name {logged} damaged checkpoints"
            )

    return strike


def _harm_newest(scene: Scene, people: list[Person], harm: _Harm) -> list[str]:
    env: dict[str, Any] = scene.servers.objects.direct()
    store = Minio(
        env["S3_ENDPOINT"],
        access_key=env["S3_ACCESS_KEY"],
        secret_key=env["S3_SECRET_KEY"],
        secure=False,
        region="us-east-1",
    )
    with psycopg.connect(scene.servers.postgres.direct()["DATABASE_URL"]) as connection:
        rows = connection.execute(_NEWEST_DELTAS, ([p.session for p in people],)).fetchall()
    keys = [str(row[0]) for row in rows]
    for key in keys:
        harm(store, env["S3_BUCKET"], key)
    return keys


def _mentions(logs: Path, began: str) -> int:
    """How often the sessions' logs name a damaged checkpoint since then; Ray removes old ones."""
    found = 0
    for path in logs.glob("worker-*.out"):
        for line in path.read_text(errors="replace").splitlines():
            when = _TIME.search(line) if _SAYS_SO in line else None
            found += when is not None and when[1] >= began
    return found


CHECKPOINT_FAULTS = [
    Fault("corrupt_delta", "newest delta altered, then the node killed", _harmed(_alter)),
    Fault("missing_delta", "newest delta removed, then the node killed", _harmed(_remove)),
]
