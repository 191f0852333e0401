"""Every query parameter and field of a body that WAHA documents changes what is asked for or
answered, or is refused by its name: none is taken and forgotten.

`waha_parameters.json` are the names that WAHA's OpenAPI has (in the sources of `waha-py`). What the
gateway then does with what it is asked for, the acceptance tests judge at the other end.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from copy import deepcopy
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import fake_subjects
import httpx
import pytest
from fake_apps import FakeApps
from fake_gateway import KEY, FakeGateway, FakeSession
from pydantic import SecretStr
from tables_of_paths import in_tables, shape

from api.app import create_app
from client import pictures
from cluster.domain.errors import NotFound
from cluster.domain.label import Label
from cluster.domain.message import Ack, MessageFilter, MessagePage, StoredMessage
from cluster.domain.session import SessionStatus
from cluster.settings import HttpSettings
from cluster.stores.apps import AppRecord

KNOWN: dict[str, list[str]] = json.loads(
    (Path(__file__).parent / "waha_parameters.json").read_text()
)
OF_VERSION = "2026.9.2"
CHAT, GROUP, POST = "4915100002@c.us", "120363000000000001@g.us", "120363000000000002@newsletter"
MESSAGE = f"true_{CHAT}_3EB0AAAAAAAAAAAAAAAAAA"
PAGE, OTHER_PAGE = "https://example.com", "https://example.org"
OTHER = f"true_{CHAT}_3EB0BBBBBBBBBBBBBBBBBB"


DATA, OTHER_DATA = "iVBORw0KGgo=", "iVBORw0KGgp="
WEBHOOK = {"url": "https://example.com/hook", "events": ["message"]}
CARD = "BEGIN:VCARD\nVERSION:3.0\nFN:{}\nTEL;waid=4915100002:+4915100002\nEND:VCARD"

#: Taken, and without effect on purpose; the page says so.
WITHOUT_EFFECT = {
    # WhatsApp is asked every time: whoever wants it fresh has it so.
    "?refresh": "api/chats.md",
    # Pictures of people, groups and channels have no names; what they are is found out.
    "picture.filename": "",
    "picture.mimetype": "",
    "PUT /api/{session}/groups/{id}/picture file.filename": "",
    "PUT /api/{session}/groups/{id}/picture file.mimetype": "",
    "PUT /api/{session}/profile/picture file.filename": "",
    "PUT /api/{session}/profile/picture file.mimetype": "",
    # Both are the time.
    "GET /api/messages ?sortBy": "",
    "GET /api/{session}/chats/{chatId}/messages ?sortBy": "",
    "config.noweb": "api/sessions.md",
    "config.noweb.store": "",
    "config.noweb.store.fullSync": "",
    "config.noweb.markOnline": "",
    "config.webjs": "api/sessions.md",
    "config.webjs.tagsEventsOn": "",
}

#: What a request needs besides the field that is tried; "": of every body that has the field.
BODIES: dict[str, dict[str, Any]] = {
    "": {
        "session": "working", "chatId": CHAT, "text": f"{PAGE} {OTHER_PAGE}",
        "messageId": MESSAGE,
        "file": {"data": DATA, "mimetype": "image/png"}, "contactId": CHAT,
        "participants": [{"id": CHAT}], "pollMessageId": MESSAGE, "votes": ["a"], "star": True,
        "reaction": "x", "latitude": 1, "longitude": 2, "url": PAGE, "title": "t",
        "poll": {"name": "q", "options": ["a", "b"]}, "replyTo": MESSAGE, "firstName": "A",
        "selectedDisplayText": "yes", "selectedButtonID": "1", "adminsOnly": True, "code": "abc",
        "event": {"name": "e", "startTime": 1, "location": {"name": "there"}}, "status": "s",
        "preview": {
            "url": PAGE, "title": "t", "image": {"url": "https://e.com/1.png"},
        },
        "message": {"title": "t", "button": "b", "sections": [
            {"title": "s", "rows": [{"title": "r", "rowId": "1"}]}]},
        "presence": "online", "subject": "s", "description": "d", "name": "n",
        "labels": [{"id": "1"}], "phoneNumber": "4915100001", "pagination": {}, "filter": {},
    },
    "POST /api/sendContactVcard": {"contacts": [{"vcard": CARD.format("A")}]},
    "POST /api/{session}/calls/reject": {"id": "CALL1", "from": CHAT},
    "POST /api/{session}/labels": {"name": "label", "color": 1},
    "PUT /api/{session}/labels/{labelId}": {"name": "label", "color": 1},
    "POST /api/{session}/status/delete": {"id": "3EB0AAAAAAAAAAAAAAAAAA"},
    "POST /api/{session}/channels": {"name": "channel", "picture": {"data": DATA}},
    "POST /api/{session}/media/convert/voice": {"data": DATA, "url": None},
    "POST /api/{session}/media/convert/video": {"data": DATA, "url": None},
    "POST /api/reply": {"reply_to": MESSAGE},
    "POST /api/{session}/presence": {"presence": "typing"},
    "POST /api/apps": {
        "id": "app_1", "session": "working", "app": "calls",
        "config": {"dm": {"reject": True}, "group": {"reject": True}},
    },
    "POST /api/keys": {"isAdmin": False, "session": "working", "isActive": True, "actions": {}},
    "POST /api/keys/media": {"session": "working"},
    "POST /api/keys/control": {"session": "working"},
    "POST /api/sessions": {"name": "other"},
    "PUT /api/sessions/{session}": {},
    "POST /api/sessions/{session}/logout": {},
    "POST /api/sessions/start": {"name": "other"},
    "POST /api/sessions/stop": {"name": "working"},
    "POST /api/sessions/logout": {"name": "working"},
}  # fmt: skip
BODIES["PUT /api/apps/{id}"] = BODIES["POST /api/apps"]
BODIES["PUT /api/keys/{id}"] = BODIES["POST /api/keys"]

#: Two values of each that a caller may mean; more of one operation, of a whole path, or of a name.
PAIRS: dict[str, tuple[Any, Any]] = {
    "?chatId": (CHAT, GROUP), "?code": ("abc", "abd"), "?contactId": (CHAT, "4915100003@c.us"),
    "?days": (1, 3), "?messages": (3, 4), "?downloadMedia": ("true", "false"),
    "?downloadMediaMimetypes": ("image/", "video/"), "?exclude": ("", "participants"),
    "?expand": ("", "apps"), "?filter.ack": ("READ", "DEVICE"),
    "?filter.fromMe": ("true", "false"), "?filter.timestamp.gte": (1, 2),
    "?filter.timestamp.lte": (1, 2), "?format": ("image", "raw"), "?ids": (CHAT, GROUP),
    "?limit": (1, 2), "?offset": (0, 1), "?merge": ("true", "false"), "?all": ("true", "false"),
    "?phone": ("4915100002", "4915100003"), "?refresh": ("true", "false"),
    "?role": ("OWNER", "SUBSCRIBER"), "?session": ("working", "nobody"),
    "GET /api/screenshot ?session": ("scan", "nobody"),
    "?sortOrder": ("asc", "desc"), "?text": ("a", "b"), "?sortBy": ("id", "name"),
    "GET /api/{session}/groups ?sortBy": ("id", "subject"),
    "session": ("working", "nobody"), "chatId": (CHAT, GROUP), "contactId": (CHAT, GROUP),
    "reply_to": (None, MESSAGE), "replyTo": (MESSAGE, OTHER), "id": ("A" * 20, "B" * 20),
    "mentions": ([], [CHAT]), "messageId": (MESSAGE, OTHER), "messageIds": ([MESSAGE], [OTHER]),
    "participant": (CHAT, "4915100003@c.us"), "pollMessageId": (MESSAGE, OTHER),
    "pollServerId": (None, 5), "votes": (["a"], ["b"]), "reaction": ("x", ""),
    "latitude": (1, 2), "longitude": (1, 2), "duration": (86400, 604800),
    "presence": ("typing", "paused"), "POST /api/reply reply_to": (MESSAGE, OTHER),
    "from": (CHAT, "4915100003@c.us"), "method": (None, "sms"),
    "phoneNumber": ("4915100001", "49151"), "backgroundColor": ("#000000", "#ffffff"),
    "font": (1, 2), "color": (1, 2), "colorHex": ("#ff9485", "#64c4ff"),
    "POST /api/send/link-custom-preview text": (f"1 {PAGE}", f"2 {PAGE}"),
    "poll.options": (["a", "b"], ["a", "c"]), "event.startTime": (1, 2), "event.endTime": (3, 4),
    "data": (DATA, OTHER_DATA), "url": (PAGE, OTHER_PAGE),
    "mimetype": ("image/png", "image/jpeg"), "filename": ("a.png", "b.png"),
    "contacts": ([], [CHAT]), "participants": ([{"id": CHAT}], [{"id": "4915100003@c.us"}]),
    "participants[].id": (CHAT, "4915100003@c.us"), "labels": ([], [{"id": "1"}]),
    "labels[].id": ("1", "2"), "pagination.limit": (1, 2), "pagination.offset": (0, 1),
    "filter.ids": ([CHAT], [GROUP]), "filter": ({"ids": [CHAT]}, {"ids": [GROUP]}),
    "pagination": ({"limit": 1}, {"limit": 2}),
    "file": ({"data": DATA}, {"data": OTHER_DATA}), "picture": ({"data": DATA}, None),
    "vcard": (CARD.format("A"), CARD.format("B")),
    "poll": ({"name": "a", "options": ["a", "b"]}, {"name": "b", "options": ["a", "b"]}),
    "event": ({"name": "a", "startTime": 1}, {"name": "b", "startTime": 1}),
    "event.location": ({"name": "a"}, {"name": "b"}),
    "preview": ({"url": PAGE, "title": "a"},
                {"url": PAGE, "title": "b"}),
    "preview.image": ({"url": "https://e.com/1.png"}, None),
    "preview.url": (PAGE, OTHER_PAGE),
    "message": ({"title": "t", "button": "b", "sections": [
                    {"title": "s", "rows": [{"title": "r", "rowId": "1"}]}]},
                {"title": "u", "button": "b", "sections": [
                    {"title": "s", "rows": [{"title": "r", "rowId": "1"}]}]}),
    "message.sections": ([{"title": "s", "rows": [{"title": "r", "rowId": "1"}]}],
                         [{"title": "u", "rows": [{"title": "r", "rowId": "1"}]}]),
    "rows": ([{"title": "r", "rowId": "1"}], [{"title": "r", "rowId": "2"}]),
    "actions": ({"read": True}, {"read": False, "send": True}),
    "POST /api/sendContactVcard contacts": ([{"vcard": CARD.format("A")}],
                                            [{"vcard": CARD.format("B")}]),
    "phoneNumber of a card": ("+49 1", "+49 2"),
    "app": ("calls", "phone-numbers"),
    "POST /api/apps id": ("app_1", "app_2"), "PUT /api/apps/{id} id": ("app_1", "app_2"),
    "POST /api/apps config": (BODIES["POST /api/apps"]["config"],
                              {"dm": {"reject": False}, "group": {"reject": True}}),
    "PUT /api/apps/{id} config": (BODIES["POST /api/apps"]["config"],
                                 {"dm": {"reject": False}, "group": {"reject": True}}),
    "apps": ([], [BODIES["POST /api/apps"]]), "apps.purge": (False, True),
    "POST /api/sessions/{session}/logout apps": ({}, {"purge": True}),
    "name": ("one", "two"), "POST /api/sessions/stop name": ("working", "nobody"),
    "POST /api/sessions/logout name": ("working", "nobody"),
    "config": ({}, {"debug": True}), "config.metadata": ({"a": 1}, {"a": 2}),
    "config.proxy": (None, {"server": "proxy.example:3128"}),
    "config.proxy.server": ("proxy.example:3128", "other.example:3128"),
    "config.ignore": ({}, {"groups": True}), "config.client": ({}, {"deviceName": "a"}),
    "config.client.browserName": ("Chrome", "Firefox"),
    "config.gows": ({}, {"storage": {"messages": False}}),
    "config.gows.storage": ({}, {"messages": False}),
    "config.noweb": ({}, {"markOnline": True}), "config.webjs": ({}, {"tagsEventsOn": True}),
    "config.noweb.store": ({}, {"fullSync": True}),
    "config.webhooks": ([], [WEBHOOK]),
    "customHeaders": ([], [{"name": "A", "value": "b"}]), "events": (["message"], ["*"]),
    "hmac": (None, {"key": "k"}), "retries": (None, {"attempts": 1}), "attempts": (1, 2),
    "delaySeconds": (1, 2), "policy": ("linear", "constant"),
}  # fmt: skip
#: What is said of one field may be wrong with the other.
BY_ANOTHER_NAME = {"chatId": {"messageId", "messageIds", "pollMessageId"}}
#: The rest are words, but for these.
FLAGS = re.compile(
    r"(^|\.)(convert|asNote|linkPreview\w*|star|multipleAnswers|extraGuestsAllowed|adminsOnly|logout"
    r"|start|enabled|isActive|isAdmin|debug|fullSync|markOnline|tagsEventsOn|merge)$"
    r"|^actions\.|\.storage\.|config\.ignore\."
)
#: Fields that mean something only beside another.
BESIDE: dict[str, dict[str, Any]] = {
    "config.proxy.username": {"config.proxy.server": "proxy.example:3128"},
    "config.proxy.password": {
        "config.proxy.server": "proxy.example:3128",
        "config.proxy.username": "me",
    },
    "contacts[].fullName": {"contacts[].vcard": None, "contacts[].phoneNumber": "+49 1"},
    "contacts[].organization": {
        "contacts[].vcard": None, "contacts[].phoneNumber": "+49 1", "contacts[].fullName": "A",
    },
    "contacts[].phoneNumber": {"contacts[].vcard": None, "contacts[].fullName": "A"},
    "contacts[].whatsappId": {
        "contacts[].vcard": None, "contacts[].phoneNumber": "+49 1", "contacts[].fullName": "A",
    },
    "file.url": {"file.data": None}, "picture.url": {"picture.data": None}, "url": {"data": None},
    "preview.image.data": {"preview.image.url": None},
    "participant": {"chatId": GROUP, "messageId": None, "messageIds": ["3EB0AAAAAAAAAAAAAAAAAA"]},
    "apps[].enabled": {}, "isAdmin": {"session": None},
    "colorHex": {"color": None},
}  # fmt: skip


class _Facet:
    """Writes down what it is asked for, and has nothing."""

    def __init__(self, gateway: Noting, place: str) -> None:
        self._gateway, self._place = gateway, place

    def __getattr__(self, verb: str) -> Any:
        async def asked(*args: Any, **options: Any) -> Any:
            self._gateway.noted.append(f"{self._place}.{verb} {args} {sorted(options.items())}")
            if verb == "message":
                return PICTURE
            raise NotFound("there is none")

        return asked


class _Session(FakeSession):
    _gateway: Noting

    def __init__(self, gateway: Noting, name: str) -> None:
        super().__init__(gateway, name)
        for facet in ("chatting", "media", "status", "chats"):
            self.__dict__[facet] = _Facet(gateway, f"{name}.{facet}")

    def __getattribute__(self, name: str) -> Any:
        own = object.__getattribute__(self, "__dict__")
        return own[name] if name in own else object.__getattribute__(self, name)

    async def page(self, wanted: MessageFilter, /) -> MessagePage:
        await super().page(wanted)
        return MessagePage(messages=(PICTURE,), following=None)

    async def request_code(self, phone_number: str) -> str:
        self._gateway.noted.append(phone_number)
        return await super().request_code(phone_number)

    async def delete(self) -> None:
        self._gateway.noted.append(f"delete {self.name}")
        await super().delete()


PICTURE = StoredMessage(
    message_id="3EB0BBBBBBBBBBBBBBBBBB",
    chat="4915100002@s.whatsapp.net",
    sender="4915100002@s.whatsapp.net",
    from_me=False,
    timestamp=datetime.fromtimestamp(1, UTC),
    kind="image",
    body="",
    ack=Ack.DEVICE,
    has_media=True,
    payload={"message": {"imageMessage": {
        "mimetype": "image/png", "mediaKey": "AA==", "directPath": "/v/1", "fileLength": 1,
        "fileEncSHA256": "AA==", "fileSHA256": "AA==",
    }}},
)  # fmt: skip


class _Apps(FakeApps):
    async def list(self, session: str) -> Any:
        record = AppRecord(
            id="app_1", tenant="default", session=session, session_id=1, app="calls", enabled=True,
            config={}, key_id=None, key_hint=None,
        )  # fmt: skip
        return [record]


class Noting(FakeGateway):
    """With everything that it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []
        self.add("working", SessionStatus.WORKING)
        self.add("scan", SessionStatus.SCAN_QR_CODE)
        self.add("stopped", SessionStatus.STOPPED)
        self.apps = _Apps(self.keys)
        self.labels._labels["1"] = Label(id="1", name="label", color=0)

    def session(self, name: str) -> _Session:
        return _Session(self, name)

    async def environment(self, *, all: bool = False) -> dict[str, str]:
        return {"S3_BUCKET": "gateway"} | ({"HTTP_PORT": "3000"} if all else {})


