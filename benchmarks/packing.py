"""What a session costs, and how fast many come back: `python -m benchmarks.packing`.

The process that hosts sessions, as it is under Ray (with Ray imported, without a cluster), against
real stores and the sandbox, all on this machine. Sessions are paired step by step and the private
memory (USS) of the process is read at each step; then it is killed and started again, on the
same node with its device stores (a crash) and on another without them (a lost node).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from actors.zygote.options import session_environment
from benchmarks.shared.folder import working_folder
from cluster.domain.session import DesiredState, SessionStatus
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.migrate import migrate
from ops.embedded import EmbeddedStores
from sandbox.app import Sandbox

__all__ = ["main"]

_NUMBER = 4915300000000
_PAIRS_AT_ONCE = 4
_QUIET_SECONDS = 8.0
_PATIENCE_SECONDS = 240.0
_MB = 1 << 20


def main(
    sessions: Annotated[int, typer.Option(min=1, max=200, help="At last.")] = 100,
    isolated: Annotated[bool, typer.Option(help="One session in a process of its own.")] = False,
) -> None:
    """Print the figures as JSON."""
    with working_folder() as folder, EmbeddedStores(folder / "stores") as stores:
        os.environ.update(stores.env())
        migrate(stores.env()["DATABASE_URL"])
        figures = asyncio.run(_measure(folder, 1 if isolated else sessions, isolated))
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


async def _measure(folder: Path, total: int, isolated: bool) -> dict[str, Any]:
    figures: dict[str, Any] = {"sessions": total, "isolated": isolated, "memory": []}
    async with Sandbox.running(folder / "sandbox") as sandbox:
        stores = await Stores.open(Settings())
        await stores.objects.ensure_bucket()
        host = await stores.hosts.make("bench", total)
        ids: list[int] = []
        if isolated:
            ids.append(await _made(stores, 0))
        environment = {
            **os.environ,
            **session_environment(Settings()),
            "SSL_CERT_FILE": sandbox.endpoints.ca_bundle,
            "WHATSAPP_PROXY_URL": sandbox.endpoints.proxy_url,
            "WHATSAPP_SANDBOX_ROOT_KEY": sandbox.endpoints.root_key,
            "CHECKPOINT_KEYS": "bench:" + "A" * 43 + "=",
            "PLACEMENT_SESSIONS_PER_ACTOR": str(total),
            "GATEWAY_ENV_FILE": os.devnull,
        }
        command = ["session", str(ids[0])] if isolated else ["host", str(host), str(total)]
        async with _process(command, environment, folder / "node-a") as process:
            for step in sorted({n for n in (1, 10, 50, 100, 200) if n < total} | {total}):
                while len(ids) < step:
                    ids.append(await _made(stores, len(ids)))
                await _paired(stores, sandbox, host, ids, isolated)
                await asyncio.sleep(_QUIET_SECONDS)
                figures["memory"].append({"sessions": step, **_memory(process.pid)})
        for node in ("node-a", "node-b"):
            began = time.monotonic()
            async with _process(command, environment, folder / node) as process:
                back = await _working(stores, ids, since=began)
                await asyncio.sleep(_QUIET_SECONDS)
                figures[f"back_on_{node}"] = {
                    "first": round(back[0], 2),
                    "last": round(back[-1], 2),
                    "per_second": round((len(back) - 1) / max(back[-1] - back[0], 0.01), 1),
                    "memory": _memory(process.pid),
                }
        await stores.close()
    return figures


@asynccontextmanager
async def _process(
    arguments: list[str], environment: dict[str, str], data: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Killed in the end: that is what is to be recovered from."""
    await asyncio.to_thread(data.mkdir, exist_ok=True)
    with (data.parent / "host.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.packing_host"),
            *arguments,
            env={**environment, "GATEWAY_DATA_DIR": str(data)},
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def _made(stores: Stores, number: int) -> int:
    record = await stores.sessions.create("default", f"s{number}", {}, DesiredState.RUNNING)
    return record.id


async def _paired(
    stores: Stores, sandbox: Sandbox, host: int, ids: list[int], isolated: bool
) -> None:
    gate = asyncio.Semaphore(_PAIRS_AT_ONCE)

    async def pair(session_id: int) -> None:
        async with gate:
            if not isolated:
                await stores.hosts.assign({session_id: host})
            phone = await sandbox.phones.add(str(_NUMBER + session_id))
            await phone.scan(await _qr(stores, session_id))
            await _working(stores, [session_id], since=time.monotonic(), newer=False)

    known = {r.id for r in await stores.sessions.list(None) if r.me is not None}
    async with asyncio.timeout(_PATIENCE_SECONDS):
        await asyncio.gather(*(pair(i) for i in ids if i not in known))


async def _qr(stores: Stores, session_id: int) -> str:
    while True:
        if shown := await stores.cache.qr_get(session_id):
            return shown[0]
        await asyncio.sleep(0.05)


async def _working(
    stores: Stores, ids: list[int], *, since: float, newer: bool = True
) -> list[float]:
    """Wait until an owner, `newer` than now, works in each of them; seconds, in order."""
    before = {r.id: r.epoch for r in await stores.sessions.list(None)}
    seconds: dict[int, float] = {}
    while len(seconds) < len(ids):
        if time.monotonic() - since > _PATIENCE_SECONDS:
            states = Counter(r.status.value for r in await stores.sessions.list(None))
            raise TimeoutError(f"{len(ids) - len(seconds)} are not back: {dict(states)}")
        for record in await stores.sessions.list(None):
            new = record.epoch > before[record.id] or not newer
            if record.id in ids and new and record.status is SessionStatus.WORKING:
                seconds.setdefault(record.id, time.monotonic() - since)
        await asyncio.sleep(0.1)
    return sorted(seconds.values())


def _memory(pid: int) -> dict[str, Any]:
    """Private memory in MB, and what it is."""
    kinds: Counter[str] = Counter()
    kind = ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        first, _, rest = line.partition(" ")
        if "-" in first and not first.endswith(":"):
            kind = _kind(first, rest.split()[-1] if len(rest.split()) > 4 else "")
        elif first in ("Private_Clean:", "Private_Dirty:"):
            kinds[kind] += int(rest.split()[0])
    process = psutil.Process(pid)
    return {
        "uss_mb": round(process.memory_full_info().uss / _MB, 1),
        "pss_mb": round(process.memory_full_info().pss / _MB, 1),
        "threads": process.num_threads(),
        "files": process.num_fds(),
        "what": {name: round(kb / 1024, 1) for name, kb in kinds.most_common() if kb > 512},
    }


def _kind(place: str, name: str) -> str:
    if place.startswith("c0"):
        return "heap of Go"
    if name.startswith("/"):
        return Path(name).name.split(".cpython")[0]
    return {"[heap]": "heap of C", "[stack]": "stack"}.get(
        name, "anonymous: Python, arenas, stacks"
    )


if __name__ == "__main__":
    typer.run(main)
