"""A session's process dies: its successor finishes what was accepted, and loses nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import psutil
from running_gateway import RunningGateway, until


def owner_of(gateway: RunningGateway, session: str) -> int:
    """Pid of the session's process: its actor's name is in Ray's process title."""
    for part in gateway.state.parts:
        if not part.name.startswith("node-") or part.process is None:
            continue
        for child in psutil.Process(part.process.pid).children(recursive=True):
            try:
                title = " ".join(child.cmdline())
            except psutil.NoSuchProcess:
                continue
            if title.startswith("ray::") and f":{session}" in title:
                return child.pid
    raise AssertionError(f"no process of {session}")


def test_a_killed_owner_is_followed_by_one_that_loses_nothing(
    gateway: RunningGateway, session_name: Callable[[], str]
) -> None:
    name, phone, friend = session_name(), gateway.phone("Owner"), gateway.phone("Friend")
    epoch = gateway.paired(name, phone)["gateway"]["epoch"]
    gateway.send(name, friend.chat, "before")
    until(lambda: friend.texts() == ["before"])
    friend.post("/messages", to=phone.number, text="answer")
    pid = until(lambda: owner_of(gateway, name))
    os.kill(pid, signal.SIGKILL)
    # Carried over the takeover: neither refused nor doubled.
    gateway.send(name, friend.chat, "during")
    after = gateway.working(name)["gateway"]
    assert after["epoch"] > epoch
    until(lambda: friend.texts() == ["before", "during"])
    friend.post("/messages", to=phone.number, text="late answer")
    until(
        lambda: {"answer", "late answer"} <= {m["body"] for m in gateway.history(name, friend.chat)}
    )
    state = gateway.control.get("/state").json()
    device = f"{phone.number}:{phone.devices()[0]['device']}"
    assert state["most_connections"][device] == 1
