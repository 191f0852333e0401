"""Votes in polls: they arrive encrypted, and the library opens them with the poll's secret."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import structlog
from neonize._binder import consume_bytes_struct, gocode
from neonize.aioze.client import NewAClient
from neonize.proto.Neonize_pb2 import Message as MessageEvent

from cluster.domain.message import StoredMessage
from cluster.domain.poll import VOTE

__all__ = ["Votes"]

log = structlog.get_logger(__name__)
T = TypeVar("T")

# neonize 0.5.2 forgets to say that this call of its Go library answers bytes.
gocode.DecryptPollVote.errcheck = consume_bytes_struct

#: Votes that wait to be opened, at most: they are opened one after the other as they arrive.
_WAITING = 1000


class Votes:
    """The votes of one client, between their arrival and their opening."""

    def __init__(self) -> None:
        self._raw: OrderedDict[str, MessageEvent] = OrderedDict()

    def keep(self, event: MessageEvent) -> None:
        """Remember what the library said of a vote; any thread."""
        self._raw[event.Info.ID] = event
        while len(self._raw) > _WAITING:
            self._raw.popitem(last=False)

    async def opened(
        self,
        message: StoredMessage,
        call: Callable[[Callable[[NewAClient], Awaitable[object]]], Awaitable[object]],
    ) -> StoredMessage:
        """The message with the hashes of the options chosen in its payload; as it is when it is
        no vote, or the poll's secret is not known here."""
        # The key of a group's sender comes under the id of the vote that it is for, as an event of
        # its own.
        votes = message.kind == "poll_vote"
        event = self._raw.pop(message.message_id, None) if votes else None
        if event is None:
            return message
        try:
            vote = await call(lambda library: library.decrypt_poll_vote(event))
        except Exception:
            # Whatever is wrong with a vote: that it arrived must be emitted all the same.
            log.exception("votes.not_opened", id=message.message_id)
            return message
        hashes = [bytes(option).hex() for option in getattr(vote, "selectedOptions", ())]
        return replace(message, payload=message.payload | {VOTE: hashes})
