"""What makes a repeated request the same one."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.domain.content import fingerprinted

_TEXT: dict[str, Any] = {"kind": "text", "text": "my answer"}


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (
            _TEXT | {"quoted": {"id": "Q", "body": "first wording", "sender": "1@lid"}},
            _TEXT | {"quoted": {"id": "Q", "body": "second", "sender": "49@s.whatsapp.net"}},
        ),
        (
            _TEXT | {"mentions": ["1@s.whatsapp.net"], "mention_all": True},
            _TEXT | {"mentions": ["1@s.whatsapp.net", "2@s.whatsapp.net"], "mention_all": True},
        ),
        (
            {
                "kind": "reaction",
                "text": "+",
                "key": {"id": "A", "from_me": False, "chat": "1@lid"},
            },
            {"kind": "reaction", "text": "+", "key": {"id": "A", "from_me": False, "chat": "49@x"}},
        ),
        (
            {"kind": "forward", "forwarded": "F", "message": {"a": 1}, "text": "before"},
            {"kind": "forward", "forwarded": "F", "message": {"a": 2}, "text": "after"},
        ),
        (_TEXT | {"_preview": {"title": "now"}}, _TEXT),
    ],
)
def test_what_was_looked_up_makes_no_difference(
    first: dict[str, Any], again: dict[str, Any]
) -> None:
    assert fingerprinted(first) == fingerprinted(again)


@pytest.mark.parametrize(
    "other",
    [
        _TEXT | {"text": "another answer"},
        _TEXT | {"quoted": {"id": "P"}},
        _TEXT | {"mentions": ["1@s.whatsapp.net"]},
    ],
)
def test_what_was_asked_for_does(other: dict[str, Any]) -> None:
    base = _TEXT | {"quoted": {"id": "Q"}} if "quoted" in other else _TEXT
    assert fingerprinted(base) != fingerprinted(other)
