"""Which failed sends are final. Unknown words are not: the network has more of them."""

from __future__ import annotations

import pytest

from actors.whatsapp.neonize_client import classify_send
from cluster.domain.errors import Unavailable

FINAL = (
    "no LID found for 49151@s.whatsapp.net from server",
    "can't send message to unknown server",
    "message recipient must be a user JID with no device part",
    "you're not participating in that group",
    "that group does not exist",
    "sending to non-status broadcast lists is not yet supported",
    "server returned error 400",
    "server returned error 403",
    "server returned error 463",
    "failed to get group members: info query returned status 404: item-not-found",
)
TRIED_AGAIN = (
    "write tcp 10.0.0.1:443: connection reset by peer",
    "write: broken pipe",
    "read: i/o timeout",
    "dial tcp: lookup web.whatsapp.com: no such host",
    "connect: network is unreachable",
    "failed to write msg: use of closed network connection",
    "websocket disconnected before info query returned response",
    "timed out waiting for message send response",
    "server returned error 429",
    "server returned error 500",
    "server returned error 503",
    "info query returned status 429: rate-overlimit",
    "database is locked",
    "words that nobody has seen yet",
)


@pytest.mark.parametrize("text", FINAL)
def test_whatsapps_no_is_final(text: str) -> None:
    assert not isinstance(classify_send(text), Unavailable)


@pytest.mark.parametrize("text", TRIED_AGAIN)
def test_everything_else_is_tried_again(text: str) -> None:
    assert isinstance(classify_send(text), Unavailable)


def test_what_did_not_leave_is_not_counted() -> None:
    for text, left in (("not connected", False), ("database is locked", False), ("reset", True)):
        error = classify_send(text)
        assert isinstance(error, Unavailable)
        assert error.fields["left"] is left
