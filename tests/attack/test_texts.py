"""Any text in an address: what cannot be meant is refused, never a failure. Of bodies
tests/acceptance/test_any_request.py asks the same."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest
from attack_front import Front
from every_route import shots

from cluster.domain.session import SessionRecord

#: As they come over the wire, percent-encoded.
_TEXTS = {
    "NUL": "%00",
    "no UTF-8": "%ff%fe",
    "half a pair": "%ed%a0%80",
    "odd": quote("%_\\';--\u202e\ufeff😀\r\n", safe=""),
}


@pytest.mark.parametrize("text", _TEXTS)
async def test_any_text_in_a_query(
    front: Front, document: dict[str, Any], victim: SessionRecord, text: str
) -> None:
    operator = front.operator()
    failed, asked = dict[object, str](), 0
    for shot in shots(document, victim.name):
        if shot.method != "GET" or shot.template.endswith("/stream"):
            continue
        for one in document["paths"][shot.template]["get"].get("parameters", ()):
            if one["in"] != "query":
                continue
            asked += 1
            others = "&".join(f"{k}={quote(str(v))}" for k, v in shot.query.items())
            url = f"{shot.path}?{others}&{quote(one['name'])}={_TEXTS[text]}"
            answer = await operator.get(url)
            if answer.status_code == 500:
                failed[shot.path, one["name"]] = answer.text[:200]
    assert asked > 50
    assert not failed


@pytest.mark.parametrize("text", ["NUL", "no UTF-8"])
async def test_any_text_in_a_path(
    front: Front, document: dict[str, Any], victim: SessionRecord, text: str
) -> None:
    operator = front.operator()
    failed, asked = dict[object, str](), 0
    for template, operations in document["paths"].items():
        if template.endswith("/stream"):
            continue
        names = re.findall(r"{([^}]+)}", template)
        for method in operations.keys() & {"get", "post", "put", "delete"}:
            for odd in names:
                path = template
                for name in names:
                    value = victim.name if name in {"session", "name"} else "4915100000009@c.us"
                    path = path.replace(f"{{{name}}}", _TEXTS[text] if name == odd else value)
                asked += 1
                answer = await operator.request(method.upper(), path, json={})
                if answer.status_code == 500:
                    failed[method, template, odd] = answer.text[:200]
    assert asked > 200
    assert not failed
