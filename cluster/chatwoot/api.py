"""Chatwoot's API, as far as the bridge needs it (https://developers.chatwoot.com, its
`swagger/tag_groups/application_swagger.json`)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
from yarl import URL

from cluster.chatwoot.config import ChatwootConfig
from cluster.domain.errors import Invalid
from cluster.media.addresses import allowed_networks
from cluster.media.guarded_resolver import GuardedResolver, guarded_session

__all__ = ["ITSELF", "SOURCE", "ChatwootApi", "ChatwootConnections", "ChatwootError", "Upload"]

#: Before ids of WhatsApp in Chatwoot's `source_id`: what has one was not written by an agent.
SOURCE = "WAID:"
#: Identifier of the contact that reports on the session itself, as WAHA calls it.
ITSELF = "whatsapp.integration"
_ANSWER_BYTES = 4 << 20
_EXCERPT = 200
#: A page of a conversation has 20; further back than this no repeat has to look.
_PAGES_BACK = 5
_SORTS = {
    "activity_newest": ("last_activity_at", True),
    "activity_oldest": ("last_activity_at", False),
    "created_newest": ("id", True),
    "created_oldest": ("id", False),
}


class ChatwootError(Exception):
    """Chatwoot did not do it; the text says why."""

    def __init__(
        self, detail: str, *, status: int | None = None, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """A file on its way."""

    filename: str
    mimetype: str
    parts: AsyncIterable[bytes]


class ChatwootConnections:
    """Connections to installations, kept open between requests. Belongs to one event loop."""

    def __init__(self, *, timeout: float, allow: str) -> None:
        """`timeout`: seconds for one request; `allow`: networks beside the public ones."""
        self.timeout = timeout
        self.resolver = GuardedResolver(allowed_networks(allow))
        self._session: aiohttp.ClientSession | None = None

    def opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            # What comes packed all the same is no JSON.
            self._session = guarded_session(
                self.resolver,
                agent="whatsapp-session-gateway",
                timeout=aiohttp.ClientTimeout(total=self.timeout),
                keepalive_timeout=30,
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class ChatwootApi:
    """One account. Every failure is a `ChatwootError`."""

    def __init__(self, connections: ChatwootConnections, config: ChatwootConfig) -> None:
        self._connections = connections
        self._config = config
        self._account = f"/api/v1/accounts/{config.account_id}"

    async def contact(self, identifier: str) -> dict[str, Any] | None:
        """The contact with this identifier."""
        found = await self._ask("GET", "/contacts/search", query={"q": identifier})
        return next(
            (one for one in _listed(found, "payload") if one.get("identifier") == identifier), None
        )

    async def contact_with_phone(self, phone: str) -> dict[str, Any] | None:
        """The contact with this number, `+49…`."""
        found = await self._ask("GET", "/contacts/search", query={"q": phone})
        return next(
            (one for one in _listed(found, "payload") if one.get("phone_number") == phone), None
        )

    async def create_contact(self, **fields: Any) -> dict[str, Any]:
        """Raises `ChatwootError` with status 422 when identifier or number are taken."""
        made = await self._ask(
            "POST", "/contacts", body={"inbox_id": self._config.inbox_id, **fields}
        )
        payload = _object(made.get("payload"))
        contact = _object(payload.get("contact") or payload)
        if inbox := payload.get("contact_inbox"):
            contact.setdefault("contact_inboxes", [inbox])
        return contact

    async def update_contact(self, contact_id: int, **fields: Any) -> None:
        await self._ask("PUT", f"/contacts/{contact_id}", body=fields)

    async def source_id(self, contact: Mapping[str, Any]) -> str:
        """The contact's id in the inbox; one is made where there is none."""
        for inbox in _objects(contact.get("contact_inboxes")):
            here = _object(inbox.get("inbox")).get("id", self._config.inbox_id)
            if here == self._config.inbox_id and inbox.get("source_id"):
                return str(inbox["source_id"])
        made = await self._ask(
            "POST",
            f"/contacts/{contact['id']}/contact_inboxes",
            body={"inbox_id": self._config.inbox_id},
        )
        return str(_object(made.get("payload") or made)["source_id"])

    async def conversation(self, contact_id: int) -> int | None:
        """The conversation of the inbox that is gone on with; None: a new one begins."""
        found = await self._ask("GET", f"/contacts/{contact_id}/conversations")
        fitting = [
            one
            for one in _listed(found, "payload")
            if one.get("inbox_id") == self._config.inbox_id
            and one.get("status") in self._config.statuses
        ]
        key, newest = _SORTS.get(self._config.sort, ("id", True))
        fitting.sort(key=lambda one: one.get(key) or 0, reverse=newest)
        return int(fitting[0]["id"]) if fitting else None

    async def create_conversation(self, contact_id: int, source_id: str) -> int:
        body = {
            "source_id": source_id,
            "inbox_id": self._config.inbox_id,
            "contact_id": contact_id,
            "status": "open",
        }
        return int((await self._ask("POST", "/conversations", body=body))["id"])

    async def message_with(self, conversation_id: int, source_id: str) -> int | None:
        """The newest message of the conversation with this source id."""
        before: int | None = None
        for _ in range(_PAGES_BACK):
            query = {} if before is None else {"before": str(before)}
            found = await self._ask(
                "GET", f"/conversations/{conversation_id}/messages", query=query
            )
            messages = _listed(found, "payload")
            for one in messages:
                if one.get("source_id") == source_id:
                    return int(one["id"])
            if not messages:
                return None
            before = min(int(one["id"]) for one in messages)
        return None

    async def create_message(
        self, conversation_id: int, fields: Mapping[str, Any], upload: Upload | None = None
    ) -> int:
        """Its id. `fields`: `content`, `message_type`, `private`, `source_id`,
        `content_attributes`."""
        path = f"/conversations/{conversation_id}/messages"
        if upload is None:
            return int((await self._ask("POST", path, body=dict(fields)))["id"])
        form = aiohttp.FormData()
        for name, value in fields.items():
            if isinstance(value, dict):
                for inner, inner_value in value.items():
                    form.add_field(f"{name}[{inner}]", str(inner_value))
            else:
                form.add_field(name, str(value).lower() if isinstance(value, bool) else str(value))
        form.add_field(
            "attachments[]",
            upload.parts,
            filename=upload.filename,
            content_type=upload.mimetype or "application/octet-stream",
        )
        return int((await self._ask("POST", path, form=form))["id"])

    async def set_status(
        self, conversation_id: int, message_id: int, status: str, error: str = ""
    ) -> None:
        """`delivered`, `read` or `failed`; for API inboxes."""
        body = {"status": status} | ({"external_error": error} if error else {})
        await self._ask(
            "PATCH", f"/conversations/{conversation_id}/messages/{message_id}", body=body
        )

    async def seen(self, conversation_id: int, source_id: str) -> None:
        """The contact has read the conversation."""
        inbox = self._config.inbox_identifier
        path = f"/public/api/v1/inboxes/{inbox}/contacts/{source_id}/conversations"
        await self._ask("POST", f"{path}/{conversation_id}/update_last_seen", whole=True)

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: dict[str, Any] | None = None,
        form: aiohttp.FormData | None = None,
        whole: bool = False,
    ) -> dict[str, Any]:
        path = path if whole else f"{self._account}{path}"
        what = f"{method} {path}"
        try:
            # A base with a path of its own keeps it.
            target = URL(f"{self._config.url}{path}")
            if target.scheme not in {"http", "https"} or not target.host:
                raise ChatwootError("the URL must begin with http:// or https://")
            self._connections.resolver.check(target.host)
            async with self._connections.opened().request(
                method,
                target,
                params=query or {},
                json=body,
                data=form,
                headers={"api_access_token": self._config.account_token},
                allow_redirects=False,
            ) as response:
                answer = await response.content.read(_ANSWER_BYTES)
                while len(answer) < _ANSWER_BYTES and (
                    more := await response.content.read(_ANSWER_BYTES - len(answer))
                ):
                    answer += more
        except TimeoutError as late:
            raise ChatwootError(
                f"{what}: no answer within {self._connections.timeout:g} s"
            ) from late
        except Invalid as refused:
            raise ChatwootError(f"{what}: {refused.detail}") from refused
        except (aiohttp.ClientError, OSError, ValueError) as broken:
            detail = str(broken) or type(broken).__name__
            raise ChatwootError(f"{what}: not reached: {detail}") from broken
        if not 200 <= response.status < 300:
            raise ChatwootError(
                f"{what} answered {response.status}: {_short(answer)}",
                status=response.status,
                retry_after=_wish(response.headers.get("Retry-After", "")),
            )
        return _read(what, answer)


def _read(what: str, answer: bytes) -> dict[str, Any]:
    if not answer.strip():
        return {}
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError) as broken:
        raise ChatwootError(f"{what} answered what is no JSON") from broken
    return found if isinstance(found, dict) else {"payload": found}


def _short(answer: bytes) -> str:
    return " ".join(answer[: 4 * _EXCERPT].decode("utf-8", "replace").split())[:_EXCERPT]


def _wish(text: str) -> timedelta | None:
    short = text.isascii() and text.isdigit() and len(text) < 7
    return timedelta(seconds=int(text)) if short else None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _listed(answer: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    return _objects(answer.get(name))
