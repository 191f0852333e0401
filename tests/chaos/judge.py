"""What became of every promise: phones' inboxes and sessions' histories against the ledger."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import httpx

from chaos.gateway import Gateway
from chaos.ledger import Ledger, Sent
from chaos.people import Person, Phones
from chaos.traffic import Traffic

__all__ = ["Judge", "Verdict"]

_PAGE = 1000


@dataclass(slots=True, kw_only=True)
class Verdict:
    """The count of one fault's rounds, in both directions."""

    #: Sends that were answered 201; of those: decrypted by the recipient's phone.
    accepted: int = 0
    delivered: int = 0
    #: Accepted, and marked as failed in the sender's history: reported, not lost.
    failed: int = 0
    #: Texts that WhatsApp took from phones; of those: in the session's history.
    typed: int = 0
    recorded: int = 0
    #: Accepted sends in the history of the recipient's session (its other device).
    mirrored: int = 0
    lost_sends: list[str] = field(default_factory=list)
    lost_received: list[str] = field(default_factory=list)
    lost_mirrored: list[str] = field(default_factory=list)
    #: Shown twice under another id, on a phone or in a history.
    duplicated: list[str] = field(default_factory=list)
    #: Decrypted again under the same id.
    redelivered: int = 0
    #: Texts that a phone showed after one that was accepted later.
    reordered: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int:
        return len(self.lost_sends) + len(self.lost_received)

    @property
    def missing(self) -> set[str]:
        """What is not (yet) where it belongs."""
        return {*self.lost_sends, *self.lost_received, *self.lost_mirrored}

    def arrived(self) -> int:
        return self.delivered + self.recorded + self.mirrored + self.failed


@dataclass(slots=True)
class _Inbox:
    """A phone's, read on from where it was read before."""

    last: int = 0
    #: text -> message ids, in the order of decryption; one more for each decryption
    ids: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    #: first decryption of each text
    order: dict[str, int] = field(default_factory=dict)


