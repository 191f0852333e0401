"""JIDs: who a stanza is from or for, as whatsmeow's types/jid.go defines them."""

from __future__ import annotations

from dataclasses import dataclass, replace

PN = "s.whatsapp.net"
LID = "lid"
GROUP = "g.us"
NEWSLETTER = "newsletter"
BROADCAST = "broadcast"
LEGACY = "c.us"
MESSENGER = "msgr"
INTEROP = "interop"
HOSTED = "hosted"
HOSTED_LID = "hosted.lid"
BOT = "bot"
CALL = "call"

SERVERS = frozenset(
    {
        PN,
        LID,
        GROUP,
        NEWSLETTER,
        BROADCAST,
        LEGACY,
        MESSENGER,
        INTEROP,
        HOSTED,
        HOSTED_LID,
        BOT,
        CALL,
    }
)


@dataclass(frozen=True, slots=True)
class Jid:
    """A WhatsApp address; a value, so usable as a dictionary key."""

    #: digits of a phone number or LID, a group id, or empty for the server itself
    user: str
    #: one of the servers named in this module
    server: str
    #: 0 is the phone, 1 and more are linked devices
    device: int = 0
    #: the foreign network of an interop user; 0 everywhere else
    integrator: int = 0

    @classmethod
    def parse(cls, text: str) -> Jid:
        """Read `user@server`, `user:device@server`, `user.agent:device@server` or a bare server.

        Raises:
            ValueError: the text is none of these.
        """
        user, at, server = text.rpartition("@")
        if not at:
            if text not in SERVERS:
                raise ValueError(f"not a JID: {text!r}")
            return cls("", text)
        if not server or "@" in user:
            raise ValueError(f"not a JID: {text!r}")
        user, colon, device = user.partition(":")
        if not colon:
            return cls(user, server)
        if not (device.isascii() and device.isdigit()):
            raise ValueError(f"device of a JID must be a number: {text!r}")
        user, dot, agent = user.partition(".")
        if dot and not (agent.isascii() and agent.isdigit()):
            raise ValueError(f"agent of a JID must be a number: {text!r}")
        return cls(user, server, int(device))

    @property
    def bare(self) -> Jid:
        """The same user without a device (whatsmeow: ToNonAD)."""
        return replace(self, device=0) if self.device else self

    @property
    def is_user(self) -> bool:
        """Whether this addresses a person, by phone number or by LID."""
        return self.server in (PN, LID) and bool(self.user)

    def with_device(self, device: int) -> Jid:
        """The same user at device number `device`."""
        return replace(self, device=device)

    def __str__(self) -> str:
        if not self.user:
            return self.server
        device = f":{self.device}" if self.device else ""
        return f"{self.user}{device}@{self.server}"


#: the server itself: `from` of every iq it sends
SERVER_JID = Jid("", PN)
GROUP_SERVER_JID = Jid("", GROUP)
STATUS_BROADCAST_JID = Jid("status", BROADCAST)
