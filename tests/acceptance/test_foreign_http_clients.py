"""The gateway behind HTTP clients that others wrote for WAHA: the phone is the judge."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from foreign.installing import python_packages
from foreign.line_process import LineProcess, NoFunction
from foreign.tables import keep_outcomes, played
from people import PICTURE, People
from running_gateway import until

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("GATEWAY_SLOW_TESTS"),
        reason="installs packages of others: GATEWAY_SLOW_TESTS",
    ),
    pytest.mark.timeout(900),
]

CLIENTS = ("waha 1.0.5", "waha-python 1.0.0")


@dataclass
class Side:
    """A client at work on Alice's session; Bob's phone sees what it does."""

    name: str
    client: LineProcess
    people: People
    sent: str = ""

    @property
    def _first(self) -> bool:
        return self.name.startswith("waha 1")

    async def call(self, function: str, **arguments: Any) -> Any:
        return await self.client.do(function, arguments, seconds=90)

    @property
    def to(self) -> dict[str, Any]:
        return {"session": self.people.alice.session, "chat_id": self.people.bob.chat}

    def seen(self, what: str, **facts: Any) -> dict[str, Any]:
        """An entry of Bob's inbox."""

        def found() -> dict[str, Any] | None:
            fits = (e for e in self.people.bob.phone.inbox() if facts.items() <= e.items())
            return next(fits, None)

        until(found, what=what)
        entry = found()
        assert entry is not None
        return entry

    async def lists_sessions(self) -> None:
        session = self.people.alice.session
        listed = await self.call("sessions.list") if self._first else None
        if listed is not None:
            assert session in [one["name"] for one in listed]
        key = "session" if self._first else "session_name"
        me = await self.call("sessions.get_me", **{key: session})
        assert me["id"] == self.people.alice.chat

    async def begins_and_ends_one(self) -> None:
        """As their users do: create, restart, log out, delete, without a pause."""
        name = f"foreign{os.getpid()}-{self.name.split()[0]}"
        await self.call("sessions.create", name=name)
        key = "session" if self._first else "session_name"
        for step in ("restart", "logout", "delete"):
            await self.call(f"sessions.{step}", **{key: name})
        sessions = self.people.waha.sessions.list({"all": True})
        assert name not in [one["name"] for one in sessions]

    async def sends_a_text(self) -> None:
        text = f"by {self.name}"
        sent = await self.call("messages.send_text", **self.to, text=text)
        self.sent = sent["id"]
        assert self.seen("the text", text=text)["id"] in self.sent

    async def sends_an_image(self) -> None:
        caption = f"image by {self.name}"
        await self.call("messages.send_image", **self.to, file=PICTURE, caption=caption)
        self.seen("the image", text=caption, type="imageMessage")

    async def sends_a_file(self) -> None:
        file = {"mimetype": "text/plain", "filename": "a.txt"}
        file["data"] = base64.b64encode(b"hello").decode()
        caption = f"file by {self.name}"
        await self.call("messages.send_file", **self.to, file=file, caption=caption)
        entry = self.seen("the file", text=caption)
        path = f"/phones/{self.people.bob.phone.number}/inbox/{entry['id']}/media"
        assert self.people.bob.phone.control.get(path).content == b"hello"

    async def sends_a_place(self) -> None:
        place = {"latitude": 48.1, "longitude": 11.5, "title": self.name}
        await self.call("messages.send_location", **self.to, **place)
        self.seen("the place", type="locationMessage")

    async def sends_a_poll(self) -> None:
        question, options = f"{self.name}?", ["Yes", "No"]
        if self._first:
            body: dict[str, Any] = {"poll_text": question, "options": options}
        else:
            body = {"poll": {"name": question, "options": options, "multipleAnswers": False}}
        await self.call("messages.send_poll", **self.to, **body)
        until(
            lambda: any(
                question.encode().hex() in entry["raw"]
                for entry in self.people.bob.phone.inbox()
                if entry["type"].startswith("pollCreation")
            ),
            what="the poll",
        )

    async def reacts(self) -> None:
        function = "react" if self._first else "add_reaction"
        session = {"session": self.people.alice.session, "message_id": self.sent}
        await self.call(f"messages.{function}", **session, reaction="👍")
        self.seen("the reaction", text="👍")

    async def marks_as_seen(self) -> None:
        people = self.people
        sent = people.bob.phone.post(
            "/messages", to=people.alice.phone.number, text=f"to be read by {self.name}"
        )
        chat, alice = people.bob.chat, people.alice.session
        until(
            lambda: sent["id"] in str(people.waha.chats.get_chat_messages(alice, chat)),
            what="the message arrived",
        )
        await self.call("messages.send_seen", **self.to)
        until(
            lambda: any(
                e["type"] == "read" and sent["id"] in e["ids"]
                for e in people.bob.sees("/receipts")["entries"]
            ),
            what="it was read",
        )

    async def reads_the_history(self) -> None:
        found = await self.call("chats.get_messages", **self.to, limit=50)
        assert f"file by {self.name}" in [one["body"] for one in found]

    async def asks_for_a_number(self) -> None:
        number = self.people.carol.phone.number
        session = {"session": self.people.alice.session, "phone": number}
        found = await self.call("contacts.check_exists", **session)
        assert found.get("numberExists", found.get("number_exists")) is True

    async def makes_a_group(self) -> None:
        session = {"session": self.people.alice.session}
        title = {"name" if self._first else "subject": f"Group of {self.name}"}
        await self.call("groups.create", **session, **title, participants=[self.people.bob.chat])
        assert f"Group of {self.name}" in [g["subject"] for g in self.people.bob.sees("/groups")]

    async def lists_chats(self) -> None:
        listed = await self.call("chats.list", session=self.people.alice.session)
        assert self.people.bob.chat in str(listed)

    async def edits(self) -> None:
        if self._first:
            raise NoFunction
        message = {"message_id": self.sent, "text": "edited"}
        await self.call("messages.edit_message", **self.to, **message)
        self.seen("the edit", text="edited")

    async def posts_a_story(self) -> None:
        if self._first:
            raise NoFunction
        text = f"story by {self.name}"
        people = self.people
        people.alice.phone.post(
            "/settings", chat=people.bob.phone.number, setting="contact", name="Bob"
        )
        # Who is to see it is known when the contact has come in from the phone.
        for _ in range(10):
            await self.call("status.send_text", session=people.alice.session, text=text)
            await asyncio.sleep(1)
            if text in people.bob.phone.texts():
                return
        raise AssertionError("nobody saw the story")


