"""Processor time of the stores per operation of the gateway: what `benchmarks.scale` counts with.

Real servers, the product's own store classes. Processor time of the server's processes is counted,
not the clock: it is the same however busy the machine is, and whoever else asks.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import psutil

from benchmarks.shared.folder import working_folder
from benchmarks.simulation.costs import Costs
from cluster.domain.message import Ack, OutboxState, StoredMessage
from cluster.domain.session import DesiredState, SessionStatus
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.database import Database
from cluster.stores.migrate import migrate
from ops.embedded import EmbeddedStores

_TTL = timedelta(seconds=5)
#: Sessions that share a process in the batched form.
_BATCH = 100
_RENEW_BATCH = """
    UPDATE ownership o SET lease_until = greatest(o.lease_until, clock_timestamp() + %(ttl)s)
    FROM unnest(%(ids)s::bigint[], %(epochs)s::bigint[]) AS mine(id, epoch)
    WHERE o.session_id = mine.id AND o.epoch = mine.epoch AND NOT o.released
"""


def _seconds(pid: int) -> float:
    """Processor time of a process and everything below it, the ended ones included."""
    root = psutil.Process(pid)
    total = 0.0
    for process in [root, *root.children(recursive=True)]:
        times = process.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total


class Meter:
    """Runs an operation often, a few at once, and divides what the server burnt."""

    def __init__(self, pid: int, at_once: int = 8) -> None:
        self._pid = pid
        self._at_once = at_once

    async def per(self, times: int, operation: Callable[[int], Awaitable[object]]) -> float:
        """Processor milliseconds of the server per operation; `operation` is given its number."""
        numbers = iter(range(times))

        async def work() -> None:
            for number in numbers:
                await operation(number)

        before = _seconds(self._pid)
        await asyncio.gather(*(work() for _ in range(self._at_once)))
        return (_seconds(self._pid) - before) * 1000 / times


async def measure(scale: int) -> Costs:
    """All costs; `scale`: how many hundreds of operations of each kind."""
    with working_folder() as folder, EmbeddedStores(folder) as servers:
        os.environ.update(servers.env())
        migrate(servers.env()["DATABASE_URL"])
        settings = Settings()
        stores = await Stores.open(settings, plan_once=True)
        database = await Database.open(settings.stores)
        try:
            return await _measure(servers, stores, database, settings, scale * 100)
        finally:
            await database.close()
            await stores.close()


async def _measure(
    servers: EmbeddedStores, stores: Stores, database: Database, settings: Settings, times: int
) -> Costs:
    pids = [servers.postgres.pid, servers.valkey.pid, servers.seaweed.pid]
    assert all(pids)  # noqa: S101 - they run
    postgres, valkey, seaweed = (Meter(pid) for pid in pids if pid)
    sessions = 20 * _BATCH
    ids = [
        (await stores.sessions.create("default", f"s{n}", {}, DesiredState.RUNNING)).id
        for n in range(sessions)
    ]

    async def begin(number: int) -> None:
        await stores.starts.begin(ids[number % sessions], "node", settings.start_policy)
        await stores.ownership.claim(ids[number % sessions], "node", "holder", _TTL)

    claim = await postgres.per(sessions, begin)
    epochs = [await stores.ownership.newest_epoch(i) for i in ids]
    mine = list(zip(ids, epochs, strict=True))

    async def renew(number: int) -> None:
        await stores.ownership.renew(*mine[number % sessions], _TTL)

    async def renew_batch(number: int) -> None:
        part = mine[number % 20 * _BATCH :][:_BATCH]
        await database.run(
            _RENEW_BATCH,
            {"ids": [i for i, _ in part], "epochs": [e for _, e in part], "ttl": _TTL},
        )

    async def status(number: int) -> None:
        session_id, epoch = mine[number % sessions]
        await stores.sessions.set_status(session_id, epoch, SessionStatus.WORKING)
        await stores.events.append(session_id, "session.status", {"status": "WORKING"}, epoch=epoch)

    async def send(number: int) -> None:
        session_id, epoch = mine[number % sessions]
        message_id = f"3EB0{number:016X}"
        await stores.outbox.accept(
            session_id,
            message_id=message_id,
            chat="4915100000002@s.whatsapp.net",
            sender="4915100000001@s.whatsapp.net",
            kind="text",
            content={"kind": "text", "text": "x" * 80},
            body="x" * 80,
            idempotency_key=None,
        )
        await stores.outbox.mark_sent(session_id, epoch, message_id, datetime.now(UTC))

    async def receive(number: int) -> None:
        session_id, epoch = mine[number % sessions]
        message = StoredMessage(
            message_id=f"3EB1{number:016X}",
            chat="4915100000002@s.whatsapp.net",
            sender="4915100000002@s.whatsapp.net",
            from_me=False,
            timestamp=datetime.now(UTC),
            kind="text",
            body="x" * 80,
            ack=Ack.DEVICE,
        )
        await stores.inbox.record_incoming(session_id, epoch, message, "message", "message.any")

    async def receipt(number: int) -> None:
        session_id, epoch = mine[number % sessions]
        await stores.inbox.record_receipt(
            session_id,
            epoch,
            chat="4915100000002@s.whatsapp.net",
            message_ids=[f"3EB0{number:016X}"],
            sender="4915100000002@s.whatsapp.net",
            ack=Ack.DEVICE,
            state=OutboxState.DELIVERED,
            timestamp=datetime.now(UTC),
        )

    async def checkpoint(number: int) -> None:
        session_id, epoch = mine[number % sessions]
        await stores.checkpoints.commit(
            session_id,
            epoch,
            seq=number // sessions + 1,
            kind="base",
            base_seq=number // sessions + 1,
            object_key=f"k{number}",
            size=8192,
            sha256="0" * 64,
            key_id="1",
        )

    async def reconcile(_: int) -> None:
        await stores.sessions.list(None)
        await stores.starts.list()

    async def put(number: int) -> None:
        await stores.objects.put(f"c/{number}", os.urandom(8192))

    async def read(number: int) -> None:
        await stores.objects.get(f"big/{number % 16}")

    async def cache(number: int) -> None:
        await stores.cache.statuses_put({ids[number % sessions]: {"status": "WORKING"}}, 60)

    async def wal() -> int:
        row = await database.one("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS bytes", {})
        assert row is not None  # noqa: S101
        return int(row["bytes"])

    before = await wal()
    pg_renew = await postgres.per(times, renew)
    wal_renew = (await wal() - before) / times
    before = await wal()
    pg_send = await postgres.per(times, send)
    wal_send = (await wal() - before) / times
    for n in range(16):
        await stores.objects.put(f"big/{n}", os.urandom(65536))
    rounds = 10
    began = time.process_time()
    reconcile_row = await postgres.per(rounds, reconcile) / sessions
    decode_row = (time.process_time() - began) * 1000 / rounds / sessions
    return Costs(
        pg_renew=pg_renew,
        pg_renew_batched=await postgres.per(max(100, times // 10), renew_batch) / _BATCH,
        pg_claim=claim,
        pg_status=await postgres.per(times, status),
        pg_send=pg_send,
        pg_receive=await postgres.per(times, receive),
        pg_receipt=await postgres.per(times, receipt),
        pg_checkpoint=await postgres.per(times, checkpoint),
        pg_reconcile_row=reconcile_row,
        supervisor_reconcile_row=decode_row,
        wal_send=wal_send,
        wal_renew=wal_renew,
        redis_set=await valkey.per(times, cache),
        s3_put=await seaweed.per(times // 4, put),
        s3_get=await seaweed.per(times // 4, read),
    )


def main() -> None:
    """Measure, print, and keep when asked."""
    parser = argparse.ArgumentParser(prog="gateway bench calibrate", description=__doc__)
    parser.add_argument("--hundreds", type=int, default=60, help="operations of each kind, /100")
    parser.add_argument("--keep", action="store_true", help="what `bench scale` counts with")
    arguments = parser.parse_args()
    costs = asyncio.run(measure(arguments.hundreds))
    rounded = Costs(**{name: float(f"{value:.3g}") for name, value in asdict(costs).items()})
    sys.stdout.write(json.dumps(asdict(rounded), indent=1) + "\n")
    if arguments.keep:
        rounded.write()


if __name__ == "__main__":
    main()