class Judge:
    """Reads inboxes and histories and counts."""

    def __init__(
        self, gateway: Gateway, phones: Phones, people: list[Person], traffic: Traffic
    ) -> None:
        self._gateway = gateway
        self._phones = phones
        self._people = people
        self._traffic = traffic
        self._inboxes: dict[Person, _Inbox] = {person: _Inbox() for person in people}

    async def count(self, ledger: Ledger, *, histories: bool = True) -> Verdict:
        """Compare. Without histories only what phones decrypted is compared.
        Raises `httpx.HTTPError` when somebody does not answer."""
        await asyncio.gather(*(self._read_inbox(person) for person in self._people))
        verdict = Verdict()
        read: dict[Person, list[dict[str, Any]]] = {}
        if histories:
            for person in self._people:
                read[person] = await self._history(person, ledger)
        for person in self._people:
            self._judge_sends(person, ledger, verdict, read.get(person, []))
            if histories:
                self._judge_history(person, ledger, verdict, read[person])
        return verdict

    async def _read_inbox(self, person: Person) -> None:
        inbox = self._inboxes[person]
        found = await self._phones.get(f"/phones/{person.number}/inbox", after=inbox.last)
        for entry in found["entries"]:
            inbox.last = max(inbox.last, entry["seq"])
            if not entry["from_me"]:
                inbox.ids[entry["text"]].append(entry["id"])
                inbox.order.setdefault(entry["text"], entry["seq"])

    async def _history(self, person: Person, ledger: Ledger) -> list[dict[str, Any]]:
        """A session's messages, every chat, since the fault's first round."""
        found: list[dict[str, Any]] = []
        while True:
            answer = await self._gateway.api.get(
                f"/api/{person.session}/chats/all/messages",
                params={
                    "limit": _PAGE,
                    "offset": len(found),
                    "sortOrder": "asc",
                    "filter.timestamp.gte": ledger.began,
                },
                timeout=60,
            )
            page = answer.raise_for_status().json()
            found += page
            if len(page) < _PAGE:
                return found

    def _judge_sends(
        self,
        person: Person,
        ledger: Ledger,
        verdict: Verdict,
        own_history: list[dict[str, Any]],
    ) -> None:
        inbox = self._inboxes[self._traffic.neighbour(person)]
        failed = {m["body"] for m in own_history if m["fromMe"] and m["ack"] == -1}
        newest = 0
        verdict.accepted += len(ledger.accepted[person])
        for sent in ledger.accepted[person]:
            ids = inbox.ids.get(sent.text, [])
            if not ids:
                if sent.text in failed:
                    verdict.failed += 1
                else:
                    verdict.lost_sends.append(f"{person.session}: {sent.text} {sent.message_id}")
                continue
            verdict.delivered += 1
            verdict.redelivered += len(ids) - len(set(ids))
            if set(ids) != {sent.message_id}:
                verdict.duplicated.append(f"phone, from {person.session}: {sent.text} {ids}")
            position = inbox.order[sent.text]
            if position < newest:
                verdict.reordered.append(f"{person.session}: {sent.text}")
            newest = max(newest, position)
        for text in ledger.uncertain:
            if len(set(inbox.ids.get(text, []))) > 1:
                verdict.duplicated.append(f"phone, never accepted: {text} {inbox.ids[text]}")

    def _judge_history(
        self, person: Person, ledger: Ledger, verdict: Verdict, history: list[dict[str, Any]]
    ) -> None:
        ids: dict[str, list[str]] = defaultdict(list)
        for message in history:
            if not message["fromMe"]:
                ids[message["body"]].append(message["id"])
        verdict.typed += len(ledger.typed[person])
        for sent in ledger.typed[person]:
            if self._once(person, sent, ids, verdict):
                verdict.recorded += 1
            else:
                verdict.lost_received.append(f"{person.session}: {sent.text} {sent.message_id}")
        before = self._people[self._people.index(person) - 1]
        inbox = self._inboxes[person]
        for sent in ledger.accepted[before]:
            if sent.phone_only:
                continue
            if self._once(person, sent, ids, verdict):
                verdict.mirrored += 1
            elif sent.text in inbox.ids:
                verdict.lost_mirrored.append(f"{person.session}: {sent.text} {sent.message_id}")

    @staticmethod
    def _once(person: Person, sent: Sent, ids: dict[str, list[str]], verdict: Verdict) -> bool:
        found = ids.get(sent.text, [])
        if len(found) > 1:
            verdict.duplicated.append(f"history of {person.session}: {sent.text} {found}")
        return bool(found)


async def calm(
    judge: Judge,
    gateway: Gateway,
    phones: Phones,
    ledger: Ledger,
    *,
    patience: float,
    given_up: Collection[str] = (),
) -> Verdict:
    """Wait until nothing is missing, but for what was `given_up` in earlier rounds, or nothing more
    arrived for `patience` seconds; the count. Sessions are given the time
    until all of them work (at most three times `patience`)."""
    clock = asyncio.get_running_loop().time
    began = progressed = clock()
    best = -1
    verdict: Verdict | None = None
    while True:
        try:
            working = all(s["status"] == "WORKING" for s in (await gateway.sessions()).values())
            fast = await judge.count(ledger, histories=False)
            idle = clock() - progressed > patience
            if working and (fast.missing <= set(given_up) or idle):
                verdict = await judge.count(ledger)
                if verdict.missing <= set(given_up) and not await phones.queued():
                    return verdict
            arrived = fast.delivered + (verdict.arrived() if verdict else 0)
            if arrived != best:
                best, progressed = arrived, clock()
            late = clock() - began > 3 * patience
            if verdict is not None and ((working and idle) or late):
                return verdict
            if late:
                return await judge.count(ledger)
        except (httpx.HTTPError, OSError):
            if clock() - began > 6 * patience:
                raise
        await asyncio.sleep(1.0)
