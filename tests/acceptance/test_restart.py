"""Down and up again: no new QR code, and both directions still deliver."""

from __future__ import annotations

from pathlib import Path

import psutil
from running_gateway import RunningGateway, until

from cluster.local.layout import Layout
from cluster.local.state import State


def _is_lean(gateway: RunningGateway) -> None:
    """Unasked there is no dashboard, nothing of Ray's that has nothing to do, and what can be a
    fork is one."""
    state = State.read(Layout.at(gateway.data).state)
    assert state is not None
    assert not state.dashboard_url
    assert state.parts[-1].node_id
    host = psutil.Process(state.host.pid)
    commands = [" ".join(one.cmdline()) for one in host.children(recursive=True)]
    told = [one for one in commands if "dashboard" in one.lower() or "monitor.py" in one]
    assert not [one for one in told if "--dashboard" not in one], told
    ours = [one for one in host.children(recursive=True) if one.name().startswith("ray::")]
    titles = [" ".join(one.cmdline()) for one in ours]
    assert len([one for one in titles if "WebhookDispatcher" in one]) == 1, titles
    serve = [one for one in ours if "::Serve" in one.name() or "::Proxy" in one.name()]
    assert len(serve) >= 3, titles
    # A fork's program is its zygote's, whose argument it is; Ray starts others by default_worker.
    assert {one.ppid() for one in serve}.isdisjoint({_raylet(host)}), titles


def _raylet(host: psutil.Process) -> int:
    return next(one.pid for one in host.children(recursive=True) if one.name() == "raylet")


def test_sessions_survive_a_restart_of_everything(data_folder: Path) -> None:
    gateway = RunningGateway(data_folder / "restart", nodes=1).up()
    try:
        phone, friend = gateway.phone("Alice"), gateway.phone("Friend")
        gateway.paired("alice", phone)
        gateway.send("alice", friend.chat, "before")
        until(lambda: friend.texts() == ["before"])
        before = gateway.info("alice")["gateway"]
        _is_lean(gateway)
        gateway.down()
        assert gateway.command("status", check=False)
        gateway.up()
        after = gateway.working("alice")["gateway"]
        assert after["epoch"] > before["epoch"], "a new owner, fenced from the old one"
        # The phones forgot nothing: they are the same ones, in the sandbox's own store.
        phone.control = friend.control = gateway.control
        gateway.send("alice", friend.chat, "after")
        until(lambda: friend.texts() == ["before", "after"], what="out")
        friend.post("/messages", to=phone.number, text="and back")
        until(
            lambda: any(m["body"] == "and back" for m in gateway.history("alice", friend.chat)),
            what="in",
        )
        assert len(phone.devices()) == 1, "the same linked device, no second one"
    finally:
        gateway.down()