SCENES: list[tuple[str, Callable[[Side], Awaitable[None]]]] = [
    ("lists sessions, asks who it is", Side.lists_sessions),
    ("creates, restarts, logs out and deletes one without a pause", Side.begins_and_ends_one),
    ("sends a text", Side.sends_a_text),
    ("sends an image", Side.sends_an_image),
    ("sends a file", Side.sends_a_file),
    ("sends a place", Side.sends_a_place),
    ("sends a poll", Side.sends_a_poll),
    ("reacts", Side.reacts),
    ("edits", Side.edits),
    ("marks as seen", Side.marks_as_seen),
    ("reads the history", Side.reads_the_history),
    ("lists chats", Side.lists_chats),
    ("asks whether a number is on WhatsApp", Side.asks_for_a_number),
    ("makes a group", Side.makes_a_group),
    ("posts to the status", Side.posts_a_story),
]
#: What a client cannot, and why: nothing of it is the gateway's doing.
CANNOT = {
    ("waha 1.0.5", "sends a poll"): "its body is not WAHA's",
    ("waha 1.0.5", "lists chats"): "asks a path that WAHA has not",
    ("waha 1.0.5", "makes a group"): "asks a path that WAHA has not",
    ("waha-python 1.0.0", "lists sessions, asks who it is"): "its own functions hide each other",
    ("waha-python 1.0.0", "makes a group"): "its body is not WAHA's",
}


@asynccontextmanager
async def running(name: str, people: People, folder: Path) -> AsyncIterator[LineProcess]:
    library = name.split()[0]
    script = Path(__file__).parents[1] / "foreign" / "http_client.py"
    state = people.gateway.state
    async with LineProcess.running(
        [sys.executable, str(script), library, state.url],
        folder / f"{library}.log",
        PYTHONPATH=str(python_packages(library)),
        API_KEY=people.gateway.api.headers["X-Api-Key"],
    ) as process:
        yield process


async def outcome(name: str, people: People, folder: Path) -> list[str]:
    """What it can do, scene by scene."""
    async with running(name, people, folder) as client:
        return await played(name, Side(name, client, people), SCENES)


async def test_what_http_clients_of_other_authors_can_do(people: People, tmp_path: Path) -> None:
    found = {name: await outcome(name, people, tmp_path) for name in CLIENTS}
    keep_outcomes("api.md", "foreign clients", SCENES, found, CANNOT)
