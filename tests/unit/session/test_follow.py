"""However late, in whatever order, or not at all an owner is notified of what was accepted: a
message goes out once, and each chat's in the order of their acceptance."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog

from actors.session.calls import Calls
from cluster.domain.errors import Unavailable
from cluster.domain.message import OutboxState
from cluster.domain.session import SessionStatus
from cluster.stores.outbox import OutboxRow

_ACCOUNT, _MESSAGES = "4915100001@s.whatsapp.net", 40


class Store:
    """The table, as the statements of `OutboxStore` see it; away now and then."""

    def __init__(self, chance: random.Random) -> None:
        self.rows: list[OutboxRow] = []
        self._chance = chance

    def accept(self, chat: str) -> OutboxRow:
        seq = len(self.rows) + 1
        row = OutboxRow(
            seq=seq,
            message_id=f"M{seq}",
            chat=chat,
            content={"kind": "text", "text": str(seq)},
            state=OutboxState.ACCEPTED,
            attempts=0,
            error="",
            accepted_at=datetime.now(UTC),
            account=_ACCOUNT,
        )
        self.rows.append(row)
        return row

    async def _answer(self) -> None:
        await asyncio.sleep(self._chance.random() * 0.003)
        if self._chance.random() < 0.05:
            raise Unavailable("away")

    async def disown(self, *_: Any) -> int:
        await self._answer()
        return 0

    async def pending(self, _: int, *, after: int = 0) -> list[OutboxRow]:
        found = [r for r in self.rows if r.seq > after and r.state is OutboxState.ACCEPTED]
        await self._answer()
        return found

    async def get(self, _: int, message_id: str) -> OutboxRow | None:
        await self._answer()
        return next((row for row in self.rows if row.message_id == message_id), None)

    async def mark_sent(self, _: int, __: int, message_id: str, *___: Any, **____: Any) -> None:
        await self._answer()
        at = int(message_id[1:]) - 1
        self.rows[at] = replace(self.rows[at], state=OutboxState.SENT)


@pytest.mark.parametrize("seed", range(8))
async def test_once_and_in_order_whoever_notifies_of_what(seed: int) -> None:
    chance = random.Random(seed)
    store, wire = Store(chance), list[tuple[str, int]]()

    async def send(*, chat: str, content: dict[str, Any], message_id: str) -> datetime:
        await asyncio.sleep(chance.random() * 0.001)
        wire.append((chat, int(message_id[1:])))
        return datetime.now(UTC)

    owner = SimpleNamespace(
        id=1,
        epoch=1,
        own_jid=_ACCOUNT,
        record=SimpleNamespace(name="s", config={}),
        settings=SimpleNamespace(
            outbox=SimpleNamespace(give_up_seconds=60.0),
            whatsapp=SimpleNamespace(sandbox=True),
            pacing=SimpleNamespace(policy=lambda *_, **__: None),
        ),
        stores=SimpleNamespace(outbox=store),
        log=structlog.get_logger(),
        status=SessionStatus.WORKING,
        newest_accepted=0,
        accepted=asyncio.Event(),
        ended=asyncio.get_running_loop().create_future(),
        connected=SimpleNamespace(
            keeper=SimpleNamespace(held=True), client=SimpleNamespace(send=send)
        ),
        device=None,
        supervise=lambda *_: None,
    )
    # Some were accepted before it owned the session.
    for _ in range(chance.randrange(4)):
        store.accept(f"chat {chance.randrange(3)}")
    calls = Calls(cast(Any, owner))
    while True:
        try:
            await calls.open()
            break
        except Unavailable:
            await calls.outbox.stop()
    calls.outbox.resume()
    filling = asyncio.create_task(calls.keep_filled())

    async def renew() -> None:
        while True:
            await asyncio.sleep(0.02)
            owner.newest_accepted = max(owner.newest_accepted, len(store.rows))
            owner.accepted.set()

    async def notify(row: OutboxRow) -> None:
        await asyncio.sleep(chance.random() * 0.03)
        try:
            await calls.follow(row, 5.0)
        except Unavailable:
            return

    renewing = asyncio.create_task(renew())
    notifying = []
    while len(store.rows) < _MESSAGES:
        row = store.accept(f"chat {chance.randrange(3)}")
        # Not at all, once, or twice: a retry, whose row was read before.
        notifying += [asyncio.create_task(notify(row)) for _ in range(chance.randrange(3))]
        await asyncio.sleep(chance.random() * 0.004)
    async with asyncio.timeout(30):
        while any(row.state is OutboxState.ACCEPTED for row in store.rows):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        await asyncio.gather(*notifying)
    # A caller of long ago, with the row as it was then.
    for row in store.rows[:5]:
        calls.outbox._finished.clear()
        await notify(replace(row, state=OutboxState.ACCEPTED))
    for task in (renewing, filling):
        task.cancel()
    await calls.outbox.stop()
    assert sorted(number for _, number in wire) == [row.seq for row in store.rows]
    for chat in {chat for chat, _ in wire}:
        numbers = [number for where, number in wire if where == chat]
        assert numbers == sorted(numbers), chat
