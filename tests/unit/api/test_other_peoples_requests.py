"""What clients send that were written for WAHA, however they write it."""

from __future__ import annotations

import asyncio
import json
import threading
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fake_gateway import KEY, FakeGateway, FakeSession, served
from pydantic import SecretStr

from api.app import create_app
from api.problems import MalformedJson
from api.strict_json import parse_form
from cluster.domain.errors import Invalid
from cluster.settings import FrontSettings, HttpSettings

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ("a=1&b=x+y%20z", {"a": "1", "b": "x y z"}),
        ("a=%F0%9F%98%80&b=", {"a": "😀", "b": ""}),
        ("a=1&a=2", {"a": ["1", "2"]}),
        ("a[]=1", {"a": ["1"]}),
        ("a[]=1&a[]=2", {"a": ["1", "2"]}),
        ("a[1]=2&a[0]=1&a[10]=3", {"a": ["1", "2", "3"]}),
        ("file[url]=http://x/y&file[mimetype]=image/png", None),
        ("p[0][id]=1&p[1][id]=2", {"p": [{"id": "1"}, {"id": "2"}]}),
        (
            "config[webhooks][0][events][]=message",
            {"config": {"webhooks": [{"events": ["message"]}]}},
        ),
    ],
)
def test_forms_are_read_as_php_and_curl_write_them(
    body: str, fields: dict[str, Any] | None
) -> None:
    wanted = fields or {"file": {"url": "http://x/y", "mimetype": "image/png"}}
    assert parse_form(body.encode()) == wanted


@pytest.mark.parametrize(
    "body",
    [
        b"a=%ff",
        b"a=\xff",
        b"a=%ED%A0%80",
        b"[x]=1",
        b"a[b=1",
        b"a=1&a[b]=2",
        b"a[b]=1&a=2",
        b"a" + b"[b]" * 50 + b"=1",
        b"&".join(b"a%d=1" % n for n in range(9000)),
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises((Invalid, MalformedJson)):
        parse_form(body)


async def test_a_send_as_a_form(caller: httpx.AsyncClient, gateway: FakeGateway) -> None:
    fields = {
        "session": "working",
        "chatId": "4915100002@c.us",
        "text": "Grüße",
        "linkPreview": "0",
    }
    answer = await caller.post("/api/sendText", data=fields)
    assert answer.status_code == 201, answer.text
    assert gateway.sends[-1]["text"] == "Grüße"
    assert gateway.sends[-1]["link_preview"] is False
    missing = await caller.post("/api/sendText", data={"session": "working", "text": "x"})
    assert (missing.status_code, missing.json()["field"]) == (422, "chatId")
    large = await caller.post("/api/sendText", content=b"text=" + b"x" * 9999, headers=FORM)
    assert large.status_code == 413
    nul = await caller.post("/api/sendText", content=b"chatId=1&text=a%00", headers=FORM)
    assert nul.status_code == 422


@pytest.mark.parametrize(
    ("query", "limit"),
    [("", 100), ("&limit=", 100), ("&limit=0", 1000), ("&limit=10000", 1000), ("&limit=7", 7)],
)
async def test_no_limit_is_as_much_as_an_answer_holds(
    caller: httpx.AsyncClient, gateway: FakeGateway, query: str, limit: int
) -> None:
    answer = await caller.get(f"/api/messages?session=working&chatId=4915100002@c.us{query}")
    assert answer.status_code == 200, answer.text
    assert gateway.filters[-1].limit == limit


async def test_what_was_left_empty_was_not_asked_for(
    caller: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    """Every query parameter of every operation may be empty: generated forms send them all."""
    for path, item in document["paths"].items():
        for name, operation in item.items():
            optional = [
                one["name"]
                for one in operation.get("parameters", [])
                if one["in"] == "query" and not one.get("required")
            ]
            if not optional or "stream" in path:
                continue
            url = path.replace("{", "").replace("}", "")
            plain = await caller.request(name.upper(), url)
            empty = await caller.request(name.upper(), url, params=dict.fromkeys(optional, ""))
            assert plain.status_code == empty.status_code, (name, path, empty.text)


async def test_every_limit_takes_none_and_too_much(document: dict[str, Any]) -> None:
    """Of all operations: 0 is sent by n8n, and WAHA has no maximum."""
    limits = [
        (path, one["schema"])
        for path, item in document["paths"].items()
        for operation in item.values()
        for one in operation.get("parameters", [])
        if one["name"] == "limit"
    ]
    assert len(limits) > 10
    for path, schema in limits:
        assert (schema.get("minimum"), schema.get("maximum")) == (0, None), path


async def test_a_pin_answers_as_waha_does(
    caller: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def pin(*_: Any) -> None:
        """Done: the acceptance tests see it on the phone."""

    monkeypatch.setattr(FakeSession, "chatting", SimpleNamespace(pin=pin), raising=False)
    chat = "4915100002@c.us"
    message = f"/api/working/chats/{chat}/messages/true_{chat}_3EB0AAAAAAAAAAAAAAAAAA"
    for way, body in (("pin", {"duration": 86400}), ("unpin", {})):
        answer = await caller.post(f"{message}/{way}", json=body)
        assert (answer.status_code, answer.json()) == (201, {"success": True})


async def test_pages_of_other_origins_are_let_in_by_a_setting() -> None:
    app = create_app(
        served(FakeGateway()),
        HttpSettings(api_key=SecretStr(KEY)),
        front_settings=FrontSettings(cors_origins="https://board.example"),
    )
    asks = {"Origin": "https://board.example", "Access-Control-Request-Method": "POST"}
    asks |= {"Access-Control-Request-Headers": "x-api-key,content-type"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://gateway") as one,
    ):
        allowed = await one.options("/api/sendText", headers=asks)
        assert allowed.headers["access-control-allow-origin"] == "https://board.example"
        assert "x-api-key" in allowed.headers["access-control-allow-headers"].lower()
        other = await one.options(
            "/api/sendText", headers=asks | {"Origin": "https://evil.example"}
        )
        assert "access-control-allow-origin" not in other.headers


async def test_the_document_is_written_once_and_beside_the_loop(
    stranger: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastapi.openapi.utils import get_openapi

    written: list[threading.Thread] = []
    original = get_openapi

    def counted(**arguments: Any) -> Any:
        written.append(threading.current_thread())
        return original(**arguments)

    monkeypatch.setattr("api.openapi.get_openapi", counted)
    first = asyncio.create_task(stranger.get("/openapi.json"))
    await asyncio.sleep(0)
    first.cancel()
    answers = await asyncio.gather(*(stranger.get("/openapi.json") for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(written) == 1
    assert written[0] is not threading.main_thread()
    assert json.loads(answers[0].content)["openapi"]
