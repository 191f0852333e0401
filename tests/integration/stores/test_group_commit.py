"""Statements of many sessions in one transaction: each stays what it was by itself."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from cluster.domain.errors import GatewayError, NotOwner, Unavailable
from cluster.domain.session import DesiredState
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.database import Database

CHAT = "491700000001@s.whatsapp.net"


async def _sessions(stores: Stores, many: int, name: str) -> list[int]:
    made = [
        await stores.sessions.create("default", f"{name}{n}", {}, DesiredState.STOPPED)
        for n in range(many)
    ]
    return [one.id for one in made]


async def _accept(stores: Stores, session: int, number: int) -> int:
    row, _ = await stores.outbox.accept(
        session,
        message_id=f"3EB0{session:06d}{number:08d}",
        chat=CHAT,
        sender="",
        kind="text",
        content={"kind": "text", "text": "hello"},
        body="hello",
    )
    return row.seq


@pytest.fixture
def groups(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many statements each transaction had."""
    sizes: list[int] = []
    batch = stores.db.batch

    async def counted(statements: Any) -> Any:
        sizes.append(len(statements))
        return await batch(statements)

    monkeypatch.setattr(stores.db, "batch", counted)
    return sizes


async def test_what_waits_together_is_one_transaction(stores: Stores, groups: list[int]) -> None:
    sessions = await _sessions(stores, 6, "together")
    seqs = await asyncio.gather(
        *(_accept(stores, session, n) for n in range(20) for session in sessions)
    )
    for at, session in enumerate(sessions):
        assert seqs[at :: len(sessions)] == list(range(1, 21)), "the order of each session"
        assert [row.seq for row in await stores.outbox.pending(session)] == list(range(1, 21))
    assert sum(groups) == 120
    assert len(groups) <= 10
    assert max(groups) <= 32


async def test_the_same_message_twice_in_a_group_is_one(stores: Stores, groups: list[int]) -> None:
    (session,) = await _sessions(stores, 1, "twice")
    first = asyncio.create_task(_accept(stores, session, 0))
    await asyncio.sleep(0)
    same = await asyncio.gather(*(_accept(stores, session, 1) for _ in range(5)))
    assert len({await first, *same}) == 2
    assert max(groups) == 5


@pytest.mark.parametrize(
    "strange", ["a\x00b", "".join(map(chr, range(0x4E00, 0x4E00 + 9000)))], ids=["nul", "too-large"]
)
async def test_one_that_is_refused_fails_alone(
    stores: Stores, groups: list[int], strange: str
) -> None:
    sessions = await _sessions(stores, 3, f"refused{len(strange)}")

    async def bad() -> int:
        row, _ = await stores.outbox.accept(
            sessions[1],
            message_id=strange,
            chat=CHAT,
            sender="",
            kind="text",
            content={"kind": "text"},
            body="",
        )
        return row.seq

    warm = asyncio.create_task(_accept(stores, sessions[0], 0))
    await asyncio.sleep(0)
    outcomes = await asyncio.gather(
        *(_accept(stores, session, 1) for session in sessions), bad(), return_exceptions=True
    )
    await warm
    assert max(groups) == 4
    assert outcomes[:3] == [2, 1, 1]
    assert isinstance(outcomes[3], GatewayError)
    assert outcomes[3].code == "unstorable"


async def test_a_stale_owner_is_refused_and_nobody_else_is_affected(
    stores: Stores, groups: list[int]
) -> None:
    sessions = await _sessions(stores, 3, "stale")
    outcomes = await asyncio.gather(
        *(
            stores.events.append(session, "message.any", {}, epoch=9 if n == 1 else None)
            for n in range(3)
            for session in sessions
        ),
        return_exceptions=True,
    )
    assert [isinstance(one, NotOwner) for one in outcomes] == [False] * 3 + [True] * 3 + [False] * 3
    for session in sessions:
        assert [event.seq for event in await stores.events.list(session)] == [1, 2]


async def test_a_session_that_somebody_has_locked_holds_up_no_other(stores: Stores) -> None:
    locked, *others = await _sessions(stores, 4, "locked")
    async with stores.db.connection() as connection, connection.transaction():
        await connection.execute(
            "SELECT 1 FROM session_streams WHERE session_id = %s FOR UPDATE", (locked,)
        )
        waiting = [asyncio.create_task(_accept(stores, locked, n)) for n in range(3)]
        took = []
        for n in range(20):
            began = time.monotonic()
            await asyncio.gather(*(_accept(stores, session, n) for session in others))
            took.append(time.monotonic() - began)
        assert not any(one.done() for one in waiting)
        assert sorted(took)[-3] < 0.5, "at most the first ones waited a moment"
    assert sorted(await asyncio.gather(*waiting)) == [1, 2, 3]


async def test_what_nobody_knows_of_is_reported_as_that_and_done_at_most_once(
    stores: Stores, store_settings: Settings
) -> None:
    """The connection ends at some moment of the transaction, as in a failover."""
    sessions = await _sessions(stores, 4, "killed")
    database = await Database.open(store_settings.stores)
    try:
        killed = Stores(database, stores.cache, stores.objects)
        outcomes: list[int | BaseException] = []

        async def end() -> None:
            for _ in range(10):
                await asyncio.sleep(0.005)
                await stores.db.run(
                    """
                    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE query LIKE '%%outbox%%' AND pid <> pg_backend_pid()
                      AND backend_start > clock_timestamp() - interval '2 s'
                    """,
                    {},
                )

        ending = asyncio.create_task(end())
        for n in range(30):
            outcomes += await asyncio.gather(
                *(_accept(killed, session, n) for session in sessions), return_exceptions=True
            )
        await ending
        failed = [one for one in outcomes if isinstance(one, BaseException)]
        assert all(isinstance(one, Unavailable) for one in failed), failed
        for at, session in enumerate(sessions):
            kept = [row.seq for row in await stores.outbox.pending(session)]
            assert {one for one in outcomes[at::4] if isinstance(one, int)} <= set(kept)
            assert len(kept) == len(set(kept)) <= 30
            # What was refused as unknown is asked for again, and is there once.
            for n in range(30):
                await _accept(killed, session, n)
            assert len(await stores.outbox.pending(session)) == 30
    finally:
        await database.close()
