"""The console is shipped built: the build is that of the sources, and calls no other host."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from api.console import STATIC

SOURCES = Path(__file__).parents[3] / "console"
SINGLE = ("index.html", "package-lock.json", "tsconfig.json", "vite.config.ts")
#: Names of XML namespaces, and addresses that are shown and never called.
NOT_CALLED = re.compile(
    r"https?://(www\.w3\.org/|example\.com/hook|chatwoot\.example\.com|preactjs\.com/|localhost\b)[^\s\"'`]*"
)


def fingerprint() -> str:
    """As `stamp` in console/vite.config.ts."""
    files = [f for part in ("src", "public") for f in (SOURCES / part).rglob("*") if f.is_file()]
    files += [SOURCES / name for name in SINGLE]
    found = hashlib.sha256()
    for file in sorted(files, key=lambda one: one.relative_to(SOURCES).as_posix()):
        found.update(f"{file.relative_to(SOURCES).as_posix()}\0".encode())
        found.update(file.read_bytes() + b"\0")
    return found.hexdigest()


def test_the_build_is_that_of_the_sources() -> None:
    stamped = (STATIC / "sources.sha256").read_text().strip()
    assert stamped == fingerprint(), "build it: cd console && npm ci && npm run build"


def test_the_build_names_no_other_host() -> None:
    built = [f for f in STATIC.rglob("*") if f.suffix in {".js", ".css", ".html", ".svg"}]
    assert len(built) >= 4
    for file in built:
        rest = NOT_CALLED.sub("", file.read_text())
        assert not re.findall(r"https?://[a-z0-9][^\s\"'`)]*", rest), file


def test_the_page_has_nothing_inline() -> None:
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert "<style" not in page
    assert not re.search(r"\son[a-z]+=", page)


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((SOURCES / "package-lock.json").read_text())
    assert not [name for name, one in lock["packages"].items() if "resolved" in one]
