"""Building and reading stanzas."""

from __future__ import annotations

import pytest

from sandbox.wire.jid import PN, SERVER_JID, Jid
from sandbox.wire.node import Node


def test_make_turns_python_values_into_wire_values() -> None:
    node = Node.make("iq", "text", from_=SERVER_JID, t=5, retry=True, id="a", absent=None)
    assert node == Node("iq", {"from": SERVER_JID, "t": "5", "retry": "true", "id": "a"}, b"text")


def test_children_are_found_by_tag() -> None:
    node = Node.make("list", [Node("a"), Node("b"), Node("a", {"x": "1"})])
    assert node.child("a") == Node("a")
    assert node.child("c") is None
    assert len(node.children("a")) == 2
    assert len(node.children()) == 3
    assert Node.make("x", b"bytes").children() == []


def test_an_attribute_is_a_jid_however_it_came() -> None:
    node = Node("x", {"a": Jid("1", PN), "b": "1@s.whatsapp.net", "c": "nobody"})
    assert node.jid("a") == node.jid("b") == Jid("1", PN)
    assert node.get("a") == "1@s.whatsapp.net"
    assert node.get("none", "default") == "default"
    with pytest.raises(KeyError):
        node.jid("none")
    with pytest.raises(ValueError, match="JID"):
        node.jid("c")


def test_the_text_form_hides_bytes() -> None:
    node = Node.make("iq", [Node.make("key", b"secret")], id=1)
    assert str(node) == '<iq id="1"><key><!-- 6 bytes --></key></iq>'
