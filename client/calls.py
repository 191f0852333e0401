"""Incoming calls of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.domain.chat_id import parse_chat_id
from cluster.domain.errors import Invalid
from cluster.domain.verbs import calls

if TYPE_CHECKING:
    from client.session import SessionClient

__all__ = ["Calls"]

_MAX_ID = 128


class Calls:
    """A linked device can turn calls down, and nothing else."""

    def __init__(self, session: SessionClient) -> None:
        self._session = session

    async def reject(self, caller: str, call_id: str) -> None:
        """`caller` and `call_id` as in the call's event."""
        if not 1 <= len(call_id) <= _MAX_ID:
            raise Invalid(f"a call id has 1 to {_MAX_ID} characters", field="id")
        jid = parse_chat_id(caller, "from").jid
        await self._session.request(calls.Reject(caller=jid, call_id=call_id))
