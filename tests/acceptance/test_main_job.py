"""The main job through the front door: create, scan, talk, list, log out, refuse."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from running_gateway import Phone, RunningGateway, until
from waha import WahaClient

Pair = tuple[tuple[str, Phone], tuple[str, Phone]]


def test_two_sessions_on_two_nodes_talk_end_to_end(gateway: RunningGateway, pair: Pair) -> None:
    (alice, alices_phone), (bob, bobs_phone) = pair
    everyone = gateway.api.get("/api/sessions", params={"all": True}).raise_for_status().json()
    nodes = {one["gateway"]["node"] for one in everyone} - {None, ""}
    assert len(nodes) == 2, "sessions are spread over the nodes"
    sent = gateway.send(alice, bobs_phone.chat, "hello Bob")
    until(lambda: "hello Bob" in bobs_phone.texts(), what="on Bob's phone")
    (received,) = until(
        lambda: [m for m in gateway.history(bob, alices_phone.chat) if m["body"] == "hello Bob"],
        what="in Bob's history",
    )
    assert not received["fromMe"]
    assert sent["id"].rpartition("_")[2] == received["id"].rpartition("_")[2], "one id everywhere"
    gateway.send(bob, alices_phone.chat, "hello Alice", reply_to=received["id"])
    entry = until(
        lambda: next((e for e in alices_phone.inbox() if e["text"] == "hello Alice"), None),
        what="on Alice's phone",
    )
    quoted = entry["message"]["extendedTextMessage"]["contextInfo"]["stanzaId"]
    assert quoted == received["id"].rpartition("_")[2]


def test_delivery_and_reading_reach_the_sender(gateway: RunningGateway, pair: Pair) -> None:
    (alice, _), (_, bobs_phone) = pair
    sent = gateway.send(alice, bobs_phone.chat, "read me")
    wire_id = sent["id"].rpartition("_")[2]
    until(lambda: "read me" in bobs_phone.texts())

    def ack() -> str:
        found = gateway.history(alice, bobs_phone.chat)
        return str(next(m["ackName"] for m in found if m["id"] == sent["id"]))

    until(lambda: ack() == "DEVICE", what="two ticks")
    bobs_phone.post("/read", message_ids=[wire_id])
    until(lambda: ack() == "READ", what="blue ticks")


def test_what_a_phone_types_arrives_and_own_messages_are_own(
    gateway: RunningGateway, pair: Pair
) -> None:
    (alice, alices_phone), (_, bobs_phone) = pair
    bobs_phone.post("/messages", to=alices_phone.number, text="typed by Bob")
    alices_phone.post("/messages", to=bobs_phone.number, text="typed by Alice")

    def seen() -> dict[str, bool]:
        found = gateway.history(alice, bobs_phone.chat)
        return {m["body"]: m["fromMe"] for m in found if m["body"].startswith("typed")}

    until(lambda: seen() == {"typed by Bob": False, "typed by Alice": True}, what="both")


def test_the_order_of_a_chat_is_the_order_of_the_calls(gateway: RunningGateway, pair: Pair) -> None:
    (alice, _), (_, bobs_phone) = pair
    texts = [f"number {n}" for n in range(20)]
    for text in texts:
        gateway.send(alice, bobs_phone.chat, text)

    def arrived() -> list[str]:
        return [t for t in bobs_phone.texts() if t.startswith("number ")]

    until(lambda: len(arrived()) >= 20)
    assert arrived() == texts


def test_the_same_idempotency_key_is_the_same_message(gateway: RunningGateway, pair: Pair) -> None:
    (alice, _), (_, bobs_phone) = pair
    body = {"session": alice, "chatId": bobs_phone.chat, "text": "only once"}
    answers = [
        gateway.api.post("/api/sendText", json=body, headers={"Idempotency-Key": "key-1"})
        for _ in range(3)
    ]
    assert len({a.json()["id"] for a in answers}) == 1
    gateway.send(alice, bobs_phone.chat, "after it")
    until(lambda: "after it" in bobs_phone.texts())
    assert bobs_phone.texts().count("only once") == 1


def test_wahas_generated_client_does_the_whole_story(
    gateway: RunningGateway, session_name: Callable[[], str]
) -> None:
    name, phone, friend = session_name(), gateway.phone("Carol"), gateway.phone("Friend")
    waha = WahaClient(base_url=gateway.state.url, api_key=gateway.state.api_key)
    with contextlib.closing(waha):
        waha.sessions.create({"name": name})
        until(lambda: waha.sessions.get(name)["status"] == "SCAN_QR_CODE")
        qr = waha.auth.get_qr(name, params={"format": "raw"})
        assert waha.screenshot.screenshot({"session": name})["mimetype"] == "image/png"
        phone.post("/scan", qr=qr["value"])
        until(lambda: waha.sessions.get(name)["status"] == "WORKING")
        assert gateway.api.get("/api/screenshot", params={"session": name}).status_code == 501
        assert waha.sessions.get_me(name)["id"] == phone.chat
        sent = waha.chatting.send_text({"session": name, "chatId": friend.chat, "text": "waha"})
        until(lambda: friend.texts() == ["waha"])
        listed = waha.chats.get_chat_messages(name, friend.chat, params={"limit": 10})
        assert [m["id"] for m in listed] == [sent["id"]]


def test_pairing_by_code_and_logging_out(
    gateway: RunningGateway, session_name: Callable[[], str]
) -> None:
    name, phone = session_name(), gateway.phone("Dave")
    gateway.api.post("/api/sessions", json={"name": name}).raise_for_status()
    gateway.qr(name)
    answer = gateway.api.post(f"/api/{name}/auth/request-code", json={"phoneNumber": phone.number})
    assert answer.is_success, answer.text
    phone.post("/link-code", code=answer.json()["code"])
    gateway.working(name)
    assert len(phone.devices()) == 1
    gateway.api.post(f"/api/sessions/{name}/logout").raise_for_status()
    until(lambda: phone.devices() == [], what="unlinked at WhatsApp")
    until(lambda: gateway.info(name)["status"] in ("STOPPED", "SCAN_QR_CODE"))
    gateway.api.post(f"/api/sessions/{name}/start").raise_for_status()
    assert gateway.qr(name), "a session that was logged out can be linked again"
    assert gateway.api.delete(f"/api/sessions/{name}").is_success
    assert gateway.api.get(f"/api/sessions/{name}").status_code == 404


def test_unlinked_on_the_phone_is_reported(
    gateway: RunningGateway, session_name: Callable[[], str]
) -> None:
    name, phone = session_name(), gateway.phone("Eve")
    gateway.paired(name, phone)
    device = phone.devices()[0]["device"]
    gateway.control.delete(f"/phones/{phone.number}/devices/{device}").raise_for_status()
    until(lambda: gateway.info(name)["status"] == "FAILED", what="FAILED")
    gateway.api.post(f"/api/sessions/{name}/restart").raise_for_status()
    phone.post("/scan", qr=gateway.qr(name))
    gateway.working(name)


PROGRAM = """
import asyncio, json, sys
from cluster import connect
from cluster.domain.errors import SessionNotFound, Invalid
async def main(session, chat):
    async with connect() as gateway:
        sent = await gateway.session(session).send_text(chat, "from Python")
        refused = []
        for call in (gateway.session("nobody").send_text(chat, "x"),
                     gateway.session(session).send_text("rubbish", "x")):
            try:
                await call
            except (SessionNotFound, Invalid) as error:
                refused.append(type(error).__name__)
        print(json.dumps({"id": sent.message_id, "refused": refused}))
