"""Session → actor: cached handles, looked up off the request path, dropped when they fail.

`ray.get_actor` blocks while the control store is unreachable, so it runs in a thread, with a bound,
and only for sessions this process has not spoken to yet. A handle stays good across restarts of its
actor (Ray, "Actor fault tolerance").
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ray
import structlog
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayActorError, RayError

from cluster.domain.errors import NotOwner, Unavailable
from cluster.domain.reply import Reply
from cluster.domain.session import SUPERVISOR, SessionRecord
from cluster.settings import Settings

__all__ = ["Ping", "Router", "ensure_ray"]

log = structlog.get_logger(__name__)

_LOOKUP_SECONDS = 5.0
#: Of its own: a lookup holds its thread for a minute while the control store is unreachable.
_LOOKUPS = ThreadPoolExecutor(8, "lookups")
#: How long a call that may be repeated is carried across a takeover, and the pauses in between.
_CARRY_SECONDS = 30.0
_PAUSE = 0.25
#: What every call to another machine may ask for is not asked more often.
_PING_SECONDS = 0.25


def ensure_ray(settings: Settings) -> None:
    """Join the Ray cluster unless this process is part of it already."""
    if not ray.is_initialized():
        ray.init(
            address=os.environ.get("RAY_ADDRESS", "auto"),
            namespace=settings.placement.namespace,
            log_to_driver=False,
        )


class _NoActorError(Exception):
    """There is no actor of that name: nothing was asked."""


class Ping:
    """Whether a process lives, asked by a call of its actor."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        #: False: there is none, or it ended; None: not yet.
        self.answered: bool | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def age(self) -> float:
        """Seconds since it was asked."""
        return time.monotonic() - self._began


