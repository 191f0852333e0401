"""The narrow port between a session and whatever speaks WhatsApp's protocol for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from cluster.domain.chat_timer import ChatTimer
from cluster.domain.history import HistoryChunk
from cluster.domain.message import StoredMessage
from cluster.domain.session import Me
from cluster.domain.verbs.verb import Verb

__all__ = [
    "Banned",
    "ChatArchived",
    "ChatLabeled",
    "Connected",
    "Disconnected",
    "EventSpool",
    "Failed",
    "HistoryArrived",
    "LabelChanged",
    "LoggedOut",
    "Paired",
    "QrShown",
    "QrTimedOut",
    "ReceiptSeen",
    "Received",
    "Renamed",
    "Replaced",
    "SideEvents",
    "SpoolClosedError",
    "Undecryptable",
    "Unprocessed",
    "WhatsAppClient",
    "WhatsAppEvent",
]

R = TypeVar("R")


@dataclass(frozen=True, kw_only=True, slots=True)
class QrShown:
    """A QR code is on show; the next one replaces it."""

    #: What the QR encodes.
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class QrTimedOut:
    """All QR codes of this connection expired unscanned."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Paired:
    """A phone linked this device."""

    me: Me


@dataclass(frozen=True, kw_only=True, slots=True)
class Connected:
    """Logged in: messages flow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Disconnected:
    """The connection is gone; the library reconnects by itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replaced:
    """Another connection with the same identity took over (`stream:error conflict=replaced`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedOut:
    """The device is no longer linked."""

    #: What WhatsApp gave as the reason.
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Banned:
    """WhatsApp refuses the account for a while."""

    #: WhatsApp's code of the reason.
    code: int
    #: Seconds until the ban ends.
    expires_in: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """WhatsApp refused the connection, or the stream ended with an error."""

    reason: str
    #: False: trying again is pointless (client outdated, bad user agent …).
    temporary: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A message arrived, or one that this account sent on another device."""

    message: StoredMessage


@dataclass(frozen=True, kw_only=True, slots=True)
class Undecryptable:
    """A message arrived that could not be decrypted; a retry was asked for."""

    message_id: str
    chat: str
    sender: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceiptSeen:
    """Delivery or read receipts for messages."""

    chat: str
    sender: str
    #: The two as WhatsApp named them; empty where that is not known.
    chat_address: str = ""
    sender_address: str = ""
    message_ids: tuple[str, ...]
    #: `delivered`, `read`, `played`, `read-self`, `sender`, `server-error` …
    kind: str
    timestamp: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Renamed:
    """The account shows another name, or its name became known: it comes after linking."""

    me: Me


@dataclass(frozen=True, kw_only=True, slots=True)
class SideEvents:
    """Something besides messages that consumers get as it is."""

    #: Name and payload of each event, in WAHA's shapes.
    events: tuple[tuple[str, dict[str, Any]], ...] = ()
    #: Timers of groups that it names.
    timers: tuple[ChatTimer, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryArrived:
    """A phone sent what was before this device was linked."""

    #: `INITIAL_BOOTSTRAP`, `RECENT`, `FULL`, `PUSH_NAME`, `ON_DEMAND` …
    kind: str
    #: What it sent; to be gone through once.
    chunks: Iterator[HistoryChunk]


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelChanged:
    """A label was made, changed or deleted, by any device of the account."""

    id: str
    name: str
    #: Index into WhatsApp's palette.
    color: int
    deleted: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatLabeled:
    """A chat got a label, or lost it."""

    #: Id of the label.
    label: str
    #: JID of the chat.
    chat: str
    labeled: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatArchived:
    """A chat was archived, or brought back."""

    #: JID of the chat.
    chat: str
    archived: bool
    #: Unix milliseconds.
    timestamp_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Unprocessed:
    """Something arrived that could not be understood or handled: malformed, or too much."""

    #: What the library calls it: `Message`, `Receipt` …
    kind: str
    #: As the spool has it: the library's code of it, and its protobuf.
    entry: bytes
    #: Why, for people.
    error: str


WhatsAppEvent = (
    QrShown
    | QrTimedOut
    | Paired
    | Connected
    | Disconnected
    | Replaced
    | LoggedOut
    | Banned
    | Failed
    | Received
    | Undecryptable
    | ReceiptSeen
    | SideEvents
    | Renamed
    | HistoryArrived
    | LabelChanged
    | ChatLabeled
    | ChatArchived
    | Unprocessed
)


class SpoolClosedError(Exception):
    """Nobody keeps what is received any more."""


class EventSpool(Protocol):
    """Where a client keeps what it received until it was handled. Thread-safe."""

    def add(self, entry: bytes) -> int:
        """Keep an entry; gives its ticket (1 and up). Raises `SpoolClosedError`."""

    def flush(self, ticket: int) -> None:
        """Return when no loss of power takes the entry any more, or it was handled."""

    def done(self, ticket: int) -> None:
        """The entry was handled."""


class WhatsAppClient(Protocol):
    """One linked device. Events reach `on_event` in order, on the session's loop, each with what
    the library said (its entry in the spool; empty for events of our own)."""

    on_event: Callable[[WhatsAppEvent, bytes], Awaitable[None]]
    me: Me | None = field(default=None)
    #: Emit everything that the library says, as `engine.event`. Set it before `connect`.
    engine_events: bool = False
    #: The session's `config`: its proxy, how the device is shown, `debug`. Set it before `connect`.
    config: Mapping[str, Any] = field(default_factory=dict)
    #: After `close`: no connection can follow any more. False: it was closed while it connected,
    #: and only the end of the process is sure to prevent one.
    gone: bool = True

    #: Called when no event will be handed over any more although the client was not closed.
    on_broken: Callable[[str], None] = field(default=lambda _: None)

    async def connect(self) -> None:
        """Start connecting; returns at once, events report the rest."""

    def decode(self, entry: bytes, own_jid: str) -> WhatsAppEvent | None:
        """The event of a spool's entry, which an earlier client wrote; `Unprocessed` when it cannot
        be read; None: not of interest."""

    def unprocessed(self, entry: bytes, error: Exception) -> Unprocessed:
        """What becomes of a spool's entry that could not be recorded."""

    async def drained(self) -> None:
        """After `close`: return when every event that arrived was handled and no call is left."""

    async def close(self) -> None:
        """Drop the connection for good, and nothing else: it must be fast. Idempotent. Returns when
        no stanza can be sent any more."""

    async def send(self, *, chat: str, content: dict[str, object], message_id: str) -> datetime:
        """Send; returns the server's timestamp once the server acknowledged it.
        Raises `WhatsAppRefused` when it answered with an error, `Unavailable` when there was no
        connection or no answer."""

    async def pair_phone(self, number: str) -> str:
        """Ask for a pairing code (`ABCD-EFGH`) for `number` (digits)."""

    async def logout(self) -> None:
        """Unlink this device at WhatsApp."""

    async def request(self, verb: Verb[R]) -> R:
        """Anything else. Raises `NotSupported` for a verb that nothing here does,
        `WhatsAppRefused` and `Unavailable` like `send`."""
