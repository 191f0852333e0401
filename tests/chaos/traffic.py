"""Traffic in both directions: HTTP clients that send through sessions, phones that write to them.

The clients are good ones: an idempotency key for every text, and the same request again until it
is answered for good.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable

import httpx

from chaos.ledger import Ledger, Sent, Try
from chaos.people import Person
from chaos.scene import Scene

__all__ = ["Traffic"]

#: A client gives up on a text after this long, seconds.
_PATIENCE = 180.0
#: It does not wait longer than this between tries, whatever Retry-After says: recovery is measured.
_LONGEST_PAUSE = 0.5
#: Pause between the texts of a session that is to recover.
_HURRY = 0.15


class Traffic:
    """Person n's session writes to person n+1; person n+1's phone writes back."""

    def __init__(self, scene: Scene, *, pause: float) -> None:
        """`pause`: seconds between two texts of one sender, on average."""
        self._gateway = scene.gateway
        self._phones = scene.phones
        self._people = scene.people
        self._unlinked = scene.unlinked
        self._pause = pause
        self._flowing = asyncio.Event()
        self._busy = 0
        self._idle = asyncio.Event()
        self._hurried: set[Person] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self.ledger = Ledger("")

    def neighbour(self, person: Person) -> Person:
        """Whom a session writes to."""
        return self._people[(self._people.index(person) + 1) % len(self._people)]

    def start(self, ledger: Ledger) -> None:
        """Let it flow, written down in this ledger."""
        self.ledger = ledger
        self._flowing.set()
        if not self._tasks:
            for person in self._people:
                self._tasks += [
                    asyncio.create_task(self._keep_on(person, self._send)),
                    asyncio.create_task(self._keep_on(person, self._type)),
                ]

    async def pause(self) -> None:
        """No new texts; returns when those under way are answered."""
        self._flowing.clear()
        if self._busy:
            self._idle.clear()
            await self._idle.wait()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def check(self) -> None:
        """Raise what a sender stumbled over: the suite's own mistake."""
        for task in self._tasks:
            if task.done():
                task.result()

    def hurry(self, people: Iterable[Person]) -> None:
        """These send without much of a pause: to see when they can again."""
        self._hurried = set(people)

    def recovered(self, person: Person) -> None:
        """Back to its usual pause: it need not be measured any more, and costs the others."""
        self._hurried.discard(person)

    async def _keep_on(self, person: Person, act: Callable[[Person], Awaitable[None]]) -> None:
        await asyncio.sleep(random.uniform(0, self._pause))
        while True:
            await self._flowing.wait()
            self._busy += 1
            try:
                await act(person)
            finally:
                self._busy -= 1
                if not self._busy:
                    self._idle.set()
            hurried = person in self._hurried and act == self._send
            await asyncio.sleep(_HURRY if hurried else self._pause * random.uniform(0.5, 1.5))

    async def _send(self, person: Person) -> None:
        ledger = self.ledger
        text = ledger.text()
        body = {
            "session": person.session,
            "chatId": self.neighbour(person).chat,
            "text": text,
        }
        neighbour = self.neighbour(person)
        phone_only = neighbour in self._unlinked
        give_up = time.monotonic() + _PATIENCE
        while time.monotonic() < give_up:
            began = time.monotonic()
            pause = 0.1
            try:
                answer = await self._gateway.api.post(
                    "/api/sendText", json=body, headers={"Idempotency-Key": text}
                )
            except httpx.HTTPError as error:
                ledger.answers[type(error).__name__] += 1
                ledger.tries[person].append(Try(began, time.monotonic(), accepted=False))
            else:
                accepted = answer.status_code == 201
                ledger.tries[person].append(Try(began, time.monotonic(), accepted=accepted))
                ledger.answers[_outcome(answer)] += 1
                if accepted:
                    message_id = str(answer.json()["id"]).rpartition("_")[2]
                    phone_only |= neighbour in self._unlinked
                    ledger.accepted[person].append(Sent(text, message_id, phone_only))
                    return
                pause = min(float(answer.headers.get("Retry-After", 0.3)), _LONGEST_PAUSE)
            await asyncio.sleep(pause)
        ledger.uncertain.add(text)

    async def _type(self, person: Person) -> None:
        if person in self._unlinked:
            return
        text, ledger = self.ledger.text(), self.ledger
        sender = self.neighbour(person)
        try:
            sent = await self._phones.post(
                f"/phones/{sender.number}/messages", to=person.number, text=text
            )
        except httpx.HTTPError as error:
            # WhatsApp did not take it, as far as the phone knows.
            ledger.uncertain.add(text)
            ledger.answers[f"phone {type(error).__name__}"] += 1
            return
        ledger.typed[person].append(Sent(text, sent["id"]))


def _outcome(answer: httpx.Response) -> str:
    if answer.status_code == 503 and "Retry-After" not in answer.headers:
        return "503 without Retry-After"
    if answer.status_code in (201, 503):
        return str(answer.status_code)
    try:
        return f"{answer.status_code} {answer.json().get('code', '')}".strip()
    except ValueError:
        return str(answer.status_code)
