"""The sender: order per chat, retries, and nothing dropped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from actors.session import outbox as module
from actors.session.outbox import Outbox, OutboxEntry
from cluster.domain.errors import GatewayError, NotOwner, Unavailable, WhatsAppRefused


class Wire:
    """Stands for the connection: takes what it is told to take, and remembers the order."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.recorded: list[str] = []
        self.failed: dict[str, str] = {}
        self.errors: dict[str, list[GatewayError]] = {}

    async def send(self, entry: OutboxEntry) -> datetime:
        waiting = self.errors.get(entry.message_id)
        if waiting:
            raise waiting.pop(0)
        self.sent.append(entry.message_id)
        return datetime.now(UTC)

    async def mark_sent(self, entry: OutboxEntry, _at: datetime) -> None:
        self.recorded.append(entry.message_id)

    async def mark_failed(self, entry: OutboxEntry, error: GatewayError) -> None:
        self.failed[entry.message_id] = error.detail


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def outbox(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Outbox]:
    monkeypatch.setattr(module, "_BACKOFF", (0.05,))
    box = Outbox(send=wire.send, mark_sent=wire.mark_sent, mark_failed=wire.mark_failed)
    box.start()
    yield box
    await box.stop()


def entry(seq: int, chat: str = "1@s.whatsapp.net") -> OutboxEntry:
    return OutboxEntry(seq=seq, message_id=f"m{seq}", chat=chat, content={"kind": "text"})


async def test_a_chat_keeps_its_order_when_its_head_fails(outbox: Outbox, wire: Wire) -> None:
    wire.errors["m1"] = [Unavailable("gone", retry_after=1)] * 3
    waits = [outbox.add(entry(n)) for n in (1, 2, 3)]
    outbox.resume()
    await asyncio.wait_for(asyncio.gather(*waits), 10)
    assert wire.sent == ["m1", "m2", "m3"]


async def test_a_failing_chat_holds_back_no_other(outbox: Outbox, wire: Wire) -> None:
    wire.errors["m1"] = [Unavailable("gone", retry_after=1)] * 5
    slow = outbox.add(entry(1, "1@s.whatsapp.net"))
    fast = outbox.add(entry(2, "2@s.whatsapp.net"))
    outbox.resume()
    await asyncio.wait_for(fast, 10)
    assert not slow.done()
    await asyncio.wait_for(slow, 10)
    assert wire.sent == ["m2", "m1"]


async def test_nothing_goes_out_without_a_connection(outbox: Outbox, wire: Wire) -> None:
    waiting = outbox.add(entry(1))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.2)
    assert wire.sent == []
    outbox.resume()
    await asyncio.wait_for(waiting, 10)
    assert wire.sent == ["m1"]


async def test_the_same_id_twice_is_sent_once(outbox: Outbox, wire: Wire) -> None:
    first, second = outbox.add(entry(1)), outbox.add(entry(1))
    outbox.resume()
    await asyncio.wait_for(asyncio.gather(first, second), 10)
    assert wire.sent == ["m1"]


async def test_a_refusal_is_final_and_the_next_message_goes_on(outbox: Outbox, wire: Wire) -> None:
    wire.errors["m1"] = [WhatsAppRefused("no")]
    first, second = outbox.add(entry(1)), outbox.add(entry(2))
    outbox.resume()
    outcome, _ = await asyncio.wait_for(asyncio.gather(first, second), 10)
    assert isinstance(outcome.error, WhatsAppRefused)
    assert wire.failed == {"m1": "no"}
    assert wire.sent == ["m2"]


async def test_a_message_is_given_up_after_its_last_attempt(outbox: Outbox, wire: Wire) -> None:
    wire.errors["m1"] = [Unavailable("gone", retry_after=1)] * module.MAX_ATTEMPTS
    done = outbox.add(entry(1))
    outbox.resume()
    outcome = await asyncio.wait_for(done, 20)
    assert isinstance(outcome.error, Unavailable)
    assert wire.failed == {"m1": "gone"}


async def test_what_was_sent_is_recorded_before_the_next_of_its_chat_goes_out(
    outbox: Outbox, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def store_away(entry: OutboxEntry, at: datetime) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            assert wire.sent == ["m1"]
            raise Unavailable("store away", retry_after=1)
        await wire.mark_sent(entry, at)

    monkeypatch.setattr(outbox, "_mark_sent", store_away)
    waits = [outbox.add(entry(1)), outbox.add(entry(2))]
    outbox.resume()
    await asyncio.wait_for(asyncio.gather(*waits), 20)
    assert wire.recorded == ["m1", "m2"]


class Ledger:
    """Takes records only while it is open."""

    def __init__(self, wire: Wire) -> None:
        self.open = asyncio.Event()
        self._wire = wire

    async def mark_sent(self, entry: OutboxEntry, at: datetime) -> None:
        await self.open.wait()
        await self._wire.mark_sent(entry, at)


async def test_a_record_that_takes_long_holds_back_its_own_chat_only(
    outbox: Outbox, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(wire)
    monkeypatch.setattr(outbox, "_mark_sent", ledger.mark_sent)
    waits = [outbox.add(entry(n, chat)) for n, chat in ((1, "1@c"), (2, "1@c"), (3, "2@c"))]
    outbox.resume()
    await asyncio.sleep(0.1)
    assert wire.sent == ["m1", "m3"]
    assert not any(one.done() for one in waits)
    ledger.open.set()
    await asyncio.wait_for(asyncio.gather(*waits), 10)
    assert wire.sent == ["m1", "m3", "m2"]


async def test_few_are_out_without_a_record(
    outbox: Outbox, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(wire)
    monkeypatch.setattr(outbox, "_mark_sent", ledger.mark_sent)
    waits = [outbox.add(entry(n, f"{n}@c")) for n in range(3 * module._UNRECORDED)]
    outbox.resume()
    await asyncio.sleep(0.1)
    assert len(wire.sent) == module._UNRECORDED
    ledger.open.set()
    await asyncio.wait_for(asyncio.gather(*waits), 10)
    assert len(wire.recorded) == len(waits)


async def test_settled_is_what_is_recorded(
    outbox: Outbox, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(wire)
    monkeypatch.setattr(outbox, "_mark_sent", ledger.mark_sent)
    outbox.add(entry(1))
    outbox.resume()
    await asyncio.sleep(0.05)
    outbox.pause()
    settling = asyncio.create_task(outbox.settle(10))
    await asyncio.sleep(0.05)
    assert not settling.done()
    ledger.open.set()
    await asyncio.wait_for(settling, 5)
    assert wire.recorded == ["m1"]


async def test_nothing_more_goes_out_once_a_record_was_refused(
    outbox: Outbox, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(entry: OutboxEntry, at: datetime) -> None:
        raise NotOwner("a newer epoch", retry_after=1)

    monkeypatch.setattr(outbox, "_mark_sent", refuse)
    first = outbox.add(entry(1, "1@c"))
    outbox.resume()
    await asyncio.sleep(0.05)
    second = outbox.add(entry(2, "2@c"))
    await asyncio.sleep(0.05)
    assert wire.sent == ["m1"]
    await outbox.stop()
    for one in (first, second):
        with pytest.raises(NotOwner):
            await one


async def test_what_is_left_at_the_end_is_told_to_move_along(outbox: Outbox) -> None:
    waiting = outbox.add(entry(1))
    await outbox.stop()
    with pytest.raises(NotOwner):
        await waiting
