"""Chat ids: what callers write, and the JID that the protocol uses."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cluster.domain.errors import Invalid

__all__ = ["ChatId", "parse_chat_id"]

_FORMS: dict[str, tuple[str, re.Pattern[str]]] = {
    # suffix of the caller -> server of the protocol, shape of the user part
    "c.us": ("s.whatsapp.net", re.compile(r"[0-9]{5,20}\Z")),
    "s.whatsapp.net": ("s.whatsapp.net", re.compile(r"[0-9]{5,20}\Z")),
    "lid": ("lid", re.compile(r"[0-9]{1,20}\Z")),
    "g.us": ("g.us", re.compile(r"[0-9]{5,25}(-[0-9]{5,15})?\Z")),
    "newsletter": ("newsletter", re.compile(r"[0-9]{1,25}\Z")),
    "broadcast": ("broadcast", re.compile(r"(status|[0-9]{1,25})\Z")),
}
_PLAIN = re.compile(r"\+?[0-9][0-9 ()./-]{3,30}\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatId:
    """One chat, in the protocol's terms."""

    #: `4915100001`, `120363…`, `status`
    user: str
    #: `s.whatsapp.net`, `lid`, `g.us`, `newsletter`, `broadcast`
    server: str

    @property
    def jid(self) -> str:
        return f"{self.user}@{self.server}"

    @property
    def waha(self) -> str:
        """The form WAHA's answers use: `…@c.us` for phone numbers."""
        return f"{self.user}@c.us" if self.server == "s.whatsapp.net" else self.jid

    def __str__(self) -> str:
        return self.waha


def parse_chat_id(text: str | ChatId, field: str = "chatId") -> ChatId:
    """Read `…@c.us`, `…@s.whatsapp.net`, `…@lid`, `…@g.us`, `…@newsletter`, a JID with a device,
    or a plain number (`+49 151 …`); what was read before is taken as it is. Raises `Invalid` naming
    `field`."""
    if isinstance(text, ChatId):
        return text
    text = text.strip()
    user, at, server = text.partition("@")
    if not at and _PLAIN.match(text):
        return parse_chat_id(re.sub(r"[^0-9]", "", text) + "@c.us", field)
    form = _FORMS.get(server)
    user = user.partition(":")[0] if server in {"c.us", "s.whatsapp.net", "lid"} else user
    if form is None or not form[1].match(user):
        raise Invalid(
            f"{field} is not a chat id: expected digits and one of @c.us, @s.whatsapp.net, @lid, "
            "@g.us, @newsletter, or a plain phone number",
            field=field,
        )
    return ChatId(user=user, server=form[0])
