"""What a caller accepted for sending (JSON in the outbox), turned into a protobuf message.

What a content has is in `cluster.domain.content`; each kind has one builder in a module of its
subject. The same content always builds the same message, so that a successor can finish what its
predecessor accepted. Most builders are pure; attachments and poll votes need the library.
"""

from __future__ import annotations

from typing import Any, cast

import structlog
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

from actors.whatsapp.content import (
    attachments,
    changes,
    contacts,
    events,
    forwards,
    lists,
    polls,
    texts,
)
from actors.whatsapp.content.composer import Composer
from actors.whatsapp.content.context import as_forwarded, with_timer
from cluster.domain.content import Text
from cluster.domain.errors import GatewayError, Invalid, NotSupported

__all__ = ["Composer", "compose"]

log = structlog.get_logger(__name__)

_PURE = {
    **texts.BUILDERS,
    **contacts.BUILDERS,
    **events.BUILDERS,
    **changes.BUILDERS,
    **forwards.BUILDERS,
    **lists.BUILDERS,
    **polls.BUILDERS,
}
_NEEDING_LIBRARY = {**attachments.BUILDERS, **polls.VOTE_BUILDERS}


async def compose(content: dict[str, Any], composer: Composer | None = None) -> Message:
    """Build the message of `content["kind"]`.

    `composer`: what attachments and poll votes are made with. Raises `Invalid` for an unknown
    kind and for a content that its builder cannot read, `NotSupported` when a composer is needed
    and not there, and what uploading raises.
    """
    kind = str(content.get("kind"))
    try:
        if kind in _PURE:
            message = _PURE[kind](content)
            if composer is not None and kind == "text":
                await attachments.add_preview_image(message, cast(Text, content), composer)
        elif kind not in _NEEDING_LIBRARY:
            raise Invalid(f"unknown kind of message: {kind!r}", field="kind")
        elif composer is None:
            raise NotSupported(f"this session cannot send {kind}")
        else:
            message = await _NEEDING_LIBRARY[kind](content, composer)
        if score := int(content.get("forward_score") or 0):
            message = as_forwarded(message, score)
        return with_timer(message, content.get("_timer"))
    except GatewayError:
        raise
    except Exception as error:
        # Whatever a content does to its builder, it must not stop the session's other messages.
        log.exception("content.not_built", kind=kind)
        raise Invalid(f"a message of kind {kind} could not be built from its content") from error
