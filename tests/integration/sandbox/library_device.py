"""A linked device in a process of its own: the real library, driven by lines of JSON.

A process of its own, because Go reads SSL_CERT_FILE when a process starts, and because tests end
it in ways that no library survives.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import actors  # noqa: F401 - before the library: as in a session's process, less of it is loaded
from actors.zygote.import_stubs import SESSION_PROCESS

if TYPE_CHECKING:
    # The whole sandbox, of which the device's process needs nothing.
    from sandbox.app import Endpoints

_ROOT = Path(__file__).parents[3]
if str(_ROOT / "tests") not in sys.path:
    sys.path.append(str(_ROOT / "tests"))

from foreign.line_process import LineProcess, serve, write_line  # noqa: E402 - of the child, too

#: Of the device's process: another one (`tests/arm64.py`), and how much slower it may be.
_INTERPRETER = shlex.split(os.environ.get("LIBRARY_TEST_INTERPRETER", "")) or [sys.executable]
PATIENCE = float(os.environ.get("LIBRARY_TEST_PATIENCE", "1"))


class LibraryDevice(LineProcess):
    """The parent's side."""

    @classmethod
    @asynccontextmanager
    async def of(cls, store: Path, endpoints: Endpoints) -> AsyncIterator[Self]:
        """A started process, not connected yet; ended afterwards."""
        async with cls.running(
            [*_INTERPRETER, __file__, str(store), json.dumps(endpoints.as_dict())],
            Path(os.devnull),
            SSL_CERT_FILE=endpoints.ca_bundle,
            PYTHONPATH=str(_ROOT),
            GATEWAY_ENV_FILE=os.devnull,
            **{SESSION_PROCESS: "1"},
        ) as device:
            yield device

    async def eval(self, code: str, **values: Any) -> Any:
        """Evaluate an expression there, with `client`, `library` and `values`; may await."""
        return await self.do(code, values, seconds=40 * PATIENCE)

    async def connect(self) -> None:
        await self.eval("client.connect()")

    async def event(self, name: str, seconds: float = 20, **facts: Any) -> dict[str, Any]:
        return await super().event(name, seconds * PATIENCE, **facts)

    async def send(self, chat: str, text: str) -> str:
        """Send a text; returns its id."""
        return str(await self.eval("send(chat, text)", chat=chat, text=text))


async def _child(store: Path, endpoints: dict[str, str]) -> None:
    import ctypes
    import dataclasses
    import inspect
    import time
    from concurrent.futures import ThreadPoolExecutor

    from neonize.utils.jid import build_jid

    from actors.session.spool import Spool
    from actors.whatsapp.library.decrypt_txn import field_of
    from actors.whatsapp.neonize_client import NeonizeClient
    from actors.whatsapp.port import HistoryArrived
    from cluster.domain.message_id import new_message_id
    from cluster.domain.verbs.verb import plain, verb_of
    from cluster.settings import WhatsAppSettings

    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(32))

    class HeldSpool(Spool):
        """On a machine that does not keep up, when it is asked to."""

        held = False
        waiting = 0

        def add(self, entry: bytes) -> int:
            self.waiting += 1
            while self.held:
                time.sleep(0.01)
            self.waiting -= 1
            return super().add(entry)

    spool = HeldSpool(store.with_name(f"{store.name}.spool"), limit=1 << 20)

    async def on_event(event: Any, _entry: bytes) -> None:
        if isinstance(event, HistoryArrived):
            chunks = [dataclasses.asdict(chunk) for chunk in event.chunks]
            facts: dict[str, Any] = {"kind": event.kind, "chunks": chunks}
        else:
            facts = dataclasses.asdict(event)
        message = facts.pop("message", {})
        content = {"content": message.pop("kind")} if message else {}
        write_line(**{**message, **facts, **content, "event": type(event).__name__})

    client = NeonizeClient(
        store=store,
        key=f"device-{time.time_ns()}",
        settings=WhatsAppSettings(
            proxy_url=endpoints["proxy_url"],
            sandbox_root_key=endpoints["root_key"],
            sandbox_ca_bundle=endpoints["ca_bundle"],
        ),
        on_event=on_event,
        spool=spool,
    )

    async def send(chat: str, text: str) -> str:
        chosen = new_message_id()
        await client.send(chat=chat, content={"kind": "text", "text": text}, message_id=chosen)
        return chosen

    async def verb(name: str, /, **arguments: Any) -> Any:
        return plain(await client.request(verb_of(name, arguments)))

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
        "spool": spool,
        "library": client._client,
        "new_message_id": new_message_id,
        "connect_and_close": connect_and_close,
        "send": send,
        "verb": verb,
        "jid": build_jid,
        "asyncio": asyncio,
    }

    async def perform(code: str, values: dict[str, Any] | None = None) -> Any:
        value = eval(code, {**known, **(values or {})})  # noqa: S307
        return await value if inspect.isawaitable(value) else value

    await serve(perform)


def _executable(folder: Path) -> None:
    """A machine that is emulated cannot start its own interpreter by itself: whoever does, as for
    reading the store (`actors.checkpoint.store_process`), gets a script of this one that does."""
    if os.environ.get("LIBRARY_TEST_INTERPRETER"):
        script = folder / "interpreter"
        script.write_text(f'#!/bin/sh\nexec {shlex.join(_INTERPRETER)} "$@"\n')
        script.chmod(0o755)
        sys.executable = str(script)


if __name__ == "__main__":
    _executable(Path(sys.argv[1]).parent)
    asyncio.run(_child(Path(sys.argv[1]), json.loads(sys.argv[2])))
    os._exit(0)
