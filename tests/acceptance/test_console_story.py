"""The console as a person uses it: in a real browser, with virtual phones on the other side."""

from __future__ import annotations

import io
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from console_browser import DESKTOP, PHONE, Console, console
from PIL import Image, ImageDraw
from playwright.sync_api import expect
from running_gateway import RunningGateway, until

from ops.embedded.process import ProcessId
from ops.local.layout import Layout
from ops.local.state import State

HEAD = "node-1"
ALICE, BOB = "4915100000101", "4915100000102"
SLOW = pytest.mark.skipif(
    not os.environ.get("GATEWAY_SLOW_TESTS"), reason="minutes with a browser: GATEWAY_SLOW_TESTS"
)


@SLOW
def test_log_in_create_scan_and_chat(
    gateway: RunningGateway, tmp_path: Path, session_name: Callable[[], str]
) -> None:
    """The short story, on the gateway of the other tests."""
    name = session_name()
    alice, bob = gateway.phone("Alice"), gateway.phone("Bob")
    with console(gateway, tmp_path) as window:
        page = window.page
        window.open()
        window.log_in("a-key-of-nobody")
        expect(page.get_by_role("alert")).to_contain_text("not taken")
        window.log_in()
        window.create(name)
        window.scan(alice.number)
        page.get_by_role("button", name="Open chats").click()
        expect(page.locator(".session-head [data-status=WORKING]")).to_be_visible()
        bob.post("/messages", to=alice.number, text="Anybody there?")
        page.locator(".chat-list").get_by_text("Anybody there?").click()
        bubble = window.say("Right here")
        until(lambda: "Right here" in bob.texts(), what="the answer")
        expect(bubble.locator("[data-ack]")).to_have_attribute("data-ack", "2")
        bob.post("/read", message_ids=[bob.inbox()[-1]["id"]])
        expect(bubble.locator("[data-ack]")).to_have_attribute("data-ack", "3")
        page.get_by_role("link", name="Events").click()
        expect(page.locator("[data-event='message.ack']").first).to_be_visible()
        window.size(PHONE)
        assert not window.too_wide()
        assert not window.complaints
        assert window.hosts == {gateway.state.url.split("/")[2]}, "and nobody else"


