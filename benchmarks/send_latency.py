"""What outbox and checkpoint add to a send: `gateway bench send_latency [--json FILE]`.

One session of the product in this process, on real stores and the sandbox. Texts one after the
other, in blocks by turns: through the session (intent committed, sent, recorded, checkpointed), and
by the same client of the library directly. The same connection, device and recipients for both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from actors.hosts.clients import neonize_factory
from actors.hosts.host import Assigned, SessionHost
from actors.session.serving import ClientFactory
from actors.whatsapp.port import EventSpool, WhatsAppClient
from actors.zygote.options import session_environment
from benchmarks.contest.load import percentile
from benchmarks.contest.stacks import the_sandbox
from benchmarks.shared.folder import working_folder
from cluster.domain.content import body_of
from cluster.domain.message_id import new_message_id
from cluster.domain.session import DesiredState, SessionStatus
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.migrate import migrate
from ops.embedded import EmbeddedStores

_OWN, _FRIEND = "491730000001", "491730000002"
_CHAT = f"{_FRIEND}@s.whatsapp.net"
#: Set in the process that has the session.
_HERE = "BENCH_SEND_LATENCY"
_QUIET_SECONDS = 2.0
_PATIENCE_SECONDS = 60.0


class _Seen:
    """Makes the library's clients as an actor does, and remembers the newest."""

    def __init__(self) -> None:
        self.client: WhatsAppClient | None = None

    def factory(self, settings: Settings) -> ClientFactory:
        make = neonize_factory(settings)

        def remembered(store: Path, key: str, on_event: Any, spool: EventSpool) -> WhatsAppClient:
            self.client = make(store, key, on_event, spool)
            return self.client

        return remembered


async def measure(ends: dict[str, Any], blocks: int, texts: int) -> dict[str, Any]:
    """Milliseconds of both, and the difference of their medians."""
    settings = Settings()
    stores = await Stores.open(settings)
    await stores.objects.ensure_bucket()
    record = await stores.sessions.create("default", "s", {}, DesiredState.RUNNING)
    seen = _Seen()
    host = SessionHost(
        assigned=Assigned(session_id=record.id),
        node="bench",
        settings=settings,
        client_factory=seen.factory,
    )
    async with httpx.AsyncClient(
        base_url=ends["control_url"],
        headers={"Authorization": f"Bearer {ends['control_token']}"},
    ) as control:
        for number in (_OWN, _FRIEND):
            body = {"number": number, "name": number}
            (await control.post("/phones", json=body)).raise_for_status()
        qr = await _until(lambda: stores.cache.qr_get(record.id))
        (await control.post(f"/phones/{_OWN}/scan", json={"qr": qr[0]})).raise_for_status()

    async def working() -> bool:
        return (await stores.sessions.get_by_id(record.id)).status is SessionStatus.WORKING

    await _until(working)
    client = seen.client
    assert client is not None  # noqa: S101 - it works

    # As of a front, which has a pool of its own.
    front = await host.loop.call(lambda: Stores.open(settings))

    async def by_session() -> None:
        content = _text()
        row, _ = await front.outbox.accept(
            record.id,
            message_id=new_message_id(),
            chat=_CHAT,
            sender=f"{_OWN}@s.whatsapp.net",
            kind=str(content["kind"]),
            content=content,
            body=body_of(content),
            idempotency_key=None,
            trace="",
        )
        followed = await host.session.calls.follow(row, 30.0)
        assert followed.sent_at is not None  # noqa: S101 - what is measured

    async def by_library() -> None:
        await client.send(chat=_CHAT, content=_text(), message_id=new_message_id())

    async def block(send: Callable[[], Awaitable[None]]) -> list[float]:
        took = []
        for _ in range(texts):
            began = time.perf_counter()
            await send()
            took.append(1e3 * (time.perf_counter() - began))
        return took

    ways = {"session": by_session, "library": by_library}
    found: dict[str, list[float]] = {name: [] for name in ways}
    for block_number in range(blocks + 1):
        for name, send in ways.items():
            took = await host.loop.call(partial(block, send))
            if block_number:  # the first is to get warm
                found[name] += took
            await asyncio.sleep(_QUIET_SECONDS)
    await host.loop.call(front.close)
    await host.loop.call(lambda: host.stop(record.id))
    await stores.close()
    shown = {
        name: {"p50_ms": percentile(took, 0.5), "p99_ms": percentile(took, 0.99)}
        for name, took in found.items()
    }
    added = statistics.median(found["session"]) - statistics.median(found["library"])
    return {"texts": blocks * texts, **shown, "added_p50_ms": added}


def _text() -> dict[str, Any]:
    return {"kind": "text", "text": "x" * 80}


async def _until(ask: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            if found := await ask():
                return found
            await asyncio.sleep(0.05)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="gateway bench send_latency", description=__doc__)
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--texts", type=int, default=50, help="in a block")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    with (
        working_folder() as folder,
        EmbeddedStores(folder / "stores") as servers,
        the_sandbox(folder) as ends,
    ):
        migrate(servers.env()["DATABASE_URL"])
        # The library reads the environment that its process began with.
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.send_latency"],
            input=json.dumps([ends, given.blocks, given.texts]),
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                **session_environment(Settings()),
                **servers.env(),
                "GATEWAY_DATA_DIR": str(folder / "data"),
                "GATEWAY_ENV_FILE": os.devnull,
                "SSL_CERT_FILE": ends["ca_bundle"],
                "WHATSAPP_PROXY_URL": ends["proxy_url"],
                "WHATSAPP_SANDBOX_ROOT_KEY": ends["root_key"],
                "CHECKPOINT_KEYS": "bench:" + "A" * 43 + "=",
                _HERE: "1",
            },
            text=True,
            check=True,
        )
    text = done.stdout.splitlines()[-1] + "\n"
    if given.json:
        given.json.write_text(text)
    sys.stdout.write(text)


def _host() -> None:
    """The process that has the session."""
    ends, blocks, texts = json.loads(sys.stdin.read())
    figures = asyncio.run(measure(ends, blocks, texts))
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _host() if _HERE in os.environ else main()
