"""What is remembered of people's presence, and what a refusal of WhatsApp's means."""

from __future__ import annotations

from typing import Any, cast

import pytest
from neonize.exc import NeonizeError
from neonize.proto import Neonize_pb2 as pb

from actors.whatsapp.jids import from_text
from actors.whatsapp.neonize_client import classify
from actors.whatsapp.presences import Presences, Seen
from actors.whatsapp.verbs.asking import ask, meaning
from cluster.domain.errors import NotFound, NotPermitted, Unavailable, WhatsAppRefused

BOB, LID, GROUP = "4915100002@s.whatsapp.net", "2000@lid", "120363@g.us"


def chat_state(chat: str, *, typing: bool = True, audio: bool = False) -> pb.ChatPresence:
    return pb.ChatPresence(
        MessageSource=pb.MessageSource(
            Chat=from_text(chat),
            Sender=from_text("2000:3@lid"),
            SenderAlt=from_text(BOB),
            IsFromMe=False,
            IsGroup=chat.endswith("@g.us"),
        ),
        State=pb.ChatPresence.COMPOSING if typing else pb.ChatPresence.PAUSED,
        Media=pb.ChatPresence.AUDIO if audio else pb.ChatPresence.TEXT,
    )


def test_the_last_that_was_reported_counts_and_a_person_is_one() -> None:
    presences = Presences()
    presences.take(pb.Presence(From=from_text(LID), Unavailable=True, LastSeen=1767323045))
    assert presences.of_chat(LID) == {LID: Seen(state="offline", last_seen=1767323045)}
    presences.take(pb.Presence(From=from_text(LID), Unavailable=False, LastSeen=-62135596800))
    assert presences.of_chat(BOB, LID) == {LID: Seen(state="online")}
    presences.take(chat_state(GROUP, audio=True))
    assert presences.of_chat(GROUP) == {BOB: Seen(state="recording")}
    presences.take(chat_state(GROUP, typing=False))
    assert presences.of_chat(GROUP)[BOB].state == "paused"
    presences.clear()
    assert presences.chats() == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("that group does not exist", NotFound),
        ("that group invite link is not valid", NotFound),
        ("you're not participating in that group", NotPermitted),
        ("info query returned status 403: forbidden", NotPermitted),
        ("info query returned status 429: rate-overlimit", Unavailable),
        ("info query returned status 500: internal-server-error", WhatsAppRefused),
    ],
)
def test_refusals_are_distinguished_by_their_meaning(text: str, kind: type[Exception]) -> None:
    found = meaning(text)
    assert type(found) is kind
    assert text in found.detail


async def test_a_refusal_of_a_verb_is_reported_in_the_librarys_words() -> None:
    class Refusing:
        async def call(self, use: object) -> None:
            said = NeonizeError("info query returned status 403: forbidden")
            raise classify(str(said).replace("403: forbidden", "500: no")) from said

    with pytest.raises(NotPermitted, match=r"^WhatsApp: info query returned status 403: forbidden"):
        await ask(cast(Any, Refusing()), cast(Any, None))
