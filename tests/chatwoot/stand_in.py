"""A stand-in for Chatwoot, made from its published OpenAPI (openapi.json): one account with one API
inbox, in memory. A mock, as the real one is a Rails application with stores of its own."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jsonschema

__all__ = ["Chatwoot"]

ACCOUNT, INBOX, IDENTIFIER, TOKEN = 1, 7, "inbox-identifier", "agent-token"
_SCHEMAS = json.loads((Path(__file__).parent / "openapi.json").read_text())
_BASE = f"/api/v1/accounts/{ACCOUNT}"


class Chatwoot:
    """What is there, and what goes wrong: `fail` answers so many requests with 500, `lose` does so
    after it has done what was asked, `slow` seconds are waited before each answer."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.contacts: dict[int, dict[str, Any]] = {}
        self.conversations: dict[int, dict[str, Any]] = {}
        self.messages: dict[int, dict[str, Any]] = {}
        self.files: dict[str, tuple[str, bytes]] = {}
        self.seen: list[int] = []
        self.refused: list[str] = []
        self.fail = self.lose = 0
        self.slow = 0.0
        self.webhook = ""
        self._ids = itertools.count(101)
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer((host, 0), _handler(self))
        self.url = f"http://{host}:{self._server.server_port}"

    @classmethod
    @contextmanager
    def running(cls, host: str = "127.0.0.1") -> Iterator[Chatwoot]:
        one = cls(host)
        thread = threading.Thread(target=one._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield one
        finally:
            one._server.shutdown()
            one._server.server_close()

    def config(self, **conversations: Any) -> dict[str, Any]:
        """Of an app that leads here."""
        return {
            "url": self.url,
            "accountId": ACCOUNT,
            "accountToken": TOKEN,
            "inboxId": INBOX,
            "inboxIdentifier": IDENTIFIER,
            "locale": "en-US",
            "commands": {"server": True},
            "conversations": {"syncMessageStatus": True, **conversations},
        }

    # -- what agents see and do -----------------------------------------------------------------

    def contact(self, identifier: str) -> dict[str, Any] | None:
        with self._lock:
            return next(
                (one for one in self.contacts.values() if one["identifier"] == identifier), None
            )

    def messages_of(self, identifier: str) -> list[dict[str, Any]]:
        """The messages of a contact's conversations, in order."""
        with self._lock:
            contact = self.contact(identifier)
            return [
                one
                for one in self.messages.values()
                if contact
                and self.conversations[one["conversation_id"]]["contact_id"] == contact["id"]
            ]

    def texts(self, identifier: str) -> list[str]:
        return [one["content"] for one in self.messages_of(identifier)]

    def agent_writes(
        self,
        identifier: str,
        text: str,
        *,
        times: int = 1,
        in_reply_to: int | None = None,
        file: tuple[str, str, bytes] | None = None,
    ) -> tuple[int, list[int]]:
        """Its id, and how each of the webhooks was answered. `file`: kind, name, bytes."""
        with self._lock:
            contact = self.contact(identifier)
            assert contact is not None
            conversation = next(
                one for one in self.conversations.values() if one["contact_id"] == contact["id"]
            )
            number = next(self._ids)
            message: dict[str, Any] = {
                "id": number,
                "content": text,
                "conversation_id": conversation["id"],
                "message_type": "outgoing",
                "private": False,
                "source_id": None,
                "status": "sent",
                "content_attributes": {"in_reply_to": in_reply_to} if in_reply_to else {},
                "attachments": [],
            }
            if file is not None:
                kind, name, data = file
                self.files[f"/files/{number}/{name}"] = ("application/octet-stream", data)
                message["attachments"] = [
                    {"file_type": kind, "data_url": f"{self.url}/files/{number}/{name}"}
                ]
            self.messages[number] = message
        return number, [self.deliver(number, "message_created") for _ in range(times)]

    def deliver(self, number: int, event: str, **changes: Any) -> int:
        """Deliver a message by webhook; how it was answered. As Chatwoot does, one that was not
        taken is marked as failed."""
        with self._lock:
            message = self.messages[number]
            message["content_attributes"] = message["content_attributes"] | changes
            conversation = self.conversations[message["conversation_id"]]
            sender = self.contacts[conversation["contact_id"]]
            body = message | {
                "event": event,
                "content_type": "text",
                "account": {"id": ACCOUNT},
                "inbox": {"id": INBOX, "name": "WhatsApp"},
                "conversation": {
                    "id": conversation["id"],
                    "status": conversation["status"],
                    "meta": {
                        "sender": {
                            "id": sender["id"],
                            "identifier": sender["identifier"],
                            "phone_number": sender.get("phone_number"),
                        }
                    },
                },
            }
        answer = httpx.post(self.webhook, json=body, timeout=60, trust_env=False)
        if answer.is_error:
            message["status"] = "failed"
        return answer.status_code

    def session_talks(self, identifier: str) -> None:
        """The conversation of the session itself, as its first status made it."""
        with self._lock:
            if self.contact(identifier) is None:
                made = self._new_contact({"inbox_id": INBOX, "identifier": identifier})[1]
                number = made["payload"]["contact"]["id"]
                self._new_conversation(
                    {
                        "contact_id": number,
                        "source_id": f"source-{number}",
                        "inbox_id": INBOX,
                        "status": "open",
                    }
                )

    def resolve(self, identifier: str) -> None:
        """An agent closes the contact's conversations."""
        contact = self.contact(identifier)
        assert contact is not None
        for one in self.conversations.values():
            if one["contact_id"] == contact["id"]:
                one["status"] = "resolved"

    # -- the API --------------------------------------------------------------------------------

    def answer(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any], files: list[Any]
    ) -> tuple[int, Any]:
        if match := re.fullmatch(
            rf"/public/api/v1/inboxes/{IDENTIFIER}/contacts/([^/]+)/conversations/(\d+)"
            r"/update_last_seen",
            path,
        ):
            self.seen.append(int(match[2]))
            return 200, {}
        rest = path.removeprefix(_BASE)
        if rest == path:
            return 404, {"error": "Resource could not be found"}
        match method, rest.strip("/").split("/"):
            case "GET", ["contacts", "search"]:
                fields = ("identifier", "phone_number", "name")
                found = [
                    one
                    for one in self.contacts.values()
                    if any(query["q"] in str(one.get(field)) for field in fields)
                ]
                return 200, {"meta": {"count": len(found)}, "payload": found}
            case "POST", ["contacts"]:
                return self._new_contact(body)
            case "PUT", ["contacts", number]:
                self.contacts[int(number)] |= body
                return 200, {"payload": self.contacts[int(number)]}
            case "POST", ["contacts", number, "contact_inboxes"]:
                return 200, self._in_inbox(self.contacts[int(number)])
            case "GET", ["contacts", number, "conversations"]:
                mine = [o for o in self.conversations.values() if o["contact_id"] == int(number)]
                return 200, {"payload": mine}
            case "POST", ["conversations"]:
                return self._new_conversation(body)
            case "GET", ["conversations", number, "messages"]:
                mine = [
                    one
                    for one in self.messages.values()
                    if one["conversation_id"] == int(number)
                    and one["id"] < int(query.get("before", 1 << 60))
                ]
                return 200, {"meta": {}, "payload": mine[-20:]}
            case "POST", ["conversations", number, "messages"]:
                return self._new_message(int(number), body, files)
            case "PATCH", ["conversations", _, "messages", number]:
                jsonschema.validate(body, _SCHEMAS["PATCH messages"])
                self.messages[int(number)] |= body
                return 200, self.messages[int(number)]
        return 404, {"error": "Resource could not be found"}

    def _new_contact(self, body: dict[str, Any]) -> tuple[int, Any]:
        jsonschema.validate(body, _SCHEMAS["POST contacts"])
        for field in ("identifier", "phone_number"):
            if any(
                body.get(field) and one.get(field) == body[field] for one in self.contacts.values()
            ):
                return 422, {"message": f"{field} has already been taken", "attributes": [field]}
        number = next(self._ids)
        contact = {"id": number, "identifier": None, "contact_inboxes": []} | body
        self.contacts[number] = contact
        inbox = self._in_inbox(contact)
        return 200, {"payload": {"contact": contact, "contact_inbox": inbox}}

    def _in_inbox(self, contact: dict[str, Any]) -> dict[str, Any]:
        inbox = {"source_id": f"source-{contact['id']}", "inbox": {"id": INBOX}}
        contact["contact_inboxes"].append(inbox)
        return inbox

    def _new_conversation(self, body: dict[str, Any]) -> tuple[int, Any]:
        jsonschema.validate(body, _SCHEMAS["POST conversations"])
        assert body["source_id"] == f"source-{body['contact_id']}"
        number = next(self._ids)
        self.conversations[number] = {"id": number, "last_activity_at": time.time()} | body
        return 200, self.conversations[number]

    def _new_message(self, place: int, body: dict[str, Any], files: list[Any]) -> tuple[int, Any]:
        jsonschema.validate(body, _SCHEMAS["POST messages"])
        if place not in self.conversations:
            return 404, {"error": "Resource could not be found"}
        number = next(self._ids)
        self.messages[number] = {
            "id": number,
            "conversation_id": place,
            "content_attributes": {},
            "source_id": None,
            "attachments": [{"name": name, "data": data} for name, data in files],
            "status": "sent",
        } | body
        conversation = self.conversations[place]
        if body.get("message_type") == "incoming":
            conversation["status"] = "open"
        conversation["last_activity_at"] = time.time()
        return 200, {k: v for k, v in self.messages[number].items() if k != "attachments"}


