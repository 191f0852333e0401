"""Who talks: sessions, each with its virtual phone, in a ring of neighbours."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import httpx

from chaos.gateway import Gateway
from cluster.domain.errors import Unavailable
from ops.local.sandbox import SandboxAddresses

__all__ = ["Person", "Phones", "pair_all"]

_PAIRING_AT_ONCE = 4
_PAIRING_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Person:
    """A session and the phone of its account."""

    session: str
    number: str

    @property
    def chat(self) -> str:
        return f"{self.number}@c.us"


class Phones:
    """The sandbox's control API."""

    def __init__(self, sandbox: SandboxAddresses) -> None:
        self._client = httpx.AsyncClient(
            base_url=sandbox.control_url,
            headers={"Authorization": f"Bearer {sandbox.control_token.get_secret_value()}"},
            timeout=30,
            trust_env=False,
            # Left before the server leaves it: a request must not meet its end.
            limits=httpx.Limits(max_connections=None, keepalive_expiry=2),
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, path: str, **query: str | int) -> Any:
        answer = await self._client.get(path, params=query)
        return answer.raise_for_status().json()

    async def post(self, path: str, **body: Any) -> Any:
        answer = await self._client.post(path, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    async def delete(self, path: str) -> None:
        (await self._client.delete(path)).raise_for_status()

    async def devices(self, person: Person) -> list[dict[str, Any]]:
        """The linked devices of a person's account."""
        return list((await self.get(f"/phones/{person.number}"))["devices"])

    async def queued(self) -> int:
        """Stanzas that wait for linked devices."""
        return sum(d["queued"] for phone in await self.get("/phones") for d in phone["devices"])


async def pair_all(gateway: Gateway, phones: Phones, count: int) -> list[Person]:
    """`count` new sessions, each scanned by its phone, all WORKING."""
    gate = asyncio.Semaphore(_PAIRING_AT_ONCE)

    async def one(number: int) -> Person:
        person = Person(session=f"chaos-{number:02d}", number=f"49151000{number:05d}")
        async with gate:
            await phones.post("/phones", number=person.number, name=f"Person {number}")
            created = await gateway.api.post("/api/sessions", json={"name": person.session})
            created.raise_for_status()
            await scan(gateway, phones, person)
        return person

    return list(await asyncio.gather(*(one(n) for n in range(1, count + 1))))


async def scan(gateway: Gateway, phones: Phones, person: Person) -> None:
    """Have the phone scan the session's QR code; returns when the session works."""
    deadline = time.monotonic() + _PAIRING_SECONDS
    scanned = ""
    while time.monotonic() < deadline:
        status = (await gateway.api.get(f"/api/sessions/{person.session}")).json().get("status")
        if status == "WORKING":
            return
        if status == "SCAN_QR_CODE":
            answer = await gateway.api.get(
                f"/api/{person.session}/auth/qr", params={"format": "raw"}
            )
            code = str(answer.json()["value"]) if answer.is_success else ""
            if code and code != scanned:
                try:
                    await phones.post(f"/phones/{person.number}/scan", qr=code)
                    scanned = code
                except httpx.HTTPStatusError:
                    # It expired meanwhile: there is a next one.
                    await asyncio.sleep(1)
        await asyncio.sleep(0.3)
    raise Unavailable(f"{person.session} was not paired within {_PAIRING_SECONDS:.0f} s")
