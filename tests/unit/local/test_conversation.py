"""The demo fails when it should."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cluster.domain.errors import Unavailable
from ops.cli.conversation import Account, Conversation, Participant
from ops.cli.http import JsonApi
from ops.cli.qr_text import qr_text


@pytest.fixture
def talk() -> Iterator[Conversation]:
    with JsonApi("http://127.0.0.1:1", {}, timeout=1) as nowhere:
        yield Conversation(gateway=nowhere, sandbox=nowhere, show_qr=lambda account, code: None)


def _on(node: str) -> Participant:
    return Participant(account=Account(session="s", number="1", name="S"), node=node)


def test_different_nodes_pass(talk: Conversation) -> None:
    talk.participants = [_on("a"), _on("b")]
    talk.check_spread()


@pytest.mark.parametrize("nodes", [("a", "a"), ("a", "")])
def test_one_node_for_both_does_not(talk: Conversation, nodes: tuple[str, str]) -> None:
    talk.participants = [_on(node) for node in nodes]
    with pytest.raises(Unavailable, match="not on different nodes"):
        talk.check_spread()


def test_a_gateway_that_is_away_is_named(talk: Conversation) -> None:
    with pytest.raises(Unavailable, match="GET /phones"):
        talk.register(Account(session="s", number="1", name="S"))


def test_a_qr_fits_a_terminal() -> None:
    lines = qr_text("https://wa.me/settings/linked_devices#" + "x" * 200).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 45
