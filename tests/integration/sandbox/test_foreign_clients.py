"""The sandbox is held true by clients of other authors, unmodified.

Each does what its users do, and a phone on the other side says whether it came about."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from foreign.installing import node_packages, python_packages
from foreign.line_process import LineProcess
from foreign.tables import keep_outcomes, played

from sandbox.app import Sandbox
from sandbox.phone.phone import Phone
from sandbox.server import groups, newsletters
from sandbox.wire.jid import GROUP_SERVER_JID, Jid
from sandbox.wire.node import Node

pytestmark = [
    pytest.mark.skipif(
        not (os.environ.get("GATEWAY_SLOW_TESTS") and shutil.which("node")),
        reason="installs packages of others: GATEWAY_SLOW_TESTS, and Node.js",
    ),
    pytest.mark.timeout(1200),
]

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
#: client → whether it knows people by LID
CLIENTS = {
    "Baileys 7.0.0-rc14": True,
    "Baileys 6.17.16": False,
    "pywhats 0.2.0": False,
    "pyaileys 0.1.5": False,
}


class Side:
    """A client at work on a phone of its own, and another person's phone."""

    def __init__(self, name: str, client: LineProcess, alice: Phone, bob: Phone) -> None:
        self.name, self.client, self.alice, self.bob = name, client, alice, bob
        self.to = f"{bob.number}@s.whatsapp.net"
        self.group = ""

    async def pairs(self) -> None:
        await self.alice.scan((await self.client.event("qr"))["text"])
        await self.client.event("open")
        await until(lambda: any(p.active for p in self._peers()))

    def _peers(self) -> list[Any]:
        server = self.alice._server
        return [p for p in server.peers.of_account(self.alice.number) if p.device]

    async def sends_a_text(self) -> None:
        await self.client.do("text", self.to, "from the client")
        await self.seen(text="from the client")

    async def receives_texts(self) -> None:
        """Also after one of its own, which begins another session."""
        for text in ("one", "two"):
            await self.bob.send_text(self.alice.number, text)
            await self.client.event("message", text=text, from_me=False)
            await self.client.do("text", self.to, f"after {text}")
            await self.seen(text=f"after {text}")

    async def reports_what_was_read(self) -> None:
        await self.bob.send_text(self.alice.number, "read me")
        got = await self.client.event("message", text="read me")
        await self.client.do("read", got["chat"], got["id"])
        await until(
            lambda: any(
                entry["type"] == "read" and got["id"] in entry["ids"]
                for entry in self.bob.inbox(0, "receipt")
            )
        )

    async def sends_an_image(self) -> None:
        await self.client.do("image", self.to, base64.b64encode(PNG).decode())
        entry = await self.seen(type="imageMessage")
        assert self.bob.download(entry["id"]) == PNG

    async def downloads_an_image(self) -> None:
        data = os.urandom(70_000)
        caption = "see this"
        await self.bob.send_media(
            self.alice.number, "image", data, mimetype="image/jpeg", caption=caption
        )
        got = await self.client.event("message", text=caption)
        assert base64.b64decode(await self.client.do("download", got["id"])) == data

    async def hears_a_group(self) -> None:
        self.group = await self._a_group()
        await self.bob.send_text(self.group, "to all")
        await self.client.event("message", text="to all", chat=self.group)

    async def writes_to_a_group(self) -> None:
        await self.client.do("text", self.group, "from the client to all")
        await self.seen(text="from the client to all", chat=self.group)

    async def comes_back(self) -> None:
        """Cut off, it logs in again and gets what was sent meanwhile."""
        [peer] = self._peers()
        await peer.end()
        await self.bob.send_text(self.alice.number, "while you were away")
        await self.client.event("message", 60, text="while you were away")

    async def refuses_a_call(self) -> None:
        await self.client.do("reject_call", "CALL1", self.to)
        await until(lambda: any("reject" in e["stanza"] for e in self.bob.inbox(0, "call")))

    async def makes_a_link_to_a_call(self) -> None:
        assert await self.client.do("call_link")

    async def asks_for_an_attachment_again(self) -> None:
        """The media server forgot it; the phone uploads it once more."""
        data = os.urandom(9_000)
        number = self.alice.number
        sent = await self.bob.send_media(
            number, "image", data, mimetype="image/jpeg", caption="lost"
        )
        got = await self.client.event("message", text="lost")
        await until(lambda: any(entry["id"] == sent for entry in self.alice.inbox()))
        self.bob.lose_media(sent)
        await self.client.do("media_again", got["id"])
        assert base64.b64decode(await self.client.do("download", got["id"])) == data

    async def writes_to_a_channel(self) -> None:
        channel = await self.client.do("channel", "News")
        server = self.bob._server
        found = newsletters.find(server, Jid.parse(channel))
        assert found is not None
        found.followers[self.bob.number] = False
        newsletters.save(server, found)
        await self.client.do("text", channel, "read all about it")
        await until(lambda: any(e["from"] == channel for e in self.bob.inbox(0, "post")))

    async def makes_a_community(self) -> None:
        made = await self.client.do("community", "All of us")
        found = groups.find(self.bob._server, Jid.parse(made))
        assert found is not None
        assert found.parent

    async def _a_group(self) -> str:
        people = [Node.make("participant", jid=self.bob.address(self.alice.number))]
        # As groups of people by number are made: by somebody whose clients know no other.
        create = Node.make("create", people, subject="All")
        maker = self.bob if CLIENTS[self.name] else self.alice
        if maker is self.alice:
            create.content = [Node.make("participant", jid=self.alice.address(self.bob.number))]
        answer = await maker.iq("w:g2", "set", GROUP_SERVER_JID, create)
        made = answer.child("group")
        assert made is not None
        return f"{made.get('id')}@g.us"

    async def seen(self, **facts: Any) -> dict[str, Any]:
        """An entry of the other phone's inbox, decrypted there once."""

        def found() -> dict[str, Any] | None:
            fits = (e for e in self.bob.inbox() if facts.items() <= e.items() and not e["from_me"])
            return next(fits, None)

        entry: dict[str, Any] = await until(found)
        assert entry["times"] == 1
        return entry


