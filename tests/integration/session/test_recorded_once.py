"""What an owner recorded and could not take out of its spool any more is emitted once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from neonize.proto import Neonize_pb2 as pb
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message
from unplugged import Running, message, start

from actors.whatsapp.neonize_client import _KEPT, _RECEIPTS, _SUBSCRIBED
from cluster.domain.errors import Unavailable
from cluster.domain.session import SessionRecord
from cluster.settings import Settings
from cluster.stores import Stores

GROUP = pb.JID(User="120363000000000001", Server="g.us")
OWN, MEMBER = (pb.JID(User=f"491510000{n}", Server="s.whatsapp.net") for n in (1, 2))
_OWN_LIFE = {"session.status", "session.takeover", "session.checkpoint", "state.change"}


def _source(sender: pb.JID, *, own: bool = False) -> pb.MessageSource:
    return pb.MessageSource(Chat=GROUP, Sender=sender, IsFromMe=own, IsGroup=True)


def _said() -> list[tuple[int, Any]]:
    """One of everything that nobody sends again, which ends as an event."""
    mine = message(
        Message(conversation="mine"), ID="3EB0MINE", MessageSource=_source(OWN, own=True)
    )
    waiting = message(Message(), ID="3EB0WAITING", MessageSource=_source(MEMBER)).Info
    read = next(code for code, kind in _RECEIPTS.items() if kind == "read")
    call = pb.BasicCallMeta(**{"from": MEMBER}, timestamp=1, callCreator=MEMBER, callID="C1")
    return [
        (17, mine),
        (18, pb.Receipt(MessageSource=_source(MEMBER), MessageIDs=["3EB0MINE"], Type=1)),
        (18, pb.Receipt(MessageSource=_source(MEMBER), MessageIDs=["3EB0MINE"], Type=read)),
        (44, pb.UndecryptableMessage(Info=waiting)),
        (22, pb.GroupInfoEvent(JID=GROUP, Sender=MEMBER, Timestamp=1, Leave=[MEMBER])),
        (36, pb.CallOffer(basicCallMeta=call)),
        (42, pb.CallTerminate(basicCallMeta=call, reason="x")),
    ]


async def _emitted(running: Running) -> Counter[str]:
    events = await running.stores.events.list(running.session.record.id, limit=1000)
    return Counter(event.type for event in events if event.type not in _OWN_LIFE)


async def test_what_is_replayed_after_it_was_recorded(
    record: SessionRecord, stores: Stores, settings: Settings
) -> None:
    first = start(record, stores, settings)
    await first.works()
    # The process ends between each commit and the note that it was made.
    ending = pytest.MonkeyPatch()
    ending.setattr("actors.session.spool.Spool.done", lambda *_: None)
    said = _said()
    assert {code for code, _ in said} <= _KEPT
    assert {_SUBSCRIBED[code] for code, _ in said} == {type(one) for _, one in said}
    for code, one in said:
        first.hears(code, one)
    await first.still_hears()
    before = await _emitted(first)
    assert before["message.ack.group"] == 2
    assert before.keys() >= {
        *("message.any", "message.waiting", "group.v2.participants"),
        *("call.received", "call.rejected"),
    }
    first.clients[-1]._stream._pumps.cancel()  # type: ignore[union-attr]
    first.task.cancel()
    await asyncio.gather(first.task, return_exceptions=True)
    await first.session.discard()
    ending.undo()

    second = start(record, stores, settings, owned_before=first.session.epoch)
    await second.works()
    assert await _emitted(second) == before
    # Said again by WhatsApp, not by a spool: it happened again.
    second.hears(36, next(one for code, one in said if code == 36))
    await second.still_hears()
    assert (await _emitted(second))["call.received"] == before["call.received"] + 1
    second.session.stop()
    await second.task


async def test_a_commit_whose_answer_was_lost(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL committed, and the connection ended before it said so."""
    db = running.stores.db
    grouped, lost = db.grouped, set[str]()

    async def answers_late(session_id: int, query: Any, values: Any) -> Any:
        row = await grouped(session_id, query, values)
        asked = {name: str(value) for name, value in values.items() if name not in ("ids", "again")}
        if (written := str((query, asked))) not in lost:
            lost.add(written)
            raise Unavailable("the connection was lost")
        return row

    monkeypatch.setattr(db, "grouped", answers_late)
    for code, said in _said():
        running.hears(code, said)
    await running.still_hears()
    monkeypatch.undo()
    assert len(lost) >= len(_said())
    emitted = await _emitted(running)
    assert emitted["message.ack.group"] == 2
    assert {emitted[name] for name in ("message.waiting", "group.v2.participants")} == {1}
    assert {emitted[name] for name in ("call.received", "call.rejected")} == {1}
