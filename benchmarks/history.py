"""History at size: `python -m benchmarks.history [--rows 2000000]`.

Fills an embedded PostgreSQL with messages of one very large session and many ordinary ones, then
reads as the API does. Prints, per question, the plan and the time as JSON; fails when a plan walks
through a whole partition.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr

from benchmarks.shared.folder import working_folder
from cluster.domain.message import MessageFilter
from cluster.domain.session import DesiredState
from cluster.settings import Settings, StoreSettings
from cluster.stores import Stores
from cluster.stores.migrate import migrate
from ops.embedded import EmbeddedPostgres

__all__ = ["run"]

_CHATS = 400
_WORDS = 20_000
_OTHERS = 50
_TIMES = 7

#: `power(random(), 3)` makes few words frequent and most rare, as in a language.
_FILL = """
    INSERT INTO messages (session_id, chat, message_id, from_me, sender, sent_at, kind, body, ack)
    SELECT %(session)s, (4915100000000 + n %% %(chats)s) || '@s.whatsapp.net', 'M' || n,
           n %% 3 = 0, (4915100000000 + n %% %(chats)s) || '@s.whatsapp.net',
           timestamptz '2024-01-01' + n * interval '20 seconds', 'text',
           (SELECT string_agg('word' || (power(random(), 3) * %(words)s)::int, ' ')
            FROM generate_series(1, 8) WHERE n IS NOT NULL), 3
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
"""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One way in which the history is read."""

    name: str
    wanted: MessageFilter


def _questions(middle: datetime) -> list[Question]:
    chat = "4915100000007@s.whatsapp.net"
    return [
        Question(name="newest of all chats", wanted=MessageFilter(limit=100)),
        Question(name="newest of a chat", wanted=MessageFilter(chat=chat, limit=100)),
        Question(
            name="a chat, before a time", wanted=MessageFilter(chat=chat, timestamp_lte=middle)
        ),
        Question(name="search, a rare word", wanted=MessageFilter(words="word19876", limit=20)),
        Question(name="search, a frequent word", wanted=MessageFilter(words="word1", limit=20)),
        Question(
            name="search, a frequent and a rare word",
            wanted=MessageFilter(words="word19876 word12", limit=20),
        ),
        Question(
            name="search in a chat", wanted=MessageFilter(words="word77", chat=chat, limit=20)
        ),
        Question(name="search, no such word", wanted=MessageFilter(words="nothing", limit=20)),
    ]


async def run(rows: int, data: Path) -> dict[str, Any]:
    """Fill and ask; the report."""
    postgres = EmbeddedPostgres()
    postgres.start(data)
    try:
        url = postgres.env()["DATABASE_URL"]
        migrate(url)
        settings = StoreSettings(database_url=SecretStr(url), store_timeout_seconds=600)
        stores = await Stores.open(Settings(stores=settings))
        try:
            return await _ask(stores, rows)
        finally:
            await stores.close()
    finally:
        postgres.stop()


async def _ask(stores: Stores, rows: int) -> dict[str, Any]:
    large = await stores.sessions.create("default", "large", {}, DesiredState.STOPPED)
    began = time.perf_counter()
    await _fill(stores, large.id, rows * 3 // 4)
    for number in range(_OTHERS):
        one = await stores.sessions.create("default", f"s{number}", {}, DesiredState.STOPPED)
        await _fill(stores, one.id, rows // 4 // _OTHERS)
    filled = time.perf_counter() - began
    await stores.db.run("ANALYZE messages", {})
    size = await stores.db.one(
        "SELECT sum(pg_total_relation_size(relid))::bigint AS whole, "
        "sum(pg_indexes_size(relid))::bigint AS indexes FROM pg_partition_tree('messages') "
        "WHERE isleaf",
        {},
    )
    middle = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=20 * (rows * 3 // 8))
    report: dict[str, Any] = {
        "rows": rows,
        "fill_rows_per_second": round(rows / filled),
        "bytes_per_row": round(size["whole"] / rows) if size else 0,
        "of_which_indexes": round(size["indexes"] / rows) if size else 0,
        "questions": {},
    }
    for question in _questions(middle):
        report["questions"][question.name] = await _measured(stores, large.id, question)
    report["questions"]["the 1000th page of 100, by cursor"] = await _deep(stores, large.id)
    return report


async def _fill(stores: Stores, session: int, rows: int, step: int = 50_000) -> None:
    for first in range(1, rows + 1, step):
        await stores.db.run(
            _FILL,
            {
                "session": session,
                "chats": _CHATS,
                "words": _WORDS,
                "first": first,
                "last": min(first + step - 1, rows),
            },
        )


async def _measured(stores: Stores, session: int, question: Question) -> dict[str, Any]:
    times = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        page = await stores.messages.page(session, question.wanted)
        times.append(time.perf_counter() - began)
    return {
        "found": len(page.messages),
        "milliseconds": round(statistics.median(times) * 1000, 1),
        "plan": await stores.messages.explain(session, question.wanted),
    }


async def _deep(stores: Stores, session: int) -> dict[str, Any]:
    """Far down by cursor it costs what the first page does; by offset it would not."""
    deep = await stores.messages.page(session, MessageFilter(limit=1, offset=100_000))
    by_cursor = Question(name="", wanted=MessageFilter(limit=100, after=deep.following))
    by_offset = Question(name="", wanted=MessageFilter(limit=100, offset=100_000))
    found = await _measured(stores, session, by_cursor)
    slow = await _measured(stores, session, by_offset)
    return found | {"milliseconds_by_offset": slow["milliseconds"]}


def main(
    rows: Annotated[int, typer.Option(help="Messages in all.")] = 2_000_000,
    plans: Annotated[bool, typer.Option(help="Print the plans, too.")] = True,
) -> None:
    """Fill, ask, print."""
    with working_folder() as folder:
        report = asyncio.run(run(rows, folder))
    walked = [
        name for name, one in report["questions"].items() if "Seq Scan" in "\n".join(one["plan"])
    ]
    if not plans:
        for one in report["questions"].values():
            del one["plan"]
    typer.echo(json.dumps(report, indent=2))
    if walked:
        sys.exit(f"these walk through a whole partition: {walked}")


if __name__ == "__main__":
    typer.run(main)
