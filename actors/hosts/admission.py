"""The door that a session's process goes through before it claims its session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from cluster.domain.errors import SessionNotFound, Unavailable
from cluster.domain.session import DesiredState, SessionStatus
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.starts import Admission

__all__ = ["admitted"]

log = structlog.get_logger(__name__)

#: Seconds between looks at the session while the process waits.
_POLL_SECONDS = 1.0


async def admitted(
    stores: Stores,
    settings: Settings,
    session_id: int,
    node: str,
    stopping: Callable[[], bool] = lambda: False,
) -> bool:
    """Wait until the session may be claimed by this process on `node`.

    False: it is not to run, it failed too often (and is FAILED now), or `stopping` said so. A
    process on a drained node waits here until the supervisor ends it.
    """
    while not stopping():
        try:
            admission = await stores.starts.begin(session_id, node, settings.start_policy)
            if admission.given_up:
                await _give_up(stores, session_id, admission)
                return False
            if admission.unwanted:
                return False
            if not admission.held:
                return await _wait(stores, session_id, admission, stopping)
            log.info("admission.node_drained", session_id=session_id, node=node)
        except SessionNotFound:
            return False
        except Unavailable as error:
            log.warning("admission.stores_unreachable", session_id=session_id, error=error.detail)
        await asyncio.sleep(_POLL_SECONDS)
    return False


async def _wait(
    stores: Stores, session_id: int, admission: Admission, stopping: Callable[[], bool]
) -> bool:
    loop = asyncio.get_running_loop()
    turn = loop.time() + admission.wait
    if admission.wait > _POLL_SECONDS:
        log.warning(
            "admission.waits",
            session_id=session_id,
            seconds=round(admission.wait, 1),
            failures=admission.failures,
            error=admission.error,
        )
    while (left := turn - loop.time()) > 0:
        await asyncio.sleep(min(left, _POLL_SECONDS))
        if stopping() or not await _wanted(stores, session_id):
            return False
    return True


async def _wanted(stores: Stores, session_id: int) -> bool:
    try:
        record = await stores.sessions.get_by_id(session_id)
    except SessionNotFound:
        return False
    except Unavailable:
        # Not known: who claims later finds out.
        return True
    return record.desired is DesiredState.RUNNING and record.status is not SessionStatus.FAILED


async def _give_up(stores: Stores, session_id: int, admission: Admission) -> None:
    reason = f"failed to start {admission.failures} times in a row"
    if admission.error:
        reason = f"{reason}, at last: {admission.error}"
    if await stores.starts.give_up(session_id, admission.failures, reason):
        log.error("admission.given_up", session_id=session_id, reason=reason)
        await stores.events.append(
            session_id,
            "session.status",
            {"status": SessionStatus.FAILED.value, "reason": reason},
        )
