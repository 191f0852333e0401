"""Every number of a request has a bound, and what is beyond it is refused: never a failure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attack_front import Front
from every_route import shots

from cluster.domain.session import SessionRecord
from cluster.domain.session_config import MOST_WEBHOOKS

#: No JSON number is larger for most parsers, and no `bigint` is as large.
HUGE = 99999999999999999999
#: WAHA has no maximum of it: what is too much is cut to what one answer holds (`api.paging`).
_CUT = "limit"
_LOW, _HIGH = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}


def _unbounded(
    document: dict[str, Any], schema: dict[str, Any], path: str, seen: tuple[str, ...] = ()
) -> Iterator[str]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in seen:
            inner = document["components"]["schemas"][name]
            yield from _unbounded(document, inner, f"{path}:{name}", (*seen, name))
        return
    for choice in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(choice, ()):
            yield from _unbounded(document, one, path, seen)
    fixed = "enum" in schema or "const" in schema
    bounded = fixed or (_LOW & schema.keys() and _HIGH & schema.keys())
    if schema.get("type") in {"integer", "number"} and not bounded:
        yield path
    for name, one in schema.get("properties", {}).items():
        if name != _CUT:
            yield from _unbounded(document, one, f"{path}.{name}", seen)
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from _unbounded(document, schema[name], f"{path}[]", seen)


def test_every_number_of_a_request_has_bounds(document: dict[str, Any]) -> None:
    checked = 0
    found: list[Any] = []
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for one in operation.get("parameters", ()):
                checked += 1
                if one["name"] == _CUT:
                    continue
                found += _unbounded(document, one["schema"], f"{path} {one['name']}")
            for one in operation.get("requestBody", {}).get("content", {}).values():
                checked += 1
                found += _unbounded(document, one["schema"], path)
    assert checked > 100
    assert not found


@pytest.mark.parametrize("value", [HUGE, -HUGE, 2**63, "1e400", "NaN", "\u0661", "9" * 5000])
async def test_numbers_beyond_every_bound_are_refused(
    front: Front, document: dict[str, Any], victim: SessionRecord, value: Any
) -> None:
    """In queries: bodies hold no number without a bound (above), and models refuse those."""
    failed, asked = {}, 0
    for shot in shots(document, victim.name):
        if shot.method != "GET":
            continue
        for one in document["paths"][shot.template]["get"].get("parameters", ()):
            kinds = [one["schema"], *one["schema"].get("anyOf", ())]
            if one["in"] != "query" or not {"integer", "number"} & {k.get("type") for k in kinds}:
                continue
            asked += 1
            query = shot.query | {one["name"]: value}
            answer = await front.operator().get(shot.path, params=query)
            cut = one["name"] == _CUT and answer.status_code < 500
            if answer.status_code != 422 and not cut:
                failed[shot.path, one["name"]] = answer.status_code
    assert asked > 10
    assert not failed


@pytest.mark.parametrize("count", [MOST_WEBHOOKS + 1, 10_000])
async def test_a_session_has_no_thousands_of_webhooks(
    front: Front, victim: SessionRecord, count: int
) -> None:
    """Each event would be posted as often."""
    one = {"url": "https://receiver.example/", "events": ["message"]}
    body = {"name": "many", "start": False, "config": {"webhooks": [one] * count}}
    for method, path in (("POST", "/api/sessions"), ("PUT", f"/api/sessions/{victim.name}")):
        answer = await front.operator().request(method, path, json=body)
        assert answer.status_code == 422, answer.text[:200]
    assert not (await front.stores.sessions.get(victim.tenant, victim.name)).config.get("webhooks")


@pytest.mark.parametrize("value", [str(HUGE), "-1", "9" * 5000, "\u00b2", "1.5"])
async def test_the_number_of_the_last_event_is_one(
    front: Front, victim: SessionRecord, value: str
) -> None:
    answer = await front.operator().get(
        f"/api/{victim.name}/events/stream", headers={b"Last-Event-ID": value.encode("latin-1")}
    )
    assert answer.status_code == 422


async def test_a_cursor_of_somebodys_making_is_refused(front: Front, victim: SessionRecord) -> None:
    import base64
    import json

    for parts in ([1, 1, "\ud800", "a", 0], [10**30, 1, "a", "b", 0], [1, 1, "a\0", "b", 0]):
        cursor = base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")
        answer = await front.operator().get(
            f"/api/{victim.name}/messages/search", params={"q": "a", "cursor": cursor}
        )
        assert answer.status_code == 422, answer.text
