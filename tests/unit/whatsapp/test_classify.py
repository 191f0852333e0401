"""Which failed sends are tried again."""

from __future__ import annotations

import pytest

from actors.whatsapp.neonize_client import classify
from cluster.domain.errors import Invalid, NotPermitted, Unavailable, WhatsAppRefused


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("websocket not connected", Unavailable),
        ("info query timed out", Unavailable),
        ("failed to encrypt: failed to store session: database or disk is full", Unavailable),
        ("failed to get session: context deadline exceeded", Unavailable),
        ("no LID found for 49170@s.whatsapp.net from server", Invalid),
        ("server returned error 479", WhatsAppRefused),
        ("server returned error 403", NotPermitted),
        ("failed to get group info: info query returned status 403: forbidden", NotPermitted),
    ],
)
def test_only_what_whatsapp_said_is_final(text: str, kind: type[Exception]) -> None:
    assert type(classify(text)) is kind
