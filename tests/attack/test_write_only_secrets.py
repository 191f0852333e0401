"""Secrets of a session's configuration are written and never read back, by nobody."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import httpx
import pytest
from attack_front import Front

from client.events import event_source
from cluster.domain.config_secrets import MASK, masked, masked_url, unmasked
from cluster.domain.errors import Invalid
from cluster.domain.session import SessionRecord
from cluster.stores import Stores

SECRETS = (
    "hmac-secret-1",
    "Bearer hidden-2",
    "proxy-pass-3",
    "query-tok-4",
    "user-pw-5",
    "Xb7",
    "eng-secret",
)
CONFIG: dict[str, Any] = {
    "metadata": {"user.id": "123"},
    "webhooks": [
        {
            "url": "https://me:user-pw-5@a.example/hook?key=query-tok-4&x=query-tok-4#Xb7frag",
            "events": ["message"],
            "hmac": {"key": "hmac-secret-1"},
            "customHeaders": [
                {"name": "Authorization", "value": "Bearer hidden-2"},
                {"name": "X-Plain", "value": "also hidden-2"},
            ],
        },
        {"url": "https://hooks.a.example/services/T01/B02/Xb7qPzL0aKd81mNvRt5yWe2C", "events": []},
        {"url": "https://plain.example/hook", "events": ["*"]},
    ],
    "proxy": {"server": "8.8.8.8:3128", "username": "u", "password": "proxy-pass-3"},
    "gows": {"storage": {"messages": True, "apiToken": "eng-secret"}},
}


def test_the_mask_hides_every_secret_and_nothing_else() -> None:
    shown = masked(CONFIG)
    assert not [secret for secret in SECRETS if secret in str(shown)]
    assert shown["metadata"] == CONFIG["metadata"]
    assert shown["webhooks"][2] == CONFIG["webhooks"][2]
    assert (
        shown["webhooks"][0]["url"] == f"https://{MASK}@a.example/hook?key={MASK}&x={MASK}#{MASK}"
    )
    assert shown["webhooks"][1]["url"] == f"https://hooks.a.example/services/T01/B02/{MASK}"
    assert shown["proxy"]["username"] == "u"
    assert shown["gows"]["storage"] == {"messages": True, "apiToken": MASK}


def test_what_comes_back_is_what_was_there() -> None:
    assert unmasked(masked(CONFIG), CONFIG) == CONFIG
    assert unmasked(CONFIG, {}) == CONFIG, "without a mask nothing is looked up"
    changed = masked(CONFIG)
    changed["webhooks"] = [changed["webhooks"][1], changed["webhooks"][0]]
    changed["webhooks"][1]["events"] = ["*"]
    changed["webhooks"][1]["hmac"] = {"key": "a new one"}
    kept = unmasked(changed, CONFIG)
    assert kept["webhooks"][0] == CONFIG["webhooks"][1]
    assert kept["webhooks"][1] == CONFIG["webhooks"][0] | {
        "events": ["*"],
        "hmac": {"key": "a new one"},
    }


def _with(change: dict[str, Any], hook: int | None = 0) -> dict[str, Any]:
    shown = deepcopy(masked(CONFIG))
    (shown if hook is None else shown["webhooks"][hook]).update(change)
    return shown


@pytest.mark.parametrize(
    "stolen",
    [
        # Whoever may change settings must not have a secret sent to himself.
        _with({"url": "https://evil.example/hook"}),
        _with({"url": f"https://{MASK}@evil.example/hook?key={MASK}&x={MASK}#{MASK}"}),
        _with({"url": f"https://{MASK}@a.example/other?key={MASK}&x={MASK}#{MASK}"}),
        _with({"url": f"http://{MASK}@a.example/hook?key={MASK}&x={MASK}#{MASK}"}),
        _with({"url": f"https://{MASK}@a.example:8443/hook?key={MASK}&x={MASK}#{MASK}"}),
        _with({"url": "https://a.example/hook"}),
        _with({"customHeaders": [{"name": "X-Other", "value": MASK}]}),
        _with({"customHeaders": [{"name": "Authorization", "value": MASK} for _ in range(2)]}),
        _with({"hmac": {"key": MASK}}, 2),
        _with({"proxy": {"server": "evil.example:1", "username": "u", "password": MASK}}, None),
        _with({"proxy": {"server": "8.8.8.8:3128", "username": "v", "password": MASK}}, None),
        _with({"gows": {"other": {"apiToken": MASK}}}, None),
        {"webhooks": [{"url": "https://new.example", "events": [], "hmac": {"key": MASK}}]},
    ],
)
def test_a_secret_goes_nowhere_else(stolen: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        unmasked(stolen, CONFIG)


def test_of_several_alike_the_right_one_or_none() -> None:
    hooks = [{"url": f"https://a.example/?t={n}", "events": []} for n in (1, 2)]
    before: dict[str, Any] = {"webhooks": hooks}
    assert unmasked(masked(before), before) == before
    one = {"webhooks": masked(before)["webhooks"][1:]}
    with pytest.raises(Invalid, match="one of several"):
        unmasked(one, before)


@pytest.mark.parametrize(
    "text", ["", "x", "file:///a", "https://", "https://a?b", "//a@b", "https://a#b?c=d"]
)
def test_no_text_breaks_the_mask(text: str) -> None:
    masked_url(text)
    masked({"webhooks": [{"url": text, "customHeaders": 7, "hmac": "x"}, 7], "proxy": 5})


@pytest.mark.parametrize("config", ["x", [], {"webhooks": 7}, {"webhooks": [{"url": 3}]}])
async def test_a_poisoned_configuration_stops_no_list(
    front: Front, stores: Stores, victim: SessionRecord, config: Any
) -> None:
    """What an earlier version let in; nor the events of a tenant."""
    await stores.sessions.update_config(victim.id, config)
    for path in ("/api/sessions?all=true", f"/api/sessions/{victim.name}"):
        assert (await front.operator().get(path)).status_code == 200
    for record in await stores.sessions.list(victim.tenant):
        assert event_source(record, "http://gateway").metadata is not None


async def _of(front: Front, scope: str, session: str) -> httpx.AsyncClient:
    return front.with_token(tenant="default", sessions=[session], scope=scope)


@pytest.mark.parametrize("scope", ["read", "control", "setting", "session", "admin"])
async def test_no_answer_shows_a_secret(
    front: Front, stores: Stores, victim: SessionRecord, scope: str
) -> None:
    await stores.sessions.update_config(victim.id, CONFIG)
    client = await _of(front, scope, victim.name)
    seen = 0
    for path in (
        "/api/sessions?all=true",
        f"/api/sessions/{victim.name}",
        f"/api/{victim.name}/webhooks",
        f"/api/{victim.name}/webhooks/dead-letters",
    ):
        answer = await client.get(path)
        seen += answer.status_code == 200
        assert not [secret for secret in SECRETS if secret in answer.text], path
    assert seen


async def test_a_masked_configuration_comes_back_whole(
    front: Front, stores: Stores, victim: SessionRecord
) -> None:
    await stores.sessions.update_config(victim.id, CONFIG)
    shown = (await front.operator().get(f"/api/sessions/{victim.name}")).json()["config"]
    shown["metadata"] = {"note": "new"}
    answer = await front.operator().put(f"/api/sessions/{victim.name}", json={"config": shown})
    assert answer.status_code == 200, answer.text
    assert not [secret for secret in SECRETS if secret in answer.text]
    record = await stores.sessions.get_by_id(victim.id)
    assert record.config == CONFIG | {"metadata": {"note": "new"}}
    shown["webhooks"][0]["url"] = "https://evil.example/"
    answer = await front.operator().put(f"/api/sessions/{victim.name}", json={"config": shown})
    assert answer.status_code == 422, answer.text
    assert (await stores.sessions.get_by_id(victim.id)).config == record.config
    answer = await front.operator().post(
        f"/api/{victim.name}/webhooks/test",
        json={"config": shown["webhooks"][0] | {"events": ["message"]}},
    )
    assert answer.status_code == 422, answer.text


async def test_a_session_is_made_with_secrets_not_with_masks(front: Front, tenant: str) -> None:
    client = front.with_token(tenant=tenant, sessions="*", scope="admin")
    body = {"name": "a", "start": False, "config": masked(CONFIG)}
    assert (await client.post("/api/sessions", json=body)).status_code == 422


async def test_what_goes_along_with_every_event_is_bounded(front: Front, stores: Stores) -> None:
    hook = {"url": "https://a.example/", "events": ["message"]}
    for config in (
        {"webhooks": [hook] * 33},
        {"metadata": {"a": "x" * 20_000}},
        {"noweb": {"a": "x" * 300_000}},
        {"webhooks": [hook | {"events": ["message"] * 100}]},
        {"webhooks": [hook | {"customHeaders": [{"name": "X", "value": "v"}] * 33}]},
        {"webhooks": [hook | {"hmac": {"key": "x" * 2000}}]},
    ):
        answer = await front.operator().post(
            "/api/sessions", json={"name": "never", "start": False, "config": config}
        )
        assert answer.status_code == 422, answer.text
    assert not [r for r in await stores.sessions.list("default") if r.name == "never"]
