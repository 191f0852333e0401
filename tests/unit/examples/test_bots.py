"""Each example against a stand-in of the API that its bot publishes (mocks: the bots are services
of others)."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

BOB = "4915100002@c.us"
Served = Callable[..., str]


def event(number: int, text: str, chat: str = BOB) -> dict[str, Any]:
    return {
        "id": f"evt_{number}",
        "event": "message",
        "payload": {"from": chat, "body": text},
        "gateway": {"seq": number},
    }


class Session:
    """A session's events and sends."""

    def __init__(self, *emitted: dict[str, Any] | None) -> None:
        self.emitted = emitted
        self.sent: list[tuple[str, str, str]] = []
        self.asked: list[tuple[int | None, list[str]]] = []
        self.events = self

    async def follow(self, *, after: int | None, types: list[str]) -> AsyncIterator[Any]:
        self.asked.append((after, types))
        for one in self.emitted:
            yield one

    async def send_text(self, chat: str, text: str, *, idempotency_key: str) -> None:
        self.sent.append((chat, text, idempotency_key))


async def test_a_responder_answers_each_text_once_and_goes_on_where_it_was(tmp_path: Path) -> None:
    responder, place = importlib.import_module("responder"), tmp_path / "alice.place"
    group = event(3, "hi all", "120363@g.us")
    session = Session(None, event(1, "hello"), event(2, ""), group, event(4, "bye"))
    await responder.respond(session, responder.echo, place)
    assert session.sent == [(BOB, "You said: hello", "evt_1"), (BOB, "You said: bye", "evt_4")]
    assert session.asked == [(None, ["message"])]
    assert place.read_text() == "4"

    async def broken(chat: str, text: str) -> str:
        raise RuntimeError("the agent is away")

    again = Session(event(5, "once more"))
    with pytest.raises(RuntimeError):
        await responder.respond(again, broken, place)
    assert again.asked == [(4, ["message"])]
    assert place.read_text() == "4", "what was not answered comes again"


async def test_openai(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[list[dict[str, str]]] = []

    def completions(path: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
        assert (path, headers["Authorization"]) == ("/v1/chat/completions", "Bearer k")
        assert body["model"] == "m"
        heard.append(body["messages"])
        text = f"answer {len(heard)}"
        return 200, {"choices": [{"message": {"role": "assistant", "content": text}}]}

    monkeypatch.setenv("OPENAI_BASE_URL", f"{served(completions)}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_MODEL", "m")
    bot = importlib.import_module("openai_bot")
    assert [await bot.answer(BOB, "one"), await bot.answer(BOB, "two")] == ["answer 1", "answer 2"]
    assert [one["content"] for one in heard[1][1:]] == ["one", "answer 1", "two"]
    assert await bot.answer("other@c.us", "x") == "answer 3"
    assert [one["role"] for one in heard[2]] == ["system", "user"]


async def test_dify(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def chat(path: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
        assert (path, headers["Authorization"]) == ("/v1/chat-messages", "Bearer app-k")
        assert body["response_mode"] == "blocking"
        assert (body["user"], body["inputs"]) == (BOB, {})
        begun = body["conversation_id"] or "conversation-1"
        text = f"{body['query']} in {body['conversation_id'] or 'a new one'}"
        return 200, {"event": "message", "answer": text, "conversation_id": begun}

    monkeypatch.setenv("DIFY_URL", f"{served(chat)}/v1")
    monkeypatch.setenv("DIFY_API_KEY", "app-k")
    bot = importlib.import_module("dify_bot")
    assert await bot.answer(BOB, "one") == "one in a new one"
    assert await bot.answer(BOB, "two") == "two in conversation-1"


async def test_flowise(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def prediction(path: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
        assert (path, headers["Authorization"]) == ("/api/v1/prediction/flow-1", "Bearer k")
        assert body["overrideConfig"] == {"sessionId": BOB}
        return 200, {"text": f"about {body['question']}", "sessionId": BOB}

    monkeypatch.setenv("FLOWISE_URL", served(prediction))
    monkeypatch.setenv("FLOWISE_FLOW", "flow-1")
    monkeypatch.setenv("FLOWISE_API_KEY", "k")
    bot = importlib.import_module("flowise_bot")
    assert await bot.answer(BOB, "cats") == "about cats"


async def test_typebot(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def bubble(text: str) -> dict[str, Any]:
        return {"type": "text", "content": {"type": "markdown", "markdown": text}}

    def engine(path: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
        assert body["textBubbleContentFormat"] == "markdown"
        said = body["message"]["text"]
        if path == "/api/v1/typebots/my-bot/startChat":
            items = [{"content": "Coffee"}, {"content": "Tea"}]
            choice = {"type": "choice input", "items": items}
            return 200, {"sessionId": "s1", "messages": [bubble("What?")], "input": choice}
        if path == "/api/v1/sessions/s1/continueChat" and said == "Tea":
            return 200, {"messages": [bubble("Tea it is"), bubble("Bye")]}
        return 404, {"message": "Session not found"}

    monkeypatch.setenv("TYPEBOT_URL", served(engine))
    monkeypatch.setenv("TYPEBOT_ID", "my-bot")
    bot = importlib.import_module("typebot_bot")
    assert await bot.answer(BOB, "hi") == "What?\n\n1. Coffee\n\n2. Tea"
    assert await bot.answer(BOB, "2") == "Tea it is\n\nBye"
    assert (await bot.answer(BOB, "again")).startswith("What?"), "the flow begins anew"
    bot.sessions[BOB] = "s-that-ended"
    assert (await asyncio.wait_for(bot.answer(BOB, "hi"), 10)).startswith("What?")


def test_the_pages_show_the_examples_as_they_are() -> None:
    root = Path(__file__).parents[3]
    for example in (root / "examples").glob("*.py"):
        name = example.stem.removesuffix("_bot")
        code = example.read_text()
        shown = (root / "docs/integrations" / f"{name}.md").read_text()
        assert code.split('"""', 2)[2].strip() in shown, example.name