@pytest.fixture
def own_gateway() -> Iterator[RunningGateway]:
    with tempfile.TemporaryDirectory(prefix="gw-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        running = RunningGateway(Path(folder) / "data")
        try:
            yield running.up()
        finally:
            running.down()


@SLOW
def test_the_whole_story(own_gateway: RunningGateway, tmp_path: Path) -> None:
    """Also makes the pictures of the docs, with GATEWAY_SCREENSHOTS."""
    with console(own_gateway, tmp_path) as window:
        _log_in(window)
        _link(window)
        _company(window)
        _talk(window)
        _send_a_picture(window, tmp_path)
        _lose_the_node(window)
        _drain(window)
        _move(window)
        _look(window)
        assert not window.complaints
        assert len(window.hosts) == 1


def _log_in(window: Console) -> None:
    window.open()
    window.picture("login")
    window.log_in()
    expect(window.page.get_by_role("heading", name="No session yet")).to_be_visible()


def _link(window: Console) -> None:
    window.add_phone("Alice", ALICE)
    window.add_phone("Bob", BOB)
    window.create("support")
    window.picture("link")
    # The keyboard stays inside the dialog.
    for _ in range(12):
        window.page.keyboard.press("Tab")
        assert window.page.evaluate(
            "document.activeElement === document.body || "
            "Boolean(document.activeElement.closest('dialog'))"
        )
    window.scan(ALICE)
    window.page.get_by_role("button", name="Open chats").click()
    expect(window.page.locator(".session-head [data-status=WORKING]")).to_be_visible()


def _company(window: Console) -> None:
    """Other sessions, so that the pages look as they do in life."""
    gateway = window.gateway
    for session, person in (("sales", "Carol"), ("alerts", "Dora"), ("billing", "Erik")):
        gateway.paired(session, gateway.phone(person))
    gateway.api.post("/api/sessions/billing/stop")
    gateway.api.post("/api/sessions", json={"name": "new-shop"})


def _talk(window: Console) -> None:
    page = window.page
    window.dock.get_by_text("Bob").click()
    window.dock.get_by_label("Chat with").select_option(ALICE)
    window.say_on_phone("Hi! Where is my order 1042?")
    page.locator(".chat-list").get_by_text("Where is my order").click()
    window.say("Good morning, let me look.")
    answered = window.say("It left our warehouse an hour ago and arrives today.")
    expect(answered.locator("[data-ack]")).to_have_attribute("data-ack", "3")
    expect(window.dock.get_by_text("arrives today")).to_be_visible()


def _send_a_picture(window: Console, folder: Path) -> None:
    file = folder / "parcel.jpg"
    file.write_bytes(_parcel())
    page = window.page
    page.get_by_label("File", exact=True).set_input_files(str(file))
    bubble = window.say("Here it is")
    expect(bubble.locator("img")).to_be_visible()
    expect(bubble.locator("[data-ack]")).to_have_attribute("data-ack", "3")
    expect(window.dock.locator(".bubble.in img")).to_be_visible()
    window.say_on_phone("Wonderful, thank you!")
    expect(page.locator(".conversation .bubble.in", has_text="Wonderful")).to_be_visible()
    window.picture("chat")


def _parcel() -> bytes:
    """A picture that one can recognise: a parcel on a table."""
    shown = Image.new("RGB", (480, 270), "#dfeaf2")
    draw = ImageDraw.Draw(shown)
    draw.rectangle((0, 200, 480, 270), fill="#b98f63")
    draw.polygon([(130, 96), (240, 66), (350, 96), (240, 130)], fill="#d9ab74")
    draw.polygon([(130, 96), (240, 130), (240, 236), (130, 196)], fill="#c6935a")
    draw.polygon([(350, 96), (240, 130), (240, 236), (350, 196)], fill="#b07f49")
    draw.polygon([(180, 82), (196, 78), (304, 112), (290, 116)], fill="#f1e3cd")
    draw.rectangle((152, 136, 204, 168), fill="#f7f3ea")
    out = io.BytesIO()
    shown.save(out, "JPEG", quality=90)
    return out.getvalue()


def _lose_the_node(window: Console) -> None:
    """Kill the node that owns the session, while both sides go on."""
    if window.figure("node") == HEAD:
        # The head of the local cluster also serves the page.
        window.gateway.api.post(f"/api/cluster/nodes/{HEAD}/drain").raise_for_status()
        until(lambda: window.figure("node") not in {HEAD, "–"}, 60, "the other node")
        window.gateway.api.post(f"/api/cluster/nodes/{HEAD}/undrain").raise_for_status()
    before, epoch = window.figure("node"), int(window.figure("epoch"))
    page = window.page
    asked = page.locator(".conversation .bubble.in", has_text="One more thing")
    working = page.locator(".session-head [data-status=WORKING]")
    with window.filmed("takeover") as film:
        film.words = f"Session “support” runs on {before}."
        film.hold(1.5)
        _kill(window.gateway, before)
        film.words = f"kill -9: {before} is gone, and the customer goes on writing."
        bob = {"to": ALICE, "text": "One more thing"}
        window.gateway.control.post(f"/phones/{BOB}/messages", json=bob).raise_for_status()
        until(lambda: film.frame() or int(window.figure("epoch")) > epoch, 90, "another owner")
        film.words = f"{window.figure('node')} takes the session over, from its checkpoint."
        until(lambda: film.frame() or (asked.count() and working.count()), 90, "what was written")
        film.words = "Nothing is lost, nothing is scanned again."
        film.hold(1.0)
        bubble = window.say("Still here, on another node.")
        read = "[data-ack='3']"
        until(lambda: film.frame() or bubble.locator(read).count(), 60, "it was read")
        film.hold(0.5)
    size = window.kept("console-takeover.webp").stat().st_size
    assert size < 1_000_000, "it opens the README"


def _kill(gateway: RunningGateway, node: str) -> None:
    """End the node's processes, by the ids that the gateway recorded."""
    state = State.read(Layout.at(gateway.data).state)
    assert state is not None
    found: list[ProcessId] = [
        process for part in state.parts if part.name.endswith(node) for process in part.family
    ]
    assert found, f"no part of {node}: {[part.name for part in state.parts]}"
    for process in found:
        if process.alive:
            os.kill(process.pid, signal.SIGKILL)


def _drain(window: Console) -> None:
    page = window.page
    page.get_by_role("link", name="Cluster").click()
    expect(page.locator("[data-move=takeover][data-session=support]").first).to_be_visible()
    until(lambda: page.locator("[data-node]").count() == 2, 60, "the killed node, started again")
    window.picture("cluster")
    owned = page.locator("[data-node]").filter(has=page.get_by_text("support", exact=True))
    name = str(owned.get_attribute("data-node"))
    owned.get_by_role("button", name="Drain").click()
    page.get_by_role("dialog").get_by_role("button", name="Drain").click()
    drained = page.locator(f"[data-node='{name}']")
    expect(drained.get_by_text("No sessions here.")).to_be_visible(timeout=90_000)
    expect(page.locator("[data-move=handover][data-session=support]").first).to_be_visible()
    drained.get_by_role("button", name="Take sessions").click()
    expect(drained.get_by_role("button", name="Drain")).to_be_visible()


def _move(window: Console) -> None:
    """Chosen in the table, and moved there."""
    page = window.page
    page.get_by_role("link", name="Sessions").click()
    page.get_by_role("button", name="Table").click()
    row = page.locator("tr[data-session=support]")
    expect(row.locator("[data-status=WORKING]")).to_be_visible()
    before = _owned(window)["epoch"]
    row.get_by_role("checkbox").check()
    page.get_by_role("toolbar").get_by_role("button", name="Move").click()
    page.get_by_role("dialog").get_by_role("button", name="Move").click()
    expect(page.get_by_text("1 session moved")).to_be_visible(timeout=90_000)
    until(lambda: _owned(window)["epoch"] > before, 60, "another owner")
    owned = _owned(window)
    assert (owned["kind"], owned["node"] != owned["previousNode"]) == ("handover", True)
    shown = row.locator(".of-node")

    def named() -> Any:
        return window.gateway.api.get("/api/vitals?sessions=support").json()[0]["nodeName"]

    until(lambda: shown.inner_text() == named(), 60, "the other node, shown")
    expect(row.locator("[data-status=WORKING]")).to_be_visible()
    page.get_by_role("button", name="Cards").click()


def _owned(window: Console) -> dict[str, Any]:
    """How "support" came to its owner."""
    ownerships = window.gateway.api.get("/api/cluster/ownerships").json()
    return next(one for one in ownerships if one["session"] == "support")


def _look(window: Console) -> None:
    """Light and dark, wide and narrow."""
    page = window.page
    page.get_by_role("link", name="Sessions").click()
    expect(page.locator("[data-session=support] [data-status=WORKING]")).to_be_visible()
    expect(page.locator("[data-session=new-shop] [data-status=SCAN_QR_CODE]")).to_be_visible()
    window.picture("sessions")
    window.theme("Dark")
    window.picture("sessions-dark")
    page.get_by_role("link", name="support", exact=True).click()
    page.locator(".chat-list .chat-entry").first.click()
    expect(page.locator(".session-head [data-status=WORKING]")).to_be_visible()
    window.picture("chat-dark")
    window.size(PHONE)
    window.picture("phone-chat")
    assert not window.too_wide()
    for place, name in (("#/", "sessions"), ("#/cluster", "cluster"), ("#/phones", "phones")):
        window.open(place)
        page.wait_for_timeout(700)
        window.picture(f"phone-{name}")
        assert not window.too_wide(), place
    window.size(DESKTOP)
    window.open("#/sessions/support/events")
    expect(page.locator("[data-event='message.ack']").first).to_be_visible()
    window.picture("events-dark")
    window.theme("System")
    window.open("#/sessions/support/settings")
    expect(page.get_by_role("heading", name="Webhooks")).to_be_visible()
    window.picture("settings")
