"""Marks of WhatsApp and of Markdown."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.chatwoot.text import to_markdown, to_whatsapp


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("plain", "plain"),
        ("*bold* and ~gone~", "**bold** and ~~gone~~"),
        ("_slanted_", "_slanted_"),
        ("2*3*4", "2*3*4"),
        ("`*code*` *bold*", "`*code*` **bold**"),
        ("```\n*a*\n```", "```\n*a*\n```"),
        ("https://a.example/*x*?y=~z~ *b*", "https://a.example/*x*?y=~z~ **b**"),
        ("* a list\n* of two", "* a list\n* of two"),
    ],
)
def test_both_ways(here: str, there: str) -> None:
    assert to_markdown(here) == there
    assert to_whatsapp(there) == here


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("*slanted*", "_slanted_"),
        ("[the site](https://a.example/x)", "the site (https://a.example/x)"),
        ("[https://a.example](https://a.example)", "https://a.example"),
    ],
)
def test_what_markdown_has_more(there: str, here: str) -> None:
    assert to_whatsapp(there) == here


@given(st.text(alphabet="*~_`[]()ah\n :/.ps", max_size=300))
def test_no_text_is_lost(text: str) -> None:
    for change in (to_markdown, to_whatsapp):
        assert [c for c in change(text) if c == "a"] == [c for c in text if c == "a"]


def test_what_a_stranger_repeats_costs_nothing() -> None:
    began = time.perf_counter()
    for text in (
        "*a" * 9_000,
        "~" * 19_000,
        "**" * 9_500,
        "[" * 19_000,
        "`" * 19_000,
        "[a](" * 4_000,
    ):
        to_markdown(text)
        to_whatsapp(text)
    assert time.perf_counter() - began < 10
