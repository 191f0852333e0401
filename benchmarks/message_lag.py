"""From a phone to a webhook: `python -m benchmarks.message_lag --data DIR`, at a gateway that runs
with the sandbox (`gateway up --sandbox --data DIR`).

A virtual phone sends messages one by one; the lag is from the sandbox's taking each to the
receiver's getting it, through WhatsApp's encryption, PostgreSQL and a dispatcher.
"""

from __future__ import annotations

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from cluster.local.layout import Layout
from cluster.local.state import Phase, State

__all__ = ["main"]

_PATIENCE_SECONDS = 60.0


class _Receiver:
    def __init__(self) -> None:
        self.arrived: dict[str, float] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.arrived[body["payload"]["body"]] = time.monotonic()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait_for(self, text: str) -> float:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while text not in self.arrived:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{text} did not arrive")
            time.sleep(0.001)
        return self.arrived[text]


def main(
    data: Annotated[Path, typer.Option(help="Folder of the running gateway.")],
    messages: Annotated[int, typer.Option(min=1)] = 200,
) -> None:
    """Measure, and remove the session again."""
    state = State.read(Layout.at(data).state)
    if state is None or state.phase is not Phase.UP or not state.sandbox_control_url:
        raise typer.BadParameter("no gateway with the sandbox runs on this folder")
    receiver = _Receiver()
    api = httpx.Client(base_url=state.url, headers={"X-Api-Key": state.api_key}, timeout=60)
    token = {"Authorization": f"Bearer {state.sandbox_control_token}"}
    phones = httpx.Client(base_url=state.sandbox_control_url, headers=token, timeout=60)
    name, (own, friend) = f"lag-{os.getpid()}", (f"49160{os.getpid():07}{n}" for n in (1, 2))
    for number in (own, friend):
        _post(phones, "/phones", number=number, name=number)
    hook = {"url": receiver.url, "events": ["message"]}
    _post(api, "/api/sessions", name=name, config={"webhooks": [hook]})
    _post(phones, f"/phones/{own}/scan", qr=_qr(api, name))
    lags = []
    try:
        for n in range(messages + 1):
            text = f"{name} {n}"
            began = time.monotonic()
            _post(phones, f"/phones/{friend}/messages", to=own, text=text)
            lags.append((receiver.wait_for(text) - began) * 1000)
    finally:
        api.delete(f"/api/sessions/{name}")
    # The first one waits for the session and for keys.
    lags = sorted(lags[1:])
    told = {"p50": lags[len(lags) // 2], "p99": lags[int(len(lags) * 0.99)], "max": lags[-1]}
    typer.echo(json.dumps({"messages": messages, **{k: round(v, 1) for k, v in told.items()}}))


def _post(client: httpx.Client, path: str, **body: Any) -> None:
    client.post(path, json=body).raise_for_status()


def _qr(api: httpx.Client, name: str) -> str:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        answer = api.get(f"/api/{name}/auth/qr", params={"format": "raw"})
        if answer.is_success:
            return str(answer.json()["value"])
        if time.monotonic() > deadline:
            answer.raise_for_status()
        time.sleep(0.2)


if __name__ == "__main__":
    typer.run(main)
