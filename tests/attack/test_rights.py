"""Who may do what to whose message: the table of rights, row by row, in a real PostgreSQL.

A deletion or an edit is end-to-end encrypted: WhatsApp passes on whatever a member's program says.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from owned_session import CHAT, TTL, Owned, incoming

from cluster.domain.history import GroupEvent
from cluster.domain.message import Ack, MessageFilter, StoredMessage
from cluster.domain.session import DesiredState
from cluster.stores import Stores

GROUP = "120363000000000001@g.us"
OWN = "4915100001@s.whatsapp.net"
AUTHOR, ADMIN, OWNER, MEMBER = (f"491510000{n}@s.whatsapp.net" for n in (2, 3, 4, 5))
STRANGER, LID_ADMIN = "4915100009@s.whatsapp.net", "77@lid"
#: What of a message is in reach of whom. Everything else changes nothing.
RIGHTS = {("edit", "sender"), ("revoke", "sender"), ("revoke", "admin")}
ROLES = {
    AUTHOR: {"sender"},
    ADMIN: {"admin"},
    OWNER: {"admin"},
    LID_ADMIN: {"admin"},
    MEMBER: set(),
    STRANGER: set(),
}
ACTS = ("edit", "revoke", "reaction", "pin", "poll_vote", "protocol", "group_invite")
_numbers = itertools.count()


def message(kind: str = "text", body: str = "precious", **more: Any) -> StoredMessage:
    made = replace(incoming(f"M{next(_numbers)}", body), chat=GROUP, kind=kind, ack=Ack.DEVICE)
    secret = {"message": {"conversation": body}, "sender_address": "a@lid"}
    return replace(made, payload=secret, **more)


async def _record(owned: Owned, one: StoredMessage, event: str = "message") -> StoredMessage:
    await owned.stores.inbox.record_incoming(owned.id, owned.epoch, one, event)
    return one


async def _emitted(owned: Owned) -> list[str]:
    return [event.type for event in await owned.stores.events.list(owned.id, limit=1000)]


@pytest_asyncio.fixture
async def owned(stores: Stores, session_name: Callable[[], str]) -> Owned:
    record = await stores.sessions.create("default", session_name(), {}, DesiredState.RUNNING)
    claim = await stores.ownership.claim(record.id, "node-a", "holder-a", TTL)
    return Owned(stores=stores, record=record, epoch=claim.epoch)


@pytest_asyncio.fixture
async def group(owned: Owned) -> Owned:
    members = {AUTHOR: "participant", MEMBER: "participant", ADMIN: "admin", OWNER: "superadmin"}
    news = GroupEvent(
        jid=GROUP, at=datetime.now(UTC), subject="G", members=members | {LID_ADMIN: "admin"}
    )
    await owned.stores.groups.write(owned.id, owned.epoch, news)
    return owned


async def test_the_table_is_the_one_that_is_tested(owned: Owned) -> None:
    rows = await owned.stores.db.all("SELECT kind, who FROM message_rights()", {})
    assert {(row["kind"], row["who"]) for row in rows} == RIGHTS


@pytest.mark.parametrize("by", ROLES)
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("own", [False, True])
async def test_only_who_has_the_right_changes_a_message_of_a_group(
    group: Owned, act: str, by: str, own: bool
) -> None:
    if own and "sender" in ROLES[by]:
        return
    victim = await _record(group, message(sender=OWN if own else AUTHOR, from_me=own))
    change = message(act, "forged" if act == "edit" else "", sender=by, reply_to=victim.message_id)
    allowed = any((act, role) in RIGHTS for role in ROLES[by])
    name = f"message.{act}ed" if act in {"edit", "revoke"} else "message"
    name = name.replace("revokeed", "revoked")
    await _record(group, change, name)
    found = await group.stores.messages.get(group.id, victim.message_id)
    assert found is not None
    if not allowed:
        assert (found.body, found.revoked_at, found.edited_at) == ("precious", None, None)
        assert found.payload == victim.payload
    elif act == "edit":
        assert found.body == "forged"
    else:
        assert found.revoked_at is not None
    refused = (act, "sender") in RIGHTS and not allowed
    assert (await _emitted(group))[-1] == ("message.change.refused" if refused else name)
    assert await group.stores.messages.get(group.id, change.message_id), "it is kept"


@pytest.mark.parametrize("act", ["edit", "revoke"])
async def test_nobody_but_its_sender_in_a_direct_chat(owned: Owned, act: str) -> None:
    mine = await _record(owned, message(chat=CHAT, sender=OWN, from_me=True))
    theirs = await _record(owned, message(chat=CHAT, sender=CHAT))
    for victim, stays in ((mine, True), (theirs, False)):
        await _record(
            owned, message(act, "new", chat=CHAT, sender=CHAT, reply_to=victim.message_id)
        )
        found = await owned.stores.messages.get(owned.id, victim.message_id)
        assert found is not None
        assert (found.body == "precious") is stays


async def test_what_somebody_else_deleted_is_hidden_and_not_destroyed(group: Owned) -> None:
    victim = await _record(group, message(sender=AUTHOR, has_media=True))
    await _record(group, message("revoke", "", sender=ADMIN, reply_to=victim.message_id))
    for found in (
        await group.stores.messages.get(group.id, victim.message_id),
        (await group.stores.messages.find(group.id, victim.message_id))[0],
        (await group.stores.messages.list(group.id, MessageFilter(chat=GROUP)))[0],
        (await group.stores.chats.list(group.id))[0].last_message,
    ):
        assert found is not None
        assert (found.body, found.has_media) == ("", False)
        assert "precious" not in str(found)
        assert found.payload["sender_address"] == "a@lid", "replies still name its sender"
    assert not await group.stores.messages.list(group.id, MessageFilter(words="precious"))
    row = await group.stores.db.one(
        "SELECT body FROM messages WHERE session_id = %(id)s AND message_id = %(m)s",
        {"id": group.id, "m": victim.message_id},
    )
    assert row is not None
    assert row["body"] == "precious"


async def test_a_second_message_of_the_same_id_gives_no_right_to_the_first(group: Owned) -> None:
    victim = await _record(group, message(sender=OWN, from_me=True))
    await _record(group, replace(message(sender=MEMBER), message_id=victim.message_id))
    await _record(group, message("revoke", "", sender=MEMBER, reply_to=victim.message_id))
    await _record(group, message("edit", "forged", sender=MEMBER, reply_to=victim.message_id))
    found = [
        one for one in await group.stores.messages.find(group.id, victim.message_id) if one.from_me
    ]
    assert [(one.body, one.revoked_at) for one in found] == [("precious", None)]


async def test_who_is_no_admin_any_more_deletes_nothing(group: Owned) -> None:
    victim = await _record(group, message(sender=AUTHOR))
    news = GroupEvent(jid=GROUP, at=datetime.now(UTC), changed={ADMIN: "participant"})
    await group.stores.groups.write(group.id, group.epoch, news)
    await _record(group, message("revoke", "", sender=ADMIN, reply_to=victim.message_id))
    found = await group.stores.messages.get(group.id, victim.message_id)
    assert found is not None
    assert found.revoked_at is None


async def test_an_admin_of_one_group_has_no_right_in_another(group: Owned) -> None:
    other = "120363000000000002@g.us"
    victim = await _record(group, message(sender=AUTHOR, chat=other))
    await _record(
        group, message("revoke", "", sender=ADMIN, chat=other, reply_to=victim.message_id)
    )
    await _record(
        group, message("revoke", "", sender=ADMIN, chat=GROUP, reply_to=victim.message_id)
    )
    found = await group.stores.messages.get(group.id, victim.message_id)
    assert found is not None
    assert found.revoked_at is None


async def test_what_is_not_known_here_is_not_emitted_as_deleted_by_a_member(group: Owned) -> None:
    await _record(group, message("revoke", "", sender=MEMBER, reply_to="NEVER"), "message.revoked")
    assert (await _emitted(group))[-1] == "message.change.refused"
    await _record(group, message("revoke", "", sender=ADMIN, reply_to="NEVER"), "message.revoked")
    assert (await _emitted(group))[-1] == "message.revoked"
