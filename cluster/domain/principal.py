"""A caller: its tenant, its sessions, and what it may do there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from cluster.domain.errors import Invalid, Unauthorized

__all__ = [
    "OPERATOR_TENANT",
    "SCOPES",
    "USUAL_ACTIONS",
    "Action",
    "Principal",
    "actions_of",
    "check_tenant",
]

#: Admins of this tenant run the gateway itself: its settings, metrics, nodes, keys of tenants.
OPERATOR_TENANT = "default"
_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class Action(StrEnum):
    """What can be done to a session: WAHA's `SessionActionsDTO`, and downloads by themselves."""

    READ = "read"
    SEND = "send"
    CONTROL = "control"
    SETTING = "setting"
    APP = "app"
    DELETE = "delete"
    #: Files of messages. In READ.
    MEDIA = "media"
    #: That the session is there, and its status. In every one but MEDIA.
    VIEW = "view"


_WHOLE_SESSION = frozenset(Action)
#: Of a key that nobody gave actions: WAHA's defaults.
USUAL_ACTIONS = _WHOLE_SESSION - {Action.DELETE}
#: What a token or a key can be given at once, by name.
SCOPES: dict[str, frozenset[Action]] = {
    "session": _WHOLE_SESSION,
    "media": frozenset({Action.MEDIA}),
    "control": frozenset({Action.CONTROL, Action.VIEW}),
} | {
    action.value: frozenset({action, Action.VIEW})
    for action in Action
    if action not in {Action.MEDIA, Action.CONTROL}
}
SCOPES["read"] = frozenset({Action.READ, Action.VIEW, Action.MEDIA})


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """Whom a request runs as."""

    #: Id of the key, or issuer and subject of the token: for limits and the audit log.
    who: str
    tenant: str
    #: None: every session of the tenant.
    sessions: frozenset[str] | None = None
    actions: frozenset[Action] = frozenset()
    #: Also creates sessions and keys.
    admin: bool = False

    def sees(self, session: str) -> bool:
        """Whether the session exists as far as this caller is concerned."""
        return self.sessions is None or session in self.sessions

    def may(self, actions: Iterable[Action]) -> bool:
        """All of them."""
        return self.admin or self.actions.issuperset(actions)

    @property
    def narrow(self) -> bool:
        """Whether its key may stand in an address, which ends up in the history of browsers and
        in the logs of proxies: it reads one session, or only links it (WAHA's control key)."""
        narrow = self.actions <= SCOPES["read"] or self.actions <= SCOPES["control"] | {
            Action.MEDIA
        }
        return narrow and not self.admin and self.sessions is not None

    @property
    def manages(self) -> bool:
        """The whole tenant."""
        return self.admin and self.sessions is None

    @property
    def operates(self) -> bool:
        """The gateway itself."""
        return self.manages and self.tenant == OPERATOR_TENANT


def actions_of(scopes: Iterable[str]) -> frozenset[Action]:
    """What these scopes allow together; unknown ones allow nothing."""
    return frozenset().union(*(SCOPES.get(scope, frozenset()) for scope in scopes))


def check_tenant(name: object, *, of_token: bool = False) -> str:
    """`name` when it can be a tenant's. Raises `Invalid`, or `Unauthorized` for a token."""
    if isinstance(name, str) and _TENANT.match(name):
        return name
    text = "a tenant has 1 to 64 letters, digits, - or _"
    raise (
        Unauthorized(f"The token is not taken: {text}")
        if of_token
        else Invalid(text, field="tenant")
    )
