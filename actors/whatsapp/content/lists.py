"""Lists to choose from, and answers to buttons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import (
    ButtonsResponseMessage,
    ListMessage,
    Message,
)

from actors.whatsapp.content.context import with_context
from cluster.domain.content import ButtonsResponse, ListContent

__all__ = ["BUILDERS"]


def _list(content: ListContent) -> Message:
    part = ListMessage(
        title=str(content["text"]),
        description=str(content.get("description") or ""),
        buttonText=str(content["button"]),
        footerText=str(content.get("footer") or ""),
        listType=ListMessage.SINGLE_SELECT,
        sections=[
            ListMessage.Section(
                title=str(section["title"]),
                rows=[
                    ListMessage.Row(
                        title=str(row["title"]),
                        description=str(row.get("description") or ""),
                        rowID=str(row["id"]),
                    )
                    for row in section["rows"]
                ],
            )
            for section in content["sections"]
        ],
    )
    return Message(listMessage=with_context(part, content))


def _button_reply(content: ButtonsResponse) -> Message:
    part = ButtonsResponseMessage(
        selectedDisplayText=str(content["text"]),
        selectedButtonID=str(content["button_id"]),
        type=ButtonsResponseMessage.DISPLAY_TEXT,
    )
    return Message(buttonsResponseMessage=with_context(part, content))


BUILDERS: dict[str, Callable[[Any], Message]] = {
    "list": _list,
    "buttons_response": _button_reply,
}
