"""What a web page says of itself: title, description, picture (Open Graph, else plain HTML)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from cluster.media.refused import Refused

__all__ = ["PagePreview", "first_link", "page", "read_page"]

_LINK = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_CHARSET = re.compile(rb"charset=[\"']?([A-Za-z0-9_-]{3,20})", re.IGNORECASE)
#: Of pages; others that Python has (`punycode`, `unicode_escape` …) are no charsets of pages.
_KNOWN = re.compile(
    r"utf-?8|utf-?16(le|be)?|us-ascii|ascii|iso-?8859-?\d{1,2}|latin-?1|windows-?125\d|cp125\d"
    r"|shift[_-]?jis|euc-?(jp|kr)|gb(k|2312|18030)|big5|koi8-?[ru]"
)
_TITLE = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class PagePreview:
    """The card under a link."""

    url: str
    title: str
    description: str
    #: URL of the picture; empty when there is none.
    image: str


def first_link(text: str) -> str:
    """The first URL in a text; empty when there is none."""
    found = _LINK.search(text)
    return found[0].rstrip(".,;:!?)]}'") if found else ""


def page(source: str, target: str | None) -> dict[str, Any]:
    """`title`, `description` and `image` (as the page has it; may be empty) of the HTML in a file.
    Runs in the worker process. Raises `Refused` when the page has no title."""
    return read_page(Path(source).read_bytes())


def read_page(html: bytes) -> dict[str, Any]:
    """See `page`."""
    declared = _CHARSET.search(html[:4096])
    charset = declared[1].decode().lower() if declared else "utf-8"
    text = html.decode(charset if _KNOWN.fullmatch(charset) else "utf-8", "replace")
    parser = _Parser()
    try:
        parser.feed(text)
    except AssertionError as error:
        # html.parser's answer to some declarations that are none.
        raise Refused("the page is no HTML") from error
    facts = parser.facts
    title = facts.get("og:title") or facts.get("title") or ""
    if not title:
        raise Refused("the page has no title")
    return {
        "title": title.strip()[:300],
        "description": (facts.get("og:description") or facts.get("description") or "").strip()[
            :600
        ],
        "image": (facts.get("og:image") or facts.get("twitter:image") or "").strip()[:2048],
    }


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.facts: dict[str, str] = {}
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title" and "title" not in self.facts:
            self._in_title = True
        elif tag == "meta":
            given = dict(attrs)
            name = (given.get("property") or given.get("name") or "").lower()
            if name and given.get("content"):
                self.facts.setdefault(name, given["content"] or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False

    def handle_data(self, data: str) -> None:
        if self._in_title and len(self.facts.get("title", "")) < _TITLE:
            self.facts["title"] = self.facts.get("title", "") + data[:_TITLE]
