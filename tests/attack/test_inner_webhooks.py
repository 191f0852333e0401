"""What the operator allows webhooks beyond public addresses is not every tenant's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attack_front import Front
from inner_service import Inside

from actors.delivery.dispatcher import Dispatcher
from cluster.domain.session import DesiredState
from cluster.events.envelope import Event, EventSource
from cluster.settings import Settings, WebhookSettings
from cluster.stores import Stores
from cluster.stores.webhooks import LeasedWebhook
from cluster.webhooks.endpoint import Endpoint
from ops.local.user_settings import UserSettings, variables


@pytest.fixture
def store_settings(store_settings: Settings) -> Settings:
    store_settings.webhooks = WebhookSettings(
        _env_file=os.devnull, allow="127.0.0.0/8", allow_tenants="default", timeout_seconds=5
    )
    return store_settings


@pytest.mark.parametrize("theirs", [False, True])
async def test_a_test_of_a_webhook_reaches_what_the_tenant_may(
    front: Front,
    stores: Stores,
    inside: Inside,
    tenant: str,
    session_name: Callable[[], str],
    theirs: bool,
) -> None:
    owner = tenant if theirs else "default"
    record = await stores.sessions.create(owner, session_name(), {}, DesiredState.STOPPED)
    client = front.with_token(tenant=owner, sessions="*", scope="admin")
    hook = {"url": f"http://127.0.0.1:{inside.port}/wipe", "events": ["message"]}
    answer = await client.post(f"/api/{record.name}/webhooks/test", json={"config": hook})
    assert answer.status_code in {200, 201}, answer.text
    assert answer.json()["delivered"] is not theirs
    assert bool(inside.reached) is not theirs


@pytest.mark.parametrize(
    ("owner", "key", "reached"),
    [
        ("default", "wh_a", True),
        ("evil", "wh_a", False),
        ("evil", "replay_1/wh_a", False),
        # Of the gateway's own settings.
        ("evil", "gwh_a", True),
        ("evil", "replay_1/gwh_a", True),
    ],
)
async def test_an_event_reaches_what_the_tenant_may(
    store_settings: Settings,
    stores: Stores,
    inside: Inside,
    owner: str,
    key: str,
    reached: bool,
) -> None:
    config: dict[str, Any] = {"url": f"http://127.0.0.1:{inside.port}/", "events": ["message"]}
    hook = LeasedWebhook(
        id=1,
        session_id=1,
        key=key,
        origin="session",
        target="t",
        config=config,
        cursor=0,
        until=None,
        batch_until=0,
        attempts=0,
        lease="l",
        tenant=owner,
        source=EventSource(name="s"),
    )
    event = Event(
        id="e",
        session_id=1,
        seq=1,
        type="session.status",
        payload={},
        happened_at=(await _now(stores)),
    )
    dispatcher = Dispatcher(stores, store_settings)
    courier = dispatcher._courier
    try:
        outcome = await courier._hand_over(hook, Endpoint.of(config), [event])
    finally:
        await dispatcher._poster.close()
        await dispatcher._outside.close()
    assert outcome.delivered is reached
    assert bool(inside.reached) is reached


async def _now(stores: Stores) -> Any:
    row = await stores.db.one("SELECT clock_timestamp() AS at", {})
    assert row is not None
    return row["at"]


def test_unasked_this_machine_is_reached_by_the_operators_tenant_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in variables():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    own = UserSettings.read()
    assert (own.webhook_networks, own.webhook_tenants) == ("127.0.0.0/8,::1/128", "default")
    monkeypatch.setenv("WEBHOOK_ALLOW", "10.0.0.0/8")
    own = UserSettings.read()
    assert (own.webhook_networks, own.webhook_tenants) == ("10.0.0.0/8", "*")
