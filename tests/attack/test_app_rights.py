"""An app of a session does what its maker may do himself; so does whoever commands it."""

from __future__ import annotations

from typing import Any

import pytest
from attack_front import Front

from cluster.domain.session import SessionRecord

_BRIDGE = {
    "url": "https://chatwoot.example",
    "accountId": 1,
    "accountToken": "token",
    "inboxId": 7,
    "inboxIdentifier": "abc",
}
_COMMANDS = _BRIDGE | {"commands": {"server": True}}


def _app(session: SessionRecord, app: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"session": session.name, "app": app, "config": config}


def _asked(number: int, text: str) -> dict[str, Any]:
    """A command, as Chatwoot delivers it."""
    return {
        "event": "message_created",
        "message_type": "outgoing",
        "id": number,
        "content": text,
        "inbox": {"id": 7},
        "conversation": {"id": 3, "meta": {"sender": {"identifier": "whatsapp.integration"}}},
    }


@pytest.mark.parametrize(
    ("app", "config", "scopes", "takes"),
    [
        ("chatwoot", _BRIDGE, "app send", "read"),
        ("chatwoot", _BRIDGE, "app read", "send"),
        ("chatwoot", _COMMANDS, "app send read", "control"),
        ("calls", {"dm": {"message": "no"}, "group": {}}, "app read", "send"),
        ("mcp", {"actions": {"read": True, "send": True}}, "app read", "send"),
    ],
)
async def test_no_app_does_what_its_maker_may_not(
    front: Front,
    victim: SessionRecord,
    app: str,
    config: dict[str, Any],
    scopes: str,
    takes: str,
) -> None:
    """All that is said goes to a bridge's installation, and agents may stop the session there."""
    caller = front.with_token(tenant=victim.tenant, sessions=[victim.name], scope=scopes)
    answer = await caller.post("/api/apps", json=_app(victim, app, config))
    assert answer.status_code == 403, answer.text
    assert takes in answer.json()["detail"]
    whole = front.with_token(tenant=victim.tenant, sessions=[victim.name], scope="session")
    made = await whole.post("/api/apps", json=_app(victim, app, config))
    assert made.status_code == 201, made.text


async def test_nobody_gives_an_app_what_he_may_not(front: Front, victim: SessionRecord) -> None:
    caller = front.with_token(tenant=victim.tenant, sessions=[victim.name], scope="app send read")
    made = (await caller.post("/api/apps", json=_app(victim, "chatwoot", _BRIDGE))).json()
    answer = await caller.put(f"/api/apps/{made['id']}", json=_app(victim, "chatwoot", _COMMANDS))
    assert answer.status_code == 403, answer.text
    kept = (await caller.get(f"/api/apps/{made['id']}")).json()
    assert not (kept["config"].get("commands") or {}).get("server")


async def test_commands_come_from_the_app_or_from_who_may_control(
    front: Front, victim: SessionRecord
) -> None:
    whole = front.with_token(tenant=victim.tenant, sessions=[victim.name], scope="session")
    made = (await whole.post("/api/apps", json=_app(victim, "chatwoot", _COMMANDS))).json()
    app = await front.stores.apps.get(victim.tenant, made["id"])
    own = made["config"]["webhook"].partition("/webhooks/")[2]
    stranger = front.client({})
    sender = front.with_token(tenant=victim.tenant, sessions=[victim.name], scope="send")
    place = f"/webhooks/chatwoot/{victim.name}/{app.id}"
    for number, (caller, path, status, done) in enumerate(
        (
            (stranger, f"{place}/key_of_a_stranger", 401, False),
            (sender, f"{place}/any", 200, False),
            (stranger, f"/webhooks/{own}", 200, True),
            (whole, f"{place}/any", 200, True),
        ),
        start=1,
    ):
        answer = await caller.post(path, json=_asked(number, "logout"))
        assert answer.status_code == status, answer.text
        found = await front.stores.chatwoot.of_message(app, f"asked:{number}")
        assert (found is not None) == done, number
