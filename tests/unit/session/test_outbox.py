"""The sender: order per chat, retries, and nothing dropped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from waiting import idle

from actors.session import outbox as module
from actors.session.outbox import Outbox, OutboxEntry
from cluster.domain.errors import (
    GatewayError,
    NotOwner,
    Unavailable,
    Unstorable,
    WhatsAppRefused,
)


class Wire:
    """Stands for the connection and the store: takes what it is given, and remembers the order."""

    def __init__(self) -> None:
        #: Asked before each record.
        self.before_a_record: Callable[[OutboxEntry], Awaitable[None]] | None = None
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
        if self.before_a_record is not None:
            await self.before_a_record(entry)
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


async def test_a_network_that_comes_and_goes_fails_no_message(outbox: Outbox, wire: Wire) -> None:
    wire.errors["m1"] = [Unavailable("reset", retry_after=1, left=True)] * 2
    wire.errors["m1"] += [Unavailable("not connected", retry_after=1)] * 30
    done = outbox.add(entry(1))
    for _ in range(60):
        outbox.pause()
        outbox.resume()
        await asyncio.sleep(0.01)
    outcome = await asyncio.wait_for(done, 20)
    assert outcome.error is None
    assert wire.sent == ["m1"]


async def test_a_message_is_given_up_when_its_time_is_over(wire: Wire) -> None:
    now = 1_000_000.0
    box = Outbox(
        send=wire.send,
        mark_sent=wire.mark_sent,
        mark_failed=wire.mark_failed,
        give_up=3600,
        clock=lambda: now,
    )
    box.start()
    box.resume()
    wire.errors["m1"] = [Unavailable("gone", retry_after=1)] * 2
    done = box.add(replace(entry(1), accepted_at=now))
    while wire.errors["m1"][1:]:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert not done.done()
    now += 3601
    box.resume()
    outcome = await asyncio.wait_for(done, 20)
    assert isinstance(outcome.error, Unavailable)
    assert wire.failed == {"m1": "gone"}
    await box.stop()


async def test_a_message_that_ends_the_connection_does_not_end_each_new_one_at_once(
    outbox: Outbox, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BACKOFF", (0.01, 0.01, 60.0))
    wire.errors["m1"] = [Unavailable("closed", retry_after=1, left=True)] * 50
    outbox.add(entry(1))
    for _ in range(30):
        outbox.pause()
        outbox.resume()
        await asyncio.sleep(0.02)
    assert len(wire.errors["m1"]) == 47
    other = outbox.add(entry(2, "2@s.whatsapp.net"))
    await asyncio.wait_for(other, 5)


async def test_what_nobody_foresaw_fails_its_message_and_no_other(
    outbox: Outbox, wire: Wire
) -> None:
    wire.errors["m1"] = [KeyError("kind")] * 50  # type: ignore[list-item]
    first, second = outbox.add(entry(1)), outbox.add(entry(2))
    outbox.resume()
    outcome, after = await asyncio.wait_for(asyncio.gather(first, second), 20)
    assert outcome.error is not None
    assert after.error is None
    assert list(wire.failed) == ["m1"]
    assert wire.sent == ["m2"]


async def test_messages_go_out_in_the_order_of_their_acceptance(outbox: Outbox, wire: Wire) -> None:
    waits = [outbox.add(entry(n)) for n in (7, 9, 8, 10)]
    outbox.resume()
    await asyncio.wait_for(asyncio.gather(*waits), 10)
    assert wire.sent == ["m7", "m8", "m9", "m10"]


async def test_who_asks_late_is_answered_and_sends_nothing_again(
    outbox: Outbox, wire: Wire
) -> None:
    outbox.resume()
    await asyncio.wait_for(outbox.add(entry(1)), 10)
    outcome = await asyncio.wait_for(outbox.add(entry(1)), 10)
    assert outcome.sent_at is not None
    assert wire.sent == ["m1"]
    await asyncio.wait_for(outbox.add(entry(1), again=True), 10)
    assert wire.sent == ["m1", "m1"]


async def test_a_record_that_fails_in_any_way_is_tried_again(outbox: Outbox, wire: Wire) -> None:
    errors: list[Exception] = [RuntimeError("?"), Unstorable("no"), Unavailable("away")]

    async def refused(_: OutboxEntry) -> None:
        if errors:
            raise errors.pop()

    wire.before_a_record = refused
    outbox.resume()
    await asyncio.wait_for(outbox.add(entry(1)), 20)
    assert wire.sent == wire.recorded == ["m1"]


async def test_what_was_sent_is_recorded_before_the_next_of_its_chat_goes_out(
    outbox: Outbox, wire: Wire
) -> None:
    tries = 0

    async def store_unreachable(_: OutboxEntry) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            assert wire.sent == ["m1"]
            raise Unavailable("store away", retry_after=1)

    wire.before_a_record = store_unreachable
    waits = [outbox.add(entry(1)), outbox.add(entry(2))]
    outbox.resume()
    await asyncio.wait_for(asyncio.gather(*waits), 20)
    assert wire.recorded == ["m1", "m2"]


def closed(wire: Wire) -> asyncio.Event:
    """Nothing is recorded until it is set."""
    opened = asyncio.Event()

    async def wait(_: OutboxEntry) -> None:
        await opened.wait()

    wire.before_a_record = wait
    return opened


async def test_a_record_that_takes_long_holds_back_its_own_chat_only(
    outbox: Outbox, wire: Wire
) -> None:
    ledger = closed(wire)
    waits = [outbox.add(entry(n, chat)) for n, chat in ((1, "1@c"), (2, "1@c"), (3, "2@c"))]
    outbox.resume()
    await idle()
    assert wire.sent == ["m1", "m3"]
    assert not any(one.done() for one in waits)
    ledger.set()
    await asyncio.wait_for(asyncio.gather(*waits), 10)
    assert wire.sent == ["m1", "m3", "m2"]


async def test_few_are_out_without_a_record(outbox: Outbox, wire: Wire) -> None:
    ledger = closed(wire)
    waits = [outbox.add(entry(n, f"{n}@c")) for n in range(3 * module._UNRECORDED)]
    outbox.resume()
    await idle()
    assert len(wire.sent) == module._UNRECORDED
    ledger.set()
    await asyncio.wait_for(asyncio.gather(*waits), 10)
    assert len(wire.recorded) == len(waits)


async def test_settled_is_what_is_recorded(outbox: Outbox, wire: Wire) -> None:
    ledger = closed(wire)
    outbox.add(entry(1))
    outbox.resume()
    await idle()
    outbox.pause()
    settling = asyncio.create_task(outbox.settle(10))
    await idle()
    assert wire.sent == ["m1"]
    assert not settling.done()
    ledger.set()
    await asyncio.wait_for(settling, 5)
    assert wire.recorded == ["m1"]


async def test_nothing_more_goes_out_once_a_record_was_refused(outbox: Outbox, wire: Wire) -> None:
    async def refuse(_: OutboxEntry) -> None:
        raise NotOwner("a newer epoch", retry_after=1)

    wire.before_a_record = refuse
    first = outbox.add(entry(1, "1@c"))
    outbox.resume()
    await idle()
    second = outbox.add(entry(2, "2@c"))
    await idle()
    assert wire.sent == ["m1"]
    await outbox.stop()
    for one in (first, second):
        with pytest.raises(NotOwner):
            await one


async def test_what_is_left_at_the_end_is_refused_with_not_owner(outbox: Outbox) -> None:
    waiting = outbox.add(entry(1))
    await outbox.stop()
    with pytest.raises(NotOwner):
        await waiting
