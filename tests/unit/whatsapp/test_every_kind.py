"""Whatever starts a message can quote, name people, be forwarded and disappear; a table of all
kinds that a test keeps whole."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import pytest
from neonize.proto.Neonize_pb2 import UploadResponse
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

from actors.whatsapp.content import _NEEDING_LIBRARY, _PURE, compose
from cluster.domain.content import Content

BOB = "4915100000002@s.whatsapp.net"
FILE = {"file": {"mimetype": "a/b", "filename": "a.b", "_object": "media/1/x"}}
KINDS: dict[str, list[dict[str, Any]]] = {
    "text": [{"text": "x"}],
    "location": [{"latitude": 1, "longitude": 2}],
    "contact": [{"contacts": [{"name": "a", "vcard": "b"}] * n} for n in (1, 2)],
    "poll": [
        {"text": "q", "options": ["a", "b"], "selectable": n, "_secret": ""} for n in (0, 1, 2)
    ],
    "event": [{"text": "e", "start": 1, "_secret": ""}],
    "list": [{"text": "l", "button": "b", "sections": []}],
    "buttons_response": [{"button_id": "1", "text": "b"}],
    "image": [FILE, FILE | {"caption": "c"}],
    "video": [FILE, FILE | {"caption": "c"}, FILE | {"as_note": True}],
    "audio": [FILE, FILE | {"voice": True}],
    "document": [FILE, FILE | {"caption": "c"}],
    "sticker": [FILE],
}
#: What is about another message quotes nothing and has no time of its own.
ABOUT = {"reaction", "edit", "revoke", "pin", "poll_vote"}
CASES = [{"kind": kind} | content for kind, contents in KINDS.items() for content in contents]


class _Composer:
    async def upload(self, file: dict[str, Any], kind: Any) -> UploadResponse:
        return UploadResponse(
            url="https://a.example", DirectPath="/v/x", MediaKey=b"k",
            FileEncSHA256=b"e", FileSHA256=b"f", FileLength=1,
        )  # fmt: skip


def _part(message: Message) -> Any:
    if message.HasField("documentWithCaptionMessage"):
        message = message.documentWithCaptionMessage.message
    (part,) = (p for f, p in message.ListFields() if f.name != "messageContextInfo")
    return part


def test_the_table_has_every_kind() -> None:
    built = _PURE.keys() | _NEEDING_LIBRARY.keys()
    assert KINDS.keys() | ABOUT | {"forward"} == built
    typed = [get_type_hints(content)["kind"] for content in get_args(Content)]
    assert sorted(kind for kinds in typed for kind in get_args(kinds)) == sorted(built)


@pytest.mark.parametrize("content", CASES, ids=lambda c: c["kind"])
async def test_it_quotes_names_and_disappears(content: dict[str, Any]) -> None:
    for quoted in (
        {"id": "A", "sender": BOB, "body": "y"},
        {"id": "A", "sender": BOB, "body": "", "_message": {"imageMessage": {"caption": "y"}}},
    ):
        asked = content | {"quoted": quoted, "mentions": ["1@lid"]}
        timer = {"seconds": 86400, "set_at": 1_700_000_000}
        sent = await compose(asked | {"_timer": timer}, _Composer())  # type: ignore[arg-type]
        context = _part(sent).contextInfo
        assert (context.stanzaID, context.participant) == ("A", BOB)
        assert "y" in str(context.quotedMessage)
        assert list(context.mentionedJID) == ["1@lid"]
        assert (context.expiration, context.ephemeralSettingTimestamp) == (86400, 1_700_000_000)


@pytest.mark.parametrize("content", CASES, ids=lambda c: c["kind"])
async def test_it_says_that_it_is_forwarded(content: dict[str, Any]) -> None:
    for more in ({}, {"_timer": {"seconds": 60, "set_at": 1}}):
        asked = content | {"mentions": ["1@lid"], "forward_score": 5} | more
        context = _part(await compose(asked, _Composer())).contextInfo  # type: ignore[arg-type]
        assert (context.isForwarded, context.forwardingScore) == (True, 5)
        assert not context.mentionedJID
        assert context.expiration == (60 if more else 0)
