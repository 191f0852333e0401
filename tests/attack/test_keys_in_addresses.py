"""`?x-api-key=`: for what only reads, with keys that only read, and in no log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import structlog
from attack_front import OPERATOR_KEY, Front
from fastapi import FastAPI

from cluster.domain.session import SessionRecord

FILE = "false_4915100002@c.us_3EB0AAAAAAAAAAAAAAAA"
NOTHING = dict.fromkeys(("read", "send", "control", "setting", "app", "delete"), False)


async def made(front: Front, session: str, **actions: bool) -> str:
    body = {"isAdmin": False, "isActive": True, "session": session, "actions": NOTHING | actions}
    return str((await front.operator().post("/api/keys", json=body)).json()["key"])


def at(path: str, key: str) -> str:
    return f"{path}?x-api-key={key}"


async def test_files_are_shown_by_a_key_that_may_do_nothing_else(
    front: Front, victim: SessionRecord
) -> None:
    """As WAHA documents it for `<img src=…>`: all actions false."""
    path, key = f"/api/files/{victim.name}/{FILE}", await made(front, victim.name)
    nobody = front.client({})
    assert (await nobody.get(path)).status_code == 401
    assert (await nobody.get(at(path, key))).status_code == 404, "let in; there is no such file"
    assert (await nobody.get(path, headers={"X-Api-Key": key})).status_code == 404
    assert (await nobody.get(at(f"/api/{victim.name}/chats", key))).status_code == 403
    media = await front.operator().post("/api/keys/media", json={"session": victim.name})
    assert (await nobody.get(at(path, media.json()["key"]))).status_code == 404


@pytest.mark.parametrize(
    ("actions", "status"),
    [
        ({"read": True}, 200),
        ({"control": True}, 200),
        ({"read": True, "control": True}, 401),
        ({"read": True, "send": True}, 401),
        ({"delete": True}, 401),
        ({"app": True}, 401),
        ({"setting": True}, 401),
    ],
)
async def test_only_narrow_keys_stand_in_addresses(
    front: Front, victim: SessionRecord, actions: dict[str, bool], status: int
) -> None:
    key = await made(front, victim.name, **actions)
    nobody, path = front.client({}), f"/api/sessions/{victim.name}"
    answer = await nobody.get(at(path, key))
    assert answer.status_code == status, answer.text
    assert (await nobody.get(path, headers={"X-Api-Key": key})).status_code == 200
    if status == 401:
        assert "address" in answer.json()["detail"], "it says what is wrong with this key"


async def test_neither_the_operators_key_nor_anything_that_changes(
    front: Front, victim: SessionRecord
) -> None:
    nobody, path = front.client({}), f"/api/sessions/{victim.name}"
    assert (await nobody.get(at(path, OPERATOR_KEY))).status_code == 401
    admin = (await front.operator().post("/api/keys", json={"isAdmin": True})).json()["key"]
    assert (await nobody.get(at(path, admin))).status_code == 401
    control = await made(front, victim.name, control=True)
    for method, end in (("POST", "/stop"), ("PUT", ""), ("DELETE", "")):
        answer = await nobody.request(method, at(path + end, control), json={})
        assert answer.status_code == 401, (method, end)


async def test_the_setting_for_wahas_dashboard_takes_any_key(
    front_with: Callable[..., FastAPI], victim: SessionRecord
) -> None:
    app = front_with(keys_in_addresses="any")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://gateway"
    ) as nobody:
        path = f"/api/sessions/{victim.name}"
        assert (await nobody.get(at(path, OPERATOR_KEY))).status_code == 200
        assert (await nobody.post(at(f"{path}/stop", OPERATOR_KEY))).status_code == 401


async def test_no_log_and_no_answer_shows_the_address(
    front: Front, victim: SessionRecord, caplog: pytest.LogCaptureFixture
) -> None:
    key = await made(front, victim.name)
    caplog.set_level(logging.DEBUG)
    logged: list[Any] = []

    def keep(_: Any, __: str, event: Any) -> Any:
        logged.append(repr(event))
        raise structlog.DropEvent

    before = structlog.get_config()["processors"]
    structlog.configure(processors=[keep])
    try:
        for path in (f"/api/files/{victim.name}/{FILE}", "/api/server/version", "/nowhere"):
            answer = await front.client({}).get(at(path, key))
            assert key not in answer.text
            assert key not in str(answer.headers)
    finally:
        structlog.configure(processors=before)
    # httpx logs the address that it asks; it is the caller here.
    theirs = [r.getMessage() for r in caplog.records if not r.name.startswith("http")]
    assert logged
    assert key not in "".join(logged + theirs)


async def test_a_key_without_actions_has_wahas_defaults(
    front: Front, victim: SessionRecord
) -> None:
    """Everything in the session but deleting it."""
    body = {"isAdmin": False, "isActive": True, "session": victim.name, "actions": None}
    answer = (await front.operator().post("/api/keys", json=body)).json()
    given = {name for name, value in answer["actions"].items() if value}
    assert given == {"read", "send", "control", "setting", "app", "media"}
    usual = front.client({"X-Api-Key": answer["key"]})
    assert (await usual.delete(f"/api/sessions/{victim.name}")).status_code == 403
    assert (await usual.get(f"/api/{victim.name}/chats")).status_code == 200