class Switched:
    """The gateway of the request at hand."""

    now: Noting

    def __getattr__(self, name: str) -> Any:
        return getattr(self.now, name)


@pytest.fixture
async def asking() -> AsyncIterator[tuple[Switched, httpx.AsyncClient]]:
    switched = Switched()
    switched.now = Noting()
    app = create_app(lambda: switched, HttpSettings(api_key=SecretStr(KEY)))
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as client,
    ):
        yield switched, client


async def _whole(_: Any, picture: Any) -> str:
    """Instead of what decodes it."""
    return repr(picture)


@pytest.fixture(autouse=True)
def _several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists have an order only where there are two."""
    other = {
        "groups.list": {"jid": "120363000000000009@g.us", "subject": "Aunts"},
        "contacts.all": {"jid": "4915100009@s.whatsapp.net", "name": "Ann"},
        "channels.messages": {"kind": "image", "payload": PICTURE.payload["message"]},
        "channels.list": {"jid": "120363000000000009@newsletter", "role": "SUBSCRIBER"},
    }
    monkeypatch.setattr(pictures, "square_jpeg", _whole)
    for verb, changes in other.items():
        first = fake_subjects.ANSWERS[verb][0]
        monkeypatch.setitem(fake_subjects.ANSWERS, verb, [first, first | changes])


def test_the_names_are_those_of_the_client_that_is_installed() -> None:
    assert version("waha-py") == OF_VERSION, "write waha_parameters.json anew from its sources"
    states = dict(in_tables())
    for operation in KNOWN:
        method, path = operation.split()
        assert (method, shape(path)) in states, operation


def _offered() -> list[str]:
    states = dict(in_tables())
    found = []
    for operation in KNOWN:
        method, path = operation.split()
        if states[method, shape(path)] != "not possible":
            found.append(operation)
    return found


@pytest.mark.parametrize("operation", _offered())
async def test_each_parameter_has_an_effect_or_is_refused_by_its_name(
    asking: tuple[Switched, httpx.AsyncClient], operation: str
) -> None:
    for name in KNOWN[operation]:
        if {name, f"{operation} {name}"} & WITHOUT_EFFECT.keys() or name.startswith("apps[]."):
            continue
        pair = _pair(operation, name)
        first, again, second = [
            await _outcome(asking, operation, name, value) for value in (pair[0], *pair)
        ]
        assert first == again, (operation, name, "the same twice")
        assert first != second, (operation, name, pair, first[:2])
        for status, body, *_ in (first, second):
            if status in {422, 501}:
                place = re.sub(r"\[\]", ".0", name.lstrip("?"))
                named = str(json.loads(body).get("field") or "")
                names = {place} | BY_ANOTHER_NAME.get(name, set())
                assert named, (operation, name, body)
                assert any(a.startswith(named) or named.startswith(a) for a in names), body


def test_what_has_no_effect_is_documented() -> None:
    docs = Path(__file__).parents[3] / "docs"
    for name, page in WITHOUT_EFFECT.items():
        assert not page or name.lstrip("?") in (docs / page).read_text(), name


def _pair(operation: str, name: str) -> tuple[Any, Any]:
    last = name.rpartition(".")[2]
    if name == "contacts[].phoneNumber":
        return PAIRS["phoneNumber of a card"]
    for known in (f"{operation} {name}", name):
        if known in PAIRS:
            return PAIRS[known]
    if FLAGS.search(name):
        return True, False
    return PAIRS.get(last, ("1", "2"))


async def _outcome(
    asking: tuple[Switched, httpx.AsyncClient], operation: str, name: str, value: Any
) -> tuple[int, str, str]:
    switched, client = asking
    client.headers["X-Api-Key"] = KEY
    gateway = switched.now = Noting()
    method, template = operation.split()
    path = _path(template)
    if template.endswith(("/auth/qr", "/request-code")):
        path = path.replace("working", "scan")
    if template.startswith("/api/keys/{id}"):
        key, _ = await gateway.keys.create(session="working", actions=frozenset())
        path = path.replace("{id}", key.id)
    query = {"session": "working", "chatId": CHAT, "phone": "4915100002", "text": "t",
             "contactId": CHAT, "code": "abc"}  # fmt: skip
    known = KNOWN[operation]
    query = {one: text for one, text in query.items() if f"?{one}" in known}
    body: dict[str, Any] | None = None
    if any(not one.startswith("?") for one in known):
        fields = BODIES.get(operation, {}) | {}
        top = {one.partition(".")[0].removesuffix("[]") for one in known if one[0] != "?"}
        body = deepcopy({k: v for k, v in BODIES[""].items() if k in top} | fields)
        body = {k: v for k, v in body.items() if v is not None}
    if name.startswith("?"):
        query[name[1:]] = value
    else:
        assert body is not None
        for place, other in BESIDE.get(name, {}).items():
            if place.partition(".")[0].removesuffix("[]") in body or place.startswith("config"):
                _put(body, place, other)
        _put(body, name, value)
    answer = await client.request(method, path, params=query, json=body)
    text = re.sub(r"\b(key|app|session)_[0-9A-Za-z_]{20,}", r"\1_x", answer.text)
    if template.startswith("/api/keys"):
        text = re.sub(r'"(id|key|hint|createdAt)":"[^"]*"', r'"\1":0', text)
    text = re.sub(r'"(traceId|requestId|uptime)":[^,}]*', r'"\1":0', text)
    done = (gateway.noted, gateway.requests, gateway.sends, gateway.filters,
            sorted(gateway.records.items()), sorted(gateway.apps.records.items()))  # fmt: skip
    return (
        answer.status_code,
        text,
        re.sub(r"\b(key|app)_[0-9A-Za-z_]{20,}", r"\1_x", re.sub(r"0x[0-9a-f]+", "", repr(done))),
    )


def _path(template: str) -> str:
    group = "/groups/" in template
    ids = {"session": "working", "chatId": CHAT, "messageId": MESSAGE, "labelId": "1"}
    if not template.startswith("/api/keys"):
        ids["id"] = GROUP if group else POST if "/channels/" in template else CHAT
    if template.startswith("/api/apps"):
        ids["id"] = "app_1"
    for name, value in ids.items():
        template = template.replace(f"{{{name}}}", value)
    return template


def _put(body: dict[str, Any], path: str, value: Any) -> None:
    here: Any = body
    *steps, last = path.split(".")
    for step in steps:
        listed, key = step.endswith("[]"), step.removesuffix("[]")
        if not here.get(key):
            fresh = dict(WEBHOOK) if key == "webhooks" else {}
            if key == "customHeaders":
                fresh = {"name": "A", "value": "b"}
            here[key] = [fresh] if listed else fresh
        here = here[key][0] if listed else here[key]
    if last.endswith("[]"):
        here[last.removesuffix("[]")] = [value]
    elif value is None:
        here.pop(last, None)
    else:
        here[last] = value
