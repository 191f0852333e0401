"""A linked device in a process of its own: the real library, driven by lines of JSON.

A process of its own, because Go reads SSL_CERT_FILE when a process starts, and because tests end
it in ways that no library survives.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sandbox.app import Endpoints

_ROOT = Path(__file__).parents[3]
#: Of the device's process: another one (`tests/arm64.py`), and how much slower it may be.
_INTERPRETER = shlex.split(os.environ.get("LIBRARY_TEST_INTERPRETER", "")) or [sys.executable]
_PATIENCE = float(os.environ.get("LIBRARY_TEST_PATIENCE", "1"))
_keys = itertools.count(1)


class LibraryDevice:
    """The parent's side."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._changed = asyncio.Condition()
        self.events: list[dict[str, Any]] = []
        self._reader = asyncio.create_task(self._read())

    @classmethod
    @asynccontextmanager
    async def running(cls, store: Path, endpoints: Endpoints) -> AsyncIterator[LibraryDevice]:
        """A started process, not connected yet; ended afterwards."""
        process = await asyncio.create_subprocess_exec(
            *_INTERPRETER,
            __file__,
            str(store),
            json.dumps(endpoints.as_dict()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={
                **os.environ,
                "SSL_CERT_FILE": endpoints.ca_bundle,
                "PYTHONPATH": str(_ROOT),
                "GATEWAY_ENV_FILE": os.devnull,
            },
            limit=1 << 22,
        )
        device = cls(process)
        try:
            yield device
        finally:
            await device.kill()

    async def do(self, code: str, **values: Any) -> Any:
        """Evaluate an expression there, with `client`, `library` and `values`; may await."""
        number = next(_keys)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        line = json.dumps({"number": number, "code": code, "values": values})
        self._process.stdin.write(line.encode() + b"\n")
        async with asyncio.timeout(40 * _PATIENCE):
            return await answer

    async def connect(self) -> None:
        await self.do("client.connect()")

    async def event(self, kind: str, /, seconds: float = 20, **facts: Any) -> dict[str, Any]:
        """The next event of a kind with these facts, not seen before; consumes it."""

        def fits(event: dict[str, Any]) -> bool:
            return event["event"] == kind and all(event.get(k) == v for k, v in facts.items())

        async with asyncio.timeout(seconds * _PATIENCE), self._changed:
            while True:
                found = next((e for e in self.events if fits(e)), None)
                if found is not None:
                    self.events.remove(found)
                    return found
                await self._changed.wait()

    async def send(self, chat: str, text: str) -> str:
        """Send a text; returns its id."""
        return str(await self.do("send(chat, text)", chat=chat, text=text))

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if not line.startswith(b"{"):
                continue  # the library prints, too
            told = json.loads(line)
            if "number" in told:
                answer = self._answers.pop(told["number"])
                if "error" in told:
                    answer.set_exception(RuntimeError(told["error"]))
                else:
                    answer.set_result(told["value"])
            else:
                async with self._changed:
                    self.events.append(told)
                    self._changed.notify_all()


async def _child(store: Path, endpoints: dict[str, str]) -> None:
    import ctypes
    import dataclasses
    import inspect
    import time
    from concurrent.futures import ThreadPoolExecutor

    from neonize.utils.jid import build_jid

    from actors.whatsapp.library.decrypt_txn import field_of
    from actors.whatsapp.neonize_client import NeonizeClient
    from actors.whatsapp.port import HistoryArrived
    from actors.whatsapp.verbs import find
    from cluster.settings import WhatsAppSettings

    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(32))
    output = os.fdopen(os.dup(1), "w", buffering=1)

    def tell(told: dict[str, Any]) -> None:
        output.write(json.dumps(told, default=str) + "\n")

    async def on_event(event: Any) -> None:
        if isinstance(event, HistoryArrived):
            event = dataclasses.replace(event, chunks=list(event.chunks))
        facts = dataclasses.asdict(event)
        message = facts.pop("message", {})
        content = {"content": message.pop("kind")} if message else {}
        tell({**message, **facts, **content, "event": type(event).__name__})

    client = NeonizeClient(
        store=store,
        key=f"device-{time.time_ns()}",
        settings=WhatsAppSettings(
            proxy_url=endpoints["proxy_url"],
            sandbox_root_key=endpoints["root_key"],
            sandbox_ca_bundle=endpoints["ca_bundle"],
        ),
        on_event=on_event,
    )

    async def send(chat: str, text: str) -> str:
        chosen = client.new_message_id()
        await client.send(chat=chat, content={"kind": "text", "text": text}, message_id=chosen)
        return chosen

    def verb(name: str, /, **arguments: Any) -> Any:
        return find(name)(client, **arguments)

    async def connect_and_close(delay: float) -> None:
        async def close() -> None:
            await asyncio.sleep(delay)
            await client.close()

        await asyncio.gather(client.connect(), close())

    async def host_of(client: NeonizeClient) -> list[str]:
        host = await client.media_host()
        return [host.name, host.auth]

    known = {
        "field_of": field_of,
        "ctypes": ctypes,
        "host_of": host_of,
        "client": client,
        "library": client._client,
        "connect_and_close": connect_and_close,
        "send": send,
        "verb": verb,
        "jid": build_jid,
        "asyncio": asyncio,
    }

    async def perform(asked: dict[str, Any]) -> None:
        try:
            value = eval(asked["code"], {**known, **asked["values"]})  # noqa: S307
            if inspect.isawaitable(value):
                value = await value
            tell({"number": asked["number"], "value": value})
        except Exception as error:  # noqa: BLE001 - the parent is told
            tell({"number": asked["number"], "error": f"{type(error).__name__}: {error}"})

    reader = asyncio.StreamReader(limit=1 << 22)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    work = set()
    while line := await reader.readline():
        task = asyncio.create_task(perform(json.loads(line)))
        work.add(task)
        task.add_done_callback(work.discard)


if __name__ == "__main__":
    asyncio.run(_child(Path(sys.argv[1]), json.loads(sys.argv[2])))
    os._exit(0)
