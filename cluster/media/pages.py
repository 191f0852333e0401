"""What a web page says of itself: title, description, picture (Open Graph, else plain HTML)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import urljoin

__all__ = ["PagePreview", "first_link", "read_page"]

_LINK = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_CHARSET = re.compile(rb"charset=[\"']?([A-Za-z0-9_-]{3,20})", re.IGNORECASE)


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


def read_page(url: str, html: bytes) -> PagePreview | None:
    """None when the page has no title."""
    declared = _CHARSET.search(html[:4096])
    try:
        text = html.decode(declared[1].decode() if declared else "utf-8", "replace")
    except LookupError:
        text = html.decode("utf-8", "replace")
    parser = _Parser()
    parser.feed(text)
    facts = parser.facts
    title = facts.get("og:title") or facts.get("title") or ""
    if not title:
        return None
    image = facts.get("og:image") or facts.get("twitter:image") or ""
    return PagePreview(
        url=url,
        title=title.strip()[:300],
        description=(facts.get("og:description") or facts.get("description") or "").strip()[:600],
        image=urljoin(url, image) if image else "",
    )


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
        if self._in_title:
            self.facts["title"] = self.facts.get("title", "") + data
