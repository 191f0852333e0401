"""Down and up again: no new QR code, and both directions still deliver."""

from __future__ import annotations

from pathlib import Path

from running_gateway import RunningGateway, until


def test_sessions_survive_a_restart_of_everything(data_folder: Path) -> None:
    gateway = RunningGateway(data_folder / "restart", nodes=1).up()
    try:
        phone, friend = gateway.phone("Alice"), gateway.phone("Friend")
        gateway.paired("alice", phone)
        gateway.send("alice", friend.chat, "before")
        until(lambda: friend.texts() == ["before"])
        before = gateway.info("alice")["gateway"]
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
