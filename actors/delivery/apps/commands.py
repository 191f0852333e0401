"""What agents ask of the session itself, in the conversation that is about it.

A command is an event (`app.command`): it waits behind what happened before, is tried again, and
survives whoever carries it out. One that takes long reports a part at a time, each an event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cluster.chatwoot.api import Upload
from cluster.domain.chat_id import parse_chat_id
from cluster.domain.errors import GatewayError, Invalid, SessionNotWorking, Unavailable
from cluster.domain.session import SessionStatus

if TYPE_CHECKING:
    from client.session import SessionClient

__all__ = ["HELP", "Answer", "Commands", "qr_upload"]

HELP = """\
`status` – how the session does
`start`, `stop`, `restart`
`qr` – a QR code to link the phone with
`code +4915100000001` – a code to link that phone with
`history 7` – bring over what was said in the last 7 days; `history 30 +4915100000002` of one chat
`logout` – unlink the phone"""
#: WAHA's and Evolution's names for the same.
_ALSO = {"init": "start", "disconnect": "logout", "clearcache": "status", "": "help"}
#: WAHA's groups of commands, which say nothing that the verb does not.
_GROUPS = {"session", "messages", "app"}
_DAYS, _MOST_DAYS = 7, 3650
#: A code is there a moment after the session says that it waits for it.
_QR_TRIES, _QR_PAUSE_SECONDS = 10, 0.3


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What is said there, and what is to be done next."""

    text: str
    upload: Upload | None = None
    #: Payload of the command that follows; None without one.
    following: dict[str, Any] | None = None


class Commands:
    """Of one session."""

    def __init__(self, session: SessionClient) -> None:
        self._session = session

    async def run(self, text: str, at: datetime) -> Answer:
        """Do what was asked at that time (UTC), and say so; what is refused is said as well.
        Raises `Unavailable` where trying again helps."""
        verb, words = _read(text)
        verbs: dict[str, Callable[[Sequence[str], datetime], Awaitable[Answer]]] = {
            "status": self._status,
            "start": self._start,
            "stop": self._stop,
            "restart": self._restart,
            "logout": self._logout,
            "qr": self._qr,
            "code": self._code,
            "history": self._history,
            "pull": self._history,
        }
        if verb not in verbs:
            return Answer(text=HELP)
        try:
            return await verbs[verb](words, at)
        except Unavailable:
            raise
        except GatewayError as refused:
            return Answer(text=f"❌ {refused.detail}")

    async def _status(self, _: Sequence[str], __: datetime) -> Answer:
        record = await self._session.info()
        who = f"{record.me.push_name} {record.me.id}".strip() if record.me else "no phone linked"
        return Answer(text=f"{record.name}: {record.status}, {who}. {record.reason}".strip())

    async def _start(self, words: Sequence[str], at: datetime) -> Answer:
        if words:
            return await self._code(words, at)
        await self._session.start()
        return Answer(text="▶️ It starts.")

    async def _stop(self, _: Sequence[str], __: datetime) -> Answer:
        await self._session.stop()
        return Answer(text="⏹️ It stops; the phone stays linked.")

    async def _restart(self, _: Sequence[str], __: datetime) -> Answer:
        await self._session.restart()
        return Answer(text="🔄 It restarts.")

    async def _logout(self, _: Sequence[str], __: datetime) -> Answer:
        await self._session.logout()
        return Answer(text="🚪 The phone is unlinked.")

    async def _qr(self, _: Sequence[str], __: datetime) -> Answer:
        return Answer(
            text="📱 Linked devices → Link a device", upload=await qr_upload(self._session)
        )

    async def _code(self, words: Sequence[str], _: datetime) -> Answer:
        if not words:
            raise Invalid("`code` takes the phone's number", field="phoneNumber")
        code = await self._session.request_code(words[0].lstrip("+"))
        return Answer(text=f"🔑 {code}: Linked devices → Link with phone number instead")

    async def _history(self, words: Sequence[str], at: datetime) -> Answer:
        days, chat = _DAYS, ""
        for word in words:
            if word.isascii() and word.isdigit() and len(word) <= 4:
                days = int(word)
            else:
                chat = parse_chat_id(word.lstrip("+"), "chat").jid
        if not 1 <= days <= _MOST_DAYS:
            raise Invalid(f"history takes 1 to {_MOST_DAYS} days", field="days")
        since = at.astimezone(UTC) - timedelta(days=days)
        following = {"since": since.isoformat(), "until": at.isoformat(), "chat": chat, "count": 0}
        which = f" in {words[-1]}" if chat else ""
        return Answer(
            text=f"📜 Bringing over what was said{which} since {since:%Y-%m-%d %H:%M} UTC.",
            following=following,
        )


def _read(text: str) -> tuple[str, list[str]]:
    """The verb and its words: `/wa/messages pull 7`, `init:4915100000001`, `Start` …"""
    words = text.strip().lstrip("/").replace(":", " ").split()[:10]
    first = words[0].casefold().removeprefix("wa/") if words else ""
    rest = words[1:]
    if first in _GROUPS and rest:
        first, rest = rest[0].casefold(), rest[1:]
    return _ALSO.get(first, first), rest


async def qr_upload(session: SessionClient) -> Upload:
    """The QR code on show as a picture. Raises `SessionNotWorking` when there is none."""
    for left in reversed(range(_QR_TRIES)):
        try:
            shown = await session.qr()
            break
        except SessionNotWorking:
            if not left or (await session.info()).status is not SessionStatus.SCAN_QR_CODE:
                raise
            await asyncio.sleep(_QR_PAUSE_SECONDS)
    # Most dispatchers never draw one.
    from cluster.media.qr_image import qr_png

    picture = await asyncio.to_thread(qr_png, shown.text)

    async def parts() -> Any:
        yield picture

    return Upload(filename="qr.png", mimetype="image/png", parts=parts())
