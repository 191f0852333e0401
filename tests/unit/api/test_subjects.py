"""Groups, contacts, profile, presence, labels, channels and calls: routes and facades together."""

from __future__ import annotations

import base64
import io
from typing import Any

import httpx
from fake_gateway import FakeGateway
from fake_subjects import GROUP
from PIL import Image

from cluster.domain.errors import GatewayError, NotFound, NotPermitted, Unavailable, WhatsAppRefused

G = f"/api/working/groups/{GROUP['jid']}"
C = "/api/working/channels/120363000000000002@newsletter"
ONE = {"participants": [{"id": "4915100002@c.us"}]}
_jpeg = io.BytesIO()
Image.new("RGB", (8, 4)).save(_jpeg, "PNG")
PICTURE = {"file": {"mimetype": "image/png", "data": base64.b64encode(_jpeg.getvalue()).decode()}}

CALLS: list[tuple[str, str, Any, str]] = [
    ("POST", "/api/working/groups", {"name": "Friends", "participants": []}, "groups.create"),
    ("GET", "/api/working/groups?sortBy=subject&sortOrder=desc&limit=1", None, "groups.list"),
    ("GET", "/api/working/groups/count", None, "groups.list"),
    ("GET", "/api/working/groups/join-info?code=abc", None, "groups.preview"),
    ("POST", "/api/working/groups/join", {"code": "abc"}, "groups.join"),
    ("GET", G, None, "groups.get"),
    ("POST", f"{G}/leave", None, "groups.leave"),
    ("GET", f"{G}/picture", None, "contacts.picture"),
    ("PUT", f"{G}/picture", PICTURE, "groups.picture"),
    ("DELETE", f"{G}/picture", None, "groups.picture"),
    ("PUT", f"{G}/subject", {"subject": "x"}, "groups.subject"),
    ("PUT", f"{G}/description", {"description": ""}, "groups.description"),
    ("PUT", f"{G}/settings/security/info-admin-only", {}, "groups.locked"),
    ("GET", f"{G}/settings/security/info-admin-only", None, "groups.get"),
    ("PUT", f"{G}/settings/security/messages-admin-only", {}, "groups.announce"),
    ("GET", f"{G}/invite-code", None, "groups.invite"),
    ("POST", f"{G}/invite-code/revoke", None, "groups.invite"),
    ("GET", f"{G}/participants", None, "groups.get"),
    ("GET", f"{G}/participants/v2", None, "groups.get"),
    ("POST", f"{G}/participants/add", ONE, "groups.members"),
    ("POST", f"{G}/participants/remove", ONE, "groups.members"),
    ("POST", f"{G}/admin/promote", ONE, "groups.members"),
    ("POST", f"{G}/admin/demote", ONE, "groups.members"),
    ("GET", f"{G}/participants/join-requests", None, "groups.join_requests"),
    ("POST", f"{G}/participants/join-requests/approve", ONE, "groups.approve"),
    ("GET", "/api/contacts/all?session=working", None, "contacts.all"),
    ("GET", "/api/contacts?session=working&contactId=4915100002", None, "contacts.get"),
    ("GET", "/api/contacts/about?session=working&contactId=2@lid", None, "contacts.about"),
    ("GET", "/api/contacts/profile-picture?session=working&contactId=2@lid", None, ""),
    ("POST", "/api/contacts/block", {"session": "working", "contactId": "2@lid"}, "contacts.block"),
    ("PUT", "/api/working/contacts/4915100002@c.us", {"firstName": "Bob"}, "contacts.save"),
    ("GET", "/api/working/contacts/4915100002@c.us", None, "contacts.get"),
    ("GET", "/api/working/lids", None, "lids.all"),
    ("GET", "/api/working/lids/count", None, "lids.all"),
    ("GET", "/api/working/lids/2000@lid", None, "lids.phone"),
    ("GET", "/api/working/lids/pn/4915100002", None, "lids.lid"),
    ("GET", "/api/working/profile", None, "profile.get"),
    ("PUT", "/api/working/profile/name", {"name": "A"}, "profile.name"),
    ("PUT", "/api/working/profile/status", {"status": ""}, "profile.about"),
    ("PUT", "/api/working/profile/picture", PICTURE, "profile.picture"),
    ("DELETE", "/api/working/profile/picture", None, "profile.picture"),
    ("POST", "/api/working/presence", {"presence": "offline"}, "presence.set"),
    ("GET", "/api/working/presence", None, "presence.all"),
    ("GET", "/api/working/presence/4915100002@c.us", None, "presence.get"),
    ("POST", "/api/working/presence/4915100002@c.us/subscribe", None, "presence.subscribe"),
    ("POST", "/api/working/labels", {"name": "Lead"}, "labels.edit"),
    ("GET", "/api/working/channels?role=OWNER", None, "channels.list"),
    ("POST", "/api/working/channels", {"name": "News"} | {"picture": PICTURE["file"]}, ""),
    ("GET", C, None, "channels.get"),
    ("GET", "/api/working/channels/0029Va", None, "channels.by_invite"),
    ("GET", f"{C}/messages/preview", None, "channels.messages"),
    ("POST", f"{C}/follow", None, "channels.follow"),
    ("POST", f"{C}/unmute", None, "channels.mute"),
    ("POST", "/api/working/calls/reject", {"from": "4915100002@c.us", "id": "A1"}, "calls.reject"),
]


