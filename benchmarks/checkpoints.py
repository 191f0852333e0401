"""Checkpoints of a 10 MB device store: size of a delta, and lag under load.

Another process writes into the store as the library does for one message (a session record, a
message secret, an identity); the checkpointer of the product follows on real PostgreSQL and S3.
The baseline, in the same run: the whole store, compressed and sealed, for each checkpoint.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

from actors.checkpoint import pages
from actors.checkpoint.checkpointer import Checkpointer
from actors.checkpoint.sealer import Sealer
from actors.checkpoint.snapshot import take_snapshot
from benchmarks.shared.folder import working_folder
from cluster.domain.session import DesiredState
from cluster.settings import CheckpointSettings, Settings
from cluster.stores import Stores
from cluster.stores.migrate import migrate
from ops.embedded import EmbeddedStores

_ROWS = 9_000
_WRITER = """
import os, sqlite3, sys, time
store = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
store.execute("PRAGMA journal_mode=WAL")
rate, seconds = float(sys.argv[2]), float(sys.argv[3])
end, number = time.monotonic() + seconds, 0
while time.monotonic() < end:
    number += 1
    store.execute("BEGIN IMMEDIATE")
    store.execute("UPDATE whatsmeow_sessions SET session=? WHERE their_id=?",
                  (os.urandom(700), f"peer{number % 20}"))
    store.execute("INSERT INTO whatsmeow_message_secrets VALUES (?, ?)",
                  (f"m{time.time_ns()}", os.urandom(32)))
    store.execute("COMMIT")
    time.sleep(max(0, 1 / rate))
print(number)
"""


def make_store(path: Path) -> None:
    """A store of about 10 MB: many peers, as a busy account has."""
    with closing(sqlite3.connect(path)) as store:
        store.execute("PRAGMA journal_mode=WAL")
        store.execute("CREATE TABLE whatsmeow_sessions (their_id TEXT PRIMARY KEY, session BLOB)")
        store.execute("CREATE TABLE whatsmeow_message_secrets (id TEXT PRIMARY KEY, key BLOB)")
        store.executemany(
            "INSERT INTO whatsmeow_sessions VALUES (?, ?)",
            ((f"peer{n}", os.urandom(900)) for n in range(_ROWS)),
        )
        store.commit()


def write(path: Path, rate: float, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path), str(rate), str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
    )


async def measure(seconds: float, rates: list[float]) -> dict[str, Any]:
    """All figures, as JSON-able values."""
    with working_folder() as base, EmbeddedStores(base / "stores") as servers:
        os.environ.update(servers.env())
        migrate(servers.env()["DATABASE_URL"])
        stores = await Stores.open(Settings())
        try:
            return await _measure(stores, base, seconds, rates)
        finally:
            await stores.close()


async def _measure(
    stores: Stores, folder: Path, seconds: float, rates: list[float]
) -> dict[str, Any]:
    path = folder / "device.db"
    make_store(path)
    record = await stores.sessions.create("default", "bench", {}, DesiredState.RUNNING)
    claim = await stores.ownership.claim(record.id, "node", "holder", timedelta(hours=1))
    checkpointer = Checkpointer(
        session_id=record.id,
        epoch=claim.epoch,
        path=path,
        store=stores.checkpoints,
        objects=stores.objects,
        sealer=Sealer.from_setting("b:" + base64.b64encode(os.urandom(32)).decode()),
        settings=CheckpointSettings(),
    )
    await checkpointer.checkpoint("base")
    sizes, whole, took = [], [], []
    for _ in range(10):
        write(path, 1000, 0.0005).wait()
        began = time.perf_counter()
        await checkpointer.checkpoint("one message")
        took.append((time.perf_counter() - began) * 1000)
        sizes.append((await stores.checkpoints.rows(record.id))[0].size)
        data = await take_snapshot(path)
        whole.append(len(pages.base(data, pages.Image.of(data))))
    figures: dict[str, Any] = {
        "store_bytes": path.stat().st_size,
        "delta_bytes_median": median(sizes),
        "delta_bytes_max": max(sizes),
        "whole_bytes_median": median(whole),
        "delta_to_whole": round(median(sizes) / median(whole), 5),
        "one_checkpoint_ms_median": round(median(took), 1),
        "under_load": [],
    }
    for rate in rates:
        figures["under_load"].append(
            {
                "rate": rate,
                **await _under_load(stores, record.id, checkpointer, path, rate, seconds),
            }
        )
    return figures


async def _under_load(
    stores: Stores,
    session_id: int,
    checkpointer: Checkpointer,
    path: Path,
    rate: float,
    seconds: float,
) -> dict[str, Any]:
    """Checkpoint again and again, a second apart, while messages are written."""
    writer = write(path, rate, seconds)
    interval = CheckpointSettings().interval_seconds
    lags, bytes_written, before = [], 0, (await stores.checkpoints.rows(session_id))[0].seq
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        await checkpointer.checkpoint("load")
        # What was written right after the snapshot waits for the next one: interval and its time.
        lags.append(time.monotonic() - began + interval)
        bytes_written += (await stores.checkpoints.rows(session_id))[0].size
        await asyncio.sleep(interval)
    messages = int(writer.communicate()[0])
    after = (await stores.checkpoints.rows(session_id))[0].seq
    half = len(lags) // 2
    return {
        "messages_per_second": round(messages / seconds, 1),
        "checkpoints": after - before,
        "bytes_per_message": round(bytes_written / messages),
        "lag_s_first_half": round(median(lags[:half]), 3),
        "lag_s_second_half": round(median(lags[half:]), 3),
        "lag_s_max": round(max(lags), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each load")
    parser.add_argument("--rates", type=float, nargs="+", default=[20.0, 100.0])
    arguments = parser.parse_args()
    figures = asyncio.run(measure(arguments.seconds, arguments.rates))
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
