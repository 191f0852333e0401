"""What WhatsApp does to a client on a bad day, and its account's owner."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chaos.people import Person, scan
from chaos.scene import Fault, Scene, Strike

__all__ = ["WHATSAPP_FAULTS"]

_STATE_SECONDS = 30.0
#: What a session that gave up must not do meanwhile: try again.
_QUIET_SECONDS = 5.0
_BAN_SECONDS = 600
_SERVICE_UNAVAILABLE, _TEMPORARY_BAN = 503, 402


async def _device(scene: Scene, person: Person) -> int:
    (device,) = await scene.phones.devices(person)
    return int(device["device"])


async def _stream_error(scene: Scene, person: Person, *, code: int = 0, conflict: str = "") -> None:
    await scene.phones.post(
        f"/phones/{person.number}/devices/{await _device(scene, person)}/stream-error",
        kind="stream_error",
        code=code,
        conflict=conflict,
    )


async def _failed(scene: Scene, person: Person, strike: Strike, since_event: int) -> None:
    """The session must be FAILED with a reason, have told so by an event, and be quiet."""
    status = await scene.status_of(person, "FAILED", _STATE_SECONDS)
    info = (await scene.gateway.sessions())[person.session]
    if status != "FAILED":
        strike.remarks.append(f"status {status} where FAILED was expected")
    elif not info["gateway"]["reason"]:
        strike.remarks.append("FAILED without a reason")
    events = await scene.gateway.events(person.session, after=since_event)
    told = [e["payload"].get("status") for e in events if e["event"] == "session.status"]
    if "FAILED" not in told:
        strike.remarks.append(f"no event of FAILED, only {told}")
    await asyncio.sleep(_QUIET_SECONDS)


async def _restart(scene: Scene, person: Person) -> None:
    answer = await scene.gateway.api.post(f"/api/sessions/{person.session}/restart")
    answer.raise_for_status()


@asynccontextmanager
async def stream_503(scene: Scene) -> AsyncIterator[Strike]:
    people = random.sample(scene.people, max(1, len(scene.people) // 4))
    since = time.monotonic()
    for person in people:
        await _stream_error(scene, person, code=_SERVICE_UNAVAILABLE)
    yield Strike(affected=people, since=since, what=f"{len(people)} sessions")


@asynccontextmanager
async def replaced(scene: Scene) -> AsyncIterator[Strike]:
    person = random.choice(scene.people)
    newest = await scene.gateway.newest_event(person.session)
    strike = Strike(affected=[person], since=0, what=person.session)
    await _stream_error(scene, person, conflict="replaced")
    await _failed(scene, person, strike, newest)
    strike.since = time.monotonic()
    await _restart(scene, person)
    yield strike


@asynccontextmanager
async def logout_from_phone(scene: Scene) -> AsyncIterator[Strike]:
    person = random.choice(scene.people)
    newest = await scene.gateway.newest_event(person.session)
    strike = Strike(affected=[person], since=0, what=person.session)
    scene.unlinked.add(person)
    try:
        # What is on its way to the device would be gone with it.
        await asyncio.sleep(_QUIET_SECONDS)
        await scene.phones.delete(f"/phones/{person.number}/devices/{await _device(scene, person)}")
        await _failed(scene, person, strike, newest)
        strike.since = time.monotonic()
        await _restart(scene, person)
        await scan(scene.gateway, scene.phones, person)
    finally:
        scene.unlinked.discard(person)
    yield strike


@asynccontextmanager
async def temporary_ban(scene: Scene) -> AsyncIterator[Strike]:
    person = random.choice(scene.people)
    newest = await scene.gateway.newest_event(person.session)
    strike = Strike(affected=[person], since=0, what=person.session)
    ban = await scene.phones.post(
        "/faults",
        kind="refuse_login",
        number=person.number,
        code=_TEMPORARY_BAN,
        expire=_BAN_SECONDS,
    )
    try:
        await _stream_error(scene, person, code=_SERVICE_UNAVAILABLE)
        await _failed(scene, person, strike, newest)
    finally:
        await scene.phones.delete(f"/faults/{ban['id']}")
    strike.since = time.monotonic()
    await _restart(scene, person)
    yield strike


WHATSAPP_FAULTS = [
    Fault("stream_503", "stream error 503 for a quarter of the sessions", stream_503),
    Fault("replaced", "stream error `replaced`; restarted by hand", replaced),
    Fault("logout_from_phone", "unlinked on the phone; linked again", logout_from_phone),
    Fault("temporary_ban", "login refused with 402; restarted after it", temporary_ban),
]
