"""The connection's state in the words of WAHA's `state.change` (whatsapp-web.js, `WAState`)."""

from __future__ import annotations

from actors.whatsapp.port import (
    Banned,
    Connected,
    Disconnected,
    Failed,
    LoggedOut,
    Paired,
    QrShown,
    Replaced,
    WhatsAppEvent,
)

__all__ = ["state_after"]


def state_after(event: WhatsAppEvent) -> str | None:
    """None when the event says nothing of it."""
    match event:
        case QrShown() | LoggedOut():
            return "UNPAIRED"
        case Paired():
            return "PAIRING"
        case Connected():
            return "CONNECTED"
        case Disconnected():
            # The library connects again by itself.
            return "OPENING"
        case Failed(temporary=True):
            return "TIMEOUT"
        case Failed():
            return "DEPRECATED_VERSION"
        case Replaced():
            return "CONFLICT"
        case Banned():
            return "TOS_BLOCK"
        case _:
            return None
