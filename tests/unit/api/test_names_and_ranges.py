"""Names of messages and files, and ranges of bytes, as callers write them."""

from __future__ import annotations

import pytest

from api.ranges import read_range
from api.references import reference
from api.routers.media import _without_ending
from cluster.domain.errors import Invalid


def test_a_messages_name_is_read_whole_or_bare() -> None:
    whole = reference("false_120363000000000001@g.us_3EB0AAAAAAAA_4915100002@c.us", "messageId")
    assert (whole.message_id, whole.chat) == ("3EB0AAAAAAAA", "120363000000000001@g.us")
    assert (whole.from_me, whole.sender) == (False, "4915100002@s.whatsapp.net")
    bare = reference("3EB0AAAAAAAA", "messageId", chat="4915100002@s.whatsapp.net")
    assert (bare.chat, bare.from_me) == ("4915100002@s.whatsapp.net", None)
    for wrong in ("", "true_x@c.us_3EB0AAAAAAAA", "maybe_4915100002@c.us_3EB0AAAAAAAA", "a b"):
        with pytest.raises(Invalid):
            reference(wrong, "messageId")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("false_4915@c.us_3EB0AA.jpeg", "false_4915@c.us_3EB0AA"),
        ("false_4915@c.us_3EB0AA", "false_4915@c.us_3EB0AA"),
        ("false_1-2@g.us_3EB0AA_4915@c.us.oga", "false_1-2@g.us_3EB0AA_4915@c.us"),
        ("false_1-2@g.us_3EB0AA_4915@c.us", "false_1-2@g.us_3EB0AA_4915@c.us"),
    ],
)
def test_a_files_name_without_its_ending(file: str, name: str) -> None:
    assert _without_ending(file) == name


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=2-", (2, 8)),
        ("bytes=-3", (7, 3)),
        ("bytes=5-99", (5, 5)),
        ("bytes=-99", (0, 10)),
        ("bytes=10-", None),
        ("bytes=5-4", None),
        ("bytes=-0", None),
        ("bytes=0-1,3-4", None),
        ("items=0-1", None),
        ("", None),
    ],
)
def test_ranges(header: str, found: tuple[int, int] | None) -> None:
    assert read_range(header, 10) == found
