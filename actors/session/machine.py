"""The state machine of a session: what a WhatsApp event makes of its status. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from actors.whatsapp.port import (
    Banned,
    Connected,
    Disconnected,
    Failed,
    LoggedOut,
    Paired,
    QrShown,
    QrTimedOut,
    Replaced,
    WhatsAppEvent,
)
from cluster.domain.session import SessionStatus

__all__ = ["Step", "step"]

S = SessionStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What follows from an event."""

    status: SessionStatus
    #: For people, when the status is FAILED or the connection was lost.
    reason: str = ""
    #: The session ends here: its owner lets go of it until someone starts it again.
    ends: bool = False
    #: The device is not linked any more: its store and checkpoints are worthless.
    unlinked: bool = False


def step(status: SessionStatus, event: WhatsAppEvent) -> Step | None:
    """The next step, or None when the event does not concern the status."""
    match event:
        case QrShown():
            return Step(status=S.SCAN_QR_CODE)
        case Paired() if status is S.SCAN_QR_CODE:
            return Step(status=S.STARTING)
        case Connected():
            return Step(status=S.WORKING)
        case Disconnected() if status is S.WORKING:
            return Step(status=S.STARTING, reason="the connection to WhatsApp was lost")
        case QrTimedOut():
            return Step(status=S.FAILED, reason="no phone scanned the QR code in time", ends=True)
        case Replaced():
            return Step(
                status=S.FAILED,
                reason="another connection with the same device replaced this one",
                ends=True,
            )
        case LoggedOut(reason=reason):
            return Step(
                status=S.FAILED,
                reason=f"the device was unlinked ({reason}); start the session to link it again",
                ends=True,
                unlinked=True,
            )
        case Banned(code=code, expires_in=seconds):
            return Step(
                status=S.FAILED,
                reason=f"WhatsApp banned the account for {seconds} s (code {code})",
                ends=True,
            )
        case Failed(reason=reason, temporary=False):
            return Step(status=S.FAILED, reason=reason, ends=True)
        case Failed(reason=reason):
            return Step(status=S.STARTING, reason=reason)
        case _:
            return None
