"""JIDs as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.wire.jid import LID, PN, SERVER_JID, SERVERS, Jid


@given(
    st.text("0123456789", min_size=1, max_size=15), st.sampled_from(sorted(SERVERS)), st.integers(0)
)
def test_a_jid_reads_back_from_its_text(user: str, server: str, device: int) -> None:
    assert Jid.parse(str(Jid(user, server, device))) == Jid(user, server, device)


def test_the_server_has_no_user() -> None:
    assert Jid.parse("s.whatsapp.net") == Jid.parse("@s.whatsapp.net") == SERVER_JID
    assert str(SERVER_JID) == "s.whatsapp.net"


def test_the_agent_of_an_old_form_is_dropped() -> None:
    assert Jid.parse("4915.0:3@s.whatsapp.net") == Jid("4915", PN, 3)


def test_a_user_with_and_without_device() -> None:
    linked = Jid("4915", LID, 3)
    assert linked.bare == Jid("4915", LID)
    assert linked.bare.with_device(3) == linked
    assert linked.is_user
    assert not Jid.parse("1234@g.us").is_user


@pytest.mark.parametrize("text", ["", "4915", "a@b@c", "1:x@lid", "1:@lid", "1@", "1.x:2@lid"])
def test_what_is_no_jid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="JID"):
        Jid.parse(text)
