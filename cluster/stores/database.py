"""PostgreSQL, as the stores use it: a pool, one statement or one transaction, errors by name."""

from __future__ import annotations

import asyncio
import math
import select
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString, Self, TypeAlias

import psycopg
import structlog
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from cluster.domain.errors import (
    GatewayError,
    NotOwner,
    NotReached,
    TooSlow,
    Unavailable,
    Unstorable,
)
from cluster.domain.printable import printable
from cluster.settings import StoreSettings
from cluster.stores.circuit_breaker import CircuitBreaker
from cluster.stores.group_commit import GroupCommit, RolledBackError
from cluster.telemetry.metrics.meter import METER

__all__ = ["Connection", "Database", "Row", "fenced", "hold_fence", "jsonb"]

log = structlog.get_logger(__name__)

#: SQLSTATE classes of errors that are about the values of a statement: cardinality, data,
#: integrity, `WITH CHECK OPTION`, program limits (an index row that is too large), and what
#: triggers raise.
_VALUES = frozenset({"21", "22", "23", "44", "54", "P0"})
#: Of errors after which a connection is not used again: the way to the server, a server that is
#: read-only (a failover is under way), statements that are not there, shutdown, system, internal.
_SPOILED = ("08", "0A", "25", "26", "57P", "58", "XX")
#: query_canceled: what `statement_timeout` does.
_CANCELED = "57014"
#: What a transaction of many statements waits for one of them, milliseconds: for a row that is
#: locked, and altogether. Planned once: see `Database.open`.
_BOUNDS = """
    SELECT set_config('lock_timeout', '50', true), set_config('statement_timeout', '1000', true),
           set_config('plan_cache_mode', 'force_generic_plan', true)
"""
#: Seconds between tries of a pool to get its first connection.
_RECONNECT = 0.5
#: Silence of a transaction that holds a session's fence, milliseconds.
_HELD_MS = 2000
#: PgBouncer refuses `options`, or is configured to leave them out.
_POOLER = (
    "DATABASE_URL leads to a pooler that gives out connections by transaction (or drops the "
    "options of sessions): bounds of statements, LISTEN, locks and prepared statements need "
    "PostgreSQL itself"
)

Row: TypeAlias = DictRow
Connection: TypeAlias = psycopg.AsyncConnection[DictRow]