asyncio.run(main(*sys.argv[1:]))
"""


def test_python_programs_call_the_actors_without_http(
    gateway: RunningGateway, pair: Pair, tmp_path: Path
) -> None:
    (alice, _), (_, bobs_phone) = pair
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    said = gateway.command("run", "python", str(program), alice, bobs_phone.chat)
    assert '"refused": ["SessionNotFound", "Invalid"]' in said
    until(lambda: "from Python" in bobs_phone.texts())


@pytest.mark.parametrize(
    ("path", "body", "status", "names"),
    [
        (
            "/api/sendText",
            {"session": "nobody", "chatId": "4915100@c.us", "text": "x"},
            404,
            "nobody",
        ),
        ("/api/sendText", {"session": "{s}", "chatId": "rubbish", "text": "x"}, 422, "chatId"),
        ("/api/sendText", {"session": "{s}", "chatId": "4915199@c.us"}, 422, "text"),
        (
            "/api/sendText",
            {"session": "../x", "chatId": "49151@c.us", "text": "x"},
            422,
            "ession",
        ),
        (
            "/api/sendText",
            {"session": "{s}", "chatId": "49999000000@c.us", "text": "x"},
            422,
            "WhatsApp",
        ),
        ("/api/sessions", {"name": "no spaces"}, 422, "name"),
    ],
)
def test_bad_input_is_refused_by_name_and_sends_nothing(
    gateway: RunningGateway, pair: Pair, path: str, body: dict[str, str], status: int, names: str
) -> None:
    alice = pair[0][0]
    before = gateway.control.get("/state").json()["counters"].get("message", 0)
    body = {key: value.replace("{s}", alice) for key, value in body.items()}
    answer = gateway.api.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert names in answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert gateway.control.get("/state").json()["counters"].get("message", 0) == before


def test_a_session_that_does_not_work_answers_as_waha(
    gateway: RunningGateway, session_name: Callable[[], str]
) -> None:
    name = session_name()
    gateway.api.post("/api/sessions", json={"name": name, "start": False}).raise_for_status()
    answer = gateway.api.post(
        "/api/sendText", json={"session": name, "chatId": "4915100@c.us", "text": "x"}
    )
    assert answer.status_code == 422
    assert "Session status is not as expected" in answer.text
    assert "STOPPED" in answer.text
    assert "WORKING" in answer.text


def test_a_key_is_needed(gateway: RunningGateway) -> None:
    for headers in ({}, {"X-Api-Key": "wrong"}):
        assert httpx.get(f"{gateway.state.url}/api/sessions", headers=headers).status_code == 401
    assert httpx.get(f"{gateway.state.url}/ping").json() == {"message": "pong"}


def test_too_large_a_body_is_refused(gateway: RunningGateway, pair: Pair) -> None:
    answer = gateway.api.post(
        "/api/sendText",
        json={"session": pair[0][0], "chatId": pair[1][1].chat, "text": "x" * 3_000_000},
    )
    assert answer.status_code == 413


def test_nothing_was_left_unhandled(gateway: RunningGateway, pair: Pair) -> None:
    state = gateway.control.get("/state").json()
    assert state["unhandled"] == {}, "the sandbox answered everything the library asked"
    assert gateway.overlaps() == [], "no device was ever connected twice at once"