def _handler(there: Chatwoot) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path in there.files:
                kind, data = there.files[self.path]
                self._send(200, data, kind)
            else:
                self._serve()

        def do_POST(self) -> None:
            self._serve()

        do_PUT = do_PATCH = do_POST

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

        def _serve(self) -> None:
            raw = self._body()
            if there.slow:
                time.sleep(there.slow)
            status, answer = self._answered(raw)
            self._send(status, json.dumps(answer).encode(), "application/json")

        def _answered(self, raw: bytes) -> tuple[int, Any]:
            public = self.path.startswith("/public/")
            if not public and self.headers.get("api_access_token") != TOKEN:
                return 401, {"error": "Invalid Access Token"}
            with there._lock:
                if there.fail:
                    there.fail -= 1
                    return 500, {"error": "Internal Server Error"}
                address = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(address.query).items()}
                body, files = self._fields(raw)
                try:
                    found = there.answer(self.command, address.path, query, body, files)
                except jsonschema.ValidationError as error:
                    there.refused.append(error.message)
                    return 422, {"error": error.message}
                if there.lose and self.command == "POST" and address.path.endswith("/messages"):
                    there.lose -= 1
                    return 500, {"error": "Internal Server Error"}
                return found

        def _fields(self, raw: bytes) -> tuple[dict[str, Any], list[tuple[str, bytes]]]:
            kind = self.headers.get("Content-Type", "")
            if not kind.startswith("multipart/"):
                return json.loads(raw or b"{}"), []
            parts = BytesParser(policy=HTTP).parsebytes(
                f"Content-Type: {kind}\r\n\r\n".encode() + raw
            )
            body: dict[str, Any] = {}
            files: list[tuple[str, bytes]] = []
            for part in parts.iter_parts():
                name = part.get_param("name", header="content-disposition")
                data = part.get_payload(decode=True)
                assert isinstance(data, bytes)
                if name == "attachments[]":
                    files.append((str(part.get_filename()), data))
                elif match := re.fullmatch(r"(\w+)\[(\w+)\]", str(name)):
                    body.setdefault(match[1], {})[match[2]] = data.decode()
                else:
                    text = data.decode()
                    body[str(name)] = {"true": True, "false": False}.get(text, text)
            return body, files

        def _body(self) -> bytes:
            if length := self.headers.get("Content-Length"):
                return self.rfile.read(int(length))
            if self.headers.get("Transfer-Encoding") != "chunked":
                return b""
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _send(self, status: int, data: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler
