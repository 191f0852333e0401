"""A whole gateway as the tests drive it: through `gateway up` and HTTP, with phones as judges."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from ops.embedded.process import free_ports
from ops.local.layout import ROOT, Layout
from ops.local.state import State

T = TypeVar("T")

_COMMAND_SECONDS = 300
_TIME = re.compile(r'"timestamp": "([^"]+)"')
_numbers = itertools.count(1)


def until(found: Callable[[], T | None], seconds: float = 30.0, what: str = "") -> T:
    """The first true answer of `found`; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := found():
            return answer
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


@dataclass
class Phone:
    """A virtual phone, by the sandbox's control API."""

    control: httpx.Client
    number: str

    @property
    def chat(self) -> str:
        return f"{self.number}@c.us"

    def post(self, path: str, **body: Any) -> Any:
        answer = self.control.post(f"/phones/{self.number}{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def inbox(self) -> list[dict[str, Any]]:
        """What it decrypted from others, in that order."""
        answer = self.control.get(f"/phones/{self.number}/inbox").raise_for_status()
        return [e for e in answer.json()["entries"] if not e["from_me"]]

    def texts(self) -> list[str]:
        return [entry["text"] for entry in self.inbox()]

    def devices(self) -> list[dict[str, Any]]:
        found = self.control.get(f"/phones/{self.number}").raise_for_status().json()
        return list(found["devices"])


@dataclass
class RunningGateway:
    """One gateway with a sandbox, on its own data folder."""

    data: Path
    nodes: int = 2
    environment: dict[str, str] = field(default_factory=dict)
    #: Ray's, whose state API reports its actors.
    dashboard: bool = False
    port: int = field(default_factory=lambda: free_ports(1)[0])
    state: State = field(init=False)
    api: httpx.Client = field(init=False)
    control: httpx.Client = field(init=False)

    def up(self) -> Self:
        self.command(
            *("up", "--sandbox", "--nodes", str(self.nodes)),
            *(["--dashboard"] if self.dashboard else []),
        )
        state = State.read(Layout.at(self.data).state)
        assert state is not None
        assert not Layout.at(self.data).exposures()
        self.state = state
        self.api = httpx.Client(
            base_url=state.url, headers={"X-Api-Key": state.api_key}, timeout=60
        )
        self.control = httpx.Client(
            base_url=state.sandbox_control_url,
            headers={"Authorization": f"Bearer {state.sandbox_control_token}"},
            timeout=60,
        )
        return self

    def down(self) -> None:
        self.command("down")
        assert not Layout.at(self.data).exposures()

    def command(self, name: str, *arguments: str, check: bool = True) -> str:
        """Run the command line on this gateway's folder; returns what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "ops.cli", name, "--data", str(self.data), *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "GATEWAY_ENV_FILE": os.devnull,
                "HTTP_PORT": str(self.port),
                **self.environment,
            },
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def overlaps(self) -> list[str]:
        """When a device was connected twice at once, and what sessions logged around then."""
        reported = []
        for one in self.control.get("/state").raise_for_status().json()["overlaps"]:
            reported.append(str(one))
            reported += self._logged(one["since"] - 15, one["since"] + 15)
        return reported

    def _logged(self, since: float, until: float) -> list[str]:
        found = []
        for file in (Layout.at(self.data).ray / "session_latest" / "logs").glob("worker-*.*"):
            for line in file.read_text(errors="replace").splitlines():
                if '"session.' in line and (when := _TIME.search(line)):
                    at = datetime.fromisoformat(when[1]).timestamp()
                    found += [f"{when[1]} {line}"] if since < at < until else []
        return sorted(found)

    def phone(self, name: str = "") -> Phone:
        """A new phone with a number of its own."""
        number = f"49151{os.getpid() % 1000:03d}{next(_numbers):06d}"
        answer = self.control.post("/phones", json={"number": number, "name": name or number})
        assert answer.is_success, answer.text
        return Phone(self.control, number)

    def paired(self, session: str, phone: Phone) -> dict[str, Any]:
        """Create a session, let the phone scan its QR code, wait until it works."""
        created = self.api.post("/api/sessions", json={"name": session})
        assert created.status_code == 201, created.text
        phone.post("/scan", qr=self.qr(session))
        return self.working(session)

    def qr(self, session: str) -> str:
        def shown() -> str:
            answer = self.api.get(f"/api/{session}/auth/qr", params={"format": "raw"})
            return str(answer.json()["value"]) if answer.is_success else ""

        return until(shown, what=f"QR code of {session}")

    def info(self, session: str) -> dict[str, Any]:
        return dict(self.api.get(f"/api/sessions/{session}").raise_for_status().json())

    def working(self, session: str, seconds: float = 60.0) -> dict[str, Any]:
        def works() -> dict[str, Any] | None:
            found = self.info(session)
            return found if found["status"] == "WORKING" else None

        return until(works, seconds, f"{session} WORKING")

    def send(self, session: str, chat: str, text: str, **more: Any) -> dict[str, Any]:
        answer = self.api.post(
            "/api/sendText", json={"session": session, "chatId": chat, "text": text, **more}
        )
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def history(self, session: str, chat: str) -> list[dict[str, Any]]:
        answer = self.api.get(f"/api/{session}/chats/{chat}/messages", params={"limit": 100})
        return list(answer.raise_for_status().json())
