"""A conversation of a linked device with a sandbox, for a version of the library that nobody tried.

Run by `gateway library check` as `python -m`: the sandbox's endpoints and the folder of a store
come as JSON on standard input, what was tried goes out as JSON. The adapter is the gateway's own.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from actors.whatsapp.neonize_client import NeonizeClient
from actors.whatsapp.port import Connected, LabelChanged, QrShown, ReceiptSeen, Received
from cluster.domain.errors import GatewayError
from cluster.domain.jid import phone_jid
from cluster.domain.message_id import new_message_id
from cluster.domain.verbs.labels import Edit
from cluster.domain.verbs.profile import Picture
from cluster.settings import WhatsAppSettings

_ALICE, _BOB = "4915100000001", "4915100000002"
_PATIENCE = 30.0


class Trial:
    """A device of Alice's phone, and what happened to it."""

    def __init__(self, endpoints: dict[str, str], store: Path) -> None:
        self._control = httpx.AsyncClient(
            base_url=endpoints["control_url"],
            headers={"Authorization": f"Bearer {endpoints['control_token']}"},
            timeout=_PATIENCE,
        )
        self._events: list[Any] = []
        self._happened = asyncio.Condition()
        self.client = NeonizeClient(
            store=store,
            key="trial",
            settings=WhatsAppSettings(
                proxy_url=endpoints["proxy_url"],
                sandbox_root_key=endpoints["root_key"],
                sandbox_ca_bundle=endpoints["ca_bundle"],
            ),
            on_event=self._on_event,
        )

    async def link(self) -> str:
        """A QR code is shown, scanned, and the device is connected."""
        for number in (_ALICE, _BOB):
            await self._ask("POST", "/phones", {"number": number, "name": number[-1]})
        await self.client.connect()
        shown = await self._event(lambda e: isinstance(e, QrShown))
        await self._ask("POST", f"/phones/{_ALICE}/scan", {"qr": shown.text})
        await self._event(lambda e: isinstance(e, Connected))
        return "linked by QR code"

    async def send(self) -> str:
        """A text arrives under the id that was chosen, and its receipt names it."""
        chosen = new_message_id()
        text: dict[str, object] = {"kind": "text", "text": "from the device"}
        await self.client.send(chat=phone_jid(_BOB), content=text, message_id=chosen)
        found = await self._ask("GET", f"/phones/{_BOB}/inbox?wait=20")
        (entry,) = found["entries"]
        await self._event(lambda e: isinstance(e, ReceiptSeen) and chosen in e.message_ids)
        return "under the chosen id" if entry["id"] == chosen else "under an id of the library's"

    async def receive(self) -> str:
        """Texts of a phone arrive, whole and in order."""
        for number in range(20):
            body = {"to": _ALICE, "text": f"text {number}"}
            await self._ask("POST", f"/phones/{_BOB}/messages", body)
        for number in range(20):
            await self._event(_received(f"text {number}"))
        return "20 of 20"

    async def label(self) -> str:
        """A label can be set, and is reported."""
        await self.client.request(Edit(label="7", name="tried", color=1, deleted=False))
        await self._event(lambda e: isinstance(e, LabelChanged) and e.name == "tried")
        return "set and told"

    async def no_picture(self) -> str:
        """The account's picture can be removed."""
        await self.client.request(Picture(jpeg=""))
        return "removed"

    async def end(self) -> None:
        await self.client.close()
        await self.client.drained()
        await self._control.aclose()

    async def _on_event(self, event: Any, _entry: bytes) -> None:
        async with self._happened:
            self._events.append(event)
            self._happened.notify_all()

    async def _event(self, fits: Callable[[Any], bool]) -> Any:
        async with asyncio.timeout(_PATIENCE), self._happened:
            while True:
                for event in self._events:
                    if fits(event):
                        return event
                await self._happened.wait()

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = await self._control.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None


def _received(body: str) -> Callable[[Any], bool]:
    return lambda event: isinstance(event, Received) and event.message.body == body


async def _main(endpoints: dict[str, str], store: Path) -> list[dict[str, Any]]:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(32))
    trial = Trial(endpoints, store)
    steps: list[Callable[[], Awaitable[str]]] = [
        *(trial.link, trial.send, trial.receive, trial.label, trial.no_picture),
    ]
    results: list[dict[str, Any]] = []
    for step in steps:
        try:
            detail, well = await step(), True
        except (GatewayError, httpx.HTTPError, TimeoutError, ValueError) as error:
            detail, well = f"{type(error).__name__}: {error}", False
        results.append({"name": step.__name__, "ok": well, "detail": detail})
        if step == trial.link and not well:
            break
    await trial.end()
    return results


if __name__ == "__main__":
    given = json.load(sys.stdin)
    sys.stdout.write(json.dumps(asyncio.run(_main(given["endpoints"], Path(given["store"])))))
    sys.stdout.write("\n")
    sys.stdout.flush()
    # The library's threads end with the process.
    os._exit(0)
