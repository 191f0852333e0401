"""Texts in the caller's own words, by WAHA's names and in its form: Mustache, variables and
sections (https://mustache.github.io/mustache.5.html)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cluster.domain.errors import Invalid

__all__ = ["TEMPLATES", "check_template", "render"]

#: Name → what it is without one.
TEMPLATES: Mapping[str, str] = {
    "chatwoot.to.whatsapp.message.text": "{{{content}}}",
    "chatwoot.to.whatsapp.message.media.caption": (
        "{{#singleAttachment}}{{{content}}}{{/singleAttachment}}"
    ),
    "whatsapp.group.message": "**{{{participant}}}**\n\n{{{text}}}",
    "app.inbox.contact.name": "WhatsApp {{{session}}}",
}
_TAG = re.compile(r"\{\{\{\s*([\w.]+)\s*\}\}\}|\{\{\s*(?:([#^/&])\s*)?([\w.]+)\s*\}\}")
#: Of one text, with what it is filled with.
_LONGEST = 65_536


def check_template(text: str, field: str) -> None:
    """Raises `Invalid` when a section is not closed, or closed and not open."""
    _parse(text, field)


def render(text: str, values: Mapping[str, Any]) -> str:
    """Fill in; names that are nothing are empty. Nothing is escaped: these are no web pages."""
    parts: list[str] = []
    left = _LONGEST
    for part in _written(_parse(text, "template"), [values]):
        # Counted while it is filled in: a long value may be named hundreds of times.
        parts.append(part[:left])
        left -= len(parts[-1])
        if not left:
            break
    return "".join(parts).strip()


#: A text; a variable; or a section: its name, whether it is shown without a value, its parts.
_Node = str | tuple[str] | tuple[str, bool, list[Any]]


def _parse(text: str, field: str) -> list[_Node]:
    open_ones: list[tuple[str, list[_Node]]] = [("", [])]
    place = 0
    for tag in _TAG.finditer(text):
        whole, kind, name = tag[1], tag[2] or "", tag[1] or tag[3]
        open_ones[-1][1].append(text[place : tag.start()])
        place = tag.end()
        if whole or kind in {"", "&"}:
            open_ones[-1][1].append((name,))
        elif kind == "/":
            if open_ones[-1][0] != name:
                raise Invalid(f"{field} closes {name}, which is not open there", field=field)
            open_ones.pop()
        else:
            parts: list[_Node] = []
            open_ones[-1][1].append((name, kind == "^", parts))
            open_ones.append((name, parts))
    if len(open_ones) > 1:
        raise Invalid(f"{field} does not close {open_ones[-1][0]}", field=field)
    open_ones[0][1].append(text[place:])
    return open_ones[0][1]


def _written(nodes: Sequence[_Node], scopes: list[Any]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif len(node) == 1:
            value = _found(node[0], scopes)
            if value is not None and value is not False:
                yield str(value)
        else:
            name, inverted, inner = node
            value = _found(name, scopes)
            if inverted == (not value):
                yield from _written(inner, scopes if inverted else [*scopes, value])


def _found(name: str, scopes: Sequence[Any]) -> Any:
    """Innermost first: `a.b` is b of the nearest a."""
    first, *rest = name.split(".")
    for scope in reversed(scopes):
        if isinstance(scope, Mapping) and first in scope:
            value = scope[first]
            for part in rest:
                value = value.get(part) if isinstance(value, Mapping) else None
            return value
    return None
