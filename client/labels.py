"""Labels of a session's chats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from cluster.domain.chat_id import parse_chat_id
from cluster.domain.errors import GatewayError, Invalid, NotFound
from cluster.domain.label import COLORS, Label
from cluster.domain.verbs import labels
from cluster.stores import Stores

if TYPE_CHECKING:
    from client.session import SessionClient

__all__ = ["Labels"]

_MAX_NAME = 100


class Labels:
    """Verbs of a session about labels. What is written goes to WhatsApp, and so to the phone;
    what is read is what was made here or, where the library can be heard, on the phone."""

    def __init__(self, session: SessionClient) -> None:
        self._session = session

    async def list(self) -> Sequence[Label]:
        stores, session_id = await self._here()
        return await stores.labels.list(session_id)

    async def create(self, name: str, color: int) -> Label:
        """`color`: index into WhatsApp's palette."""
        _check(name, color)
        stores, session_id = await self._here()
        label = await stores.labels.add(session_id, name, color)
        try:
            await self._publish(label)
        except GatewayError:
            await stores.labels.delete(session_id, label.id)
            raise
        return label

    async def update(self, label: Label) -> Label:
        """Raises `NotFound`."""
        _check(label.name, label.color)
        stores, session_id = await self._here()
        await self._known(stores, session_id, label.id)
        await self._publish(label)
        await stores.labels.put(session_id, label)
        return label

    async def delete(self, label_id: str) -> None:
        """Raises `NotFound`."""
        stores, session_id = await self._here()
        label = await self._known(stores, session_id, label_id)
        await self._publish(label, deleted=True)
        await stores.labels.delete(session_id, label.id)

    async def of_chat(self, chat_id: str) -> Sequence[Label]:
        stores, session_id = await self._here()
        return await stores.labels.of_chat(session_id, await self._chat(chat_id))

    async def set_of_chat(self, chat_id: str, label_ids: Iterable[str]) -> None:
        """The chat has these labels and no others. Raises `NotFound` for an unknown one."""
        stores, session_id = await self._here()
        chat = await self._chat(chat_id)
        wanted = {(await self._known(stores, session_id, label_id)).id for label_id in label_ids}
        present = {label.id for label in await stores.labels.of_chat(session_id, chat)}
        for label_id in sorted(wanted ^ present):
            labeled = label_id in wanted
            await self._session.request(
                labels.LabelChat(label=label_id, chat=chat, labeled=labeled)
            )
            await stores.labels.mark(session_id, label_id, chat, labeled=labeled)

    async def chats(self, label_id: str) -> Sequence[str]:
        """JIDs of the chats with a label. Raises `NotFound`."""
        stores, session_id = await self._here()
        label = await self._known(stores, session_id, label_id)
        return await stores.labels.chats(session_id, label.id)

    async def _publish(self, label: Label, *, deleted: bool = False) -> None:
        await self._session.request(
            labels.Edit(label=label.id, name=label.name, color=label.color, deleted=deleted)
        )

    async def _here(self) -> tuple[Stores, int]:
        stores, record = await self._session.opened()
        return stores, record.id

    async def _chat(self, chat_id: str) -> str:
        """A person's chat by phone number: its LID is the same chat."""
        jid = parse_chat_id(chat_id).jid
        if jid.endswith("@lid"):
            return (await self._session.lids.phone_of(jid)).phone or jid
        return jid

    async def _known(self, stores: Stores, session_id: int, label_id: str) -> Label:
        found = await stores.labels.list(session_id)
        label = next((one for one in found if one.id == label_id), None)
        if label is None:
            raise NotFound(f"there is no label {label_id}")
        return label


def _check(name: str, color: int) -> None:
    if not name.strip() or len(name) > _MAX_NAME:
        raise Invalid(f"a label's name has 1 to {_MAX_NAME} characters", field="name")
    if not 0 <= color < len(COLORS):
        raise Invalid(f"color is an index from 0 to {len(COLORS) - 1}", field="color")