class Database:
    """A pool of autocommit connections. Belongs to the event loop it was opened in.

    A connection lost on the way raises `Unavailable`; the pool replaces it by itself. One that was
    lost before, as all are after a restart of the server, is noticed when it is taken.
    """

    def __init__(
        self, pool: AsyncConnectionPool[Connection], timeout: float, *, plans_once: bool = False
    ) -> None:
        self._pool = pool
        self._timeout = timeout
        #: See `open`.
        self.plans_once = plans_once
        self._group = GroupCommit(self, timeout)
        self._breaker = CircuitBreaker()

    @classmethod
    async def open(cls, settings: StoreSettings, *, plan_once: bool = False) -> Self:
        """Open the pool. `plan_once`: statements are planned once for any values, right for who
        writes the same few again and again (over hash partitions PostgreSQL would plan each time,
        a third of the whole), wrong for searches whose plan depends on what is asked. Raises
        `Unavailable` when PostgreSQL does not answer in time, at once when it refuses: the pool
        itself would try again, with pauses of seconds."""
        timeout = settings.store_timeout_seconds
        plans = " -c plan_cache_mode=force_generic_plan" if plan_once else ""
        url = settings.database_url.get_secret_value()
        options: dict[str, Any] = {
            "autocommit": True,
            "row_factory": dict_row,
            "connect_timeout": max(2, int(timeout)),
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": int(timeout * 1000),
            "options": _options(timeout) + plans,
            "application_name": "gateway",
        }
        first = await _connected(url, options, timeout)
        pool = _Pool(
            url,
            connection_class=_beginning_with(first),
            min_size=1,
            max_size=settings.database_pool_max,
            timeout=timeout,
            max_idle=60,
            # Its pauses grow to seconds: who waits for PostgreSQL's return would wait for those.
            reconnect_timeout=_RECONNECT,
            reconnect_failed=_try_on,
            open=False,
            check=_check_if_spoken_to,
            name="stores",
            kwargs=options,
        )
        try:
            await pool.open(wait=True, timeout=timeout)
        except PoolTimeout as error:
            await pool.close()
            await first.close()
            raise Unavailable("PostgreSQL is unreachable", retry_after=2) from error
        return cls(pool, timeout, plans_once=plan_once)

    async def close(self) -> None:
        await self._group.close()
        await self._breaker.close()
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection in autocommit mode; `conn.transaction()` for more than one statement."""
        try:
            async with self._taken() as connection:
                yield connection
        except (psycopg.Error, PoolTimeout, TimeoutError, UnicodeError) as error:
            raise self._named(error) from error

    @asynccontextmanager
    async def _taken(self) -> AsyncIterator[Connection]:
        """One of the pool's. Raises what psycopg and the pool do, and `Unavailable`."""
        self._breaker.check()
        async with self._breaker.waits(self._timeout):
            connection = await self._pool.getconn(timeout=self._timeout)
        try:
            with self._breaker.asks(connection):
                async with connection:
                    try:
                        yield connection
                    except psycopg.Error as error:
                        if (error.sqlstate or "").startswith(_SPOILED):
                            # The pool replaces it: this server, or what it has prepared, is no
                            # good.
                            await connection.close()
                        raise
        finally:
            await self._pool.putconn(connection)

    async def all(self, query: LiteralString, values: Mapping[str, Any]) -> list[Row]:
        """All rows of one statement."""
        async with self.connection() as connection:
            cursor = await _execute(connection, query, values)
            return await cursor.fetchall()

    async def one(self, query: LiteralString, values: Mapping[str, Any]) -> Row | None:
        """The first row of one statement."""
        async with self.connection() as connection:
            cursor = await _execute(connection, query, values)
            return await cursor.fetchone()

    async def grouped(
        self, session_id: int, query: LiteralString, values: Mapping[str, Any]
    ) -> Row | None:
        """The first row of a statement about one session that locks the row of its stream before
        any other, as `one`: those that wait at the same time share a transaction."""
        return await self._group.one(session_id, query, values)

    async def batch(
        self, statements: Sequence[tuple[LiteralString, Mapping[str, Any]]]
    ) -> list[Row | None]:
        """The first row of each statement, all in one transaction and one round trip. Raises
        `RolledBackError` when one of them failed: then nothing was done. `Unavailable`: nobody
        knows."""
        ends = False
        try:
            async with self._taken() as connection:
                async with connection.pipeline():
                    await connection.execute("BEGIN")
                    await connection.execute(_BOUNDS)
                    cursors = [await connection.execute(*one) for one in statements]
                    ends = True
                    await connection.execute("COMMIT")
                return [await cursor.fetchone() for cursor in cursors]
        except Exception as error:
            if _was_refused(error, ends=ends):
                log.info(
                    "database.group_rolled_back", error=repr(error), statements=len(statements)
                )
                raise RolledBackError from error
            raise self._named(error) from error

    async def run(self, query: LiteralString, values: Mapping[str, Any]) -> int:
        """Run one statement; returns how many rows it touched."""
        async with self.connection() as connection:
            cursor = await _execute(connection, query, values)
            return cursor.rowcount

    async def ping(self) -> None:
        await self.one("SELECT 1 AS ok", {})

    def _named(self, error: Exception) -> GatewayError:
        return _named(error, reached=not self._breaker.is_open)


