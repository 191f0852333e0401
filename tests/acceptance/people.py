"""Two people with working sessions, as the tests of groups, contacts, channels … meet them."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

from PIL import Image
from running_gateway import Phone, RunningGateway
from waha import WahaClient

__all__ = ["PICTURE", "People", "Person"]

_png = io.BytesIO()
Image.new("RGB", (200, 100), "teal").save(_png, "PNG")
#: What a caller sends as a picture: no square, no JPEG.
PICTURE = {"mimetype": "image/png", "data": base64.b64encode(_png.getvalue()).decode()}


@dataclass(frozen=True)
class Person:
    """An account: its session at the gateway, and its phone."""

    session: str
    phone: Phone
    lid: str

    @property
    def chat(self) -> str:
        return self.phone.chat

    @property
    def jid(self) -> str:
        return f"{self.phone.number}@s.whatsapp.net"

    def sees(self, path: str) -> Any:
        """What the sandbox reports of this person's phone."""
        answer = self.phone.control.get(f"/phones/{self.phone.number}{path}")
        return answer.raise_for_status().json()

    def settings(self, collection: str) -> dict[tuple[str, ...], str]:
        """The account's app state, read with the phone's keys."""
        found = self.sees(f"/settings/{collection}")
        return {tuple(entry["index"]): entry["value"] for entry in found}

    def group(self, group_id: str) -> dict[str, Any] | None:
        """A group as WhatsApp has it; None when this person is no member."""
        found = self.sees("/groups")
        return next((one for one in found if group_id.startswith(one["id"])), None)


@dataclass(frozen=True)
class People:
    """Alice and Bob have sessions, Carol has only a phone. `waha` is WAHA's generated client."""

    gateway: RunningGateway
    waha: WahaClient
    alice: Person
    bob: Person
    carol: Person

    def refused(self, method: str, path: str, **options: Any) -> tuple[int, dict[str, Any]]:
        """Status and body of a request that is to be refused."""
        answer = self.gateway.api.request(method, path, **options)
        assert not answer.is_success, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code, dict(answer.json())
