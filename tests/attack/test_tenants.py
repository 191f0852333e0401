"""A caller aims every operation at a session that is not its own: for it, there is no such one."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from attack_front import Front
from every_route import Shot, shots

from cluster.domain.session import DesiredState, SessionRecord
from cluster.stores import Stores

#: Creating is a matter of the caller's own tenant, whatever names others use.
CREATES = {
    ("POST", "/api/sessions"),
    ("POST", "/api/sessions/start"),
    ("POST", "/api/keys"),
    ("POST", "/api/keys/media"),
    ("POST", "/api/keys/control"),
}
#: Operations that are about no session: what they answer is checked all the same.
OF_NO_SESSION = {
    *("/ping", "/health", "/metrics", "/mcp", "/api/sessions", "/api/audit"),
    *("/api/version", "/api/server/version", "/api/server/status", "/api/server/environment"),
    *("/api/server/stop", "/api/server/debug/cpu", "/api/server/debug/heapsnapshot"),
    *("/api/keys", "/api/keys/{id}", "/api/apps", "/api/apps/{id}", "/api/apps/{id}/purge"),
    *("/health/live", "/health/ready", "/api/access", "/api/vitals", "/api/cluster/nodes"),
    *("/api/vitals/traffic", "/api/vitals/dead-letters"),
    *("/api/cluster/nodes/{node}/drain", "/api/cluster/nodes/{node}/undrain"),
    *("/api/cluster/ownerships", "/api/sandbox/phones", "/api/sandbox/phones/{number}/scan"),
    *("/api/sandbox/phones/{number}/link-code", "/api/sandbox/phones/{number}/messages"),
    *("/api/sandbox/phones/{number}/read", "/api/sandbox/phones/{number}/typing"),
    *("/api/sandbox/phones/{number}/inbox", "/api/sandbox/phones/{number}/inbox/{messageId}/media"),
}
FILE = "false_4915100002@c.us_3EB0AAAAAAAAAAAAAAAA"
CALLERS = ["key of another tenant", "key of another session", "token of another tenant's admin"]


async def caller_of(kind: str, front: Front, tenant: str) -> httpx.AsyncClient:
    if kind == "token of another tenant's admin":
        return front.with_token(tenant=tenant, scope="admin")
    body: dict[str, Any] = {"isAdmin": False, "isActive": True, "session": "mine"}
    if kind == "key of another tenant":
        body |= {"tenant": tenant}
    made = await front.operator().post("/api/keys", json=body)
    assert made.status_code == 201, made.text
    return front.client({"X-Api-Key": made.json()["key"]})


async def fire(client: httpx.AsyncClient, shot: Shot) -> httpx.Response:
    return await client.request(shot.method, shot.path, params=shot.query, json=shot.body)


def comparable(answer: httpx.Response, session: str) -> tuple[int, str]:
    """What an answer says, without what differs anyway."""
    text = answer.text.replace(session, "SESSION")
    try:
        body = json.loads(text)
    except ValueError:
        return answer.status_code, text
    if isinstance(body, dict):
        for name in ("requestId", "timestamp", "id"):
            body.pop(name, None)
    return answer.status_code, json.dumps(body, sort_keys=True)


async def rows(stores: Stores, record: SessionRecord) -> Any:
    everything = """
        SELECT to_jsonb(s) AS session, to_jsonb(o) AS owner, to_jsonb(t) AS stream,
               (SELECT count(*) FROM outbox WHERE session_id = s.id) AS sends,
               (SELECT count(*) FROM events WHERE session_id = s.id) AS events
        FROM sessions s JOIN ownership o ON o.session_id = s.id
             JOIN session_streams t ON t.session_id = s.id
        WHERE s.id = %(id)s
    """
    return await stores.db.one(everything, {"id": record.id})


@pytest.mark.parametrize("kind", CALLERS)
async def test_every_operation_knows_no_session_of_somebody_else(
    kind: str,
    front: Front,
    document: dict[str, Any],
    victim: SessionRecord,
    tenant: str,
    stores: Stores,
) -> None:
    caller = await caller_of(kind, front, tenant)
    before = await rows(stores, victim)
    # As long as the name, so that no length distinguishes them.
    nowhere = "n" * len(victim.name)
    aimed, others = 0, set()
    for real, empty in zip(shots(document, victim.name), shots(document, nowhere), strict=True):
        if (real.method, real.template) in CREATES and "admin" in kind:
            continue
        answer = await fire(caller, real)
        what = f"{real.method} {real.template}: {answer.status_code} {answer.text[:300]}"
        assert "confidential" not in answer.text, what
        if not real.aimed:
            assert victim.name not in answer.text, what
            others.add(real.template)
            continue
        aimed += 1
        assert answer.status_code >= 400, what
        assert answer.status_code != 500, what
        assert comparable(answer, victim.name) == comparable(await fire(caller, empty), nowhere), (
            what
        )
    assert aimed > 120, "the requests name their sessions"
    assert others <= OF_NO_SESSION, "a new operation names its session in a way this test knows"
    assert await rows(stores, victim) == before


async def test_the_requests_do_reach_a_session_of_the_caller(
    front: Front, document: dict[str, Any], victim: SessionRecord
) -> None:
    """The judge above is worth something only if the same requests get further when allowed."""
    operator, further = front.operator(), 0
    for shot in shots(document, victim.name):
        if shot.aimed and shot.method == "GET" and not shot.template.endswith("/stream"):
            answer = await fire(operator, shot)
            further += answer.status_code != 404 and answer.status_code != 422
    assert further > 15


async def test_lists_hold_the_callers_sessions_only(
    front: Front, victim: SessionRecord, tenant: str, stores: Stores
) -> None:
    await stores.sessions.create(tenant, "mine", {}, DesiredState.STOPPED)
    await stores.sessions.create(tenant, victim.name, {}, DesiredState.STOPPED)
    admin = front.with_token(tenant=tenant, scope="admin")
    found = (await admin.get("/api/sessions", params={"all": True})).json()
    assert {one["name"] for one in found} == {"mine", victim.name}
    assert "confidential" not in json.dumps(found), "of one name, but not the same"
    one = front.with_token(tenant=tenant, scope="session", sessions=["mine"])
    found = (await one.get("/api/sessions", params={"all": True})).json()
    assert [one["name"] for one in found] == ["mine"]


async def test_a_key_does_what_it_is_for_until_it_is_taken_back(
    front: Front, victim: SessionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.security.authenticator.KEPT_SECONDS", 0.0)
    operator, name = front.operator(), victim.name
    made = {
        kind: (await operator.post(f"/api/keys/{kind}", json={"session": name})).json()
        for kind in ("media", "control")
    }
    media, control = (front.client({"X-Api-Key": made[k]["key"]}) for k in ("media", "control"))
    statuses = {
        "media: chats": (await media.get(f"/api/{name}/chats")).status_code,
        "media: session": (await media.get(f"/api/sessions/{name}")).status_code,
        "media: file": (await media.get(f"/api/files/{name}/{FILE}")).status_code,
        "control: session": (await control.get(f"/api/sessions/{name}")).status_code,
        "control: chats": (await control.get(f"/api/{name}/chats")).status_code,
        "control: delete": (await control.delete(f"/api/sessions/{name}")).status_code,
        "control: keys": (await control.get("/api/keys")).status_code,
        "control: environment": (await control.get("/api/server/environment")).status_code,
    }
    assert statuses == {
        "media: chats": 403,
        "media: session": 403,
        "media: file": 404,
        "control: session": 200,
        "control: chats": 403,
        "control: delete": 403,
        "control: keys": 403,
        "control: environment": 403,
    }
    listed = (await operator.get("/api/keys")).text
    assert all(key["key"] not in listed for key in made.values()), "shown once"
    change = {"isAdmin": False, "session": name, "isActive": False}
    await operator.put(f"/api/keys/{made['control']['id']}", json=change)
    await operator.delete(f"/api/keys/{made['media']['id']}")
    assert (await control.get(f"/api/sessions/{name}")).status_code == 401
    assert (await media.get(f"/api/files/{name}/x")).status_code == 401


async def test_the_admin_of_a_tenant_does_not_reach_beyond_it(front: Front, tenant: str) -> None:
    admin = front.with_token(tenant=tenant, scope="admin")
    key = {"isAdmin": True, "isActive": True}
    assert (await admin.post("/api/keys", json=key | {"tenant": "default"})).status_code == 403
    assert (await admin.get("/api/keys", params={"tenant": "default"})).status_code == 403
    mine = (await admin.post("/api/keys", json=key)).json()
    other = front.with_token(tenant=f"{tenant}-2", scope="admin")
    assert (await other.delete(f"/api/keys/{mine['id']}")).status_code == 404
    assert (await other.put(f"/api/keys/{mine['id']}", json=key)).status_code == 404
    assert (await admin.get("/api/server/environment")).status_code == 403


async def test_the_audit_log_shows_who_did_what_even_in_vain(
    front: Front, victim: SessionRecord, tenant: str
) -> None:
    admin = front.with_token(tenant=tenant, scope="admin", sub="mallory")
    await admin.delete(f"/api/sessions/{victim.name}")
    mine = (await admin.get("/api/audit")).json()
    assert [(e["who"], e["action"], e["session"], e["status"]) for e in mine] == [
        ("jwt:mallory", "DELETE /api/sessions/{session}", victim.name, 404)
    ]
    operators = (await front.operator().get("/api/audit")).text
    assert "mallory" not in operators, "each tenant has its own"
