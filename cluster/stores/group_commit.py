"""Group commit: statements of several sessions that wait at the same time share one transaction.

A statement that runs alone pays for a round trip, a commit and a flush to disk; in a group these
are shared. Each statement stays what it was: it touches one session, is fenced by itself, and who
asked hears when it is committed. A group is rolled back by what only one of them is to blame for: a
value that PostgreSQL does not take, a row that somebody else has locked, slowness. Then each runs
alone, and what is slow waits apart from the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

import structlog

from cluster.domain.errors import GatewayError, Unavailable, error_from_payload

if TYPE_CHECKING:
    from cluster.stores.database import Database, Row

__all__ = ["GroupCommit", "RolledBackError"]

log = structlog.get_logger(__name__)

#: Statements of one transaction: the first one's rows stay locked until the last one is done.
_MOST = 32
#: Seconds that the others wait for one statement that has a transaction to itself.
_PATIENCE = 0.05


class RolledBackError(Exception):
    """Nothing of the group was done."""


@dataclass(slots=True)
class _Waiting:
    session_id: int
    query: LiteralString
    values: Mapping[str, Any]
    done: asyncio.Future[Row | None]


class GroupCommit:
    """One transaction at a time; what comes meanwhile is the next one."""

    def __init__(self, database: Database, timeout: float) -> None:
        """`timeout`: seconds that a statement waits for its turn and its end, at most twice."""
        self._db = database
        self._timeout = 2 * timeout
        self._waiting: deque[_Waiting] = deque()
        #: Statements that run alone, by session: what follows them would wait for the same rows.
        self._apart: Counter[int] = Counter()
        self._alone: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    async def one(
        self, session_id: int, query: LiteralString, values: Mapping[str, Any]
    ) -> Row | None:
        """The first row of one statement about one session, once it is committed. Raises as
        `Database.one`."""
        done: asyncio.Future[Row | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(session_id, query, values, done))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="group-commit")
        try:
            async with asyncio.timeout(self._timeout):
                return await done
        except TimeoutError as error:
            raise Unavailable("PostgreSQL is unreachable", retry_after=2) from error

    async def close(self) -> None:
        """Wait for what is under way."""
        while self._task is not None or self._alone:
            await asyncio.wait({*self._alone, *([self._task] if self._task else ())})

    async def _run(self) -> None:
        try:
            while self._waiting:
                if group := self._next():
                    await self._commit(group)
        except Exception as error:
            log.exception("database.group_commit_failed")
            while self._waiting:
                _resolve(self._waiting.popleft(), None, error)
        finally:
            self._task = None

    def _next(self) -> list[_Waiting]:
        """In the order of sessions, as all lock their rows: two groups never wait for each other.
        What somebody has ceased to wait for is left out."""
        group: list[_Waiting] = []
        while self._waiting and len(group) < _MOST:
            one = self._waiting.popleft()
            if one.done.done():
                continue
            if self._apart[one.session_id]:
                self._begin_alone(one)
            else:
                group.append(one)
        group.sort(key=lambda one: one.session_id)
        return group

    async def _commit(self, group: list[_Waiting]) -> None:
        if len(group) == 1 and self._db.plans_once:
            # One statement is a transaction by itself, at the price of one.
            await asyncio.wait({self._begin_alone(group[0])}, timeout=_PATIENCE)
            return
        try:
            rows = await self._db.batch([(one.query, one.values) for one in group])
        except RolledBackError:
            for one in group:
                self._begin_alone(one)
        except Exception as error:  # noqa: BLE001
            for one in group:
                _resolve(one, None, error)
        else:
            for one, row in zip(group, rows, strict=True):
                _resolve(one, row)

    def _begin_alone(self, one: _Waiting) -> asyncio.Task[None]:
        self._apart[one.session_id] += 1
        task = asyncio.create_task(self._run_alone(one), name="group-commit-alone")
        self._alone.add(task)
        task.add_done_callback(self._alone.discard)
        return task

    async def _run_alone(self, one: _Waiting) -> None:
        try:
            _resolve(one, await self._db.one(one.query, one.values))
        except Exception as error:  # noqa: BLE001
            _resolve(one, None, error)
        finally:
            self._apart[one.session_id] -= 1
            if not self._apart[one.session_id]:
                del self._apart[one.session_id]


def _resolve(one: _Waiting, row: Row | None, error: Exception | None = None) -> None:
    if one.done.done():
        return
    if error is None:
        one.done.set_result(row)
    elif isinstance(error, GatewayError):
        # Each its own: a traceback that many raise grows with each of them.
        fresh = error_from_payload(error.to_payload())
        fresh.__cause__ = error.__cause__
        one.done.set_exception(fresh)
    else:
        one.done.set_exception(error)