async def until(ask: Callable[[], Any], seconds: float = 20) -> Any:
    """What `ask` gives, once it is anything. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not (found := ask()):  # noqa: ASYNC110 - many kinds of things are waited for
            await asyncio.sleep(0.1)
    return found


SCENES: list[tuple[str, Callable[[Side], Awaitable[None]]]] = [
    ("pairs by QR code", Side.pairs),
    ("sends a text", Side.sends_a_text),
    ("receives texts, also after its own", Side.receives_texts),
    ("reports what was read", Side.reports_what_was_read),
    ("sends an image", Side.sends_an_image),
    ("downloads an image", Side.downloads_an_image),
    ("hears a group", Side.hears_a_group),
    ("writes to a group", Side.writes_to_a_group),
    ("comes back after a cut, and catches up", Side.comes_back),
    ("refuses a call", Side.refuses_a_call),
    ("makes a link to a call", Side.makes_a_link_to_a_call),
    ("has the phone upload an attachment again", Side.asks_for_an_attachment_again),
    ("makes a channel and writes to it", Side.writes_to_a_channel),
    ("makes a community", Side.makes_a_community),
]
#: What a client cannot, and why: nothing of it is the sandbox's doing.
CANNOT = {
    ("pyaileys 0.1.5", "hears a group"): "opens a message and its key at the same time",
}


@asynccontextmanager
async def running(name: str, sandbox: Sandbox, folder: Path) -> AsyncIterator[LineProcess]:
    ends = sandbox.endpoints
    library, version = name.lower().split()
    log = folder / f"{library}-{version}.log"
    data = folder / f"{library}-{version}"
    data.mkdir()
    if library == "baileys":
        environment = {
            "BAILEYS": f"baileys-{version[0]}",
            "DATA": str(data),
            "PROXY": ends.proxy_url,
            "NODE_EXTRA_CA_CERTS": ends.ca_bundle,
        }
        command = ["node", str(node_packages() / "baileys.mjs")]
    else:
        environment = {
            "HTTPS_PROXY": ends.proxy_url,
            "SSL_CERT_FILE": ends.ca_bundle,
            "ROOT_KEY": ends.root_key,
            "PYTHONPATH": str(python_packages(library)) if library == "pywhats" else "",
        }
        script = Path(__file__).parents[2] / "foreign" / "python_client.py"
        command = [sys.executable, str(script), library, str(data)]
    async with LineProcess.running(command, log, **environment) as process:
        yield process


async def outcome(name: str, sandbox: Sandbox, folder: Path, at: int) -> list[str]:
    """What it can do, scene by scene."""
    alice = await sandbox.phones.add(f"491540000{at}001", "Alice")
    bob = await sandbox.phones.add(f"491540000{at}002", "Bob")
    sandbox.server.directory.set_lids(alice.number, on=CLIENTS[name])
    async with running(name, sandbox, folder) as client:
        side = Side(name, client, alice, bob)
        return await played(name, side, SCENES, rests_on_first=True)


async def test_what_clients_of_other_authors_can_do(sandbox: Sandbox, tmp_path: Path) -> None:
    found = {name: await outcome(name, sandbox, tmp_path, at) for at, name in enumerate(CLIENTS, 1)}
    keep_outcomes("sandbox.md", "foreign clients", SCENES, found, CANNOT)
    assert sandbox.server.journal.unhandled == {}, "whatever they ask has an answer"
