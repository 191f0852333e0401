"""Sessions that share processes: both ways, crash, drain, stop and start; its own gateway."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from running_gateway import Phone, RunningGateway, until

from ops.local.generated_secrets import ray_token
from ops.local.layout import Layout

_numbers = itertools.count(1)
_SESSIONS = 6
pytestmark = pytest.mark.skipif(
    not os.environ.get("GATEWAY_SLOW_TESTS"),
    reason="minutes of its own gateway: GATEWAY_SLOW_TESTS",
)


@pytest.fixture(scope="module")
def gateway(data_folder: Path) -> Iterator[RunningGateway]:
    """Its own: it is packed."""
    running = RunningGateway(
        data_folder / "packed",
        environment={"PLACEMENT_SESSIONS_PER_ACTOR": "10", "PLACEMENT_MOVES_PER_SECOND": "5"},
        dashboard=True,
    )
    try:
        yield running.up()
    finally:
        running.down()


@pytest.fixture(scope="module")
def phones(gateway: RunningGateway) -> dict[str, Phone]:
    """Session → its own phone."""
    found = {f"packed{n}": gateway.phone(f"packed{n}") for n in range(_SESSIONS)}
    for session, phone in found.items():
        gateway.paired(session, phone)
    return found


@pytest.fixture(scope="module")
def friend(gateway: RunningGateway) -> Phone:
    return gateway.phone("friend")


def _place(gateway: RunningGateway, session: str) -> tuple[str, str]:
    """Its actor and node."""
    found = gateway.info(session)["gateway"]
    return str(found["actor"]), str(found["node"])


def _pids(gateway: RunningGateway) -> dict[str, int]:
    """Process of each living host, by Ray's state API."""
    answer = httpx.get(
        f"{gateway.state.dashboard_url}/api/v0/actors",
        params={"detail": "1", "limit": "1000"},
        headers={"Authorization": f"Bearer {ray_token(Layout.at(gateway.data).secrets)[1]}"},
        timeout=10,
    )
    rows = answer.raise_for_status().json()["data"]["result"]["result"]
    return {
        row["name"]: row["pid"]
        for row in rows
        if row["name"].startswith("host:") and row["state"] == "ALIVE"
    }


def _round(gateway: RunningGateway, sessions: dict[str, Phone], friend: Phone) -> None:
    """A text out of each session and one into it, asserted at the other end."""
    wanted: dict[str, str] = {}
    for session, phone in sessions.items():
        out, back = f"out {next(_numbers)}", f"in {next(_numbers)}"
        gateway.send(session, friend.chat, out)
        friend.post("/messages", to=phone.number, text=back)
        wanted[session] = back
        until(lambda out=out: out in friend.texts(), 30, f"{out} of {session}")  # type: ignore[misc]
    for session, back in wanted.items():
        until(lambda s=session, b=back: b in _bodies(gateway, s, friend), 30, back)  # type: ignore[misc]


def _bodies(gateway: RunningGateway, session: str, friend: Phone) -> list[str]:
    answer = gateway.api.get(f"/api/{session}/chats/{friend.chat}/messages", params={"limit": 1000})
    return [message["body"] for message in answer.raise_for_status().json()]


@contextmanager
def _sending(
    gateway: RunningGateway, sessions: dict[str, Phone], friend: Phone
) -> Iterator[tuple[list[str], list[str], list[str]]]:
    """Each session sends to the friend, and the friend to each, all the while: (accepted, failed,
    sent by the friend)."""
    over = threading.Event()
    accepted: list[str] = []
    failed: list[str] = []
    received: list[str] = []

    def run(session: str, phone: Phone) -> None:
        state = gateway.state
        headers = {"X-Api-Key": state.api_key}
        with httpx.Client(base_url=state.url, headers=headers, timeout=60) as api:
            while not over.is_set():
                text = f"{session} {next(_numbers)}"
                body = {"session": session, "chatId": friend.chat, "text": text}
                answer = api.post("/api/sendText", json=body)
                if answer.status_code == 201:
                    accepted.append(text)
                else:
                    failed.append(f"{answer.status_code} {answer.text}")
                text = f"to {session} {next(_numbers)}"
                friend.post("/messages", to=phone.number, text=text)
                received.append(text)
                over.wait(0.3)

    threads = [threading.Thread(target=run, args=pair) for pair in sessions.items()]
    for thread in threads:
        thread.start()
    try:
        yield accepted, failed, received
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _all_there(
    gateway: RunningGateway,
    sessions: dict[str, Phone],
    friend: Phone,
    accepted: list[str],
    received: list[str],
) -> None:
    until(lambda: set(accepted) <= set(friend.texts()), 45, "all that was accepted")
    # What a killed process had sent and not noted goes out again, as the same message.
    arrived = {(one["text"], one["id"]) for one in friend.inbox() if one["text"] in set(accepted)}
    assert len(arrived) == len(set(accepted)), "once"

    def stored() -> bool:
        return {text for session in sessions for text in _bodies(gateway, session, friend)} >= set(
            received
        )

    until(stored, 45, "all that the friend sent")


