"""When a group was made, although the library rounds it to two minutes."""

from __future__ import annotations

import pytest
from neonize.proto import Neonize_pb2 as pb

from actors.whatsapp.jids import from_text
from actors.whatsapp.verbs.groups import describe

MADE = 1_795_868_894


@pytest.mark.parametrize(
    ("jid", "named_at", "expected"),
    [
        ("120363000000000001@g.us", MADE, MADE),
        ("120363000000000001@g.us", MADE + 86_400, None),
        (f"4915100001-{MADE}@g.us", MADE + 86_400, MADE),
    ],
)
def test_a_group_is_as_old_as_its_first_name_or_its_id(
    jid: str, named_at: int, expected: int | None
) -> None:
    info = pb.GroupInfo(JID=from_text(jid), GroupCreated=MADE)
    info.GroupName.NameSetAt = named_at
    created_at = describe(info).created_at
    assert created_at is not None
    found = created_at.timestamp()
    assert abs(found - MADE) <= 128
    assert expected is None or found == expected