class Router:
    """Calls actors by session. One per process and loop."""

    def __init__(
        self,
        settings: Settings,
        find: Callable[[int], Awaitable[SessionRecord]] | None = None,
    ) -> None:
        """`find`: the present record of a session, for those that move while they are called."""
        self._namespace = settings.placement.namespace
        self._find = find
        self._handles: dict[str, Any] = {}
        #: Of sessions in actors of their own: the epoch in which the handle was looked up.
        self._epochs: dict[str, int] = {}
        #: Under way; whoever gave up waiting finds the handle the next time.
        self._lookups: dict[str, asyncio.Future[Any]] = {}
        #: The last one of each actor.
        self._pings: dict[str, Ping] = {}

    def forget(self, record: SessionRecord) -> None:
        """The session's actor was ended or made anew on purpose: look it up for the next call."""
        self._forget(record.actor_name)

    def _forget(self, name: str) -> None:
        self._handles.pop(name, None)
        self._lookups.pop(name, None)
        self._epochs.pop(name, None)
        self._pings.pop(name, None)

    def ping(self, record: SessionRecord, age: float = _PING_SECONDS) -> Ping:
        """Ask the process that the session is in whether it lives: once for all who want to know at
        the same time, and as long as it is silent. `age`: how old a ping that was answered may be,
        seconds."""
        name = record.actor_name
        last = self._pings.get(name)
        if last is not None and (last.answered is None or last.age <= age):
            return last
        ping = self._pings[name] = Ping()
        ping.task = asyncio.create_task(self._answers(name, ping), name="ping")
        return ping

    async def _answers(self, name: str, ping: Ping) -> None:
        answered = False
        try:
            # Unknown as long as it was called by the short way only.
            handle = await self._handle(name)
            await _reference(handle.describe.remote())
            answered = True
        except (_NoActorError, Unavailable, RayError) as error:
            log.debug("router.ping_failed", actor=name, error=str(error))
        finally:
            ping.answered = answered

    async def call(
        self,
        record: SessionRecord | None,
        invoke: Callable[[Any], Any],
        *,
        timeout: float,
        repeatable: bool = False,
    ) -> Any:
        """Call the session's actor, without a record the supervisor, and unwrap its reply.

        `invoke` gets the handle, whose methods take `session_id`, and returns the object reference.
        While the session changes owner a call is tried again when it is certain that nothing was
        done, and a `repeatable` one in any case. Raises `Unavailable` when there is no actor, it
        does not answer in `timeout` seconds, or it died; otherwise what the actor raised.
        """
        deadline = asyncio.get_running_loop().time() + min(timeout, _CARRY_SECONDS)
        while True:
            late = asyncio.get_running_loop().time() + _PAUSE > deadline
            try:
                return await self._once(record, invoke, timeout)
            except _NoActorError as error:
                if late:
                    raise Unavailable("the session has no owner yet", retry_after=1) from error
            except NotOwner:
                # Said before anything is done.
                if late:
                    raise
            except Unavailable:
                if late or not repeatable:
                    raise
            await asyncio.sleep(_PAUSE)
            record = await self._now(record)

    async def call_once(
        self, record: SessionRecord, invoke: Callable[[Any], Any], *, timeout: float
    ) -> Any:
        """Call the session's actor where it is, or where it has just moved, and carry nothing over
        a takeover. Raises `Unavailable` as soon as it does not answer, and what it raised."""
        try:
            return await self._once(record, invoke, timeout)
        except (NotOwner, _NoActorError) as error:
            moved = await self._now(record)
            if moved is None or moved.actor_name == record.actor_name:
                raise Unavailable("the session has no owner yet", retry_after=1) from error
        try:
            return await self._once(moved, invoke, timeout)
        except _NoActorError as error:
            raise Unavailable("the session has no owner yet", retry_after=1) from error

    async def supervise(
        self, invoke: Callable[[Any], Any], *, timeout: float, repeatable: bool = True
    ) -> Any:
        """Call the supervisor; carried like a `repeatable` call, as most of its verbs are."""
        return await self.call(None, invoke, timeout=timeout, repeatable=repeatable)

    async def _now(self, record: SessionRecord | None) -> SessionRecord | None:
        """Where the session is by now."""
        if record is None or self._find is None:
            return record
        try:
            return await self._find(record.id)
        except Unavailable:
            return record

    async def _once(
        self, record: SessionRecord | None, invoke: Callable[[Any], Any], timeout: float
    ) -> Any:
        name = record.actor_name if record else SUPERVISOR
        if record is not None and not record.host and self._epochs.get(name) != record.epoch:
            # Somebody else may have had the actor made anew: what is not repeatable must not be the
            # call that finds out.
            self._forget(name)
            self._epochs[name] = record.epoch
        handle = await self._handle(name)
        try:
            reply: Reply = await asyncio.wait_for(_reference(invoke(handle)), timeout)
        except ActorUnavailableError as error:
            raise Unavailable("the session is being taken over", retry_after=1) from error
        except (ActorDiedError, RayActorError) as error:
            self._handles.pop(name, None)
            raise Unavailable("the session is being taken over", retry_after=1) from error
        except TimeoutError as error:
            raise Unavailable("the session did not answer in time", retry_after=5) from error
        except RayError as error:
            self._handles.pop(name, None)
            log.warning("router.call_failed", actor=name, error=str(error))
            raise Unavailable("the session could not be reached", retry_after=2) from error
        try:
            return reply.unwrap()
        except NotOwner:
            self._handles.pop(name, None)
            raise

    async def _handle(self, name: str) -> Any:
        if name in self._handles:
            return self._handles[name]
        lookup = self._lookups.get(name)
        if lookup is None:
            loop = asyncio.get_running_loop()
            lookup = loop.run_in_executor(_LOOKUPS, ray.get_actor, name, self._namespace)
            self._lookups[name] = lookup
            lookup.add_done_callback(lambda done: self._found(name, done))
        try:
            return await asyncio.wait_for(asyncio.shield(lookup), _LOOKUP_SECONDS)
        except ValueError as error:
            raise _NoActorError(name) from error
        except (TimeoutError, RayError) as error:
            raise Unavailable("the cluster's directory is unreachable", retry_after=2) from error

    def _found(self, name: str, lookup: asyncio.Future[Any]) -> None:
        """Keep the handle, unless it was forgotten meanwhile."""
        if self._lookups.get(name) is not lookup:
            return
        del self._lookups[name]
        if not lookup.cancelled() and lookup.exception() is None:
            self._handles[name] = lookup.result()


async def _reference(reference: Any) -> Any:
    return await reference
