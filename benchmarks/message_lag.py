"""From a phone to a webhook: `./gateway bench message_lag`.

Starts a gateway with the sandbox on a folder of its own, or uses the one that runs on `--data`.
A virtual phone sends messages one by one: the lag is from the sandbox's taking each to the
receiver's getting it, through WhatsApp's encryption, PostgreSQL and a dispatcher. Then several
phones send as fast as they can: how many arrive a second, and how late they are under that load.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from benchmarks.shared.folder import working_folder
from ops.embedded.process import free_ports
from ops.local.layout import ROOT, Layout
from ops.local.state import Phase, State

__all__ = ["main", "measure"]

_PATIENCE_SECONDS = 60.0
_BURST_SECONDS = 300.0
_runs = itertools.count(1)


class _Receiver:
    def __init__(self) -> None:
        self.arrived: dict[str, float] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.arrived.setdefault(body["payload"]["body"], time.monotonic())
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()

    def wait_for(self, *texts: str, seconds: float = _PATIENCE_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while missing := [text for text in texts if text not in self.arrived]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(missing)} did not arrive, such as {missing[0]}")
            time.sleep(0.001 if len(texts) == 1 else 0.05)


def measure(state: State, *, messages: int, burst: int, phones: int) -> dict[str, Any]:
    """On a running gateway with the sandbox: `messages` one by one, then `burst` from `phones` at
    once. Removes its session again."""
    receiver = _Receiver()
    api = httpx.Client(base_url=state.url, headers={"X-Api-Key": state.api_key}, timeout=60)
    token = {"Authorization": f"Bearer {state.sandbox_control_token}"}
    control = httpx.Client(base_url=state.sandbox_control_url, headers=token, timeout=60)
    name = f"lag-{os.getpid()}-{next(_runs)}"
    own, *friends = (f"4916{os.getpid():07}{next(_runs):03}" for _ in range(phones + 1))
    try:
        for number in (own, *friends):
            _post(control, "/phones", number=number, name=number)
        hook = {"url": receiver.url, "events": ["message"]}
        _post(api, "/api/sessions", name=name, config={"webhooks": [hook]})
        _post(control, f"/phones/{own}/scan", qr=_qr(api, name))
        _working(api, name)
        sent: dict[str, float] = {}

        def say(friend: str, text: str) -> None:
            sent[text] = time.monotonic()
            _post(control, f"/phones/{friend}/messages", to=own, text=text)

        # The first one of each waits for the session and for keys.
        for friend in friends:
            say(friend, f"{name} first of {friend}")
            receiver.wait_for(f"{name} first of {friend}")
        alone = [f"{name} alone {n}" for n in range(messages)]
        for text in alone:
            say(friends[0], text)
            receiver.wait_for(text)
        crowd = {
            friend: [f"{name} {friend} {n}" for n in range(burst // phones)] for friend in friends
        }

        def say_all(friend: str, texts: list[str]) -> None:
            for text in texts:
                say(friend, text)

        with ThreadPoolExecutor(phones) as pool:
            began = time.monotonic()
            for friend, texts in crowd.items():
                pool.submit(say_all, friend, texts)
        every = [text for texts in crowd.values() for text in texts]
        receiver.wait_for(*every, seconds=_BURST_SECONDS)
        took = max(receiver.arrived[text] for text in every) - began
    finally:
        api.delete(f"/api/sessions/{name}")
        receiver.close()

    def lags(texts: list[str]) -> dict[str, float]:
        found = sorted((receiver.arrived[text] - sent[text]) * 1000 for text in texts)
        picked = {"p50": found[len(found) // 2], "p99": found[int(len(found) * 0.99)]}
        return {k: round(v, 1) for k, v in (picked | {"max": found[-1]}).items()}

    return {
        "messages": len(alone),
        "lag_ms": lags(alone),
        "burst": len(every),
        "burst_per_second": round(len(every) / took, 1),
        "burst_lag_ms": lags(every),
    }


def main(
    data: Annotated[
        Path | None, typer.Option(help="Folder of a running gateway; without it one is started.")
    ] = None,
    messages: Annotated[int, typer.Option(min=1, help="One by one.")] = 200,
    burst: Annotated[int, typer.Option(min=1, help="As fast as the phones can.")] = 500,
    phones: Annotated[int, typer.Option(min=1, help="That send at once.")] = 4,
) -> None:
    """Measure the way of a message from a phone to a webhook."""
    with _running() if data is None else _given(data) as state:
        typer.echo(
            json.dumps(measure(state, messages=messages, burst=burst, phones=phones), indent=2)
        )


@contextmanager
def _given(data: Path) -> Iterator[State]:
    state = State.read(Layout.at(data).state)
    if state is None or state.phase is not Phase.UP or not state.sandbox_control_url:
        raise typer.BadParameter("no gateway with the sandbox runs on this folder")
    yield state


@contextmanager
def _running() -> Iterator[State]:
    """A gateway of one node on a folder of its own, ended afterwards."""
    with working_folder() as folder:
        data, port = folder / "g", free_ports(1)[0]
        try:
            _command("up", "--data", str(data), "--sandbox", port=port)
            with _given(data) as state:
                yield state
        finally:
            _command("down", "--data", str(data), port=port)


def _command(*arguments: str, port: int) -> None:
    subprocess.run(
        [sys.executable, "-m", "ops.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HTTP_PORT": str(port)},
        stdout=sys.stderr,
        check=True,
    )


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


def _working(api: httpx.Client, name: str) -> None:
    """Before that phones do not know the device, and send it nothing."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while api.get(f"/api/sessions/{name}").json()["status"] != "WORKING":
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} does not work")
        time.sleep(0.2)


if __name__ == "__main__":
    typer.run(main)
