"""The console's forms in a real browser: a pairing code, settings, webhooks and dead letters."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from console_browser import console
from event_receiver import Receiver
from playwright.sync_api import expect
from running_gateway import RunningGateway, until

pytestmark = pytest.mark.skipif(
    not os.environ.get("GATEWAY_SLOW_TESTS"), reason="minutes with a browser: GATEWAY_SLOW_TESTS"
)


def test_a_phone_is_linked_by_a_pairing_code(
    gateway: RunningGateway, tmp_path: Path, session_name: Callable[[], str]
) -> None:
    name, alice = session_name(), gateway.phone("Alice")
    with console(gateway, tmp_path) as window:
        page = window.page
        window.open()
        window.log_in()
        window.create(name)
        page.get_by_role("tab", name="Pairing code").click()
        page.get_by_label("Number of the phone").fill(f"+{alice.number}")
        page.get_by_role("button", name="Get a code").click()
        code = page.get_by_label("Pairing code", exact=True).inner_text()
        alice.post("/link-code", code=code)
        expect(page.get_by_role("heading", name="Linked")).to_be_visible()
        assert gateway.working(name)["me"]["id"] == alice.chat
        assert not window.complaints


def test_settings_are_saved_and_dead_letters_go_out_again(
    gateway: RunningGateway,
    tmp_path: Path,
    session_name: Callable[[], str],
    receiver: Receiver,
) -> None:
    name, alice, bob = session_name(), gateway.phone("Alice"), gateway.phone("Bob")
    gateway.paired(name, alice)
    with console(gateway, tmp_path) as window:
        page = window.page
        window.open()
        window.log_in()
        window.open(f"#/sessions/{name}/settings")
        page.get_by_role("button", name="Add").click()
        page.get_by_label("URL").fill(receiver.url)
        page.get_by_label("Events").fill("message")
        page.get_by_label("Stories").check()
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Saved; the session restarts with it")).to_be_visible()
        stored = gateway.info(name)["config"]
        assert stored["webhooks"][0]["url"] == receiver.url
        assert stored["ignore"]["status"] is True

        # What the form has no field for: a receiver that gives up after two tries.
        page.get_by_role("button", name="Edit as JSON").click()
        stored["webhooks"][0]["retries"] = {
            "policy": "constant",
            "delaySeconds": 0.2,
            "attempts": 2,
        }
        text = page.get_by_label("Configuration")
        text.fill("{")
        expect(page.get_by_role("button", name="Save")).to_be_disabled()
        text.fill(json.dumps(stored))
        page.get_by_role("button", name="Save").click()
        until(
            lambda: gateway.info(name)["config"]["webhooks"][0].get("retries"),
            what="the configuration as it was edited",
        )
        gateway.working(name)

        page.get_by_role("link", name="Webhooks").click()
        page.get_by_role("button", name="Send a test").click()
        expect(page.get_by_text("Taken: 200")).to_be_visible()
        receiver.broken = True
        for word in ("first", "second"):
            bob.post("/messages", to=alice.number, text=word)
        dead = page.locator("section", has=page.get_by_role("heading", name="Dead letters"))
        expect(dead.get_by_role("row")).to_have_count(3)
        expect(
            page.locator("section", has_text="Deliveries").get_by_text("500").first
        ).to_be_visible()
        receiver.broken = False
        dead.get_by_role("button", name="Replay", exact=True).first.click()
        expect(page.get_by_text("1 event goes out again")).to_be_visible()
        expect(dead.get_by_role("row")).to_have_count(2)
        dead.get_by_role("button", name="Replay all").click()
        expect(dead).to_have_count(0)

        def bodies() -> Any:
            return {e["payload"]["body"] for e in receiver.events("message")}

        until(lambda: bodies() == {"first", "second"}, what="both, after all")
        assert not window.complaints
