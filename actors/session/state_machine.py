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
#: Seconds beyond the end of a ban, and until a former owner has learned that it is one.
_AFTER_A_BAN, _CONTESTED = 5.0, 3.0


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
    #: Seconds until a connection is tried again, and not before.
    pause: float | None = None


def step(status: SessionStatus, event: WhatsAppEvent, *, contested: bool = False) -> Step | None:
    """The next step, or None when the event does not concern the status. `contested`: a former
    owner of the session may still have been connected a moment ago."""
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
        case Replaced() if contested:
            # Its client reconnected before it learned that it is fenced; it is closed by then.
            return Step(
                status=S.STARTING,
                reason="the connection of a former owner replaced this one",
                pause=_CONTESTED,
            )
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
        case Banned(code=code, expires_in=seconds) if seconds > 0:
            return Step(
                status=S.STARTING,
                reason=f"WhatsApp banned the account for {seconds} s (code {code}); "
                "the session connects again after that",
                pause=seconds + _AFTER_A_BAN,
            )
        case Banned(code=code):
            return Step(
                status=S.FAILED,
                reason=f"WhatsApp banned the account (code {code})",
                ends=True,
            )
        case Failed(reason=reason, temporary=False):
            return Step(status=S.FAILED, reason=reason, ends=True)
        case Failed(reason=reason):
            return Step(status=S.STARTING, reason=reason)
        case _:
            return None
