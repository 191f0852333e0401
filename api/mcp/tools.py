"""The tools: names, arguments, and the route behind each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.params import SessionName
from api.security.authorization import needs
from cluster.domain.principal import Principal

__all__ = ["FILE_KINDS", "TOOLS", "Arguments", "Found", "Tool", "visible"]

_MOST_ITEMS = 100
#: One segment of a path: an id cannot reach for another route.
_Segment = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^/\s]+$")]
_Chat = Annotated[
    _Segment,
    Field(description="`4915112345678@c.us`, a plain number, `…@lid`, or a group `…@g.us`."),
]
_Message = Annotated[_Segment, Field(description="Id of a message, as other tools show it.")]
_Limit = Annotated[int, Field(ge=1, le=_MOST_ITEMS, description="How many at most.")]
_Offset = Annotated[int, Field(ge=0, le=1_000_000, description="`nextOffset` of the page before.")]
_Cursor = Annotated[
    str | None, Field(max_length=1000, description="`nextCursor` of the page before.")
]
_Moment = Annotated[int | None, Field(ge=0, le=253_402_300_799, description="Unix seconds.")]


class Arguments(BaseModel):
    """What a tool takes. Names are those of the route, or their aliases are."""

    model_config = ConfigDict(extra="forbid", validate_by_name=True, validate_by_alias=False)


class _OfSession(Arguments):
    session: SessionName = Field(description="Name of the session, see `list_sessions`.")


class _Nothing(Arguments):
    pass


class _Send(_OfSession):
    chatId: _Chat
    idempotencyKey: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="The same key is the same message, however often the tool is called.",
    )


class _Text(_Send):
    text: str = Field(min_length=1, max_length=65536)
    mentions: list[str] | None = Field(
        None, max_length=1024, description="Ids of people whom the text names as @number."
    )
    linkPreview: bool = Field(True, description="Show a preview of the first link.")


class _Reply(_Text):
    reply_to: _Message


class _File(_Send):
    kind: Literal["image", "video", "voice", "file"] = Field(
        "file", description="How WhatsApp shows it; `file`: as a document."
    )
    url: str | None = Field(None, max_length=8192, description="Where it is fetched from.")
    data: str | None = Field(None, description="Its bytes as base64, for small ones.")
    filename: str | None = Field(None, max_length=255)
    mimetype: str | None = Field(None, max_length=255)
    caption: str | None = Field(
        None, max_length=65536, description="Text below it; a voice message has none."
    )
    reply_to: _Message | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.url is None) == (self.data is None):
            raise ValueError("either url or data")
        if self.kind == "voice" and self.caption is not None:
            raise ValueError("a voice message has no caption")
        return self


class _Reaction(_OfSession):
    messageId: _Message
    reaction: str = Field(max_length=64, description="An emoji; empty takes it back.")


class _OfChat(_OfSession):
    chatId: _Chat


class _Messages(_OfChat):
    limit: _Limit = 20
    cursor: _Cursor = None
    since: _Moment = Field(None, serialization_alias="filter.timestamp.gte")
    until: _Moment = Field(None, serialization_alias="filter.timestamp.lte")
    fromMe: bool | None = Field(
        None,
        serialization_alias="filter.fromMe",
        description="Only own messages, or only others'.",
    )


class _OneMessage(_OfChat):
    messageId: _Message


class _Sent(_OfSession):
    messageId: _Message


class _Search(_OfSession):
    q: str = Field(min_length=1, max_length=500, description="Words, or beginnings of words.")
    chatId: _Chat | None = None
    since: _Moment = Field(None, serialization_alias="from")
    until: _Moment = Field(None, serialization_alias="to")
    fromMe: bool | None = Field(None, description="Only own messages, or only others'.")
    limit: _Limit = 20
    cursor: _Cursor = None


class _Listed(_OfSession):
    limit: _Limit = 20
    offset: _Offset = 0


class _Found(_Listed):
    q: str | None = Field(
        None, min_length=1, max_length=100, description="Part of a name or of a number."
    )


class _Contact(_OfSession):
    contactId: _Chat


class _Number(_OfSession):
    phone: str = Field(max_length=64, description="A phone number with its country code.")


class _Group(_OfSession):
    groupId: _Segment = Field(serialization_alias="id", description="`…@g.us`")


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The answer of a route."""

    body: Any
    headers: Mapping[str, str]
    #: What was asked for, by the names of `Arguments`.
    asked: Mapping[str, Any]


def _whole(found: Found) -> Any:
    return found.body


def _page(found: Found) -> dict[str, Any]:
    """A list that is paged by offset."""
    items = found.body
    page: dict[str, Any] = {"items": items}
    if len(items) == found.asked["limit"]:
        page["nextOffset"] = found.asked["offset"] + len(items)
    return page


def _chats(found: Found) -> dict[str, Any]:
    items = [
        {
            "id": one["id"],
            "name": one["name"],
            "unreadCount": one["_chat"]["unreadCount"],
            "archived": one["_chat"]["archived"],
            "lastMessage": one["lastMessage"],
        }
        for one in found.body
    ]
    return _page(Found(body=items, headers=found.headers, asked=found.asked))


def _history(found: Found) -> dict[str, Any]:
    return {"items": found.body, "nextCursor": found.headers.get("x-next-cursor")}


def _sessions(found: Found) -> list[dict[str, Any]]:
    return [
        {"name": one["name"], "status": one["status"], "me": one.get("me")} for one in found.body
    ]


