"""What strangers and callers write does not become a header, a request inside, or memory."""

from __future__ import annotations

import pytest
from attack_front import Front
from inner_service import Inside

from cluster.domain.session import SessionRecord
from cluster.media.media_types import safe_media_type


@pytest.mark.parametrize(
    "text",
    [
        "image/png\r\nSet-Cookie: a=b",
        "image/png\n",
        "image/png; name=a\r\nX: y",
        "image/png\0",
        "image/ü",
        "image",
        "",
        "text/html" * 40,
        " image/png",
        "image/png;a=b;" + "c=d;" * 2000,
    ],
)
def test_a_strangers_media_type_becomes_no_header(text: str) -> None:
    assert safe_media_type(text) == "application/octet-stream"


@pytest.mark.parametrize("text", ["image/png", "audio/ogg; codecs=opus", "application/vnd.ms-x+y"])
def test_media_types_that_are_some_stay(text: str) -> None:
    assert safe_media_type(text) == text


@pytest.mark.parametrize(
    "header",
    [
        {"name": "X-A", "value": "a\r\nX-B: c"},
        {"name": "X-A", "value": "a\n"},
        {"name": "X-A\r\nX-B", "value": "a"},
        {"name": "X A", "value": "a"},
        {"name": "X-A:", "value": "a"},
        {"name": "", "value": "a"},
    ],
)
async def test_headers_of_webhooks_hold_one_line(front: Front, header: dict[str, str]) -> None:
    hook = {"url": "https://a.example/", "events": ["message"], "customHeaders": [header]}
    answer = await front.operator().post(
        "/api/sessions", json={"name": "never", "start": False, "config": {"webhooks": [hook]}}
    )
    assert answer.status_code == 422, answer.text


async def test_files_of_callers_are_not_fetched_from_inside(
    front: Front, victim: SessionRecord, inside: Inside
) -> None:
    for host in ("127.0.0.1", "2130706433", "[::ffff:127.0.0.1]", "localhost"):
        for what in ("voice", "video"):
            answer = await front.operator().post(
                f"/api/{victim.name}/media/convert/{what}",
                json={"url": f"http://{host}:{inside.port}/secret.ogg"},
            )
            assert answer.status_code == 422, answer.text
            assert "secret" not in answer.text.replace("secret.ogg", "")
    assert inside.reached == []


async def test_compressed_bodies_are_not_unpacked(front: Front) -> None:
    """So that no bomb goes off: a compressed body is no JSON."""
    answer = await front.operator().post(
        "/api/sendText",
        content=b"\x1f\x8b" + b"\0" * 1000,
        headers={"Content-Encoding": "gzip", "Content-Type": "application/json"},
    )
    assert answer.status_code in {400, 415, 422}
