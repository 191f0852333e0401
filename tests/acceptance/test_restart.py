"""Down and up again: no new QR code, and both directions still deliver."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import psutil
from running_gateway import RunningGateway, until

from actors.zygote.launch import zygotes
from ops.local.layout import Layout
from ops.local.state import State

#: Serve's own, and the raylet's agent.
_FORKED = "ray::(Serve|Proxy|RuntimeEnvAgent)"


def _is_lean(gateway: RunningGateway) -> None:
    """Unasked there is no dashboard, nothing of Ray's that has nothing to do, and what can be a
    fork is one."""
    state = State.read(Layout.at(gateway.data).state)
    assert state is not None
    assert not state.dashboard_url
    assert state.parts[-1].node_id
    running = {}
    for one in psutil.Process(state.host.pid).children(recursive=True):
        # What ends meanwhile is not meant.
        with contextlib.suppress(psutil.Error):
            running[one.pid] = (one.name(), " ".join(one.cmdline()), one.ppid())
    titles = [title for _, title, _ in running.values()]
    assert not [one for one in titles if re.search(r"dashboard(/|-|\.py)|monitor\.py|Dashb", one)]
    assert len([one for one in titles if "WebhookDispatcher" in one]) == 1, titles
    raylets = {pid for pid, (name, _, _) in running.items() if name == "raylet"}
    # A fork is not the raylet's child.
    serve = [by for _, title, by in running.values() if re.match(_FORKED, title)]
    assert len(serve) >= 3, titles
    assert raylets, titles
    assert raylets.isdisjoint(serve), titles
    # That of Serve's processes began before they did, and is the one that they asked for.
    assert len(zygotes(Layout.at(gateway.data).node("node-1"))) == 2, titles


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
