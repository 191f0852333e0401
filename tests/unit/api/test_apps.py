"""/api/apps: WAHA's shapes, and who may have what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from fake_gateway import FakeGateway

from cluster.domain.principal import SCOPES

WANTED = {"session": "working", "app": "mcp", "config": {"actions": {"read": True}}}


async def key(gateway: FakeGateway, scopes: Sequence[str], session: str = "working") -> str:
    actions = frozenset().union(*(SCOPES[scope] for scope in scopes))
    _, secret = await gateway.keys.create(session=session, actions=actions)
    return secret


async def test_an_agents_key_is_returned_once(
    caller: httpx.AsyncClient, gateway: FakeGateway
) -> None:
    made = await caller.post("/api/apps", json=WANTED)
    assert made.status_code == 201
    created = made.json()
    secret = created["config"]["key"]
    key = await gateway.keys.find(secret)
    assert key is not None
    assert key.session == "working"
    assert created["config"]["key_id"].startswith("key_id_")
    assert created["enabled"]
    for answer in (
        (await caller.get(f"/api/apps/{created['id']}")).json(),
        (await caller.get("/api/apps", params={"session": "working"})).json()[0],
    ):
        assert answer["id"] == created["id"]
        assert secret not in str(answer)
        assert answer["config"]["actions"]["read"]
    changed = await caller.put(f"/api/apps/{created['id']}", json=WANTED | {"enabled": False})
    assert not changed.json()["enabled"]
    assert (await caller.delete(f"/api/apps/{created['id']}")).status_code == 200
    assert (await caller.get(f"/api/apps/{created['id']}")).status_code == 404


async def test_nobody_makes_a_key_that_can_do_more(
    stranger: httpx.AsyncClient, gateway: FakeGateway
) -> None:
    headers = {"X-Api-Key": await key(gateway, ["app", "read"])}
    for actions, status in (({"read": True}, 201), ({"send": True}, 403), ({"delete": True}, 403)):
        wanted = WANTED | {"config": {"actions": actions}}
        answer = await stranger.post("/api/apps", json=wanted, headers=headers)
        assert answer.status_code == status, answer.text
    made = (await stranger.get("/api/apps?session=working", headers=headers)).json()[0]
    more = WANTED | {"config": {"actions": {"send": True}}}
    answer = await stranger.put(f"/api/apps/{made['id']}", json=more, headers=headers)
    assert answer.status_code == 403
    reads = {"X-Api-Key": await key(gateway, ["read"])}
    assert (await stranger.post("/api/apps", json=WANTED, headers=reads)).status_code == 403


async def test_apps_of_other_sessions_are_nowhere(
    stranger: httpx.AsyncClient, caller: httpx.AsyncClient, gateway: FakeGateway
) -> None:
    made = (await caller.post("/api/apps", json=WANTED)).json()["id"]
    headers = {"X-Api-Key": await key(gateway, ["app", "read"], session="stopped")}
    path = f"/api/apps/{made}"
    for answer in (
        await stranger.get(path, headers=headers),
        await stranger.delete(path, headers=headers),
        await stranger.post(f"{path}/purge", headers=headers),
        await stranger.post("/api/apps", json=WANTED, headers=headers),
        await stranger.get("/api/apps?session=working", headers=headers),
        await stranger.post("/api/apps/mcp/working/purge", headers=headers),
    ):
        assert answer.status_code == 404, answer.text


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"config": {}}, 422, "config.actions"),
        ({"config": {"actions": {"read": "x"}}}, 422, "config.actions.read"),
        ({"app": "phone-numbers"}, 501, "app"),
        ({"app": "calls"}, 422, "config.dm"),
        ({"app": "calls", "config": {"dm": {}}}, 422, "config.group"),
        ({"app": "nonsense"}, 422, "app"),
        ({"id": "../x"}, 422, "id"),
        ({"session": "a/b"}, 422, "session"),
    ],
)
async def test_what_is_refused(
    caller: httpx.AsyncClient, change: dict[str, Any], status: int, field: str | None
) -> None:
    answer = await caller.post("/api/apps", json=WANTED | change)
    assert answer.status_code == status, answer.text
    assert answer.json().get("field") == field


async def test_kind_and_session_stay(caller: httpx.AsyncClient) -> None:
    made = await caller.put("/api/apps/mine", json=WANTED)
    assert made.json()["id"] == "mine"
    assert (await caller.post("/api/apps", json=WANTED | {"id": "mine"})).status_code == 409
    answer = await caller.put("/api/apps/mine", json=WANTED | {"session": "stopped"})
    assert answer.json()["field"] == "session"
    answer = await caller.put("/api/apps/mine", json=WANTED | {"id": "other"})
    assert answer.json()["field"] == "id"
