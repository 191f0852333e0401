"""Groups of a session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from client import pictures
from client.workshop import Attachment
from cluster.domain.chat_id import parse_chat_id
from cluster.domain.errors import Invalid
from cluster.domain.group import Group, GroupMember, JoinRequest, MemberAction
from cluster.domain.verbs import contacts, groups

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
        return await self._session.request(groups.List(fresh=fresh))

    async def get(self, group_id: str) -> Group:
        return await self._session.request(groups.Get(group=_group(group_id)))

    async def create(self, subject: str, participants: Sequence[str]) -> Group:
        """Create a group; this account is its first admin. Members that could not be added are in
        the answer with their `error`."""
        return await self._session.request(
            groups.Create(subject=_subject(subject), participants=_people(participants))
        )

    async def leave(self, group_id: str) -> None:
        await self._session.request(groups.Leave(group=_group(group_id)))

    async def set_subject(self, group_id: str, subject: str) -> None:
        await self._session.request(
            groups.Subject(group=_group(group_id), subject=_subject(subject))
        )

    async def set_description(self, group_id: str, description: str) -> None:
        """Empty removes it."""
        if len(description) > _MAX_DESCRIPTION:
            raise Invalid(
                f"description is longer than {_MAX_DESCRIPTION} characters", field="description"
            )
        await self._session.request(
            groups.Description(group=_group(group_id), description=description)
        )

    async def picture(self, group_id: str) -> str | None:
        """URL of the picture; None without one."""
        return await self._session.request(contacts.Picture(jid=_group(group_id))) or None

    async def set_picture(self, group_id: str, image: bytes | Attachment) -> None:
        """Any image that Pillow reads; it is cropped to a square JPEG, as WhatsApp wants it."""
        jpeg = await pictures.square_jpeg(self._session, image)
        await self._session.request(groups.Picture(group=_group(group_id), jpeg=jpeg))

    async def delete_picture(self, group_id: str) -> None:
        await self._session.request(groups.Picture(group=_group(group_id), jpeg=""))

    async def set_locked(self, group_id: str, locked: bool) -> None:
        """Whether only admins edit subject, description and picture."""
        await self._session.request(groups.Lock(group=_group(group_id), locked=locked))

    async def set_announce(self, group_id: str, announce: bool) -> None:
        """Whether only admins send."""
        await self._session.request(groups.Announce(group=_group(group_id), announce=announce))

    async def invite_link(self, group_id: str) -> str:
        """`https://chat.whatsapp.com/<code>`, for admins."""
        return await self._session.request(groups.Invite(group=_group(group_id)))

    async def revoke_invite_link(self, group_id: str) -> str:
        """A new link; the old one is dead."""
        return await self._session.request(groups.Invite(group=_group(group_id), revoke=True))

    async def preview(self, code: str) -> Group:
        """The group behind an invite code or link, before joining."""
        return await self._session.request(groups.Preview(code=_code(code)))

    async def join(self, code: str) -> str:
        """Join by an invite code or link; the group's JID. In a group that approves its members
        this asks to be let in."""
        return await self._session.request(groups.Join(code=_code(code)))

    async def change_members(
        self, group_id: str, participants: Sequence[str], action: MemberAction
    ) -> Sequence[GroupMember]:
        """Add, remove, promote or demote; the outcome for each of them."""
        people = _people(participants, at_least=1)
        return await self._session.request(
            groups.Members(group=_group(group_id), participants=people, action=action)
        )

    async def join_requests(self, group_id: str) -> Sequence[JoinRequest]:
        """Who asks to be let in."""
        return await self._session.request(groups.JoinRequests(group=_group(group_id)))

    async def approve(self, group_id: str, participants: Sequence[str]) -> Sequence[GroupMember]:
        """Let in who asked to be, by adding them; the outcome for each, 404 for who did not ask."""
        people = _people(participants, at_least=1)
        return await self._session.request(
            groups.Approve(group=_group(group_id), participants=people)
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