class _Pool(AsyncConnectionPool[Connection]):
    """One that gives out the connection that was used last: it, and its process at the server, have
    what they need at hand. psycopg's gives out the one that has rested longest."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._pool = _Stack(self._pool)


class _Stack(deque[Connection]):
    """A queue whose last is its first."""

    def append(self, one: Connection, /) -> None:
        self.appendleft(one)


async def _execute(
    connection: Connection, query: LiteralString, values: Mapping[str, Any]
) -> psycopg.AsyncCursor[DictRow]:
    """One statement outside a transaction. What was prepared before a migration, or at another
    server behind the same address, is planned anew once."""
    try:
        return await connection.execute(query, values)
    except psycopg.Error as error:
        if not _is_stale_plan(error) or connection.closed:
            raise
        log.info("database.planned_anew", sqlstate=error.sqlstate)
        # All others of this connection are as old.
        await connection.execute("DEALLOCATE ALL", prepare=False)
        return await connection.execute(query, values, prepare=False)


def _is_stale_plan(error: psycopg.Error) -> bool:
    """`cached plan must not change result type`, or a prepared statement that is not there."""
    if isinstance(error, psycopg.errors.InvalidSqlStatementName):
        return True
    return (
        isinstance(error, psycopg.errors.FeatureNotSupported)
        and error.diag.source_function == "RevalidateCachedQuery"
    )


async def _try_on(pool: AsyncConnectionPool[Connection]) -> None:
    """A pool that has given up tries again at the next request; whoever waits already would wait
    in vain."""
    if not pool.closed:
        await pool.check()


def _named(error: Exception, *, reached: bool) -> GatewayError:
    """An error of PostgreSQL, or of psycopg before it asked, in the gateway's terms: is it about
    these very values (`Unstorable`), or about the server, the way to it, or the statement
    (`Unavailable`: trying again may help)? By SQLSTATE class: PostgreSQL, appendix A."""
    sqlstate = getattr(error, "sqlstate", None)
    if _about_values(error, sqlstate):
        log.error("database.refused", sqlstate=sqlstate, error=type(error).__name__)
        METER.count("values_refused")
        return Unstorable(f"PostgreSQL does not take these values ({sqlstate or 'not sent'})")
    log.warning("database.unreachable", sqlstate=sqlstate, error=type(error).__name__)
    METER.count("store_errors", "postgresql")
    if sqlstate == _CANCELED:
        return TooSlow("PostgreSQL took too long", retry_after=2)
    if not reached:
        return NotReached("PostgreSQL is not reached from here", retry_after=1)
    return Unavailable("PostgreSQL is unreachable", retry_after=2)


def _was_refused(error: Exception, *, ends: bool) -> bool:
    """Whether it is certain that a transaction was not committed. `ends`: it was asked to be."""
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate is None:
        # No word of the server's: refused before it was asked, or nobody knows.
        return not ends and not isinstance(error, psycopg.OperationalError | PoolTimeout)
    return not sqlstate.startswith(("08", "57P", "58", "XX"))


def _about_values(error: Exception, sqlstate: str | None) -> bool:
    if sqlstate is not None:
        return sqlstate[:2] in _VALUES
    # Refused before anything was sent.
    return isinstance(error, UnicodeError | psycopg.DataError | psycopg.ProgrammingError)


def _options(timeout: float) -> str:
    """What the server shall do with our connections. A machine that is cut off, or gone, says
    nothing: its connections, and the rows that it has locked, are let go of all the same."""
    limit = int(timeout * 1000)
    settings = {
        "timezone": "UTC",
        "statement_timeout": limit,
        "idle_in_transaction_session_timeout": limit,
        "tcp_keepalives_idle": 5,
        "tcp_keepalives_interval": 2,
        "tcp_keepalives_count": 3,
        "tcp_user_timeout": limit,
    }
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


async def _connected(url: str, options: dict[str, Any], timeout: float) -> Connection:
    """A connection that does what `options` say. Raises `Unavailable`."""
    try:
        async with asyncio.timeout(max(2.0, timeout)):
            connection: Connection = await psycopg.AsyncConnection.connect(url, **options)
            try:
                cursor = await connection.execute(
                    "SELECT setting FROM pg_settings WHERE name = 'statement_timeout'",
                    prepare=False,
                )
                heard = await cursor.fetchone() == {"setting": str(int(timeout * 1000))}
            except BaseException:
                await connection.close()
                raise
    except (psycopg.Error, TimeoutError) as error:
        if "unsupported startup parameter" in str(error):
            raise Unavailable(_POOLER, retry_after=60) from error
        raise Unavailable("PostgreSQL is unreachable", retry_after=2) from error
    if not heard:
        await connection.close()
        raise Unavailable(_POOLER, retry_after=60)
    return connection


def _beginning_with(first: Connection) -> type[Connection]:
    """What a pool makes its connections with: it takes `first` before it makes one, which costs
    both sides ten milliseconds of processor time."""
    made = [first]

    class Connections(psycopg.AsyncConnection[DictRow]):
        @classmethod
        async def connect(cls, *args: Any, **options: Any) -> Any:
            return made.pop() if made else await super().connect(*args, **options)

    return Connections


async def _check_if_spoken_to(connection: Connection) -> None:
    """An idle connection on which the server said something was closed by it, as a rule. Looking
    costs a system call; a statement to ask would cost every statement another round trip."""
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN)
    if poller.poll(0):
        await AsyncConnectionPool.check_connection(connection)


def fenced(row: Row | None, session_id: int, epoch: int) -> Row:
    """The row of a statement that reports `owner`; raises `NotOwner` when the epoch was stale."""
    if row is None or not row["owner"]:
        raise NotOwner(f"epoch {epoch} of session {session_id} is not the newest", retry_after=1)
    return row


async def hold_fence(connection: Connection, session_id: int, epoch: int) -> None:
    """Lock out every other writer of the session until the transaction ends. Raises `NotOwner`.

    The session's next owner waits for it, so a machine that is cut off in between holds it for
    less than a lease: PostgreSQL ends a transaction that says nothing for so long."""
    cursor = await connection.execute(
        """
        SELECT true AS owner,
               set_config('idle_in_transaction_session_timeout', %(silence)s, true)
        FROM session_streams WHERE session_id = %(id)s AND epoch = %(epoch)s FOR UPDATE
        """,
        {"id": session_id, "epoch": epoch, "silence": str(_HELD_MS)},
    )
    fenced(await cursor.fetchone(), session_id, epoch)


def jsonb(value: Any) -> Jsonb:
    """A jsonb parameter of what JSON can say: texts as `printable` has them, no NaN."""
    return Jsonb(_clean(value))


def _clean(value: Any) -> Any:
    if isinstance(value, str | bytes):
        return printable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    # The plain types first: what is none of `Mapping` is compared with each mapping there is.
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, dict | Mapping):
        return {
            printable(k if isinstance(k, bytes) else str(k)): _clean(v) for k, v in value.items()
        }
    if isinstance(value, list | tuple | Sequence):
        return [_clean(v) for v in value]
    return value