def test_sessions_share_processes_on_both_nodes_and_speak_both_ways(
    gateway: RunningGateway, phones: dict[str, Phone], friend: Phone
) -> None:
    places = {session: _place(gateway, session) for session in phones}
    assert len({actor for actor, _ in places.values()}) == 2
    assert len({node for _, node in places.values()}) == 2
    _round(gateway, phones, friend)


def test_a_killed_process_comes_back_with_all_its_sessions_and_nothing_lost(
    gateway: RunningGateway, phones: dict[str, Phone], friend: Phone
) -> None:
    pids = _pids(gateway)
    victim = _place(gateway, next(iter(phones)))[0]
    with _sending(gateway, phones, friend) as (accepted, failed, received):
        time.sleep(2)
        began = time.monotonic()
        os.kill(pids[victim], signal.SIGKILL)
        until(lambda: _pids(gateway).get(victim, pids[victim]) != pids[victim], 60, victim)
        for session in phones:
            gateway.working(session)
        sys.stdout.write(f"host back after {time.monotonic() - began:.1f} s\n")
        time.sleep(2)
    sys.stdout.write(f"{len(accepted)} accepted, {len(failed)} refused, {failed[:3]}\n")
    _all_there(gateway, phones, friend, accepted, received)
    assert all(len(phone.devices()) == 1 for phone in phones.values())


def test_one_session_is_stopped_and_started_in_the_same_process_while_others_go_on(
    gateway: RunningGateway, phones: dict[str, Phone], friend: Phone
) -> None:
    one, *others = phones
    rest = {session: phones[session] for session in others}
    before = _pids(gateway)
    with _sending(gateway, rest, friend) as (accepted, failed, received):
        for _ in range(3):
            gateway.api.post(f"/api/sessions/{one}/stop").raise_for_status()
            assert gateway.info(one)["status"] == "STOPPED"
            gateway.api.post(f"/api/sessions/{one}/start").raise_for_status()
            gateway.working(one)
    assert failed == []
    _all_there(gateway, rest, friend, accepted, received)
    assert _pids(gateway) == before
    _round(gateway, {one: phones[one]}, friend)
    # Linked anew in the same process.
    gateway.api.post(f"/api/sessions/{one}/logout").raise_for_status()
    until(lambda: phones[one].devices() == [], 20, "unlinked")
    gateway.api.post(f"/api/sessions/{one}/start").raise_for_status()
    phones[one].post("/scan", qr=gateway.qr(one))
    gateway.working(one)
    _round(gateway, {one: phones[one]}, friend)
    assert _pids(gateway) == before


def test_a_node_is_drained_under_traffic_and_filled_again_by_itself(
    gateway: RunningGateway, phones: dict[str, Phone], friend: Phone
) -> None:
    def nodes() -> dict[str, int]:
        found = [_place(gateway, session)[1] for session in phones]
        return {node: found.count(node) for node in found}

    assert len(nodes()) == 2
    with _sending(gateway, phones, friend) as (accepted, failed, received):
        began = time.monotonic()
        assert "is empty" in gateway.command("drain", "node-2", "--timeout", "90")
        sys.stdout.write(f"drained in {time.monotonic() - began:.1f} s\n")
        assert len(nodes()) == 1
        gateway.command("undrain", "node-2")
        # Rebalancing: half of them go back.
        until(lambda: sorted(nodes().values()) == [3, 3], 60, "evenly spread")
        for session in phones:
            gateway.working(session)
    assert failed == []
    _all_there(gateway, phones, friend, accepted, received)
    assert gateway.overlaps() == []
    assert all(len(phone.devices()) == 1 for phone in phones.values())
