"""Contents of messages as the outbox keeps them: one type for each kind.

They are JSON from the first on, since that is what is kept; these types are what the type checker
holds those who compose them (`client`) and those who build messages of them
(`actors.whatsapp.content`) to. Keys that begin with `_` are the gateway's own additions (keys of
stored objects, random secrets, what a page says of itself): two requests that differ in them only
are the same request. JIDs are strings, binary values base64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

__all__ = [
    "ButtonsResponse",
    "Card",
    "Contacts",
    "Content",
    "Edit",
    "Event",
    "File",
    "FileFacts",
    "FileKind",
    "FileOptions",
    "Forward",
    "Key",
    "ListContent",
    "ListRow",
    "ListSection",
    "Listing",
    "Location",
    "Pin",
    "Poll",
    "PollVote",
    "Preview",
    "PreviewImage",
    "Quotation",
    "Quoting",
    "Reaction",
    "Revoke",
    "SentFile",
    "Text",
    "Timer",
    "Words",
    "body_of",
    "fingerprinted",
    "public_content",
]


class Key(TypedDict):
    """`cluster.domain.message_ref.MessageKey` as JSON."""

    id: str
    chat: str
    from_me: bool
    sender: NotRequired[str]
    _sender: NotRequired[str]


class Quotation(TypedDict):
    """What a reply says of the message it quotes."""

    id: str
    sender: str
    body: str
    #: By which callers know who wrote it.
    _sender: NotRequired[str]
    #: The quoted protobuf.
    _message: NotRequired[dict[str, Any]]
    #: Of a quoted own file: where it is, and what.
    _file: NotRequired[dict[str, Any]]


class Timer(TypedDict):
    """After how long a message disappears, and since when its chat wants that (Unix seconds)."""

    seconds: int
    set_at: int


class _Sent(TypedDict, total=False):
    """What any content can have once it was accepted, or is sent once more."""

    #: For how many times it is forwarded.
    forward_score: int
    _timer: Timer


class Quoting(_Sent, total=False):
    """A message that can answer another one and name people."""

    #: Id of the message it answers.
    reply_to: str
    quoted: Quotation
    mentions: list[str]
    #: They are everybody in the group.
    mention_all: bool


class Preview(TypedDict):
    """What a text shows of a link."""

    url: str
    title: str
    description: str


class PreviewImage(TypedDict):
    """The large picture of a preview."""

    _object: str
    _size: int
    width: int
    height: int


class Words(Quoting, total=False):
    """A text can show what a link leads to: as the caller wants it, or as the page says."""

    #: In a status: the colour behind it (`0xAARRGGBB`), and WhatsApp's number of the font.
    background: int
    font: int
    preview: Preview
    _preview: Preview
    _thumbnail: str
    _preview_image: PreviewImage


class Text(Words):
    kind: Literal["text"]
    text: str


class Poll(Quoting):
    kind: Literal["poll"]
    #: The question.
    text: str
    options: list[str]
    #: How many can be chosen; 0: any number.
    selectable: int
    #: 32 bytes: votes are encrypted with it, so every try of the poll has the same.
    _secret: str


class PollVote(_Sent):
    kind: Literal["poll_vote"]
    #: The chosen options, for people; and as the poll has them: none takes the vote back.
    text: str
    options: list[str]
    reply_to: str
    #: The poll.
    key: Key


class Location(Quoting):
    kind: Literal["location"]
    #: Its name.
    text: NotRequired[str]
    address: NotRequired[str]
    #: Degrees north and east.
    latitude: float
    longitude: float


class Event(Quoting):
    """An event that people are invited to."""

    kind: Literal["event"]
    #: Its name.
    text: str
    description: NotRequired[str]
    #: Unix seconds.
    start: int
    end: NotRequired[int | None]
    place: NotRequired[str]
    #: People may bring others.
    guests: NotRequired[bool]
    #: 32 bytes: answers are encrypted with it.
    _secret: str


class Card(TypedDict):
    """A contact card."""

    #: What is shown.
    name: str
    vcard: str


class Contacts(Quoting):
    """One is a card, more are a stack of them."""

    kind: Literal["contact"]
    #: What is shown of a stack.
    text: NotRequired[str]
    contacts: list[Card]


class ListRow(TypedDict):
    """What can be chosen from a list."""

    id: str
    title: str
    description: NotRequired[str]


class ListSection(TypedDict):
    """A part of a list."""

    title: str
    rows: list[ListRow]


class Listing(TypedDict):
    """What is in a list to choose from."""

    #: Its title.
    text: str
    description: NotRequired[str]
    #: What opens it.
    button: str
    footer: NotRequired[str]
    sections: list[ListSection]


class ListContent(Quoting, Listing):
    kind: Literal["list"]


class ButtonsResponse(Quoting):
    """An answer to a message with buttons."""

    kind: Literal["buttons_response"]
    button_id: str
    text: str


class Forward(_Sent):
    kind: Literal["forward"]
    #: Id of the original.
    forwarded: str
    #: The original's protobuf.
    message: dict[str, Any]
    text: str


class Reaction(_Sent):
    kind: Literal["reaction"]
    #: The emoji; empty takes the reaction back.
    text: str
    reply_to: str
    key: Key


class Edit(Words):
    """Another text for an own message, which `key` names."""

    kind: Literal["edit"]
    text: str
    #: The kind of file whose caption it is; missing for a text.
    edits: NotRequired[str]
    key: Key


class Revoke(_Sent):
    kind: Literal["revoke"]
    reply_to: str
    key: Key


class Pin(_Sent):
    kind: Literal["pin"]
    #: How long it stays pinned; 0 takes the pin away.
    seconds: int
    reply_to: str
    key: Key


FileKind = Literal["image", "video", "audio", "document", "sticker"]


class FileFacts(TypedDict, total=False):
    """What was found out about a file: see `cluster.media.prepare`."""

    width: int
    height: int
    seconds: float
    #: A JPEG.
    thumbnail: str
    waveform: str
    animated: bool


class SentFile(TypedDict):
    """A file in the object store."""

    #: Where it came from: its URL, or its hash.
    source: NotRequired[str]
    mimetype: str
    filename: NotRequired[str]
    #: Its key in the store, and bytes.
    _object: str
    _size: NotRequired[int]
    _facts: NotRequired[FileFacts]


class FileOptions(TypedDict, total=False):
    """How a file is shown."""

    #: As a voice note, on a colour (`0xAARRGGBB`) in a status.
    voice: bool
    background: int
    #: A video in the round form.
    as_note: bool


class File(Quoting, FileOptions):
    kind: FileKind
    caption: NotRequired[str]
    file: SentFile


Content = (
    Text
    | Poll
    | PollVote
    | Location
    | Event
    | Contacts
    | ListContent
    | ButtonsResponse
    | Forward
    | Reaction
    | Edit
    | Revoke
    | Pin
    | File
)


def body_of(content: Mapping[str, Any]) -> str:
    """The text that the history knows it by: of a message, or under its file."""
    return str(content.get("text") or content.get("caption") or "")


def fingerprinted(content: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a repeated request the same one: what the caller asked for, and nothing that was
    looked up for it. Between two tries a quoted message may be edited, a group may grow, and a
    person's other address may become known."""
    same: dict[str, Any] = public_content(content)
    if "quoted" in same:
        same["quoted"] = same["quoted"]["id"]
    if "key" in same:
        same["key"] = [same["key"].get("id"), same["key"].get("from_me")]
    if same.pop("mention_all", False):
        same["mentions"] = "all"
    if "forwarded" in same:
        return {"forwarded": same["forwarded"]}
    return same


def public_content(content: Any) -> Any:
    """Without the gateway's own additions, which have `_` in front (random secrets, previews, keys
    of stored objects): they differ from try to try, and are nobody's business outside."""
    if isinstance(content, dict):
        return {k: public_content(v) for k, v in content.items() if not str(k).startswith("_")}
    return [public_content(v) for v in content] if isinstance(content, list) else content
