"""Groups of a session."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from client import pictures
from client.workshop import Attachment
from cluster.domain.chat_id import parse_chat_id
from cluster.domain.errors import Invalid
from cluster.domain.group import Group, GroupMember, JoinRequest, MemberAction

if TYPE_CHECKING:
    from client.session import SessionClient

__all__ = ["Groups"]

_INVITE = "https://chat.whatsapp.com/"
_PEOPLE = {"s.whatsapp.net", "lid"}
#: WhatsApp's own bounds, characters.
_MAX_SUBJECT, _MAX_DESCRIPTION = 100, 2048


class Groups:
    """Verbs of a session about its groups, done at WhatsApp.

    All raise `SessionNotWorking`, `Unavailable` and `Invalid`; `NotFound` when there is no such
    group or invitation, `NotPermitted` when this account is no member or no admin of it.
    """

    def __init__(self, session: SessionClient) -> None:
        self._session = session

    async def list(self, *, fresh: bool = False) -> Sequence[Group]:
        """The groups this account is in. They are remembered until something about a group
        changes, unless they are to be `fresh`."""
        found = await self._session.request("groups.list", fresh=fresh, repeatable=True)
        return [Group.of(one) for one in found]

    async def get(self, group_id: str) -> Group:
        return Group.of(await self._ask("groups.get", group_id))

    async def create(self, subject: str, participants: Sequence[str]) -> Group:
        """Create a group; this account is its first admin. Members that could not be added are in
        the answer with their `error`."""
        found = await self._session.request(
            "groups.create", subject=_subject(subject), participants=_people(participants)
        )
        return Group.of(found)

    async def leave(self, group_id: str) -> None:
        await self._ask("groups.leave", group_id)

    async def set_subject(self, group_id: str, subject: str) -> None:
        await self._ask("groups.subject", group_id, subject=_subject(subject))

    async def set_description(self, group_id: str, description: str) -> None:
        """Empty removes it."""
        if len(description) > _MAX_DESCRIPTION:
            raise Invalid(
                f"description is longer than {_MAX_DESCRIPTION} characters", field="description"
            )
        await self._ask("groups.description", group_id, description=description)

    async def picture(self, group_id: str) -> str | None:
        """URL of the picture; None without one."""
        found = await self._session.request(
            "contacts.picture", jid=_group(group_id), repeatable=True
        )
        return found or None

    async def set_picture(self, group_id: str, image: bytes | Attachment) -> None:
        """Any image that Pillow reads; it is cropped to a square JPEG, as WhatsApp wants it."""
        jpeg = await pictures.square_jpeg(self._session, image)
        await self._ask("groups.picture", group_id, jpeg=jpeg)

    async def delete_picture(self, group_id: str) -> None:
        await self._ask("groups.picture", group_id, jpeg="")

    async def set_locked(self, group_id: str, locked: bool) -> None:
        """Whether only admins edit subject, description and picture."""
        await self._ask("groups.locked", group_id, locked=locked)

    async def set_announce(self, group_id: str, announce: bool) -> None:
        """Whether only admins send."""
        await self._ask("groups.announce", group_id, announce=announce)

    async def invite_link(self, group_id: str) -> str:
        """`https://chat.whatsapp.com/<code>`, for admins."""
        return str(await self._ask("groups.invite", group_id))

    async def revoke_invite_link(self, group_id: str) -> str:
        """A new link; the old one is dead."""
        found = await self._session.request("groups.invite", group=_group(group_id), revoke=True)
        return str(found)

    async def preview(self, code: str) -> Group:
        """The group behind an invite code or link, before joining."""
        return Group.of(
            await self._session.request("groups.preview", code=_code(code), repeatable=True)
        )

    async def join(self, code: str) -> str:
        """Join by an invite code or link; the group's JID. In a group that approves its members
        this asks to be let in."""
        return str(await self._session.request("groups.join", code=_code(code), repeatable=True))

    async def change_members(
        self, group_id: str, participants: Sequence[str], action: MemberAction
    ) -> Sequence[GroupMember]:
        """Add, remove, promote or demote; the outcome for each of them."""
        found = await self._ask(
            "groups.members",
            group_id,
            participants=_people(participants, at_least=1),
            action=action.value,
        )
        return [GroupMember.of(one) for one in found]

    async def join_requests(self, group_id: str) -> Sequence[JoinRequest]:
        """Who asks to be let in."""
        return [
            JoinRequest(
                jid=one["jid"],
                phone=one["phone"],
                requested_at=datetime.fromtimestamp(one["requested_at"], UTC),
            )
            for one in await self._ask("groups.join_requests", group_id)
        ]

    async def approve(self, group_id: str, participants: Sequence[str]) -> Sequence[GroupMember]:
        """Let in who asked to be, by adding them; the outcome for each, 404 for who did not ask."""
        found = await self._ask(
            "groups.approve", group_id, participants=_people(participants, at_least=1)
        )
        return [GroupMember.of(one) for one in found]

    async def _ask(self, verb: str, group_id: str, **arguments: Any) -> Any:
        """For verbs that come to the same when they are done twice."""
        return await self._session.request(
            verb, group=_group(group_id), repeatable=True, **arguments
        )


def _group(group_id: str) -> str:
    chat = parse_chat_id(group_id, "id")
    if chat.server != "g.us":
        raise Invalid("id is not that of a group: expected …@g.us", field="id")
    return chat.jid


def _people(participants: Sequence[str], *, at_least: int = 0) -> list[str]:
    found = [parse_chat_id(one, "participants") for one in participants]
    if len(found) < at_least or any(one.server not in _PEOPLE for one in found):
        raise Invalid("participants must be people: …@c.us, …@lid or numbers", field="participants")
    return [one.jid for one in found]


def _subject(subject: str) -> str:
    if not subject.strip() or len(subject) > _MAX_SUBJECT:
        raise Invalid(f"a subject has 1 to {_MAX_SUBJECT} characters", field="subject")
    return subject


def _code(code: str) -> str:
    found = code.strip().removeprefix(_INVITE).partition("?")[0].strip("/")
    if not found or "/" in found or len(found) > 128:
        raise Invalid(f"code is no invite code or {_INVITE}… link", field="code")
    return found
