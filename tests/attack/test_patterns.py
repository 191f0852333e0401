"""No text of a stranger keeps a regular expression busy: what it takes grows as the text does."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import re
import time
from collections.abc import Iterator
from types import ModuleType

import pytest

import actors
import api
import client
import cluster
from api.vcards import cards_of
from cluster.domain.errors import Invalid

_PIECES = [
    *("a", "1", " ", "-", ".", ";", "=", "*", "**a ", "~~a ", "`", "```a", "[", "](", "https://a"),
    *(
        "a.a-",
        "BEGIN:VCARD\n",
        "charset=",
        "<a",
        "a@",
        "a:",
        "%40",
        "\\",
        '"',
        "_",
        "/",
        "?a",
        "\t",
    ),
    *("a b", "1.", "(", "<!", "filename*=", "; filename*=a''", "token=", "://a:", "CREATE TABLE "),
]
#: So large that what is quadratic shows, and so slow that a busy machine does not.
_SIZE, _SECONDS = 8_000, 0.5


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def _patterns() -> dict[str, re.Pattern[str] | re.Pattern[bytes]]:
    found = {}
    for package in (api, client, cluster, actors):
        for module in _modules(package):
            for value in list(vars(module).values()):
                if isinstance(value, re.Pattern):
                    found[f"{value.pattern!r}"] = value
    return found


def _texts(pattern: str) -> Iterator[str]:
    own = [part for part in re.split(r"[\\\[\](){}^$?*+|]+", pattern) if part][:12]
    for piece in (*_PIECES, *own):
        yield piece * (_SIZE // len(piece))
        # What begins well, and does not end.
        yield "```" + piece * (_SIZE // len(piece)) + "\n\x00"


def test_every_pattern_takes_time_as_long_as_the_text_is() -> None:
    patterns, slow = _patterns(), {}
    assert len(patterns) > 30
    for name, pattern in patterns.items():
        source = pattern.pattern
        for text in _texts(source if isinstance(source, str) else source.decode("latin-1")):
            before = time.thread_time()
            said = text.encode("utf-8", "replace") if isinstance(source, bytes) else text
            for _ in pattern.finditer(said):  # type: ignore[arg-type]
                pass
            if (took := time.thread_time() - before) > _SECONDS:
                slow[name, text[:20]] = round(took, 1)
    assert not slow


@pytest.mark.parametrize("piece", _PIECES)
def test_a_card_is_read_in_no_time(piece: str) -> None:
    for head in ("", "BEGIN:VCARD\n", "BEGIN:VCARD\nN:", "BEGIN:VCARD\nFN;QUOTED-PRINTABLE:"):
        for tail in ("", "\nEND:VCARD"):
            before = time.thread_time()
            with contextlib.suppress(Invalid):
                cards_of(
                    vcard=head + piece * (65_536 // len(piece)) + tail,
                    name=None,
                    organization=None,
                    phone=None,
                    whatsapp_id=None,
                )
            assert time.thread_time() - before < _SECONDS
