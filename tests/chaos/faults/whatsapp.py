"""What WhatsApp does to a client on a bad day, and its account's owner."""

from __future__ import annotations

import asyncio
import base64
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from neonize.proto.waE2E import WAWebProtobufsE2E_pb2 as wa

from chaos.people import Person, scan
from chaos.scene import Fault, Scene, Strike

__all__ = ["WHATSAPP_FAULTS"]

_STATE_SECONDS = 30.0
#: What a session that gave up must not do meanwhile: try again.
_QUIET_SECONDS = 5.0
_BAN_SECONDS = 600
#: In place of texts, and what comes in its place: protobuf takes no such bytes for a text.
_PLACEHOLDER, _NO_UTF8 = "TEXTTEXTTEXT", b"hi\xf0\x9f\x98\xff\xfe\x80"
#: The session that is linked twice, the sends that wait, and what has them wait.
_RELINKED, _WAITING = "chaos-relinked", 3
_ONE_A_DAY = {"enabled": True, "messagesPerMinute": 0.001, "burst": 1, "jitter": 0}
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


async def _says(
    scene: Scene, person: Person, strike: Strike, since_event: int, status: str, word: str = ""
) -> None:
    """The session must have this status, with a reason that has the word, have said so by an event,
    and be quiet."""
    # A stream's end is a STARTING of its own, before the login that is refused.
    found, reason = await scene.status_of(person, status, _STATE_SECONDS, word=word)
    if found != status:
        strike.remarks.append(f"status {found} where {status} was expected")
    elif not reason or word not in reason:
        strike.remarks.append(f"{status} with the reason {reason!r}")
    events = await scene.gateway.events(person.session, after=since_event)
    payloads = [e["payload"] for e in events if e["event"] == "session.status"]
    if not any(p.get("status") == status and word in (p.get("reason") or "") for p in payloads):
        strike.remarks.append(f"no event of {status}, only {payloads}")
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
    await _says(scene, person, strike, newest, "FAILED")
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
        await _says(scene, person, strike, newest, "FAILED")
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
        await _says(scene, person, strike, newest, "STARTING", "banned")
    finally:
        await scene.phones.delete(f"/faults/{ban['id']}")
    strike.since = time.monotonic()
    await _restart(scene, person)
    yield strike


def _poisons() -> list[str]:
    """Messages that a stranger may choose, base64: no UTF-8 where text belongs, ids and names
    without end, nothing at all."""
    texts = (
        wa.Message(conversation=_PLACEHOLDER),
        wa.Message(
            extendedTextMessage=wa.ExtendedTextMessage(
                text=_PLACEHOLDER,
                contextInfo=wa.ContextInfo(stanzaID=_PLACEHOLDER, participant="x" * 5000),
            )
        ),
        wa.Message(reactionMessage=wa.ReactionMessage(text=_PLACEHOLDER)),
        wa.Message(contactMessage=wa.ContactMessage(displayName="n" * 100_000, vcard=_PLACEHOLDER)),
        wa.Message(
            extendedTextMessage=wa.ExtendedTextMessage(
                text="zero \0 byte", contextInfo=wa.ContextInfo(stanzaID="i" * 5000)
            )
        ),
        wa.Message(documentMessage=wa.DocumentMessage(fileLength=2**64 - 1, fileName=_PLACEHOLDER)),
        wa.Message(),
    )
    return [base64.b64encode(one.SerializeToString()).decode() for one in texts]


@asynccontextmanager
async def poisoned_message(scene: Scene) -> AsyncIterator[Strike]:
    people = random.sample(scene.people, max(1, len(scene.people) // 4))
    since, refused = time.monotonic(), 0
    for person in people:
        # Its neighbour's phone, among the good texts of that chat.
        stranger = scene.people[(scene.people.index(person) + 1) % len(scene.people)]
        for data in _poisons():
            try:
                await scene.phones.post(
                    f"/phones/{stranger.number}/messages/any",
                    to=person.number,
                    data=data,
                    word=_PLACEHOLDER,
                    becomes=_NO_UTF8.ljust(len(_PLACEHOLDER), b"\xff").hex(),
                )
            except httpx.HTTPStatusError:
                refused += 1
    strike = Strike(
        affected=people, since=since, what=f"{len(people)} sessions, {len(_poisons())} each"
    )
    if refused:
        strike.remarks.append(f"{refused} messages were not taken by the sandbox")
    yield strike


@asynccontextmanager
async def relink(scene: Scene) -> AsyncIterator[Strike]:
    """A session besides the others: what waits for one account must not leave from the next."""
    first, second, friend = (
        Person(session=_RELINKED, number=f"49152{int(time.time()) % 1_000_000:06d}{n}")
        for n in range(3)
    )
    api, phones = scene.gateway.api, scene.phones
    for one in (first, second, friend):
        await phones.post("/phones", number=one.number, name=one.number)
    made = await api.post(
        "/api/sessions", json={"name": _RELINKED, "config": {"pacing": _ONE_A_DAY}}
    )
    made.raise_for_status()
    strike = Strike(affected=scene.people, since=time.monotonic())
    try:
        await scan(scene.gateway, phones, first)
        newest = await scene.gateway.newest_event(_RELINKED)
        waiting = []
        for n in range(_WAITING + 1):
            answer = await api.post(
                "/api/sendText",
                json={"session": _RELINKED, "chatId": friend.chat, "text": f"of the first {n}"},
            )
            answer.raise_for_status()
            waiting.append(str(answer.json()["id"]).rpartition("_")[2])
        await phones.delete(f"/phones/{first.number}/devices/{await _device(scene, first)}")
        await scene.status_of(first, "FAILED", _STATE_SECONDS)
        await _restart(scene, first)
        await scan(scene.gateway, phones, second)
        await asyncio.sleep(_QUIET_SECONDS)
        events = await scene.gateway.events(_RELINKED, after=newest)
        reported = [
            e["payload"]["id"]
            for e in events
            if e["event"] == "message.status" and e["payload"]["status"] == "failed"
        ]
        # The first one left at once, from the account it was meant for.
        if not set(waiting[1:]) <= {one.rpartition("_")[2] for one in reported}:
            strike.remarks.append(f"{_WAITING} sends waited, {len(reported)} reported as failed")
        inbox = (await phones.get(f"/phones/{friend.number}/inbox"))["entries"]
        if wrong := [one for one in inbox if one["text"] != "of the first 0"]:
            strike.remarks.append(f"{len(wrong)} sends of the first account left after it")
        strike.what = f"{_WAITING} sends waited, {len(reported)} failed and reported"
        yield strike
    finally:
        await api.delete(f"/api/sessions/{_RELINKED}")


WHATSAPP_FAULTS = [
    Fault(
        "poisoned_message",
        "messages that are no UTF-8, or without end, from a phone",
        poisoned_message,
        stays_connected=True,
        spares_others=True,
    ),
    Fault("relink", "linked to another account while sends wait", relink, patience=30),
    Fault("stream_503", "stream error 503 for a quarter of the sessions", stream_503),
    Fault("replaced", "stream error `replaced`; restarted by hand", replaced),
    Fault("logout_from_phone", "unlinked on the phone; linked again", logout_from_phone),
    Fault("temporary_ban", "login refused with 402; restarted after it", temporary_ban),
]
