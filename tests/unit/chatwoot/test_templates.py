"""Texts in other words: what Mustache says of variables and sections."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import pytest

from cluster.chatwoot.templates import check_template, render
from cluster.domain.errors import Invalid


@pytest.mark.parametrize(
    ("text", "values", "rendered"),
    [
        ("{{{a}}} {{a}} {{& a}}", {"a": "<b>"}, "<b> <b> <b>"),
        ("{{ a.b }}", {"a": {"b": 5}}, "5"),
        ("[{{a.b.c}}]", {"a": {"b": "x"}}, "[]"),
        ("{{#a}}yes{{/a}}{{^a}}no{{/a}}", {"a": "1"}, "yes"),
        ("{{#a}}yes{{/a}}{{^a}}no{{/a}}", {"a": ""}, "no"),
        ("{{#a}}{{b}} {{c}}{{/a}}", {"a": {"b": 1}, "b": 2, "c": 3}, "1 3"),
        ("{{#a}}{{#b}}x{{/b}}{{/a}}", {"a": True, "b": False}, ""),
        ("{{a}}", {"a": "{{b}}", "b": "twice"}, "{{b}}"),
        ("{{a b}} { {a} }", {"a": 1}, "{{a b}} { {a} }"),
    ],
)
def test_what_is_filled_in(text: str, values: dict[str, Any], rendered: str) -> None:
    check_template(text, "t")
    assert render(text, values) == rendered


@pytest.mark.parametrize("text", ["{{#a}}", "{{/a}}", "{{#a}}{{#b}}{{/a}}{{/b}}"])
def test_sections_are_closed(text: str) -> None:
    with pytest.raises(Invalid, match=r"config\.templates\.x"):
        check_template(text, "config.templates.x")


def test_a_long_text_takes_no_time() -> None:
    started = time.perf_counter()
    for text in ("{{" * 2048, "{{#a" * 1024, "{{{a" * 1024, "{{ " + " " * 4090):
        render(text, {"a": "x"})
    assert len(render("{{a}}" * 100, {"a": "x" * 10_000})) == 65_536
    assert time.perf_counter() - started < 2


def test_a_long_value_that_is_named_hundreds_of_times_is_not_copied_as_often() -> None:
    template = "{{#part}}" + "{{a}}" * 800 + "{{/part}}"
    tracemalloc.start()
    try:
        text = render(template, {"part": {"a": "x" * 1_000_000}})
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(text) == 65_536
    assert most < 20_000_000
