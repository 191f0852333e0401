"""While a killed session is taken over, sends are accepted at once, and go out once, in order."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable

import httpx
import pytest
from running_gateway import RunningGateway, until

from ops.local.generated_secrets import ray_token
from ops.local.layout import Layout

pytestmark = pytest.mark.skipif(
    not os.environ.get("GATEWAY_SLOW_TESTS"), reason="half a minute: GATEWAY_SLOW_TESTS"
)


def _pid(gateway: RunningGateway, actor: str) -> int:
    answer = httpx.get(
        f"{gateway.state.dashboard_url}/api/v0/actors",
        params={"detail": "1", "limit": "1000"},
        headers={"Authorization": f"Bearer {ray_token(Layout.at(gateway.data).secrets)[1]}"},
        timeout=10,
    )
    rows = answer.raise_for_status().json()["data"]["result"]["result"]
    return next(int(row["pid"]) for row in rows if row["name"] == actor and row["state"] == "ALIVE")


def test_sends_are_accepted_while_a_killed_owner_is_replaced(
    gateway: RunningGateway, session_name: Callable[[], str]
) -> None:
    session, phone, friend = session_name(), gateway.phone("Own"), gateway.phone("Friend")
    gateway.paired(session, phone)
    assert gateway.send(session, friend.chat, "before")["gateway"]["state"] == "sent"
    before = gateway.info(session)["gateway"]
    os.kill(_pid(gateway, before["actor"]), signal.SIGKILL)

    texts, states, took = ["before"], [], []
    deadline = time.monotonic() + 90
    while True:
        text = f"after the kill {len(texts)}"
        headers = {"Idempotency-Key": f"{session} {text}"}
        body = {"session": session, "chatId": friend.chat, "text": text}
        answers = []
        for _ in range(2):
            began = time.monotonic()
            answers.append(gateway.api.post("/api/sendText", json=body, headers=headers))
            took.append(time.monotonic() - began)
        assert [one.status_code for one in answers] == [201, 201], [one.text for one in answers]
        first, again = (one.json() for one in answers)
        assert first["id"] == again["id"]
        assert again["gateway"]["replayed"]
        texts.append(text)
        states.append(first["gateway"]["state"])
        if states[-1] == "sent" and "accepted" in states:
            break
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert gateway.info(session)["gateway"]["epoch"] > before["epoch"]
    print(f"{states.count('accepted')} accepted without an owner; seconds: {took}")  # noqa: T201
    assert statistics.median(took) < 1
    until(lambda: friend.texts()[-1:] == texts[-1:], what="the last one")
    # Once each under its id, in the order in which they were accepted.
    ids = [entry["id"] for entry in friend.inbox()]
    first_seen = [
        entry["text"] for n, entry in enumerate(friend.inbox()) if entry["id"] not in ids[:n]
    ]
    assert first_seen == texts
