"""Events of the running gateway: a phone's message at a webhook, in a stream, in the log."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from typing import Any

import httpx
import pytest
from event_receiver import Receiver
from running_gateway import Phone, RunningGateway, until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

KEY = "a secret"


def test_a_phones_messages_reach_a_webhook_in_order_however_the_receiver_behaves(
    gateway: RunningGateway, pair: tuple[tuple[str, Phone], tuple[str, Phone]], receiver: Receiver
) -> None:
    (session, phone), (_, friend) = pair
    hook = {
        "url": receiver.url,
        "events": ["message", "message.any", "message.ack", "session.status"],
        "hmac": {"key": KEY},
        "retries": {"policy": "constant", "delaySeconds": 0.5, "attempts": 50},
    }
    config = {"webhooks": [hook], "metadata": {"customer": "7"}}
    changed = gateway.api.put(f"/api/sessions/{session}", json={"config": config})
    changed.raise_for_status()
    gateway.working(session)

    with connect(
        gateway.state.url.replace("http", "ws")
        + f"/ws?session={session}&events=message&x-api-key={gateway.state.api_key}"
    ) as live:
        friend.post("/messages", to=phone.number, text="one")
        until(lambda: receiver.events("message"), what="the first message at the webhook")
        assert json.loads(live.recv(timeout=10))["payload"]["body"] == "one"
    (headers, body, _) = next(g for g in receiver.got if json.loads(g[1])["event"] == "message")
    delivered = json.loads(body)
    assert headers["X-Webhook-Hmac"] == hmac.new(KEY.encode(), body, hashlib.sha512).hexdigest()
    assert delivered["session"] == session
    assert delivered["metadata"] == {"customer": "7"}
    assert delivered["me"]["id"] == phone.chat
    assert delivered["payload"]["from"] == friend.chat
    assert delivered["payload"]["body"] == "one"

    receiver.broken = True
    texts = [f"while it is away {n}" for n in range(5)]
    for text in texts:
        friend.post("/messages", to=phone.number, text=text)
    until(
        lambda: any(
            hook["attempts"] > 0 for hook in gateway.api.get(f"/api/{session}/webhooks").json()
        ),
        what="a failed try",
    )
    receiver.broken = False
    until(lambda: len(receiver.events("message")) == 6, 60, "what came meanwhile")
    assert [e["payload"]["body"] for e in receiver.events("message")] == ["one", *texts]
    assert [e["payload"]["body"] for e in receiver.events("message.any")] == ["one", *texts]

    gateway.send(session, friend.chat, "out")
    until(
        lambda: any(e["payload"]["source"] == "api" for e in receiver.events("message.any")),
        what="the own message",
    )
    until(lambda: receiver.events("message.ack"), what="its receipt")
    seqs = [json.loads(body)["gateway"]["seq"] for _, body, _ in receiver.got]
    assert seqs == sorted(set(seqs)), "in order, nothing twice"

    pulled = gateway.api.get(f"/api/{session}/events", params={"limit": 1000}).json()["events"]
    assert [e["gateway"]["seq"] for e in pulled] == list(range(1, len(pulled) + 1))
    assert {e["id"] for e in receiver.events("message")} <= {e["id"] for e in pulled}


@pytest.mark.skipif(
    not os.environ.get("GATEWAY_SLOW_TESTS"), reason="megabytes: set GATEWAY_SLOW_TESTS"
)
def test_a_reader_that_does_not_read_is_cut_off_with_a_reason_and_can_go_on(
    gateway: RunningGateway, pair: tuple[tuple[str, Phone], tuple[str, Phone]]
) -> None:
    """Behind Serve's proxy, which takes everything: what waits there for one reader is bounded."""
    (session, phone), (_, friend) = pair
    already = gateway.api.get(f"/api/{session}/events", params={"limit": 1}).json()["newest"]
    # Twice in each of two events: a quarter of a megabyte.
    for _ in range(12):
        friend.post("/messages", to=phone.number, text="x" * 60_000)

    def newest() -> int:
        answer = gateway.api.get(f"/api/{session}/events", params={"limit": 1})
        return int(answer.json()["newest"])

    until(lambda: newest() >= already + 24, 60, "all of it in the log")
    last, query = newest(), f"x-api-key={gateway.state.api_key}"

    seen: list[int] = []
    cuts: list[Any] = []
    while not seen or seen[-1] < last:
        after = seen[-1] if seen else already
        url = f"{gateway.state.url}/api/{session}/events/stream?{query}&after={after}"
        with httpx.stream("GET", url, timeout=30) as stream:
            time.sleep(2)  # It reads nothing.
            size = 0
            for line in stream.iter_lines():
                size += len(line)
                if line.startswith("id: "):
                    seen.append(int(line[4:].partition("-")[0]))
                    if seen[-1] >= last:
                        break
                if "go on behind" in line:
                    cuts.append(line)
            assert size < 2_000_000
    assert seen == list(range(already + 1, last + 1)), "none missing, none twice"
    assert len(cuts) >= 2

    seen, cuts = [], []
    address = gateway.state.url.replace("http", "ws") + f"/ws?session={session}&{query}"
    while not seen or seen[-1] < last:
        with connect(f"{address}&after={seen[-1] if seen else already}", max_size=None) as socket:
            time.sleep(2)
            try:
                while not seen or seen[-1] < last:
                    seen.append(json.loads(socket.recv(timeout=30))["gateway"]["seq"])
            except ConnectionClosed as closed:
                cuts.append((closed.rcvd, seen[-1]))
    assert seen == list(range(already + 1, last + 1))
    assert len(cuts) >= 2
    for said, at in cuts:
        assert said is not None
        assert (said.code, said.reason) == (1013, f"Too slow. Go on behind {session} {at}")
