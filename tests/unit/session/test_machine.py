"""The state machine: what each event of WhatsApp makes of a session's status."""

from __future__ import annotations

import pytest

from actors.session.state_machine import step
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
from cluster.domain.session import Me, SessionStatus

S = SessionStatus


@pytest.mark.parametrize(
    ("status", "event", "expected"),
    [
        (S.STARTING, QrShown(text="x"), S.SCAN_QR_CODE),
        (S.SCAN_QR_CODE, Paired(me=Me(id="4915100001@c.us")), S.STARTING),
        (S.STARTING, Connected(), S.WORKING),
        (S.WORKING, Disconnected(), S.STARTING),
        (S.SCAN_QR_CODE, QrTimedOut(), S.FAILED),
        (S.WORKING, Replaced(), S.FAILED),
        (S.WORKING, LoggedOut(reason="LOGGED_OUT"), S.FAILED),
        (S.STARTING, Banned(code=101, expires_in=60), S.STARTING),
        (S.STARTING, Banned(code=101, expires_in=0), S.FAILED),
        (S.STARTING, Failed(reason="SERVICE_UNAVAILABLE"), S.STARTING),
        (S.STARTING, Failed(reason="CLIENT_OUTDATED", temporary=False), S.FAILED),
    ],
)
def test_an_event_leads_to_one_status(
    status: SessionStatus, event: WhatsAppEvent, expected: SessionStatus
) -> None:
    following = step(status, event)
    assert following is not None
    assert following.status is expected
    assert following.ends is (expected is S.FAILED)
    assert bool(following.reason) or expected is not S.FAILED


def test_only_being_unlinked_makes_the_device_store_worthless() -> None:
    ends: list[WhatsAppEvent] = [
        LoggedOut(reason="LOGGED_OUT"),
        Replaced(),
        QrTimedOut(),
        Banned(code=101, expires_in=60),
    ]
    assert [getattr(step(S.WORKING, e), "unlinked", None) for e in ends] == [
        True,
        False,
        False,
        False,
    ]


def test_a_former_owner_that_replaces_the_connection_ends_nothing() -> None:
    following = step(S.WORKING, Replaced(), contested=True)
    assert following is not None
    assert following.status is S.STARTING
    assert not following.ends
    assert following.pause


def test_a_late_disconnect_while_the_qr_is_on_show_changes_nothing() -> None:
    assert step(S.SCAN_QR_CODE, Disconnected()) is None