def _file(arguments: dict[str, Any]) -> dict[str, Any]:
    """The body that WAHA's routes of files take."""
    arguments.pop("kind")
    names = ("url", "data", "filename", "mimetype")
    file = {name: arguments.pop(name) for name in names if name in arguments}
    return arguments | {"file": file}


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    return arguments


@dataclass(frozen=True, kw_only=True, slots=True)
class Tool:
    """One tool, and the route that it is."""

    name: str
    #: For the agent: what it does, when to use it.
    description: str
    method: str
    #: Template of the route's path; what it names is taken from the arguments.
    path: str
    arguments: type[Arguments]
    #: Put into the query whatever the arguments are.
    query: Mapping[str, str] = field(default_factory=dict)
    #: From the arguments that are neither in the path nor a header to the body.
    body: Callable[[dict[str, Any]], dict[str, Any]] = _plain
    #: From the route's answer to the tool's.
    shape: Callable[[Found], Any] = _whole

    @property
    def reads(self) -> bool:
        return self.method == "GET"

    def schema(self, *, session: str | None) -> dict[str, Any]:
        """JSON schema of the arguments; without `session` when the caller has only that one."""
        schema = self.arguments.model_json_schema(mode="validation", by_alias=False)
        schema.pop("title", None)
        schema.pop("description", None)
        properties = schema.setdefault("properties", {})
        for one in properties.values():
            one.pop("title", None)
        if session is not None and properties.pop("session", None) is not None:
            schema["required"] = [name for name in schema["required"] if name != "session"]
        return schema


def visible(principal: Principal) -> list[Tool]:
    """Those whose routes the caller may use."""
    return [tool for tool in TOOLS if _may(principal, tool)]


def _may(principal: Principal, tool: Tool) -> bool:
    takes = needs(tool.method, tool.path)
    return not isinstance(takes, str) and principal.may(takes)


_S = "/api/{session}"
TOOLS: tuple[Tool, ...] = (
    Tool(
        name="list_sessions",
        description="The WhatsApp accounts that can be used, with their status. Only a session "
        "that is WORKING sends.",
        method="GET",
        path="/api/sessions",
        arguments=_Nothing,
        query={"all": "true"},
        shape=_sessions,
    ),
    Tool(
        name="send_text",
        description="Send a text to a person or group. The answer's `ack`: 0 accepted and not "
        "yet sent (`gateway` says what it waits for), 1 sent, 2 delivered, 3 read.",
        method="POST",
        path="/api/sendText",
        arguments=_Text,
    ),
    Tool(
        name="send_reply",
        description="Send a text that quotes a message of the same chat.",
        method="POST",
        path="/api/sendText",
        arguments=_Reply,
    ),
    Tool(
        name="send_file",
        description="Send an image, video, voice message or document, from a URL or as base64.",
        method="POST",
        path="/api/send{kind}",
        arguments=_File,
        body=_file,
    ),
    Tool(
        name="send_reaction",
        description="React to a message with an emoji.",
        method="PUT",
        path="/api/reaction",
        arguments=_Reaction,
    ),
    Tool(
        name="mark_read",
        description="Tell the other side that the unread messages of a chat have been read.",
        method="POST",
        path=f"{_S}/chats/{{chatId}}/messages/read",
        arguments=_OfChat,
    ),
    Tool(
        name="get_sending",
        description="How far a message that was sent with these tools is, and what it waits for.",
        method="GET",
        path=f"{_S}/outbox/{{messageId}}",
        arguments=_Sent,
    ),
    Tool(
        name="list_chats",
        description="Chats with their last message, the newest first.",
        method="GET",
        path=f"{_S}/chats/overview",
        arguments=_Listed,
        shape=_chats,
    ),
    Tool(
        name="read_messages",
        description="Messages of a chat, the newest first.",
        method="GET",
        path=f"{_S}/chats/{{chatId}}/messages",
        arguments=_Messages,
        shape=_history,
    ),
    Tool(
        name="get_message",
        description="One message.",
        method="GET",
        path=f"{_S}/chats/{{chatId}}/messages/{{messageId}}",
        arguments=_OneMessage,
    ),
    Tool(
        name="search_messages",
        description="Find messages by the words of their text or caption, the newest first.",
        method="GET",
        path=f"{_S}/messages/search",
        arguments=_Search,
    ),
    Tool(
        name="find_contacts",
        description="People whom the account knows, by part of a name or number.",
        method="GET",
        path="/api/contacts/all",
        arguments=_Found,
        query={"sortBy": "name"},
        shape=_page,
    ),
    Tool(
        name="get_contact",
        description="One person: names, phone number, LID.",
        method="GET",
        path="/api/contacts",
        arguments=_Contact,
    ),
    Tool(
        name="check_number",
        description="Whether a phone number is on WhatsApp, and its chat id.",
        method="GET",
        path="/api/contacts/check-exists",
        arguments=_Number,
    ),
    Tool(
        name="find_groups",
        description="Groups that the account is in, by part of their name.",
        method="GET",
        path=f"{_S}/groups",
        arguments=_Found,
        query={"sortBy": "subject", "exclude": "participants"},
        shape=_page,
    ),
    Tool(
        name="get_group",
        description="One group with its members.",
        method="GET",
        path=f"{_S}/groups/{{id}}",
        arguments=_Group,
    ),
)
#: What `send_file` puts for `{kind}`.
FILE_KINDS: tuple[str, ...] = get_args(_File.model_fields["kind"].annotation)
