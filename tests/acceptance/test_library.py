"""A library that cannot be changed, and whose version WhatsApp turns away: said everywhere, and
mended by the operator without linking again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from running_gateway import RunningGateway, until
from waiting import stays_while_blocking

NEWER = "2.3000.1999999999"


@pytest.mark.skipif(
    not os.environ.get("GATEWAY_SLOW_TESTS"), reason="minutes of its own: GATEWAY_SLOW_TESTS"
)
@pytest.mark.timeout(600)
def test_a_version_that_is_turned_away_is_reported_and_replaced(data_folder: Path) -> None:
    gateway = RunningGateway(
        data_folder / "library",
        nodes=1,
        environment={"WHATSAPP_LIBRARY_PATCHES_OFF": "pictures_removed,retries_in_turn"},
    ).up()
    try:
        phone = gateway.phone("Alice")
        gateway.paired("turned-away", phone)

        # What the library does not keep is said to probes, of the session, to Prometheus and here.
        missing = {"pictures_removed", "retries_in_turn"}

        def smaller() -> dict[str, str] | None:
            (one,) = gateway.api.get("/api/vitals", params={"sessions": "turned-away"}).json()
            return dict(one["smallerPromises"]) or None

        assert until(smaller).keys() == missing
        (listed,) = gateway.api.get("/api/sessions").json()
        for info in (listed, gateway.info("turned-away")):
            assert info["gateway"]["smallerPromises"].keys() == missing
        ready = until(
            lambda: (r := gateway.api.get("/health/ready").json())["status"] == "degraded" and r
        )
        assert ready["smallerPromises"].keys() == missing
        figures = gateway.api.get("/metrics").text
        assert 'gateway_library_promise_kept{promise="pictures_removed"} 0.0' in figures
        assert 'gateway_library_promise_kept{promise="message_ids"} 1.0' in figures
        report = json.loads(gateway.command("doctor", "--json", check=False))
        assert missing <= {one["name"] for one in report["checks"] if one["group"] == "library"}

        # Turned away: FAILED with what to do, reported once, and not tried again.
        fault = {"kind": "refuse_version", "version": NEWER}
        gateway.control.post("/faults", json=fault).raise_for_status()
        gateway.api.post("/api/sessions/turned-away/restart").raise_for_status()
        until(lambda: gateway.info("turned-away")["status"] == "FAILED")
        assert "WHATSAPP_CLIENT_VERSION" in gateway.info("turned-away")["gateway"]["reason"]

        def hellos() -> list[str]:
            entries = gateway.control.get("/journal").raise_for_status().json()["entries"]
            return [entry["version"] for entry in entries if entry["kind"] == "hello"]

        tries = len(hellos())
        stays_while_blocking(lambda: len(hellos()) == tries, 10)
        assert gateway.info("turned-away")["status"] == "FAILED"
        gateway.down()

        # A newer one is presented: it goes on, with the device that it was.
        gateway.environment["WHATSAPP_CLIENT_VERSION"] = NEWER
        gateway.up()
        gateway.control.post("/faults", json=fault).raise_for_status()
        gateway.api.post("/api/sessions/turned-away/start").raise_for_status()
        gateway.working("turned-away")
        assert hellos()[-1] == NEWER
        phone.control = gateway.control
        assert len(phone.devices()) == 1
    finally:
        gateway.down()
