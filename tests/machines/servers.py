"""The stores of the cluster, in their own machine: `python -m machines.servers FOLDER ADDRESS`.
Writes where they are to FOLDER/env.json, and runs until SIGTERM."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

from ops.embedded import EmbeddedPostgres, EmbeddedSeaweed, EmbeddedValkey

_S3_PORT = 9000


async def main(folder: Path, address: str) -> None:
    postgres, cache, control = (
        EmbeddedPostgres(host=address),
        EmbeddedValkey(address),
        EmbeddedValkey(address),
    )
    objects = EmbeddedSeaweed()
    parts = [(postgres, "postgres"), (cache, "cache"), (control, "control"), (objects, "s3")]
    try:
        for part, name in parts:
            part.start(folder / name)
        # SeaweedFS has certificates for loopback: its S3 port alone is passed on.
        inner = urlsplit(f"//{objects.env()['S3_ENDPOINT']}")
        server = await asyncio.start_server(
            lambda reader, writer: _pass_on(reader, writer, int(inner.port or 0)),
            address,
            _S3_PORT,
        )
        redis = urlsplit(control.env()["REDIS_URL"])
        found = {
            **postgres.env(),
            **cache.env(),
            **objects.env(),
            "S3_ENDPOINT": f"{address}:{_S3_PORT}",
            "RAY_REDIS_ADDRESS": f"{redis.hostname}:{redis.port}",
            "RAY_REDIS_PASSWORD": redis.password or "",
        }
        fresh = folder / "env.tmp"
        fresh.write_text(json.dumps(found))
        fresh.replace(folder / "env.json")
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()
        server.close()
    finally:
        for part, _ in reversed(parts):
            part.stop()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    try:
        there, back = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_copy(reader, back), _copy(there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
