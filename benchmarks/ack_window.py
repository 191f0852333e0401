"""From the library's acknowledgement of a message to our record of it: `gateway bench ack_window
--data DIR`, at a gateway that runs with the sandbox (`gateway up --sandbox --data DIR`).

The library acknowledges by itself; WhatsApp does not send the message again after that. The sandbox
notes when each delivery receipt reaches it, the event of the message when it was written down, in
the transaction that is committed next: one clock, as all of it runs on one machine. A negative
figure is a message that was recorded before the receipt arrived. In between it is in the spool on
disk, so that only the loss of the node in this window loses it.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from ops.local.layout import Layout
from ops.local.state import Phase, State

__all__ = ["main"]

_PATIENCE_SECONDS = 60.0
_PAGE = 1000
#: Types of receipts that confirm to WhatsApp that the message has arrived.
_DELIVERED = {"delivery", "inactive"}


def main(
    data: Annotated[Path, typer.Option(help="Folder of the running gateway.")],
    messages: Annotated[int, typer.Option(min=1)] = 300,
    pause: Annotated[float, typer.Option(min=0, help="Seconds between two messages.")] = 0.02,
) -> None:
    """Measure, and remove the session again."""
    state = State.read(Layout.at(data).state)
    if state is None or state.phase is not Phase.UP or not state.sandbox_control_url:
        raise typer.BadParameter("no gateway with the sandbox runs on this folder")
    api = httpx.Client(base_url=state.url, headers={"X-Api-Key": state.api_key}, timeout=60)
    token = {"Authorization": f"Bearer {state.sandbox_control_token}"}
    phones = httpx.Client(base_url=state.sandbox_control_url, headers=token, timeout=60)
    name, (own, friend) = f"ack-{os.getpid()}", (f"49161{os.getpid():07}{n}" for n in (1, 2))
    for number in (own, friend):
        _post(phones, "/phones", number=number, name=number)
    _post(api, "/api/sessions", name=name)
    try:
        _post(phones, f"/phones/{own}/scan", qr=_wait(lambda: _qr(api, name)))
        _wait(lambda: api.get(f"/api/sessions/{name}").json()["status"] == "WORKING")
        sent = set()
        for n in range(messages):
            answer = phones.post(
                f"/phones/{friend}/messages", json={"to": own, "text": f"{name} {n}"}
            )
            sent.add(answer.raise_for_status().json()["id"])
            time.sleep(pause)
        recorded = _wait(lambda: _recorded(api, name, sent))
        entries = phones.get("/journal", params={"kind": "receipt"}).json()["entries"]
    finally:
        api.delete(f"/api/sessions/{name}")
    phone = f"{own}:0"
    acknowledged = {
        one: entry["time"]
        for entry in entries
        if entry["type"] in _DELIVERED and entry["by"].startswith(f"{own}:")
        if entry["by"] != phone
        for one in entry["ids"]
    }
    found = sorted(
        recorded[one] - acknowledged[one] * 1000 for one in recorded if one in acknowledged
    )
    typer.echo(
        json.dumps(
            {
                "messages": len(found),
                "load": round(os.getloadavg()[0], 1),
                "p50_ms": round(found[len(found) // 2], 1),
                "p99_ms": round(found[int(len(found) * 0.99)], 1),
                "max_ms": round(found[-1], 1),
            }
        )
    )


def _recorded(api: httpx.Client, session: str, sent: set[str]) -> dict[str, int] | None:
    """Message id -> time of its event, milliseconds; None until all are there."""
    found: dict[str, int] = {}
    after = 0
    while True:
        page = api.get(f"/api/{session}/events", params={"after": after, "limit": _PAGE})
        answer = page.raise_for_status().json()
        for event in answer["events"]:
            if event["event"] == "message":
                found[str(event["payload"]["id"]).rpartition("_")[2]] = event["timestamp"]
        if len(answer["events"]) < _PAGE:
            return found if sent <= found.keys() else None
        after = answer["next"]


def _qr(api: httpx.Client, session: str) -> str:
    answer = api.get(f"/api/{session}/auth/qr", params={"format": "raw"})
    return str(answer.json()["value"]) if answer.is_success else ""


def _post(client: httpx.Client, path: str, **body: Any) -> None:
    client.post(path, json=body).raise_for_status()


def _wait(poll: Any) -> Any:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not (found := poll()):
        if time.monotonic() > deadline:
            raise TimeoutError("nothing within a minute")
        time.sleep(0.2)
    return found


if __name__ == "__main__":
    typer.run(main)
