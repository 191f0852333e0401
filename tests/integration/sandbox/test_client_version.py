"""A version that WhatsApp turns away, and a newer one that the operator presents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from linked import Start
from waiting import stays

from sandbox.app import Sandbox
from sandbox.phone.phone import Phone
from sandbox.server.faults import Fault

NEWER = "2.3000.1999999999"


def hellos(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [entry for entry in sandbox.server.journal.entries if entry["kind"] == "hello"]


async def test_a_newer_version_goes_on_without_linking_again(
    sandbox: Sandbox, alice: Phone, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "device.db"
    device = await start(store)
    await device.connect()
    await alice.scan((await device.event("QrShown"))["text"])
    await device.event("Connected")
    await device.kill()
    own = hellos(sandbox)[0]
    assert own["build_hash"] == "right"

    sandbox.server.faults.add(Fault(kind="refuse_version", version=NEWER))
    device = await start(store)
    before = len(hellos(sandbox))
    await device.connect()
    failed = await device.event("Failed")
    assert not failed["temporary"]
    assert own["version"] in failed["reason"]
    assert "WHATSAPP_CLIENT_VERSION" in failed["reason"]
    # The library does not try again by itself.
    await stays(lambda: len(hellos(sandbox)) == before + 1, 3)
    await device.kill()

    monkeypatch.setenv("WHATSAPP_CLIENT_VERSION", NEWER)
    device = await start(store)
    await device.connect()
    await device.event("Connected")
    assert hellos(sandbox)[-1]["version"] == NEWER
    assert await device.send(f"{alice.number}@s.whatsapp.net", "still here")


async def test_a_device_is_linked_under_the_presented_version(
    sandbox: Sandbox, alice: Phone, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHATSAPP_CLIENT_VERSION", NEWER)
    sandbox.server.faults.add(Fault(kind="refuse_version", version=NEWER))
    device = await start(tmp_path / "device.db")
    await device.connect()
    await alice.scan((await device.event("QrShown"))["text"])
    await device.event("Connected")
    presented = hellos(sandbox)
    assert {hello["version"] for hello in presented} == {NEWER}
    assert presented[0]["build_hash"] == "right"
