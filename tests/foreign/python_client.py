"""A linked device by an unmodified Python library, driven by lines of JSON (see `line_process`).

Arguments: `pywhats` or `pyaileys`, and a folder. Environment: HTTPS_PROXY and SSL_CERT_FILE of the
sandbox; for pyaileys, which checks who signed the Noise certificate, ROOT_KEY (hex).
"""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from line_process import NoFunction, serve, write_line

Verbs = dict[str, Callable[..., Awaitable[Any]]]


async def pywhats(folder: str) -> Verbs:
    """PyPI `pywhats`."""
    from pywhats import Client
    from pywhats.events import JID

    client = Client(os.path.join(folder, "session"))  # noqa: PTH118 - as its users do
    kept: dict[str, Any] = {}

    def jid(text: str) -> JID:
        user, _, server = text.partition("@")
        return JID(user, server)

    @client.on("qr")
    async def on_qr(qr: str) -> None:
        write_line(event="qr", text=qr)

    @client.on("connected")
    async def on_connected(*_: Any) -> None:
        write_line(event="open")

    @client.on("message")
    async def on_message(message: Any) -> None:
        kept[message.id] = message
        caption = message.media.caption if message.media else ""
        text, chat = message.text or caption, str(message.chat)
        write_line(event="message", id=message.id, chat=chat, from_me=message.from_me, text=text)

    async def text(to: str, body: str) -> str:
        if to.endswith("@g.us"):
            info = await client.get_group_info(jid(to))
            people = [getattr(one, "jid", one) for one in info.participants]
            return str((await client.send_group_text(jid(to), body, people)).id)
        return str((await client.send_text(jid(to), body)).id)

    async def image(to: str, data: str) -> str:
        sent = await client.send_image(jid(to), base64.b64decode(data), mimetype="image/png")
        return str(sent.id)

    async def download(id: str) -> str:
        return base64.b64encode(await client.download_media(kept[id].media)).decode()

    async def read(chat: str, id: str) -> None:
        await client.mark_read(kept[id].chat, [id])

    async def run() -> None:
        while True:
            await client.connect()
            await client.wait_closed()
            await asyncio.sleep(0.5)

    _work.add(asyncio.create_task(run()))
    return {"text": text, "image": image, "download": download, "read": read}


async def pyaileys(folder: str) -> Verbs:
    """PyPI `pyaileys`."""
    from pyaileys.client import WhatsAppClient
    from pyaileys.crypto import noise

    noise.WA_CERT_PUBLIC_KEY = bytes.fromhex(os.environ["ROOT_KEY"])
    client, state = await WhatsAppClient.from_auth_folder(folder)
    kept: dict[str, Any] = {}

    async def on_connection(update: Any) -> None:
        if update.qr:
            write_line(event="qr", text=update.qr)
        if update.connection == "open":
            write_line(event="open")

    async def on_credentials(_: Any) -> None:
        await state.save_creds()

    async def on_message(event: dict[str, Any]) -> None:
        kept[event["id"]] = message = event["message"]
        text = event["text"] or message.imageMessage.caption
        from_me = str(event["sender_jid"]).partition(":")[0] == own()
        write_line(
            event="message", id=event["id"], chat=event["chat_jid"], from_me=from_me, text=text
        )

    def own() -> str:
        me = state.creds.me
        return str(me.id).partition(":")[0] if me else ""

    client.on("connection.update", on_connection)
    client.on("creds.update", on_credentials)
    client.on("message.decrypted", on_message)

    async def text(to: str, body: str) -> str:
        return str(await client.send_text(to, body, wait_ack=True))

    async def image(to: str, data: str) -> str:
        content = base64.b64decode(data)
        return str(await client.send_image(to, content, mimetype="image/png", wait_ack=True))

    async def download(id: str) -> str:
        return base64.b64encode(await client.download_message_media(kept[id])).decode()

    _work.add(asyncio.create_task(client.connect()))
    return {"text": text, "image": image, "download": download}


_work: set[asyncio.Task[Any]] = set()


async def main(library: str, folder: str) -> None:
    verbs = await {"pywhats": pywhats, "pyaileys": pyaileys}[library](folder)

    async def perform(verb: str, *values: Any) -> Any:
        if verb not in verbs:
            raise NoFunction
        return await verbs[verb](*values)

    await serve(perform)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
    os._exit(0)
