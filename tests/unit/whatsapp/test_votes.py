"""Votes between their arrival and their opening."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from neonize.proto import Neonize_pb2 as pb
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import PollVoteMessage

from actors.whatsapp.votes import Votes
from cluster.domain.message import StoredMessage
from cluster.domain.poll import VOTE


def arrived(kind: str) -> StoredMessage:
    return StoredMessage(
        message_id="A", chat="1@g.us", sender="2@lid", from_me=False, kind=kind,
        timestamp=datetime.now(UTC), payload={"message": {}},
    )  # fmt: skip


async def call(use: Callable[[Any], Awaitable[object]]) -> object:
    class Library:
        async def decrypt_poll_vote(self, event: object) -> PollVoteMessage:
            return PollVoteMessage(selectedOptions=[b"\x01"])

    return await use(Library())


async def test_a_senders_key_under_the_votes_id_leaves_the_vote_alone() -> None:
    votes, event = Votes(), pb.Message()
    event.Info.ID = "A"
    votes.keep(event)
    key = arrived("sender_key")
    assert await votes.opened(key, call) is key
    assert (await votes.opened(arrived("poll_vote"), call)).payload[VOTE] == ["01"]
