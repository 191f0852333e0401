"""What is nobody's business does not reach a log, by whichever way it comes."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Iterator

import pytest
import structlog

from cluster.settings import LogSettings
from cluster.telemetry.logs import Masker, bind_process, configure
from cluster.telemetry.tracing import of_caller

NUMBER = "4915112345678"
KEY = "key_" + "a1B2c3D4" * 5 + "xyz"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtYWxsb3J5In0.c2lnbmF0dXJlLW9mLWl0"


@pytest.mark.parametrize(
    "text",
    [
        NUMBER,
        f"+{NUMBER}",
        f"{NUMBER}@s.whatsapp.net",
        f"{NUMBER}:3@s.whatsapp.net",
        f"{NUMBER}.0:12@s.whatsapp.net",
        f"GET /api/default/chats/{NUMBER}@c.us/messages",
        f"GET /api/default/chats/{NUMBER}%40c.us/messages?limit=1",
        f"Failed to send to {NUMBER}@lid, giving up",
        f"user_{NUMBER}_x",
        f"{NUMBER}-1612345678@g.us",
        f'{{"chatId": "{NUMBER}@c.us"}}',
        f"true_{NUMBER}@c.us_3EB0AAAAAAAAAAAAAAAA",
        f"file-{NUMBER}.jpg",
    ],
)
def test_phone_numbers_are_masked_wherever_they_stand(text: str) -> None:
    masked = Masker().text(text)
    assert NUMBER not in masked
    assert NUMBER[4:9] not in masked
    assert "49***" in masked, "still distinguishes one from another"


@pytest.mark.parametrize(
    "text",
    [
        f"X-Api-Key: {KEY}",
        f"Authorization: Bearer {JWT}",
        f"GET /ws?x-api-key={KEY}&session=a",
        f"GET /api/a/events/stream?access_token={JWT}",
        "postgresql://gateway:S3cretPass@db:5432/gateway",
        "the operators-own-key was here",
    ],
)
def test_keys_and_tokens_are_masked(text: str) -> None:
    masked = Masker(["operators-own-key"]).text(text)
    for secret in (KEY, JWT, JWT.split(".")[1], "S3cretPass", "operators-own-key"):
        assert secret not in masked
    assert "***" in masked


@pytest.mark.parametrize(
    "text",
    [
        "node 3f0a12345678901234567890abcdef1234567890abcdef1234567890 is up",
        "took 0.123456789012 s",
        "3EB0C431D5F1A2B3C4D5E6",
        "127.0.0.1:34567",
        "epoch 17 seq 1234567",
        "2026-01-02T03:04:05.123456Z",
    ],
)
def test_what_is_no_number_of_a_person_stays(text: str) -> None:
    assert Masker().text(text) == text


def test_events_are_masked_in_depth_and_secrets_by_their_name() -> None:
    masked = Masker().event(
        {
            "event": "x",
            "chat": f"{NUMBER}@c.us",
            "phone": int(NUMBER),
            "size": 4915112345678,
            "to": [{"jid": f"{NUMBER}@lid", NUMBER: 1}],
            "api_key": "short",
            "error": ValueError(f"no {NUMBER}"),
        }
    )
    assert masked["size"] == 4915112345678, "a size is a size"
    assert masked["api_key"] == "***"
    masked.pop("size")
    assert NUMBER not in json.dumps(masked)


def test_ids_that_join_lines_stay_whole() -> None:
    ids = {"request_id": "12345678-1234-1234-1234-123456789012", "trace_id": "1" * 32}
    assert Masker().event(ids) == ids
    assert NUMBER not in str(Masker().event({"request_id": NUMBER}))


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Output of a configured process; everything is put back afterwards."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    uvicorn = logging.getLogger("uvicorn")
    uvicorn.addHandler(logging.StreamHandler())
    uvicorn.propagate = False
    root = logging.getLogger()
    before, factory = (list(root.handlers), root.level), logging.getLogRecordFactory()
    renderers = structlog.get_config()
    configure(LogSettings(_env_file=os.devnull), part="test", secrets=iter(["operators-own-key"]))
    bind_process(session="default/alice", node="n1", epoch=7)
    yield out
    structlog.configure(**renderers)
    logging.setLogRecordFactory(factory)
    root.handlers[:], root.level = before
    root.setLevel(before[1])


def test_every_logger_of_a_process_logs_json_without_numbers(lines: io.StringIO) -> None:
    # As uvicorn leaves it behind where it was started.
    assert not logging.getLogger("uvicorn").handlers
    assert logging.getLogger("uvicorn.error").propagate
    structlog.get_logger("a").info("session.sent", chat=f"{NUMBER}@c.us")
    logging.getLogger("whatsmeow.Client").warning("Failed to decrypt from %s:3", NUMBER)
    logging.getLogger("uvicorn.error").error("operators-own-key leaked")
    try:
        raise RuntimeError(f"no route to {NUMBER}@s.whatsapp.net")
    except RuntimeError:
        structlog.get_logger("a").exception("session.crashed")
        logging.getLogger("b").exception("crashed with %s", NUMBER)
    with of_caller("call", {"x-request-id": "r-1"}):
        structlog.get_logger("a").info("http.request")
    logged = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert len(logged) == 6
    assert NUMBER not in lines.getvalue()
    assert "operators-own-key" not in lines.getvalue()
    for line in logged:
        assert {"timestamp", "level", "event"} <= line.keys()
        assert (line["session"], line["node"], line["epoch"]) == ("default/alice", "n1", 7)
    assert "RuntimeError: no route to 49***78@s.whatsapp.net" in logged[3]["exception"]
    assert logged[-1]["request_id"] == "r-1"


def test_handlers_of_others_get_masked_records_too(lines: io.StringIO) -> None:
    """Ray's and Serve's loggers do not pass on to the root's handler."""
    out = io.StringIO()
    logger = logging.getLogger("ray.serve.test")
    logger.propagate = False
    logger.addHandler(logging.StreamHandler(out))
    try:
        raise ValueError(NUMBER)
    except ValueError:
        logger.exception("GET /api/a/chats/%s@c.us 200", NUMBER)
    assert "49***78@c.us" in out.getvalue()
    assert NUMBER not in out.getvalue()
