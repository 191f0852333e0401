"""The verbs of a session by subject: `session.groups.create(…)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from client.calls import Calls
from client.channels import Channels
from client.contacts import Contacts
from client.events import Events
from client.groups import Groups
from client.labels import Labels
from client.lids import Lids
from client.outbox import Outbox
from client.presence import Presence
from client.profile import Profile
from client.webhooks import Webhooks

if TYPE_CHECKING:
    from client.session import SessionClient

__all__ = ["Subjects"]


class Subjects:
    """What `SessionClient` offers besides chats and messages."""

    @property
    def groups(self) -> Groups:
        return Groups(self._session)

    @property
    def contacts(self) -> Contacts:
        return Contacts(self._session)

    @property
    def lids(self) -> Lids:
        return Lids(self._session)

    @property
    def profile(self) -> Profile:
        return Profile(self._session)

    @property
    def presence(self) -> Presence:
        return Presence(self._session)

    @property
    def labels(self) -> Labels:
        return Labels(self._session)

    @property
    def channels(self) -> Channels:
        return Channels(self._session)

    @property
    def calls(self) -> Calls:
        return Calls(self._session)

    @property
    def events(self) -> Events:
        """Its log of events."""
        return Events(self._session)

    @property
    def outbox(self) -> Outbox:
        """What waits to be sent."""
        return Outbox(self._session)

    @property
    def webhooks(self) -> Webhooks:
        return Webhooks(self._session)

    @property
    def _session(self) -> SessionClient:
        return cast("SessionClient", self)