async def test_a_request_becomes_one_verb_of_the_session(
    caller: httpx.AsyncClient, gateway: FakeGateway
) -> None:
    for method, path, body, verb in CALLS:
        gateway.requests.clear()
        answer = await caller.request(method, path, json=body)
        expected = 201 if method == "POST" else 200
        assert answer.status_code == expected, (method, path, answer.text)
        (asked,) = gateway.requests
        assert asked[0] == verb or not verb


async def test_refusals_of_whatsapp_keep_their_meaning(
    caller: httpx.AsyncClient, gateway: FakeGateway
) -> None:
    refusals: list[tuple[GatewayError, int]] = [
        (NotPermitted("no admin"), 403),
        (NotFound("no group"), 404),
        (Unavailable("slow down", retry_after=60), 503),
        (WhatsAppRefused("no"), 502),
    ]
    for error, status in refusals:
        gateway.fail = error
        answer = await caller.get(G)
        assert answer.status_code == status
        assert answer.json()["detail"] == error.detail


MALFORMED: list[tuple[str, str, Any, str]] = [
    ("POST", "/api/working/groups", {"name": "", "participants": []}, "name"),
    ("POST", f"{G}/participants/add", {"participants": []}, "participants"),
    ("POST", f"{G}/participants/add", {"participants": [{"id": "1@g.us"}]}, "participants"),
    ("GET", "/api/working/groups/4915100002@c.us", None, "id"),
    ("POST", "/api/working/groups/join", {"code": "https://evil.example/a/b"}, "code"),
    ("PUT", f"{G}/picture", {"file": {"data": "bm8="}}, "file"),
    ("PUT", f"{G}/picture", {"file": {}}, "file"),
    ("GET", "/api/working/lids/4915100002@c.us", None, "lid"),
    ("POST", "/api/working/presence", {"presence": "typing"}, "chatId"),
    ("POST", "/api/working/labels", {"name": "x", "color": 20}, "color"),
    ("POST", f"{C.replace('newsletter', 'g.us')}/follow", None, "id"),
    ("POST", "/api/working/calls/reject", {"from": "4915100002", "id": "a b"}, "id"),
]


async def test_what_is_malformed_is_named_and_asked_of_nobody(
    caller: httpx.AsyncClient, gateway: FakeGateway
) -> None:
    for method, path, body, field in MALFORMED:
        answer = await caller.request(method, path, json=body)
        assert answer.status_code == 422, (path, answer.text)
        assert answer.json()["field"] == field
    assert gateway.requests == []


async def test_a_picture_becomes_a_square_jpeg(
    caller: httpx.AsyncClient, gateway: FakeGateway
) -> None:
    await caller.put("/api/working/profile/picture", json=PICTURE)
    sent = Image.open(io.BytesIO(base64.b64decode(gateway.requests[0][1]["jpeg"])))
    assert (sent.format, sent.size) == ("JPEG", (4, 4))


async def test_a_label_that_whatsapp_refuses_is_not_kept(
    caller: httpx.AsyncClient, gateway: FakeGateway
) -> None:
    async def refuse(*_: Any, **__: Any) -> Any:
        raise WhatsAppRefused("no")

    made = (await caller.post("/api/working/labels", json={"name": "Lead", "color": 3})).json()
    assert made["colorHex"] == "#dfaef0"
    before = (await caller.get("/api/working/labels")).json()
    session = type(gateway.session("working"))
    original, session.request = session.request, refuse  # type: ignore[method-assign]
    try:
        answer = await caller.post("/api/working/labels", json={"name": "Other"})
    finally:
        session.request = original  # type: ignore[method-assign]
    assert answer.status_code == 502
    assert (await caller.get("/api/working/labels")).json() == before
