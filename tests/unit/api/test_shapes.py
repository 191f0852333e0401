"""WAHA's shapes, as WAHA's generated client reads them over a real socket."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
import uvicorn
from fake_gateway import KEY, FakeGateway, served
from pydantic import SecretStr
from waha import AsyncWahaClient, models

from api.app import create_app
from cluster.domain.message import Ack
from cluster.settings import HttpSettings


@pytest.fixture
async def waha(gateway: FakeGateway) -> AsyncIterator[AsyncWahaClient]:
    app = create_app(served(gateway), HttpSettings(api_key=SecretStr(KEY)))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        client = AsyncWahaClient(f"http://127.0.0.1:{listener.getsockname()[1]}", api_key=KEY)
        yield client
        await client.close()
        server.should_exit = True
        await serving
    assert gateway.closed


async def test_a_session_reports_what_its_library_does_not_keep(
    waha: AsyncWahaClient, gateway: FakeGateway
) -> None:
    smaller = {"pictures_removed": "501 (its code may not be changed)"}
    gateway.smaller["working"] = smaller
    listed = {one["name"]: one["gateway"] for one in await waha.sessions.a_list()}
    assert listed["working"]["smallerPromises"] == smaller
    assert listed["scan"]["smallerPromises"] is None
    assert (await waha.sessions.a_get("working"))["gateway"]["smallerPromises"] == smaller


@pytest.mark.parametrize(
    ("search", "found"),
    [("WORK", {"working"}), ("+49151000", {"working"}), ("alice", {"working"}), ("nobody", set())],
)
async def test_sessions_are_found_by_name_number_and_account(
    gateway: FakeGateway, caller: httpx.AsyncClient, search: str, found: set[str]
) -> None:
    answer = await caller.get("/api/sessions", params={"all": True, "search": search})
    assert {one["name"] for one in answer.json()} == found
    assert len((await caller.get("/api/sessions?all=true&search=")).json()) == len(gateway.records)


async def test_the_generated_client_drives_the_slice(
    waha: AsyncWahaClient, gateway: FakeGateway
) -> None:
    created = await waha.sessions.a_create({"name": "bob", "config": {"metadata": {"a": "b"}}})
    assert models.SessionDTO.model_validate(created).status.value == "STARTING"
    assert created["config"] == {"metadata": {"a": "b"}}
    assert {s["name"] for s in await waha.sessions.a_list()} == {"working", "scan", "bob"}
    assert len(await waha.sessions.a_list(params={"all": True})) == 4
    assert (await waha.sessions.a_stop("bob"))["status"] == "STOPPED"
    assert (await waha.sessions.a_start("bob"))["status"] == "STARTING"
    me = models.MeInfo.model_validate(await waha.sessions.a_get_me("working"))
    assert (me.id, me.pushName) == ("4915100001@c.us", "Alice")
    assert await waha.sessions.a_get_me("scan") is None

    image = models.Base64File.model_validate(await waha.auth.a_get_qr("scan"))
    assert base64.b64decode(image.data).startswith(b"\x89PNG\r\n")
    raw = await waha.auth.a_get_qr("scan", params={"format": "raw"})
    assert models.QRCodeValue.model_validate(raw).value == "2@ref,noise,identity,adv"
    code = await waha.auth.a_request_code("scan", {"phoneNumber": "4915100001"})
    assert code == {"code": "ABCD-EFGH"}

    sent = await waha.chatting.a_send_text(
        {
            "session": "working",
            "chatId": "4915100002@c.us",
            "text": "hi",
            "reply_to": "false_4915100002@c.us_3EB0BBBBBBBBBBBBBBBBBB",
        }
    )
    message = models.WAMessage.model_validate(sent)
    assert message.id == "true_4915100002@c.us_3EB0AAAAAAAAAAAAAAAAAA"
    assert (message.from_, message.to, message.body) == ("4915100001@c.us", "4915100002@c.us", "hi")
    assert gateway.sends[0]["chat_id"] == "4915100002@s.whatsapp.net"
    assert gateway.sends[0]["reply_to"].message_id == "3EB0BBBBBBBBBBBBBBBBBB"

    listed = await waha.chats.a_get_chat_messages("working", "4915100002@c.us", {"limit": 5})
    received = models.WAMessage.model_validate(listed[0])
    assert received.id == "false_4915100002@c.us_3EB0BBBBBBBBBBBBBBBBBB"
    assert (received.fromMe, received.body, received.ackName) == (False, "hello", "DEVICE")
    older = await waha.chatting.a_get_messages(
        {"session": "working", "chatId": "4915100002@c.us", "limit": 5}
    )
    assert older == listed

    exists = await waha.contacts.a_check_exists({"session": "working", "phone": "4915100002"})
    assert models.WANumberExistResult.model_validate(exists).chatId == "4915100002@c.us"
    absent = await waha.contacts.a_check_exists({"session": "working", "phone": "4915100003"})
    assert absent["numberExists"] is False

    models.WAHAEnvironment.model_validate(await waha.version.a_get())
    with pytest.raises(httpx.HTTPStatusError) as refused:
        await waha.sessions.a_create({"name": "bob"})
    assert refused.value.response.status_code == 422
    await waha.sessions.a_delete("bob")
    assert "bob" not in gateway.records


async def test_filters_of_the_history_reach_the_store(
    caller: httpx.AsyncClient, gateway: FakeGateway
) -> None:
    answer = await caller.get(
        "/api/working/chats/all/messages",
        params={
            "limit": 7,
            "offset": 3,
            "sortOrder": "asc",
            "filter.fromMe": "true",
            "filter.ack": "READ",
            "filter.timestamp.gte": 1,
        },
    )
    assert answer.status_code == 200
    wanted = gateway.filters[0]
    assert (wanted.chat, wanted.limit, wanted.offset) == (None, 7, 3)
    assert (wanted.ascending, wanted.from_me, wanted.ack) == (True, True, Ack.READ)
    assert wanted.timestamp_gte is not None
    assert wanted.timestamp_gte.timestamp() == 1


async def test_a_browser_gets_the_qr_as_an_image(caller: httpx.AsyncClient) -> None:
    answer = await caller.get("/api/scan/auth/qr", headers={"Accept": "image/avif,*/*;q=0.8"})
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content.startswith(b"\x89PNG\r\n")


async def test_the_documentation_needs_no_network(stranger: httpx.AsyncClient) -> None:
    page = await stranger.get("/docs")
    assert "https://" not in page.text
    script = await stranger.get("/docs/assets/swagger-ui-bundle.js")
    assert script.status_code == 200
    document = (await stranger.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"]["api_key"]["name"] == "X-Api-Key"
    assert document["components"]["schemas"]["Problem"]["properties"]["statusCode"]
    operations = [o["operationId"] for path in document["paths"].values() for o in path.values()]
    assert len(operations) == len(set(operations))
    assert "ChattingController_sendText" in operations
