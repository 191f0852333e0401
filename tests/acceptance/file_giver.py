"""The same file given to the gateway in different ways, and what came of it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from people import People
from running_gateway import until

__all__ = ["WAYS", "Giver"]

WAYS = ("url", "base64", "form", "upload")


@dataclass
class Giver:
    """Gives the same file in different ways, and asks Bob's phone what came."""

    people: People
    folder: Path
    url: str

    @property
    def session(self) -> str:
        return str(self.people.alice.session)

    @property
    def api(self) -> httpx.Client:
        return self.people.gateway.api

    def send(self, way: str, path: str, data: bytes, name: str, kind: str, **more: Any) -> Any:
        """POST a file of this name and type to `path`."""
        fields = {"session": self.session, "chatId": self.people.bob.chat, **more}
        if way == "form":
            answer = self.api.post(path, data=fields, files={"file": (name, data, kind)})
        else:
            file = {"mimetype": kind, "filename": name, **self.given(way, data, name)}
            answer = self.api.post(path, json={**fields, "file": file})
        assert answer.is_success, answer.text
        return answer.json()

    def given(self, way: str, data: bytes, name: str) -> dict[str, str]:
        if way == "base64":
            return {"data": base64.b64encode(data).decode()}
        if way == "url":
            (self.folder / name).write_bytes(data)
            return {"url": f"{self.url}/{name}"}
        assert way == "upload"
        answer = self.api.post(f"/api/{self.session}/media/upload", content=data)
        return {"url": answer.raise_for_status().json()["url"]}

    def arrived(self, sent: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """What Bob's phone decrypted: the entry, and the file."""
        phone, wire_id = self.people.bob.phone, sent["id"].split("_")[2]
        entry = until(
            lambda: next((e for e in phone.inbox() if e["id"] == wire_id), None),
            what=f"{wire_id} on the phone",
        )
        answer = phone.control.get(f"/phones/{phone.number}/inbox/{wire_id}/media")
        return entry, answer.raise_for_status().content
